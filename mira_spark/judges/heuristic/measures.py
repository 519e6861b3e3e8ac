"""What a property is, and the facts of a document that properties share, each computed once."""

import ast
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

from mira_spark.corpus.conversation_text import turns_from_text
from mira_spark.corpus.excerpts import EXCERPT_MARK
from mira_spark.corpus.text_kinds import kind_of_text

LONGEST = 65_536
"""Characters measured; what a document has beyond them is not looked at."""
PASSAGE = 30  # tokens: so long a run is not repeated by chance
FEWEST_WORDS = 20  # of a text whose wording is measured

DocumentKind = Literal["python", "code", "data", "prose", "dialogue"]
CODE: tuple[DocumentKind, ...] = ("python", "code")
PROSE: tuple[DocumentKind, ...] = ("prose", "dialogue")
Measurement = tuple[float, str] | None
"""The quantity and what was measured in words; None where the property does not apply."""

_PYTHON_SHARE = {"code": 0.05, "prose": 0.2}  # of the lines of such a text, if it is Python
_TURN = re.compile(
    r"^(question|answer|user|assistant|human|system|tool|observation|[qa])[ \t]*+:",
    re.IGNORECASE | re.MULTILINE,
)
_PYTHON_LINE = re.compile(
    r"^[ \t]*+(?:(?:async )?def \w|class \w++[(:]|import \w[\w., ]*+$|from [\w.]++ import|@\w"
    r"|elif |except\b|raise |(?:if|for|while|with) [^{;\n]*:[ \t]*+$)",
    re.MULTILINE,
)
_STATEMENT = re.compile(r"^(?=[^\s#)\]}])(?!(?:else|elif|except|finally)\b)", re.MULTILINE)
_METHOD = re.compile(r"^(?=[ \t]{1,8}(?:@|(?:async )?def ))", re.MULTILINE)


@dataclass(frozen=True)
class Property:
    """One thing this judge can measure.

    `source` says who published, or which tool checks, that more or less of it is better. A
    quantity of `worst` is 0 points and one of `best` 10, straight between and flat beyond. It is
    measured wherever it applies, and is `central` to documents of these kinds.
    """

    name: str
    definition: str
    source: str
    worst: float
    best: float
    central: tuple[DocumentKind, ...]
    measure: Callable[["Document"], Measurement]

    def points(self, quantity: float) -> int:
        """The quantity as an integer from 0 to 10."""
        reached = (quantity - self.worst) / (self.best - self.worst)
        return int(10 * min(1.0, max(0.0, reached)) + 0.5)


def measured(
    source: str, worst: float, best: float, *central: DocumentKind
) -> Callable[[Callable[["Document"], Measurement]], Property]:
    """Makes a property of a function: its name in words, defined by its docstring."""

    def as_property(measure: Callable[["Document"], Measurement]) -> Property:
        name = measure.__name__.replace("_", " ")
        return Property(name, measure.__doc__ or "", source, worst, best, central, measure)

    return as_property


def share(count: float, total: float, what: str, fewest: int = 1) -> Measurement:
    """The part that `count` is of `total`, or None where the total is below `fewest`."""
    return (count / total, f"{count:g} of {total:g} {what}") if total >= fewest else None


@dataclass(frozen=True)
class Document:
    """A document as the judge sees it; `shown` may be three excerpts joined by the mark."""

    shown: str

    @cached_property
    def text(self) -> str:
        """What is shown, the excerpts on lines of their own."""
        shown = self.shown[:LONGEST].replace("\r\n", "\n").replace("\r", "\n")
        return shown.replace(EXCERPT_MARK, "\n")

    @cached_property
    def lines(self) -> list[str]:
        """The lines that are not blank, without trailing space."""
        return [bare for line in self.text.split("\n") if (bare := line.rstrip())]

    @cached_property
    def tokens(self) -> list[str]:
        """Runs of letters, digits and underscores, in lower case."""
        return re.findall(r"\w+", self.text.lower())

    @cached_property
    def copied(self) -> bytes:
        """For each token 1 where it stands in a passage that came before, else 0."""
        return self.repeated(PASSAGE)

    def repeated(self, size: int) -> bytes:
        """For each token 1 where it stands in a run of `size` that came before, else 0."""
        seen: set[tuple[str, ...]] = set()
        covered = bytearray(len(self.tokens))
        for at, run in enumerate(zip(*(self.tokens[i:] for i in range(size)), strict=False)):
            if run in seen:
                covered[at : at + size] = b"\1" * size
            seen.add(run)
        return bytes(covered)

    @cached_property
    def kind(self) -> DocumentKind:
        """A guess from the shapes of the lines, never from whether they parse."""
        if self.turns:
            return "dialogue"
        kind = kind_of_text(self.text)
        python = len(_PYTHON_LINE.findall(self.text))
        braces = sum(line[-1] in ";{}" for line in self.lines)
        if python > max(braces, _PYTHON_SHARE.get(kind, 1.0) * len(self.lines)):
            return "python"
        return kind if kind in ("code", "data") else "prose"

    @cached_property
    def turns(self) -> list[tuple[str, str]]:
        """Speaker in lower case and what is said; none unless the text begins with one of two, or
        is a conversation."""
        if turns := turns_from_text(self.text):
            return [((t.role or "").lower(), "\n".join(p.text for p in t.parts)) for t in turns]
        matches = list(_TURN.finditer(self.text))
        if not matches or matches[0].start() > 200 or len({m[1].lower() for m in matches}) < 2:
            return []
        ends = [match.start() for match in matches[1:]] + [len(self.text)]
        return [
            (match[1].lower(), self.text[match.end() : end].strip())
            for match, end in zip(matches, ends, strict=True)
        ]

    @cached_property
    def parsed(self) -> list[tuple[str, ast.Module]]:
        """The pieces of Python that parse, with their trees; a sound file is one piece."""
        if self.kind != "python":
            return []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return list(_parsed_pieces(self.text))

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node of the Python that parses."""
        return [node for _, tree in self.parsed for node in ast.walk(tree)]

    @cached_property
    def prose(self) -> str:
        """All of a text that is written for a reader; nothing of code and data."""
        return self.text if self.kind in PROSE else ""

    @cached_property
    def words(self) -> list[str]:
        """The words of the prose in lower case; none where they are too few to be measured."""
        words = re.findall(r"[^\W\d_]++(?:['\u2019-][^\W\d_]++)*+", self.prose.lower())
        return words if len(words) >= FEWEST_WORDS else []


def _parsed_pieces(
    text: str, boundaries: tuple[re.Pattern[str], ...] = (_STATEMENT, _METHOD)
) -> Iterator[tuple[str, ast.Module]]:
    """The whole text if it parses, else those of its statements, or methods, that do."""
    try:
        yield text, ast.parse(textwrap.dedent(text))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        for boundary in boundaries[:1]:
            starts = [0, *(match.start() for match in boundary.finditer(text)), len(text)]
            for start, end in pairwise(starts):
                yield from _parsed_pieces(text[start:end], boundaries[1:])
