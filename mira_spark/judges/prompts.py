"""What the judge is asked: the two prompts, the form of the answer, the key of the call.

Everything constant comes first and is the same bytes for every document of a rubric, so that a
server's prefix cache hits; the document comes last and alone.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from mira_spark.errors import ConfigError, joined
from mira_spark.judges import defence
from mira_spark.judges.protocol import Anchor
from mira_spark.lake.scale import POINTS
from mira_spark.settings.rubrics import MAX_DIMENSIONS

PLACEHOLDERS = {"discover.txt": "limit", "label.txt": "rubric"}
"""The files of a prompts folder, and the one placeholder each must hold."""

_SCORE = {"type": "integer", "enum": list(range(POINTS + 1))}
_TEXT = {"type": "string"}


@dataclass(frozen=True)
class Prompts:
    """The two system messages as templates; `digest` is the hex SHA-256 of both."""

    discover: str
    label: str
    digest: str


def load(folder: Path | None = None) -> Prompts:
    """The prompts of a folder with `discover.txt` and `label.txt`; None: those of the package.

    ConfigError names every file that is missing or unreadable and every placeholder that is
    missing, unknown or misspelt: `$limit` in the first and `$rubric` in the second, `$$` for $.
    """
    home: Traversable = folder or resources.files("mira_spark.judges") / "prompt_files"
    texts, problems = {}, []
    for name, placeholder in PLACEHOLDERS.items():
        try:
            texts[name] = (home / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"{home / name}: cannot be read: {error}")
        else:
            problems += [f"{home / name}: {p}" for p in _problems(texts[name], placeholder)]
    if problems:
        raise ConfigError(joined(problems))
    discover, label = texts.values()
    digest = hashlib.sha256(json.dumps([discover, label]).encode()).hexdigest()
    return Prompts(discover, label, digest)


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
    its own slot number, or a discovery without any. `code` is the document's boundary."""
    if anchors:
        rubric = "\n".join(f"{a.slot}. {a.name}: {a.definition}" for a in anchors)
        system = Template(prompts.label.strip()).substitute(rubric=rubric)
    else:
        system = Template(prompts.discover.strip()).substitute(limit=MAX_DIMENSIONS)
    return (("system", system), ("user", defence.enclosed(document, code)))


def schema(anchors: Sequence[Anchor]) -> dict[str, object]:
    """The JSON schema of an answer, in the strict form servers can enforce; the same for every
    document, and for every order of the anchors."""
    if anchors:
        score = {"anyOf": [_SCORE, {"type": "null"}]}
        slot = {"type": "integer", "enum": sorted(a.slot for a in anchors)}
        name, row = "answers", _strict(slot=slot, score=score, reason=_TEXT)
    else:
        name, row = "dimensions", _strict(name=_TEXT, score=_SCORE, reason=_TEXT)
    rows = {"type": "array", "items": row}
    return _strict(**{"document": _TEXT, name: rows, "canary": {"type": "integer"}})


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
