"""Let the judge score a larger sample on each group's rubric. Reads `documents`, `source_groups`,
`rubrics`; writes `judge_calls`, `labels`, `judge_agreement`."""

import itertools
from collections import Counter
from functools import partial

from pyspark.sql import DataFrame, functions as F

from mira_spark.corpus.groups import source_groups
from mira_spark.judges.protocol import Answer
from mira_spark.judges.unusable import SHOWN, check_usable
from mira_spark.labels import checks, desks, forms, labelling, questions, verdict_column
from mira_spark.labels.asking import asked_documents
from mira_spark.labels.desks import Labelling
from mira_spark.labels.label_rows import LabelChunk, label_rows
from mira_spark.labels.label_sample import label_sample
from mira_spark.lake.runs import Outcome
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.progress import track
from mira_spark.rubrics.current import signed_rubrics
from mira_spark.rubrics.rubric import Rubric
from mira_spark.settings.root import Settings
from mira_spark.settings.types import SEEDS

SETTINGS = ("labelling",)
WRITES = ("judge_calls", "labels", "judge_agreement")


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
    groups = source_groups(lake, settings.source_grouping)
    form = forms.open_form(lake, settings.judge, "labelling", settings.labelling.generation)
    asking_id = forms.asking_id(settings.judge, "labelling", settings.labelling.generation)
    counts: Counter[str] = Counter()
    with desks.open_desk(lake, settings.judge, settings.driver_files, form, run_id) as desk:
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
    sampled = label_sample(documents, chosen)
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
    complete = asked_documents(
        lake, settings.labelling, work, questioned, reversed_share, settings.judge.reasks, check
    )
    counts: Counter[str] = Counter()
    chunk = LabelChunk(lake, run_id)
    unusable: list[Answer] = []
    try:
        for done in track(complete, total, group):
            answer = done.answer
            counts[answer.outcome] += 1
            counts[questions.SHOWN_SHORTER] += done.answers["label"].was_cut
            if answer.outcome != "answered" and len(unusable) < SHOWN:
                unusable.append(answer)
            for label in label_rows(done, work):
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
    """The group's sample less the texts that are labelled. The label of a document that was
    withdrawn, or has another text by now, is set aside and does not count."""
    labels = lake.read("labels").filter(F.col("labelling_id") == labelling_id)
    there = lake.read("documents").select("doc_id", "content_hash")
    done = labels.join(there, on=["doc_id", "content_hash"], how="left_semi")
    return sampled.join(done, on="content_hash", how="left_anti")


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
    unused = {
        what: n
        for what, n in counts.items()
        if what not in ("answered", questions.SHOWN_SHORTER) and n
    }
    if unused:
        message += "; " + ", ".join(f"{n:,} {what}" for what, n in sorted(unused.items()))
    if counts[questions.SHOWN_SHORTER]:
        message += f"; {counts[questions.SHOWN_SHORTER]:,} {questions.SHOWN_SHORTER}"
    if counts["failed"]:
        message += " (mira judge retry --outcome failed asks them again)"
    rejected = sum(unused.values())
    status = "degraded" if counts["failed"] else "done"
    return Outcome(message, status, labelled + rejected, labelled, rejected)


def _view(lake: Lakehouse) -> None:
    lake.create_view(
        "label_points",
        "SELECT l.doc_id, l.source, l.source_group, l.rubric_id, l.labelling_id, r.slot, r.name, "
        "l.scores[r.slot] AS score, l.reasons[r.slot] AS reason, l.verdict, "
        "l.set_aside "
        f"FROM {lake.name('labels')} AS l JOIN (SELECT DISTINCT rubric_id, slot, name "
        f"FROM {lake.name('rubrics')}) AS r ON r.rubric_id = l.rubric_id "
        f"WHERE EXISTS (SELECT 1 FROM {lake.name('documents')} AS d WHERE d.doc_id = l.doc_id) "
        "AND l.spoilt IS NULL",
        "the labels, one row per document not withdrawn, labelling and slot of its rubric",
    )


def _signed_rubrics(lake: Lakehouse, settings: Settings) -> dict[str, Rubric]:
    sections = (settings.source_grouping, settings.discovery, settings.judge)
    return signed_rubrics(lake, forms.discoveries(lake, *sections))
