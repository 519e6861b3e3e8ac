"""Properties of prose: documentation, web text, and what comments and docstrings say."""

import re
from collections import Counter
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

_STOP_WORDS = frozenset(
    words_of(
        "a about after all also an and any are as at be because been before but by can could do "
        "does each for from had has have how if in into is it its may more most must no not of "
        "on one only or other our over same should so some such than that the their them then "
        "there these they this those to under up use used using was we were what when where "
        "which while who will with would you your"
    )
)
_CONNECTIVES = frozenset(
    words_of(
        "although because but consequently either except hence however if instead otherwise "
        "rather since so than then therefore though thus unless until when whenever where "
        "whereas whether while without"
    )
)
_HEDGES = frozenset(
    words_of(
        "almost apparently arguably could fairly generally guess hopefully likely may maybe "
        "might mostly often perhaps possibly potentially presumably probably quite roughly seem "
        "seems should somewhat sometimes sort suppose think typically usually"
    )
)
_LEGAL = frozenset(
    words_of(
        "agreement applicable author authors claim claims condition conditions copies copyright "
        "damages disclaimer distribute distribution express granted herein holder holders "
        "implied infringement liability liable licence license licensed licenses licensor "
        "merchantability notice permission permissions permitted redistribution reproduce "
        "reserved rights sublicense terms trademark warranties warranty"
    )
)
_EXAMPLE_LINE = re.compile(
    r"^(?:\s*(?:>>>|\.\.\. |\$ |In \[)|\s*(?:```|~~~|\.\. code)| {4,}\S)|\bexamples?\b|\be\.g\.",
    re.IGNORECASE,
)
_STRUCTURE_LINE = re.compile(
    r"^\s*(?:#{1,6} |[-*+•] |\d+[.)] |={3,}|-{3,}|~{3,}|\.\. |:\w|\|| ?@\w|\w[\w ]{0,30}:\s*$)"
)
_LINK = re.compile(r"https?://|www\.|\]\(|`_|<[\w.+-]{1,64}@|\.(?:com|org|io|net)\b")
_TERM = re.compile(r"``?[^`\n]{1,80}`|\b\w+\(|\b[a-z\d]+_\w+|\b[a-z]+[A-Z]\w*|\b[A-Z]{2,}\b|\w\.\w")
_SPECIFIC = re.compile(r"\d[\d.,]*+|\b[A-Z][a-z]+[A-Z]\w*|[\"“`][^\"”`\n]{1,60}[\"”`]")
_END = re.compile(r"[.!?:][\"')\]]*$")
_COMMA = re.compile(r"[,;:()\u2013\u2014]")


def _has_prose(document: Document) -> bool:
    return len(document.prose_words) >= 15


def _share(document: Document, listed: frozenset[str]) -> tuple[int, float]:
    count = sum(map(listed.__contains__, document.prose_words))
    return count, 100 * count / len(document.prose_words)


def _sentence_length(document: Document) -> Measurement:
    if not _has_prose(document) or not document.sentences:
        return None
    mean = fmean(len(sentence.split()) for sentence in document.sentences)
    return peak(mean, 2, 16, 45), f"a sentence has {mean:.1f} words on average"


def _sentence_variety(document: Document) -> Measurement:
    lengths = [len(sentence.split()) for sentence in document.sentences]
    if not _has_prose(document) or len(lengths) < 3:
        return None
    mean = fmean(lengths)
    spread = fmean(abs(length - mean) for length in lengths) / mean
    return ramp(spread, 0.1, 0.9), f"sentence lengths deviate by {spread:.0%} of their mean"


def _structure(document: Document) -> Measurement:
    rows = [row for row in document.prose.split("\n") if row.strip()]
    if not _has_prose(document) or len(rows) < 3:
        return None
    count = sum(bool(_STRUCTURE_LINE.match(row[:200])) for row in rows)
    rate = 100 * count / len(rows)
    return log_ramp(rate, 0, 50), f"{count} of {len(rows)} lines are headings, items or fields"


def _phrase_repetition(document: Document) -> Measurement:
    words = document.prose_words[:2000]
    if len(words) < 15:
        return None
    phrases = Counter(zip(words, words[1:], words[2:], strict=False))
    share = len(phrases) / (len(words) - 2)
    return ramp(share, 0.5, 1.0), f"{share:.0%} of the three-word phrases are distinct"


def _completeness(document: Document) -> Measurement:
    if not _has_prose(document) or not document.paragraphs:
        return None
    ended = sum(bool(_END.search(part[-200:].rstrip())) for part in document.paragraphs)
    share = ended / len(document.paragraphs)
    return ramp(share, 0, 1), f"{ended} of {len(document.paragraphs)} paragraphs end a sentence"


def _boilerplate(document: Document) -> Measurement:
    if not _has_prose(document):
        return None
    count, rate = _share(document, _LEGAL)
    return log_ramp(rate, 22, 0), f"{count} legal terms among {len(document.prose_words)} words"


