"""Documents with items of an evaluation planted in them, as they stand in real ones, and nearly."""

import random
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import NamedTuple

_SYLLABLES = ("ka", "lo", "mi", "ter", "an", "sel", "vo", "dru", "eng", "is", "po", "qua", "ré",
              "ß", "ni", "ta", "Ö", "fi", "ﬂu", "x1")  # fmt: skip
_COMMON = ("the", "of", "and", "a", "to", "in", "is", "what", "which", "name", "following", "Wer")
_HAN = "數學問題是什麼樣的人在北京大學讀書每天早上七點起床吃飯然後走路去圖書館"
_PUNCTUATION = (", ", ". ", "; ", " - ", "... ", " (", ") ", "_", "! ", "\t", "\u00a0")


class Planted(NamedTuple):
    """`documents` and `items` by id; `forms`: how an item stands in each document that has one."""

    documents: dict[str, str]
    items: dict[str, str]
    forms: dict[str, str]


def verbatim(item: str, draw: random.Random) -> str:
    return item


def changed_case_and_punctuation(item: str, draw: random.Random) -> str:
    words = [draw.choice((w.upper(), w.lower(), w.title())) for w in re.findall(r"\w+", item)]
    return "".join(word + draw.choice(_PUNCTUATION) for word in words)


def split_over_lines(item: str, draw: random.Random) -> str:
    return "".join(draw.choice(("\n", "\r\n", " ", " \n  ")) if c == " " else c for c in item)


def in_comments(item: str, draw: random.Random) -> str:
    sign = draw.choice(("# ", "// ", " * ", "-- ", "%% ", ";; ", "/// "))
    words = item.split(" ")
    width = draw.randint(3, 9)
    lines = [" ".join(words[i : i + width]) for i in range(0, len(words), width)]
    return "def f(x):\n" + "".join(f"    {sign}{line}\n" for line in lines) + "    return x\n"


def other_characters(item: str, draw: random.Random) -> str:
    """Letters of full width, accents apart, soft hyphens and joiners in words."""
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" and draw.random() < 0.3 else c
                   for c in unicodedata.normalize("NFD", item))  # fmt: skip
    return re.sub(r"(\w)(\w)", "\\1\u00ad\u200d\\2", wide, count=draw.randint(0, 9))


def a_part(item: str, draw: random.Random) -> str:
    """Of a long item 13 or more of its words, of a short one all but the last."""
    words = item.split(" ")
    kept = min(draw.randint(13, 20), len(words) - 1)
    first = draw.randint(0, len(words) - kept)
    return " ".join(words[first : first + kept])


def nearly(item: str, draw: random.Random) -> str:
    """With another word after at most twelve, after four in an item of few words."""
    words = item.split(" ")
    every = 5 if len(words) < 13 else 13
    return " ".join("other" if place % every == every - 1 else w for place, w in enumerate(words))


_ALL = (verbatim, changed_case_and_punctuation, split_over_lines, in_comments, other_characters,
        a_part, nearly)  # fmt: skip
FORMS: Mapping[str, Callable[[str, random.Random], str]] = {form.__name__: form for form in _ALL}


def planted(documents: int, items: int, seed: int = 0) -> Planted:
    """So many documents, in every second an item in one of FORMS."""
    draw = random.Random(seed)
    lexicon = ["".join(draw.choices(_SYLLABLES, k=draw.randint(1, 4))) for _ in range(400)]
    of_items = {f"item {i}": _item(draw, lexicon, i) for i in range(items)}
    texts, forms = {}, {}
    for number in range(documents):
        doc_id, parts = f"doc {number}", [_text(draw, lexicon, draw.randint(0, 60))]
        if number % 2:
            forms[doc_id] = draw.choice(list(FORMS))
            item = draw.choice(list(of_items.values()))
            parts += [FORMS[forms[doc_id]](item, draw), _text(draw, lexicon, draw.randint(0, 60))]
        texts[doc_id] = draw.choice((" ", "\n", "\n\n")).join(parts) or "empty"
    return Planted(texts, of_items, forms)


def _item(draw: random.Random, lexicon: list[str], number: int) -> str:
    """Every fourth is short, some are shorter than any that is looked for, some are in Han, and
    many begin alike."""
    if number % 11 == 5:
        return "".join(draw.choices(_HAN, k=draw.randint(3, 60))) + "。"
    length = draw.randint(3, 12) if number % 4 == 3 else draw.randint(13, 60)
    begin = "What is the name of the following" if number % 3 == 0 else ""
    return f"{begin} {_text(draw, lexicon, length)}".strip()


def _text(draw: random.Random, lexicon: list[str], length: int) -> str:
    return " ".join(
        draw.choice(_COMMON) if draw.random() < 0.3 else draw.choice(lexicon) for _ in range(length)
    )
