"""What a discovery asks its judge about one group: documents without a rubric, which of the
dimensions named are the same, and a pilot of a few documents on all of them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from pyspark.sql import Row

from mira_spark.corpus.draws import draw
from mira_spark.errors import JudgeError
from mira_spark.judges import defence
from mira_spark.judges.calls.desk import Desk
from mira_spark.judges.calls.ledger import Answered, answered
from mira_spark.judges.protocol import Answer, Request
from mira_spark.judges.reading import Labels, parse_discovery, parse_merges
from mira_spark.judges.unusable import SHOWN, check_usable
from mira_spark.labels import checks, desks, questions
from mira_spark.labels.forms import Form
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.progress import track
from mira_spark.rubrics import discovery
from mira_spark.rubrics.discovery import Anchored, JudgedPoint
from mira_spark.rubrics.rubric import Rubric, anchors_id
from mira_spark.settings.judge import JudgeSettings
from mira_spark.settings.rubrics import DiscoverySettings

REVERSED_SHARE = 0.3
"""Of the documents of a pilot, those that are asked about in reversed order, too."""


@dataclass
class Discovering:
    """The discovery of one group: how and where it is asked, how many documents had an answer of
    each outcome, and for how many the prompt was too long at first."""

    discovery_id: str
    source_group: str
    form: Form
    desk: Desk
    settings: JudgeSettings
    outcomes: Counter[str] = field(default_factory=Counter)
    shown_shorter: int = 0


@dataclass(frozen=True)
class PilotLabel:
    """The judge's scores of one document on all candidates, in their order, None where one does not
    apply; and in the reversed asking, where there was one."""

    source: str
    doc_id: str
    call_key: str
    scores: list[int | None]
    reversed_scores: list[int | None] | None


def named_points(
    lake: Lakehouse, work: Discovering, rows: Iterable[Row], total: int
) -> list[tuple[JudgedPoint, str]]:
    """What the judge named in the documents, with the key of the call, in the order of doc_id.
    JudgeError where no answer could be used."""

    def parse(request: Request, text: str) -> list[tuple[str, str, int]]:
        return parse_discovery(text, request.code)

    group = work.source_group
    requests = (questions.request(row, work.form, "discover", group) for row in rows)
    ledger = desks.ledger(lake, work.form, None, parse, work.settings.reasks)
    keyed_points = []
    unusable: list[Answer] = []
    for done in track(answered(requests, work.desk, ledger), total, group):
        work.outcomes[done.answer.outcome] += 1
        work.shown_shorter += done.was_cut
        if done.value is None and len(unusable) < SHOWN:
            unusable.append(done.answer)
        for place, (name, reason, score) in enumerate(done.value or []):
            asked = done.request
            point = JudgedPoint(asked.source, asked.doc_id, place, name, reason, score)
            keyed_points.append((point, done.call_key))
    check_usable(group, len(keyed_points), unusable)
    return sorted(keyed_points, key=lambda each: (each[0].doc_id, each[0].point))


def merges(
    lake: Lakehouse, work: Discovering, candidates: Sequence[Anchored]
) -> Answered[dict[str, str]]:
    """The judge's answer on which of the candidates mean the same: name to the name that stands for
    both. Its value is None where the answer cannot be used; JudgeError where none came."""
    names = [candidate.anchor.name for candidate in candidates]

    def parse(request: Request, text: str) -> dict[str, str]:
        return parse_merges(text, request.code, names)

    allowed = next(iter(work.settings.licenses), None)
    slots = discovery.slots(candidates)
    request = questions.merge_request(slots, work.form, work.source_group, allowed)
    ledger = desks.ledger(lake, work.form, None, parse, work.settings.reasks)
    (done,) = answered([request], work.desk, ledger)
    if done.answer.outcome == "failed":
        raise JudgeError(
            f"{work.source_group}: which dimensions are the same was asked in vain: "
            f"{done.answer.reason}; run the step again"
        )
    return done


def pilot_documents(shown: Iterable[tuple[str, str]], settings: DiscoverySettings) -> list[str]:
    """The ids of at most `pilot_documents` of the documents shown, as (source, doc_id), as many of
    each source as can be; drawn by hash, in order of doc_id."""
    by_source: dict[str, list[str]] = {}
    for source, doc_id in sorted(shown, key=lambda each: draw(each[1], f"pilot {settings.seed}")):
        by_source.setdefault(source, []).append(doc_id)
    turns = [(turn, source, i) for source, ids in by_source.items() for turn, i in enumerate(ids)]
    return sorted(doc_id for _, _, doc_id in sorted(turns)[: settings.pilot_documents])


def pilot_labels(
    lake: Lakehouse, work: Discovering, rows: Sequence[Row], candidates: Sequence[Anchored]
) -> list[PilotLabel]:
    """The labels of the rows on all candidates, in the order of doc_id; none of a document whose
    answer cannot be used, or that steers its judge. JudgeError where no answer could be used."""
    group, anchors = work.source_group, discovery.slots(candidates)
    rubric = Rubric(anchors_id(group, anchors), group, anchors)
    ledger = desks.ledger(lake, work.form, rubric.anchors_id, checks.parse, work.settings.reasks)
    requests = list(_pilot_requests(rows, work, rubric))
    first: dict[str, Answered[Labels]] = {}
    second: dict[str, Labels | None] = {}
    for done in track(answered(requests, work.desk, ledger), len(requests), f"{group}, pilot"):
        if done.request.anchors == rubric.anchors:
            first[done.request.doc_id] = done
        else:
            second[done.request.doc_id] = done.value
    unusable = [done.answer for done in first.values() if done.value is None]
    check_usable(f"{group}, pilot", len(first) - len(unusable), unusable[:SHOWN])
    labels = []
    for row in rows:
        done, again = first[row["doc_id"]], second.get(row["doc_id"])
        if done.value is not None and not _steers(row["document"], done.value):
            scores, reversed_scores = done.value.scores, again.scores if again else None
            label = PilotLabel(row["source"], row["doc_id"], done.call_key, scores, reversed_scores)
            labels.append(label)
    return labels


def _pilot_requests(rows: Sequence[Row], work: Discovering, rubric: Rubric) -> Iterator[Request]:
    backwards = replace(rubric, anchors=rubric.anchors[::-1])
    drawn = sorted((row["doc_id"] for row in rows), key=lambda i: draw(i, "pilot reversed"))
    # As many as `mira plan` says, which rounds first askings and reversed ones together.
    again = set(drawn[: round(len(rows) * (1 + REVERSED_SHARE)) - len(rows)])
    for row in rows:
        yield questions.request(row, work.form, "pilot", work.source_group, rubric)
        if row["doc_id"] in again:
            yield questions.request(row, work.form, "pilot", work.source_group, backwards)


def _steers(text: str, labels: Labels) -> bool:
    return defence.set_aside(defence.flags(text), labels.scores, labels.canary) is not None
