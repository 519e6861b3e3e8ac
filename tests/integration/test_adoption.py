"""A lake that was copied or moved: refused, then adopted; the original is never touched."""

import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from mira_spark.errors import ConfigError, InputError
from mira_spark.lake import adoption
from tests import scoring_lake

MIRA = str(Path(sys.executable).parent / "mira")


def mira(folder: Path, *command: str) -> tuple[int, str]:
    """Exit code and output of a command over the lake in the folder."""
    options = ("--config", str(folder / "lake.yaml"), "--set", f"folder={folder}")
    own = ("--set", "registry.tracking_uri=null", "--set", "local_memory=1g")
    arguments = [MIRA, *command, *options, *own]
    ended = subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=False)
    return ended.returncode, " ".join((ended.stdout + ended.stderr).split())


def digests(folder: Path) -> dict[str, str]:
    """The content of every file, by its path; but for Spark's, which Java removes when it ends."""
    parts = (part for part in folder.iterdir() if part.name != "spark")
    files = sorted(path for part in parts for path in [part, *part.rglob("*")] if path.is_file())
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of eight documents without scores, as an earlier version left it: it does not say
    where it was made."""
    folder = tmp_path_factory.mktemp("original") / "a lake"
    command = [sys.executable, "-m", "tests.scoring_lake", str(folder), "8", "2", "1"]
    subprocess.run(command, capture_output=True, text=True, check=True)
    return folder


@pytest.mark.long
def test_a_copied_lake_is_refused_then_works_on_its_own_files_alone(
    original: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "a copy"
    shutil.copytree(original, copy, ignore=shutil.ignore_patterns("spark"))
    before = digests(original)
    code, said = mira(copy, "score-documents")
    assert (code, said) == (
        2,
        f"ConfigError: {copy} is a copy of a lake, or was moved: its tables are those in "
        f"{original}/warehouse/drill.db. mira doctor --adopt --set folder={copy} makes it a lake "
        "of its own",
    )
    code, said = mira(copy, "doctor", "--adopt")
    assert (code, said) == (
        0,
        f"{copy} was {original}: its tables and artefacts are its own now "
        "every document is there once",
    )
    shutil.move(original, tmp_path / "elsewhere")  # whatever reached for it would fail
    code, said = mira(copy, "score-documents")
    assert code == 0, said
    assert "8 documents scored in 4 units" in said
    shutil.move(tmp_path / "elsewhere", original)
    assert digests(original) == before
    assert len(scoring_lake.stored(copy)) == 8
    assert str(original) not in (copy / "mlflow.db").read_bytes().decode("latin-1")
    moved = tmp_path / "moved"
    copy.rename(moved)
    code, said = mira(moved, "status")
    assert (code, said) == (
        2,
        f"ConfigError: {moved} is a copy of a lake, or was moved: its tables are those in {copy}. "
        f"mira doctor --adopt --set folder={moved} makes it a lake of its own",
    )


def test_a_lake_that_was_made_in_another_folder_is_refused(tmp_path: Path) -> None:
    moved, before = tmp_path / "moved", tmp_path / "before"
    moved.mkdir()
    adoption._write_record(moved, {"path": str(before)})
    with pytest.raises(ConfigError) as refused:
        adoption.check_record(moved)
    assert str(refused.value) == (
        f"{moved} is a copy of a lake, or was moved: its tables are those in {before}. "
        f"mira doctor --adopt --set folder={moved} makes it a lake of its own"
    )


def test_a_folder_reached_by_another_name_is_the_same_lake(tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    (tmp_path / "name").symlink_to(tmp_path / "lake")
    adoption._write_record(tmp_path / "lake", {"path": str(tmp_path / "lake")})
    adoption.check_record(tmp_path / "name")
    with pytest.raises(InputError, match="lake holds no lake"):
        adoption.adopt(tmp_path / "lake")


def test_a_damaged_record_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / adoption.RECORD).write_text("{")
    with pytest.raises(ConfigError) as damaged:
        adoption.check_record(tmp_path)
    assert str(damaged.value) == (
        f"{tmp_path / adoption.RECORD} is damaged: remove it, then try again"
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [("here", "there"), ("here", "here/lake"), ("here", "here2"), ("here/lake", "here")],
)
def test_paths_in_mlflow_are_rewritten_once(tmp_path: Path, before: str, after: str) -> None:
    """Also where one folder's path begins like the other's, and when it is done again."""
    old, new = tmp_path / before, tmp_path / after
    new.mkdir(parents=True)
    with sqlite3.connect(new / "mlflow.db") as database:
        database.execute("CREATE TABLE experiments (name TEXT, artifact_location TEXT)")
        values = [f"{old}/mlartifacts", f"file://{old}/mlartifacts", f"{old}more/x", "models:/m-1"]
        rows = [(json.dumps([old.name]), value) for value in values]
        database.executemany("INSERT INTO experiments VALUES (?, ?)", rows)
    for _ in range(2):
        adoption._rewrite_mlflow(new, str(old))
    with sqlite3.connect(new / "mlflow.db") as database:
        found = [row[0] for row in database.execute("SELECT artifact_location FROM experiments")]
    assert found == [
        f"{new}/mlartifacts",
        f"file://{new}/mlartifacts",
        f"{old}more/x",
        "models:/m-1",
    ]
