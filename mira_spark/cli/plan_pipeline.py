"""What the pipeline will take, of the corpus that is there or of one that is supposed."""

from collections.abc import Sequence
from typing import get_args

from mira_spark.cli import plan_judge, plan_machines
from mira_spark.cli.opening import open_tables
from mira_spark.cli.plan_work import corpus_size, open_units, sources_without_group, student_kinds
from mira_spark.cli.student_figures import next_doublings
from mira_spark.corpus.corpus_size import CorpusSize
from mira_spark.corpus.groups import source_groups
from mira_spark.embedders import cost
from mira_spark.labels import call_estimates, planning
from mira_spark.labels.planning import LabelRows
from mira_spark.lake.columns import BUCKETS
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.progress import say
from mira_spark.scoring import sizes
from mira_spark.scoring.sizes import ScoringSize, TrainingSize
from mira_spark.selection.histogram import MOST_ROWS_OF_SOURCE
from mira_spark.selection.order import budget_tokens
from mira_spark.settings.root import Settings
from mira_spark.settings.students import StudentKind
from mira_spark.students.rates import Rate, scoring_rates, training_rates

KINDS: tuple[StudentKind, ...] = get_args(StudentKind)


def plan_supposed(settings: Settings, corpus: CorpusSize, within: float | None) -> None:
    """Nothing is asked, trained or scored yet; sources are alike, documents as long as their
    mean."""
    say(
        f"a corpus that is not taken in: {corpus.documents:,} documents, {corpus.tokens:,} tokens, "
        f"{corpus.bytes:,} bytes, {corpus.sources:,} sources, all alike; at most, where domains, "
        "groups and duplicates decide"
    )
    sections = _sections(settings)
    plan_judge.show_plan(call_estimates.supposed_estimates(corpus, sections))
    labels = call_estimates.supposed_labels(corpus, settings.labelling)
    mean = corpus.tokens_per_document
    share, distillation = settings.labelling.spoilt_share, settings.distillation
    training, scoring = [], []
    units = sizes.alike_units(corpus, settings.scoring.unit_tokens, BUCKETS)
    for kind in KINDS:
        as_kind = distillation.model_copy(update={"kind": kind})
        training.append(sizes.training_size("all", labels, share, mean, as_kind))
        scoring.append(sizes.scoring_size(kind, units, distillation))
    _show_machines(settings, corpus, training, scoring, within)
    plan_machines.say_units(len(units), corpus.tokens, corpus.bytes_per_token, within)
    _show_tables(settings, corpus, corpus.documents)


def plan_lake(settings: Settings, within: float | None) -> None:
    """Print what is left to do of the corpus that is there."""
    lake = open_tables(settings)
    labels = _plan_judge(lake, settings)
    corpus = corpus_size(lake)
    units, kinds = open_units(lake, settings), student_kinds(lake, settings)
    scoring = [
        sizes.scoring_size(kind, of_kind, settings.distillation)
        for kind in KINDS
        if (of_kind := [unit for unit in units if kinds[unit.source_group] == kind])
    ]
    share, mean = settings.labelling.spoilt_share, corpus.tokens_per_document
    training = [
        sizes.training_size(group, planned, share, mean, settings.distillation)
        for group, planned in labels.items()
    ]
    _show_machines(settings, corpus, training, scoring, within)
    tokens = sum(unit.tokens for unit in units)
    plan_machines.say_units(len(units), tokens, corpus.bytes_per_token, within)
    _show_tables(settings, corpus, sum(unit.documents for unit in units))
    if without := sources_without_group(lake, settings):
        some = f"{', '.join(without[:5])}{' and others' * (len(without) > 5)}"
        say(f"not counted, for they have no group yet: {some}; mira group-sources gives them one")


def _plan_judge(lake: Lakehouse, settings: Settings) -> dict[str, int]:
    """Print what is asked and labelled; the labels that each group will have."""
    sections = _sections(settings)
    by, is_priced = settings.source_grouping, settings.embedder.kind == "openai"
    if is_priced:  # before the rest, which waits for groups
        first = cost.grouping_estimate(lake, by, settings.judge)
        plan_judge.show_embeddings([first])
    estimates = planning.estimates(lake, sections)
    if is_priced:
        documents = sum(e.calls for e in estimates if e.kind == "discovery")
        plan_judge.show_embeddings([cost.discovery_estimate(by, settings.judge, documents)])
    plan_judge.show_plan(estimates)
    plan_judge.show_shown_rows(planning.shown_rows(lake, sections))
    say()
    groups = set(source_groups(lake, settings.source_grouping).values())
    doublings = next_doublings(lake, settings.student_registry, groups)
    rows = planning.label_rows(lake, sections)
    plan_judge.show_label_rows(rows, settings.distillation.few_labels, doublings)
    return _labels_by_group(rows)


def _labels_by_group(rows: Sequence[LabelRows]) -> dict[str, int]:
    labels: dict[str, int] = {}
    for row in rows:
        labels[row.source_group] = labels.get(row.source_group, 0) + row.planned
    return labels


def _sections(settings: Settings) -> call_estimates.Sections:
    return call_estimates.Sections(
        settings.source_grouping, settings.discovery, settings.labelling, settings.judge
    )


def _show_machines(
    settings: Settings,
    corpus: CorpusSize,
    training: Sequence[TrainingSize],
    scoring: Sequence[ScoringSize],
    within: float | None,
) -> None:
    chosen, frozen = settings.plan, settings.distillation.encoder.frozen
    compiled = settings.scoring.compile
    learning = {kind: _or_unknown(training_rates(kind, chosen, frozen)) for kind in KINDS}
    plan_machines.show_training(training, learning, chosen, corpus.bytes_per_token)
    rates = {kind: _or_unknown(scoring_rates(kind, chosen, compiled)) for kind in KINDS}
    plan_machines.show_scoring(scoring, rates, chosen, corpus.bytes_per_token, within)


def _or_unknown(rates: Sequence[Rate]) -> Sequence[Rate | None]:
    return rates or [None]


def _show_tables(settings: Settings, corpus: CorpusSize, scored: int) -> None:
    chosen = settings.selection
    share = min(1.0, budget_tokens(chosen.budget, corpus.tokens, 1) / corpus.tokens)
    listed = 0 if chosen.materialize == "view" else round(corpus.documents * share)
    texts = corpus.bytes * share if chosen.materialize == "text" else 0.0
    histogram_rows = corpus.sources * MOST_ROWS_OF_SOURCE
    plan_machines.show_tables(sizes.table_sizes(scored, histogram_rows, listed, texts))
