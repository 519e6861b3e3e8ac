"""A document's shared facts, each computed once, and the scales from quantities to points."""

import ast
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from mira_spark.corpus.excerpts import EXCERPT_MARK
from mira_spark.judges.heuristic import syntax
from mira_spark.judges.heuristic.syntax import Function, Lexed, Parsed

LONGEST = 65_536
"""Characters measured; what a document has beyond them is not looked at."""

_Kind = Literal["python", "code", "data", "prose", "dialogue"]
Measurement = tuple[float, str] | None
"""Points from 0 to 10 and what was measured; None when the property does not apply."""

_TURN = re.compile(
    r"^(question|answer|user|assistant|human|system|tool|observation|[qa])[ \t]*+:",
    re.IGNORECASE | re.MULTILINE,
)
_PYTHON_LINE = re.compile(
    r"\s*(?:def \w|class \w|import \w|from [\w.]+ import|@\w|elif |except\b|return\b[^;]*$|raise "
    r"|(?:if|for|while|with) .*:\s*$|\w[\w.]* = )"
)
_BRACE_LINE = re.compile(
    r"\s*(?:#\s*(?:include|define|if|ifn?def|endif|pragma)\b|//|/\*|\*/|typedef |template\b"
    r"|namespace |(?:export |const |let |var |function |interface )|[^#]*[;{}]\s*$)"
)
_DATA_LINE = re.compile(
    r"\s*+[{\[]?(?:- )?(?:[\"']?[\w./$@-]++[\"']?(?: ?: |:$| ?= ?)(?!.*;$)|[\[\]{}(),]++$|-(?: |$)"
    r"|\[++[\w.\"-]++\]|\"[^\"]*+\"[:,]?|-?[\d.,\s]++$|[^,\t ]++(?:[,\t][^,\t ]*+){2,}+$)"
)
_WORD = re.compile(r"[^\W\d_]++(?:['\u2019-][^\W\d_]++)*+")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*+")
_SENTENCE_END = re.compile(r"(?<=[.!?:])\s+|\n\s*\n|\n(?=\s*+(?:[-*#>]|\d+\.) )")
_PARAGRAPH_END = re.compile(r"\n[ \t]*+\n\s*+")
_COMMENT_EDGE = re.compile(
    r"^[ \t]*+(?:/\*+|\*+/|\*|//+!?|#+[:!]?|\"\"\"|''')?|(?:\*/|\"\"\")$", re.M
)


def ramp(value: float, worst: float, best: float) -> float:
    """0 at `worst`, 10 at `best`, straight between and flat beyond; `worst` may be the larger."""
    return 10.0 * min(1.0, max(0.0, (value - worst) / (best - worst)))


def log_ramp(value: float, worst: float, best: float) -> float:
    """A ramp over log(1 + value), for counts and rates with a long tail; nothing negative."""
    return ramp(math.log1p(value), math.log1p(worst), math.log1p(best))


def peak(value: float, low: float, best: float, high: float) -> float:
    """10 at `best`, falling straight to 0 at `low` and at `high`."""
    return min(ramp(value, low, best), ramp(value, high, best))


@dataclass(frozen=True)
class Property:
    """One thing this judge can measure; `typical` is its median over a mixed corpus, 0-10."""

    name: str
    definition: str
    typical: int
    measure: Callable[["Document"], Measurement]


@dataclass(frozen=True)
class Turn:
    """What one side of a dialogue says, speaker in lower case."""

    speaker: str
    text: str


