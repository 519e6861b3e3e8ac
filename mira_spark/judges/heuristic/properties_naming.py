"""Properties of how code reads: its names, comments and literals."""

import re

from mira_spark.judges.heuristic.measures import (
    Document,
    Measurement,
    Property,
    log_ramp,
    peak,
    ramp,
    words_of,
)

_KEYWORDS = frozenset(("True", "False", "None")).union(
    words_of(
        "and as assert async await break case catch class const continue def default del do "
        "elif else enum except export extern false final finally for from function global if "
        "import in int is lambda let new nonlocal not null or pass private public raise return "
        "self static struct switch this throw true try typedef typeof var void while with yield "
        "null"
    )
)
_SNAKE = re.compile(r"[a-z\d]_[a-z\d]")
_CAMEL = re.compile(r"[a-z\d][A-Z]")
_VOWEL = re.compile(r"[aeiouyAEIOUY]")
_CODE_IN_COMMENT = re.compile(
    r"\w\(.*\)|\w = \w|[;{}]\s*$|^\W*(?:if|for|while|return|import|print)\b.*[:;)]\s*$|\w\[\w+\]"
)
_GENERATED = re.compile(
    r"generated (?:by|from|using)|auto-?generated"
    r"|do not (?:edit|modify)|@generated|machine generated",
    re.IGNORECASE,
)


def _names(document: Document) -> set[str]:
    return {name for name in document.identifiers if name not in _KEYWORDS}


def _naming_clarity(document: Document) -> Measurement:
    names = _names(document) if document.is_lined else set()
    if len(names) < 5:
        return None
    clear = sum(len(name) > 3 and bool(_VOWEL.search(name)) for name in names)
    share = clear / len(names)
    return ramp(share, 0.6, 1.0), f"{clear} of {len(names)} names are longer than 3 letters"


def _name_length(document: Document) -> Measurement:
    names = _names(document) if document.is_lined else set()
    if len(names) < 5:
        return None
    mean = sum(map(len, names)) / len(names)
    return ramp(mean, 4, 13), f"a name has {mean:.1f} characters on average"


def _naming_consistency(document: Document) -> Measurement:
    names = _names(document) if document.is_lined else set()
    snake = sum(bool(_SNAKE.search(name)) for name in names)
    camel = sum(bool(_CAMEL.search(name)) for name in names)
    if len(names) < 5:
        return None
    share = (max(snake, camel) + 1) / (snake + camel + 2)
    return ramp(share, 0.5, 0.97), (
        f"{max(snake, camel)} of {snake + camel} compound names share one convention"
    )


def _identifier_vocabulary(document: Document) -> Measurement:
    seen = [name for name in document.identifiers if name not in _KEYWORDS][:1000]
    if not document.is_lined or len(seen) < 10:
        return None
    richness = len(set(seen)) / len(seen) ** 0.75
    return ramp(richness, 0.3, 2.2), f"{len(set(seen))} distinct names among {len(seen)} uses"


def _comment_density(document: Document) -> Measurement:
    if not document.is_code:
        return None
    rows = sum(comment.count("\n") + 1 for comment in document.lexed.comments)
    share = rows / len(document.lines)
    return log_ramp(100 * share, 0, 70), f"comments take {rows} of {len(document.lines)} lines"


def _commented_out(document: Document) -> Measurement:
    rows = [
        row for comment in document.lexed.comments for row in comment.split("\n") if row.strip()
    ]
    if not document.is_code or not rows:
        return None
    code = sum(bool(_CODE_IN_COMMENT.search(row[:200])) for row in rows)
    share = (code + 0.5) / (len(rows) + 2)
    return ramp(share, 0.5, 0.0), f"{code} of {len(rows)} comment lines look like code"


def _hand_written(document: Document) -> Measurement:
    if not document.is_lined or len(document.words) < 20:
        return None
    marks = len(_GENERATED.findall(document.text[:3000]))
    distinct = len(set(document.words)) / len(document.words) ** 0.75
    return ramp(distinct, 0.4, 2.2) / (1 + marks), (
        f"{marks} marks of generation and {len(set(document.words))} distinct words occur"
    )


def _literal_share(document: Document) -> Measurement:
    if not document.is_code:
        return None
    share = document.lexed.literal_characters / max(1, len(document.text))
    return log_ramp(100 * share, 70, 3), f"{share:.0%} of the characters stand in literals"


def _statement_density(document: Document) -> Measurement:
    if not document.is_code or not document.code_lines:
        return None
    mean = len(document.identifiers) / len(document.code_lines)
    return peak(mean, 0.0, 3.5, 9.0), f"a code line has {mean:.1f} names on average"


PROPERTIES: tuple[Property, ...] = (
    Property(
        "naming clarity",
        "The share of names with more than three letters and a vowel.",
        7,
        _naming_clarity,
    ),
    Property("name length", "How many characters a name has.", 5, _name_length),
    Property(
        "naming consistency",
        "The share of compound names that follow the same convention.",
        5,
        _naming_consistency,
    ),
    Property(
        "identifier vocabulary",
        "How many distinct names the code uses, for its length.",
        5,
        _identifier_vocabulary,
    ),
    Property("comment density", "The share of lines taken by comments.", 5, _comment_density),
    Property(
        "commented-out code",
        "How few of the comment lines look like code that was switched off.",
        8,
        _commented_out,
    ),
    Property(
        "hand-written character",
        "How varied the wording is, less where marks of generated files occur.",
        5,
        _hand_written,
    ),
    Property(
        "hard-coded text",
        "How little of the code consists of literal strings.",
        6,
        _literal_share,
    ),
    Property(
        "statement density",
        "Whether a line of code holds a few names rather than none or many.",
        8,
        _statement_density,
    ),
)
