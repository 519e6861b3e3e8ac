"""Properties of any text: what repeats, how words are spelt, whether the parts belong together."""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import compress, pairwise

import numpy as np

from mira_spark.judges.heuristic.measures import CODE, PROSE, Document, Measurement, measured, share

GOPHER = "Gopher, Rae et al. 2021, A1"
C4 = "C4, Raffel et al. 2020"
CODEPARROT = "CodeParrot, Tunstall et al. 2022"
PERPLEXITY = "CCNet, Wenzek et al. 2020: what a language model finds likely"
COHESION = "lexical cohesion: TextTiling, Hearst 1997"
_EIGHTHS, _STRETCH = 8, 5
# After each letter those that make up 98.5 % of its followers in the words of installed Python
# packages, their documentation and licences.
_FOLLOWERS = {
    pairs[0]: pairs[1:]
    for pairs in re.findall(
        r"\w+",
        "abcdfgiklmnprstuvwxy baceijlorsuy cacehiklorstuy dadeilorstuy eabcdefgilmnopqrstvwxy "
        "faefilortuy gaeghilnorsu haeiortu iabcdefgklmnoprstvxz jeou kaeins ladefilopstuy "
        "mabeilmopsu nacdefgiklnopstuvy oabcdefgiklmnoprstuvw padehiloprstuy qu vaeio ze "
        "racdefgiklmnoprstuvwy sacefhiklmnopstuwy tacdefhilmoprstuwy uabcdefgilmnprst "
        "waehinorsw xaceipt yinoprst",
    )
}
_LETTER_RUN = re.compile(r"[A-Z]?[a-z]{2,}+")
_NAME_PART = re.compile(r"[A-Z]?[a-z]++|[A-Z]{2,}+")
_OPENING = {")": "(", "]": "[", "}": "{"}
_STOCK_PHRASES = (
    "lorem ipsum", "enable javascript", "cookie policy", "use cookies", "uses cookies",
    "use of cookies", "privacy policy", "terms of use", "terms of service", "sign up", "log in to",
    "logged in to", "newsletter", "click here", "share this", "read more", "page not found",
    "sitemap", "site map", "do not edit", "placeholder", "your code here", "write this part",
)  # fmt: skip
_SIGN = re.compile(r"[^\w\s]|\n *|\w (?=\w)|\d")


@measured(GOPHER, 0.3, 0.0, *CODE, *PROSE)
def distinct_lines(document: Document) -> Measurement:
    """How little of the text stands in lines that came before."""
    rows = [bare for line in document.lines if len(bare := line.strip()) > 5]
    total, distinct = sum(map(len, rows)), sum(map(len, set(rows)))
    applies = len(rows) >= 5 and document.kind != "data"
    return share(total - distinct, total, "characters repeat a line") if applies else None


@measured(GOPHER, 0.6, 0.05, *CODE, *PROSE)
def distinct_phrases(document: Document) -> Measurement:
    """How few words stand in a run of five that came before."""
    repeated = document.repeated(5) if document.kind != "data" else b""
    return share(sum(repeated), len(repeated), "words repeat a phrase of five", fewest=50)


@measured("Lee et al. 2022, exact substrings; RefinedWeb", 0.5, 0.0, *CODE, *PROSE, "data")
def distinct_passages(document: Document) -> Measurement:
    """How few words stand in a run of thirty that came before."""
    copied = document.copied
    return share(sum(copied), len(copied), "tokens copy a long passage", fewest=60)


@measured(PERPLEXITY, 0.6, 0.98, *CODE, *PROSE, "data")
def plain_spelling(document: Document) -> Measurement:
    """The share of words all of whose pairs of letters are common."""
    runs = [run.lower() for run in _LETTER_RUN.findall(document.text) if len(run) > 2]
    return share(sum(map(_is_plain, runs)), len(runs), "runs of letters are plainly spelt", 20)


@measured("full words in names, Lawrie et al. 2006", 0.4, 0.95, *CODE, *PROSE, "data")
def worded_names(document: Document) -> Measurement:
    """The share of distinct parts of names, or of words, that look like a whole word."""
    parts = set(_NAME_PART.findall(document.text))
    worded = sum(len(part) > 2 and _is_plain(part.lower()) for part in parts)
    return share(worded, len(parts), "different parts of names look like words", fewest=10)


