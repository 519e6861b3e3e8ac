"""Properties of any text: its substance, its repetition, the shape of its lines."""

import re
import zlib
from collections import Counter
from string import punctuation

from mira_spark.judges.heuristic.measures import (
    Document,
    Measurement,
    Property,
    log_ramp,
    peak,
    ramp,
)

_DIGITS = re.compile(r"\d+")
_LETTERS = re.compile(r"[^\W\d_]+")
_DATA_SHAPE = re.compile(r"\"[^\"\n]*+\"|'[^'\n]*+'|\d[\d.]*+|[^\W\d]\w*+")


def _amount(document: Document) -> Measurement:
    words = len(document.words)
    return log_ramp(words, 20, 2000), f"{words} words are shown"


def _line_repetition(document: Document) -> Measurement:
    rows = [bare for line in document.lines if len(bare := line.strip()) > 3]
    if len(rows) < 5:
        return None
    distinct = len(set(rows))
    return ramp(distinct / len(rows), 0.6, 1.0), f"{distinct} of {len(rows)} lines are distinct"


def _information_density(document: Document) -> Measurement:
    raw = document.text.encode("utf-8", "replace")[:16_384]
    if len(raw) < 200:
        return None
    share = len(zlib.compress(raw, 6)) / len(raw)
    expected = 1.05 - 0.08 * (len(raw).bit_length() - 6)
    return ramp(share / expected, 0.3, 1.0), f"compression leaves {share:.0%} of the bytes"


def _symbol_density(document: Document) -> Measurement:
    visible = sum(map(len, document.lines)) - sum(line.count(" ") for line in document.lines)
    if visible < 50:
        return None
    share = sum(map(document.text.count, punctuation)) / visible
    return ramp(share, 0.35, 0.02), f"{share:.0%} of the visible characters are symbols"


def _line_length(document: Document) -> Measurement:
    if len(document.lines) < 3:
        return None
    lengths = sorted(map(len, document.lines))
    longest = lengths[int(len(lengths) * 0.9)]
    return log_ramp(longest, 160, 40), f"nine lines in ten have at most {longest} characters"


def _spacing(document: Document) -> Measurement:
    rows = document.text.strip().count("\n") + 1
    if rows < 8:
        return None
    blank = 1 - len(document.lines) / rows
    return ramp(blank, 0.0, 0.3), f"{max(0.0, blank):.0%} of the lines are blank"


def _shape_variety(document: Document) -> Measurement:
    rows = len(document.lines)
    if rows < 5:
        return None
    shaped = _LETTERS.sub("a", _DIGITS.sub("0", "\n".join(document.lines)))
    shapes = len(set(map(str.lstrip, shaped.split("\n"))))
    return ramp(shapes / rows, 0.2, 0.95), f"{shapes} line shapes occur among {rows} lines"


def _indentation(document: Document) -> Measurement:
    indents = [len(row) - len(row.lstrip(" ")) for row in document.lines if row[:1] in " \t"]
    if len(indents) < 3 or document.kind in ("prose", "dialogue"):
        return None
    steps = Counter(indents)
    regular = sum(count for width, count in steps.items() if width % 4 == 0)
    pairs = sum(count for width, count in steps.items() if width % 2 == 0 and width)
    unit = 4 if regular >= 0.75 * pairs else 2
    whole = regular if unit == 4 else pairs
    share = whole / len(indents)
    return log_ramp(
        100 * (1 - share), 40, 0
    ), f"{share:.0%} of the indents are whole steps of {unit} spaces"


def _indent_depth(document: Document) -> Measurement:
    if not document.is_lined:
        return None
    indents = [len(row) - len(row.lstrip()) for row in document.lines]
    mean = sum(indents) / len(indents)
    return ramp(mean, 12, 0), f"a line is indented by {mean:.1f} characters on average"


def _number_share(document: Document) -> Measurement:
    figures = len(_DIGITS.findall(document.text))
    tokens = figures + len(document.words)
    if tokens < 20:
        return None
    share = figures / tokens
    return log_ramp(100 * share, 0, 30), f"{figures} figures occur among {tokens} tokens"


def _vocabulary(document: Document) -> Measurement:
    words = document.words[:2000]
    if len(words) < 50:
        return None
    size = 50
    starts = range(0, len(words) - size + 1, size)
    share = sum(len(set(words[at : at + size])) for at in starts) / (size * len(starts))
    return ramp(share, 0.35, 0.85), f"{share:.0%} of the words in a run of {size} are distinct"


def _word_length(document: Document) -> Measurement:
    if len(document.words) < 20:
        return None
    mean = sum(map(len, document.words)) / len(document.words)
    return ramp(mean, 3.5, 7.0), f"a word has {mean:.1f} letters on average"


def _record_regularity(document: Document) -> Measurement:
    if document.kind != "data" or len(document.lines) < 5:
        return None
    shapes = Counter(_DATA_SHAPE.sub("v", line[:200]) for line in document.lines)
    common = sum(count for _, count in shapes.most_common(3)) / len(document.lines)
    return ramp(common, 0.2, 1.0), f"the 3 commonest record shapes cover {common:.0%} of the lines"


def _line_evenness(document: Document) -> Measurement:
    if len(document.lines) < 5:
        return None
    lengths = list(map(len, document.lines))
    mean = sum(lengths) / len(lengths)
    deviation = (sum((length - mean) ** 2 for length in lengths) / len(lengths)) ** 0.5
    return peak(deviation / mean, 0.0, 0.35, 1.0), (
        f"line lengths deviate by {deviation / mean:.0%} of their mean"
    )


PROPERTIES: tuple[Property, ...] = (
    Property("amount of content", "How many words the text offers.", 7, _amount),
    Property(
        "line repetition",
        "The share of longer lines that are not copies of another line.",
        9,
        _line_repetition,
    ),
    Property(
        "information density",
        "How little the text shrinks under compression, for its length.",
        6,
        _information_density,
    ),
    Property(
        "symbol density",
        "How few of the visible characters are punctuation or other symbols.",
        5,
        _symbol_density,
    ),
    Property("line length", "How short the longer lines are.", 6, _line_length),
    Property("visual spacing", "The share of blank lines that set parts apart.", 6, _spacing),
    Property(
        "line shape variety",
        "How many different line shapes occur, which is few in tables and generated text.",
        7,
        _shape_variety,
    ),
    Property(
        "indentation consistency",
        "The share of indented lines that sit on whole steps of one unit.",
        10,
        _indentation,
    ),
    Property("indentation depth", "How little the lines are indented.", 7, _indent_depth),
    Property("use of figures", "How many tokens are numbers.", 4, _number_share),
    Property(
        "vocabulary richness",
        "The share of distinct words within short runs of words.",
        6,
        _vocabulary,
    ),
    Property("word length", "How many letters a word has.", 5, _word_length),
    Property(
        "record regularity",
        "How much of a data file follows its few commonest record shapes.",
        5,
        _record_regularity,
    ),
    Property(
        "line evenness",
        "Whether line lengths vary moderately rather than wildly or not at all.",
        7,
        _line_evenness,
    ),
)
