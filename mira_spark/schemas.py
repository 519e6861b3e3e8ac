"""Every table this package writes: its columns with meaning, unit and range, and how it is kept."""

from dataclasses import dataclass

from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    ShortType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

STRING, LONG, INT, SHORT = StringType(), LongType(), IntegerType(), ShortType()
DOUBLE, FLOAT, BOOLEAN, BINARY = DoubleType(), FloatType(), BooleanType(), BinaryType()
TIMESTAMP, STRING_MAP = TimestampType(), MapType(StringType(), StringType())

BUCKETS = 1024
POINT = 1_000
"""Qualities and dimension scores are thousandths of a point, 0 to 10 points."""


@dataclass(frozen=True)
class Table:
    """A table's grain and columns; `clustered_by` only names columns that carry statistics."""

    comment: str
    columns: StructType
    clustered_by: tuple[str, ...] = ()
    statistics: tuple[str, ...] = ()


def _columns(*rows: tuple[str, DataType, str] | tuple[str, DataType, str, bool]) -> StructType:
    fields = []
    for name, kind, comment, *nullable in rows:
        fields.append(StructField(name, kind, bool(nullable), {"comment": comment}))
    return StructType(fields)


NULL = True
"""Marks a column that may be null; all others are NOT NULL."""

DOC_ID = ("doc_id", STRING, "the caller's id, unique; else hex of SHA-256(source, NUL, text)[:16]")
SOURCE = ("source", STRING, "where the document comes from, as the caller names it")
GROUP = ("source_group", STRING, "the group of its source: group_a, group_b, ...")
CONTENT_HASH = ("content_hash", BINARY, "first 16 bytes of SHA-256 of the text")
BUCKET = ("bucket", SHORT, "pmod(xxhash64(doc_id), 1024): the unit of work and resumption")
N_TOKENS = ("n_tokens", LONG, "tokens of the text by the tokenizer named in the table properties")
RUN_ID = ("run_id", STRING, "the run that wrote the row, see runs")
RUBRIC_ID = ("rubric_id", STRING, "digest of the group's anchors, see rubrics")
STUDENT_ID = ("student_id", STRING, "<registered model>/<version> in MLflow")
CALL_KEY = ("call_key", STRING, "SHA-256 of everything that can change the answer")
SLOT = ("slot", SHORT, "place of the dimension in the rubric, from 0")
SELECTION_ID = ("selection_id", STRING, "digest of the selection's inputs and settings")

