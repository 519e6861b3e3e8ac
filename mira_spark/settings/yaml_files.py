"""YAML as people write it, read strictly: nothing of it is lost, and nothing of it grows.

A key that comes twice is a problem, at any depth. Keys are the text they are: a source may be
called `no` or `2024`. No text of a file is shown where it cannot be read: it may hold a key.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mira_spark.errors import ArtefactError, ConfigError
from mira_spark.lake import storage
from mira_spark.lake.storage import Root

MOST_CHARACTERS = 4_000_000
"""Of a file, and of what it says with every alias written out."""
_DEEPEST = 50
"""Levels of lists and mappings in each other."""
LONGEST_NUMBER = 10**1_000
"""Python refuses to print numbers that are much longer."""
_TEXT, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"
_EQUALS = "tag:yaml.org,2002:value"
"""Of a bare =, which PyYAML reads as no value; it is an operator in `selection.where`."""
_TOO_LONG = f"is longer than {MOST_CHARACTERS:,} characters"
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What PyYAML lets through from Python's own conversions, e.g. of 2026-13-45."""


@dataclass(frozen=True)
class YamlDocument:
    """What a text says. `root` is its node, None where it is empty; `problems` are the line, from
    1, and the text of each thing that would be lost."""

    value: Any
    root: yaml.Node | None
    problems: list[tuple[int, str]]


class _Loader(yaml.SafeLoader):
    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
        except _UNREADABLE:
            raise _problem("holds a value that is not what it looks like", node) from None
        if isinstance(value, int) and abs(value) >= LONGEST_NUMBER:
            raise _problem("holds a number that is too long", node)
        return value


def read(path: Root) -> str:
    """The text of the file at a path or URI; ConfigError when it cannot be read, is not UTF-8, or
    is too long."""
    try:
        if isinstance(path, Path):
            with path.open(encoding="utf-8") as file:
                text = file.read(MOST_CHARACTERS + 1)
        else:
            text = storage.read_file(path).decode()
    except ArtefactError as error:
        raise ConfigError(str(error)) from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8: {error.reason}; save it as UTF-8") from None
    except ValueError:  # a path that no file can have
        raise ConfigError(f"{path}: cannot be read: no file can have this name") from None
    if len(text) > MOST_CHARACTERS:
        raise ConfigError(f"{path}: {_TOO_LONG}")
    return text


def parse(text: str, where: str, as_text: bool = False) -> YamlDocument:
    """What the text says; with `as_text` every scalar as the text it is.

    ConfigError, one line that begins with `where`, when it is not YAML, too long, or too deep.
    """
    if len(text) > MOST_CHARACTERS:
        raise ConfigError(f"{where}: {_TOO_LONG}")
    try:
        loader = yaml.BaseLoader(text) if as_text else _Loader(text)
        root = loader.get_single_node()
        problems = sorted(set(_problems(root))) if root else []
        return YamlDocument(loader.construct_document(root) if root else None, root, problems)
    except RecursionError:
        raise ConfigError(f"{where}: is nested deeper than {_DEEPEST} levels") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: {_problem_line(error, text)}") from None


def _problems(root: yaml.Node) -> Iterator[tuple[int, str]]:
    """Walks what is written out, aliases by what they stand for; makes texts of all keys."""
    left, todo = MOST_CHARACTERS, [(root, 1)]
    while todo:
        node, depth = todo.pop()
        left -= 1 + (len(node.value) if isinstance(node, yaml.ScalarNode) else 0)
        if left < 0:
            raise _problem(_TOO_LONG, root)
        if depth > _DEEPEST:
            raise _problem(f"is nested deeper than {_DEEPEST} levels", node)
        if node.tag == _EQUALS:
            node.tag = _TEXT
        if isinstance(node, yaml.SequenceNode):
            todo += [(each, depth + 1) for each in node.value]
        elif isinstance(node, yaml.MappingNode):
            keys = set()
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    raise _problem("holds a key that is no word", key)
                if key.value in keys:
                    yield key.start_mark.line + 1, f"{' '.join(key.value.split()):.60} comes twice"
                keys.add(key.value)
                key.tag = key.tag if key.tag == _MERGE else _TEXT
                todo += [(key, depth), (value, depth + 1)]
        elif any("\ud800" <= character <= "\udfff" for character in node.value):
            raise _problem("holds half a character (a surrogate)", node)


def _problem(text: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=text, problem_mark=node.start_mark)


def _problem_line(error: yaml.YAMLError, text: str) -> str:
    """The problem and its line; without the names in it, and without the lines around."""
    if isinstance(error, yaml.MarkedYAMLError):
        problem, line = error.problem or error.context, getattr(error.problem_mark, "line", 0)
    else:  # a character that YAML does not allow
        problem, line = "found a character that YAML does not allow", None
        if isinstance(error, yaml.reader.ReaderError):
            line = text.count("\n", 0, error.position)
    if (problem or "").startswith("could not determine a constructor"):
        problem = "holds a tag, which begins with !: leave it out, or put the value in quotes"
    named = re.sub(r"'[\w.-]{2,}'", "'…'", problem or "")
    is_ours = named.startswith(("holds", "is "))
    return f"line {(line or 0) + 1}: {'' if is_ours else 'is not YAML: '}{named}"
