"""Properties of prose: running sentences, in the order that English has, and answers that take up
what is asked."""

import re
from itertools import pairwise
from statistics import fmean

from mira_spark.judges.heuristic.measures import PROSE, Document, Measurement, measured, share
from mira_spark.judges.heuristic.properties_text import C4, GOPHER, PERPLEXITY

_ARTICLES = {"a", "an", "every", "its", "my", "our", "the", "their", "your"}
_PREPOSITIONS = {"as", "at", "between", "by", "for", "from", "in", "into", "of", "on", "to", "with"}
_VERBS = {"are", "be", "been", "can", "do", "does", "had", "has", "have", "is", "may", "should",
          "was", "were", "will", "would"}  # fmt: skip
_LINKS = _VERBS | {"and", "but", "if", "or", "that", "when", "which", "while"}
_STOPS = {".", ",", ";", "!", "?"}
_PRONOUNS = {"he", "i", "it", "she", "there", "these", "they", "this", "those", "we", "you"}
STOP_WORDS = _ARTICLES | _PREPOSITIONS | _LINKS | _PRONOUNS | {
    "all", "also", "any", "each", "how", "more", "no", "not", "only", "other", "so", "some", "such",
    "than", "then", "what", "where", "who",
}  # fmt: skip
_AFTER_PREPOSITION = {"as", "be", "have", "if", "in", "that", "to", "which"}
_NEVER_AFTER = {
    word: after
    for words, after in (
        (_ARTICLES, _ARTICLES | _PREPOSITIONS | _LINKS | _PRONOUNS | _STOPS),
        (_PREPOSITIONS, (_PREPOSITIONS | _LINKS | _STOPS) - _AFTER_PREPOSITION),
        (_LINKS, {"of", ".", ";", "and", "or", "are", "is", "was", "were"}),
    )
    for word in words
}
_IN_ORDER = re.compile(r"[^\W\d_]++|[.,;!?](?=\s|$)|\S")
_PARAGRAPH_END = re.compile(r"\n[ \t]*+\n")
_ENDED = re.compile(r"[.!?:;][\"')\]*`_]*$")
_AFTER_STOP = re.compile(r"[^\W\d_]{3}[.!?]\s++([^\W\d_])")
_ITEM = re.compile(r"[-*+•|>=~#]|\d+[.)]|\.\. ")
_SYMBOL = re.compile(r"\.\.\.|[…#*|<>={}\\_~^\[\]+/@$%&]")
_ASKERS = ("question", "q", "user", "human")
_TERM = re.compile(r"[A-Z]?[a-z]{2,}+|[A-Z]{2,}+(?![a-z])")
_FIRST_SENTENCE = re.compile(r"(?<=[.!?])\s|\n\s*\n")
_SIGNATURE = re.compile(r"\b(?:def|function)\s+\w+\s*\(([^\n]*+)")
_PARAMETER = re.compile(r"(?:^|,)\s*\*{0,2}([A-Za-z_]\w*+)\s*(?=[:=,)]|$)")
_FORMULA = STOP_WORDS | {
    "called", "calls", "class", "def", "defined", "false", "function", "int", "made", "method",
    "module", "none", "self", "str", "true",
}  # fmt: skip


@measured(GOPHER, 0.1, 0.45)
def stop_words(document: Document) -> Measurement:
    """The share of function words, as in running sentences."""
    words = document.words
    return share(sum(word in STOP_WORDS for word in words), len(words), "words are function words")


@measured(PERPLEXITY, 0.15, 0.0, *PROSE)
def word_order(document: Document) -> Measurement:
    """How few function words stand before a word that cannot follow them."""
    in_order = _IN_ORDER.findall(document.prose.lower())
    pairs = [(word, after) for word, after in pairwise(in_order) if word in _NEVER_AFTER]
    odd = sum(after in _NEVER_AFTER[word] for word, after in pairs)
    return share(odd, len(pairs), "articles, prepositions and verbs are followed oddly", fewest=8)


