"""What the report is given of a corpus made up: all parts of a page, with the package's own answers
for every budget."""

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from mira_spark.report.budgets import budget_rows
from mira_spark.report.page import ReportData
from mira_spark.report.plots import BIN
from mira_spark.rubrics.audit import Audit, ScoredDocuments, audit
from mira_spark.selection.frontier import BudgetAnswer
from mira_spark.selection.histogram import Bins
from tests.report_corpus import CHOSEN, Corpus, student_id

OURS = ("above", "at", "below", "student", "source_mean", "length", "reversed", "spearman",
        "gain_20", "gain_40")  # fmt: skip
"""Words that the page looks for."""
_NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
_Rows = list[dict[str, Any]]


def report_data(of: Corpus) -> ReportData:
    """All parts of a page, in the corpus' own numbers."""
    chosen = of.answer(str(CHOSEN.budget))
    everything = chosen.lines[-1].kept
    cuts = {line.source: line.kept.marginal_quality for line in chosen.lines}
    sizes = {source: bins for source, bins in of.bins.by_source().items()}
    return ReportData(
        package_version="0.1.0",
        selection={
            "selection_id": "0123456789abcdef", "name": "default", "policy": CHOSEN.policy,
            "documents_version": 7, "scores_version": 11, "seed": 0, "created_at": _NOW,
            "budget_tokens": chosen.budget_tokens, "selected_tokens": everything.tokens,
            "selected_documents": everything.documents,
        },
        judges=("openai:some-model",),
        groups=[
            {"source_group": group, "source": source, "documents": sizes[source].documents,
             "tokens": sizes[source].tokens}
            for group, source in of.sources
        ],
        cutoffs=_cutoffs(chosen, sizes),
        histogram=_histogram(of, cuts),
        rubrics=_rubrics(of),
        audits=[_audit(group, of.dimensions) for group in of.groups],
        agreement=_agreement(of),
        students=[_learnt(group, of.dimensions) for group in of.groups],
        student_reliability=_reliability(of),
        student_figures=_figures(of),
        noise_checks=_noise(of),
        judge_calls=[
            {"judge": "openai:some-model", "purpose": purpose, "outcome": outcome, "calls": calls,
             "input_tokens": 1_214 * calls, "cached_input_tokens": 803 * calls,
             "output_tokens": 97 * calls, "cost_usd": Decimal(calls) / 475}
            for purpose in ("discover", "label", "repeat")
            for outcome, calls in (("answered", 6_300), ("failed", 12))
        ],
        examples=_examples(of),
        budgets=list(budget_rows(of.bins, CHOSEN, of.bins.tokens)),
        languages=[{"language": "fr", "documents": 321, "kept_documents": 0}],
        oversized=[{"source": of.sources[0][1], "documents": 2, "tokens": 3_456_789}],
        repeats={"documents": 17, "tokens": 23_456},
        runs=_runs(),
    )  # fmt: skip


def with_texts(data: ReportData, changed: Callable[[str], str]) -> ReportData:
    """Every name and text changed, but for OURS; what was equal stays so, and parts still join."""

    def walked(value: Any) -> Any:
        if isinstance(value, str):
            return value if value in OURS else changed(value)
        if isinstance(value, list | tuple):
            return [walked(each) for each in value]
        if isinstance(value, dict):
            of_sources = {key: walked(each) for key, each in value.items()}
            kept = of_sources.get("kept")
            return of_sources | ({"kept": {walked(k): n for k, n in kept.items()}} if kept else {})
        if is_dataclass(value) and not isinstance(value, type):
            return replace(value, **{f.name: walked(getattr(value, f.name)) for f in fields(value)})
        return value

    spoilt: ReportData = walked(data)
    return spoilt


def _cutoffs(chosen: BudgetAnswer, sizes: dict[str, Bins]) -> _Rows:
    return [
        {
            "source_group": line.source_group, "source": line.source,
            "student_id": student_id(line.source_group or ""),
            "quality_cut": -1 if (cut := line.kept.marginal_quality) is None else cut,
            "kept_documents": line.kept.documents, "kept_tokens": line.kept.tokens,
            "total_documents": sizes[line.source].documents,
            "total_tokens": sizes[line.source].tokens,
        }
        for line in chosen.lines
        if line.source is not None
    ]  # fmt: skip