@dataclass(frozen=True)
class Document:
    """A document as the judge sees it; `shown` may be three windows joined by the mark."""

    shown: str

    @cached_property
    def windows(self) -> tuple[str, ...]:
        """What is shown, without the marks."""
        shown = self.shown[:LONGEST].replace("\r\n", "\n").replace("\r", "\n")
        return tuple(shown.split(EXCERPT_MARK))

    @cached_property
    def text(self) -> str:
        """The windows, each on lines of its own."""
        return "\n".join(self.windows)

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """The lines that are not blank, without trailing space."""
        return tuple(bare for line in self.text.split("\n") if (bare := line.rstrip()))

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Runs of letters anywhere in the text, in lower case."""
        return words_of(self.text)

    @cached_property
    def kind(self) -> _Kind:
        """A guess from the shapes of the lines and from what parses."""
        if len({turn.speaker for turn in self.turns}) > 1:
            return "dialogue"
        cut = [line[:200] for line in self.lines]
        rows = max(1, len(cut))
        python = sum(map(bool, map(_PYTHON_LINE.match, cut))) / rows
        brace = sum(map(bool, map(_BRACE_LINE.match, cut))) / rows
        if "/*" in self.text:
            brace += sum(line.lstrip().startswith("* ") for line in cut) / rows
        data = sum(map(bool, map(_DATA_LINE.match, cut))) / rows
        keywords = any(line.startswith(("def ", "class ", "import ", "from ")) for line in cut)
        if data > 0.7 and not keywords and (data > brace or cut[0][:1] in "{["):
            return "data"
        if python and python >= brace:
            parses = self.parsed_share > (0.2 if keywords else 0.5)
            if python > 0.3 or parses:
                return "python"
        dense = sum(map(self.text.count, ";{}()=")) > 0.1 * len(self.text) > 20
        included = any(line.startswith(("#include", "#ifndef", "#define")) for line in cut)
        return "code" if brace > 0.25 or included or (dense and rows < 20) else "prose"

    @cached_property
    def is_code(self) -> bool:
        """Whether it is a program, in any language."""
        return self.kind in ("python", "code")

    @cached_property
    def is_lined(self) -> bool:
        """Whether lines and identifiers mean something: programs and data files."""
        return self.is_code or self.kind == "data"

    @cached_property
    def turns(self) -> tuple[Turn, ...]:
        """The turns, when the document begins with one."""
        matches = list(_TURN.finditer(self.text))
        if not matches or matches[0].start() > 200:
            return ()
        ends = [match.start() for match in matches[1:]] + [len(self.text)]
        return tuple(
            Turn(match[1].lower(), self.text[match.end() : end].strip())
            for match, end in zip(matches, ends, strict=True)
        )

    @cached_property
    def parsed(self) -> tuple[Parsed, ...]:
        """The pieces that parse as Python; all of it in one piece for a sound file."""
        return tuple(piece for window in self.windows for piece in syntax.parsed_pieces(window))

    @cached_property
    def parsed_share(self) -> float:
        """The share of the characters that parse."""
        return sum(len(piece.source) for piece in self.parsed) / max(1, len(self.text))

    @cached_property
    def statements(self) -> tuple[ast.AST, ...]:
        """Every Python statement and handler that could be parsed."""
        return tuple(syntax.statements(self.parsed)) if self.kind == "python" else ()

    @cached_property
    def functions(self) -> tuple[Function, ...]:
        """The functions declared, in Python or in a brace language."""
        if self.kind == "code":
            return syntax.declared_functions(self.text)
        defined = (ast.FunctionDef, ast.AsyncFunctionDef)
        return tuple(
            syntax.python_function(node) for node in self.statements if isinstance(node, defined)
        )

    @cached_property
    def lexed(self) -> Lexed:
        """Code, comments and literals of what parses, or of the whole text where little does."""
        if self.kind == "python" and self.parsed_share > 0.4:
            return syntax.lexed("\n".join(piece.source for piece in self.parsed), braces=False)
        return syntax.lexed(self.text, braces=self.kind == "code")

    @cached_property
    def code_lines(self) -> tuple[str, ...]:
        """The lines with code on them, comments and literals taken out."""
        return tuple(line for line in self.lexed.code.split("\n") if line.strip())

    def per_hundred_lines(self, count: int) -> float:
        """The count as a rate over the lines of code; at least ten lines are assumed."""
        return 100 * count / max(10, len(self.code_lines))

    @cached_property
    def identifiers(self) -> tuple[str, ...]:
        """Every identifier and keyword of the code, in order; of the whole text in data."""
        source = self.text if self.kind == "data" else self.lexed.code
        return tuple(_IDENTIFIER.findall(source))

    @cached_property
    def prose(self) -> str:
        """What is written for a reader: comments and docstrings of code, all of other texts."""
        if self.kind == "data":
            return ""
        if not self.is_code:
            return self.text
        written = "\n\n".join(self.lexed.blocks) + "\n\n" + "\n".join(self.lexed.comments)
        return _COMMENT_EDGE.sub("", written)

    @cached_property
    def prose_words(self) -> tuple[str, ...]:
        """The words of the prose, in lower case."""
        return words_of(self.prose)

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        """Sentences, list items and headings of the prose with at least two words."""
        parts = (part.strip() for part in _SENTENCE_END.split(self.prose))
        return tuple(part for part in parts if " " in part)

    @cached_property
    def paragraphs(self) -> tuple[str, ...]:
        """Blocks of the prose between blank lines."""
        return tuple(part for part in _PARAGRAPH_END.split(self.prose) if part.strip())


def words_of(text: str) -> tuple[str, ...]:
    """Runs of letters, in lower case."""
    return tuple(_WORD.findall(text.lower()))
