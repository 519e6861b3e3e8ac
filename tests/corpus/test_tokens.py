"""Token counts: without a model, and with any tokenizer.json."""

import hashlib
import pickle
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st
from tokenizers import Regex, Tokenizer as HuggingFaceTokenizer
from tokenizers.models import BPE, WordLevel
from tokenizers.normalizers import Replace, Sequence as Normalizers
from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split, Whitespace
from tokenizers.processors import TemplateProcessing

from mira_spark.corpus import tokens
from mira_spark.corpus.tokens import Tokenizer, tokenizer
from mira_spark.errors import ConfigError

VOCABULARY = {"[UNK]": 0, "[CLS]": 1, "the": 2, "cat": 3}
TEXTS = ["the cat", "", "  the\n dog sat, the cat", "naïve 東京"]
COUNTS = [2, 0, 6, 2]


@pytest.fixture
def words() -> HuggingFaceTokenizer:
    """One token a word or run of signs; it puts [CLS] before a text when asked to."""
    made = HuggingFaceTokenizer(WordLevel(VOCABULARY, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    made.post_processor = TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 1)])
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "wordy").mkdir()
    return tmp_path / "wordy" / "tokenizer.json"


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("éé", 1), ("ééa", 2), ("東", 1), ("東京", 2),
     ("🎉", 1), ("🎉!", 2), ("\x00" * 9, 3), ("\ud800", 1), ("a" * 4_000_001, 1_000_001)],
)  # fmt: skip
def test_bytes4_is_a_token_for_every_four_bytes_begun(text: str, tokens: int) -> None:
    assert tokenizer("bytes4").count([text]) == [tokens]


@given(st.lists(st.text()))
def test_bytes4_counts_each_text_by_itself(texts: list[str]) -> None:
    counts = tokenizer("bytes4").count(texts)
    assert counts == [(len(text.encode()) + 3) // 4 for text in texts]


def test_bytes4_needs_no_file() -> None:
    assert tokenizer("bytes4") == Tokenizer("bytes4", "none", None)


def test_a_tokenizer_file_counts_its_tokens_without_special_ones(
    words: HuggingFaceTokenizer, file: Path
) -> None:
    words.save(str(file))
    assert tokenizer(str(file)).count(TEXTS) == COUNTS
    assert tokenizer(str(file)).count([]) == []
    assert [tokenizer(str(file)).count([text])[0] for text in TEXTS] == COUNTS


def test_a_tokenizer_bears_its_folder_s_name_and_its_file_s_digest(
    words: HuggingFaceTokenizer, file: Path
) -> None:
    words.save(str(file))
    found = tokenizer(str(file))
    assert found.name == "wordy"
    assert found.digest == hashlib.sha256(file.read_bytes()).hexdigest()


def test_another_file_is_another_digest(words: HuggingFaceTokenizer, file: Path) -> None:
    words.save(str(file))
    before = tokenizer(str(file))
    file.write_text(file.read_text().replace('"cat"', '"cut"'))
    after = tokenizer(str(file))
    assert after.digest != before.digest
    assert after.count(["the cat"]) == [2]


def test_a_tokenizer_counts_where_its_file_is_not(words: HuggingFaceTokenizer, file: Path) -> None:
    words.save(str(file))
    travelling = pickle.dumps(tokenizer(str(file)))
    file.unlink()
    assert pickle.loads(travelling).count(TEXTS) == COUNTS


def test_truncation_and_padding_set_in_the_file_do_not_change_the_counts(
    words: HuggingFaceTokenizer, file: Path
) -> None:
    words.enable_truncation(4)
    words.enable_padding(length=5)
    words.save(str(file))
    assert tokenizer(str(file)).count(TEXTS) == COUNTS


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "[Errno 2] No such file or directory: 'FILE'"),
        ("", "EOF while parsing a value at line 1 column 0"),
        ("words", "expected value at line 1 column 1"),
        ("{}", "Model missing. at line 1 column 2"),
    ],
)
def test_what_is_no_tokenizer_is_refused(file: Path, content: str | None, problem: str) -> None:
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError) as caught:
        tokenizer(str(file))
    assert str(caught.value).replace(str(file), "FILE") == (
        f"corpus.tokenizer: FILE should be bytes4 or a tokenizer.json: {problem}"
    )


