"""Let the judge name what quality means in each group. Reads `documents`, `source_groups`; writes
`judge_calls`, `judgement_points`, `pilot_labels`, `rubrics`, `embeddings`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from pyspark.sql import DataFrame, functions as F

from mira_spark.corpus.embedding import Embedder
from mira_spark.corpus.groups import embedder_id, source_groups
from mira_spark.embedders.opening import named_embedder, open_embedder
from mira_spark.errors import JudgeError
from mira_spark.labels import desks, discovery_calls, forms, questions
from mira_spark.labels.discovery_calls import Discovering, PilotLabel
from mira_spark.labels.discovery_sample import discovery_sample, shown_line
from mira_spark.lake.runs import Outcome
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.failpoints import reach
from mira_spark.rubrics import current, discovery, rubric
from mira_spark.rubrics.discovery import Anchored, JudgedPoint
from mira_spark.rubrics.rubric_rows import Candidate, rubric_rows
from mira_spark.rubrics.separation import separations
from mira_spark.settings.root import Settings
from mira_spark.settings.rubrics import DiscoverySettings

SETTINGS = ("discovery", "grouping")
WRITES = ("judge_calls", "judgement_points", "pilot_labels", "rubrics", "embeddings")


def inputs(lake: Lakehouse, settings: Settings) -> dict[str, str]:
    """The groups: more documents or sources in a known group do not change its rubric."""
    groups = ", ".join(sorted(set(source_groups(lake, settings.source_grouping).values())))
    return {
        "groups": groups,
        "judge": forms.discovery_asking_id(settings.discovery, settings.judge),
        **named_embedder(embedder_id(lake, settings.embedder)),
    }


def missing(lake: Lakehouse, settings: Settings) -> list[str]:
    """Always empty: whether the step has work to do follows from its settings and inputs alone."""
    return []


def run(lake: Lakehouse, settings: Settings, run_id: str) -> Outcome:
    """One rubric for each group that has none from the same discovery; a draft where
    `require_approval` says that a person signs it."""
    by = settings.source_grouping
    groups = source_groups(lake, by)
    discoveries = forms.discoveries(lake, by, settings.discovery, settings.judge)
    done = {r.source_group for r in current.rubrics(lake, discoveries, "approved", "draft")}
    outcomes: Counter[str] = Counter()
    lines = []
    form = forms.open_form(lake, settings.judge, "discovery", generation=0)
    where = (settings.judge, settings.driver_files, run_id)
    with (
        desks.open_desk(lake, settings.judge, settings.driver_files, form, run_id) as desk,
        open_embedder(lake, settings.embedder, *where, beside=desk) as embedder,
    ):
        for group in sorted(set(discoveries) - done):
            work = Discovering(discoveries[group], group, form, desk, settings.judge, outcomes)
            sources = sorted(s for s, g in groups.items() if g == group)
            lines += _discover(lake, settings, work, sources, embedder, run_id)
    return _outcome(outcomes, len(discoveries) - len(done), len(done), lines)


def _discover(
    lake: Lakehouse,
    settings: Settings,
    work: Discovering,
    sources: Sequence[str],
    embedder: Embedder,
    run_id: str,
) -> list[str]:
    """Record the group's rubric; what is to be said of how it came about."""
    chosen = settings.discovery
    sample = _sample(lake, settings, sources)
    shown = [(r["source"], r["doc_id"]) for r in sample.select("source", "doc_id").collect()]
    lines = [shown_line(work.source_group, sources, Counter(source for source, _ in shown))]
    rows = sample.orderBy("doc_id").toLocalIterator()
    keyed_points = discovery_calls.named_points(lake, work, rows, len(shown))
    if work.shown_shorter:
        lines.append(f"{work.shown_shorter:,} of {work.source_group} {questions.SHOWN_SHORTER}")
    _record_points(lake, keyed_points, work, run_id)
    points = [point for point, _ in keyed_points]
    found = discovery.anchors(points, chosen, embedder)
    _check_enough(work.source_group, len(found), "the judge named")
    candidates = _candidates(points, found, chosen, embedder, {})
    if chosen.selection == "separating":
        merges = discovery_calls.merges(lake, work, found)
        if merges.value is None:
            lines.append(
                f"no dimensions of {work.source_group} were merged: {merges.answer.reason}"
            )
        reach("discovery.merged")
        found = discovery.merged(found, merges.value or {}, points)
        candidates = _candidates(points, found, chosen, embedder, merges.value or {})
        piloted = sample.filter(
            F.col("doc_id").isin(discovery_calls.pilot_documents(shown, chosen))
        )
        pilot = discovery_calls.pilot_labels(lake, work, piloted.orderBy("doc_id").collect(), found)
        reach("discovery.piloted")
        _record_pilot(lake, pilot, found, work, run_id)
        candidates = _separated(candidates, pilot, chosen.dimensions)
    taken = [c.anchored for c in candidates if c.is_slot]
    _check_enough(work.source_group, len(taken), "the pilot left")
    waits = chosen.require_approval
    covered = {"coverage": discovery.coverage(points, taken)}
    new = rubric_rows(work.source_group, work.discovery_id, candidates, is_signed=not waits)
    lake.append_rows([row | covered for row in new], "rubrics", run_id)
    return lines


