"""What became of every row and file of an input is checked where it is read."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from mira_spark.corpus.accounts import check_complete
from mira_spark.corpus.documents import in_our_columns
from mira_spark.corpus.input_rows import InputRows, NamedInput, read_input
from mira_spark.errors import ReconciliationError
from mira_spark.settings.corpus import InputSettings


def written(folder: Path, **rows: list[str]) -> Path:
    """A folder with a Parquet file for each name."""
    folder.mkdir()
    for name, texts in rows.items():
        table = pa.table({"text": pa.array(texts, pa.string())})
        pq.write_table(table, folder / f"{name}.parquet")
    return folder


def read(spark: SparkSession, folder: Path) -> InputRows:
    """The folder's rows as those of an input called web."""
    columns = {"text": "text"}
    chosen = InputSettings.model_validate(
        {
            "name": "web",
            "format": "parquet",
            "path": str(folder),
            "source": "web",
            "columns": columns,
        }
    )
    return read_input(spark, NamedInput(chosen, "corpus.inputs.web"))


def test_files_without_rows_are_complete(spark: SparkSession, tmp_path: Path) -> None:
    rows = read(spark, written(tmp_path / "in", a=["x", "y"], b=["z"], none=[]))
    check_complete(in_our_columns(rows.rows, 100), [rows])
    assert (rows.files, rows.files_with_rows()) == (3, 2)


def test_a_file_whose_rows_did_not_come_is_no_success(spark: SparkSession, tmp_path: Path) -> None:
    """Even where the number of rows is right."""
    rows = read(spark, written(tmp_path / "in", a=["x", "y"], b=["z"], none=[]))
    others = in_our_columns(rows.rows, 100).filter("read_from LIKE '%/a.parquet'")
    doubled = others.unionByName(others.limit(1))
    with pytest.raises(ReconciliationError) as error:
        check_complete(doubled, [rows])
    assert str(error.value) == (
        "web: 2 of its files hold rows and 1 of them were read: it changed meanwhile; run the "
        "command again"
    )


def test_a_platform_that_ignores_damage_loses_no_file(spark: SparkSession, tmp_path: Path) -> None:
    """`spark.sql.files.ignoreCorruptFiles` and `ignoreMissingFiles` hold for other readers."""
    folder = written(tmp_path / "in", a=["x", "y"], b=["z"])
    names = ("spark.sql.files.ignoreCorruptFiles", "spark.sql.files.ignoreMissingFiles")
    for name in names:
        spark.conf.set(name, "true")
    try:
        rows = read(spark, folder)
        os.remove(folder / "b.parquet")
        with pytest.raises(Exception, match=r"b\.parquet"):
            rows.rows.select("text").collect()
    finally:
        for name in names:
            spark.conf.unset(name)
