"""Let the judge name what quality means in each group. Reads `documents`, `source_groups`; writes
`judge_calls`, `judgement_points`, `rubrics`."""

from datetime import UTC, datetime

from pyspark.sql import functions as F

from mira_spark import corpus, current, discovery, judging
from mira_spark.discovery import Anchored, Point
from mira_spark.errors import JudgeError
from mira_spark.judges.ledger import answered
from mira_spark.progress import track
from mira_spark.runs import Outcome
from mira_spark.settings import Settings
from mira_spark.tables import Lakehouse

SETTINGS = ("discovery", "judge", "grouping")


def inputs(lake: Lakehouse, settings: Settings) -> dict[str, str]:
    """The groups: more documents or sources in a known group do not change its rubric."""
    return {"groups": ", ".join(sorted(set(current.groups(lake, settings).values())))}


def run(lake: Lakehouse, settings: Settings, run_id: str) -> Outcome:
    """One rubric for each group that has none from the same discovery."""
    judge = judging.open_judge(settings.judge)
    groups = current.groups(lake, settings)
    discoveries = current.discovery_ids(settings, groups.values(), judge.name)
    done = current.rubrics(lake, discoveries)
    asked = invalid = 0
    for source_group in sorted(set(discoveries) - set(done)):
        sources = [s for s, g in groups.items() if g == source_group]
        points, bad = _points(lake, settings, source_group, sources, discoveries, run_id)
        if not points:
            raise JudgeError(f"{source_group}: the judge named no dimension in any document")
        anchored = discovery.anchors(points, settings.discovery)
        _record(lake, discoveries[source_group], source_group, anchored, run_id)
        asked += len({p.doc_id for p in points}) + bad
        invalid += bad
    new = len(discoveries) - len(done)
    message = f"{new} rubrics from {asked:,} documents, {len(done)} found done"
    return Outcome(message, rows_in=asked, rows_out=new, rows_rejected=invalid)


def _points(
    lake: Lakehouse,
    settings: Settings,
    source_group: str,
    sources: list[str],
    discoveries: dict[str, str],
    run_id: str,
) -> tuple[list[Point], int]:
    """What the judge named in the group's sample, in the order of doc_id, and how many answers
    could not be read."""
    judge = judging.open_judge(settings.judge)
    chosen = settings.discovery
    documents = lake.read("documents").filter(F.col("source").isin(sources))
    each = -(-chosen.documents_per_group // len(sources))
    sampled = corpus.sample(documents, each, chosen.seed, "source", chosen.documents_per_domain)
    shown = judging.shown(sampled, settings.judge.window_tokens).orderBy("doc_id").toLocalIterator()
    points: list[Point] = []
    kept: list[dict[str, object]] = []
    invalid = 0
    ledger = judging.open_ledger(lake, judge, run_id, source_group, None)
    for chunk in track(judging.chunks(shown), each * len(sources), source_group, judging.CHUNK):
        source_of = {row["doc_id"]: row["source"] for row in chunk}
        requests = [judging.request(row, source_group, judge, "discover", None) for row in chunk]
        for request, answer in answered(judge, ledger, requests):
            try:
                named = discovery.parse_points(answer.raw_response)
            except ValueError:
                invalid += 1
                continue
            for place, (name, reason, score) in enumerate(named):
                doc_id = request.doc_id
                points.append(Point(source_of[doc_id], doc_id, place, name, reason, score))
                kept.append(vars(points[-1]) | {"call_key": request.call_key})
    constant = {"discovery_id": discoveries[source_group], "source_group": source_group}
    rows = [row | constant for row in kept]
    lake.replace_rows(rows, "judgement_points", "discovery_id", constant["discovery_id"], run_id)
    return points, invalid


def _record(
    lake: Lakehouse, discovery_id: str, source_group: str, anchored: list[Anchored], run_id: str
) -> None:
    rubric_id = discovery.rubric_id(anchored)
    now = datetime.now(UTC)
    rows = [
        {
            "rubric_id": rubric_id,
            "discovery_id": discovery_id,
            "source_group": source_group,
            "slot": slot,
            "name": a.anchor.name,
            "definition": a.anchor.reason,
            "anchor_doc_id": a.anchor.doc_id,
            "anchor_point": a.anchor.point,
            "cluster_size": a.cluster_size,
            "document_share": a.document_share,
            "source_shares": a.source_shares,
            "score_sd": a.score_sd,
            "status": "approved",
            "approved_by": "automatic",
            "approved_at": now,
        }
        for slot, a in enumerate(anchored)
    ]
    lake.append_rows(rows, "rubrics", run_id)
