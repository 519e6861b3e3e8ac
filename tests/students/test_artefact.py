"""An artefact is loaded whole and as written, or not at all."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import load_file

from mira_spark.errors import ArtefactError
from mira_spark.students.artefact import Manifest, load, read_manifest, write
from mira_spark.students.calibration import IDENTITY, Curve
from mira_spark.students.hashing import SHAPE
from mira_spark.students.linear import LinearStudent
from mira_spark.students.protocol import score
from tests.quality_tables import a_table

BITS, SLOTS = 10, 3
TEXTS = pa.array(["def f():\n    return 1\n", "", "some prose, quoted.", None])


def a_student() -> LinearStudent:
    random = np.random.default_rng(5)
    shapes = ((1 << BITS, 16), (len(SHAPE), 16), (len(SHAPE),), (len(SHAPE),), (16,))
    return LinearStudent(SLOTS, *(random.random(shape, np.float32) + 0.5 for shape in shapes))


def a_manifest(slots: int = SLOTS) -> Manifest:
    return Manifest(
        rubric_id="abc",
        source_group="group_a",
        anchors=tuple(f"anchor {slot}" for slot in range(slots)),
        calibration=(Curve(x=(0.1, 1 / 3), y=(10, 9999)),) + (IDENTITY,) * (slots - 1),
        quality=a_table(
            (True,) * slots,
            {"source é": (True, False, True, True, True)[:slots], "b": (True,) * slots},
        ),
        labels_version=7,
        package_version="0.1.0",
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "student"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sealed(folder: Path, **changes: object) -> str:
    """Make the manifest agree with the files again, as an attacker would, and give its digest."""
    path = folder / "manifest.json"
    content = json.loads(path.read_text()) | changes
    if "files" not in changes:
        content["files"] = {
            name: sha256(folder / name) for name in ("config.json", "model.safetensors")
        }
    path.write_text(json.dumps(content))
    return sha256(path)


def edited(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def refusal(folder: Path, digest: str) -> str:
    with pytest.raises(ArtefactError) as caught:
        load(folder, digest)
    return str(caught.value).replace(str(folder), "F")


def test_a_student_comes_back_as_it_was_written(folder: Path) -> None:
    student, manifest = a_student(), a_manifest()
    digest = write(folder, student, manifest)
    again, its_manifest = load(folder, digest)
    np.testing.assert_array_equal(score(again, TEXTS), score(student, TEXTS))
    for name in ("table", "shape_weights", "shape_centre", "shape_scale", "bias"):
        np.testing.assert_array_equal(getattr(again, name), getattr(student, name))
    assert (again.kind, again.bits, again.slots) == ("linear", BITS, SLOTS)
    assert its_manifest == read_manifest(folder)
    assert its_manifest.model_copy(update={"files": {}}) == manifest
    assert digest == sha256(folder / "manifest.json")
    assert sorted(os.listdir(folder)) == ["config.json", "manifest.json", "model.safetensors"]


def test_the_same_student_is_the_same_bytes(tmp_path: Path) -> None:
    digests = {write(tmp_path / name, a_student(), a_manifest()) for name in "ab"}
    assert len(digests) == 1
    for name in ("config.json", "model.safetensors", "manifest.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_digest_tells_students_and_manifests_apart(tmp_path: Path) -> None:
    student = a_student()
    other = LinearStudent(
        SLOTS, student.table, student.shape_weights, student.shape_centre, student.shape_scale,
        np.nextafter(student.bias, np.float32(9)),
    )  # fmt: skip
    digests = {
        write(tmp_path / "a", student, a_manifest()),
        write(tmp_path / "b", other, a_manifest()),
        write(tmp_path / "c", student, a_manifest().model_copy(update={"labels_version": 8})),
    }
    assert len(digests) == 3


def test_weights_are_read_only_and_start_on_a_cache_line(folder: Path) -> None:
    student, _ = load(folder, write(folder, a_student(), a_manifest()))
    assert student.table.ctypes.data % 64 == 0
    assert not student.table.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        student.table[0, 0] = 1


def test_the_weights_are_a_safetensors_file_others_can_read(folder: Path) -> None:
    student = a_student()
    write(folder, student, a_manifest())
    tensors = load_file(folder / "model.safetensors")
    assert sorted(tensors) == ["bias", "shape_centre", "shape_scale", "shape_weights", "table"]
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(tensor, getattr(student, name))


def test_nothing_is_written_over(folder: Path) -> None:
    write(folder, a_student(), a_manifest())
    with pytest.raises(ArtefactError) as caught:
        write(folder, a_student(), a_manifest())
    assert str(caught.value) == (
        f"{folder}: found config.json, manifest.json, model.safetensors, expected an empty folder"
    )


def test_a_manifest_for_other_slots_is_not_written(folder: Path) -> None:
    with pytest.raises(ArtefactError) as caught:
        write(folder, a_student(), a_manifest(slots=2))
    assert str(caught.value).replace(str(folder), "F") == (
        "F/manifest.json: anchors has 2 slots, expected 3\n"
        "F/manifest.json: calibration has 2 slots, expected 3\n"
        "F/manifest.json: quality.weights has 2 slots, expected 3\n"
        "F/manifest.json: quality.group has 2 slots, expected 3\n"
        "F/manifest.json: quality.b has 2 slots, expected 3\n"
        "F/manifest.json: quality.source é has 2 slots, expected 3"
    )
    assert os.listdir(folder) == []


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "manifest.json"])
def test_one_flipped_bit_anywhere_is_refused(folder: Path, name: str) -> None:
    digest = write(folder, a_student(), a_manifest())
    size = (folder / name).stat().st_size
    for at in (0, size // 2, size - 1):
        good = (folder / name).read_bytes()
        edited(folder / name, lambda b, at=at: b[:at] + bytes([b[at] ^ 1]) + b[at + 1 :])
        expected = digest if name == "manifest.json" else read_manifest(folder).files[name]
        assert refusal(folder, digest) == (
            f"F/{name}: SHA-256 is {sha256(folder / name)}, expected {expected}"
        )
        (folder / name).write_bytes(good)


def test_an_empty_weights_file_is_refused(folder: Path) -> None:
    digest = write(folder, a_student(), a_manifest())
    (folder / "model.safetensors").write_bytes(b"")
    assert refusal(folder, digest) == (
        f"F/model.safetensors: SHA-256 is {hashlib.sha256().hexdigest()}, "
        f"expected {read_manifest(folder).files['model.safetensors']}"
    )


def test_another_students_digest_is_refused(folder: Path) -> None:
    digest = write(folder, a_student(), a_manifest())
    assert refusal(folder, "0" * 64) == (
        f"F/manifest.json: SHA-256 is {digest}, expected {'0' * 64}"
    )


def test_missing_extra_and_linked_files_are_named_together(folder: Path) -> None:
    digest = write(folder, a_student(), a_manifest())
    (folder / "config.json").unlink()
    (folder / "code.py").write_text("raise SystemExit")
    (folder / ".hidden").write_text("")
    (folder / "tokenizer").mkdir()
    (folder / "model.safetensors").rename(folder.parent / "elsewhere")
    (folder / "model.safetensors").symlink_to(folder.parent / "elsewhere")
    only = "expected only config.json, manifest.json, model.safetensors"
    assert refusal(folder, digest) == (
        "F/config.json: is missing\n"
        f"F/.hidden: is extra, {only}\n"
        f"F/code.py: is extra, {only}\n"
        "F/model.safetensors: is a symbolic link, expected a plain file\n"
        f"F/tokenizer: is extra, {only}"
    )


def test_no_link_is_followed_even_where_the_names_were_not_looked_at(folder: Path) -> None:
    """As when a file is swapped for a link between the look at the folder and the opening."""
    digest = write(folder, a_student(), a_manifest())
    (folder / "manifest.json").rename(folder.parent / "elsewhere")
    (folder / "manifest.json").symlink_to(folder.parent / "elsewhere")
    with pytest.raises(ArtefactError, match=r"manifest\.json: cannot be read"):
        read_manifest(folder, digest)


def test_a_folder_in_a_files_place_and_no_folder_at_all_are_refused(folder: Path) -> None:
    files = "config.json, manifest.json, model.safetensors"
    assert refusal(folder, "") == f"F: is no folder, expected one with {files}"
    digest = write(folder, a_student(), a_manifest())
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()
    assert refusal(folder, digest) == "F/config.json: is no file, expected a plain file"
    shutil.rmtree(folder / "config.json")
    os.mkfifo(folder / "config.json")
    assert refusal(folder, digest) == "F/config.json: is no file, expected a plain file"


@pytest.mark.parametrize(
    "files",
    [{}, {"config.json": "0"}, {"../config.json": "0", "model.safetensors": "0"},
     {"config.json": "0", "model.safetensors": "0", "/etc/passwd": "0"}],
)  # fmt: skip
def test_a_manifest_names_exactly_the_two_other_files(folder: Path, files: dict[str, str]) -> None:
    write(folder, a_student(), a_manifest())
    assert refusal(folder, sealed(folder, files=files)) == (
        f"F/manifest.json: files are {', '.join(sorted(files)) or 'none'}, "
        "expected config.json, model.safetensors"
    )


def test_an_unknown_kind_is_refused(folder: Path) -> None:
    write(folder, a_student(), a_manifest())
    edited(folder / "config.json", lambda b: b.replace(b'"linear"', b'"pickle"'))
    assert refusal(folder, sealed(folder)).startswith(
        "F/config.json: content: Input tag 'pickle' found using 'kind' does not match any of the "
        "expected tags: 'linear', 'encoder', 'generative'"
    )


def test_features_hashed_by_another_version_are_refused(folder: Path) -> None:
    write(folder, a_student(), a_manifest())
    edited(folder / "config.json", lambda b: b.replace(b'_version": 2', b'_version": 1'))
    assert refusal(folder, sealed(folder)) == (
        "F/config.json: linear.hashing_version: Input should be 2, found '1'"
    )


def test_unknown_keys_and_wrong_types_in_the_configuration_are_refused(folder: Path) -> None:
    write(folder, a_student(), a_manifest())
    config = {"kind": "linear", "hashing_version": 2, "bits": "10", "slots": 17, "dtype": "F32"}
    config |= {"byte_grams": False, "auto_map": "x"}
    (folder / "config.json").write_text(json.dumps(config))
    assert refusal(folder, sealed(folder)) == (
        "F/config.json: linear.bits: Input should be a valid integer, found '10'\n"
        "F/config.json: linear.slots: Input should be less than or equal to 16, found '17'\n"
        "F/config.json: linear.auto_map: Extra inputs are not permitted, found 'x'"
    )


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    write(folder, a_student(), a_manifest())
    edited(folder / "config.json", lambda b: b.replace(b'"bits": 10', b'"bits": 11'))
    message = refusal(folder, sealed(folder))
    found, expected = message.split(", expected ")
    assert found.startswith("F/model.safetensors: header is ")
    assert '{"table":{"dtype":"F32","shape":[1024,16],"data_offsets":[0,65536]}' in found
    assert '{"table":{"dtype":"F32","shape":[2048,16],"data_offsets":[0,131072]}' in expected


@pytest.mark.parametrize("change", [lambda b: b[:-4], lambda b: b + b"\0\0\0\0"])
def test_weights_cut_short_or_with_a_tail_are_refused(
    folder: Path, change: Callable[[bytes], bytes]
) -> None:
    write(folder, a_student(), a_manifest())
    size = (folder / "model.safetensors").stat().st_size
    edited(folder / "model.safetensors", change)
    found = len(change(bytes(size)))
    assert refusal(folder, sealed(folder)) == (
        f"F/model.safetensors: has {found} bytes, expected {size}"
    )


@pytest.mark.parametrize("length", [0, 2**63, 2**64 - 1])
def test_a_lying_header_length_is_refused(folder: Path, length: int) -> None:
    write(folder, a_student(), a_manifest())
    edited(folder / "model.safetensors", lambda b: length.to_bytes(8, "little") + b[8:])
    found = length.to_bytes(8, "little")
    assert refusal(folder, sealed(folder)).startswith(
        f"F/model.safetensors: header is {found!r}"[:-1] + '{"table":'
    )


def test_a_manifest_of_other_slots_than_the_weights_is_refused(folder: Path) -> None:
    write(folder, a_student(), a_manifest())
    digest = sealed(folder, anchors=["one"], labels_version=8)
    assert refusal(folder, digest) == ("F/manifest.json: anchors has 1 slots, expected 3")


def test_a_manifest_that_is_none_is_refused_field_by_field(folder: Path) -> None:
    write(folder, a_student(), a_manifest())
    digest = sealed(folder, labels_version="x", calibration=[{"x": [1], "y": [20_000]}], more=1)
    assert refusal(folder, digest) == (
        "F/manifest.json: calibration.0: Value error, y must not descend and stay within 0 and "
        "10000, found \"{'x': [1], 'y': [20000]}\"\n"
        "F/manifest.json: labels_version: Input should be a valid integer, unable to parse string "
        "as an integer, found 'x'\n"
        "F/manifest.json: more: Extra inputs are not permitted, found '1'"
    )
    (folder / "manifest.json").write_bytes(b"\x80\x04K\x01.")
    assert refusal(folder, sha256(folder / "manifest.json")).startswith(
        "F/manifest.json: content: "
    )