@measured(C4, 0.3, 1.0, *PROSE)
def sentence_starts(document: Document) -> Measurement:
    """The share of full stops after which a capital begins."""
    starts = _AFTER_STOP.findall(document.prose)
    return share(sum(map(str.isupper, starts)), len(starts), "full stops precede a capital", 3)


@measured(f"{C4}; FineWeb, Penedo et al. 2024", 0.0, 0.9, *PROSE)
def paragraph_ends(document: Document) -> Measurement:
    """The share of paragraphs that end a sentence."""
    parts = [part.rstrip() for part in _PARAGRAPH_END.split(document.prose)]
    parts = [part for part in parts if len(part.split(maxsplit=6)) > 5]
    ended = sum(_ENDED.search(part[-8:]) is not None for part in parts)
    return share(ended, len(parts), "paragraphs come to an end")


@measured(f"{GOPHER}; FineWeb, Penedo et al. 2024", 0.2, 1.0)
def running_text(document: Document) -> Measurement:
    """How much of the text stands in full lines rather than in items and short ones."""
    rows = [bare for row in document.prose.split("\n") if (bare := row.strip())]
    running = sum(len(row) for row in rows if len(row) >= 30 and not _ITEM.match(row))
    return share(running, sum(map(len, rows)), "characters run on in full lines")


@measured(GOPHER, 0.6, 0.0)
def few_symbols(document: Document) -> Measurement:
    """How few symbols there are for the number of words."""
    return share(len(_SYMBOL.findall(document.prose)), len(document.words), "symbols to words")


def _said(document: Document, asking: bool) -> str:
    return "\n".join(said for side, said in document.turns if (side in _ASKERS) == asking)


def _terms(text: str) -> set[str]:
    """The beginnings of the words that carry a meaning, also inside names."""
    words = map(str.lower, _TERM.findall(text))
    return {word[:5] for word in words if len(word) > 2 and word not in _FORMULA}


@measured("word overlap of question and answer: WikiQA, Yang et al. 2015", 0.05, 0.45, "dialogue")
def answer_relevance(document: Document) -> Measurement:
    """How far the question, the answer and its first sentence share their terms."""
    answer = _said(document, asking=False)
    asked, answered = _terms(_said(document, asking=True)), _terms(answer)
    opening = _terms(_FIRST_SENTENCE.split(answer, maxsplit=1)[0]) or answered
    if len(asked) < 2 or not answered:
        return None
    shared = len(asked & answered)
    parts = (shared / len(asked), shared / len(answered), len(asked & opening) / len(opening))
    return fmean(parts), f"{shared} terms of {len(asked)} asked and {len(answered)} answered agree"


@measured("static check: darglint DAR101", 0.0, 1.0, "dialogue")
def explained_parameters(document: Document) -> Measurement:
    """The share of the parameters in the question that the answer mentions."""
    signatures = _SIGNATURE.findall(_said(document, asking=True))
    names = {name for each in signatures for name in _PARAMETER.findall(each)} - {"self", "cls"}
    mentioned = names.intersection(re.findall(r"\w+", _said(document, asking=False)))
    return share(len(mentioned), len(names), "parameters of the signature are explained")


@measured("turn taking: OpenAssistant, Köpf et al. 2023", 0.5, 1.0)
def full_turns(document: Document) -> Measurement:
    """The share of turns that say something and change the side."""
    good = sum(len(said.split(maxsplit=2)) > 1 for _, said in document.turns)
    good += sum(before != after for (before, _), (after, _) in pairwise(document.turns))
    return share(good, 2 * len(document.turns) - 1, "turns are taken and filled")


PROPERTIES = (
    stop_words, word_order, sentence_starts, paragraph_ends, running_text, few_symbols,
    answer_relevance, explained_parameters, full_turns,
)  # fmt: skip
