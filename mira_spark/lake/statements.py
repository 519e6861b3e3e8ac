"""SQL that makes a table of ours, and how another differs from it."""

from pyspark.sql import DataFrame
from pyspark.sql.types import StructField

from mira_spark.lake.columns import Table


def quoted(text: str) -> str:
    """The text as a literal of SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _column_definition(field: StructField) -> str:
    null = "" if field.nullable else " NOT NULL"
    kind = field.dataType.simpleString()
    return f"{field.name} {kind}{null} COMMENT {quoted(field.metadata['comment'])}"


def create_statement(name: str, table: Table) -> str:
    """CREATE TABLE of a table of ours under this full name."""
    columns = ", ".join(_column_definition(field) for field in table.columns)
    properties = dict.fromkeys(
        ("delta.logRetentionDuration", "delta.deletedFileRetentionDuration"), "interval 90 days"
    )
    if table.statistics:
        properties["delta.dataSkippingStatsColumns"] = ",".join(table.statistics)
    listed = ", ".join(f"{quoted(k)} = {quoted(v)}" for k, v in properties.items())
    cluster = f" CLUSTER BY ({', '.join(table.clustered_by)})" if table.clustered_by else ""
    return (
        f"CREATE TABLE {name} ({columns}) USING delta{cluster} "
        f"COMMENT {quoted(table.comment)} TBLPROPERTIES ({listed})"
    )


def differences(name: str, table: Table, stored: DataFrame) -> list[str]:
    """In what the columns `stored` differ from this table's: missing, unknown, of another type; a
    line each, none when they are the same."""
    have = {field.name: field.dataType.simpleString() for field in stored.schema}
    want = {field.name: field.dataType.simpleString() for field in table.columns}
    wrong = [f"{name}: column {c} ({want[c]}) is missing" for c in want if c not in have]
    wrong += [f"{name}: column {c} is not one of ours" for c in have if c not in want]
    wrong += [
        f"{name}: column {c} is {have[c]}, should be {want[c]}"
        for c in want
        if c in have and have[c] != want[c]
    ]
    return wrong
