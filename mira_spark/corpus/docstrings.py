"""Question and answer pairs from Python code: a signature asks, its docstring answers."""

import ast
import hashlib
import warnings
from collections.abc import Iterator, Sequence

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

MIN_ANSWER_CHARACTERS = 80
MAX_CALLS_NAMED = 8


def question_answers(
    code: bytes, module: str, package: str | None, at_most: int
) -> list[tuple[str, str]]:
    """Qualified name and text of up to `at_most` documented definitions, ordered by name.

    A text is `Question: …`, a blank line, `Answer: …`. Which definitions are taken depends on their
    names alone. Code that does not parse has none.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(code)
        definitions: dict[str, tuple[Sequence[str], Definition]] = {}
        for parents, node in _documented_definitions(tree.body, ()):
            definitions.setdefault(".".join((*parents, node.name)), (parents, node))
        taken = sorted(sorted(definitions, key=_draw_key)[:at_most])
        return [(name, _pair(*definitions[name], module, package)) for name in taken]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _documented_definitions(
    body: Sequence[ast.stmt], parents: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Definition]]:
    for node in body:
        if isinstance(node, Definition):
            if len(ast.get_docstring(node) or "") >= MIN_ANSWER_CHARACTERS:
                yield parents, node
            if isinstance(node, ast.ClassDef):
                yield from _documented_definitions(node.body, (*parents, node.name))


def _draw_key(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "backslashreplace")).digest()


def _pair(parents: Sequence[str], node: Definition, module: str, package: str | None) -> str:
    where = f"module `{module}`" + (f" of {package}" if package else "")
    if isinstance(node, ast.ClassDef):
        asked = f"What is the class `{node.name}` for, and how is it made?"
    elif parents:
        asked = f"What does the method `{node.name}` of `{parents[-1]}` do, and how is it called?"
    else:
        asked = f"What does the function `{node.name}` do, and how is it called?"
    lines = [f"Question: {asked}", f"It is defined in the {where}:", *_signature(node)]
    if called := _called_names(node):
        lines.append(f"It calls {', '.join(f'`{name}`' for name in called)}.")
    return "\n".join(lines) + f"\n\nAnswer: {(ast.get_docstring(node) or '').strip()}"


def _signature(node: Definition) -> list[str]:
    decorators = [f"@{_one_line(item)}" for item in node.decorator_list]
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(_one_line(item) for item in (*node.bases, *node.keywords))
        constructors = [item for item in node.body if getattr(item, "name", "") == "__init__"]
        inside = [f"    {line}" for item in constructors[:1] for line in _signature_of_init(item)]
        return [*decorators, f"class {node.name}" + (f"({bases}):" if bases else ":"), *inside]
    word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    returns = f" -> {_one_line(node.returns)}" if node.returns else ""
    return [*decorators, f"{word} {node.name}({_one_line(node.args)}){returns}:"]


def _signature_of_init(node: ast.stmt) -> list[str]:
    return _signature(node) if isinstance(node, ast.FunctionDef) else []


def _called_names(node: Definition) -> list[str]:
    """Names called in the body, in the order in which a walk by depth meets them first."""
    if isinstance(node, ast.ClassDef):
        return []
    body = ast.Module(node.body, [])
    calls = (item.func for item in ast.walk(body) if isinstance(item, ast.Call))
    names = (_one_line(call) for call in calls if isinstance(call, ast.Name | ast.Attribute))
    plain = (name for name in names if name.replace(".", "_").isidentifier())
    return list(dict.fromkeys(plain))[:MAX_CALLS_NAMED]


def _one_line(node: ast.AST) -> str:
    return ast.unparse(node).replace("\n", " ")
