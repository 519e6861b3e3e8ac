"""What code declares and what it is made of, read from whole files or from excerpts.

Python is read with `ast`, trimmed to whole statements where an excerpt cuts it; other languages by
the shape of their lines. Nothing here raises for any text.
"""

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

_OUTER = re.compile(
    r"^(?:@|(?:async )?def |class |import |from |if |for |while |with |try:"
    r"|[A-Za-z_][\w.]*+\s*[=:(\[+])",
    re.MULTILINE,
)
_INNER = re.compile(r"^[ \t]{1,8}(?:@|(?:async )?def )", re.MULTILINE)
_STRING = (
    r"(?<=\")[^\"\\\n]*+(?:\\.[^\"\\\n]*+)*+\"?"
    r"|(?<=')[^'\\\n]*+(?:\\.[^'\\\n]*+)*+'?"
)
_PIECE = re.compile(
    r"[\"'#](?:(?<=#)[^\n]*+"
    r"|(?<=\")\"\"[^\"]*+(?:\"(?!\"\")[^\"]*+)*+(?:\"\"\")?"
    r"|(?<=')''[^']*+(?:'(?!'')[^']*+)*+(?:''')?"
    rf"|{_STRING})",
    re.DOTALL,
)
_BRACE_PIECE = re.compile(
    r"[\"'/](?:(?<=/)/[^\n]*+"
    r"|(?<=/)\*[^*]*+(?:\*(?!/)[^*]*+)*+(?:\*/)?"
    rf"|{_STRING})",
    re.DOTALL,
)
_WORD = re.compile(r"[A-Za-z_]\w*+")
_CONTROL = (
    "if else for while switch catch return with do case sizeof new throw in of typeof "
    "require elif defined ifdef ifndef"
)
_NOT_A_FUNCTION = frozenset(_CONTROL.split())
_EXPORT = re.compile(r"^[A-Z]\w*_\w+\([\w *]*\)\s*(?=\w)")
_DENSE = 200  # mean characters a line from which code counts as minified
_MARKS_A_FUNCTION = frozenset(("function", "static", "extern", "inline", "async", "fn", "func"))


@dataclass(frozen=True)
class Parsed:
    """A piece of Python that parses, with its tree."""

    source: str
    tree: ast.Module


@dataclass(frozen=True)
class Function:
    """One declared function; `typed` counts annotated parameters and result among `slots`."""

    name: str
    lines: int
    documented: bool
    parameters: int
    typed: int
    slots: int


@dataclass(frozen=True)
class Lexed:
    """A source taken apart: code without comments and literals, and what was taken out."""

    code: str
    comments: tuple[str, ...]
    blocks: tuple[str, ...]
    literal_characters: int


def parsed_pieces(window: str) -> tuple[Parsed, ...]:
    """The whole window if it parses, else those of its statements, or methods, that do."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = _parsed(window)
        return (whole,) if whole else tuple(_rescued(window))


def statements(pieces: Sequence[Parsed]) -> Iterator[ast.AST]:
    """Every statement, exception handler and match case, in no promised order."""
    stack: list[ast.AST] = [piece.tree for piece in pieces]
    while stack:
        node = stack.pop()
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            stack.extend(getattr(node, field, ()))
        yield node


def python_function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Function:
    """The facts of one function; `self` and `cls` are not counted as parameters."""
    arguments = node.args
    taken = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    taken += [extra for extra in (arguments.vararg, arguments.kwarg) if extra]
    taken = [argument for argument in taken if argument.arg not in ("self", "cls")]
    typed = sum(argument.annotation is not None for argument in taken) + (node.returns is not None)
    return Function(
        name=node.name,
        lines=(node.end_lineno or node.lineno) - node.lineno + 1,
        documented=has_docstring(node),
        parameters=len(taken),
        typed=typed,
        slots=len(taken) + 1,
    )


def has_docstring(node: ast.AST) -> bool:
    """Whether the first statement of the node is a string."""
    match getattr(node, "body", None):
        case [ast.Expr(value=ast.Constant(value=str())), *_]:
            return True
    return False


def declared_functions(source: str) -> tuple[Function, ...]:
    """The functions of code in a brace language; each lasts to the next or to the end."""
    dense = len(source) > _DENSE * (source.count("\n") + 1)
    lines = (_unfolded(source) if dense else source).split("\n")
    found = [(at, *shape) for at, line in enumerate(lines) if (shape := _declaration(line))]
    ends = [at for at, _, _ in found[1:]] + [len(lines)]
    functions = []
    for (at, name, parameters), end in zip(found, ends, strict=False):
        typed = sum(":" in each or len(_WORD.findall(each)) > 1 for each in parameters)
        functions.append(
            Function(
                name=name,
                lines=end - at,
                documented=at > 0 and _is_comment(lines[at - 1]),
                parameters=len(parameters),
                typed=typed,
                slots=max(1, len(parameters)),
            )
        )
    return tuple(functions)


def lexed(source: str, braces: bool) -> Lexed:
    """The source taken apart; `braces` tells a brace language from Python and its like."""
    piece = _BRACE_PIECE if braces else _PIECE
    comments: list[str] = []
    blocks: list[str] = []
    literal_characters = 0

    def taken(match: re.Match[str]) -> str:
        nonlocal literal_characters
        if match[0][0] in "#/":
            comments.append(match[0])
            return ""
        literal_characters += len(match[0])
        if match[0][:3] in ('"""', "'''"):
            blocks.append(match[0])
            return ""
        return '""'

    code = piece.sub(taken, source)
    if braces and len(code) > _DENSE * (code.count("\n") + 1):
        code = _unfolded(code)
    return Lexed(code, tuple(comments), tuple(blocks), literal_characters)


def _parsed(source: str) -> Parsed | None:
    try:
        return Parsed(source, ast.parse(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _rescued(window: str) -> Iterator[Parsed]:
    for statement in _split(_OUTER, window):
        whole = _parsed(statement)
        if whole:
            yield whole
        else:
            methods = (_parsed(textwrap.dedent(each)) for each in _split(_INNER, statement)[1:])
            yield from (method for method in methods if method)


def _split(boundary: re.Pattern[str], text: str) -> list[str]:
    starts = [0, *(match.start() for match in boundary.finditer(text)), len(text)]
    return [text[start:end] for start, end in pairwise(starts)]


def _declaration(line: str) -> tuple[str, tuple[str, ...]] | None:
    """Name and parameters when the line looks like a function's first line."""
    head, parenthesis, rest = _EXPORT.sub("extern ", line[:300]).partition("(")
    names = _WORD.findall(head)
    if not parenthesis or not names or not _NOT_A_FUNCTION.isdisjoint(names):
        return None
    prototype = line[:1].isalpha() and len(names) > 1 and not {"=", "."} & set(head)
    opened = line.rstrip().endswith("{") or line.startswith("#define ")
    if not (opened or prototype or not _MARKS_A_FUNCTION.isdisjoint(names)):
        return None
    parameters = tuple(each for each in rest.partition(")")[0].split(",") if each.strip())
    return names[-1], parameters


def _unfolded(code: str) -> str:
    """Minified code with a line for each statement."""
    return re.sub(r"[;{}]", "\\g<0>\n", code)


def _is_comment(line: str) -> bool:
    bare = line.strip()
    return bare.startswith(("//", "/*", "*", "#:")) or bare.endswith("*/")
