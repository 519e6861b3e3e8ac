"""The YAML in which people edit rubrics before they sign them."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mira_spark.corpus.parts import DocumentPart
from mira_spark.errors import ConfigError, joined
from mira_spark.judges.protocol import Anchor
from mira_spark.lake.scale import MAX_WEIGHT, WEIGHT
from mira_spark.rubrics import lint
from mira_spark.rubrics.rubric import MIN_DIMENSIONS, Rubric, rubric_id
from mira_spark.settings import yaml_files
from mira_spark.settings.problems import plain_words
from mira_spark.settings.rubrics import MAX_DIMENSIONS

_WIDTH = 96
_HEADER = f"""\
# Rubrics to be read, edited and signed. Reword a name or a definition; drop, reorder or add
# dimensions ({MIN_DIMENSIONS} to {MAX_DIMENSIONS} in a group; their order is the order of the \
slots); or merge some: keep one
# of them and list the slots of all in its `from`. A dimension that is new has no `from`. A
# dimension with `weight: 2` counts twice in a document's verdict, with `weight: 0` it is asked and
# does not count, without `weight` it counts once (0 to {MAX_WEIGHT:,}, at most three decimals). For
# other weights alone nothing is asked again. With `part` a dimension is about one part of a
# conversation, or of a document that thinks before it answers: question, thinking, answer or tool
# use. Leave `group` and `based_on` as they are. A line that begins with # is evidence and is not
# read. Then: mira rubrics import FILE, and mira rubrics approve. What was changed is a new rubric,
# with an id of its own.
"""

Place = tuple[int | str, ...]


@dataclass(frozen=True)
class Evidence:
    """What discovery found out about one slot, as in the table `rubrics`; shares are 0 to 1."""

    cluster_size: int
    document_share: float
    source_shares: Mapping[str, float]
    score_sd: float | None
    stability: float | None


@dataclass(frozen=True)
class RubricExport:
    """A rubric with the evidence of each slot (None for one that a person wrote) and the share of
    the sampled documents that its clusters cover."""

    rubric: Rubric
    evidence: tuple[Evidence | None, ...]
    coverage: float | None = None


class Dimension(BaseModel):
    """One dimension as edited; `from_slots` are the slots of the exported rubric it stands for,
    several where they were merged, none where it is new."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    definition: str
    weight: Decimal = Field(Decimal(1), ge=0, le=MAX_WEIGHT, decimal_places=3)
    part: DocumentPart | None = None
    from_slots: list[Annotated[int, Field(ge=0, lt=MAX_DIMENSIONS)]] = Field([], alias="from")


class Draft(BaseModel):
    """A group's rubric as edited, in slot order; `based_on` is the id of the exported one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source_group: str = Field(alias="group", min_length=1)
    based_on: str | None = None
    dimensions: list[Dimension]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    rubrics: list[Draft]


def rubric(draft: Draft) -> Rubric:
    """The rubric that a draft becomes, its slots numbered from 0 in the draft's order."""
    anchors = tuple(
        Anchor(i, d.name, d.definition, int(d.weight * WEIGHT), d.part)
        for i, d in enumerate(draft.dimensions)
    )
    return Rubric(rubric_id(draft.source_group, anchors), draft.source_group, anchors)


def to_yaml(exported: Sequence[RubricExport]) -> str:
    """The rubrics as a file to edit, with the evidence in comments; equal input, equal text.

    `from_yaml` gives back every group, name, definition and weight exactly, provided the lint
    accepts them. A weight of 1 is not written.
    """
    groups = "".join(map(_group, exported))
    return f"{_HEADER}\nrubrics:{'' if groups else ' []'}\n{groups}"


def from_yaml(text: str) -> list[Draft]:
    """The rubrics of an edited file, in its order.

    Raises ConfigError listing every problem with its line: what is not YAML, unknown, missing and
    doubled keys, other types, a group or a name that comes twice, fewer than 3 or more than 15
    dimensions, a weight out of range, weights that are all 0, and whatever the lint has against a
    name or definition. Every scalar is read as the
    text it is, so that a dimension may be called `no` or `2024`.
    """
    document = yaml_files.parse(text, "rubrics", as_text=True)
    root, tree = document.root, document.value
    if root is None or not isinstance(tree, dict):
        raise ConfigError("rubrics: should hold the key rubrics and below it a list of groups")
    problems = list(_beyond_types(tree))
    drafts: list[Draft] = []
    try:
        drafts = _File.model_validate(tree).rubrics
    except ValidationError as error:
        problems += _invalid(error)
    found = [*document.problems, *((_line(root, place), what) for place, what in problems)]
    if found:
        raise ConfigError(joined(f"line {line}: {what}" for line, what in sorted(found)))
    return drafts


