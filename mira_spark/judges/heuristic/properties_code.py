"""Properties of how code is divided and documented: its functions, types and nesting."""

import ast
import re
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
from mira_spark.judges.heuristic.syntax import has_docstring

_TYPE_START = re.compile(
    r"^[ \t]*+(?:export |abstract |final |public )*+"
    r"(?:class|struct|interface|enum|typedef|union)\b",
    re.MULTILINE,
)


def _syntax(document: Document) -> Measurement:
    if not document.is_code:
        return None
    if document.kind == "python":
        share = document.parsed_share
        return ramp(share, 0.4, 1.0), f"{share:.0%} of the characters parse without an error"
    opened = sum(map(document.lexed.code.count, "([{"))
    closed = sum(map(document.lexed.code.count, ")]}"))
    if not opened + closed:
        return None
    balance = min(opened, closed) / max(opened, closed)
    return ramp(balance, 0.9, 1.0), f"{opened} brackets open and {closed} close"


def _docstring_coverage(document: Document) -> Measurement:
    classes = [node for node in document.statements if isinstance(node, ast.ClassDef)]
    total = len(document.functions) + len(classes)
    if not total:
        return None
    documented = sum(function.documented for function in document.functions)
    documented += sum(map(has_docstring, classes))
    return ramp(documented / total, 0, 1), f"{documented} of {total} definitions are documented"


def _documentation_depth(document: Document) -> Measurement:
    if not document.is_code:
        return None
    code = max(5, len(document.code_lines))
    rate = len(document.prose_words) / code
    return log_ramp(rate, 0, 8), f"{rate:.1f} words of documentation accompany a line of code"


def _nesting(document: Document) -> Measurement:
    if not document.is_code or not document.code_lines:
        return None
    depths = [_depth(line) for line in document.code_lines]
    deep = sum(depth >= 3 for depth in depths) / len(depths)
    return ramp(fmean(depths), 3.0, 0.3), (
        f"mean depth is {fmean(depths):.1f} levels, with {deep:.0%} of lines at 3 or more"
    )


def _depth(line: str) -> float:
    indent = line[: len(line) - len(line.lstrip())].expandtabs(4)
    return min(8.0, len(indent) / 4)


def _function_length(document: Document) -> Measurement:
    if not document.functions:
        return None
    mean = fmean(function.lines for function in document.functions)
    return log_ramp(mean, 80, 3), f"a function has {mean:.1f} lines on average"


def _parameters(document: Document) -> Measurement:
    if not document.functions:
        return None
    mean = fmean(function.parameters for function in document.functions)
    return ramp(mean, 5, 0), f"a function takes {mean:.1f} parameters on average"


def _types(document: Document) -> Measurement:
    slots = sum(function.slots for function in document.functions)
    if not slots:
        return None
    typed = sum(function.typed for function in document.functions)
    return ramp(typed / slots, 0, 1), f"{typed} of {slots} parameters and results state a type"


def _modularity(document: Document) -> Measurement:
    if not document.is_code or len(document.code_lines) < 5:
        return None
    parts = len(document.functions) + len(_TYPE_START.findall(document.lexed.code))
    rate = document.per_hundred_lines(parts)
    return log_ramp(rate, 0, 30), f"{parts} definitions divide {len(document.code_lines)} lines"


def _interface(document: Document) -> Measurement:
    if not document.functions:
        return None
    public = sum(not function.name.startswith("_") for function in document.functions)
    total = len(document.functions)
    return ramp(public / total, 0.2, 1.0), f"{public} of {total} functions are public"


def _function_naming(document: Document) -> Measurement:
    parts = [
        part
        for function in document.functions
        for part in words_of(function.name.replace("_", " "))
    ]
    if not parts:
        return None
    mean = len(parts) / len(document.functions)
    return peak(mean, 0.0, 3.0, 8.0), f"a function name has {mean:.1f} words on average"


PROPERTIES: tuple[Property, ...] = (
    Property(
        "syntax validity",
        "The share of the code that parses, or whose brackets are balanced.",
        10,
        _syntax,
    ),
    Property(
        "docstring coverage",
        "The share of functions and classes that carry a docstring or a comment just above.",
        0,
        _docstring_coverage,
    ),
    Property(
        "documentation depth",
        "How many words of comments and docstrings accompany a line of code.",
        4,
        _documentation_depth,
    ),
    Property("nesting depth", "How shallow the lines of code are nested.", 7, _nesting),
    Property("function length", "How short the functions are.", 7, _function_length),
    Property("parameter count", "How few parameters a function takes.", 8, _parameters),
    Property(
        "type hints",
        "The share of parameters and results whose type is stated.",
        0,
        _types,
    ),
    Property(
        "modularity",
        "How many functions and types the code is divided into, for its length.",
        8,
        _modularity,
    ),
    Property("interface share", "The share of functions meant for callers.", 10, _interface),
    Property(
        "function naming",
        "Whether function names have about three words rather than one or many.",
        6,
        _function_naming,
    ),
)
