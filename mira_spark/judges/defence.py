"""Documents whose author would like to write to the judge: what code does about them.

The text is normalised (L0), put between lines its author cannot guess with every line marked and
look-alikes of a prompt's own parts broken (L1), and flagged where it hides characters or talks to
a grader (L5). A label is set aside where the judge's extra score is not 0 (L4), or where a flagged
text also got top marks; a text that steers its judge without a flag or with less is not. Marking
after Hines et al., "Defending against indirect prompt injection attacks with spotlighting",
arXiv:2403.14720.
"""

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Sequence

from mira_spark.judges.addressing import addresses_grader as addresses_grader

DEFENCE_VERSION = 1
"""Raised when the same document would be shown otherwise; part of every call's key."""
_MARK = "¦"
"""Begins every line of a document in a prompt."""
ESCAPE = "¬"
"""Stands in a prompt before a character that is the document's and no part of a look-alike."""
SOUGHT = 9
"""The mean score a text that steers its judge is taken to seek, in points of 10."""

_BREAK = re.compile("[\r\x85\u2028\u2029]")
_CONTROL = "\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff"
_SELECTOR = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
# Unicode's Default_Ignorable_Code_Point and the annotation characters: all that is not seen.
_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_DROPPED = re.compile(f"[{_CONTROL}{_INVISIBLE}]+")
_HIDDEN = re.compile(f"[{_INVISIBLE}]")
# Invisible characters where typography wants them: a byte order mark, soft hyphens and direction
# marks, one selector or joiner between visible characters of emoji and other scripts, flags.
_ORDINARY = re.compile(
    "\\A\ufeff"
    "|[\u00ad\u061c\u200e\u200f]"
    f'|(?<=[^\x00-"$-)+-/:-\x7f{_INVISIBLE}])'
    f"(?:[{_SELECTOR}][\u200c\u200d]?|[\u200c\u200d])"
    "|(?<=\U0001f3f4)[\U000e0030-\U000e007a]{2,6}\U000e007f"
)
_OWN_CHARACTER = re.compile(f"[{_MARK}{ESCAPE}]")
# What a prompt's own parts or a chat template's tokens begin with. In brackets only capitals: an
# index like [mask] is code.
_TAG = re.compile(
    r"""<(?=
        [|\uff5c] | </?(?i:sys)>>
      | [ \t]*+/?[ \t]*+(?i:document|system|user|assistant|human|developer|tool|model|instructions?
            |rubric|prompt|answers?|think|function_calls?|tool_(?:calls?|results?|responses?))\b
      | /?(?i:s|bos|eos|pad|unk|cls|sep|mask|sop|eop|(?:start|end)_(?:of|header)_\w+)[\s/>]
      )
      | \[(?=
        [|\uff5c]
      | /?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_\w+|CLS|SEP|MASK|gMASK|PAD|UNK|BOS|EOS)\]
      )
    """,
    re.VERBOSE,
)
# A role and a colon at the start of a line, whatever decorates them; in quotes it is a JSON key.
_TURN = re.compile(
    rf"{_MARK}(?:[^\w\n\"'{_MARK}]|_)*+(?:human|user|assistant|system|developer|tool|ai|model)"
    r"(?:[^\w\n\"':\uff1a]|_)*+(?=[:\uff1a])",
    re.IGNORECASE,
)


def normalised(text: str) -> str:
    """The text as a judge may see it: NFC, lines ended by a newline, nothing invisible (L0).

    Dropped are controls but tab and newline, and whatever Unicode says is ignored in display:
    zero-width, direction, tag and variation characters, also inside emoji. Idempotent.
    """
    lines = _BREAK.sub("\n", text.replace("\r\n", "\n"))
    return unicodedata.normalize("NFC", _DROPPED.sub("", lines))


def flags(text: str) -> tuple[str, ...]:
    """What a text, before it is normalised, does that a document seldom does, in a fixed order.

    `hidden_characters`: it holds invisible characters that typography does not explain.
    `addresses_grader`: it talks to the one who judges it, see `addressing`.
    """
    hides = not text.isascii() and _HIDDEN.search(_ORDINARY.sub("", text))
    signs = {"hidden_characters": hides, "addresses_grader": addresses_grader(normalised(text))}
    return tuple(name for name, holds in signs.items() if holds)


def boundary(text: str, salt: bytes) -> str:
    """Eight hex digits for a document: HMAC-SHA256 keyed by the installation's salt.

    Who wrote the text without knowing the salt guesses them once in 2**32; they are the same on
    every run with the same salt.
    """
    return hmac.new(salt, text.encode(), hashlib.sha256).hexdigest()[:8]


def enclosed(document: str, code: str) -> str:
    """The document as it stands in a prompt (L1): normalised, between two lines with its code,
    each line begun with MARK, what looks like a part of a prompt broken by ESCAPE."""
    own = _OWN_CHARACTER.sub(rf"{ESCAPE}\g<0>", normalised(document))
    # ESCAPE always goes before a character that is itself no ESCAPE, so pairs are never parted.
    marked = _MARK + _TAG.sub(rf"\g<0>{ESCAPE}", own).replace("\n", f"\n{_MARK}")
    shown = _TURN.sub(rf"\g<0>{ESCAPE}", marked)
    begin, end = _edges(code)
    return f"{begin}\n{shown}\n{end}"


def set_aside(flags: Sequence[str], scores: Sequence[int | None], canary: int) -> str | None:
    """Why a label may not be used, None when it stands (L4, L5).

    A canary other than 0 means that the judge did what a document said. A flag alone is no
    reason: the text must also have got a mean of SOUGHT points over its scores that are not null.
    """
    if canary != 0:
        return f"canary: {canary}, expected 0"
    given = [score for score in scores if score is not None]
    if flags and given and sum(given) >= SOUGHT * len(given):
        return f"{', '.join(flags)}: mean score {sum(given) / len(given):.1f}"
    return None


def _edges(code: str) -> tuple[str, str]:
    return f"<document {code}>", f"</document {code}>"
