"""Properties of what code does: its branches, errors, checks, imports and state."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from statistics import fmean

from mira_spark.judges.heuristic.measures import Document, Measurement, Property, log_ramp, ramp

_BRANCH = re.compile(r"\b(?:if|elif|for|while|case|catch|except|and|or)\b|&&|\|\||\?[^.:?]")
_ERROR = re.compile(
    r"\b(?:try|except|catch|raise|throw|finally|assert|Error|\w+Error|\w+Exception|errno|reject)\b"
)
_CHECK = re.compile(
    r"\b(?:assert\w*|ASSERT\w*|EXPECT\w*|expect|isinstance|raises|should"
    r"|is not None|is None|typeof)\b"
)
_IMPORT = re.compile(
    r"^[ \t]*+(?:from [\w.]+ import|import\b|# *include\b|using "
    r"|(?:const|var|let) .{0,80}require\()",
    re.MULTILINE,
)
_LITERAL_NUMBER = re.compile(r"(?<![\w.])(?:0x[\da-fA-F]+|\d[\d_]*+(?:\.\d*+)?(?:e[+-]?\d+)?)")
_TOP_ASSIGNMENT = re.compile(
    r"^(?:(?:static|extern|var|let|volatile|int|char|long|double|float) [^(=;]*+[=;]"
    r"|[A-Za-z_][\w.\[\]]*+(?:\s*,\s*\w+)*+\s*+(?::[^=()]*+)?=(?!=)|[ \t]+global )"
)
_PLACEHOLDER = re.compile(
    r"^[ \t]*+(?:pass|\.\.\.|raise NotImplementedError.*)[ \t]*$"
    r"|\b(?:TODO|FIXME|XXX|HACK|NotImplemented|noqa|deprecated|workaround|for now)\b",
    re.MULTILINE,
)


def _error_handling(document: Document) -> Measurement:
    if not document.is_code or len(document.code_lines) < 5:
        return None
    count = len(_ERROR.findall(document.lexed.code))
    rate = document.per_hundred_lines(count)
    return log_ramp(rate, 0, 25), f"{count} error constructs in {len(document.code_lines)} lines"


def _error_names(document: Document) -> Iterator[ast.expr | None]:
    for node in document.statements:
        if isinstance(node, ast.ExceptHandler):
            yield node.type
        elif isinstance(node, ast.Raise) and node.exc:
            yield node.exc.func if isinstance(node.exc, ast.Call) else node.exc


def _error_specificity(document: Document) -> Measurement:
    named = list(_error_names(document))
    if not named:
        return None
    vague = ("Exception", "BaseException")
    broad = sum(name is None or (isinstance(name, ast.Name) and name.id in vague) for name in named)
    share = (len(named) - broad + 1) / (len(named) + 2)
    return ramp(
        share, 0.2, 0.95
    ), f"{broad} of {len(named)} handled or raised errors are unspecific"


def _branching(document: Document) -> Measurement:
    if not document.is_code or len(document.code_lines) < 5:
        return None
    count = len(_BRANCH.findall(document.lexed.code))
    rate = document.per_hundred_lines(count)
    return log_ramp(rate, 50, 0), f"{count} branches in {len(document.code_lines)} code lines"


def _checks(document: Document) -> Measurement:
    if not document.is_code or len(document.code_lines) < 5:
        return None
    count = len(_CHECK.findall(document.lexed.code))
    rate = document.per_hundred_lines(count)
    return log_ramp(rate, 0, 40), f"{count} checks in {len(document.code_lines)} code lines"


def _magic_numbers(document: Document) -> Measurement:
    if not document.is_code or not document.code_lines:
        return None
    found = _LITERAL_NUMBER.findall(document.lexed.code)
    count = sum(number not in ("0", "1", "2") for number in found)
    rate = document.per_hundred_lines(count)
    return log_ramp(rate, 80, 0), f"{count} bare numbers in {len(document.code_lines)} code lines"


def _dependencies(document: Document) -> Measurement:
    if not document.is_code:
        return None
    count = len(_IMPORT.findall(document.lexed.code))
    rate = document.per_hundred_lines(count)
    return log_ramp(rate, 40, 0), f"{count} imports for {len(document.code_lines)} code lines"


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
    return []


def _import_hygiene(document: Document) -> Measurement:
    names = [name for node in document.statements for name in _imported(node)]
    names = [name for name in names if name != "annotations"]
    if not names:
        return None
    counted = Counter(document.identifiers)
    uses = [min(4, max(0, counted[name] - 1)) for name in names]
    used = sum(map(bool, uses))
    return ramp(fmean(uses), 0, 3.5), f"{used} of {len(names)} imported names are used again"


def _global_state(document: Document) -> Measurement:
    if not document.is_code or len(document.code_lines) < 5:
        return None
    count = sum(bool(_TOP_ASSIGNMENT.match(line[:200])) for line in document.code_lines)
    share = count / len(document.code_lines)
    return log_ramp(100 * share, 40, 0), f"{count} assignments stand outside functions"


def _placeholders(document: Document) -> Measurement:
    if not document.is_code:
        return None
    code = len(_PLACEHOLDER.findall(document.lexed.code))
    notes = sum(len(_PLACEHOLDER.findall(comment)) for comment in document.lexed.comments)
    rate = document.per_hundred_lines(code + notes)
    return log_ramp(rate, 12, 0), f"{code + notes} placeholders or open notes occur"


PROPERTIES: tuple[Property, ...] = (
    Property(
        "error handling",
        "How often errors are raised, caught or checked, for the length of the code.",
        0,
        _error_handling,
    ),
    Property(
        "error specificity",
        "The share of raised and handled errors that have a specific type.",
        7,
        _error_specificity,
    ),
    Property("control flow simplicity", "How few branches the code takes.", 5, _branching),
    Property(
        "checks and assertions",
        "How often the code asserts, tests or verifies a value.",
        0,
        _checks,
    ),
    Property(
        "magic numbers",
        "How few bare numbers the code holds besides 0, 1 and 2.",
        8,
        _magic_numbers,
    ),
    Property(
        "dependency economy",
        "How few imports or includes the code needs, for its length.",
        5,
        _dependencies,
    ),
    Property(
        "import hygiene",
        "How often imported names are used in the rest of the code.",
        5,
        _import_hygiene,
    ),
    Property(
        "global state", "How few assignments stand outside functions and classes.", 9, _global_state
    ),
    Property(
        "placeholder code",
        "How few empty bodies, stubs and open notes are left in the code.",
        10,
        _placeholders,
    ),
)
