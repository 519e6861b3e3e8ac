"""The tables of baselines: what documents are scored by to be compared with their quality."""

from mira_spark.lake.columns import (
    BUCKET,
    CONTENT_HASH,
    DOC_ID,
    DOUBLE,
    LONG,
    N_TOKENS,
    NULL,
    RUN_ID,
    SOURCE,
    STRING,
    STRING_MAP,
    TIMESTAMP,
    Table,
    columns,
)

_BASELINE = ("baseline", STRING, "dsir, perplexity, heuristics or educational")
_BASELINE_ID = ("baseline_id", STRING, "what it scores by: begin of the digest of its folder")

BASELINE_TABLES: dict[str, Table] = {
    "baselines": Table(
        "what each baseline scores by, one row each time that changed; the latest counts",
        columns(
            _BASELINE,
            _BASELINE_ID,
            ("settings", STRING, "JSON: its section of the settings"),
            (
                "made_from",
                STRING_MAP,
                "what its numbers follow from: the version of documents, the state of the target "
                "set, the digest of the model",
            ),
            ("target", STRING, "how many texts of the target set, and what was left out", NULL),
            ("folder", STRING, "where its settings, numbers and tokenizer are"),
            ("sha256", STRING, "digest of what is in the folder"),
            RUN_ID,
            ("made_at", TIMESTAMP, "when it was fitted, or found to count again"),
        ),
    ),
    "baseline_scores": Table(
        "what baselines say of documents, append-only, one row per document version and baseline",
        columns(
            DOC_ID,
            SOURCE,
            BUCKET,
            CONTENT_HASH,
            N_TOKENS,
            _BASELINE,
            _BASELINE_ID,
            (
                "score",
                DOUBLE,
                "the higher, the better; dsir: log of the importance weight, in nats; perplexity: "
                "mean log probability of a token, in nats: minus the log of the perplexity; "
                "heuristics: points, 0 to 10; educational: what the model says; null: quarantined",
                NULL,
            ),
            ("status", STRING, "scored or quarantined"),
            ("reason", STRING, "why it is quarantined, or what of it was not read", NULL),
            ("documents_version", LONG, "version of documents it was read from"),
            ("unit_id", STRING, "the unit of work that wrote it"),
            RUN_ID,
            ("scored_at", TIMESTAMP, "when the unit was scored"),
        ),
        key=("doc_id", "content_hash", "source", "bucket", "baseline_id"),
        clustered_by=("source", "bucket"),
        statistics=("doc_id", "source", "bucket", "baseline_id", "score"),
    ),
}
