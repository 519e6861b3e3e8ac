"""Twenty-five artefacts made to run code or to pass for another: each refused, nothing run."""

import hashlib
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from mira_spark.errors import ArtefactError
from mira_spark.scoring.scorer import Scorer, load_student
from mira_spark.students import artefact
from mira_spark.students.protocol import score
from tests.students.test_artefact import a_manifest, a_student, edited, sealed, sha256

Attack = Callable[[Path, bytes], str | None]
"""Changes the folder; gives the digest the attacker gets recorded, None: the true one stays."""


class Bomb:
    """Unpickling it makes the marker file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch '{self.marker}'",)


def put(name: str) -> Attack:
    """The pickle in a file of this name, the manifest sealed again."""

    def attack(folder: Path, bomb: bytes) -> str:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(bomb)
        return sealed(folder)

    return attack


def listed(name: str) -> Attack:
    """The pickle in an extra file that the manifest lists."""

    def attack(folder: Path, bomb: bytes) -> str:
        put(name)(folder, bomb)
        return sealed(folder, files=files(folder) | {name: sha256(folder / name)})

    return attack


def files(folder: Path) -> dict[str, str]:
    return {name: sha256(folder / name) for name in ("config.json", "model.safetensors")}


def config(**changes: object) -> Attack:
    def attack(folder: Path, bomb: bytes) -> str:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        return sealed(folder)

    return attack


def manifest(**changes: object) -> Attack:
    return lambda folder, bomb: sealed(folder, **changes)


def zipped_pickle(folder: Path, bomb: bytes) -> str:
    """What `torch.save` writes."""
    with zipfile.ZipFile(folder / "model.safetensors", "w") as archive:
        archive.writestr("archive/data.pkl", bomb)
    return sealed(folder)


def pickle_after_weights(folder: Path, bomb: bytes) -> str:
    edited(folder / "model.safetensors", lambda content: content + bomb)
    return sealed(folder)


def pickle_in_header(folder: Path, bomb: bytes) -> str:
    said = json.dumps({"__metadata__": {"pickle": bomb.hex()}}).encode()
    size = len(said).to_bytes(8, "little")
    edited(folder / "model.safetensors", lambda content: size + said + content)
    return sealed(folder)


def huge_header(folder: Path, bomb: bytes) -> str:
    edited(folder / "model.safetensors", lambda b: (1 << 62).to_bytes(8, "little") + b[8:])
    return sealed(folder)


def overlapping_tensors(folder: Path, bomb: bytes) -> str:
    edited(folder / "model.safetensors", lambda b: b.replace(b"[0,65536]", b"[0,65535]", 1))
    return sealed(folder)


def link_out(name: str) -> Attack:
    def attack(folder: Path, bomb: bytes) -> str:
        outside = folder.parent / "outside"
        outside.write_bytes((folder / name).read_bytes())
        (folder / name).unlink()
        (folder / name).symlink_to(outside)
        return sha256(folder / "manifest.json")

    return attack


def path_outside(folder: Path, bomb: bytes) -> str:
    (folder.parent / "evil.safetensors").write_bytes(bomb)
    return sealed(folder, files=files(folder) | {"../evil.safetensors": "0" * 64})


def other_weights(folder: Path, bomb: bytes) -> None:
    edited(folder / "model.safetensors", lambda content: content[:-1] + b"\x01")


def other_manifest(folder: Path, bomb: bytes) -> None:
    sealed(folder, labels_version=8)


ATTACKS: dict[str, Attack] = {
    "pickle as the weights": put("model.safetensors"),
    "pickle as the configuration": put("config.json"),
    "pickle as the manifest": lambda f, b: (f / "manifest.json").write_bytes(b) and sha256(
        f / "manifest.json"
    ),
    "pickle in torch's own file": zipped_pickle,
    "pickle behind the weights": pickle_after_weights,
    "pickle in the weights' header": pickle_in_header,
    "pickle beside the weights": put("pytorch_model.bin"),
    "pickle listed in the manifest": listed("data.pkl"),
    "pickled tokenizer": listed("tokenizer.pkl"),
    "pickle as tokenizer.json": listed("tokenizer.json"),
    "python_model.pkl of MLflow": put("python_model.pkl"),
    "MLmodel with a loader_module": put("MLmodel"),
    "loader_module in the configuration": config(loader_module="evil"),
    "auto_map in the configuration": config(auto_map={"AutoModel": "evil.Model"}),
    "a kind that names a class": config(kind="os.system"),
    "an encoder whose architecture brings code": config(
        kind="encoder", max_tokens=64, architecture={"model_type": "bert", "auto_map": {}}
    ),
    "code/ beside the weights": put("code/evil.py"),
    "a module beside the weights": put("modeling_evil.py"),
    "a path outside the folder": path_outside,
    "the weights are a link": link_out("model.safetensors"),
    "the manifest is a link": link_out("manifest.json"),
    "a huge header": huge_header,
    "tensors that overlap": overlapping_tensors,
    "a weight changed after registration": other_weights,
    "a manifest changed after registration": other_manifest,
}  # fmt: skip


def test_there_are_twenty_five() -> None:
    assert len(ATTACKS) == 25


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_artefact_is_refused_and_runs_nothing(name: str, tmp_path: Path) -> None:
    marker, folder = tmp_path / "marker", tmp_path / "student"
    digest = artefact.write(folder, a_student(), a_manifest())
    digest = ATTACKS[name](folder, pickle.dumps(Bomb(marker))) or digest
    with pytest.raises(ArtefactError) as caught:
        artefact.load(folder, digest)
    assert str(folder) in str(caught.value) or "config.json" in str(caught.value)
    assert not marker.exists()


def test_the_bomb_works() -> None:
    """What the other tests look for would be there."""
    marker = Path(os.environ.get("TMPDIR", "/tmp")) / f"bomb-{os.getpid()}"
    pickle.loads(pickle.dumps(Bomb(marker)))
    assert marker.exists()
    marker.unlink()


def test_what_is_checked_is_what_is_used(tmp_path: Path) -> None:
    """An artefact swapped after its check: the student has the weights that were checked."""
    folder = tmp_path / "student"
    digest = artefact.write(folder, a_student(), a_manifest())
    student, _ = artefact.load(folder, digest)
    texts = pa.array(["some text"])
    before = score(student, texts)
    replaced = (folder / "model.safetensors").read_bytes()[:-4] + b"\x00\x00\x80\x7f"
    (folder / "swapped").write_bytes(replaced)
    (folder / "swapped").replace(folder / "model.safetensors")
    assert (score(student, texts) == before).all()
    with pytest.raises(ArtefactError, match="SHA-256 is"):
        artefact.load(folder, digest)


def test_a_scorer_names_a_digest_so_a_moved_alias_changes_nothing(tmp_path: Path) -> None:
    first = artefact.write(tmp_path / "one", a_student(), a_manifest())
    other = a_manifest().model_copy(update={"labels_version": 9})
    artefact.write(tmp_path / "two", a_student(), other)
    with pytest.raises(ArtefactError, match="expected"):
        load_student(Scorer("mira_group_a/2", str(tmp_path / "two"), first))


def test_hashes_are_of_files_not_of_names(tmp_path: Path) -> None:
    digest = artefact.write(tmp_path / "a", a_student(), a_manifest())
    assert digest == hashlib.sha256((tmp_path / "a" / "manifest.json").read_bytes()).hexdigest()


def test_weights_that_change_after_they_were_verified_are_not_used(tmp_path: Path) -> None:
    digest = artefact.write(tmp_path / "one", a_student(), a_manifest())
    student, _ = artefact.load(tmp_path / "one", digest)
    texts = pa.array(["a text of some words"])
    before = score(student, texts)
    with (tmp_path / "one" / artefact.MODEL).open("r+b") as file:  # in place, as a copy over it
        size = file.seek(0, 2)
        file.seek(4_096)
        file.write(bytes([63]) * (size - 4_096))
    assert score(student, texts).tolist() == before.tolist()
