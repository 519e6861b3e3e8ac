"""The vectors of an encoder are those of the model itself."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, PreTrainedTokenizerFast

from mira_spark.corpus.embedder_ids import embedder_id
from mira_spark.corpus.embedding import unit_vectors
from mira_spark.embedders.encoder import encoder_embedder
from mira_spark.errors import InputError
from mira_spark.settings.embedder import EmbedderSettings
from tests.encoders import an_encoder

TEXTS = [f"the cat {i} sat on the mat" + " again" * i for i in range(9)]


def chosen(folder: Path, max_tokens: int = 512) -> EmbedderSettings:
    return EmbedderSettings(kind="encoder", model=str(folder), max_tokens=max_tokens)


def test_a_vector_is_the_mean_of_a_text_s_last_states_at_unit_length(tmp_path: Path) -> None:
    folder = an_encoder(tmp_path / "encoder", TEXTS)
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    means = []
    for text in TEXTS:
        with torch.inference_mode():
            states = model(**tokenizer(text, return_tensors="pt", return_token_type_ids=False))[0]
        means.append(states[0].mean(dim=0).numpy())
    found = encoder_embedder(chosen(folder))(TEXTS)
    np.testing.assert_allclose(found, unit_vectors(np.array(means)), atol=1e-5)


def test_the_id_follows_what_decides_the_vectors_and_not_where_it_lies(tmp_path: Path) -> None:
    folder = an_encoder(tmp_path / "encoder", TEXTS)
    first = embedder_id(chosen(folder))
    assert embedder_id(chosen(folder, max_tokens=64)) != first
    moved = folder.rename(tmp_path / "moved")
    assert embedder_id(chosen(moved)) == first
    weights = moved / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert embedder_id(chosen(moved)) != first


def test_a_hub_id_that_cannot_be_fetched_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    missing = str(tmp_path / "not" / "here")
    with pytest.raises(InputError) as caught:
        embedder_id(EmbedderSettings(kind="encoder", model=missing))
    assert str(caught.value).startswith(
        f"embedder.model: {missing} is no folder here, and cannot be fetched as a hub id: "
    )
