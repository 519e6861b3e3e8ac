"""Spoilt copies: each does what it says, none is the original, and length tells nothing."""

import re
from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings, strategies as st

from mira_spark.corpus.conversation_text import conversation_text, turns_from_text
from mira_spark.corpus.conversations import Turn, TurnPart
from mira_spark.corpus.text_kinds import TextKind, kind_of_text
from mira_spark.labels import spoilers
from mira_spark.labels.spoilers import MAX_LENGTH_CHANGE, SPOILERS, Spoiler
from mira_spark.labels.spoiling import spoilt_copies
from tests.hostile_strings import ALL
from tests.spoilable_texts import TEXTS

EVERY = sorted({spoil for each in SPOILERS.values() for spoil in each}, key=lambda s: s.__name__)
SPOILT = [(kind, spoil) for kind, each in SPOILERS.items() for spoil in each]
PARTS = ("word ", "名前", "a.b(c)", "[1, 2]", "{", "\n", "\n\n", "Question: ", "Answer: ", "Ann: ",
         "\nBob: ", "x = 1\n", '"k": 2, ', "'", '"', "\\", "#", "//", "/*", "*/", "\t", "1,2,3\n",
         "\ud800", "\x00", "\u2028", '"""', "é", "e\u0301")  # fmt: skip
TEXT = st.one_of(
    st.text(max_size=400),
    st.lists(st.sampled_from(PARTS), max_size=200).map("".join),
    st.sampled_from([text for each in TEXTS.values() for text in each]),
)


def spoilt(spoil: Spoiler, kind: TextKind, place: int = 0) -> tuple[str, str, str]:
    """A text of this kind, the other one, and the spoilt copy."""
    text = TEXTS[kind][place]
    other = TEXTS["prose" if spoil is spoilers.foreign_text else kind][place + 2]
    copy = spoil(text, other, Random(place))
    assert copy is not None
    return text, other, copy


@pytest.mark.parametrize(("kind", "spoil"), SPOILT)
def test_every_spoiling_of_a_kind_can_be_applied_to_it(kind: TextKind, spoil: Spoiler) -> None:
    texts = TEXTS[kind]
    others = TEXTS["prose"] if spoil is spoilers.foreign_text else texts[1:] + texts[:1]
    copies = {spoil(t, o, Random(1)) for t, o in zip(texts, others, strict=True)} - {None}
    assert len(copies) >= 6


@settings(max_examples=500, deadline=None)
@given(TEXT, TEXT, st.integers(0, 9), st.sampled_from(EVERY))
def test_a_copy_is_as_long_and_never_the_original(
    text: str, other: str, seed: int, spoil: Spoiler
) -> None:
    copy = spoil(text, other, Random(seed))
    assert copy == spoil(text, other, Random(seed)), "of text, other and seed alone"
    if copy is None:
        return
    assert copy != text
    longer = MAX_LENGTH_CHANGE if spoil is spoilers.answers_swapped else 0
    assert abs(len(copy) - len(text)) <= longer * len(text)


def test_words_stay_in_their_paragraph() -> None:
    text, _, copy = spoilt(spoilers.words_shuffled, "prose")
    before, after = text.split("\n\n"), copy.split("\n\n")
    assert [Counter(p.split()) for p in before] == [Counter(p.split()) for p in after]
    assert all(old != new for old, new in zip(before, after, strict=True))


def test_words_are_told_apart_where_no_blanks_are() -> None:
    text = "東京都は日本の首都である。" * 12
    copy = spoilers.words_shuffled(text, "", Random(0))
    assert copy is not None
    assert Counter(copy) == Counter(text)


def test_an_answer_is_another_s_and_the_question_stays() -> None:
    text, other, copy = spoilt(spoilers.answers_swapped, "question_answer")
    assert copy == text.partition("Answer:")[0] + "Answer:" + other.partition("Answer:")[2]


