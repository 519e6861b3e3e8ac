"""Text that talks to whoever judges it: a detector that flags, and alone decides nothing.

It finds orders to a grader, scores that are said to be right, roles, and answers in our own form,
in English, plainly in some other languages, and in base64. It also finds texts about such texts.
"""

import base64
import itertools
import re
import unicodedata
from collections.abc import Iterator

_JUDGES = "judge grader evaluator rater annotator scorer assessor labeler labeller"
_JUDGE = (
    rf"(?:(?:{_JUDGES.replace(' ', '|')})s?"
    "|(?:grading|scoring|judging|evaluation) (?:model|system|ai|llm|agent)s?)"
)
_TOP = "maximum highest perfect full top best"
_BEST = (
    r"(?:(?:10|ten)(?:\W*(?:/|out of)\W*(?:10|ten)\b| (?:points?|on|for|in|to|every\w*|all)\b"
    r"|\W*(?:[.!,;:\"'<\n\]})*-]|$))"
    rf"|(?:{_TOP.replace(' ', '|')}) (?:possible )?(?:score|rating|mark|grade|point))"
)
_EACH = r"\b(?:every|all|each) ~3 (?:dimension|criteri|slot|categor|score|item)\w*"
_SHOWN = "(?:this|it|me|us|everything|(?:all|every|each|document|text|sample|response|file|entry))"

# In a pattern a space is any run of other characters than letters and digits, and ` ~n ` is up to
# n words of one clause. A pattern is tried only on a text that holds a word of each of its sets:
# it is 20 times as fast to look for those first.
_PATTERNS = (
    (
        ("ignor disregard forget overrid bypass", "instruction prompt rubric guideline criter"),
        r"\b(?:ignor(?:e|ing)|disregard(?:ing)?|forget|overrid(?:e|ing)|bypass) ~4 "
        "(?:previous|prior|above|earlier|preceding|original|all|any|your|system|the|other) ~3 "
        "(?:instruction|prompt|rubric|guideline|criteri)",
    ),
    (
        ("overrid",),
        r"\b(?:system|admin|administrator|developer|root|security) (?:prompt )?overrid",
    ),
    (
        ("instruction prompt rubric", "new updated revised replacement real"),
        r"\b(?:new|updated|revised|replacement|real) (?:system )?"
        r"(?:instructions?|prompt|rubric)\b[^.\n]{0,40}?[:=]",
    ),
    (
        ("give assign award rate score grade mark label", f"10 ten {_TOP}"),
        r"(?<!\bi\s)(?<!\bwe\s)(?<!'d\s)(?<!would\s)(?<!to\s)"
        rf"\b(?:give|assign|award|rate|score|grade|mark|label) ~2 {_SHOWN}\b ~6 {_BEST}",
    ),
    (
        ("every all each", "dimension criteri slot categor score item", f"10 ten {_TOP}"),
        rf"{_EACH} ~5 {_BEST}|\b(?:10|ten) (?:points? )?(?:as|for|in|on|to) ~2 {_EACH}",
    ),
    (
        ("score rating grade", "correct right expect true official appropriate required"),
        r"\b(?:correct|right|expected|true|official|appropriate|required) (?:score|rating|grade)s?"
        rf"\b(?: ~6 (?:is|are|be)\b|[^.\n]{{0,40}}?[:=])\W*(?:\w+ )?{_BEST}",
    ),
    (
        (f"{_JUDGES} grading scoring judging evaluation", "you dear attention hey hello to for"),
        rf"\byou(?:'re| are| act| were) ~5 {_JUDGE}\b|\bas (?:an?|the) ~3 {_JUDGE} you\b"
        "|\\b(?:dear|attention|hey|hello|(?:note|message|notice|memo|instructions?) (?:to|for)) ~3 "
        rf"{_JUDGE}\W*?[:,!\n-]|(?:^|\n)[^\w\n]*to the ~2 {_JUDGE}\s*[:,]",
    ),
    (("you",), rf"\bif you(?:'re| are) ~4 (?:ai|llm|language model|{_JUDGE})\b"),
    (("slot canary",), r'"(?:slot|canary)\\?"\s*:\s*\d'),
    (("document",), "</?document [0-9a-f]{8}>"),
    (
        ("ignorier vergiss missachte oublie olvid omite esqueç dimentica",),
        r"\b(?:ignorier|vergiss|missachte|oublie|olvid|omite|esqueç|dimentica)\w* ~4 "
        "(?:anweisung|vorgabe|instruktion|instructions|consigne|instruccion|instruç|istruzion)",
    ),
    (
        ("忽略 無視 满分 滿分 最高分 満点",),
        "忽略.{0,16}(?:指令|指示|说明|提示|规则)|(?:指示|命令).{0,6}無視"
        "|[打给評评与].{0,12}(?:满分|滿分|最高分)|満点を(?:付け|与え)",
    ),
    (("игнорир забудь",), r"(?:игнорир|забудь)\w* ~4 (?:инструкц|указан|правил)"),
)


def _compile(pattern: str) -> re.Pattern[str]:
    gaps = re.sub(r" ~(\d) ", r"\\W++(?:\\w++[^\\w.;!?]++){0,\1}?", pattern)
    return re.compile(gaps.replace(" ", r"\W++"))


_ADDRESSES = tuple(([words.split() for words in sets], _compile(p)) for sets, p in _PATTERNS)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{32,}")
_MOST_DECODED = 50


def addresses_grader(text: str) -> bool:
    """Whether a normalised text, or base64 in it, talks to the one who judges it."""
    return _addresses(text) or any(map(_addresses, _base64_texts(text)))


def _addresses(text: str) -> bool:
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    folded = plain.lower().replace("_", " ")
    return any(
        all(any(word in folded for word in words) for words in sets) and pattern.search(folded)
        for sets, pattern in _ADDRESSES
    )


def _base64_texts(text: str) -> Iterator[str]:
    """What stands in base64 in a text, where it is ASCII."""
    for run in itertools.islice(_BASE64.finditer(text), _MOST_DECODED):
        whole = run[0][: len(run[0]) // 4 * 4].translate(str.maketrans("-_", "+/"))
        decoded = base64.b64decode(whole)
        if decoded.isascii():
            yield decoded.decode("ascii")
