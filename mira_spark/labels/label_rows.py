"""The rows of `labels`: made of a document's answers, and appended in commits of some size."""

import hashlib
import uuid
from collections.abc import Iterator

from mira_spark.judges import defence
from mira_spark.judges.calls.ledger import Answered
from mira_spark.judges.protocol import Purpose
from mira_spark.judges.reading import Labels
from mira_spark.labels import questions
from mira_spark.labels.asking import AskedDocument
from mira_spark.labels.desks import Labelling
from mira_spark.lake.tables import Lakehouse

CHUNK_ROWS = 1_024
"""Rows of `labels` in a commit."""


class LabelChunk:
    """Rows of `labels` on their way. A commit that failed is made again under the same name: it may
    have arrived."""

    def __init__(self, lake: Lakehouse, run_id: str) -> None:
        self._lake, self._run_id, self._id = lake, run_id, uuid.uuid4().hex
        self._rows: list[dict[str, object]] = []
        self._number = 1

    def add(self, row: dict[str, object]) -> None:
        """One more, and a commit when that makes CHUNK_ROWS."""
        self._rows.append(row)
        if len(self._rows) >= CHUNK_ROWS:
            self.commit()

    def commit(self) -> None:
        """Append the rows."""
        self._lake.append_rows(self._rows, "labels", self._run_id, (self._id, self._number))
        self._rows, self._number = [], self._number + 1


def label_rows(done: AskedDocument, work: Labelling) -> Iterator[dict[str, object]]:
    """The rows of `labels` of a document and of its spoilt copy; none of what has no answer that
    can be used, and none of both while one of their questions failed: they are asked again."""
    row = done.row
    if done.answer.outcome == "failed":
        return
    if (label := _label(done, "label", row["document"], work)) is None:
        return
    again = {p: a.value.scores for p, a in done.answers.items() if a.value is not None}
    yield label | {
        "content_hash": row["content_hash"],
        "repeat_scores": again.get("repeat"),
        "reversed_scores": again.get("reversed"),
        "unseen_share": _unseen_share(row["unseen_share"], done.answers["label"]),
    }
    if done.copy is None:
        return
    kind, text = done.copy
    if (label := _label(done, "spoilt", text, work)) is not None:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        yield label | {
            "content_hash": digest[:16],
            "spoilt": kind,
            "spoilt_text": text,
            "unseen_share": _unseen_share(0.0, done.answers["spoilt"]),
        }


def _unseen_share(outside: float, answer: Answered[Labels]) -> float:
    return questions.unseen_share(outside, answer.request, answer.asked)


def _label(
    done: AskedDocument, purpose: Purpose, text: str, work: Labelling
) -> dict[str, object] | None:
    answer, row = done.answers[purpose], done.row
    if answer.value is None:
        return None
    labels = answer.value
    return {
        "doc_id": row["doc_id"],
        "source": row["source"],
        "source_group": work.rubric.source_group,
        "rubric_id": work.rubric.rubric_id,
        "labelling_id": work.labelling_id,
        "judge": work.form.judge.name,
        "scores": labels.scores,
        "reasons": labels.reasons,
        "set_aside": defence.set_aside(defence.flags(text), labels.scores, labels.canary),
        "call_key": answer.call_key,
    }
