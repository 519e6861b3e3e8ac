"""`mira students`: what was trained, and which one scores."""

from typing import Annotated

import typer

from mira_spark.cli.options import AsJson, ConfigOption, Overrides, RunId
from mira_spark.process.progress import give_lines
from mira_spark.settings.root import load

app = typer.Typer(help="Students: what was trained, how well, and which one scores.")

_Student = Annotated[str, typer.Argument(help="as in mira students list")]


@app.command("list")
def list_command(
    as_json: AsJson = False, config: ConfigOption = None, overrides: Overrides = None
) -> None:
    """All registered students, the newest of each group first."""
    settings = load(config, overrides or ())
    from mira_spark.cli.student_tables import answer_students

    answer_students(settings, as_json)


@app.command("show")
def show_command(
    student_id: _Student,
    as_json: AsJson = False,
    config: ConfigOption = None,
    overrides: Overrides = None,
) -> None:
    """What a student's quality is worth: beside simple references, with its gate, planted noise
    and cells."""
    settings = load(config, overrides or ())
    from mira_spark.cli.student_tables import answer_student

    answer_student(settings, student_id, as_json)


@app.command("promote")
def promote_command(
    student_id: _Student,
    force: Annotated[bool, typer.Option(help="although its gate failed; it is recorded")] = False,
    as_json: AsJson = False,
    config: ConfigOption = None,
    overrides: Overrides = None,
) -> None:
    """Make a student its group's champion: the next scoring is by it."""
    settings = load(config, overrides or ())
    from mira_spark.cli.student_tables import promote

    give_lines([promote(settings, student_id, force)], as_json)


@app.command("noise")
def noise_command(
    group: Annotated[str | None, typer.Option(help="the group; all by default")] = None,
    documents: Annotated[
        int | None, typer.Option(min=1, help="documents of each source that are spoilt")
    ] = None,
    as_json: AsJson = False,
    config: ConfigOption = None,
    overrides: Overrides = None,
    run_id: RunId = None,
) -> None:
    """Spoil documents without a label, and see how often the champion scores them above their
    spoilt copies."""
    settings = load(config, overrides or ())
    from mira_spark.cli.student_tables import check_noise
    from mira_spark.lake.runs import new_run_id

    check_noise(settings, group, documents, run_id or new_run_id(), as_json)
