"""Folders of the program's own below the settings' folder: marked when made, removed by their mark.

The settings' folder may be one that holds other things, or links: nothing is removed but what lies
in a folder that this program made, in this very place.
"""

import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pyspark.sql import DataFrame

from mira_spark.errors import ConfigError
from mira_spark.lake.arrow_rows import arrow_table

_ROWS_AT_ONCE = 64
"""Of a text may be 20 MB."""
_MARK = ".made_by_mira_spark"


def own_folder(root: Path, kind: str, name: str) -> Path:
    """The absolute path `root/kind/name`; `root/kind` is made and marked, what is below it is not.

    ConfigError where `root/kind` is a link or holds files without the mark: then it is somebody
    else's.
    """
    home = root.absolute() / kind
    home.mkdir(parents=True, exist_ok=True)
    mark = home / _MARK
    if home.is_symlink() or not mark.is_file():
        if home.is_symlink() or any(home.iterdir()):
            raise ConfigError(
                f"{home}: is a link or holds files that mira_spark did not make, and what is in it "
                "would be overwritten: move it, or give another folder with --set folder=PATH"
            )
        mark.touch()
    return home / name


def remove(folder: Path) -> None:
    """Remove what is at a path of `own_folder`; nothing where nothing is.

    ConfigError when it is a link, or lies in no folder of ours.
    """
    if folder.is_symlink() or not (folder.parent / _MARK).is_file() or folder.name in ("", ".."):
        raise ConfigError(f"{folder}: was not made by mira_spark and is not removed")
    shutil.rmtree(folder, ignore_errors=True)


def write_shards(rows: DataFrame, folder: Path) -> None:
    """Write `rows`, in their order, as a Parquet file into a new or empty folder of the driver,
    which holds one partition of them at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    schema = arrow_table([], rows.schema).schema
    waiting: list[dict[str, Any]] = []
    with pq.ParquetWriter(folder / "rows.parquet", schema, compression="zstd") as file:
        for row in rows.toLocalIterator():
            waiting.append(row.asDict())
            if len(waiting) == _ROWS_AT_ONCE:
                file.write_table(arrow_table(waiting, rows.schema))
                waiting.clear()
        file.write_table(arrow_table(waiting, rows.schema))