def _group(exported: RubricExport) -> str:
    source_group, anchors = exported.rubric.source_group, exported.rubric.anchors
    head = {"group": source_group, "based_on": exported.rubric.rubric_id}
    parts = [_item(head, 0)]
    if exported.coverage is not None:
        parts.append(_comment(f"covers {exported.coverage:.0%} of the sampled documents", 2))
    parts.append("  dimensions:\n")
    for anchor, evidence in zip(anchors, exported.evidence, strict=True):
        said = ", ".join(_figures(evidence)) if evidence else "written by hand"
        parts.append(_comment(f"slot {anchor.slot}: {said}", 2))
        if evidence and evidence.source_shares:
            shares = sorted(evidence.source_shares.items())
            parts.append(_comment("by source: " + ", ".join(f"{s} {n:.0%}" for s, n in shares), 2))
        for finding in lint.problems(anchor.name, anchor.definition):
            parts.append(_comment(f"refused on import: {finding}", 2))
        parts.append(_item({"name": anchor.name, "definition": anchor.definition}, 2))
        if anchor.weight != WEIGHT:
            parts.append(f"    weight: {Decimal(anchor.weight) / WEIGHT}\n")
        if anchor.part:
            parts.append(f"    part: {anchor.part}\n")
        parts.append(f"    from: [{anchor.slot}]\n")
    return "".join(parts)


def _figures(evidence: Evidence) -> Iterator[str]:
    yield f"{evidence.cluster_size:,} points in {evidence.document_share:.0%} of the documents"
    if evidence.score_sd is not None:
        yield f"scores spread by {evidence.score_sd:.1f} points"
    if evidence.stability is not None:
        yield f"found again in {2 * evidence.stability:.0f} of 2 halves of the sample"


def _item(values: Mapping[str, str], indent: int) -> str:
    """An item of a list: `- ` before its first line, the others below that."""
    # What cannot be seen, and line breaks beside LF, are escaped, which double quotes alone allow.
    is_visible = all(map(str.isprintable, values.values()))
    style = None if is_visible else '"'
    block = yaml.safe_dump(
        dict(values), sort_keys=False, allow_unicode=is_visible, width=_WIDTH, default_style=style
    )
    lines = textwrap.indent(block, " " * (indent + 2))
    return f"{' ' * indent}- {lines[indent + 2 :]}"


def _comment(text: str, indent: int) -> str:
    """Whatever the text holds, nothing of it leaves the comment."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    begin = f"{' ' * indent}# "
    return textwrap.fill(shown, _WIDTH, initial_indent=begin, subsequent_indent=begin) + "\n"


def _beyond_types(tree: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """What is wrong with the groups and dimensions that can be read, whatever the others are."""
    groups: set[str] = set()
    for i, group in _mappings(tree.get("rubrics")):
        source_group, dimensions = group.get("group"), group.get("dimensions")
        if isinstance(source_group, str):
            if source_group in groups:
                yield ("rubrics", i, "group"), f"the group {source_group} comes twice"
            groups.add(source_group)
        place = ("rubrics", i, "dimensions")
        if isinstance(dimensions, list) and not MIN_DIMENSIONS <= len(dimensions) <= MAX_DIMENSIONS:
            allowed = f"expected {MIN_DIMENSIONS} to {MAX_DIMENSIONS}"
            yield place, f"the group has {len(dimensions)} dimensions, {allowed}"
        weights = [each.get("weight", "1") for _, each in _mappings(dimensions)]
        if weights and all(map(_is_zero, weights)):
            yield place, "the weights are all 0, at least one dimension must count"
        names: set[str] = set()
        for k, dimension in _mappings(dimensions):
            name, definition = dimension.get("name"), dimension.get("definition")
            if isinstance(name, str) and isinstance(definition, str):
                if name.strip().casefold() in names:
                    yield (*place, k, "name"), f"the name {name!r:.60} comes twice in its group"
                names.add(name.strip().casefold())
                for finding in lint.problems(name, definition):
                    yield (*place, k), finding


def _mappings(below: object) -> list[tuple[int, dict[str, Any]]]:
    """The mappings of a list with their places; none where there is no list."""
    listed = below if isinstance(below, list) else []
    return [(i, each) for i, each in enumerate(listed) if isinstance(each, dict)]


def _is_zero(weight: object) -> bool:
    try:
        return isinstance(weight, str) and Decimal(weight) == 0
    except InvalidOperation:
        return False


def _invalid(error: ValidationError) -> Iterator[tuple[Place, str]]:
    for found in error.errors():
        place = found["loc"]
        key = next(part for part in reversed(place) if isinstance(part, str))
        is_unknown = found["type"] == "extra_forbidden"
        message = "is not a key that belongs here" if is_unknown else plain_words(found)
        shown = f", found {found['input']!r:.60}" if isinstance(found["input"], str) else ""
        yield place, f"{key}: {message}{shown}"


def _line(root: yaml.Node, place: Place) -> int:
    """The line, from 1, of the innermost part of `place` that is in the file."""
    line: int = root.start_mark.line
    for part in place:
        if isinstance(root, yaml.SequenceNode) and isinstance(part, int):
            root = root.value[part]
            line = root.start_mark.line
        elif isinstance(root, yaml.MappingNode):
            found = [(key, value) for key, value in root.value if key.value == part]
            if not found:
                break
            line, root = found[-1][0].start_mark.line, found[-1][1]
    return line + 1
