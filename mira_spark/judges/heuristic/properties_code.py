"""Properties of code and of data files: what filters of code and plain static checks look at."""

import ast
import builtins
import re
from collections import Counter, defaultdict
from collections.abc import Iterator

from mira_spark.judges.heuristic.measures import CODE, Document, Measurement, measured, share
from mira_spark.judges.heuristic.properties_text import CODEPARROT

_BUILTIN = {*dir(builtins), "__file__", "__name__", "__doc__", "__path__", "__all__"}
_PLACEHOLDER = re.compile(r"\b(?:TODO|FIXME|XXX|HACK|[Pp]laceholder|NotImplemented\w*|pass$)", re.M)
_GENERATED = re.compile(r"auto-?generated|generated (?:by|from|auto)|do not (?:edit|modify)", re.I)
_FIELD = re.compile(
    r"(?<![\w./$@-])([\w./$@-]++)[\"']?[ \t]*+[:=][ \t]*+(\"[^\"\n]*+\"|[^\s,}\]]++)"
)


@measured("static check: pylint E0001", 0.3, 1.0, "python")
def sound_syntax(document: Document) -> Measurement:
    """The share of the code that parses."""
    whole = len(document.text) if document.kind == "python" else 0
    return share(sum(len(source) for source, _ in document.parsed), whole, "characters parse")


@measured("static check: pyflakes F821", 0.3, 0.0, "python")
def defined_names(document: Document) -> Measurement:
    """How few of the names that are used are nowhere defined or imported."""
    names = [node for node in document.nodes if isinstance(node, ast.Name)]
    used = [name.id for name in names if isinstance(name.ctx, ast.Load)]
    undefined = Counter(used).keys() - _BUILTIN.union(*map(_bound, document.nodes))
    return share(sum(map(undefined.__contains__, used)), len(used), "uses are of unknown names", 8)


@measured("static check: pyflakes F401", 0.3, 1.0, "python")
def used_imports(document: Document) -> Measurement:
    """The share of imported names that the rest of the code uses."""
    imports = [node for node in document.nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {name for node in imports for name in _bound(node)} - {"annotations", "*"}
    counted = Counter(re.findall(r"\w+", document.text))
    return share(sum(counted[name] > 1 for name in names), len(names), "imports are used")


def _bound(node: ast.AST) -> Iterator[str]:
    """The names that a node defines."""
    match node:
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            yield from (each.asname or each.name.partition(".")[0] for each in names)
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
            yield name
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
            yield name


@measured("static check: pydocstyle D101 to D103", 0.0, 1.0, "python")
def documented_definitions(document: Document) -> Measurement:
    """The share of public functions and classes with a docstring."""
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    nodes = [node for node in document.nodes if isinstance(node, definitions)]
    public = [node for node in nodes if not node.name.startswith("_")]
    documented = sum(ast.get_docstring(node, clean=False) is not None for node in public)
    return share(documented, len(public), "public definitions are documented")


@measured(CODEPARROT, 3.0, 0.0, "python")
def hand_written(document: Document) -> Measurement:
    """How few marks of generated files the code bears."""
    count = len(_GENERATED.findall(document.text))
    what = f"{count} marks of a generated file were seen"
    return (count, what) if document.kind in CODE else None


@measured("static check: pylint W0511, W0107", 0.05, 0.0, "python")
def finished_code(document: Document) -> Measurement:
    """How few placeholders and open notes the code has."""
    count = len(_PLACEHOLDER.findall(document.text))
    rows = len(document.lines) if document.kind in CODE else 0
    return share(count, rows, "places are left open", fewest=5)


@measured("static check: one type for each field, JSON Schema", 0.4, 0.9, "data")
def like_values(document: Document) -> Measurement:
    """The share of values that are like most others of their field."""
    fields: defaultdict[str, list[str]] = defaultdict(list)
    for name, value in _FIELD.findall(document.text) if document.kind == "data" else ():
        fields[name].append(value)
    columns = [values for values in fields.values() if len(values) > 1]
    shapes = [[re.sub("[a-z]+|[0-9]+", "a", value)[:8] for value in each] for each in columns]
    like = sum(Counter(each).most_common(1)[0][1] for each in (*columns, *shapes)) / 2
    return share(like, sum(map(len, columns)), "values are like others of their field", fewest=6)


@measured("static check: JSON, TOML and YAML close a string on its row", 0.6, 1.0, "data")
def sound_rows(document: Document) -> Measurement:
    """The share of the rows of a data file that are whole."""
    rows = document.lines if document.kind == "data" else []
    whole = sum(row.count('"') % 2 == 0 and row.count("'") % 2 == 0 for row in rows)
    return share(whole, len(rows), "rows close what they quote", fewest=5)


PROPERTIES = (
    sound_syntax, defined_names, used_imports, documented_definitions, hand_written,
    finished_code, like_values, sound_rows,
)  # fmt: skip