@lru_cache(maxsize=2**16)
def _is_plain(run: str) -> bool:
    return all(after in _FOLLOWERS.get(letter, "") for letter, after in pairwise(run))


@measured("static check: pylint E0001", 0.5, 1.0, *CODE, "prose", "data")
def matched_brackets(document: Document) -> Measurement:
    """The share of brackets that open and close in order."""
    signs = re.findall(r"[()\[\]{}]", document.text)
    opened: list[str] = []
    matched = 0
    for sign in signs:
        if sign not in _OPENING:
            opened.append(sign)
        elif opened and opened[-1] == _OPENING[sign]:
            opened.pop()
            matched += 2
    return share(matched, len(signs), "brackets have their partner", fewest=6)


@measured(f"{C4}; RefinedWeb, Penedo et al. 2023", 0.03, 0.0, "code", *PROSE)
def own_content(document: Document) -> Measurement:
    """How few stock phrases of web pages and templates there are."""
    count = sum(map(document.text.lower().count, _STOCK_PHRASES))
    return share(count, len(document.tokens), "are stock phrases", fewest=20)


@measured(CODEPARROT, 0.4, 0.0, "data")
def line_length(document: Document) -> Measurement:
    """How little of the text lies beyond a hundred columns."""
    beyond = sum(max(0, len(line) - 100) for line in document.lines)
    return share(beyond, sum(map(len, document.lines)), "columns are past the hundredth", 100)


@measured(CODEPARROT, 0.5, 0.9, *CODE, "prose", "data")
def share_of_letters(document: Document) -> Measurement:
    """The share of the visible characters that are letters."""
    visible = "".join(document.lines).replace(" ", "")
    return share(sum(map(str.isalpha, visible)), len(visible), "visible signs are letters", 50)


@measured("RefinedWeb, Penedo et al. 2023", 0.4, 0.0, "python", "data")
def few_figures(document: Document) -> Measurement:
    """How few of the words are numbers."""
    count = sum(token[0].isdigit() for token in document.tokens)
    return share(count, len(document.tokens), "tokens begin with a figure", fewest=20)


@measured(COHESION, 0.0, 0.6, *CODE, *PROSE, "data")
def even_wording(document: Document) -> Measurement:
    """How well the longer words of any large stretch agree with those of the rest."""
    fresh = compress(document.tokens, (not copied for copied in document.copied))
    least = _agreement([word for word in fresh if len(word) > 3 and not word[0].isdigit()])
    return None if least is None else (least, f"vocabulary of the parts has cosine {least:.2f}")


@measured(COHESION, 0.3, 0.95, "code", *PROSE, "data")
def even_layout(document: Document) -> Measurement:
    """How well the signs, spacing and indents of any large stretch agree with those of the rest."""
    least = _agreement(_SIGN.findall("\n".join(dict.fromkeys(document.lines))))
    return None if least is None else (least, f"punctuation and indents differ to {least:.2f}")


def _agreement(pieces: Sequence[str]) -> float | None:
    """The least cosine, of root counts, between `_STRETCH` eighths in a row and the others."""
    if len(pieces) < 5 * _EIGHTHS:
        return None
    places: dict[str, int] = {}
    columns = np.array([places.setdefault(piece.lower(), len(places)) for piece in pieces])
    counts = np.zeros((_EIGHTHS, len(places)))
    np.add.at(counts, (np.arange(len(pieces)) * _EIGHTHS // len(pieces), columns), 1)
    starts = range(_EIGHTHS - _STRETCH + 1)
    inside = np.stack([counts[at : at + _STRETCH].sum(axis=0) for at in starts])
    outside = counts.sum(axis=0) - inside
    norms = np.sqrt(inside.sum(axis=1) * outside.sum(axis=1))
    return float((np.sqrt(inside * outside).sum(axis=1) / norms).min())


PROPERTIES = (
    distinct_lines, distinct_phrases, distinct_passages, plain_spelling, worded_names,
    matched_brackets, own_content, line_length, share_of_letters, few_figures, even_wording,
    even_layout,
)  # fmt: skip
