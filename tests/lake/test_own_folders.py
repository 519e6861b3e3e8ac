"""Nothing is removed that the program did not make, in the very place where it made it."""

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from mira_spark.errors import ConfigError
from mira_spark.lake import storage
from mira_spark.lake.own_folders import own_folder, remove, shared_folder
from tests.object_store import BUCKET, object_store


def test_a_folder_of_ours_is_removed_and_its_neighbours_stay(tmp_path: Path) -> None:
    folder, other = (own_folder(tmp_path, "staging", name) for name in ("group_a", "group_b"))
    for each in (folder, other):
        each.mkdir()
        (each / "part").write_text("x")
    remove(folder)
    remove(folder)
    assert not folder.exists()
    assert (other / "part").is_file()


def test_a_folder_that_holds_files_of_others_is_refused_and_left(tmp_path: Path) -> None:
    (tmp_path / "staging" / "corpus").mkdir(parents=True)
    (tmp_path / "staging" / "corpus" / "thesis").write_text("x")
    with pytest.raises(ConfigError) as caught:
        own_folder(tmp_path, "staging", "corpus")
    assert str(caught.value) == (
        f"{tmp_path}/staging: is a link or holds files that mira_spark did not make, and what is "
        "in it would be overwritten: move it, or give another folder with --set folder=PATH"
    )
    with pytest.raises(ConfigError, match="was not made by mira_spark and is not removed"):
        remove(tmp_path / "staging" / "corpus")
    assert (tmp_path / "staging" / "corpus" / "thesis").is_file()


@settings(max_examples=500, deadline=None)
@given(
    links=st.sets(st.sampled_from(["staging", "staging/group_a"]), min_size=1),
    outside=st.sampled_from(["data", "root/data"]),
)
def test_no_link_leads_out(links: set[str], outside: str) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary)
        target = base / outside
        (target / "group_a").mkdir(parents=True)
        (target / "group_a" / "thesis").write_text("x")
        root = base / "root"
        if "staging" in links:
            root.mkdir(exist_ok=True)
            (root / "staging").symlink_to(target)
            with pytest.raises(ConfigError):
                own_folder(root, "staging", "group_a")
        else:
            folder = own_folder(root, "staging", "group_a")
            folder.symlink_to(target / "group_a")
            with pytest.raises(ConfigError):
                remove(folder)
        assert (target / "group_a" / "thesis").is_file()


@settings(max_examples=500, deadline=None)
@given(name=st.text("ab./_", max_size=12))
def test_what_lies_in_no_folder_of_ours_stays(name: str) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "root"
        thesis = Path(temporary) / "thesis"
        thesis.mkdir()
        home = own_folder(root, "staging", "x").parent
        with contextlib.suppress(ConfigError):
            remove(home / name)
        assert thesis.is_dir()
        assert root.is_dir()
        assert home.is_dir()


def test_below_a_uri_only_what_is_ours_is_removed(tmp_path: Path) -> None:
    with object_store():
        root = f"s3://{BUCKET}/{tmp_path.name}"
        storage.write_content(b"x", f"{root}/staging/thesis")
        with pytest.raises(ConfigError, match="holds files that mira_spark did not make"):
            shared_folder(root, "staging", "group_a")
        with pytest.raises(ConfigError, match="was not made by mira_spark and is not removed"):
            remove(f"{root}/staging/thesis")
        folder, other = (shared_folder(root, "checkpoints", name) for name in ("a", "b"))
        for each in (folder, other):
            storage.write_content(b"x", f"{each}/one/part")
        remove(folder)
        remove(folder)
        assert storage.file_names(f"{root}/checkpoints") == [".made_by_mira_spark", "b"]
        assert storage.read_file(f"{other}/one/part") == b"x"
        assert storage.read_file(f"{root}/staging/thesis") == b"x"
