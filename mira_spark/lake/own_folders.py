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
from mira_spark.lake import storage
from mira_spark.lake.arrow_rows import arrow_table
from mira_spark.lake.storage import Root

_OTHERS = (
    "is a link or holds files that mira_spark did not make, and what is in it would be "
    "overwritten: move it, or give another folder with --set folder=PATH"
)
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
            raise ConfigError(f"{home}: {_OTHERS}")
        mark.touch()
    return home / name


def shared_folder(root: Root, kind: str, name: str) -> Root:
    """As `own_folder`, below a root that may be a URI."""
    if isinstance(root, Path):
        return own_folder(root, kind, name)
    home = storage.location(root, kind)
    if not storage.has_file(f"{home}/{_MARK}"):
        if storage.file_names(home):
            raise ConfigError(f"{home}: {_OTHERS}")
        storage.write_content(b"", f"{home}/{_MARK}")
    return f"{home}/{name}"


def remove(folder: Root) -> None:
    """Remove what is at a path of `own_folder`, or a path or URI of `shared_folder`; nothing where
    nothing is.

    ConfigError when it is a link, or lies in no folder of ours.
    """
    if isinstance(folder, Path):
        is_ours = not folder.is_symlink() and (folder.parent / _MARK).is_file()
        is_ours = is_ours and folder.name not in ("", "..")
    else:
        is_ours = storage.has_file(f"{folder.rpartition('/')[0]}/{_MARK}")
    if not is_ours:
        raise ConfigError(f"{folder}: was not made by mira_spark and is not removed")
    if isinstance(folder, Path):
        shutil.rmtree(folder, ignore_errors=True)
    else:
        storage.remove_folder(folder)


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
