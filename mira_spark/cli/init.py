"""`mira init`: a configuration for a corpus of one's own, after a look at its files."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from mira_spark.cli.options import AsJson
from mira_spark.errors import ConfigError
from mira_spark.process.progress import say, show_table, write_answer
from mira_spark.settings.root import load

_Column = typer.Option(help="the column that has it; else the likeliest, or none")


def init_command(
    path: Annotated[str, typer.Argument(help="files of this machine: a file, folder or pattern")],
    out: Annotated[Path, typer.Option(help="the file to write")] = Path("mira.yaml"),
    text: Annotated[str | None, _Column] = None,
    messages: Annotated[str | None, _Column] = None,
    doc_id: Annotated[str | None, typer.Option("--id", help="as --text")] = None,
    source: Annotated[str | None, typer.Option(help="a column, or a name for all rows")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="ask nothing")] = False,
    as_json: AsJson = False,
) -> None:
    """Look at a corpus and write the settings that read it, to be run and edited."""
    if out.exists():
        raise ConfigError(f"{out} is there already: name another file with --out")
    from mira_spark.cli import init_file
    from mira_spark.corpus import first_look

    whole = str(Path(path).expanduser().absolute())
    seen = first_look.look(whole)
    given = {"text": text, "messages": messages, "doc_id": doc_id, "source": source}
    asks = sys.stdin.isatty() and not yes and not as_json
    columns, constant = init_file.mapping(seen, given, whole, _ask if asks else None)
    say(f"{init_file.files_text(seen)}; of {seen.rows:,} rows:")
    taken = {column: ours for ours, column in columns.items()}
    rows = [
        (c.name, f"{c.filled / seen.rows:.0%}", f"{c.different:,}", f"{c.mean_characters:,.0f}",
         taken.get(c.name, "metadata"), " ".join(c.example.split())[:60])
        for c in seen.columns
    ]  # fmt: skip
    headings = ("column", "filled", "different", "characters", "taken as", "an example")
    show_table(headings, rows, is_cut=True)
    out.write_text(init_file.settings_text(seen, whole, columns, constant), encoding="utf-8")
    load(str(out))
    if as_json:
        write_answer({"file": str(out), "seen": seen, "taken_as": columns, "source": constant})
    say(f"the settings are in {out}; next:")
    for command in ("run", "status"):
        say(f"  mira {command} --config {out}")


def _ask(ours: str, likeliest: str | None) -> str | None:
    """The column that a person names; none for an empty line without a likeliest one."""
    shown = ours.replace("_", " ")
    answer = typer.prompt(f"which column has the {shown}", default=likeliest or "", type=str)
    return str(answer).strip() or None
