"""Let the judge score a larger sample on each group's rubric. Reads `documents`, `source_groups`,
`rubrics`; writes `judge_calls`, `labels`, `judge_agreement`."""

import itertools
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

from pyspark.sql import DataFrame, Row, functions as F

from mira_spark.corpus import sampling
from mira_spark.corpus.draws import draw
from mira_spark.corpus.groups import source_groups
from mira_spark.judges import defence
from mira_spark.judges.calls.ledger import Answered, answered
from mira_spark.judges.protocol import Answer, Purpose, Request
from mira_spark.judges.reading import Labels
from mira_spark.judges.unusable import SHOWN, check_usable
from mira_spark.labels import checks, desks, forms, labelling, questions, verdict_column
from mira_spark.labels.desks import Labelling
from mira_spark.lake.runs import Outcome
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.progress import track
from mira_spark.rubrics.current import signed_rubrics
from mira_spark.rubrics.rubric import Rubric
from mira_spark.settings.root import Settings
from mira_spark.settings.types import SEEDS

SETTINGS = ("labelling",)
WRITES = ("judge_calls", "labels", "judge_agreement")
_CHUNK = 1_024
"""Rows of `labels` in a commit."""


@dataclass
class _Document:
    """A document on its way: how many of its questions are open, and what was answered."""

    row: Row
    open: int
    answers: dict[Purpose, Answered[Labels]] = field(default_factory=dict)


class _Chunk:
    """Rows of `labels` on their way. A commit that failed is made again under the same name: it may
    have arrived."""

    def __init__(self, lake: Lakehouse, run_id: str) -> None:
        self._lake, self._run_id, self._id = lake, run_id, uuid.uuid4().hex
        self._rows: list[dict[str, object]] = []
        self._number = 1

    def add(self, row: dict[str, object]) -> None:
        """One more, and a commit when that makes CHUNK."""
        self._rows.append(row)
        if len(self._rows) >= _CHUNK:
            self.commit()

    def commit(self) -> None:
        """Append the rows."""
        self._lake.append_rows(self._rows, "labels", self._run_id, (self._id, self._number))
        self._rows, self._number = [], self._number + 1


def inputs(lake: Lakehouse, settings: Settings) -> dict[str, str]:
    """The rubric of every group and how it is asked: new documents do not ask for new labels."""
    rubrics = _signed_rubrics(lake, settings)
    found = {f"rubric of {g}": r.rubric_id for g, r in rubrics.items()}
    return found | {
        "judge": forms.asking_id(settings.judge, "labelling", settings.labelling.generation)
    }


def missing(lake: Lakehouse, settings: Settings) -> list[str]:
    """Always empty: whether the step has work to do follows from its settings and inputs alone."""
    return []


def run(lake: Lakehouse, settings: Settings, run_id: str) -> Outcome:
    """Labels for the sampled documents that have none on their group's rubric, by this judge."""
    groups = source_groups(lake, settings.grouping)
    form = forms.open_form(lake, settings.judge, "labelling", settings.labelling.generation)
    asking_id = forms.asking_id(settings.judge, "labelling", settings.labelling.generation)
    counts: Counter[str] = Counter()
    with desks.open_desk(lake, settings.judge, settings.folder, form, run_id) as desk:
        for source_group, rubric in _signed_rubrics(lake, settings).items():
            labelling_id = labelling.labelling_id(rubric.rubric_id, asking_id)
            work = Labelling(labelling_id, rubric, form, desk)
            sources = [s for s, g in groups.items() if g == source_group]
            documents = lake.read("documents").filter(F.col("source").isin(sources))
            documents = questions.sendable_documents(documents, settings.judge, "labelling")
            counts += _label_group(lake, settings, work, documents, len(sources), run_id)
    verdict_column.update_verdicts(lake)
    _view(lake)
    return _outcome(counts, form.judge.name)


def _label_group(
    lake: Lakehouse,
    settings: Settings,
    work: Labelling,
    documents: DataFrame,
    sources: int,
    run_id: str,
) -> Counter[str]:
    """Label what is pending of a group; how many answers had each outcome."""
    chosen, group = settings.labelling, work.rubric.source_group
    sampled = sampling.sample(
        documents, chosen.documents_per_source, chosen.seed, "source", chosen.documents_per_domain
    )
    pending = _pending(lake, work.labelling_id, sampled)
    window_tokens = settings.judge.window_tokens
    rows = questions.with_excerpts(pending, window_tokens).orderBy("doc_id").toLocalIterator()
    first = next(rows, None)
    if first is None:
        return Counter()
    total = sampled.count()
    reversed_share = chosen.reversed_documents / total
    check = partial(checks.check_canaries, lake, documents, sources, work, chosen, window_tokens)
    questioned = itertools.chain([first], rows)
    complete = _ask(lake, settings, work, questioned, reversed_share, check)
    counts: Counter[str] = Counter()
    chunk = _Chunk(lake, run_id)
    unusable: list[Answer] = []
    try:
        for done in track(complete, total, group):
            answer = done.answers["label"].answer
            counts[answer.outcome] += 1
            if answer.outcome != "answered" and len(unusable) < SHOWN:
                unusable.append(answer)
            if label := _label(done, work, settings):
                counts["set aside"] += label["set_aside"] is not None
                chunk.add(label)
    finally:  # also when a cap is reached: what was answered is labelled
        chunk.commit()
    if not counts["answered"]:
        labels = lake.read("labels").filter(F.col("labelling_id") == work.labelling_id)
        check_usable(group, labels.limit(1).count(), unusable)
    _measure_agreement(lake, work, run_id, chosen.seed % SEEDS)
    return counts


