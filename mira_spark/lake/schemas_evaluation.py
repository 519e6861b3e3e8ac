"""The tables of test data in documents."""

from mira_spark.lake.columns import (
    CONTENT_HASH,
    DOC_ID,
    DOUBLE,
    INT,
    LONG,
    RUN_ID,
    STRING,
    TIMESTAMP,
    Table,
    columns,
)

_ITEM_SET = ("item_set", STRING, "the evaluation set, as evaluation.sets names it")
_ITEMS_DIGEST = ("items_digest", STRING, "of the set's items and of how they are looked for")

EVALUATION_TABLES: dict[str, Table] = {
    "contaminated": Table(
        "documents that hold test data, one row per document and item; of one set and document the "
        "100 items of which it holds the largest share",
        columns(
            DOC_ID,
            CONTENT_HASH,
            _ITEM_SET,
            ("item_column", STRING, "the column of the set that the item's text is in"),
            ("item_id", STRING, "the set's id of the item; else as doc_id, of set and text"),
            ("position", LONG, "the character of the document at which the first n-gram begins"),
            ("matches", INT, "distinct n-grams of the item that the document holds"),
            ("share", DOUBLE, "what these are of the item's n-grams, above 0 to 1"),
            ("items", INT, "items of the set that the document holds"),
            _ITEMS_DIGEST,
            RUN_ID,
        ),
        key=("doc_id", "content_hash", "item_set", "item_column", "item_id"),
    ),
    "contamination_checks": Table(
        "what documents were looked through for, one row per evaluation set; the latest run's",
        columns(
            _ITEM_SET,
            ("settings_digest", STRING, "of what the settings say of the set"),
            _ITEMS_DIGEST,
            ("items", LONG, "items that were looked for"),
            ("documents_id", STRING, "Delta's id of the table documents"),
            ("documents_version", LONG, "the version of documents that was looked through"),
            ("documents_commit", STRING, "digest of the commit that made it"),
            ("contaminated_id", STRING, "Delta's id of the table contaminated"),
            ("contaminated_version", LONG, "the version of contaminated that has what was found"),
            ("contaminated_commit", STRING, "digest of the commit that made it"),
            RUN_ID,
            ("checked_at", TIMESTAMP, "when the run ended"),
        ),
    ),
}