@pytest.mark.parametrize("name", ["bytes8", "BYTES4", "bert-base-uncased"])
def test_a_name_that_is_no_file_is_refused(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        tokenizer(name)
    assert str(caught.value) == (
        f"corpus.tokenizer: {name} should be bytes4 or a tokenizer.json: "
        f"[Errno 2] No such file or directory: '{name}'"
    )


LLAMA = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Llama 3's tokenizer divides a text, and Qwen's but for the digits."""


def bytewise(pattern: str = LLAMA) -> HuggingFaceTokenizer:
    """One token a byte of what the pattern divides, and a special one that is spelt `<|end|>`."""
    alphabet = {sign: place for place, sign in enumerate(sorted(ByteLevel.alphabet()))}
    made = HuggingFaceTokenizer(BPE(alphabet, []))
    divided = Split(Regex(pattern), "isolated")
    made.pre_tokenizer = Sequence([divided, ByteLevel(add_prefix_space=False, use_regex=False)])
    made.add_special_tokens(["<|end|>"])
    return made


def saved(made: HuggingFaceTokenizer) -> Tokenizer:
    """The tokenizer as it travels."""
    return Tokenizer("made", "none", made.to_str())


BYTEWISE = saved(bytewise())


@pytest.mark.parametrize("text", [" " * 12_000_000, "\t" * 12_000_000 + "x"])
def test_millions_of_spaces_are_counted(text: str) -> None:
    assert BYTEWISE.count(["before", text, "after"]) == [6, len(text), 5]


def test_a_text_that_a_tokenizer_gives_up_on_has_no_count_and_the_others_have() -> None:
    """A pattern that backtracks without end: the library panics."""
    texts = ["a" * 40 + "!", "fine", "", "a" * 40 + "?"]
    assert saved(bytewise(r"(?:a|aa)+$|[^a]+")).count(texts) == [None, 4, 0, None]


def test_a_tokenizer_that_makes_thousands_of_each_sign_counts_or_gives_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grows = bytewise()
    grows.normalizer = Normalizers([Replace("x", "y" * 3_000), Replace("y", "z" * 10)])
    made = saved(grows)
    monkeypatch.setattr(tokens, "MEMORY", 400 << 20)
    assert made.count(["one", "x" * 20_000, "x", "two"]) == [3, None, 30_000, 3]


def test_a_text_that_takes_too_long_has_no_count_and_the_others_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grows = bytewise()
    grows.normalizer = Normalizers([Replace("x", "y" * 1_000)] + [Replace("y", "y")] * 9)
    made = saved(grows)
    monkeypatch.setattr(tokens, "LEAST_S", 6.0)
    assert made.count(["one", "x" * 20_000, "two"]) == [3, None, 3]


@given(
    st.lists(
        st.one_of(
            st.text(),
            st.from_regex(r"(?:<\|end\|>|[ \t\r\n]{1,9}|'ll|x+)+", fullmatch=True),
            st.tuples(st.sampled_from(" \n\r\x00a1-'\u3000\U0001f468"), st.integers(1, 99_999))
            .map(lambda of: of[0] * of[1]),
        ),
        max_size=4,
    )
)  # fmt: skip
@settings(deadline=None, max_examples=500)
def test_whatever_a_text_holds_it_has_its_bytes_as_tokens(texts: list[str]) -> None:
    """Special tokens, runs of one sign over several pieces, anything: it is text."""
    assert BYTEWISE.count(texts) == [len(text.encode()) for text in texts]


def test_a_special_token_spelt_in_a_text_is_text() -> None:
    assert BYTEWISE.count(["<|end|>", "a<|end|>"]) == [7, 8]