def _sample(lake: Lakehouse, settings: Settings, sources: Sequence[str]) -> DataFrame:
    """The group's sample as the judge is shown it."""
    documents = lake.read("documents").filter(F.col("source").isin(list(sources)))
    documents = questions.sendable_documents(documents, settings.judge, "discovery")
    if settings.embedder.kind == "openai":  # what the judge says of a document leaves with it
        documents = questions.may_leave(documents, settings.judge.licenses)
    sampled = discovery_sample(documents, settings.discovery, len(sources))
    return questions.with_excerpts(sampled, settings.judge.window_tokens)


def _check_enough(source_group: str, n: int, whence: str) -> None:
    if n < rubric.MIN_DIMENSIONS:
        raise JudgeError(
            f"{source_group}: {whence} {n} dimensions that can be used, a rubric needs "
            f"{rubric.MIN_DIMENSIONS}: see judge_calls, or sample more"
        )


def _candidates(
    points: Sequence[JudgedPoint],
    found: Sequence[Anchored],
    settings: DiscoverySettings,
    embedder: Embedder,
    merges: Mapping[str, str],
) -> list[Candidate]:
    stability = discovery.stability(points, found, settings, embedder)
    merged = {
        target: tuple(sorted(name for name, into in merges.items() if into == target))
        for target in merges.values()
    }
    return [
        Candidate(a, again, merged.get(a.anchor.name, ()))
        for a, again in zip(found, stability, strict=True)
    ]


def _separated(
    candidates: Sequence[Candidate], pilot: Sequence[PilotLabel], most: int
) -> list[Candidate]:
    """The candidates with what the pilot says of them."""
    nothing = [None] * len(candidates)
    scores = np.array([label.scores for label in pilot], np.float64)
    again = np.array([label.reversed_scores or nothing for label in pilot], np.float64)
    names = [c.anchored.anchor.name for c in candidates]
    found = separations(names, scores, again, [label.source for label in pilot], most)
    return [replace(c, separation=s) for c, s in zip(candidates, found, strict=True)]


def _record_points(
    lake: Lakehouse,
    keyed_points: Sequence[tuple[JudgedPoint, str]],
    work: Discovering,
    run_id: str,
) -> None:
    constant = {"discovery_id": work.discovery_id, "source_group": work.source_group}
    rows = [vars(point) | constant | {"call_key": key} for point, key in keyed_points]
    lake.replace_rows(rows, "judgement_points", "discovery_id", work.discovery_id, run_id)


def _record_pilot(
    lake: Lakehouse,
    pilot: Sequence[PilotLabel],
    candidates: Sequence[Anchored],
    work: Discovering,
    run_id: str,
) -> None:
    constant = {
        "discovery_id": work.discovery_id,
        "source_group": work.source_group,
        "names": [candidate.anchor.name for candidate in candidates],
    }
    rows = [vars(label) | constant for label in pilot]
    lake.replace_rows(rows, "pilot_labels", "discovery_id", work.discovery_id, run_id)


def _outcome(outcomes: Counter[str], new: int, found: int, lines: Sequence[str]) -> Outcome:
    asked, unused = outcomes.total(), outcomes.total() - outcomes["answered"]
    message = f"{new} rubrics from {asked:,} documents, {found} found done"
    if unused:
        listed = (f"{n:,} {what}" for what, n in sorted(outcomes.items()) if what != "answered")
        message += f"; {', '.join(listed)}"
    message = "; ".join([message, *lines])
    return Outcome(message, rows_in=asked, rows_out=new, rows_rejected=unused)
