"""The steps as commands, and what a scheduler may ask of them."""

from collections.abc import Callable, Collection, Sequence
from typing import Annotated

import typer

from mira_spark.cli.ending import say_failure
from mira_spark.cli.options import AsJson, ConfigOption, Overrides, RunId
from mira_spark.errors import EXIT_CODES, ConfigError
from mira_spark.process import failures, interruption
from mira_spark.process.progress import voice, write_answer
from mira_spark.settings.corpus import NO_INPUT
from mira_spark.settings.root import load

STEP_HELP = {
    "ingest_corpus": "Take new and changed documents in.",
    "find_duplicates": "Find documents that nearly equal another.",
    "find_contamination": "Find the documents that hold test data.",
    "group_sources": "Put every source into a group.",
    "discover_rubrics": "Let the judge name what quality means in each group.",
    "label_documents": "Let the judge score a larger sample on each group's rubric.",
    "distill_students": "Train one student for each group on its labels.",
    "score_documents": "Score every document with its group's student.",
    "score_baselines": "Score every document by the configured baselines.",
    "select_documents": "Keep the best documents under the token budget.",
    "report_selection": "Write the selection's report, one HTML file, also to MLflow.",
}
"""Name and help of each step, in order; here, for `mira --help` imports no step."""
ENDINGS = {name: code for name, code in EXIT_CODES.items() if code}
"""How a step may end other than done, and the exit code of that."""


def _check_endings(names: str | None) -> str | None:
    if unknown := sorted(set((names or "").split(",")) - {"", *ENDINGS}):
        raise typer.BadParameter(f"should be of {', '.join(ENDINGS)}, found {unknown[0]!r}")
    return names


Force = Annotated[bool, typer.Option("--force", help="do what is done already again")]
Accept = Annotated[
    str | None,
    typer.Option(
        help="endings that are 0 for a scheduler: degraded, stopped or both, divided by a comma",
        callback=_check_endings,
    ),
]
MaxMinutes = Annotated[
    float | None,
    typer.Option(min=0, help="stop after so many, resumable, with exit code 75"),
]


def run_steps(
    steps: Sequence[str],
    config: str | None,
    overrides: Sequence[str],
    run_id: str | None,
    force: bool = False,
    as_json: bool = False,
) -> int:
    """Load the settings, do the steps; the exit code. A run of all of them says what it left."""
    settings = load(config, overrides)
    if "ingest_corpus" in steps and not settings.corpus.inputs and settings.corpus.input is None:
        raise ConfigError(NO_INPUT)
    from mira_spark import pipeline
    from mira_spark.cli import summary
    from mira_spark.cli.opening import open_lakehouse
    from mira_spark.lake import runs

    pipeline.check(settings, steps)
    lake, run_id = open_lakehouse(settings, creates=True), run_id or runs.new_run_id()
    code = pipeline.perform(lake, settings, run_id, steps, force)
    if as_json:
        write_answer(summary.run_answer(lake, run_id, code))
        return code
    is_made = code in (EXIT_CODES["done"], EXIT_CODES["degraded"])
    if is_made and len(steps) == len(STEP_HELP) and not voice.is_quiet:
        summary.show_run(lake, settings, run_id, config)
    return code


def step_command(steps: Sequence[str], says: str) -> Callable[..., None]:
    """The command that does these steps; `says` is its help."""

    def command(
        config: ConfigOption = None,
        overrides: Overrides = None,
        run_id: RunId = None,
        force: Force = False,
        accept: Accept = None,
        max_minutes: MaxMinutes = None,
        as_json: AsJson = False,
    ) -> None:
        accepted = [ENDINGS[name] for name in (accept or "").split(",") if name]
        asked = (steps, config, overrides or (), run_id, force, as_json)
        with interruption.ended_after(max_minutes):
            code = _code(lambda: run_steps(*asked), accepted)
        raise typer.Exit(0 if code in accepted else code)

    command.__doc__ = says
    return command


def _code(command: Callable[[], int], accepted: Collection[int]) -> int:
    """The exit code, also that of an error where it is accepted: then the error is said."""
    try:
        return command()
    except Exception as error:
        known = failures.explained(error)
        if known is None or known.exit_code not in accepted:
            raise
        return say_failure(type(known).__name__, str(known), known.exit_code)
