"""Properties of question-answer pairs and dialogues: what is asked and how well it is answered."""

import re
from collections.abc import Callable
from statistics import fmean

from mira_spark.judges.heuristic.measures import (
    Document,
    Measurement,
    Property,
    log_ramp,
    peak,
    ramp,
    words_of,
)

_ASKERS = frozenset(("question", "q", "user", "human"))
_SIGNATURE = re.compile(r"(?:def|function)\s+\w+\s*\(([^()]*+)")
_PARAMETER = re.compile(r"(?:^|,)\s*\*{0,2}([A-Za-z_]\w*+)\s*(?=[:=,]|$)")
_TERM = re.compile(r"[A-Za-z_]\w{2,}+")
_SPECIFIC = re.compile(r"\b[a-z\d]+_\w+|\b\w+\(|\d[\d.]*+|`[^`\n]+`|[a-z][A-Z]|\w\.\w|\w=\S")
_TYPE = re.compile(
    r"\b(?:int|float|str|string|bool|boolean|list|tuple|dict|set|array|ndarray|array_like|object"
    r"|callable|bytes|None|True|False|optional|default|iterable|iterator|sequence|matrix|tensor"
    r"|instance|integer|scalar|shape|dtype|type|class|function|index|number|name|path|value)s?\b"
)
_CONDITION = re.compile(
    r"\b(?:if|when|unless|otherwise|must|cannot|only|except|error|raises?|invalid|default|optional"
    r"|not|None|should|may|whether|require[sd]?|empty|missing|fails?)\b",
    re.IGNORECASE,
)
_RETURN = re.compile(
    r"\b(?:returns?|returned|yields?|gives?|result(?:s|ing)?|outputs?|produces?|creates?|computes?)\b",
    re.IGNORECASE,
)
_EXAMPLE = re.compile(
    r">>>|```|^[ \t]*+(?:\.\.\. |In \[)|\bexamples?\b|::[ \t]*$|^ {8,}\S", re.I | re.M
)
_SECTION = re.compile(
    r"(?im)^[ \t]*(?::?(param\w*|arg\w*|returns?|yields?|raises?|examples?|notes?|see also"
    r"|references?|attributes?|warnings?|keyword args)\b[^\n:]{0,40}:?|\.\. \w+)"
)
_FORMATTING = re.compile(
    r"^\s*(?:[-*+•] |\d+[.)] |>>>|```|-{3,}|={3,}|:\w+|\.\. |\w+ ?:( |$)|\w+ \()"
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s|\n\s*\n")


def _of_sides(measure: Callable[[str, str], Measurement]) -> Callable[[Document], Measurement]:
    """The measure of what is asked and what is answered, where both say something."""

    def measured(document: Document) -> Measurement:
        turns = document.turns if document.kind == "dialogue" else ()
        asked = "\n".join(turn.text for turn in turns if turn.speaker in _ASKERS)
        answered = "\n".join(turn.text for turn in turns if turn.speaker not in _ASKERS)
        return measure(asked, answered) if asked.strip() and answered.strip() else None

    return measured


def _terms(text: str) -> set[str]:
    return {term.lower() for term in _TERM.findall(text)}


def _rate(pattern: re.Pattern[str], text: str) -> tuple[int, float]:
    """Matches, and matches per hundred words; at least ten words are assumed."""
    count = len(pattern.findall(text))
    return count, 100 * count / max(10, len(text.split()))


def _question_context(asked: str, answered: str) -> Measurement:
    words = len(asked.split())
    return log_ramp(words, 15, 70), f"the question has {words} words"


def _question_specificity(asked: str, answered: str) -> Measurement:
    count, rate = _rate(_SPECIFIC, asked)
    return ramp(rate, 15, 65), f"the question names {count} specifics"


def _answer_amount(asked: str, answered: str) -> Measurement:
    words = len(answered.split())
    return log_ramp(words, 3, 250), f"the answer has {words} words"


def _answer_proportion(asked: str, answered: str) -> Measurement:
    ratio = len(answered.split()) / len(asked.split())
    return log_ramp(ratio, 0, 8), f"the answer has {ratio:.2f} times the words of the question"


def _relevance(asked: str, answered: str) -> Measurement:
    terms = _terms(asked)
    if not terms:
        return None
    shared = len(terms & _terms(answered))
    return ramp(shared / len(terms), 0.0, 0.6), (
        f"{shared} of {len(terms)} terms of the question recur in the answer"
    )


def _novelty(asked: str, answered: str) -> Measurement:
    terms = _terms(answered)
    if not terms:
        return None
    fresh = len(terms - _terms(asked))
    return ramp(fresh / len(terms), 0.4, 1.0), (
        f"{fresh} of {len(terms)} terms of the answer are not in the question"
    )


def _parameters(asked: str, answered: str) -> Measurement:
    signatures = _SIGNATURE.findall(asked)
    names = {name for each in signatures for name in _PARAMETER.findall(each)} - {"self", "cls"}
    if not names:
        return None
    told = len(names & set(re.findall(r"\w+", answered)))
    return ramp(told / len(names), 0, 1), f"{told} of {len(names)} parameters are mentioned"


def _results(asked: str, answered: str) -> Measurement:
    count, rate = _rate(_RETURN, answered)
    return log_ramp(rate, 0, 12), f"the answer speaks of results {count} times"


def _worked_example(asked: str, answered: str) -> Measurement:
    count = len(_EXAMPLE.findall(answered))
    return log_ramp(count, 0, 12), f"the answer holds {count} lines of examples"


def _conditions(asked: str, answered: str) -> Measurement:
    count, rate = _rate(_CONDITION, answered)
    return log_ramp(rate, 0, 14), f"the answer states {count} conditions or failures"


def _type_detail(asked: str, answered: str) -> Measurement:
    count, rate = _rate(_TYPE, answered)
    return log_ramp(rate, 0, 25), f"the answer names types or values {count} times"


def _sections(asked: str, answered: str) -> Measurement:
    count = len({name.lower()[:4] for name in _SECTION.findall(answered) if name})
    return log_ramp(count, 0, 5), f"the answer has {count} kinds of sections"


def _balance(asked: str, answered: str) -> Measurement:
    words = len(answered.split())
    share = words / (words + len(asked.split()))
    return peak(share, 0.0, 0.5, 1.0), f"{share:.0%} of the words are in the answers"


def _opening(asked: str, answered: str) -> Measurement:
    words = len(_SENTENCE_END.split(answered, maxsplit=1)[0].split())
    return peak(words, 0, 11, 35), f"the answer opens with {words} words"


def _formatting(asked: str, answered: str) -> Measurement:
    rows = [row for row in answered.split("\n") if row.strip()]
    count = sum(bool(_FORMATTING.match(row[:200])) for row in rows)
    return ramp(count / len(rows), 0, 0.6), f"{count} of {len(rows)} answer lines are set apart"


def _answer_wording(asked: str, answered: str) -> Measurement:
    words = words_of(answered)
    if len(words) < 3:
        return None
    mean = fmean(map(len, words))
    return ramp(mean, 7.5, 3.5), f"a word of the answer has {mean:.1f} letters on average"


PROPERTIES: tuple[Property, ...] = (
    Property(
        "question context", "How many words the question gives.", 4, _of_sides(_question_context)
    ),
    Property(
        "question specificity",
        "How many names, calls and figures the question holds, for its length.",
        2,
        _of_sides(_question_specificity),
    ),
    Property("answer substance", "How many words the answer gives.", 6, _of_sides(_answer_amount)),
    Property(
        "answer proportion",
        "How long the answer is compared with the question.",
        4,
        _of_sides(_answer_proportion),
    ),
    Property(
        "answer relevance",
        "The share of the terms of the question that recur in the answer.",
        3,
        _of_sides(_relevance),
    ),
    Property(
        "answer novelty",
        "The share of the terms of the answer that are not in the question.",
        7,
        _of_sides(_novelty),
    ),
    Property(
        "parameter coverage",
        "The share of the parameters in the question that the answer mentions.",
        10,
        _of_sides(_parameters),
    ),
    Property(
        "result description", "How often the answer speaks of what results.", 3, _of_sides(_results)
    ),
    Property(
        "worked example",
        "How many lines of examples the answer holds.",
        0,
        _of_sides(_worked_example),
    ),
    Property(
        "condition coverage",
        "How often the answer states conditions, limits and failures.",
        5,
        _of_sides(_conditions),
    ),
    Property(
        "type detail", "How often the answer names types and values.", 6, _of_sides(_type_detail)
    ),
    Property(
        "section completeness",
        "How many kinds of sections the answer is divided into.",
        4,
        _of_sides(_sections),
    ),
    Property(
        "turn balance", "How evenly words are divided between the sides.", 7, _of_sides(_balance)
    ),
    Property(
        "opening summary",
        "Whether the answer opens with one short sentence.",
        7,
        _of_sides(_opening),
    ),
    Property(
        "answer formatting",
        "The share of answer lines set apart as fields, items or code.",
        6,
        _of_sides(_formatting),
    ),
    Property(
        "plain wording", "How short the words of the answer are.", 7, _of_sides(_answer_wording)
    ),
)
