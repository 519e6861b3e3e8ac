"""Folders of files are the same to whoever reads them, below a path and below a URI."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from mira_spark.errors import ArtefactError, ConfigError, OutsideError
from mira_spark.judges import prompts
from mira_spark.lake import storage
from mira_spark.lake.storage import Root
from mira_spark.settings.root import load
from tests.object_store import BUCKET, object_store

FILES = {"config.json": b"{}", "manifest.json": b"whole", "model.bin": os.urandom(100_000)}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with object_store() as url:
        yield url


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))


@pytest.fixture(params=["path", "s3", "s3a"])
def root(request: pytest.FixtureRequest, url: str, tmp_path: Path) -> Root:
    if request.param == "path":
        return tmp_path / "a root"
    return f"{request.param}://{BUCKET}/{tmp_path.name}/a root"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "made").mkdir()
    for name, content in FILES.items():
        (tmp_path / "made" / name).write_bytes(content)
    return tmp_path / "made"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_folder_is_read_as_it_was_written(root: Root, folder: Path) -> None:
    place = storage.location(root, "students", "abc")
    storage.copy_folder(folder, place, "manifest.json")
    assert storage.has_file(f"{place}/manifest.json")
    with storage.local_copy(place, "abc") as copy:
        assert contents(copy) == FILES
    assert contents(folder) == FILES


def test_a_folder_that_lost_files_or_was_damaged_is_made_whole(root: Root, folder: Path) -> None:
    place = storage.location(root, "students", "abc")
    storage.copy_folder(folder, place, "manifest.json")
    storage.remove_file(f"{place}/config.json")
    storage.write_file(folder / "config.json", f"{place}/model.bin")
    storage.copy_folder(folder, place, "manifest.json")
    with storage.local_copy(place, "abc") as copy:
        assert contents(copy) == FILES


def test_only_the_files_that_are_asked_for_are_fetched(folder: Path, url: str) -> None:
    place = f"s3://{BUCKET}/some"
    storage.copy_folder(folder, place, "manifest.json")
    with storage.local_copy(place, "some", ("manifest.json",)) as copy:
        assert contents(copy) == {"manifest.json": b"whole"}
    with storage.local_copy(place, "some") as copy:
        assert contents(copy) == FILES


def test_a_machine_fetches_a_folder_once(folder: Path, url: str) -> None:
    place = f"s3://{BUCKET}/once"
    storage.copy_folder(folder, place, "manifest.json")
    copies: list[Path] = []

    def fetch() -> None:
        with storage.local_copy(place, "once") as copy:
            assert contents(copy) == FILES
            copies.append(copy)

    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in FILES:
        boto3.client("s3").delete_object(Bucket=BUCKET, Key=f"once/{name}")
    with storage.local_copy(place, "once", tuple(FILES)) as copy:
        copies.append(copy)
    assert len(copies) == 5
    assert len(set(copies)) == 1


def test_a_copy_that_proves_wrong_is_fetched_anew(folder: Path, url: str) -> None:
    place = f"s3://{BUCKET}/wrong"
    storage.copy_folder(folder, place, "manifest.json")

    def read_wrong() -> None:
        with storage.local_copy(place, "wrong") as copy:
            (copy / "model.bin").write_bytes(b"cut off")
            raise ArtefactError("its digest is another")

    with pytest.raises(ArtefactError):
        read_wrong()
    with storage.local_copy(place, "wrong") as copy:
        assert contents(copy) == FILES


def test_copies_used_least_recently_make_room(
    folder: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "CACHE_BYTES", 250_000)
    copies = []
    for name in "abc":
        storage.copy_folder(folder, f"s3://{BUCKET}/room/{name}", "manifest.json")
        with storage.local_copy(f"s3://{BUCKET}/room/{name}", name) as copy:
            os.utime(copy, (len(copies), len(copies)))
            copies.append(copy)
    assert [copy.exists() for copy in copies] == [False, True, True]


def test_a_copy_in_use_stays(folder: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "CACHE_BYTES", 1)
    for name in ("used", "next"):
        storage.copy_folder(folder, f"s3://{BUCKET}/{name}", "manifest.json")
    with (
        storage.local_copy(f"s3://{BUCKET}/used", "used") as used,
        storage.local_copy(f"s3://{BUCKET}/next", "next"),
    ):
        assert contents(used) == FILES


def test_a_file_that_is_not_there_is_said(root: Root, folder: Path) -> None:
    place = storage.location(root, "none")
    assert not storage.has_file(place)
    storage.remove_file(place)
    with pytest.raises(ArtefactError, match="cannot be read: it is not there"):
        storage.read_file(place)


def test_a_bucket_that_does_not_exist_is_refused(folder: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=r"s3://nobodys/x: .*NO_SUCH_BUCKET"):
        storage.write_file(folder / "config.json", "s3://nobodys/x")


def test_a_server_that_is_away_is_an_outage(
    folder: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(OutsideError, match=f"s3://{BUCKET}/x: "):
        storage.write_file(folder / "config.json", f"s3://{BUCKET}/x")


def test_settings_and_prompts_may_lie_below_a_uri(tmp_path: Path, url: str) -> None:
    said = tmp_path / "mira.yaml"
    said.write_text(
        f"corpus: {{input: table, path: t}}\njudge: {{prompts: 's3a://{BUCKET}/own'}}\n"
    )
    storage.write_file(said, f"s3://{BUCKET}/mira.yaml")
    settings = load(f"s3://{BUCKET}/mira.yaml")
    assert settings.judge.prompts == f"s3a://{BUCKET}/own"
    with pytest.raises(ConfigError) as caught:
        prompts.load(settings.judge.prompts)
    assert str(caught.value).splitlines() == [
        f"s3a://{BUCKET}/own/{name}: cannot be read: it is not there"
        for name in ("discover.txt", "label.txt")
    ]
    for name, text in (("discover.txt", "at most $limit"), ("label.txt", "by $rubric")):
        (tmp_path / name).write_text(text)
        storage.write_file(tmp_path / name, f"s3://{BUCKET}/own/{name}")
    own = prompts.load(settings.judge.prompts)
    assert (own.discover, own.label) == ("at most $limit", "by $rubric")
    assert own.merge == prompts.load().merge
    with pytest.raises(ConfigError, match=f"s3://{BUCKET}/none.yaml: cannot be read"):
        load(f"s3://{BUCKET}/none.yaml")
