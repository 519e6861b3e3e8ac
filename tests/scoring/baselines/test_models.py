"""Models as baselines: what they say of a document is what transformers itself computes of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    PreTrainedModel,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from mira_spark.scoring.baselines import models, saved
from mira_spark.scoring.baselines.models import ModelScorer
from mira_spark.scoring.engine import Engine
from mira_spark.students.architecture import Family
from mira_spark.students.protocol import Batching
from tests.encoders import a_tokenizer

TEXTS = ["the sun is up", "x", "a sea, a sun; and of the sun a sea " * 9, "Größe 量子", "so"]
MOST = 48
SIZES = {"vocab_size": 500, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
         "intermediate_size": 64, "pad_token_id": 0, "bos_token_id": 1,
         "eos_token_id": 2}  # fmt: skip
CAUSAL = {
    "gpt2": lambda: GPT2LMHeadModel(
        GPT2Config(vocab_size=500, n_embd=32, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=2)
    ),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, num_key_value_heads=2)),
}
CLASSIFIERS = {
    "bert": lambda: BertForSequenceClassification(BertConfig(**SIZES, num_labels=1)),
    "modernbert": lambda: ModernBertForSequenceClassification(
        ModernBertConfig(**SIZES, num_labels=1, cls_token_id=1, sep_token_id=2)
    ),
    "roberta": lambda: RobertaForSequenceClassification(
        RobertaConfig(**(SIZES | {"pad_token_id": 1}), num_labels=1)
    ),
}


def scorer(family: Family, model: PreTrainedModel, folder: Path) -> ModelScorer:
    """The model after a stay in a folder."""
    tokenizer = a_tokenizer(TEXTS).to_str().encode()
    content = models.saved_model("b", family, model.eval(), tokenizer, MOST)
    digest = saved.write(folder / "b", content)
    return models.restored_model(saved.read(folder / "b", digest))


def tokens(text: str) -> torch.Tensor:
    ids = a_tokenizer(TEXTS).encode(text, add_special_tokens=False).ids[: MOST - 2]
    return torch.tensor([[1, *ids, 2]])


def scores(by: Any) -> list[float]:
    found, reasons = Engine(by).scores(pa.array(TEXTS))
    assert reasons == [None] * len(TEXTS)
    return [float(score) for score in found[:, 0]]


@pytest.mark.parametrize("kind", CAUSAL)
def test_likelihoods_are_those_of_transformers(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = CAUSAL[kind]().eval()
    with torch.inference_mode():
        losses = [float(model(t, labels=t).loss) for t in map(tokens, TEXTS)]
    by = scorer("causal", model, tmp_path)
    assert scores(by) == pytest.approx([-loss for loss in losses], abs=1e-5)
    assert scores(by.batched(Batching(tokens=8))) == pytest.approx(scores(by), abs=1e-5)


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_outputs_are_those_of_transformers(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(2)
    model = CLASSIFIERS[kind]().eval()
    with torch.inference_mode():
        outputs = [float(model(tokens(text)).logits) for text in TEXTS]
    assert len(set(outputs)) == len(TEXTS)
    assert scores(scorer("classifier", model, tmp_path)) == pytest.approx(outputs, abs=1e-5)


def test_parts_of_the_vocabulary_s_likelihoods_are_computed_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by = scorer("causal", CAUSAL["llama"](), tmp_path)
    whole = scores(by)
    monkeypatch.setattr(models, "_PREDICTED_AT_ONCE", 7)
    assert scores(by) == pytest.approx(whole, abs=1e-5)


def test_of_a_long_document_the_beginning_is_read(tmp_path: Path) -> None:
    by = scorer("causal", CAUSAL["gpt2"](), tmp_path)
    begun = "a sea, a sun; and of the sun a sea " * 20
    found, _ = Engine(by).scores(pa.array([begun, begun + "and much else " * 1_000]))
    assert np.ptp(found) < 1e-5
    assert max(batch.inputs["lengths"].max() for batch in by.encode(pa.array([begun]))) == MOST