TABLES: dict[str, Table] = {
    "documents": Table(
        "the corpus, one row per document",
        _columns(
            DOC_ID,
            SOURCE,
            ("text", STRING, "the document, valid UTF-8"),
            ("n_bytes", LONG, "length of the text in bytes of UTF-8"),
            N_TOKENS,
            CONTENT_HASH,
            BUCKET,
            ("domain", STRING, "host, repository or package, for caps in sampling", NULL),
            ("license", STRING, "SPDX expression or the owner's words", NULL),
            ("sendable", BOOLEAN, "may be shown to a judge outside"),
            ("repaired", BOOLEAN, "the text was not valid UTF-8 and was mended"),
            ("metadata", STRING_MAP, "whatever else the input held, as strings"),
            ("ingested_at", TIMESTAMP, "when this version of the document was written"),
        ),
        clustered_by=("source", "bucket"),
        statistics=("doc_id", "source", "n_bytes", "n_tokens", "bucket", "domain"),
    ),
    "rejected_documents": Table(
        "documents that were not taken in, one row per document and reason",
        _columns(
            ("source", STRING, "as the input named it", NULL),
            ("doc_id", STRING, "as the input named it, or the computed id", NULL),
            ("reason", STRING, "empty, too_large, duplicate_id or no_source"),
            ("n_bytes", LONG, "length of the text in bytes", NULL),
            ("beginning", STRING, "the first 200 characters, control characters escaped", NULL),
            RUN_ID,
        ),
    ),
    "source_groups": Table(
        "the group of every source, one row per grouping and source",
        _columns(
            ("grouping_id", STRING, "digest of the grouping settings"),
            SOURCE,
            GROUP,
            ("embedding", ArrayType(FLOAT, False), "mean of its sampled documents, unit length"),
            ("documents", LONG, "documents of the source when it was grouped"),
            ("tokens", LONG, "tokens of the source when it was grouped"),
            ("sampled", INT, "documents embedded"),
            ("nearest_source", STRING, "the most similar other source", NULL),
            ("nearest_cosine", DOUBLE, "its cosine, -1 to 1", NULL),
            ("created_at", TIMESTAMP, "when the source was grouped"),
        ),
    ),
    "judge_calls": Table(
        "the ledger of the judge, append-only, one row per call",
        _columns(
            CALL_KEY,
            ("purpose", STRING, "discover, label, repeat or canary"),
            DOC_ID,
            GROUP,
            ("rubric_id", STRING, "the rubric asked about; null in discovery", NULL),
            ("judge", STRING, "provider:model"),
            ("raw_response", STRING, "the answer as it came, before parsing", NULL),
            ("outcome", STRING, "answered, invalid, refused, truncated or failed"),
            ("reason", STRING, "why the outcome is not answered", NULL),
            ("input_tokens", LONG, "tokens of the prompt, cached ones included"),
            ("cached_input_tokens", LONG, "prompt tokens read from the provider's cache"),
            ("output_tokens", LONG, "tokens of the answer"),
            ("cost_usd", DecimalType(18, 9), "price of the call in US dollars"),
            ("attempts", INT, "requests sent for this answer"),
            ("latency_ms", LONG, "of the last attempt"),
            ("replicate", INT, "0 for the first asking, 1 for the repeat"),
            RUN_ID,
            ("answered_at", TIMESTAMP, "when the answer was recorded"),
        ),
    ),
    "judgement_points": Table(
        "what the judge named in discovery, one row per document and dimension named",
        _columns(
            ("discovery_id", STRING, "digest of the group and of what was asked"),
            GROUP,
            SOURCE,
            DOC_ID,
            ("point", SHORT, "place of the dimension in the answer, from 0"),
            ("name", STRING, "the dimension's name, the judge's words"),
            ("reason", STRING, "the judge's sentence"),
            ("score", SHORT, "0-10, not used in clustering"),
            CALL_KEY,
        ),
    ),
    "rubrics": Table(
        "the anchors of each group's rubric, one row per rubric and slot",
        _columns(
            RUBRIC_ID,
            ("discovery_id", STRING, "the discovery it came from, see judgement_points"),
            GROUP,
            SLOT,
            ("name", STRING, "the dimension's name"),
            ("definition", STRING, "the anchor's own reason: what the dimension means"),
            ("anchor_doc_id", STRING, "the document whose judgement is the anchor"),
            ("anchor_point", SHORT, "its point in judgement_points"),
            ("cluster_size", INT, "points in the anchor's cluster"),
            ("document_share", DOUBLE, "share of the group's sampled documents with a point there"),
            ("source_shares", MapType(STRING, DOUBLE), "the same for each source"),
            ("score_sd", DOUBLE, "spread of the scores given in the cluster", NULL),
            ("status", STRING, "draft, approved or retired"),
            ("approved_by", STRING, "who signed it; null while a draft", NULL),
            ("approved_at", TIMESTAMP, "when", NULL),
        ),
    ),
    "labels": Table(
        "the judge's scores on the rubric, one row per document and rubric",
        _columns(
            DOC_ID,
            CONTENT_HASH,
            SOURCE,
            GROUP,
            RUBRIC_ID,
            ("scores", ArrayType(SHORT, True), "slot order, 0-10, null = does not apply"),
            ("repeat_scores", ArrayType(SHORT, True), "the same, asked again (5 %)", NULL),
            ("reasons", ArrayType(STRING, True), "slot order"),
            ("split", STRING, "train or validation, by hash of doc_id"),
            CALL_KEY,
        ),
    ),
    "students": Table(
        "the distilled scorers, one row per registered version",
        _columns(
            STUDENT_ID,
            GROUP,
            RUBRIC_ID,
            ("kind", STRING, "linear, encoder or generative"),
            ("dimensions", ArrayType(STRING, False), "the names of its outputs, slot order"),
            ("artefact_uri", STRING, "folder the executors read it from"),
            ("artefact_sha256", STRING, "digest of its manifest.json, checked before loading"),
            ("weights_sha256", STRING, "digest of model.safetensors"),
            ("labels_version", LONG, "version of labels it was trained on"),
            ("train_rows", LONG, "labels in the train split"),
            ("validation_rows", LONG, "labels in the validation split"),
            ("spearman", DOUBLE, "mean over its reliable slots, held-out rows", NULL),
            ("gate", STRING, "passed or failed"),
            ("gate_reasons", ArrayType(STRING, False), "what the gate found"),
            ("created_at", TIMESTAMP, "when it was registered"),
        ),
    ),
    "student_reliability": Table(
        "how far a student can be trusted, one row per student, source and slot",
        _columns(
            STUDENT_ID,
            ("source", STRING, "the source; null: all sources of the group together", NULL),
            SLOT,
            ("validation_rows", LONG, "held-out rows with a label"),
            ("mae", DOUBLE, "mean absolute error against the judge, points of 0-10", NULL),
            ("spearman", DOUBLE, "rank correlation with the judge; null when constant", NULL),
            ("judge_mae", DOUBLE, "the judge against its own repeat; null without", NULL),
            ("reliable", BOOLEAN, "within the thresholds; with too few rows, as the group"),
        ),
    ),
    "scores": Table(
        "every score ever given, append-only, one row per document version and student",
        _columns(
            DOC_ID,
            SOURCE,
            GROUP,
            BUCKET,
            CONTENT_HASH,
            N_TOKENS,
            STUDENT_ID,
            ("dimension_scores", ArrayType(SHORT, True), "thousandths, 0-10000, slot order", NULL),
            ("quality", SHORT, "thousandths of a point, 0-10000; null when quarantined", NULL),
            ("status", STRING, "scored or quarantined"),
            ("reason", STRING, "why it is quarantined", NULL),
            ("documents_version", LONG, "version of documents it was read from"),
            ("unit_id", STRING, "the unit of work that wrote it"),
            RUN_ID,
            ("scored_at", TIMESTAMP, "when the unit was scored"),
        ),
        clustered_by=("source", "bucket"),
        statistics=("doc_id", "source", "source_group", "bucket", "student_id", "quality"),
    ),
    "score_histogram": Table(
        "documents and tokens by quality, one row per scores version, student, source and quality",
        _columns(
            ("scores_version", LONG, "version of scores it was counted from"),
            ("documents_version", LONG, "version of documents the scores belong to"),
            STUDENT_ID,
            GROUP,
            SOURCE,
            ("quality", SHORT, "thousandths of a point; null: quarantined", NULL),
            ("documents", LONG, "documents with this quality"),
            ("tokens", LONG, "their tokens"),
        ),
    ),
    "selections": Table(
        "every selection made, one row each",
        _columns(
            SELECTION_ID,
            ("name", STRING, "the view is selected_<name>; the latest is also selected"),
            ("policy", STRING, "group, global or source"),
            ("settings", STRING, "the selection settings, JSON"),
            ("documents_version", LONG, "version of documents it selects from"),
            ("scores_version", LONG, "version of scores it was made from"),
            ("seed", LONG, "of the tie hash"),
            ("budget_tokens", LONG, "the most tokens it may hold"),
            ("selected_tokens", LONG, "the tokens it holds"),
            ("selected_documents", LONG, "the documents it holds"),
            ("created_at", TIMESTAMP, "when it was made"),
        ),
    ),
    "selection_cutoffs": Table(
        "where each source is cut, one row per selection and source",
        _columns(
            SELECTION_ID,
            GROUP,
            SOURCE,
            ("student_id", STRING, "the student whose scores count for this source"),
            ("quality_cut", SHORT, "documents above are in; at it, the tie decides"),
            ("tie_hash_cut", LONG, "last xxhash64(doc_id, seed) kept at the cut", NULL),
            ("tie_doc_id_cut", STRING, "last doc_id kept at that hash", NULL),
            ("kept_documents", LONG, "documents of the source that are in"),
            ("kept_tokens", LONG, "their tokens"),
            ("total_documents", LONG, "documents of the source, quarantined ones included"),
            ("total_tokens", LONG, "their tokens"),
        ),
    ),
    "runs": Table(
        "what was run, one row per step and run",
        _columns(
            RUN_ID,
            ("step", STRING, "the step, e.g. score_documents"),
            ("status", STRING, "running, done, degraded, stopped or failed"),
            ("started_at", TIMESTAMP, "when the step began"),
            ("finished_at", TIMESTAMP, "when it ended; null while it runs or when it died", NULL),
            ("settings_digest", STRING, "of the settings the step reads"),
            ("package_version", STRING, "of mira_spark"),
            ("inputs", STRING_MAP, "what decides the step's work: table to version, and the like"),
            ("rows_in", LONG, "rows considered", NULL),
            ("rows_out", LONG, "rows written", NULL),
            ("rows_rejected", LONG, "rows set aside with a reason", NULL),
            ("message", STRING, "what the step says it found or did", NULL),
        ),
    ),
}