def test_an_answer_of_another_length_is_no_copy() -> None:
    text = TEXTS["question_answer"][0]
    for other in (text + "More words. " * 40, text[: len(text) // 2], "no answer in it"):
        assert spoilers.answers_swapped(text, other, Random(0)) is None


def test_speakers_keep_their_order_and_say_another_s_words() -> None:
    text, _, copy = spoilt(spoilers.turns_shuffled, "dialogue")
    before, after = ([line.partition(": ") for line in t.split("\n")] for t in (text, copy))
    assert [speaker for speaker, _, _ in before] == [speaker for speaker, _, _ in after]
    assert sorted(said for *_, said in before) == sorted(said for *_, said in after)


def test_a_conversation_is_spoilt_between_its_marks() -> None:
    said = [
        "One two three four five six seven eight nine ten.",
        "Yes.",
        "No.",
        "@@@ user, he said.",
    ]
    turns = [Turn(role, (TurnPart("text", text),)) for role, text in zip("abcd", said, strict=True)]
    text = conversation_text([*turns, Turn("e", (TurnPart("tool call", "{}" * 30, "f"),))])
    for spoil in (spoilers.words_shuffled, spoilers.turns_shuffled):
        copy = spoil(text, "", Random(1))
        assert copy is not None
        spoilt = turns_from_text(copy)
        assert spoilt is not None
        assert [turn.role for turn in spoilt] == list("abcde")
        assert sorted(copy.split()) == sorted(text.split())


def test_names_lose_their_order_of_letters_and_nothing_else_changes() -> None:
    text, _, copy = spoilt(spoilers.identifiers_scrambled, "code")
    names = r"[^\W\d]\w{2,}"
    assert re.sub(names, "", text) == re.sub(names, "", copy)
    pairs = list(zip(re.findall(names, text), re.findall(names, copy), strict=True))
    assert all(sorted(old) == sorted(new) for old, new in pairs)
    in_docstrings = {"Give", "the"}
    assert all(old == new for old, new in pairs if old in {"def", "return"} | in_docstrings)
    changed = sum(old != new for old, new in pairs)
    assert changed > len(pairs) / 2


@pytest.mark.parametrize(
    "comment",
    ['"""a name"""', "'a name'", "# a name", "// a name", "/*name", '"""a name\nwithout an end'],
)
def test_names_in_strings_and_comments_stay(comment: str) -> None:
    text = "counter = value + other\n" * 9 + comment
    copy = spoilers.identifiers_scrambled(text, "", Random(0))
    assert copy is not None
    assert copy.endswith(comment)
    assert "counter" not in copy


def test_half_of_the_brackets_are_blank() -> None:
    text, _, copy = spoilt(spoilers.brackets_dropped, "code")
    changed = [old for old, new in zip(text, copy, strict=True) if old != new]
    assert set(changed) <= set("()[]{}")
    assert len(changed) == round(sum(map(text.count, "()[]{}")) / 2)


def test_values_change_places_and_keys_stay() -> None:
    for place in range(2):
        text, _, copy = spoilt(spoilers.values_shuffled, "data", place)
        assert kind_of_text(copy) == "data"
        assert sorted(re.findall(r"[\w.]+", text)) == sorted(re.findall(r"[\w.]+", copy))
        assert re.findall(r'"\w+":', text) == re.findall(r'"\w+":', copy)
        assert re.sub(r"[\w.]+", "", text) == re.sub(r"[\w.]+", "", copy) or place == 1


def test_rows_begin_as_they_did_and_end_as_others_do() -> None:
    text, _, copy = spoilt(spoilers.rows_cut, "data")
    before, after = text.split("\n"), copy.split("\n")
    assert Counter(text) == Counter(copy)
    assert len(before) == len(after)
    assert sum(old != new for old, new in zip(before, after, strict=True)) > len(before) / 2


def test_what_is_repeated_is_the_beginning() -> None:
    text, _, copy = spoilt(spoilers.cut_and_repeated, "prose")
    period = next(n for n in range(1, len(copy)) if copy[n:] == copy[:-n])
    assert 0.24 * len(text) < period <= 0.5 * len(text)
    assert text.startswith(copy[:period])


@pytest.mark.parametrize(("kind", "sign"), [("prose", "cookies"), ("code", "# TODO")])
def test_boilerplate_stands_for_what_follows_the_beginning(kind: TextKind, sign: str) -> None:
    text, _, copy = spoilt(spoilers.boilerplate_instead, kind)
    length = round(0.4 * len(text)) - 2
    assert copy[:length] == text[:length]
    assert sign in copy
    assert text[length + 20 :] not in copy


def test_a_stretch_of_another_text_stands_in_the_middle() -> None:
    text, other, copy = spoilt(spoilers.foreign_text, "dialogue")
    stretch = round(0.6 * len(text))
    starts = [n for n in range(len(text)) if copy[n : n + stretch] in other]
    assert any(copy == text[:n] + copy[n : n + stretch] + text[n + stretch :] for n in starts)


def test_what_has_too_little_to_spoil_has_no_copy() -> None:
    line = "a plain line without anything in it" + " " * 100
    for spoil in EVERY:
        assert spoil("short", "other" * 99, Random(0)) is None
    for name in ("brackets_dropped", "answers_swapped", "turns_shuffled", "rows_cut"):
        assert getattr(spoilers, name)(line, "other" * 99, Random(0)) is None
    same = "same " * 60
    assert spoilers.words_shuffled(same, "", Random(0)) is None, "it would be the original"


def corpus() -> tuple[list[str], list[str]]:
    """Every kind as one source, and one source of all."""
    texts = [text for each in TEXTS.values() for text in each]
    sources = [kind for kind, each in TEXTS.items() for _ in each]
    return texts + texts, sources + ["mixed"] * len(texts)


def test_copies_depend_on_texts_and_seed_and_not_on_their_order() -> None:
    texts, sources = corpus()
    first = spoilt_copies(texts, sources, 1, 5)
    assert first == spoilt_copies(texts, sources, 1, 5)
    order = list(range(len(texts)))
    Random(0).shuffle(order)
    moved = spoilt_copies([texts[i] for i in order], [sources[i] for i in order], 1, 5)
    as_set = {(order[c.document], c.source, c.kind, c.text) for c in moved}
    assert as_set == {(c.document, c.source, c.kind, c.text) for c in first}
    assert {c.document for c in first} != {c.document for c in spoilt_copies(texts, sources, 2, 5)}


def test_every_source_gives_as_many_documents_each_spoilt_in_every_way_of_its_kind() -> None:
    texts, sources = corpus()
    copies = spoilt_copies(texts, sources, 3, 5)
    documents = Counter(source for source, _ in {(c.source, c.document) for c in copies})
    assert documents == dict.fromkeys(sources, 5)
    for kind in ("prose", "code", "dialogue"):
        names = Counter(c.kind for c in copies if c.source == kind)
        assert names == {spoil.__name__: 5 for spoil in SPOILERS[kind]}


def test_answers_come_from_the_source_and_foreign_text_from_another() -> None:
    texts, sources = corpus()
    for copy in spoilt_copies(texts, sources, 4, 12):
        text = texts[copy.document]
        if copy.kind == "answers_swapped":
            answer = copy.text.partition("Answer:")[2]
            assert answer in {t.partition("Answer:")[2] for t in TEXTS["question_answer"]}
            assert answer != text.partition("Answer:")[2]
    greek = ["λόγος " * n for n in range(40, 60)]
    latin = ["word of it " * n for n in range(20, 40)]
    for copy in spoilt_copies(greek + latin, ["greek"] * 20 + ["latin"] * 20, 4, 20):
        if copy.kind == "foreign_text":
            assert "word" in copy.text
            assert "λόγος" in copy.text


def test_equal_texts_of_a_source_count_once_and_a_lone_source_has_no_foreign_text() -> None:
    text = TEXTS["prose"][0]
    copies = spoilt_copies([text] * 4, ["web"] * 4, 0, 9)
    assert {c.document for c in copies} == {0}
    assert {c.kind for c in copies} == {
        "words_shuffled", "boilerplate_instead", "cut_and_repeated",
    }  # fmt: skip


def test_hostile_texts_are_spoilt_however_long_they_are() -> None:
    long = [
        part * 40_000
        for part in (
            "/*",
            '"',
            '\\"',
            "'",
            "#",
            "Q:",
            "a:\n",
            "{",
            '"":',
            " ",
            "\n",
            "\n \n",
            "1,",
            "Ann: \n",
            "(",
            "//",
            "*",
            "\ud800x ",
        )
    ]
    texts = [*ALL, *(text * 20 for text in ALL), *long]
    copies = spoilt_copies(
        texts, ["a", "b"] * (len(texts) // 2) + ["a"] * (len(texts) % 2), 0, 10_000
    )
    assert len(copies) > len(ALL)
    assert all(copy.text != texts[copy.document] for copy in copies)
