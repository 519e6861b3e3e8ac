"""Wrong configurations, drawn from the models of the settings: every setting is given what it does
not take, or misspelt, or repeated."""

import copy
import json
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mira_spark.settings.root import Settings

Tree = dict[str, Any]
INPUT: Tree = {"name": "web", "format": "json", "path": "/texts"}
FILE: Tree = {"corpus": {"input": "python_environment"}}
SECTIONS: dict[str, Tree] = {
    "": FILE,
    "corpus.inputs.0": {"corpus": {"inputs": [INPUT]}},
    "evaluation.sets.0": FILE | {"evaluation": {"sets": [INPUT]}},
    "judge.labelling": FILE | {"judge": {"labelling": {"kind": "heuristic"}}},
    "judge.prices.m": FILE
    | {"judge": {"prices": {"m": {"input": 1, "output": 2, "read_on": "2026-11-01"}}}},
    "baselines.dsir": FILE | {"baselines": {"dsir": {"target": INPUT}}},
    "baselines.perplexity": FILE | {"baselines": {"perplexity": {"model": "m"}}},
    "baselines.educational": FILE | {"baselines": {"educational": {"model": "m"}}},
    "selection.where.0": FILE
    | {"selection": {"where": [{"column": "license", "operator": "=", "value": "mit"}]}},
    "selection.exclude.0": FILE | {"selection": {"exclude": [{"table": "a.b"}]}},
    "selection.score": FILE | {"selection": {"score": {"table": "a.b", "column": "c"}}},
}
"""Where a section stands that files may leave out, and a file that is right and has it."""


SAID_OTHERWISE = {"corpus", "corpus.input", "corpus.inputs", "selection.exclude.0.by"}
"""Misspelt: without a corpus a second line asks for one, `inpust` is nearer to `input`, and two
letters are too few to guess from."""


@dataclass(frozen=True)
class Wrong:
    """A file that is refused, and how each line that says so begins; F stands for its path."""

    text: str
    lines: tuple[str, ...]


def from_the_models() -> Iterator[Wrong]:
    """Every setting with every value that it does not take, and with its name misspelt."""
    for section, tree in SECTIONS.items():
        for key, field in settings_of(model_of(section), section):
            for value in wrong_values(field):
                yield Wrong(json.dumps(with_value(tree, key, value)), (f"F: {key}: ",))
            if key not in SAID_OTHERWISE:
                yield misspelt(tree, key, field)


def settings_of(model: type[BaseModel], section: str) -> Iterator[tuple[str, FieldInfo]]:
    """Dotted keys of a section and of those in it."""
    for name, field in model.model_fields.items():
        key = f"{section}.{name}" if section else name
        yield key, field
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from settings_of(field.annotation, key)


def model_of(section: str) -> type[BaseModel]:
    model: type[BaseModel] = Settings
    for name in filter(None, section.split(".")):
        if name in model.model_fields:
            found = [kind for kind in kinds(model.model_fields[name].annotation) if is_model(kind)]
            (model,) = found
    return model


def kinds(annotation: Any) -> list[Any]:
    """The types that a value may have, of containers those within, too."""
    within = [kind for each in get_args(annotation) for kind in kinds(each)]
    if get_origin(annotation) is Literal:
        return [Literal]
    if get_origin(annotation) in (Annotated, Union, types.UnionType):
        return within
    return [get_origin(annotation) or annotation, *filter(is_model, within)]


def is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def wrong_values(field: FieldInfo) -> Iterator[object]:
    """Of another type, with a unit, beyond its bounds, null."""
    known = kinds(field.annotation)
    is_mapping = any(map(is_model, known)) or not {dict, Mapping}.isdisjoint(known)
    if tuple in known:
        yield from () if str in known and bool in known else (3,)
    else:
        yield [[1]]
    if not is_mapping:
        yield {"a": {}}
    if not {int, float, Decimal}.isdisjoint(known) and str not in known:
        yield from ("many", "5 tokens", "1,000", "")
    if bool in known and str not in known:
        yield from ("perhaps", 2)
    if Literal in known and not is_mapping:
        yield "other than these"
    if type(None) not in known and not is_mapping:
        yield None
    for bound in field.metadata:
        for name, step in {"ge": -1, "gt": 0, "le": 1, "lt": 0}.items():
            if hasattr(bound, name) and getattr(bound, name) is not None:
                yield getattr(bound, name) + step


def misspelt(tree: Tree, key: str, field: FieldInfo) -> Wrong:
    """The file with the last two letters of a setting's name in each other's place."""
    before, _, name = key.rpartition(".")
    wrong = f"{name[:-2]}{name[-1]}{name[-2]}" if name[-1] != name[-2] else f"{name}x"
    wrong_key = f"{before}.{wrong}" if before else wrong
    changed, place, value = copy.deepcopy(tree), *_place(tree, key)
    place = _place(changed, key)[0]
    place.pop(name, None)
    place[wrong] = value
    lines = [f"F: {wrong_key} is not a setting; did you mean {key}? Known: "]
    if field.is_required():
        lines.insert(0, f"F: {key}: is missing")
    return Wrong(json.dumps(changed), tuple(sorted(lines)))


def with_value(tree: Tree, key: str, value: object) -> Tree:
    changed = copy.deepcopy(tree)
    _place(changed, key)[0][key.rpartition(".")[2]] = value
    return changed


def _place(tree: Tree, key: str) -> tuple[Any, Any]:
    """The mapping that a key's last name stands in, made where it is not there, and its value."""
    place: Any = tree
    *before, name = key.split(".")
    for part in before:
        place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
    return place, place.get(name)