def _pending(lake: Lakehouse, labelling_id: str, sampled: DataFrame) -> DataFrame:
    """The group's sample less what is labelled."""
    done = lake.read("labels").filter(F.col("labelling_id") == labelling_id)
    return sampled.join(done, on=["doc_id", "content_hash"], how="left_anti")


def _ask(
    lake: Lakehouse,
    settings: Settings,
    work: Labelling,
    rows: Iterable[Row],
    reversed_share: float,
    before_asking: Callable[[], None],
) -> Iterator[_Document]:
    """The documents of the rows with their answers, each as soon as all of its own are there."""
    at_work: dict[str, _Document] = {}
    requests = _requests(rows, work, settings, reversed_share, at_work)
    group, anchors_id = work.rubric.source_group, work.rubric.anchors_id
    ledger = desks.ledger(lake, work.form, group, anchors_id, checks.parse, settings.judge.reasks)
    return _complete(answered(requests, work.desk, ledger, before_asking), at_work)


def _requests(
    rows: Iterable[Row],
    work: Labelling,
    settings: Settings,
    reversed_share: float,
    at_work: dict[str, _Document],
) -> Iterator[Request]:
    """The questions about each document, which is put into `at_work` before its first."""
    group, rubric = work.rubric.source_group, work.rubric
    for row in rows:
        purposes: list[Purpose] = ["label"]
        if labelling.is_repeated(row["doc_id"], settings.labelling):
            purposes.append("repeat")
        if draw(row["doc_id"], "reversed") < reversed_share:
            purposes.append("reversed")
        at_work[row["doc_id"]] = _Document(row, len(purposes))
        for purpose in purposes:
            yield questions.request(row, work.form, purpose, group, rubric)


def _complete(
    answers: Iterable[Answered[Labels]], at_work: dict[str, _Document]
) -> Iterator[_Document]:
    """The documents all of whose questions have come back."""
    for done in answers:
        document = at_work[done.request.doc_id]
        document.answers[done.request.purpose] = done
        document.open -= 1
        if document.open == 0:
            yield at_work.pop(done.request.doc_id)


def _label(done: _Document, work: Labelling, settings: Settings) -> dict[str, object] | None:
    """The row of `labels`; None for a document whose answer cannot be used."""
    answer, row = done.answers["label"], done.row
    if answer.value is None:
        return None
    labels = answer.value
    again = {p: a.value.scores for p, a in done.answers.items() if a.value is not None}
    flags = defence.flags(row["document"])
    return {
        "doc_id": row["doc_id"],
        "content_hash": row["content_hash"],
        "source": row["source"],
        "source_group": work.rubric.source_group,
        "rubric_id": work.rubric.rubric_id,
        "labelling_id": work.labelling_id,
        "judge": work.form.judge.name,
        "scores": labels.scores,
        "repeat_scores": again.get("repeat"),
        "reversed_scores": again.get("reversed"),
        "reasons": labels.reasons,
        "split": labelling.split(row["doc_id"], settings.labelling),
        "unseen_share": row["unseen_share"],
        "set_aside": defence.set_aside(flags, labels.scores, labels.canary),
        "call_key": answer.call_key,
    }


def _measure_agreement(lake: Lakehouse, work: Labelling, run_id: str, seed: int) -> None:
    """Replace the labelling's rows of `judge_agreement`."""
    labels = lake.read("labels").filter(F.col("labelling_id") == work.labelling_id)
    labels = labels.join(lake.read("documents"), on="doc_id", how="left_semi")
    twice = labels.filter("repeat_scores IS NOT NULL OR reversed_scores IS NOT NULL")
    rows = twice.select("scores", *checks.REPEATED.values()).collect()
    agreements = checks.agreement_rows(work, rows, run_id, seed)
    if agreements:
        lake.replace_rows(agreements, "judge_agreement", "labelling_id", work.labelling_id, run_id)


def _outcome(counts: Counter[str], judge: str) -> Outcome:
    labelled = counts["answered"]
    message = f"{labelled:,} documents labelled by {judge}"
    unused = {what: n for what, n in counts.items() if what != "answered" and n}
    if unused:
        message += "; " + ", ".join(f"{n:,} {what}" for what, n in sorted(unused.items()))
    if counts["failed"]:
        message += " (mira judge retry --outcome failed asks them again)"
    rejected = sum(unused.values())
    status = "degraded" if counts["failed"] else "done"
    return Outcome(message, status, labelled + rejected, labelled, rejected)


def _view(lake: Lakehouse) -> None:
    lake.create_view(
        "label_points",
        "SELECT l.doc_id, l.source, l.source_group, l.rubric_id, l.labelling_id, r.slot, r.name, "
        "l.scores[r.slot] AS score, l.reasons[r.slot] AS reason, l.verdict, l.split, "
        "l.set_aside "
        f"FROM {lake.name('labels')} AS l JOIN (SELECT DISTINCT rubric_id, slot, name "
        f"FROM {lake.name('rubrics')}) AS r ON r.rubric_id = l.rubric_id "
        f"WHERE EXISTS (SELECT 1 FROM {lake.name('documents')} AS d WHERE d.doc_id = l.doc_id)",
        "the labels, one row per document not withdrawn, labelling and slot of its rubric",
    )


def _signed_rubrics(lake: Lakehouse, settings: Settings) -> dict[str, Rubric]:
    sections = (settings.grouping, settings.discovery, settings.judge)
    return signed_rubrics(lake, forms.discoveries(lake, *sections))