def _links(document: Document) -> Measurement:
    if not _has_prose(document):
        return None
    count = len(_LINK.findall(document.prose))
    rate = 100 * count / len(document.prose_words)
    return log_ramp(rate, 12, 0), f"{count} links among {len(document.prose_words)} words"


def _examples(document: Document) -> Measurement:
    rows = [row for row in document.prose.split("\n") if row.strip()]
    if not _has_prose(document):
        return None
    count = sum(bool(_EXAMPLE_LINE.search(row[:200])) for row in rows)
    return log_ramp(100 * count / len(rows), 0, 50), f"{count} of {len(rows)} lines show an example"


def _paragraph_shape(document: Document) -> Measurement:
    if not _has_prose(document) or not document.paragraphs:
        return None
    mean = len(document.prose_words) / len(document.paragraphs)
    score = min(log_ramp(mean, 2, 40), log_ramp(mean, 400, 40))
    return score, f"a paragraph has {mean:.0f} words on average"


def _capitalisation(document: Document) -> Measurement:
    starts = [
        letter for part in document.sentences if (letter := part.lstrip("-*#>` ")[:1]).isalpha()
    ]
    if not _has_prose(document) or not starts:
        return None
    upper = sum(map(str.isupper, starts))
    return ramp(upper / len(starts), 0.2, 1.0), (
        f"{upper} of {len(starts)} sentences start with a capital"
    )


def _fluency(document: Document) -> Measurement:
    if not _has_prose(document):
        return None
    count, rate = _share(document, _STOP_WORDS)
    return ramp(rate, 8, 48), f"{count} function words among {len(document.prose_words)} words"


def _specifics(document: Document) -> Measurement:
    if not _has_prose(document):
        return None
    count = len(_SPECIFIC.findall(document.prose))
    rate = 100 * count / len(document.prose_words)
    return log_ramp(rate, 0, 40), f"{count} figures, quotations or proper terms occur"


def _readability(document: Document) -> Measurement:
    if not _has_prose(document) or not document.sentences:
        return None
    letters = fmean(map(len, document.prose_words))
    words = fmean(len(sentence.split()) for sentence in document.sentences)
    grade = 4.71 * letters + 0.5 * words - 21.43
    return ramp(grade, 20, 2), f"the reading grade is {grade:.1f}"


def _reasoning(document: Document) -> Measurement:
    if not _has_prose(document):
        return None
    count, rate = _share(document, _CONNECTIVES)
    return log_ramp(rate, 0, 7), f"{count} connectives among {len(document.prose_words)} words"


def _assertiveness(document: Document) -> Measurement:
    if not _has_prose(document):
        return None
    count, rate = _share(document, _HEDGES)
    return log_ramp(rate, 4, 0), f"{count} hedges among {len(document.prose_words)} words"


def _terms(document: Document) -> Measurement:
    if not _has_prose(document):
        return None
    count = len(_TERM.findall(document.prose))
    rate = 100 * count / len(document.prose_words)
    return log_ramp(rate, 0, 60), f"{count} technical terms among {len(document.prose_words)} words"


def _punctuation(document: Document) -> Measurement:
    if not _has_prose(document):
        return None
    rate = 100 * len(_COMMA.findall(document.prose)) / len(document.prose_words)
    return log_ramp(rate, 80, 4), f"{rate:.0f} inner punctuation marks per hundred words"


PROPERTIES: tuple[Property, ...] = (
    Property(
        "sentence length",
        "Whether sentences are of moderate length, about sixteen words.",
        6,
        _sentence_length,
    ),
    Property("sentence variety", "How much the sentences differ in length.", 6, _sentence_variety),
    Property("structure", "The share of headings, list items and field names.", 5, _structure),
    Property(
        "phrase repetition",
        "The share of three-word phrases that are not repeated.",
        9,
        _phrase_repetition,
    ),
    Property("completeness", "The share of paragraphs that end a sentence.", 5, _completeness),
    Property("boilerplate", "How few terms of licences and legal notices occur.", 10, _boilerplate),
    Property("link density", "How few links and addresses interrupt the words.", 10, _links),
    Property("example presence", "The share of lines that show an example.", 0, _examples),
    Property(
        "paragraph shape",
        "Whether paragraphs have about forty words rather than a few or hundreds.",
        8,
        _paragraph_shape,
    ),
    Property(
        "capitalisation", "The share of sentences that start with a capital.", 8, _capitalisation
    ),
    Property("fluency", "The share of function words, as in running sentences.", 6, _fluency),
    Property("specificity", "How many figures and proper terms the words hold.", 5, _specifics),
    Property(
        "readability",
        "How low the reading grade is, from word and sentence lengths.",
        6,
        _readability,
    ),
    Property(
        "reasoning", "How often connectives state a reason, condition or contrast.", 4, _reasoning
    ),
    Property("assertiveness", "How few words hedge what is said.", 10, _assertiveness),
    Property("technical vocabulary", "How many code names and technical terms occur.", 6, _terms),
    Property(
        "plain punctuation", "How few marks interrupt the flow of a sentence.", 6, _punctuation
    ),
)
