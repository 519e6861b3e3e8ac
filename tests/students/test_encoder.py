"""An encoder student reads documents whole or in windows, and scores each by itself."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from mira_spark.distillation import pretrained
from mira_spark.errors import ArtefactError
from mira_spark.students import architecture, artefact, encoder, windows
from mira_spark.students.artefact import Manifest
from mira_spark.students.calibration import IDENTITY
from mira_spark.students.configs import EncoderConfig
from mira_spark.students.encoder import EncoderStudent
from mira_spark.students.protocol import score
from tests.encoders import a_tokenizer, an_encoder
from tests.quality_tables import a_table

TEXTS = [f"def function_{i}(x):\n    return x * {i}\n" * (1 + i % 7) for i in range(40)]
SLOTS, MOST = 3, 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return an_encoder(tmp_path_factory.mktemp("encoder"), TEXTS)


@pytest.fixture(scope="module")
def student(folder: Path) -> EncoderStudent:
    model = pretrained.model(str(folder), "encoder").eval()
    tokenizer = pretrained.tokenizer(str(folder))
    described = architecture.described(model)
    config = EncoderConfig(kind="encoder", slots=SLOTS, max_tokens=MOST, architecture=described)
    torch.manual_seed(5)
    heads, bias = torch.randn(SLOTS, 48), torch.randn(SLOTS)
    reader = windows.reader(tokenizer, MOST)
    return EncoderStudent(config, model, tokenizer, reader, heads, bias)


def a_manifest() -> Manifest:
    return Manifest(
        rubric_id="abc",
        source_group="group_a",
        anchors=("one", "two", "three"),
        calibration=(IDENTITY,) * SLOTS,
        quality=a_table((True,) * SLOTS),
        labels_version=1,
        package_version="0",
    )


def test_a_short_document_is_read_whole_between_the_tokenizers_own_tokens() -> None:
    tokenizer = a_tokenizer(TEXTS)
    reader = windows.reader(tokenizer.to_str().encode(), 64)
    assert reader.ids([TEXTS[0]])[0].tolist() == tokenizer.encode(TEXTS[0]).ids
    assert reader.ids([""])[0].tolist() == [1, 2]


@pytest.mark.parametrize("length", [300, 3_000, 3_000_000])
def test_a_long_document_is_its_begin_middle_and_end(length: int) -> None:
    tokenizer = a_tokenizer(TEXTS)
    reader = windows.reader(tokenizer.to_str().encode(), 64)
    words = [f"w{i:06d}" for i in range(length // 8)]
    ids = reader.ids([" ".join(words)])[0]
    assert len(ids) <= 64
    begin, middle, end = tokenizer.decode(ids.tolist()).split(windows._MARK)
    assert begin.startswith(words[0])
    assert end.endswith(words[-1])
    assert f"w{len(words) // 2:06d}"[:4] in middle


def test_every_document_is_in_one_batch_and_no_batch_is_over_its_tokens() -> None:
    documents = [np.arange(n, dtype=np.int32) for n in (5, 0, 70, 12, 12, 1)]
    found = list(windows.batches(documents, 24))
    assert sorted(np.concatenate([b.rows for b in found]).tolist()) == list(range(6))
    for batch in found:
        ids, lengths = batch.inputs["ids"], batch.inputs["lengths"]
        assert ids.size <= 24 or len(ids) == 1
        for row, padded, length in zip(batch.rows, ids, lengths, strict=True):
            assert padded[:length].tolist() == documents[row].tolist()
            assert not padded[length:].any()


def test_a_document_scores_the_same_alone_and_among_others(student: EncoderStudent) -> None:
    texts = pa.array([*TEXTS, "", None, "x" * 5_000])
    together = score(student, texts)
    for i in range(len(texts)):
        np.testing.assert_allclose(score(student, texts.slice(i, 1))[0], together[i], atol=2e-5)
    np.testing.assert_array_equal(together[-2], together[-3], "a null is an empty text")


def test_scores_are_the_heads_on_the_mean_of_the_states(student: EncoderStudent) -> None:
    ids = torch.tensor(student.reader.ids([TEXTS[3]])[0][None].astype(np.int64))
    with torch.no_grad():
        states = student.model(input_ids=ids, attention_mask=torch.ones_like(ids))[0][0]
    expected = student.heads.numpy() @ states.numpy().mean(axis=0) + student.bias.numpy()
    np.testing.assert_allclose(score(student, pa.array([TEXTS[3]]))[0], expected, atol=2e-5)


def test_an_artefact_gives_the_student_back(student: EncoderStudent, tmp_path: Path) -> None:
    digest = artefact.write(tmp_path / "a", student, a_manifest())
    again, manifest = artefact.load(tmp_path / "a", digest)
    assert set(manifest.files) == {"config.json", "model.safetensors", "tokenizer.json"}
    texts = pa.array(TEXTS)
    np.testing.assert_array_equal(score(again, texts), score(student, texts))
    assert artefact.write(tmp_path / "b", again, a_manifest()) == digest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"auto_map": {"AutoModel": "evil.py"}}, "auto_map is not of bert"),
        ({"model_type": "evil"}, "model_type is 'evil', expected one of bert, "),
        ({"hidden_size": 10**12}, "hidden_size is 1000000000000"),
        ({"hidden_size": 7}, "not a multiple of the number of attention heads"),
        ({"num_hidden_layers": 3}, "header is "),
        ({"vocab_size": "many"}, "vocab_size"),
    ],
)
def test_an_architecture_that_is_not_the_weights_own_is_refused(
    student: EncoderStudent, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    import hashlib

    artefact.write(tmp_path / "a", student, a_manifest())
    path = tmp_path / "a" / "config.json"
    config = json.loads(path.read_text())
    config["architecture"] |= change
    path.write_text(json.dumps(config))
    manifest = tmp_path / "a" / "manifest.json"
    content = json.loads(manifest.read_text())
    content["files"]["config.json"] = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(content))
    digest = hashlib.sha256(manifest.read_bytes()).hexdigest()
    with pytest.raises(ArtefactError) as caught:
        artefact.load(tmp_path / "a", digest)
    assert message in str(caught.value)


def test_what_is_no_model_is_refused_by_name(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"no model is set: a folder or a hub id"):
        pretrained.model("", "encoder")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtefactError, match="empty: no model can be read"):
        pretrained.model(str(tmp_path / "empty"), "encoder")
    with pytest.raises(ArtefactError, match=r"tokenizer\.json: is missing"):
        pretrained.tokenizer(str(tmp_path / "empty"))
    with pytest.raises(ArtefactError, match="model_type is 'bert', expected one of gpt2"):
        pretrained.model(str(folder), "causal")
    with pytest.raises(ArtefactError, match=r"tokenizer\.json"):
        windows.reader(b"{}", 64)
    with pytest.raises(ArtefactError, match="max_tokens is 9, too few"):
        windows.reader((folder / "tokenizer.json").read_bytes(), 9)


def test_weights_that_are_pickled_are_not_read(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    torch.save(encoder.architecture.weights_of(pretrained.model(str(folder), "encoder")),
               tmp_path / "pytorch_model.bin")  # fmt: skip
    with pytest.raises(ArtefactError, match="no model can be read"):
        pretrained.model(str(tmp_path), "encoder")


def test_what_an_older_version_wrote_beside_the_configuration_is_left_out(
    folder: Path, tmp_path: Path
) -> None:
    for name in ("model.safetensors", "tokenizer.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    config = json.loads((folder / "config.json").read_text())
    old = {"gradient_checkpointing": False, "position_embedding_type": "absolute"}
    (tmp_path / "config.json").write_text(json.dumps(config | old))
    found = architecture.described(pretrained.model(str(tmp_path), "encoder"))
    assert not old.keys() & found.keys()
    assert architecture.layout(found, "encoder")


def test_a_model_that_brings_code_is_refused_without_a_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    config = {"model_type": "theirs", "auto_map": {"AutoConfig": "configuration_theirs.Theirs"}}
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "configuration_theirs.py").write_text(
        "from transformers import PretrainedConfig\n"
        f"open({str(ran)!r}, 'w')\n"
        "class Theirs(PretrainedConfig):\n    model_type = 'theirs'\n"
    )
    monkeypatch.setattr("sys.stdin", io.StringIO("y\ny\n"))
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises(ArtefactError, match="no model can be read"):
        pretrained.model(str(folder), "encoder")
    assert not ran.exists()
