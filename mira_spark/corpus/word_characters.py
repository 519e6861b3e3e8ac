"""What each character is in normalised words.

Texts are compared by their words alone. A character is taken apart for compatibility and its case
folded (Unicode's NFKD, case folding, NFKD). Of what that gives, letters, numbers and spacing marks
(categories L, N, Mc) are of a word; other marks and format characters (Mn, Me, Cf: accents, soft
hyphens, joiners) are nothing; all else is between words, an underscore too. Han and kana, which are
written without spaces, are a word each.
"""

import functools
import re
import unicodedata
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

WORDS_VERSION = 1
"""Raised with every change of what a text's words are."""
FIRST_BEYOND = 0x323B0
"""The first character above all letters and numbers. Those above are between words, but for tags
and variation selectors, which are nothing."""
_SURROGATES = (0xD800, 0xE000)
_ALONE = re.compile("[\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
                    "\uf900-\ufaff\U0001aff0-\U0001b16f\U00020000-\U000323af]")  # fmt: skip
_IN_WORDS, _NOTHING = ("L", "N", "Mc"), ("Mn", "Me", "Cf")
_BETWEEN = "\n"  # stands between characters here; no character becomes one


class CharacterTable(NamedTuple):
    """Character c stands for the UTF-8 in `utf8[bounds[c] : bounds[c + 1]]`, of which spaces are
    between words and all else is of one. `bounds` is int32 [FIRST_BEYOND + 1]."""

    bounds: npt.NDArray[np.int32]
    utf8: npt.NDArray[np.uint8]


@functools.cache
def character_table() -> CharacterTable:
    """Of all characters below FIRST_BEYOND; made once for a process, in less than a second."""
    folded = _folded(_BETWEEN.join(map(_character, range(FIRST_BEYOND))))
    words = folded.translate({ord(c): _in_words(c) for c in set(folded) - {_BETWEEN}})
    mapped = _ALONE.sub(r" \g<0> ", words).split(_BETWEEN)
    pieces = [text.encode() for text in mapped]
    bounds = np.zeros(FIRST_BEYOND + 1, np.int32)
    np.cumsum([len(piece) for piece in pieces], out=bounds[1:])
    return CharacterTable(bounds, np.frombuffer(b"".join(pieces), np.uint8))


def _character(code: int) -> str:
    is_text = not _SURROGATES[0] <= code < _SURROGATES[1] and chr(code) != _BETWEEN
    return chr(code) if is_text else " "


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())


def _in_words(character: str) -> str:
    """What a character that is not taken apart further stands for."""
    category = unicodedata.category(character)
    if category.startswith(_IN_WORDS):
        return character
    return "" if category in _NOTHING else " "
