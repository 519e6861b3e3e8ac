"""What the pipeline will take, of the corpus that is there or of one that is supposed."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import get_args

from mira_spark.cli import plan_answer, plan_judge, plan_machines
from mira_spark.cli.opening import open_tables
from mira_spark.cli.plan_answer import DeviceWork, Plan
from mira_spark.cli.plan_work import corpus_size, open_units, sources_without_group, student_kinds
from mira_spark.cli.student_figures import next_doublings
from mira_spark.corpus.corpus_size import CorpusSize
from mira_spark.corpus.groups import source_groups
from mira_spark.embedders import cost
from mira_spark.embedders.cost import EmbeddingEstimate
from mira_spark.labels import call_estimates, planning
from mira_spark.labels.planning import LabelRows
from mira_spark.lake.columns import BUCKETS
from mira_spark.lake.held_tables import holding
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.progress import say
from mira_spark.scoring import sizes
from mira_spark.scoring.sizes import ScoringSize, TableSize, TrainingSize
from mira_spark.selection.histogram import MOST_ROWS_OF_SOURCE
from mira_spark.selection.order import budget_tokens
from mira_spark.settings.root import Settings
from mira_spark.settings.students import StudentKind
from mira_spark.students.rates import scoring_rates, training_rates

KINDS: tuple[StudentKind, ...] = get_args(StudentKind)
HELD = ("source_groups", "rubrics", "students")
READ_TOGETHER = 3
"""Jobs of a plan that are under way at a time, beside the one that waits for them."""


def plan_supposed(settings: Settings, corpus: CorpusSize, within: float | None) -> Plan:
    """Nothing is asked, trained or scored yet; sources are alike, documents as long as their
    mean."""
    estimates = call_estimates.supposed_estimates(corpus, _sections(settings))
    labels = call_estimates.supposed_labels(corpus, settings.labelling)
    mean = corpus.tokens_per_document
    share, distillation = settings.labelling.spoilt_share, settings.distillation
    training, scoring = [], []
    units = sizes.alike_units(corpus, settings.scoring.unit_tokens, BUCKETS)
    for kind in KINDS:
        as_kind = distillation.model_copy(update={"kind": kind})
        training.append(sizes.training_size("all", labels, share, mean, as_kind))
        scoring.append(sizes.scoring_size(kind, units, distillation))
    per_token = corpus.bytes_per_token
    return Plan(
        corpus,
        True,
        plan_answer.planned_calls(estimates),
        *_machines(settings, corpus, training, scoring, within),
        within,
        plan_answer.planned_units(len(units), corpus.tokens, per_token, within),
        _tables(settings, corpus, corpus.documents),
    )


def plan_lake(settings: Settings, within: float | None) -> Plan:
    """What is left to do of the corpus that is there."""
    lake, sections = holding(open_tables(settings), *HELD), _sections(settings)
    embeddings = _embeddings(lake, settings)
    plan_judge.show_embeddings(embeddings)  # before the rest, which waits for groups
    with ThreadPoolExecutor(READ_TOGETHER) as pool:
        later = pool.submit(open_units, lake, settings), pool.submit(corpus_size, lake)
        shown = pool.submit(planning.shown_rows, lake, sections)
        labels = planning.label_rows(lake, sections)
        estimates = planning.estimates(lake, sections, labels)
    units, corpus = later[0].result(), later[1].result()
    if embeddings:
        documents = sum(e.calls for e in estimates if e.kind == "discovery")
        by = settings.source_grouping
        embeddings.append(cost.discovery_estimate(by, settings.judge, documents))
    groups = set(source_groups(lake, settings.source_grouping).values())
    kinds = student_kinds(lake, settings)
    scoring = [
        sizes.scoring_size(kind, of_kind, settings.distillation)
        for kind in KINDS
        if (of_kind := [unit for unit in units if kinds[unit.source_group] == kind])
    ]
    share, mean = settings.labelling.spoilt_share, corpus.tokens_per_document
    training = [
        sizes.training_size(group, planned, share, mean, settings.distillation)
        for group, planned in _labels_by_group(labels).items()
    ]
    tokens = sum(unit.tokens for unit in units)
    return Plan(
        corpus,
        False,
        plan_answer.planned_calls(estimates),
        *_machines(settings, corpus, training, scoring, within),
        within,
        plan_answer.planned_units(len(units), tokens, corpus.bytes_per_token, within),
        _tables(settings, corpus, sum(unit.documents for unit in units)),
        embeddings,
        shown.result(),
        labels,
        next_doublings(lake, settings.student_registry, groups),
        sources_without_group(lake, settings),
    )


def _embeddings(lake: Lakehouse, settings: Settings) -> list[EmbeddingEstimate]:
    """Of grouping, where an endpoint embeds."""
    if settings.embedder.kind != "openai":
        return []
    return [cost.grouping_estimate(lake, settings.source_grouping, settings.judge)]


def show_plan(settings: Settings, plan: Plan) -> None:
    """Print it, what it rests on beside it."""
    if plan.is_supposed:
        corpus = plan.corpus
        say(
            f"a corpus that is not taken in: {corpus.documents:,} documents, {corpus.tokens:,} "
            f"tokens, {corpus.bytes:,} bytes, {corpus.sources:,} sources, all alike; at most, "
            "where domains, groups and duplicates decide"
        )
    plan_judge.show_embeddings(plan.embeddings[1:])  # the first was, before there were groups
    plan_judge.show_calls(plan.calls)
    if not plan.is_supposed:
        plan_judge.show_shown_rows(plan.shown)
        say()
        few_labels = settings.distillation.few_labels
        plan_judge.show_label_rows(plan.labels, few_labels, plan.next_doublings or {})
    has_prices = bool(settings.plan.dollars_per_device_hour)
    plan_machines.show_training(plan.training, has_prices)
    plan_machines.show_scoring(plan.scoring, has_prices, plan.within_hours)
    plan_machines.say_units(plan.units, plan.within_hours)
    plan_machines.show_tables(plan.tables)
    if without := plan.without_group:
        some = f"{', '.join(without[:5])}{' and others' * (len(without) > 5)}"
        say(f"not counted, for they have no group yet: {some}; mira group-sources gives them one")


def _labels_by_group(rows: Sequence[LabelRows]) -> dict[str, int]:
    labels: dict[str, int] = {}
    for row in rows:
        labels[row.source_group] = labels.get(row.source_group, 0) + row.planned
    return labels


def _sections(settings: Settings) -> call_estimates.Sections:
    return call_estimates.Sections(
        settings.source_grouping, settings.discovery, settings.labelling, settings.judge
    )


def _machines(
    settings: Settings,
    corpus: CorpusSize,
    training: Sequence[TrainingSize],
    scoring: Sequence[ScoringSize],
    within: float | None,
) -> tuple[list[DeviceWork], list[DeviceWork]]:
    """Of distillation and of scoring."""
    chosen, frozen = settings.plan, settings.distillation.encoder.frozen
    compiled = settings.scoring.compile
    learning = {kind: training_rates(kind, chosen, frozen) for kind in KINDS}
    rates = {kind: scoring_rates(kind, chosen, compiled) for kind in KINDS}
    per_token = corpus.bytes_per_token
    return (
        plan_answer.training_work(training, learning, chosen, per_token),
        plan_answer.scoring_work(scoring, rates, chosen, per_token, within),
    )


def _tables(settings: Settings, corpus: CorpusSize, scored: int) -> list[TableSize]:
    chosen = settings.selection
    share = min(1.0, budget_tokens(chosen.budget, corpus.tokens, 1) / corpus.tokens)
    listed = 0 if chosen.materialize == "view" else round(corpus.documents * share)
    texts = corpus.bytes * share if chosen.materialize == "text" else 0.0
    histogram_rows = corpus.sources * MOST_ROWS_OF_SOURCE
    return sizes.table_sizes(scored, histogram_rows, listed, texts)
