"""The tables of near-duplicates: what texts are found by, pairs compared, documents that repeat."""

from pyspark.sql.types import ArrayType

from mira_spark.lake.columns import (
    BINARY,
    CONTENT_HASH,
    DOC_ID,
    DOUBLE,
    LONG,
    STRING,
    Table,
    columns,
)

_HASHED_BY = (
    "hashed_by",
    STRING,
    "digest of what decides shingles and bands; rows of another are removed",
)

DUPLICATE_TABLES: dict[str, Table] = {
    "text_bands": Table(
        "by what near texts are found, one row per text there is",
        columns(
            CONTENT_HASH,
            _HASHED_BY,
            ("bands", ArrayType(LONG), "MinHash by bands: near texts share one or more"),
        ),
        key=("content_hash",),
    ),
    "near_pairs": Table(
        "pairs of texts that were compared, near or not, one row per pair of texts there are",
        columns(
            ("earlier", BINARY, "the lesser content_hash of the two"),
            ("later", BINARY, "the greater content_hash"),
            _HASHED_BY,
            ("similarity", DOUBLE, "Jaccard similarity of their shingles, exact, 0 to 1"),
        ),
        key=("earlier", "later"),
    ),
    "near_duplicates": Table(
        "documents that another one stands for, one row each; a representative has no row",
        columns(
            DOC_ID,
            CONTENT_HASH,
            ("representative", STRING, "doc_id of the document that stands for it, near it"),
            ("similarity", DOUBLE, "Jaccard similarity to it, at least duplicates.similarity to 1"),
        ),
        key=("doc_id",),
        statistics=("doc_id", "representative"),
    ),
}
