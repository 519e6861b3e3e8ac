"""Names: one word for one thing, and a function says what it gives (README, words)."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAME_NOTHING = {
    "of", "found", "kept", "made", "told", "one", "some", "standing", "begun", "gone", "again",
    "held", "noted", "listed", "named", "chosen", "shown", "stored", "fitted", "tuned", "assessed",
    "taken", "loaded", "refined", "recorded", "finished", "there", "others", "this", "those",
    "opened", "seen", "sent", "mine", "alone", "moved", "about", "removed", "blamed", "performed",
    "exported", "rewritten", "drawn", "wanted", "asked", "mapped",
}  # fmt: skip
OF_A_PROTOCOL = {"SETTINGS", "WRITES", "PROPERTIES"}
"""What every module of its kind has: a step, a command that writes, a family of properties."""
FORBIDDEN = {
    r"\bprefix_rule\b": "the walk has no second name",
    r"\bmask(ed)? slots?\b": "reliable or unreliable slots",
    r"\bdollar budget\b": "spending",
    r"\bmoney budget\b": "spending",
    r"\bpolicy pools?\b": "pools",
    r"\bdistilled model\b": "student",
    r"\bteacher\b": "judge",
    r"\bgrader model\b": "judge",
    r"\bcriteri(on|a)\b": "dimension",
}
"""Words that stand for one of the glossary's, and the glossary's."""


def package() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((ROOT / "mira_spark").rglob("*.py")):
        yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


def functions(tree: ast.Module) -> Iterator[str]:
    """Public and private ones, of modules and of classes."""
    for node in [tree, *(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))]:
        for each in node.body:
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                yield each.name


def public_names(tree: ast.Module) -> Iterator[str]:
    """Classes and constants; not functions, which may be alike in modules of one kind."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name))


def nameless(modules: Iterator[tuple[str, ast.Module]]) -> list[str]:
    return [
        f"{path}: {name}"
        for path, tree in modules
        for name in functions(tree)
        if name.strip("_") in NAME_NOTHING
    ]


def doubled(modules: Iterator[tuple[str, ast.Module]]) -> dict[str, list[str]]:
    places = defaultdict(list)
    for path, tree in modules:
        for name in public_names(tree):
            if not name.startswith("_") and name not in OF_A_PROTOCOL and name != "app":
                places[name].append(path)
    return {name: where for name, where in places.items() if len(where) > 1}


def test_a_function_says_what_it_gives() -> None:
    assert nameless(package()) == []


def test_no_two_classes_or_constants_have_one_name() -> None:
    assert doubled(package()) == {}


@pytest.mark.parametrize("word", FORBIDDEN)
def test_the_glossary_s_words_are_used(word: str) -> None:
    texts = [*(ROOT / "mira_spark").rglob("*.py"), *(ROOT / "mira_spark").rglob("*.md")]
    texts += [ROOT / "README.md", *(ROOT / "conf").glob("*.yaml"), *(ROOT / "jobs").glob("*.py")]
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in texts
        for match in re.finditer(word, path.read_text(encoding="utf-8"), re.IGNORECASE)
    ]
    assert found == [], f"say {FORBIDDEN[word]}"


def test_the_rules_bite() -> None:
    bad = ast.parse("LEVEL = 1\nclass Point:\n    async def _of(self): ...\ndef standing(): ...")
    assert nameless(iter([("a.py", bad)])) == ["a.py: standing", "a.py: _of"]
    assert set(doubled(iter([("a.py", bad), ("b.py", bad)]))) == {"LEVEL", "Point"}
