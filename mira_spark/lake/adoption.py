"""A local lake that was copied or moved. Its catalog names every table by the path of the folder it
was made in, so that a copy would write into the original. Such a folder is refused until it is
adopted: then what it holds is its own, and nothing of the other folder is touched.
"""

import contextlib
import json
import os
import re
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyspark
from pyspark.sql import SparkSession, functions as F

from mira_spark.errors import ConfigError, InputError, MiraError
from mira_spark.lake.tables import Lakehouse

RECORD = "lake.json"
METASTORE = (("DBS", "DB_LOCATION_URI"), ("SDS", "LOCATION"), ("SERDE_PARAMS", "PARAM_VALUE"))
"""Tables and columns of Hive's metastore that hold paths of tables."""
MLFLOW = ("artifact_location", "artifact_uri", "source", "storage_location")
"""Columns of MLflow's database that hold paths of artefacts."""


def check_record(folder: Path) -> None:
    """ConfigError when the lake in `folder` says that it was made elsewhere."""
    path = _record(folder).get("path")
    if path is not None and Path(path).resolve() != folder.resolve():
        raise _elsewhere(folder, path)


def check_tables(spark: SparkSession, folder: Path) -> None:
    """ConfigError when the catalog of the lake in `folder` has its tables elsewhere; else the lake
    says from now on where it was made."""
    for schema in spark.catalog.listDatabases():
        path = Path(unquote(urlsplit(schema.locationUri).path))
        if schema.name != "default" and not path.resolve().is_relative_to(folder.resolve()):
            raise _elsewhere(folder, str(path))
    if "path" not in _record(folder):
        _write_record(folder, {"path": str(folder)})


def adopt(folder: Path) -> str | None:
    """Make what lies in `folder` its own, in the catalog and in MLflow's database; the path it had
    before, or None when it is where it was made. `finish` does the rest.

    Nobody may have the folder open. It can be repeated where it was interrupted.
    """
    if not (folder / "metastore").is_dir():
        raise InputError(f"{folder} holds no lake: name its folder with --set folder=PATH")
    old = _record(folder).get("path") or _path_in_metastore(folder)
    if Path(old).resolve() == folder.resolve():
        return None
    _write_record(folder, {"path": old})
    _rewrite_metastore(folder, old)
    if (folder / "mlflow.db").exists():
        _rewrite_mlflow(folder, old)
    _write_record(folder, {"path": str(folder), "adopted_from": old})
    return old


def finish(spark: SparkSession, folder: Path) -> None:
    """The second half of `adopt`, which needs Spark: in every schema the rows of `students` then
    name the artefacts in `folder`. Nothing is done where no adoption was begun."""
    old = _record(folder).get("adopted_from")
    if old is None:
        return
    for schema in spark.catalog.listDatabases():
        lake = Lakehouse(spark, schema.name)
        if spark.catalog.tableExists(lake.name("students")):
            uri = F.col("artefact_uri")
            moved = F.concat(
                F.lit(str(folder)), F.substring(uri, F.lit(len(old) + 1), F.length(uri))
            )
            lake.update("students", uri.startswith(f"{old}/"), {"artefact_uri": moved})
    _write_record(folder, {"path": str(folder)})


def _elsewhere(folder: Path, path: str) -> ConfigError:
    return ConfigError(
        f"{folder} is a copy of a lake, or was moved: its tables are those in {path}. "
        f"mira doctor --adopt --set folder={folder} makes it a lake of its own"
    )


def _record(folder: Path) -> dict[str, str]:
    try:
        return dict(json.loads((folder / RECORD).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ConfigError(f"{folder / RECORD} is damaged: remove it, then try again") from error


def _write_record(folder: Path, record: dict[str, str]) -> None:
    new = folder / f"{RECORD}.new"
    new.write_text(json.dumps(record) + "\n", encoding="utf-8")
    new.replace(folder / RECORD)


def _path_in_metastore(folder: Path) -> str:
    output = _derby(folder, ["SELECT DB_LOCATION_URI FROM APP.DBS WHERE NAME = 'default'"])
    location = re.search(r"file:(/.*?)/warehouse\s", output)
    if location is None:
        raise MiraError(
            f"{folder / 'metastore'} does not say where its tables lie: copy the whole folder again"
        )
    return location[1]


def _move_clauses(column: str, before: str, after: str) -> str:
    """The clauses of an UPDATE that moves a path from below `before` to below `after`, once."""
    quoted = {path: "'" + path.replace("'", "''") + "'" for path in (before, after)}
    clauses = (
        f"SET {column} = {quoted[after]} || SUBSTR({column}, {len(before) + 1}) "
        f"WHERE SUBSTR({column}, 1, {len(before)}) = {quoted[before]}"
    )
    if after.startswith(before):  # what was moved still begins so
        clauses += f" AND SUBSTR({column}, 1, {len(after)}) <> {quoted[after]}"
    return clauses


def _rewrite_metastore(folder: Path, old: str) -> None:
    paths = (f"file:{old}/", f"file:{folder}/")
    _derby(folder, [f"UPDATE APP.{t} {_move_clauses(c, *paths)}" for t, c in METASTORE])


def _derby(folder: Path, statements: list[str]) -> str:
    """What Derby answers to statements over the folder's catalog, done all or not at all."""
    jars = Path(os.environ.get("SPARK_HOME") or Path(pyspark.__file__).parent) / "jars"
    java = Path(home) / "bin" / "java" if (home := os.environ.get("JAVA_HOME")) else "java"
    lines = [f"CONNECT 'jdbc:derby:{folder}/metastore'", "AUTOCOMMIT OFF", *statements, "COMMIT"]
    with tempfile.NamedTemporaryFile("w", suffix=".sql", encoding="utf-8") as script:
        script.write("\n".join(f"{line};" for line in (*lines, "DISCONNECT", "EXIT")))
        script.flush()
        options = ("-Dij.exceptionTrace=false", f"-Dderby.stream.error.file={folder}/derby.log")
        tool = ("-cp", str(jars / "*"), "org.apache.derby.tools.ij", script.name)
        command = [str(java), *options, *tool]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode or re.search(r"^(ERROR|IJ ERROR)", ended.stdout, re.MULTILINE):
        raise MiraError(f"{folder / 'metastore'} cannot be changed: {ended.stdout.strip()[-500:]}")
    return ended.stdout


def _rewrite_mlflow(folder: Path, old: str) -> None:
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        for table, column in _path_columns(database):
            for paths in (
                (f"{old}/", f"{folder}/"),
                (f"{Path(old).as_uri()}/", f"{folder.as_uri()}/"),
            ):
                database.execute(f"UPDATE {table} {_move_clauses(column, *paths)}")


def _path_columns(database: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (table,) in tables:
        for _, column, *_ in database.execute(f"PRAGMA table_info({table})").fetchall():
            if column in MLFLOW:
                yield table, column
