"""Copies of documents, spoilt on purpose: what a scorer of quality must put below the originals.

A spoiler takes a text, a text of the same or of another source, and a source of random numbers. It
gives the spoilt copy, or None where it cannot be applied: the text is too short, or has too little
of what is to be spoilt. A copy is never equal to its original. It has as many characters, so that
length tells nothing; only `answers_swapped` may differ, by at most a fifth in either direction.
How much is spoilt depends on nothing but the text: it is the same in every source.
"""

import functools
import re
from collections.abc import Callable, Sequence
from random import Random

from mira_spark.corpus.text_kinds import ANSWER, TextKind, is_json, kind_of_text, turn_beginnings

Spoiler = Callable[[str, str, Random], str | None]

MIN_CHARACTERS = 100
MIN_PLACES = 8
"""Fewer words, names, brackets or values than this are not spoilt."""
REPLACED_SHARE = 0.6
"""Of a text's characters, where boilerplate or a text of another source stands in their place."""
DROPPED_SHARE = 0.5
"""Of a text's brackets."""
MAX_LENGTH_CHANGE = 0.2
"""Of a text's characters, by `answers_swapped`."""

_LETTERS = "\u3040-\u30ff\u3400-\u9fff"  # each a word: their languages put no blanks between words
_WORD = re.compile(rf"[{_LETTERS}]|[^\s{_LETTERS}]+")
_BETWEEN_WORDS = re.compile(r"(\n\s*\n|^@@@@? .*$)", re.MULTILINE)
"""What parts paragraphs, and the marks of a conversation."""
_JSON_VALUE = re.compile(r'("(?:\\.|[^"\\\n])*+"?)(\s*:)?|-?\d[\d.eE+-]*|true|false|null')
_CELL = re.compile(r"[^\s,;|]+")
_NAME = re.compile(
    r'(?P<other>"""[\s\S]*?(?:"""|\Z)|\'\'\'[\s\S]*?(?:\'\'\'|\Z)|/\*[\s\S]*?(?:\*/|\Z)|//.*|#.*'
    r'|"(?:\\.|[^"\\\n])*+"?|\'(?:\\.|[^\'\\\n])*+\'?)|[^\W\d]\w{2,}'
)
_KEYWORDS = {
    "and", "async", "await", "bool", "break", "case", "catch", "char", "class", "const",
    "continue", "def", "default", "del", "double", "elif", "else", "enum", "except", "extern",
    "False", "finally", "float", "fn", "for", "from", "func", "function", "global", "goto", "if",
    "impl", "import", "int", "interface", "let", "long", "match", "namespace", "new", "None",
    "not", "null", "package", "pass", "private", "public", "raise", "return", "self", "short",
    "signed", "sizeof", "static", "str", "struct", "switch", "template", "this", "throw", "True",
    "try", "typedef", "typename", "union", "unsigned", "use", "using", "var", "void", "while",
    "with", "yield",
}  # fmt: skip
_WEB_BOILERPLATE = (
    "We use cookies to give you the best experience on our website.",
    "By continuing to browse you agree to our terms of service and privacy policy.",
    "Home | About us | Products | Support | Contact | Sitemap",
    "Sign up for our newsletter and never miss an update.",
    "Share this page: Facebook, Twitter, LinkedIn, e-mail.",
    "Please enable JavaScript to view the comments.",
    "All rights reserved. No part of this page may be reproduced without permission.",
    "Click here to read more.",
    "You must be logged in to post a comment.",
    "Page not found. Go back to the start page.",
)
_CODE_BOILERPLATE = (
    "This file was generated automatically. Do not edit.",
    "Licensed under the terms in the file LICENSE. All rights reserved.",
    "THE SOFTWARE IS PROVIDED AS IS, WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED.",
    "TODO: write this part.",
    "Placeholder, to be filled in.",
    "----------------------------------------------------------------",
    "Add your code here.",
    "End of section.",
)


def _spoiler(spoil: Spoiler) -> Spoiler:
    @functools.wraps(spoil)
    def checked(text: str, other: str, random: Random) -> str | None:
        copy = spoil(text, other, random) if len(text) >= MIN_CHARACTERS else None
        return None if copy == text else copy

    return checked


def _shuffled(text: str, places: Sequence[re.Match[str]], random: Random) -> str:
    """The text with what stands in these places put in another order."""
    pieces = [place[0] for place in places]
    random.shuffle(pieces)
    return _replaced(text, places, pieces)


def _replaced(text: str, places: Sequence[re.Match[str]], pieces: Sequence[str]) -> str:
    parts, end = [], 0
    for place, piece in zip(places, pieces, strict=True):
        parts += [text[end : place.start()], piece]
        end = place.end()
    return "".join(parts) + text[end:]


