"""Views that answer in a line of SQL what is asked most about the latest selection."""

from mira_spark.lake.runs import NOTHING_TO_DO
from mira_spark.lake.scale import FULL_SCALE
from mira_spark.lake.tables import Lakehouse

NEAR = 100
"""So many thousandths of a point from the cut are near it."""
_BEGINNING = 200
_DECISIONS = """
SELECT *, CASE
    WHEN is_in AND from_cut > 0 THEN 'above the cut'
    WHEN is_in AND from_cut = 0 THEN 'at the cut, among those that fit'
    WHEN is_in THEN 'in, not by a cut of its quality'
    WHEN status <> 'scored' THEN status
    WHEN quality_cut IS NULL THEN 'its source takes no part'
    WHEN n_tokens > most_tokens THEN 'oversized'
    WHEN quality_cut > {full_scale} THEN 'no document of its source fits'
    WHEN from_cut IS NULL AND quality_cut >= 0
        THEN 'out, not by a cut of its quality: mira selection explain says why'
    WHEN from_cut < 0 THEN 'below the cut'
    WHEN from_cut = 0 THEN 'at the cut, not among those that fit'
    ELSE 'set aside, or newer than the selection: mira selection explain says which'
END AS reason
FROM (
    SELECT s.doc_id, s.source, s.source_group, s.bucket, s.n_tokens, s.status, s.quality,
        c.quality_cut, c.most_tokens, k.doc_id IS NOT NULL AS is_in,
        CASE WHEN c.by_quality AND c.quality_cut BETWEEN 0 AND {full_scale}
            THEN s.quality - c.quality_cut END AS from_cut
    FROM {scored_documents} AS s
    LEFT JOIN (
        SELECT l.*, get_json_object(o.settings, '$.score') = 'quality'
            AND CAST(get_json_object(o.settings, '$.temperature') AS DOUBLE) = 0 AS by_quality
        FROM {latest_cutoffs} AS l JOIN {selections} AS o ON o.selection_id = l.selection_id
    ) AS c ON c.source = s.source
    LEFT JOIN {selected} AS k ON k.doc_id = s.doc_id
)
"""
_NEAR_CUT = """
SELECT n.*, substring(d.text, 1, {beginning}) AS beginning
FROM {decisions} AS n
JOIN {documents} AS d ON d.doc_id = n.doc_id AND d.source = n.source AND d.bucket = n.bucket
WHERE abs(n.from_cut) <= {near}
"""
_LATEST_CUTOFFS = """
SELECT * FROM {selection_cutoffs}
WHERE selection_id = (SELECT max_by(selection_id, created_at) FROM {selections})
"""
_DIMENSION_SCORES = """
SELECT doc_id, source, source_group, n_tokens, dimension, score
FROM {scored_documents} LATERAL VIEW explode(dimensions) AS dimension, score
WHERE status = 'scored'
"""
_KEPT_BY = """
SELECT source_group, source, license, domain, count(*) AS documents, sum(n_tokens) AS tokens
FROM {selected} GROUP BY source_group, source, license, domain
"""
_LAST_RUNS = """
SELECT step, last.*
FROM (
    SELECT step, max_by(struct(run_id, status, started_at, finished_at, rows_in, rows_out,
        rows_rejected, message), started_at) AS last
    FROM {runs} WHERE finished_at IS NOT NULL AND message <> '{nothing_to_do}' GROUP BY step
)
"""
VIEWS = {
    "latest_cutoffs": (_LATEST_CUTOFFS, "where the latest selection cuts each source"),
    "decisions": (
        _DECISIONS,
        "every document with a score: whether the latest selection has it, how far its quality is "
        "from the cut of its source, in thousandths of a point, and why",
    ),
    "near_cut": (_NEAR_CUT, "the documents of decisions at most a tenth of a point from the cut"),
    "dimension_scores_long": (
        _DIMENSION_SCORES,
        "one row per scored document and dimension: thousandths of a point, null where the "
        "dimension does not apply",
    ),
    "kept_by": (_KEPT_BY, "what the latest selection has of each source, licence and domain"),
    "last_runs": (_LAST_RUNS, "what each step did when it last had something to do"),
}
"""Query and comment of each, in the order in which they build on one another."""
_NAMES = ("selection_cutoffs", "selections", "scored_documents", "latest_cutoffs", "selected",
          "documents", "decisions", "runs")  # fmt: skip


def create_helper_views(lake: Lakehouse) -> None:
    """Make the views, where they are not there as this version of the package has them. They read
    `selected`, whichever selection that shows, and `scored_documents`: without the latter, which
    the next scoring makes, none is made."""
    if lake.view_query("scored_documents") is None:
        return
    names = {name: lake.name(name) for name in _NAMES}
    values = {"full_scale": FULL_SCALE, "beginning": _BEGINNING, "near": NEAR}
    texts = {
        view: query.strip().format(**names, **values, nothing_to_do=NOTHING_TO_DO)
        for view, (query, _) in VIEWS.items()
    }
    if any(lake.view_query(view) != texts[view] for view in ("decisions", "last_runs")):
        for view, text in texts.items():
            lake.create_view(view, text, VIEWS[view][1])
