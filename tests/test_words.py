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
    r"\bmoney\b": "spending, or dollars",
    r"\bthresholds?\b": "the gate's bounds, or a cutoff",
    r"\bcut-offs?\b": "cutoff",
    r"\bdata sets?\b": "corpus, or documents",
    r"\bground truth\b": "the judge's labels",
    r"\bgold(en)? (labels?|documents?|sets?)\b": "labels, or canaries",
    r"\bcontrol documents?\b": "canaries",
    r"\bquality scores?\b": "quality, or score",
    r"\bproduction (model|student)s?\b": "champion",
    r"\bsub-?budgets?\b": "pools",
    r"\bledger of the judge\b|\b(in|to) the ledger\b|\bledger (says|had)\b": "`judge_calls`",
}
"""Words that stand for one of the glossary's, and the glossary's."""
FORBIDDEN_NAMES = {
    (
        "mira_spark/(?!cli/|labels/planning|settings/root)",
        "_?plan",
    ): "a plan is what `mira plan` shows",
    ("mira_spark/(judges|labels)/", "_?[Bb]udget"): "a budget is of tokens; dollars are spending",
    ("mira_spark/scoring/", "_?windows?"): "a batch; a window is a piece of a long text",
}
"""Files and names in them that stand for another word of the glossary."""


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


def names_given(tree: ast.Module) -> Iterator[str]:
    """Of functions, classes, parameters and variables."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def misnamed(modules: Iterator[tuple[str, ast.Module]]) -> list[str]:
    return [
        f"{path}: {name}: {word}"
        for path, tree in modules
        for (files, pattern), word in FORBIDDEN_NAMES.items()
        if re.match(files, path)
        for name in names_given(tree)
        if re.fullmatch(pattern, name)
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


def test_names_are_the_glossary_s_words() -> None:
    assert misnamed(package()) == []


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
    bad = ast.parse("class Budget: ...\ndef f(plan): windows = plan")
    places = ("mira_spark/labels/a.py", "mira_spark/scoring/a.py", "mira_spark/cli/a.py")
    assert [each.split(": ")[1] for place in places for each in misnamed(iter([(place, bad)]))] == [
        "plan", "Budget", "plan", "windows",
    ]  # fmt: skip
