"""What discovery and labelling will cost, before anything is sent: how many calls the tables leave
open, and how long the texts are; dollars and hours are as in `call_estimates`."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pyspark.sql import DataFrame, functions as F

from mira_spark.corpus.groups import source_groups
from mira_spark.errors import InputError
from mira_spark.judges import prompts
from mira_spark.judges.protocol import Anchor
from mira_spark.labels import forms, labelling, questions
from mira_spark.labels.call_estimates import (
    PURPOSES,
    CallEstimate,
    CallKind,
    MeanAnswer,
    Sections,
    assumed_anchors,
    assumed_answer,
    call_estimate,
    call_task,
)
from mira_spark.labels.discovery_calls import REVERSED_SHARE
from mira_spark.labels.discovery_sample import discovery_sample
from mira_spark.labels.forms import Task
from mira_spark.labels.label_sample import label_sample
from mira_spark.lake.tables import Lakehouse
from mira_spark.rubrics import current


class LabelRows(NamedTuple):
    """How many different texts of a source are to be labelled, and how many of them are."""

    source_group: str
    source: str
    planned: int
    labelled: int


class ShownRows(NamedTuple):
    """How many documents of a source a discovery that is still to be made is shown."""

    source_group: str
    source: str
    shown: int


def estimates(
    lake: Lakehouse, settings: Sections, labels: Sequence[LabelRows]
) -> list[CallEstimate]:
    """What is still to be asked, discovery first; `labels` are `label_rows`, and of a group that
    they leave nothing to label no text is read. ConfigError for a model without a price, InputError
    before there are groups."""
    by_group = _sources_by_group(lake, settings)
    discoveries = list(_discoveries(lake, settings, by_group))
    unlabelled = {row.source_group for row in labels if row.labelled < row.planned}
    return discoveries + list(_labellings(lake, settings, by_group, unlabelled))


def shown_rows(lake: Lakehouse, settings: Sections) -> list[ShownRows]:
    """How many documents of each source are shown in the discoveries still to be made, by group and
    source. InputError before there are groups."""
    by_group = _sources_by_group(lake, settings)
    rows = []
    for group, sample in _discovery_samples(lake, settings, by_group):
        counts = {row["source"]: row["count"] for row in sample.groupBy("source").count().collect()}
        rows += [ShownRows(group, s, counts.get(s, 0)) for s in sorted(by_group[group])]
    return rows


def label_rows(lake: Lakehouse, settings: Sections) -> list[LabelRows]:
    """How many labels each source will have, by group and source; asks and writes nothing.
    InputError before there are groups."""
    by_group = _sources_by_group(lake, settings)
    counts: dict[str, tuple[int, int]] = {}
    for planned in _samples(lake, settings, by_group):
        done = F.count_if("is_labelled")
        by_source = planned.sample.groupBy("source").agg(
            F.count("*").alias("n"), done.alias("done")
        )
        counts |= {row["source"]: (row["n"], row["done"]) for row in by_source.collect()}
    return [
        LabelRows(group, source, *counts.get(source, (0, 0)))
        for group, sources in by_group.items()
        for source in sorted(sources)
    ]


def _sources_by_group(lake: Lakehouse, settings: Sections) -> dict[str, list[str]]:
    groups = source_groups(lake, settings.grouping)
    return {
        group: [s for s, g in groups.items() if g == group]
        for group in sorted(set(groups.values()))
    }


def _discoveries(
    lake: Lakehouse, settings: Sections, by_group: dict[str, list[str]]
) -> Iterator[CallEstimate]:
    chosen = settings.discovery
    for group, sample in _discovery_samples(lake, settings, by_group):
        yield _estimate(lake, settings, "discovery", group, sample, (), 1.0, 0)
        if chosen.selection == "separating":
            candidates = assumed_anchors(chosen.candidates)
            lines = prompts.dimension_list(candidates)
            listed = sample.limit(1).withColumn("text", F.lit(lines))
            yield _estimate(lake, settings, "merge", group, listed, candidates, 1.0, 0)
            pilot, askings = sample.limit(chosen.pilot_documents), 1 + REVERSED_SHARE
            yield _estimate(lake, settings, "pilot", group, pilot, candidates, askings, 0)


def _discovery_samples(
    lake: Lakehouse, settings: Sections, by_group: dict[str, list[str]]
) -> Iterator[tuple[str, DataFrame]]:
    """Of the groups that have no rubric yet, what is shown of each."""
    ids = _discoveries_of(lake, settings)
    done = {r.source_group for r in current.rubrics(lake, ids, "approved", "draft")}
    for group in sorted(by_group.keys() - done):
        documents = _documents(lake, settings, by_group[group], "discovery")
        yield group, discovery_sample(documents, settings.discovery, len(by_group[group]))


def _labellings(
    lake: Lakehouse, settings: Sections, by_group: dict[str, list[str]], unlabelled: set[str]
) -> Iterator[CallEstimate]:
    chosen = settings.labelling
    for planned in _samples(lake, settings, by_group):
        is_open = planned.source_group in unlabelled
        sample = planned.sample.filter(~F.col("is_labelled")) if is_open else None
        askings = 1 + chosen.repeat_share + chosen.spoilt_share
        more = chosen.canaries + chosen.reversed_documents
        group, anchors = planned.source_group, planned.anchors
        yield _estimate(lake, settings, "labelling", group, sample, anchors, askings, more)


class _Sample(NamedTuple):
    """The documents of a group that are to be labelled; `is_labelled` says which are."""

    source_group: str
    sample: DataFrame
    anchors: Sequence[Anchor]


def _samples(
    lake: Lakehouse, settings: Sections, by_group: dict[str, list[str]]
) -> Iterator[_Sample]:
    discoveries = _discoveries_of(lake, settings)
    try:
        signed = current.signed_rubrics(lake, discoveries)
        known = current.rubrics(lake, discoveries, "approved", "retired")
    except InputError:
        signed, known = {}, []
    asking_id = forms.asking_id(settings.judge, "labelling", settings.labelling.generation)
    ids = {labelling.labelling_id(rubric.rubric_id, asking_id): rubric for rubric in known}
    assumed = assumed_anchors(settings.discovery.dimensions)
    for group, sources in by_group.items():
        documents = _documents(lake, settings, sources, "labelling")
        sample = label_sample(documents, settings.labelling)
        rubric = signed.get(group)
        answered = [
            i for i, r in ids.items() if rubric is not None and r.anchors_id == rubric.anchors_id
        ]
        done = lake.read("labels").filter(F.col("labelling_id").isin(answered))
        hashes = done.select("content_hash", F.lit(True).alias("is_labelled")).distinct()
        sample = sample.join(hashes, on="content_hash", how="left")
        sample = sample.withColumn("is_labelled", F.col("is_labelled").isNotNull())
        yield _Sample(group, sample, assumed if rubric is None else rubric.anchors)


def _discoveries_of(lake: Lakehouse, settings: Sections) -> dict[str, str]:
    return forms.discoveries(lake, settings.grouping, settings.discovery, settings.judge)


def _documents(
    lake: Lakehouse, settings: Sections, sources: Sequence[str], task: Task
) -> DataFrame:
    documents = lake.read("documents").filter(F.col("source").isin(list(sources)))
    return questions.sendable_documents(documents, settings.judge, task)


def _estimate(
    lake: Lakehouse,
    settings: Sections,
    kind: CallKind,
    group: str,
    sample: DataFrame | None,
    anchors: Sequence[Anchor],
    askings: float,
    more: int,
) -> CallEstimate:
    judge = forms.judge_name(forms.task_model(settings.judge, call_task(kind)))
    documents, characters = (0, 0) if sample is None else _excerpts(settings, sample)
    calls = round(documents * askings) + min(more, documents)
    per_document = characters / max(1, documents)
    answer = _mean_answer(lake, judge, kind, len(anchors))
    return call_estimate(settings.judge, kind, group, calls, per_document, anchors, answer)


def _excerpts(settings: Sections, sample: DataFrame) -> tuple[int, int]:
    """How many different ones the judge is asked about, and their characters."""
    excerpt = questions.excerpt_of_text(settings.judge.window_tokens).alias("excerpt")
    shown = sample.select(excerpt).distinct()  # of the same words the judge is asked once
    characters = F.coalesce(F.sum(F.length("excerpt")), F.lit(0))
    (row,) = shown.agg(F.count("*"), characters).collect()
    return row[0], row[1]


def _mean_answer(lake: Lakehouse, judge: str, kind: CallKind, slots: int) -> MeanAnswer:
    """Of this judge's answers for such work; or an assumed one."""
    calls = lake.read("judge_calls").filter(F.col("judge") == judge)
    calls = calls.filter(F.col("purpose") != "embed")
    calls = calls.filter(
        F.col("purpose").isin(list(PURPOSES[kind])) & (F.col("outcome") == "answered")
    )
    row = calls.agg(F.avg("output_tokens"), F.avg("latency_ms"), F.count("*")).collect()[0]
    return MeanAnswer(row[0], row[1] / 1000, True) if row[2] else assumed_answer(slots)