def _stretched(lines: Sequence[str], characters: int) -> str:
    """These lines again and again, cut to so many characters."""
    text = "\n".join(lines) + "\n"
    return (text * (characters // len(text) + 1))[:characters]


@_spoiler
def words_shuffled(text: str, other: str, random: Random) -> str | None:
    """The words of each paragraph, or under each mark, in another order."""
    parts = _BETWEEN_WORDS.split(text)
    words = [[] if n % 2 else list(_WORD.finditer(part)) for n, part in enumerate(parts)]
    if max(map(len, words)) < MIN_PLACES:
        return None
    return "".join(_shuffled(part, found, random) for part, found in zip(parts, words, strict=True))


@_spoiler
def answers_swapped(text: str, other: str, random: Random) -> str | None:
    """The question with the answer to another of the same source."""
    ours, theirs = ANSWER.search(text), ANSWER.search(other)
    if ours is None or theirs is None:
        return None
    copy = text[: ours.end()] + other[theirs.end() :]
    return copy if abs(len(copy) - len(text)) <= MAX_LENGTH_CHANGE * len(text) else None


@_spoiler
def turns_shuffled(text: str, other: str, random: Random) -> str | None:
    """The speakers in their order, what they say in another."""
    turns = turn_beginnings(text)
    if len(turns) < 4:
        return None
    ends = [turn.start() for turn in turns[1:]] + [len(text)]
    said = [text[turn.end() : end].rstrip() for turn, end in zip(turns, ends, strict=True)]
    gaps = [text[turn.end() + len(w) : end] for turn, w, end in zip(turns, said, ends, strict=True)]
    random.shuffle(said)
    parts = (turn[0] + words + gap for turn, words, gap in zip(turns, said, gaps, strict=True))
    return text[: turns[0].start()] + "".join(parts)


@_spoiler
def identifiers_scrambled(text: str, other: str, random: Random) -> str | None:
    """The letters of every name in another order, at each of its places anew; keywords, strings
    and comments stay."""
    names = [m for m in _NAME.finditer(text) if not m["other"] and m[0] not in _KEYWORDS]
    if len(names) < MIN_PLACES:
        return None
    return _replaced(text, names, ["".join(random.sample(m[0], len(m[0]))) for m in names])


@_spoiler
def brackets_dropped(text: str, other: str, random: Random) -> str | None:
    """A blank in the place of half of the brackets."""
    brackets = list(re.finditer(r"[()\[\]{}]", text))
    if len(brackets) < MIN_PLACES:
        return None
    dropped = random.sample(brackets, round(DROPPED_SHARE * len(brackets)))
    dropped.sort(key=lambda match: match.start())
    return _replaced(text, dropped, [" "] * len(dropped))


@_spoiler
def values_shuffled(text: str, other: str, random: Random) -> str | None:
    """The values of all rows and columns in another order; the keys of JSON stay."""
    if is_json(text):
        values = [match for match in _JSON_VALUE.finditer(text) if match[2] is None]
    else:
        values = list(_CELL.finditer(text))
    return _shuffled(text, values, random) if len(values) >= MIN_PLACES else None


@_spoiler
def rows_cut(text: str, other: str, random: Random) -> str | None:
    """Every row cut somewhere, and the end of another behind it."""
    rows = text.split("\n")
    if len(rows) < MIN_PLACES:
        return None
    cuts = [random.randint(0, len(row)) for row in rows]
    ends = [row[cut:] for row, cut in zip(rows, cuts, strict=True)]
    random.shuffle(ends)
    return "\n".join(row[:cut] + end for row, cut, end in zip(rows, cuts, ends, strict=True))


@_spoiler
def cut_and_repeated(text: str, other: str, random: Random) -> str | None:
    """A beginning of a quarter to a half of the text, again and again."""
    beginning = text[: int(random.uniform(0.25, 0.5) * len(text))]
    return (beginning * 5)[: len(text)]


@_spoiler
def boilerplate_instead(text: str, other: str, random: Random) -> str | None:
    """A beginning of the text, then sentences that stand on every page, or in every file."""
    characters = round(REPLACED_SHARE * len(text))
    lines = list(_WEB_BOILERPLATE)
    if kind_of_text(text) == "code":
        sign = "//" if re.search(r"[;{]\s*$", text, re.MULTILINE) else "#"
        lines = [f"{sign} {line}" for line in _CODE_BOILERPLATE]
    random.shuffle(lines)
    beginning = text[: len(text) - characters]
    return beginning[:-1] + "\n" + _stretched(lines, characters)


@_spoiler
def foreign_text(text: str, other: str, random: Random) -> str | None:
    """A stretch of a text of another source in the place of the middle."""
    characters = round(REPLACED_SHARE * len(text))
    if len(other) < characters:
        return None
    start = random.randint(0, len(text) - characters)
    taken = random.randint(0, len(other) - characters)
    return text[:start] + other[taken : taken + characters] + text[start + characters :]


_ALWAYS = (cut_and_repeated, foreign_text)
SPOILERS: dict[TextKind, tuple[Spoiler, ...]] = {
    "prose": (words_shuffled, boilerplate_instead, *_ALWAYS),
    "code": (identifiers_scrambled, brackets_dropped, boilerplate_instead, *_ALWAYS),
    "question_answer": (words_shuffled, answers_swapped, boilerplate_instead, *_ALWAYS),
    "dialogue": (words_shuffled, turns_shuffled, boilerplate_instead, *_ALWAYS),
    "data": (values_shuffled, rows_cut, brackets_dropped, *_ALWAYS),
}
"""How each kind of text is spoilt. All that can be applied are, to every document."""
