"""What the READMEs name exists: every path, command, setting, table and function."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import typer
from pydantic import BaseModel

from mira_spark.cli.main import app
from mira_spark.judges.calls.secret import Secret
from mira_spark.judges.openai_compatible import OpenAIJudge
from mira_spark.lake.schemas import TABLES
from mira_spark.settings.root import Settings, load

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "mira_spark").rglob("README.md")),
    *sorted((ROOT / "conf").rglob("README.md")),
]
NOT_OURS = (".venv/", ".mira/", "dist/", "my.yaml", "rubrics.yaml", "demo.yaml", "report.html")
"""What commands make and what users write; it is not in the repository."""
QUESTIONS = {
    "one quality of fifteen scores": "mira_spark/students/quality.py",
    "which dimensions can be trusted": "mira_spark/distillation/cells.py",
    "what a file in udfs may define": "udfs/__init__.py",
    "a budget becomes cutoffs": "mira_spark/selection/choice.py",
    "the labelling prompt": "mira_spark/judges/prompt_files/label.txt",
    "Retry-After": "mira_spark/judges/calls/throttle.py",
    "a kind of student": "mira_spark/students/protocol.py",
    "a judge": "mira_spark/judges/protocol.py",
    "Delta tables are written": "mira_spark/lake/tables.py",
    "a step knows that it is stale": "mira_spark/lake/runs.py",
}
"""A stranger's ten questions, and the file that answers each."""


def quoted(page: Path) -> Iterator[str]:
    """What stands between backticks outside of blocks of code."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    yield from re.findall(r"`([^`\n]+)`", text)


def blocks(page: Path) -> str:
    """The blocks of code and the commands quoted in the text."""
    text = page.read_text(encoding="utf-8")
    indented = re.findall(r"^    (.+)$", text, flags=re.MULTILINE)
    return "\n".join([*re.findall(r"```.*?```", text, re.DOTALL), *indented, *quoted(page)])


def paths(page: Path) -> Iterator[str]:
    for text in quoted(page):
        for word in text.split():
            is_path = re.fullmatch(r"[\w.\-/]+/|[\w.\-/]*[\w\-]+\.(py|md|yaml|txt|html\.j2)", word)
            if is_path and not word.startswith(NOT_OURS) and "*" not in word:
                yield word


def commands(page: Path) -> Iterator[list[str]]:
    """The words after `mira` that name a command: the first, and the second of a group."""
    for match in re.finditer(r"(?:^|[/`\s])mira ([a-z][a-z-]+)((?: [a-z][a-z-]*)*)", blocks(page)):
        yield [match[1], *match[2].split()]


def settings_of(model: type[BaseModel]) -> dict[str, object]:
    return {name: field.annotation for name, field in model.model_fields.items()}


def is_setting(keys: list[str]) -> bool:
    model: object = Settings
    for key in keys:
        options = [model, *get_args(model)]
        sections = [o for o in options if isinstance(o, type) and issubclass(o, BaseModel)]
        if not sections:
            return bool(get_args(model))  # below a mapping the names are the user's
        if key not in sections[0].model_fields:
            return False
        model = sections[0].model_fields[key].annotation
    return True


def defined(path: Path) -> set[str]:
    """Functions, classes, methods and constants of a file, methods as `Class.method`."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{getattr(each, 'name', '')}" for each in node.body}
            fields = [each.target for each in node.body if isinstance(each, ast.AnnAssign)]
            names |= {f"{node.name}.{each.id}" for each in fields if isinstance(each, ast.Name)}
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {each.id for each in targets if isinstance(each, ast.Name)}
    return names


