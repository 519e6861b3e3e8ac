"""What is asked about each document of a labelling, and the documents with all their answers."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from pyspark.sql import Row

from mira_spark.corpus.draws import draw
from mira_spark.judges.calls.ledger import Answered, answered
from mira_spark.judges.protocol import Answer, Purpose, Request
from mira_spark.judges.reading import Labels
from mira_spark.labels import checks, desks, labelling, questions, spoiling
from mira_spark.labels.desks import Labelling
from mira_spark.lake.tables import Lakehouse
from mira_spark.settings.labels import LabellingSettings


@dataclass
class AskedDocument:
    """A document on its way: how many of its questions are open, and what was answered."""

    row: Row
    open: int
    copy: tuple[str, str] | None
    """How a copy was spoilt that is asked about too, and its text."""
    answers: dict[Purpose, Answered[Labels]] = field(default_factory=dict)

    @property
    def answer(self) -> Answer:
        """What decides whether it is labelled now: the answer to its first question, or the failure
        of any of its questions. One of them failed: all are asked again, and those that have an
        answer cost nothing then."""
        failures = (a.answer for a in self.answers.values() if a.answer.outcome == "failed")
        return next(failures, self.answers["label"].answer)


def asked_documents(
    lake: Lakehouse,
    settings: LabellingSettings,
    work: Labelling,
    rows: Iterable[Row],
    reversed_share: float,
    reasks: int,
    before_asking: Callable[[], None],
) -> Iterator[AskedDocument]:
    """The documents of the rows with their answers, each as soon as all of its own are there."""
    at_work: dict[str, AskedDocument] = {}
    requests = _requests(rows, work, settings, reversed_share, at_work)
    ledger = desks.ledger(lake, work.form, work.rubric.anchors_id, checks.parse, reasks)
    return _complete(answered(requests, work.desk, ledger, before_asking), at_work)


def _requests(
    rows: Iterable[Row],
    work: Labelling,
    settings: LabellingSettings,
    reversed_share: float,
    at_work: dict[str, AskedDocument],
) -> Iterator[Request]:
    """The questions about each document, which is put into `at_work` before its first."""
    group, rubric = work.rubric.source_group, work.rubric
    before: dict[str, str] = {}  # each source's latest document, the latest source last
    for row in rows:
        purposes: list[Purpose] = ["label"]
        if labelling.is_repeated(row["doc_id"], settings):
            purposes.append("repeat")
        if draw(row["doc_id"], "reversed") < reversed_share:
            purposes.append("reversed")
        copy = None
        if labelling.is_spoilt(row["doc_id"], settings):
            foreign = next((t for s, t in reversed(before.items()) if s != row["source"]), "")
            near = before.get(row["source"], "")
            copy = spoiling.spoilt_copy(row["document"], near, foreign, 0)
        before.pop(row["source"], None)
        before[row["source"]] = row["document"]
        at_work[row["doc_id"]] = AskedDocument(row, len(purposes) + (copy is not None), copy)
        for purpose in purposes:
            yield questions.request(row, work.form, purpose, group, rubric)
        if copy is not None:
            spoilt = Row(**{**row.asDict(), "document": copy[1]})
            yield questions.request(spoilt, work.form, "spoilt", group, rubric)


def _complete(
    answers: Iterable[Answered[Labels]], at_work: dict[str, AskedDocument]
) -> Iterator[AskedDocument]:
    """The documents all of whose questions have come back."""
    for done in answers:
        document = at_work[done.request.doc_id]
        document.answers[done.request.purpose] = done
        document.open -= 1
        if document.open == 0:
            yield at_work.pop(done.request.doc_id)
