"""Why a dimension that a judge found may not enter a rubric.

One hostile document must not bend the rubric of its group: a dimension may not order, address or
point anywhere. Only the wording is looked at; whether a dimension is any good is for a person to
say. It is written for English.
"""

import re
from collections.abc import Iterator

from mira_spark.judges.addressing import addresses_grader
from mira_spark.judges.defence import ESCAPE, enclosed, normalised

LONGEST_NAME = 60
LONGEST_DEFINITION = 400
"""In characters."""

_ADDRESS = re.compile(
    r"\w://|\bwww\.|\b(?:mailto|javascript|data):\S|[\w.+-]@[\w-]"
    r"|\b[a-z0-9-]+\.(?:com|org|net|io|ai|dev|edu|gov|info|app|xyz|co|me|ru|cn|de|fr|uk|eu)\b",
    re.IGNORECASE,
)
_ORDER = (
    r"(?:^|[.:;,!?(\u2013\u2014-]\s*|\b(?:always|just|must|never|not|please|shall|should|then)\s+)"
)
# Verbs that order where a clause begins with them, and verbs that are nouns as well ("answer
# relevance"), which order only with an object.
_VERB = "assign|award|disregard|forget|give|ignore|pretend|reply|respond|treat|visit|click|download"
_VERB_OR_NOUN = (
    "accept|act|add|answer|apply|be|choose|consider|do|execute|favou?r|follow|grade|keep|label|make"
    "|mark|open|output|penali[sz]e|pick|prefer|print|put|rank|rate|reject|return|reward|run|say"
    "|select|send|set|take|use|write"
)
_OBJECT = (
    "a|all|an|any|anything|as|document|each|every|everything|files?|full|high|highly|higher|it|its?"
    "|like|low|lower|maximum|me|no|nothing|only|texts?|that|the|them|these|this|those|to|with|yes"
    r"|zero|\d+"
)
_INSTRUCTION = re.compile(
    rf"{_ORDER}(?:(?:{_VERB})|(?:{_VERB_OR_NOUN})\s+(?:{_OBJECT}))\b"
    r"|\b(?:you|your|yours|yourself|do not|don't|please)\b"
    r"|\b(?:must|should|shall|has to|have to|ought to|needs? to) (?:always |never |not )*"
    r"(?:get|have|receive|win|be (?:accepted|chosen|favou?red|given|graded|kept|labell?ed|marked"
    r"|preferred|ranked|rated|rejected|selected|treated|trusted))\b",
    re.IGNORECASE,
)
_JUDGE = re.compile(
    r"\b(?:graders?|evaluators?|raters?|annotators?|scorers?|assessors?|labell?ers?|canary)\b"
    r"|\b(?:a|an|any|the|this|that|ai|our|as) (?:\w+ )?judges?\b|^judges?\b|\bjudge's\b|\bjudging\b"
    r"|\bscor(?:e|es|ed|ing)\b|\brubrics?\b|\b(?:10|ten)\s*(?:/|out of)\s*(?:10|ten)\b"
    r"|\b(?:full|top|maximum|highest|perfect|best) (?:possible )?(?:grade|mark|rating|point)s?\b"
    r"|\b(?:rated?|rating|grade|mark) (?:as |of |is |a )*(?:10|ten)\b"
    r"|\b(?:language|judging|reward|grading|ai|this|trained) models?\b|\b(?:llms?|chatbots?)\b"
    r"|\bthe model (?:gives?|is|judges?|must|outputs?|rates?|sees|shall|should|that|will)\b"
    r"|\b(?:ai|artificial intelligence) (?:assistants?|systems?)\b"
    r"|\b(?:above|hidden|initial|original|previous|prior|system|these) (?:prompts?|instructions?)\b"
    r"|\b(?:the|this) prompt\b"
    r"|\bthis (?:answer|output|response)\b|\b(?:answer|output|response) schema\b",
    re.IGNORECASE,
)
_QUOTED = re.compile(
    r"(?<!\w)'[^'\n]*'(?!\w)|\"[^\"\n]*\"|`[^`\n]*`|\u201c[^\u201d]*\u201d|\u2018[^\u2019]*\u2019"
)
_SENTENCE = re.compile(r"(?<=[.!?:;])\s+|[(\[]")
_WORD = re.compile(r"[^\W\d_][\w'\u2019]*")
# Capitalised words that name no one: the languages and formats a rubric may well speak of.
_COMMON = re.compile(
    "bash|boolean|camelcase|cobol|english|erlang|fortran|git|go|haskell|java|javascript|julia|kotlin"
    "|latex|latin|linux|lua|markdown|matlab|perl|posix|python|ruby|rust|scala|swift|typescript"
    "|unicode|unix|windows",
    re.IGNORECASE,
)


def problems(name: str, definition: str) -> list[str]:
    """Every reason to refuse a dimension; none when it may enter a rubric.

    Refused are instructions, addresses, mention of the judge and its work, proper names, hidden
    or control characters, parts of a prompt, and what is empty or too long. A proper name is a
    capitalised word inside a sentence, quoted evidence left out; at the start of a sentence and
    in a name in title case it cannot be told, and passes.
    """
    return [
        *_problems("name", name, LONGEST_NAME),
        *_problems("definition", definition, LONGEST_DEFINITION),
    ]


def _problems(what: str, text: str, longest: int) -> Iterator[str]:
    if not any(map(str.isalpha, text)):
        yield f"the {what} is empty"
    if len(text) > longest:
        yield f"the {what} has {len(text)} characters, at most {longest} are allowed"
        text = text[:longest]
    if normalised(text) != text or "\n" in text or "\t" in text:
        yield f"the {what} holds control or hidden characters, or is not in Unicode's normal form"
    elif ESCAPE in enclosed(text, ""):
        yield f"the {what} holds what looks like a part of a prompt"
    if _ADDRESS.search(text):
        yield f"the {what} holds an address"
    if _INSTRUCTION.search(text) or addresses_grader(text):
        yield f"the {what} gives an instruction"
    if mention := _JUDGE.search(text):
        yield f"the {what} speaks of the judge or its work: {mention[0]!r}"
    if names := list(_proper_names(text, in_title=what == "name")):
        yield f"the {what} holds a proper name: {', '.join(names)}"


def _proper_names(text: str, in_title: bool) -> Iterator[str]:
    for sentence in _SENTENCE.split(_QUOTED.sub(" ", text)):
        words = _WORD.findall(sentence)
        if in_title and all(word[0].isupper() for word in words if len(word) > 3):
            continue
        for word in words[1:]:
            bare = re.sub("['\u2019]?s$", "", word)
            if word[0].isupper() and not (bare.isupper() or _COMMON.fullmatch(bare)):
                yield word
