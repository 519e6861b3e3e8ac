"""YAML is read strictly: nothing of it is lost in silence, and nothing of it grows."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings, strategies as st

from mira_spark.errors import ConfigError
from mira_spark.settings.yaml_files import parse, read

thorough = settings(max_examples=500, deadline=None)
names = st.sampled_from(["judge", "no", "2024", "a b", "é", "'", "x"])
trees = st.recursive(
    st.integers(0, 9) | names,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(names, below, max_size=3),
    max_leaves=12,
)


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, "F")
    return str(caught.value)


def doubled(tree: Any, choose: st.DataObject) -> tuple[str, str] | None:
    """The tree as YAML with one key of one mapping, anywhere in it, twice; and that key."""
    mappings: list[dict[str, Any]] = []
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            mappings += [node] if node else []
            todo += node.values()
        elif isinstance(node, list):
            todo += node
    if not mappings:
        return None
    mapping = choose.draw(st.sampled_from(mappings))
    key = choose.draw(st.sampled_from(sorted(mapping)))
    mapping["REPLACED"] = choose.draw(trees)
    written = yaml.safe_dump(tree, default_flow_style=choose.draw(st.booleans()))
    return written.replace("REPLACED", yaml.safe_dump(key).split("\n")[0]), key


@thorough
@given(tree=trees, choose=st.data())
def test_a_key_that_comes_twice_is_told_at_any_depth(tree: Any, choose: st.DataObject) -> None:
    assert parse(yaml.safe_dump(tree), "F").problems == []
    if made := doubled(tree, choose):
        text, key = made
        assert f"{key} comes twice" in [what for _, what in parse(text, "F").problems]


def test_the_line_of_a_repeated_key_is_that_of_the_second() -> None:
    text = "judge:\n  budget: 1\nother: 2\n'judge':\n  model: m\n"
    assert parse(text, "F").problems == [(4, "judge comes twice")]


@thorough
@given(text=st.text(alphabet="ab:-[]{}&*!<>|'\"#?,%@\n\t 0123_.xX~=\\\x00\x85\u2028", max_size=40))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    said = "F: is read"
    try:
        parse(text, "F")
    except ConfigError as error:
        said = str(error)
    assert re.fullmatch(r"F: (line \d+: )?(is |holds ).*", said)


def test_keys_are_the_text_they_are() -> None:
    assert parse("{no: 1, 2024: 2, ~: 3, 1.0: 4}", "F").value == {
        "no": 1, "2024": 2, "~": 3, "1.0": 4,
    }  # fmt: skip


def test_a_few_aliases_and_a_merge_are_read() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n"
    assert parse(text, "F").value["b"] == {"x": 1, "y": 3}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\n".join(["a: &a [x, x, x, x, x, x, x, x, x]", *(
            f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi",
                                                                     strict=True)
        )]), "line 1: is longer than 4,000,000 characters"),
        ("a: &a\n  b: *a", "line 1: is nested deeper than 50 levels"),
        ("[" * 5_000 + "]" * 5_000, "is nested deeper than 50 levels"),
        ("x: " + "[" * 60 + "]" * 60, "line 1: is nested deeper than 50 levels"),
        ("\n".join(" " * i + "a:" for i in range(1_000)), "is nested deeper than 50 levels"),
        ("x: 2026-13-45", "line 1: holds a value that is not what it looks like"),
        ("x: 1\ny: !!int z", "line 2: holds a value that is not what it looks like"),
        ("x: 0x" + "f" * 5_000, "line 1: holds a number that is too long"),
        ('x: "\\ud800"', "line 1: holds half a character (a surrogate)"),
        ("? [a]\n: b", "line 1: holds a key that is no word"),
        ("a: 1\nb: \x00", "line 2: is not YAML: found a character that YAML does not allow"),
        ("a: x\n---\nb: y", "line 2: is not YAML: but found another document"),
        ("a: *sk-live-0123456789", "line 1: is not YAML: found undefined alias '…'"),
        ("api_key: 'sk-live-0123456789", "line 1: is not YAML: found unexpected end of stream"),
    ],
    ids=range(14),
)  # fmt: skip
def test_what_cannot_be_read_is_refused_in_one_line_that_shows_no_value(
    text: str, said: str
) -> None:
    assert refusal(text) == f"F: {said}"


def test_a_file_that_is_too_long_or_no_file_is_refused(tmp_path: Path) -> None:
    long = tmp_path / "long.yaml"
    long.write_text("x" * 4_000_001)
    for path, said in (
        (long, "is longer than 4,000,000 characters"),
        (tmp_path / "a\0b", "cannot be read: no file can have this name"),
    ):
        with pytest.raises(ConfigError) as caught:
            read(path)
        assert str(caught.value) == f"{path}: {said}"