def _histogram(of: Corpus, cuts: dict[str | None, int | None]) -> _Rows:
    sums: dict[tuple[Any, ...], list[int]] = {}
    for row in of.bins.rows.to_pylist():
        quality, cut = row["quality"], cuts[row["source"]]
        edge = min(quality // BIN * BIN, 10_000 - BIN)
        place = "above" if cut is None or quality > cut else "at" if quality == cut else "below"
        own = sums.setdefault((row["source_group"], row["source"], edge, place), [0, 0, 0])
        for i, n in enumerate((row["documents"], row["tokens"], row["documents"] * quality)):
            own[i] += n
    names = ("source_group", "source", "bin", "place", "documents", "tokens", "quality_sum")
    return [dict(zip(names, (*key, *own), strict=True)) for key, own in sums.items()]


def _rubrics(of: Corpus) -> _Rows:
    return [
        {"source_group": group, "slot": slot, "name": name, "document_share": 0.8 - 0.04 * slot,
         "definition": f"How far a document of {group} has it: {name.lower()}, judged by what "
         "stands in the text and not by what it is about.",
         "score_sd": 2.1 - 0.1 * slot, "stability": 1 - 0.03 * slot}
        for group in of.groups
        for slot, name in enumerate(of.dimensions)
    ]  # fmt: skip


def _audit(group: str, dimensions: list[str]) -> Audit:
    draw = np.random.default_rng(len(group))
    quality = draw.normal(5, 2, (120, 1))
    scores = np.clip(quality + draw.normal(0, 1.5, (120, len(dimensions))), 0, 10)
    ids = [f"d{i}" for i in range(120)]
    again = np.clip(scores + draw.normal(0, 0.5, scores.shape), 0, 10)
    return audit(
        group, "r", dimensions, ScoredDocuments("labels", ids, ["web"] * 120, scores, again)
    )


def _agreement(of: Corpus) -> _Rows:
    figures = {"kappa": 0.91, "alpha": 0.88, "mae": 0.52, "within_one": 0.94, "shift": 0.07}
    intervals = {f"{name}_interval": [v - 0.05, v + 0.05] for name, v in figures.items()}
    return [
        {"source_group": group, "kind": kind, "slot": slot, "name": name, "documents": 987}
        | figures
        | intervals
        for group in of.groups
        for kind in ("repeat", "reversed")
        for slot, name in enumerate(of.dimensions)
    ]


def _learnt(group: str, dimensions: list[str]) -> dict[str, Any]:
    return {
        "student_id": student_id(group), "source_group": group, "kind": "linear", "rule": "shrunk",
        "dimensions": dimensions, "labels": 6_000, "held_out_rows": 5_990, "spearman": 0.71,
        "spearman_within_source": 0.62, "gain_40": 0.834, "next_doubling": 0.03, "gate": "passed",
        "gate_reasons": ["gain at 40 % of the tokens is 0.834 (0.765 to 0.861) on 5,990 rows"],
        "borrowed_from": None,
    }  # fmt: skip


def _reliability(of: Corpus) -> _Rows:
    draw = np.random.default_rng(1)
    return [
        {"student_id": student_id(group), "source": source, "slot": slot, "rows": 300, "mae": 0.83,
         "spearman": float(draw.uniform(0.1, 0.9)), "ceiling": 0.91, "slope": 0.875,
         "counts": (counts := bool(draw.random() > 0.2)),
         "reason": "applies" if counts else "its slope is below 0.2 with the lower end"}
        for group, source in [*of.sources, *((group, None) for group in of.groups)]
        for slot in range(len(of.dimensions))
    ]  # fmt: skip


def _figures(of: Corpus) -> _Rows:
    predictors = {"student": 0.834, "source_mean": 0.31, "length": 0.25, "reversed": 0.95}
    return [
        {"student_id": student_id(group), "predictor": predictor, "figure": figure, "value": value,
         "low": value - 0.04, "high": value + 0.03}
        for group in of.groups
        for predictor, value in predictors.items()
        for figure in ("spearman", "gain_20", "gain_40")
    ]  # fmt: skip


def _noise(of: Corpus) -> _Rows:
    return [
        {"student_id": student_id(group), "kind": kind, "pairs": 1_234, "auc": auc,
         "auc_low": auc - 0.03, "auc_high": auc + 0.02}
        for group in of.groups
        for kind, auc in (("all", 0.93), ("foreign_text", 0.97), ("shuffled_sentences", 0.88))
    ]  # fmt: skip


def _examples(of: Corpus) -> _Rows:
    text = (
        "The argument has two parts. First we bound the error of each step by the one before it; "
        "then we show that the bounds add up to less than one, which is all that was to be proved. "
    )
    return [
        {"source": own[0], "end": end, "doc_id": f"{own[0]}/{end}/{number}", "n_tokens": 4_321,
         "quality": 9_120 - 40 * number if end == "highest" else 1_010 + 40 * number,
         "dimensions": of.dimensions, "dimension_scores": [9_500 - 400 * s for s in range(slots)],
         "counts": [slot % 5 > 0 for slot in range(slots)],
         "excerpt": text[:200] if number else None}
        for own in list(of.groups.values())[:4]
        for end in ("highest", "lowest")
        for number in range(3)
        for slots in (len(of.dimensions),)
    ]  # fmt: skip


def _runs() -> _Rows:
    def lines() -> Iterator[tuple[str, str]]:
        yield "ingest_corpus", "21,504 new and 0 changed documents, 21,504 in all"
        yield "group_sources", "13 sources into 3 groups"
        yield "discover_rubrics", "3 rubrics from 583 documents, 0 found done"
        yield "label_documents", "6,767 documents labelled"
        yield "distill_students", "3 students from 6,767 labels"
        yield "score_documents", "21,504 documents scored in 5 units, 21,504 in all"
        yield "select_documents", "10,586 of 21,504 documents"

    return [
        {"run_id": "20260304T050607-abc123", "step": step, "status": "done",
         "started_at": _NOW + timedelta(minutes=7 * number),
         "finished_at": _NOW + timedelta(minutes=7 * number, seconds=311), "message": message,
         "all_runs": 2, "all_seconds": 622.0}
        for number, (step, message) in enumerate(lines())
    ]  # fmt: skip