def functions(page: Path) -> Iterator[tuple[str, Path]]:
    """`folder.module.name` or `module.name`, with the file that must define the name."""
    package = ROOT / "mira_spark"
    for text in quoted(page):
        for word in text.split():
            parts = re.fullmatch(r"((?:[a-z_]+[./])+)([A-Za-z_]+(?:\.[a-z_]+)?)", word)
            if not parts or re.search(r"\.(py|md|yaml|txt|j2)$", word):
                continue
            module = package / parts[1].rstrip("./").replace(".", "/")
            near = page.parent / parts[1].rstrip("./").replace(".", "/")
            for each in (module, near):
                if each.with_suffix(".py").is_file():
                    yield parts[2], each.with_suffix(".py")
                    break


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    named = list(paths(page))
    assert named
    package = {
        str(path.relative_to(folder))
        for path in (ROOT / "mira_spark").rglob("*.*")
        for folder in path.parents
        if folder.is_relative_to(ROOT / "mira_spark")
    }
    missing = [w for w in named if w not in package and not (ROOT / w).exists()]
    missing = [w for w in missing if not (page.parent / w).exists()]
    missing = [w for w in missing if not (ROOT / "mira_spark" / w).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    group = typer.main.get_command(app)
    for first, *more in commands(page):
        assert first in group.commands, f"mira {first}"  # type: ignore[attr-defined]
        inner = getattr(group.commands[first], "commands", None)  # type: ignore[attr-defined]
        if inner is not None and more:
            assert more[0] in inner, f"mira {first} {more[0]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_setting_that_a_page_names_exists(page: Path) -> None:
    sections = [name for name, kind in settings_of(Settings).items() if isinstance(kind, type)]
    pattern = rf"(?<![\w./])((?:{'|'.join(sections)})(?:\.[a-z_]+)+)(?![\w(/])"
    for text in [*quoted(page), *re.findall(r"--set (\S+?)=", blocks(page))]:
        for name in re.findall(pattern, text):
            places = [Path(*name.split(".")[:n]).with_suffix(".py") for n in (1, 2)]
            is_code = any((ROOT / "mira_spark" / place).exists() for place in places)
            if name.endswith(".py"):
                continue
            is_column = name.split(".")[0] in TABLES
            assert is_code or is_column or is_setting(name.split(".")), name


SENT = {
    "vllm.example.com": {"max_tokens": 8_000, "temperature": 0.0},
    "127.0.0.1:8080": {"max_tokens": 2_000, "temperature": 0.0},
    "127.0.0.1:11434": {"max_tokens": 8_000, "temperature": 0.0},
    "my-workspace.cloud.databricks.com": {"max_tokens": 2_000, "temperature": 0.0},
    "api.openai.com": {"max_completion_tokens": 8_000},
}
"""Of each server whose settings are shown: the limit and the temperature that it is sent."""


def test_the_settings_shown_for_each_server_are_taken_and_send_what_it_knows(
    tmp_path: Path,
) -> None:
    text = (ROOT / "mira_spark/judges/README.md").read_text(encoding="utf-8")
    sent = {}
    for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL):
        file = tmp_path / "my.yaml"
        file.write_text(block, encoding="utf-8")
        judge = load(file, ["corpus.input=python_environment"]).judge
        assert judge.url is not None
        assert judge.model in judge.prices or judge.hosts != ("127.0.0.1",)
        identity = OpenAIJudge(judge, Secret("none")).identity
        names = ("max_tokens", "max_completion_tokens", "temperature")
        host = judge.url.split("/")[2]
        sent[host] = {name: identity[name] for name in names if name in identity}
    assert sent == SENT


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_function_that_a_page_names_exists(page: Path) -> None:
    for name, path in functions(page):
        assert name in defined(path), f"{path.relative_to(ROOT)} has no {name}"


def test_the_pages_name_something_of_every_kind() -> None:
    """Without this, a pattern that matches nothing would pass."""
    front = PAGES[0]
    assert len(list(paths(front))) > 30
    assert ["rubrics", "export"] in [each[:2] for each in commands(front)]
    assert len([1 for page in PAGES for _ in functions(page)]) > 30
    assert is_setting(["selection", "budget"])
    assert not is_setting(["selection", "bugdet"])


@pytest.mark.parametrize("path", QUESTIONS.values(), ids=QUESTIONS)
def test_the_ten_questions_are_answered_by_a_file_that_readme_leads_to(path: str) -> None:
    assert (ROOT / path).is_file()
    text = PAGES[0].read_text(encoding="utf-8")
    parts = [path, Path(path).name, f"{Path(path).parent}/"]
    parts.append("/".join(Path(path).parts[-2:]))
    assert any(f"`{part}`" in text for part in parts), path


def test_the_glossary_is_short() -> None:
    text = PAGES[0].read_text(encoding="utf-8")
    words = text[text.index("## Words") : text.index("## How it is built")]
    assert len(words.strip().splitlines()) <= 34, "30 words and the head of the table"
