"""What is wrong with settings, each problem in one line that begins with its dotted key."""

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mira_spark.settings.secrets import holds_key

SettingKey = tuple[int | str, ...]
_LONGEST = 200
"""Characters of a value or a name that are shown."""
_WORDS = {
    "bool_": "should be true or false",
    "date_": "should be a date, e.g. 2026-11-01",
    "decimal_max_places": "should have at most {decimal_places} decimals",
    "decimal_max_digits": "should have at most {max_digits} digits",
    "decimal_whole_digits": "should have at most {whole_digits} digits before the point",
    "decimal_": "should be a number",
    "dict_": "should be a mapping of keys to values",
    "finite_": "should be a finite number",
    "float_": "should be a number",
    "greater_than_equal": "should be at least {ge}",
    "greater_than": "should be more than {gt}",
    "int_": "should be a whole number",
    "less_than_equal": "should be at most {le}",
    "less_than": "should be less than {lt}",
    "list_": "should be a list",
    "literal_": "should be {expected}",
    "mapping_": "should be a mapping of keys to values",
    "model_": "should be a mapping of keys to values",
    "path_": "should be a path",
    "string_too_short": "should not be empty",
    "string_type": "should be a text",
    "too_short": "should not be empty",
    "tuple_": "should be a list",
}
"""By how a type of pydantic's errors begins; the first that fits."""
_OF_SERVERS = {"judge", "embedder", "served"}
_BEGINS_WITH_SETTING = re.compile(r"[a-z_]+(\.[^:]*)?: ")


def problem_lines(error: ValidationError, tree: Any, model: type[BaseModel]) -> Iterator[str]:
    """Every problem of a tree that `model` refused. What a section says of itself may have several
    lines, and each may begin with the setting in it. Nothing is shown that may be a key."""
    by_key: dict[SettingKey, list[ErrorDetails]] = {}
    for problem in error.errors():
        by_key.setdefault(_key(problem, tree), []).append(problem)
    above = {key[:length] for key in by_key for length in range(len(key))}
    for key, problems in by_key.items():
        # Of a setting that may be one thing or another, what is wrong within it says more.
        if key in above:
            continue
        if problems[0]["type"] == "extra_forbidden":
            yield _unknown_setting(key, model)
            continue
        first, *others = dict.fromkeys(map(plain_words, problems))
        words = ", or ".join([first, *(each.removeprefix("should be ") for each in others)])
        name = dotted(key)
        for line in (words + _value_text(key, problems[0])).splitlines():
            mark = "." if _BEGINS_WITH_SETTING.match(line) else ": "
            yield f"{name}{mark}{line}" if name else line


def plain_words(problem: ErrorDetails) -> str:
    """What is wrong, without where and what was found."""
    if problem["type"] == "missing":
        return "is missing"
    words = next((w for kind, w in _WORDS.items() if problem["type"].startswith(kind)), None)
    if words is None:
        return problem["msg"].removeprefix("Value error, ")
    bounds = problem.get("ctx", {}).items()
    return words.format(
        **{k: int(v) if isinstance(v, float) and v.is_integer() else v for k, v in bounds}
    )


def dotted(key: SettingKey) -> str:
    """A key as people write it, in one line."""
    return ".".join(" ".join(_short(str(part)).split()) for part in key)


def _key(problem: ErrorDetails, tree: Any) -> SettingKey:
    """Where in the tree the problem is, without the names that pydantic gives to alternatives."""
    key: list[int | str] = []
    for place, part in enumerate(problem["loc"], start=1):
        try:
            tree = tree[part]
        except (LookupError, TypeError):
            if problem["type"] != "missing" or place < len(problem["loc"]):
                continue
        key.append(part)
    return tuple(key)


def _value_text(key: SettingKey, problem: ErrorDetails) -> str:
    """What was found, where it is a value that may be shown."""
    found = problem["input"]
    names_server = "registry" in key[:1] or not _OF_SERVERS.isdisjoint(key[:2])
    may_be_a_key = (names_server and isinstance(found, str)) or holds_key(str(found))
    if problem["type"] == "missing" or isinstance(found, Mapping) or may_be_a_key:
        return ""
    return f", found {_short(repr(found))}"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _unknown_setting(key: SettingKey, model: type[BaseModel]) -> str:
    *section, name = key
    for part in section:
        # Below a mapping the parts are the user's own names.
        if part in model.model_fields:
            model = _section(model.model_fields[str(part)].annotation) or model
    known = sorted(model.model_fields)
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f"; did you mean {dotted((*section, near[0]))}?" if near else "."
    return f"{dotted(key)} is not a setting{hint} Known: {', '.join(known)}"


def _section(annotation: Any) -> type[BaseModel] | None:
    """The model that a setting holds, alone, as an option, or as the values of a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in get_args(annotation) if (found := _section(each))), None)
