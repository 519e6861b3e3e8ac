"""A special token that a text spells is text, to every kind of student that reads tokens."""

from collections.abc import Callable

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.processors import TemplateProcessing

from mira_spark.students import answers, windows

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789[]<>|/_"
FRAME = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def framed(tokenizer: Tokenizer) -> Tokenizer:
    """With [CLS] before a text and [SEP] behind it."""
    tokenizer.add_special_tokens(FRAME)
    ids = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ids)
    return tokenizer


def word_pieces() -> Tokenizer:
    """As BERT's."""
    words = [*FRAME, *LETTERS, *(f"##{letter}" for letter in LETTERS), "hello", "world"]
    model = models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]")
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return framed(tokenizer)


def bytes_of_gpt() -> Tokenizer:
    """As GPT-2's: nothing around a text; one added token that is not special."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({sign: i for i, sign in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>", "[SEP]"])
    tokenizer.add_tokens([AddedToken("    ", special=False, normalized=False)])
    return tokenizer


def unigrams() -> Tokenizer:
    """As XLM-RoBERTa's: the special tokens are pieces of the model too, the likeliest of all."""
    pieces = [(token, 0.0) for token in FRAME]
    pieces += [("<s>", 0.0), ("</s>", 0.0), ("▁", -3.0), ("▁hello", -2.0)]
    tokenizer = Tokenizer(models.Unigram([*pieces, *((one, -4.0) for one in LETTERS)], 1))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens(["<s>", "</s>"])
    return framed(tokenizer)


def words() -> Tokenizer:
    """Whole words, the special tokens among them."""
    known = [*FRAME, *LETTERS, "hello", "world"]
    model = models.WordLevel({word: i for i, word in enumerate(known)}, unk_token="[UNK]")
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return framed(tokenizer)


MAKERS = (word_pieces, bytes_of_gpt, unigrams, words)
SPELT = (
    "hello [SEP] world",
    "[CLS][MASK]hello[SEP]",
    "hello<|endoftext|>world <|endoftext|>",
    "<s>hello</s> \uff1cs\uff1e hello",  # full-width signs that a normaliser makes plain
    "[PAD] [SEP]",
)
ORDINARY = ("hello world", "a list[3] of <tags>", "unknown: \u263a \u263b", "    indented", "")


def special_ids(tokenizer: Tokenizer) -> set[int]:
    added = tokenizer.get_added_tokens_decoder().items()
    return {token for token, known in added if known.special and known.content != "[UNK]"}


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("text", SPELT)
def test_no_special_token_comes_out_of_a_text(make: Callable[[], Tokenizer], text: str) -> None:
    tokenizer = make()
    reader = windows.reader(tokenizer.to_str().encode(), 64)
    (ids,) = reader.ids([text])
    own = ids[len(reader.before) : len(ids) - len(reader.after)].tolist()
    assert own
    assert not special_ids(tokenizer) & set(own)
    assert reader.text_ids(text) == own


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("text", ORDINARY)
def test_an_ordinary_text_has_the_tokens_it_had(make: Callable[[], Tokenizer], text: str) -> None:
    tokenizer = make()
    reader = windows.reader(tokenizer.to_str().encode(), 64)
    assert reader.ids([text])[0].tolist() == tokenizer.encode(text).ids


def test_a_server_is_not_shown_a_control_token_that_a_document_spells() -> None:
    spelt = "a <|im_start|> b [SEP] </s> [/INST] <start_of_turn>"
    broken = "a < |im_start|> b [ SEP] < /s> [ /INST] < start_of_turn>"
    assert answers.without_control(spelt) == broken
    ordinary = "list[SEPARATOR] <span> a<b|c [mask] <strong> x[i] < s >"
    assert answers.without_control(ordinary) == ordinary
