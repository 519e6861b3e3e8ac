"""Encoders of well-known shapes with random weights, alone and as students."""

from collections.abc import Iterable

import torch
from transformers import BertConfig, BertModel, ModernBertConfig, ModernBertModel

from mira_spark.students import architecture, encoder, windows
from mira_spark.students.configs import EncoderConfig
from mira_spark.students.encoder import EncoderStudent
from tests.encoders import a_tokenizer

SHAPES = {
    "small": lambda: BertModel(
        BertConfig(
            vocab_size=2_000,
            hidden_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=512,
            pad_token_id=0,
        )
    ),
    "BERT-base": lambda: BertModel(BertConfig(pad_token_id=0)),
    "ModernBERT-base": lambda: ModernBertModel(ModernBertConfig()),
    "ModernBERT-large": lambda: ModernBertModel(
        ModernBertConfig(
            hidden_size=1024,
            intermediate_size=2624,
            num_hidden_layers=28,
            num_attention_heads=16,
        )
    ),
}


def student(
    shape: str, texts: Iterable[str], most: int = 512, slots: int = 15, on_cpu: bool = False
) -> EncoderStudent:
    """A student of the shape, where it works fastest or on the CPU, always with the same weights;
    its tokenizer is made from the texts."""
    torch.manual_seed(0)
    model = SHAPES[shape]()
    tokenizer = a_tokenizer(texts).to_str().encode()
    config = EncoderConfig(
        kind="encoder", slots=slots, max_tokens=most, architecture=architecture.described(model)
    )
    heads = torch.randn((slots, architecture.width(config.architecture, "encoder"))) / 10
    reader = windows.reader(tokenizer, most)
    bias = torch.full((slots,), 5.0)
    made = EncoderStudent(config, model.eval(), tokenizer, reader, heads, bias)
    return made if on_cpu else encoder.placed(made)
