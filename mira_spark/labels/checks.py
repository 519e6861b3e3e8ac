"""Whether a judge can be relied on: its canaries before a labelling, its agreement with itself
after one."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from pyspark.sql import DataFrame, Row, functions as F

from mira_spark.corpus import sampling
from mira_spark.judges.calls.ledger import answered
from mira_spark.judges.protocol import Request
from mira_spark.judges.reading import Labels, parse_labels
from mira_spark.labels import agreement, canaries, desks, questions
from mira_spark.labels.agreement import Agreement, Estimate, Kind
from mira_spark.labels.canaries import Asking
from mira_spark.labels.desks import Labelling
from mira_spark.lake.tables import Lakehouse
from mira_spark.rubrics.rubric import Rubric
from mira_spark.settings.labels import LabellingSettings

CANARY_SEED = 7
"""Another than that of any sample by default: canaries are no more labelled than others."""
REPEATED: dict[Kind, str] = {"repeat": "repeat_scores", "reversed": "reversed_scores"}


def parse(request: Request, text: str) -> Labels:
    """The labels in an answer; ValueError says what is not as asked."""
    return parse_labels(text, request.code, [anchor.slot for anchor in request.anchors])


def check_canaries(
    lake: Lakehouse,
    documents: DataFrame,
    sources: int,
    work: Labelling,
    chosen: LabellingSettings,
    window_tokens: int,
) -> None:
    """Ask the group's canaries again and compare with their first asking; raises JudgeDrift.

    `documents` are the group's, from so many sources. Those of the first run are asked ever after,
    as long as they have the same text and may be asked about; new ones when none of them is left.
    """
    group = work.rubric.source_group
    if chosen.canaries == 0:
        return
    calls = lake.read("judge_calls").filter(F.col("purpose") == "canary")
    calls = calls.filter(F.col("rubric_id") == work.rubric.anchors_id)
    before = calls.filter(F.col("outcome") != "failed").select("call_key", "doc_id", "replicate")
    asked = before.collect()
    frozen = documents.filter(F.col("doc_id").isin(sorted({row["doc_id"] for row in asked})))
    if frozen.isEmpty():
        each = -(-chosen.canaries // sources)
        frozen = sampling.sample(documents, each, CANARY_SEED).limit(chosen.canaries)
    rows = questions.with_excerpts(frozen, window_tokens).orderBy("doc_id").collect()
    number = canaries.replicate_of([row["replicate"] for row in asked])
    first = _questions(work, rows, canaries.FIRST)
    known = {row["call_key"] for row in asked}
    before_now = [request for request in first if request.call_key in known]
    if not before_now:
        _answers(lake, work, first)
        return
    then = _answers(lake, work, before_now)
    now = _answers(lake, work, _questions(work, rows, number))
    canaries.check(then, now, chosen.max_shift, group)


def _questions(work: Labelling, rows: Sequence[Row], replicate: int) -> list[Request]:
    group, rubric = work.rubric.source_group, work.rubric
    asked = [questions.request(row, work.form, "canary", group, rubric) for row in rows]
    return [questions.as_replicate(request, work.form, replicate) for request in asked]


def _answers(lake: Lakehouse, work: Labelling, requests: Sequence[Request]) -> Asking:
    """One asking, from the ledger where it is known."""
    rubric = work.rubric
    ledger = desks.ledger(lake, work.form, rubric.anchors_id, parse, 0)
    scores: dict[tuple[str, int], int] = {}
    models = set()
    for done in answered(requests, work.desk, ledger):
        if done.value is not None:
            given = zip(rubric.anchors, done.value.scores, strict=True)
            scores |= {(done.request.doc_id, a.slot): s for a, s in given if s is not None}
            models.add(done.answer.model)
    return Asking(scores, frozenset(models - {""}))


def agreement_rows(
    work: Labelling, labels: Sequence[Row], run_id: str, seed: int
) -> list[dict[str, object]]:
    """Rows of `judge_agreement` from the group's rows of `labels` that were asked twice."""
    agreements: list[Agreement] = []
    for kind, column in REPEATED.items():
        both = [row for row in labels if row[column] is not None]
        if both:
            first = np.array([row["scores"] for row in both], dtype=np.float64)
            second = np.array([row[column] for row in both], dtype=np.float64)
            agreements += agreement.by_slot(first, second, kind, seed)
    constant = {
        "labelling_id": work.labelling_id,
        "rubric_id": work.rubric.rubric_id,
        "source_group": work.rubric.source_group,
        "judge": work.form.judge.name,
        "run_id": run_id,
        "created_at": datetime.now(UTC),
    }
    return [constant | _figures(each, work.rubric) for each in agreements]


def _figures(each: Agreement, rubric: Rubric) -> dict[str, object]:
    row: dict[str, object] = {
        "kind": each.kind,
        "slot": each.slot,
        "name": rubric.anchors[each.slot].name,
        "documents": each.n,
        "null_share": each.null_in_one,
    }
    for name in ("kappa", "alpha", "mae", "within_one", "shift"):
        estimate: Estimate = getattr(each, name)
        has_interval = estimate.low is not None
        row |= {
            name: estimate.value,
            f"{name}_interval": [estimate.low, estimate.high] if has_interval else None,
        }
    return row
