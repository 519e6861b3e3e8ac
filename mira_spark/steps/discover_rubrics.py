"""Let the judge name what quality means in each group. Reads `documents`, `source_groups`; writes
`judge_calls`, `judgement_points`, `rubrics`, `embeddings`."""

from collections import Counter
from datetime import UTC, datetime

from pyspark.sql import DataFrame, functions as F

from mira_spark.corpus import sampling
from mira_spark.corpus.groups import embedder_id, source_groups
from mira_spark.embedders.opening import named_embedder, open_embedder
from mira_spark.errors import JudgeError
from mira_spark.judges.calls.desk import Desk
from mira_spark.judges.calls.ledger import answered
from mira_spark.judges.protocol import Answer, Request
from mira_spark.judges.reading import parse_discovery
from mira_spark.judges.unusable import SHOWN, check_usable
from mira_spark.labels import desks, forms, questions
from mira_spark.labels.forms import Form
from mira_spark.lake.runs import Outcome
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.progress import track
from mira_spark.rubrics import current, discovery, rubric
from mira_spark.rubrics.discovery import Anchored, JudgedPoint
from mira_spark.settings.root import Settings

SETTINGS = ("discovery", "grouping")
WRITES = ("judge_calls", "judgement_points", "rubrics", "embeddings")


def inputs(lake: Lakehouse, settings: Settings) -> dict[str, str]:
    """The groups: more documents or sources in a known group do not change its rubric."""
    groups = ", ".join(sorted(set(source_groups(lake, settings.source_grouping).values())))
    asking = forms.asking_id(settings.judge, "discovery", generation=0)
    return {
        "groups": groups,
        "judge": asking,
        **named_embedder(embedder_id(lake, settings.embedder)),
    }


def missing(lake: Lakehouse, settings: Settings) -> list[str]:
    """Always empty: whether the step has work to do follows from its settings and inputs alone."""
    return []


def run(lake: Lakehouse, settings: Settings, run_id: str) -> Outcome:
    """One rubric for each group that has none from the same discovery; a draft where
    `require_approval` says that a person signs it."""
    groups = source_groups(lake, settings.source_grouping)
    discoveries = forms.discoveries(
        lake, settings.source_grouping, settings.discovery, settings.judge
    )
    done = {r.source_group for r in current.rubrics(lake, discoveries, "approved", "draft")}
    counts: Counter[str] = Counter()
    form = forms.open_form(lake, settings.judge, "discovery", generation=0)
    where = (settings.judge, settings.folder, run_id)
    with (
        desks.open_desk(lake, settings.judge, settings.folder, form, run_id) as desk,
        open_embedder(lake, settings.embedder, *where, beside=desk) as embedder,
    ):
        for source_group in sorted(set(discoveries) - done):
            discovery_id = discoveries[source_group]
            sources = [s for s, g in groups.items() if g == source_group]
            sample = _sample(lake, settings, sources)
            keyed_points = _points(lake, settings, sample, source_group, form, desk, counts)
            _record_points(lake, keyed_points, discovery_id, source_group, run_id)
            points = [point for point, _ in keyed_points]
            anchored = discovery.anchors(points, settings.discovery, embedder)
            if len(anchored) < rubric.MIN_DIMENSIONS:
                raise JudgeError(
                    f"{source_group}: the judge named {len(anchored)} dimensions that can be used, "
                    f"a rubric needs {rubric.MIN_DIMENSIONS}: see judge_calls, or sample more"
                )
            stability = discovery.stability(points, anchored, settings.discovery, embedder)
            waits = settings.discovery.require_approval
            rows = _rubric_rows(source_group, anchored, stability, waits)
            covered = discovery.coverage(points, anchored)
            constant = {"discovery_id": discovery_id, "coverage": covered}
            lake.append_rows([row | constant for row in rows], "rubrics", run_id)
    return _outcome(counts, len(discoveries) - len(done), len(done))


def _sample(lake: Lakehouse, settings: Settings, sources: list[str]) -> DataFrame:
    """The group's sample as the judge is shown it."""
    chosen = settings.discovery
    documents = lake.read("documents").filter(F.col("source").isin(sources))
    documents = questions.sendable_documents(documents, settings.judge, "discovery")
    if settings.embedder.kind == "openai":  # what the judge says of a document leaves with it
        documents = questions.may_leave(documents, settings.judge.licenses)
    each = -(-chosen.documents_per_group // len(sources))
    sampled = sampling.sample(documents, each, chosen.seed, "source", chosen.documents_per_domain)
    return questions.with_excerpts(sampled, settings.judge.window_tokens)


def _points(
    lake: Lakehouse,
    settings: Settings,
    sample: DataFrame,
    source_group: str,
    form: Form,
    desk: Desk,
    counts: Counter[str],
) -> list[tuple[JudgedPoint, str]]:
    """What the judge named in the sample, with the key of the call, in the order of doc_id."""

    def parse(request: Request, text: str) -> list[tuple[str, str, int]]:
        return parse_discovery(text, request.code)

    rows = sample.orderBy("doc_id").toLocalIterator()
    requests = (questions.request(row, form, "discover", source_group) for row in rows)
    ledger = desks.ledger(lake, form, None, parse, settings.judge.reasks)
    keyed_points = []
    unusable: list[Answer] = []
    total = settings.discovery.documents_per_group
    for done in track(answered(requests, desk, ledger), total, source_group):
        counts[done.answer.outcome] += 1
        if done.value is None and len(unusable) < SHOWN:
            unusable.append(done.answer)
        for place, (name, reason, score) in enumerate(done.value or []):
            of = done.request
            point = JudgedPoint(of.source, of.doc_id, place, name, reason, score)
            keyed_points.append((point, done.call_key))
    check_usable(source_group, len(keyed_points), unusable)
    return sorted(keyed_points, key=lambda each: (each[0].doc_id, each[0].point))


def _record_points(
    lake: Lakehouse,
    keyed_points: list[tuple[JudgedPoint, str]],
    discovery_id: str,
    source_group: str,
    run_id: str,
) -> None:
    constant = {"discovery_id": discovery_id, "source_group": source_group}
    rows = [vars(point) | constant | {"call_key": key} for point, key in keyed_points]
    lake.replace_rows(rows, "judgement_points", "discovery_id", discovery_id, run_id)


def _rubric_rows(
    source_group: str, anchored: list[Anchored], stability: list[float], waits: bool
) -> list[dict[str, object]]:
    slots = discovery.slots(anchored)
    constant = {
        "rubric_id": rubric.rubric_id(source_group, slots),
        "source_group": source_group,
        "status": "draft" if waits else "approved",
        "approved_by": None if waits else "automatic",
        "approved_at": None if waits else datetime.now(UTC),
    }
    return [
        constant
        | vars(slot)
        | {
            "anchor_doc_id": a.anchor.doc_id,
            "anchor_point": a.anchor.point,
            "cluster_size": a.cluster_size,
            "document_share": a.document_share,
            "source_shares": a.source_shares,
            "score_sd": a.score_sd,
            "stability": found_again,
        }
        for slot, a, found_again in zip(slots, anchored, stability, strict=True)
    ]


def _outcome(counts: Counter[str], new: int, found: int) -> Outcome:
    asked, unused = counts.total(), counts.total() - counts["answered"]
    message = f"{new} rubrics from {asked:,} documents, {found} found done"
    if unused:
        listed = (f"{n:,} {what}" for what, n in sorted(counts.items()) if what != "answered")
        message += f"; {', '.join(listed)}"
    return Outcome(message, rows_in=asked, rows_out=new, rows_rejected=unused)
