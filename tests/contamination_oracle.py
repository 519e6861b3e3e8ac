"""What documents hold of items, found in plain Python by looking at every pair."""

import unicodedata
from collections.abc import Iterator, Mapping
from fractions import Fraction
from math import ceil
from typing import NamedTuple

LETTERS_ALONE = ("CJK", "HIRAGANA", "KATAKANA", "HENTAIGANA", "IDEOGRAPHIC")
Ngram = tuple[str, ...]


class Held(NamedTuple):
    """A document that is contaminated by an item."""

    doc_id: str
    item_id: str
    position: int
    matches: int
    share: float


def words_and_places(text: str) -> tuple[list[str], list[int]]:
    """The normalised words, and at which character each begins."""
    words: list[str] = []
    places: list[int] = []
    is_inside = False
    for place, character in enumerate(text):
        for part in normal_forms(character):
            if part == " ":
                is_inside = False
                continue
            is_alone = unicodedata.name(part, "").startswith(LETTERS_ALONE)
            if is_inside and not is_alone:
                words[-1] += part
            else:
                words.append(part)
                places.append(place)
            is_inside = not is_alone
    return words, places


def normal_forms(text: str) -> Iterator[str]:
    """The characters of words that a text has, and a space for each that is between words."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    for character in folded:
        category = unicodedata.category(character)
        if category[0] in "LN" or category == "Mc":
            yield character
        elif category not in ("Mn", "Me", "Cf"):
            yield " "


def ngrams(text: str, size: int) -> dict[Ngram, int]:
    """The distinct n-grams, with the character at which the first of each begins."""
    words, places = words_and_places(text)
    found: dict[Ngram, int] = {}
    for first in range(len(words) - size + 1):
        found.setdefault(tuple(words[first : first + size]), places[first])
    return found


def contaminated(
    documents: Mapping[str, str],
    items: Mapping[str, str],
    words: int = 13,
    short_words: int = 5,
    share: Fraction = Fraction(4, 5),
) -> set[Held]:
    """Every document and item that it is contaminated by."""
    sought: dict[str, tuple[int, Fraction, dict[Ngram, int]]] = {}
    for item_id, text in items.items():
        is_long = len(words_and_places(text)[0]) >= words
        size, least = (words, Fraction(0)) if is_long else (short_words, share)
        sought[item_id] = size, least, ngrams(text, size)
    return {
        held
        for doc_id, text in documents.items()
        for held in _held(
            doc_id, {size: ngrams(text, size) for size in (words, short_words)}, sought
        )
    }


def _held(
    doc_id: str,
    there: Mapping[int, dict[Ngram, int]],
    sought: Mapping[str, tuple[int, Fraction, dict[Ngram, int]]],
) -> Iterator[Held]:
    for item_id, (size, least, of_item) in sought.items():
        matches = of_item.keys() & there[size].keys()
        if matches and len(matches) >= max(1, ceil(least * len(of_item))):
            position = min(there[size][ngram] for ngram in matches)
            yield Held(doc_id, item_id, position, len(matches), len(matches) / len(of_item))
