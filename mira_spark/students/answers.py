"""What a generative student reads and writes, as text: the prompt, the scores, the reasons.

The prompt names the dimensions before the document. A causal model then reads the document knowing
what is asked, and what is the same for every document is a prefix, which servers keep.

An answer is one line of integers 0-10 in slot order, `7,3,10`, and after it one line per slot,
`0. name: reason`. The scores come first: whoever wants only them stops there, and they are spared
the noise of a reason sampled before them. `-` stands for a score that is not known.
"""

import re
from collections.abc import Sequence

from mira_spark.lake.scale import POINTS
from mira_spark.students import configs

SEPARATOR, END, UNKNOWN = ",", "\n", "-"
ASK = "\n\nScores, then reasons:\n"
WINDOW_MARK = "\n[...]\n"

# Control tokens of the tokenizers in use, as a text spells them, up to where they are broken.
_CONTROL = re.compile(
    r"<(?=[|\uff5c]|/?(?:s|bos|eos|pad|unk|cls|sep|mask|sop|eop|(?:start|end)_of_\w+)>)"
    r"|\[(?=/?(?:INST|CLS|SEP|MASK|gMASK|PAD|UNK|BOS|EOS|SYSTEM_PROMPT|TOOL_\w+)\])"
)
_INTEGER = re.compile(r"[0-9]{1,2}")
_REASON = re.compile(r"\s*([0-9]{1,2})\.([^:]*):(.*)")


def instruction(anchors: Sequence[str]) -> str:
    """The prompt up to the document; the document and `ASK` follow."""
    named = "".join(f"{slot}. {_label(name)}\n" for slot, name in enumerate(anchors))
    return (
        "Rate a document offered as training data, from 0 (worthless) to 10 (could not be better), "
        f"on each of:\n{named}The document:\n"
    )


def windowed(text: str, most: int) -> str:
    """All of a text, or its begin, middle and end, of `most` characters together, with marks."""
    return WINDOW_MARK.join(configs.pieces(text, most // 3))


def without_control(text: str) -> str:
    """The text with a space in every control token that it spells, for a server that would take it
    for one: `< |endoftext|>`, `[ SEP]`."""
    return _CONTROL.sub(r"\g<0> ", text)


def written(scores: Sequence[int | None], reasons: Sequence[str], anchors: Sequence[str]) -> str:
    """The answer with these scores and reasons, in slot order.

    Without any reason (an empty sequence) it is the line of scores alone.
    """
    return "".join([*score_pieces(scores), *reason_pieces(reasons, anchors)])


def score_pieces(scores: Sequence[int | None]) -> list[str]:
    """The line of scores cut by slot, each with what ends it."""
    ends = [SEPARATOR] * (len(scores) - 1) + [END]
    return [
        f"{UNKNOWN if score is None else score}{end}"
        for score, end in zip(scores, ends, strict=True)
    ]


def reason_pieces(reasons: Sequence[str], anchors: Sequence[str]) -> list[str]:
    """The lines of reasons; a reason is put on one line."""
    if not reasons:
        return []
    return [
        f"{slot}. {_label(name)}: {' '.join(reason.split())}{END}"
        for slot, (name, reason) in enumerate(zip(anchors, reasons, strict=True))
    ]


def parse(text: str, slots: int) -> tuple[list[int | None], list[str]]:
    """The scores and reasons of an answer, `slots` of each; never raises, whatever was written.

    A score that is missing, no integer or not within 0-10 is None; a missing reason is empty. Of
    two reasons for a slot the first counts.
    """
    first, *lines = text.lstrip().split(END)
    numbers = [_score(word) for word in first.rpartition(":")[2].split(SEPARATOR)[:slots]]
    reasons: dict[int, str] = {}
    for line in lines:
        if match := _REASON.fullmatch(line):
            reasons.setdefault(int(match[1]), " ".join(match[3].split()))
    scores = numbers + [None] * (slots - len(numbers))
    return scores, [reasons.get(slot, "") for slot in range(slots)]


def _score(word: str) -> int | None:
    digits = word.strip()  # of more than int() takes for space
    if not _INTEGER.fullmatch(digits):
        return None
    return score if (score := int(digits)) <= POINTS else None


def _label(name: str) -> str:
    """A dimension's name on one line and without the colon that ends it in an answer."""
    return " ".join(name.replace(":", " ").split())
