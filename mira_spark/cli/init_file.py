"""The settings that `mira init` writes: which column is what, and the commented file."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from mira_spark.corpus.first_look import NAMES, FirstLook, guesses
from mira_spark.errors import ConfigError

ASKED = ("messages", "text", "doc_id", "source")
_FILE = """\
# The corpus at {path}: {files}.
# Every setting, with a comment and its default, is in conf/local.yaml.

folder: mira_lake              # the tables, students and the report lie here

corpus:
  input: {input}
  path: {path_yaml}
{source}  columns:                     # your column for each of ours; the others go to metadata
{columns}
selection:
  budget: 40%                  # of the corpus' tokens; or a number of tokens

# Without a judge of yours the heuristic judge is asked, a stand-in that measures and does not read.
# judge:
#   kind: openai               # any server that speaks /v1/chat/completions
#   model: my-model
#   url: https://example.com/v1
#   hosts: [example.com]       # the only ones that documents are sent to
#   secret: env:MY_KEY
#   prices: {{my-model: {{input: 1, cached_input: 0.1, output: 4, read_on: 2026-01-01}}}}
"""


def mapping(
    seen: FirstLook,
    given: Mapping[str, str | None],
    path: str,
    ask: Callable[[str, str | None], str | None] | None,
) -> tuple[dict[str, str], str | None]:
    """Ours by name to the corpus' column, and the constant source where no column has it.

    What is `given` counts, then what `ask` (ours, the likeliest) says, else the likeliest.
    ConfigError for a column that is not there, and where nothing may be a text.
    """
    columns = guesses(seen)
    known = {each.name for each in seen.columns} | set(seen.partitions)
    for ours in ASKED:
        answer = given[ours]
        if answer is None and ask is not None and not (ours == "text" and "messages" in columns):
            answer = ask(ours, columns.get(ours))
        if answer is None:
            continue
        if answer not in known and ours != "source":
            raise ConfigError(f"there is no column {answer}; there are {', '.join(sorted(known))}")
        columns = {name: column for name, column in columns.items() if column != answer}
        columns[ours] = answer
        if ours in ("messages", "text"):
            columns.pop("text" if ours == "messages" else "messages", None)
    if not {"text", "messages"} & columns.keys():
        raise ConfigError(
            "no column looks like a text or a conversation: name it with --text or --messages; "
            f"there are {', '.join(sorted(known))}"
        )
    constant = columns.get("source")
    if constant in known:
        return columns, None
    columns.pop("source", None)
    return columns, constant or re.sub(r"[^A-Za-z0-9_.-]+", "_", Path(path).name.split(".")[0])


def settings_text(
    seen: FirstLook, path: str, columns: Mapping[str, str], constant: str | None
) -> str:
    """The YAML file, with what was seen as comments."""
    chosen: dict[str, str | None] = dict(columns)
    if constant is not None:
        chosen["source"] = None
    if "messages" in columns:
        chosen["text"] = None
    lines = [f"    {ours}: {_yaml(chosen[ours])}" for ours in NAMES if ours in chosen]
    return _FILE.format(
        path=path.replace("\n", " "),
        files=files_text(seen),
        input=seen.format,
        path_yaml=_yaml(path),
        source="" if constant is None else f"  source: {_yaml(constant)}\n",
        columns="\n".join(lines) + "\n",
    )


def files_text(seen: FirstLook) -> str:
    """How many files there are, of what, and their bytes."""
    plural = "" if seen.files == 1 else "s"
    return f"{seen.files:,} file{plural} of {seen.format}, {seen.bytes:,} bytes"


def _yaml(value: str | None) -> str:
    """The value as YAML writes it on one line."""
    return yaml.safe_dump(value, width=10_000, allow_unicode=True).removesuffix("\n...\n").strip()
