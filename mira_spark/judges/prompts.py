"""What the judge is asked: the three prompts, the form of the answer, the key of the call.

Everything constant comes first and is the same bytes for every document of a rubric, so that a
server's prefix cache hits; the document comes last and alone.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from string import Template

from mira_spark.corpus import parts
from mira_spark.errors import ArtefactError, ConfigError, joined
from mira_spark.judges import defence
from mira_spark.judges.protocol import Anchor, Purpose
from mira_spark.lake import storage
from mira_spark.lake.scale import POINTS
from mira_spark.lake.storage import Root
from mira_spark.settings.rubrics import MAX_DIMENSIONS

PLACEHOLDERS = {"discover.txt": "limit", "label.txt": "rubric", "merge.txt": "count"}
"""The files of a prompts folder, and the one placeholder each must hold."""
OPTIONAL = ("merge.txt",)
"""Of a folder that lacks these the package's are used."""

_PARTS = """\
A document may have parts, each begun by a line [... part: NAME ...] that is not its own. A
dimension with the name of a part in brackets is about that part alone; it is null where there is
no such part."""
_SCORE = {"type": "integer", "enum": list(range(POINTS + 1))}
_TEXT = {"type": "string"}


@dataclass(frozen=True)
class Prompts:
    """The three system messages as templates; `digest` is the hex SHA-256 of all."""

    discover: str
    label: str
    merge: str
    digest: str


def load(folder: Root | None = None) -> Prompts:
    """The prompts of a folder, by path or URI, with `discover.txt`, `label.txt` and, where it has
    one, `merge.txt`; None: those of the package.

    ConfigError names every file that is missing or unreadable and every placeholder that is
    missing, unknown or misspelt: `$limit`, `$rubric` and `$count`, `$$` for $.
    """
    ours = resources.files("mira_spark.judges") / "prompt_files"
    texts, problems = {}, []
    for name, placeholder in PLACEHOLDERS.items():
        place = None if folder is None else storage.location(folder, name)
        is_ours = place is None or (name in OPTIONAL and not storage.has_file(place))
        try:
            content = (ours / name).read_bytes() if is_ours else storage.read_file(str(place))
            texts[name] = content.decode().replace("\r\n", "\n")
        except ArtefactError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"{place}: cannot be read: {error.strerror}")
        except UnicodeDecodeError as error:
            problems.append(f"{place}: cannot be read: {error}")
        else:
            problems += [f"{place or name}: {p}" for p in _problems(texts[name], placeholder)]
    if problems:
        raise ConfigError(joined(problems))
    digest = hashlib.sha256(json.dumps(list(texts.values())).encode()).hexdigest()
    return Prompts(texts["discover.txt"], texts["label.txt"], texts["merge.txt"], digest)


def _problems(text: str, placeholder: str) -> Iterable[str]:
    template = Template(text)
    if not template.is_valid():
        yield "holds a $ that begins no placeholder; write $$ for the sign itself"
    names = set(template.get_identifiers())
    if placeholder not in names:
        yield f"does not hold the placeholder ${placeholder}"
    for unknown in sorted(names - {placeholder}):
        yield f"${unknown} is no placeholder; the only one is ${placeholder}"


def messages(
    prompts: Prompts, document: str, code: str, anchors: Sequence[Anchor]
) -> tuple[tuple[str, str], ...]:
    """The prompt as (role, content): a labelling on the anchors in the order given, each under
    its own slot number, or a discovery without any. `code` is the document's boundary. Where an
    anchor is about a part, the document's parts are marked."""
    if anchors:
        rubric = "\n".join(map(_anchor_line, anchors))
        if any(a.part for a in anchors):
            rubric, document = f"{_PARTS}\n\n{rubric}", parts.with_marks(document)
        system = Template(prompts.label.strip()).substitute(rubric=rubric)
    else:
        system = Template(prompts.discover.strip()).substitute(limit=MAX_DIMENSIONS)
    return (("system", system), ("user", defence.enclosed(document, code)))


def _anchor_line(a: Anchor) -> str:
    part = f" [{a.part}]" if a.part else ""
    return f"{a.slot}. {a.name}{part}: {a.definition}"


def merge_messages(
    prompts: Prompts, document: str, code: str, count: int
) -> tuple[tuple[str, str], ...]:
    """The prompt of a merge as (role, content): `document` is the list of the `count` dimensions
    that may be merged, as of `dimension_list`, `code` its boundary."""
    system = Template(prompts.merge.strip()).substitute(count=count)
    return (("system", system), ("user", defence.enclosed(document, code)))


def dimension_list(anchors: Sequence[Anchor]) -> str:
    """A line for each dimension: its name, a colon, its definition."""
    return "\n".join(f"{a.name}: {' '.join(a.definition.split())}" for a in anchors)


def schema(anchors: Sequence[Anchor], purpose: Purpose = "label") -> dict[str, object]:
    """The JSON schema of an answer, in the strict form servers can enforce; the same for every
    document, for every order of the anchors, and for all purposes but `merge`."""
    if purpose == "merge":
        name, row = "merges", _strict(name=_TEXT, into=_TEXT)
    elif anchors:
        score = {"anyOf": [_SCORE, {"type": "null"}]}
        slot = {"type": "integer", "enum": sorted(a.slot for a in anchors)}
        name, row = "answers", _strict(slot=slot, score=score, reason=_TEXT)
    else:
        name, row = "dimensions", _strict(name=_TEXT, score=_SCORE, reason=_TEXT)
    rows = {"type": "array", "items": row}
    return _strict(**{"document": _TEXT, name: rows, "canary": {"type": "integer"}})


def schema_name(anchors: Sequence[Anchor], purpose: Purpose) -> str:
    """What the schema is called where a server wants a name for it."""
    return "merges" if purpose == "merge" else "labels" if anchors else "dimensions"


def _strict(**properties: object) -> dict[str, object]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def call_key(
    identity: Mapping[str, object],
    messages: Sequence[tuple[str, str]],
    schema: Mapping[str, object],
    rubric_id: str | None,
    replicate: int,
) -> str:
    """Hex SHA-256 of everything that can change the answer; equal keys are one paid answer.

    `identity` is the judge's: provider, host, model and sampling, as JSON values. The version of
    the parser is not in it: a raw answer is read again for nothing.
    """
    content = {
        "defence": defence.DEFENCE_VERSION,
        "identity": dict(identity),
        "messages": [list(message) for message in messages],
        "replicate": replicate,
        "rubric_id": rubric_id,
        "schema": dict(schema),
    }
    canonical = json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )
    return hashlib.sha256(canonical.encode()).hexdigest()
