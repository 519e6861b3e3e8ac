"""`mira doctor`: what is wrong with the machine, the settings or a lake, and mending it."""

from typing import Annotated

import typer

from mira_spark.cli.options import AsJson, ConfigOption, Overrides
from mira_spark.errors import ConfigError, ReconciliationError
from mira_spark.process.progress import say, show_table, write_answer
from mira_spark.settings.root import Settings, load


def doctor_command(
    adopt: Annotated[
        bool, typer.Option(help="make a folder that was copied or moved a lake of its own")
    ] = False,
    repair: Annotated[
        bool, typer.Option(help="of documents that are there twice leave the latest")
    ] = False,
    as_json: AsJson = False,
    config: ConfigOption = None,
    overrides: Overrides = None,
) -> None:
    """Check what a run needs: Java, packages, room, the judge, MLflow; and of a lake that is there
    whether its tables lie in its folder and whether documents are there twice."""
    settings = load(config, overrides or ())
    if adopt and settings.session != "local":
        raise ConfigError("--adopt is for a local folder; on a platform the catalog says where")
    from mira_spark.cli.machine_checks import machine_checks
    from mira_spark.lake import session

    checks = [] if adopt or repair else list(machine_checks(settings))
    if checks:
        rows = [(check.what, check.state, check.remedy or "") for check in checks]
        show_table(("", "", "what mends it"), rows)
    is_well = not any(check.remedy for check in checks)
    if checks and settings.session == "local" and not session.has_catalog(settings.driver_files):
        said = "there are no tables yet: mira run makes them"
    else:
        problem = _lake_problem(settings, adopt, repair)
        said, is_well = problem or "every document is there once", is_well and not problem
    say(said)
    if as_json:
        write_answer({"checks": checks, "tables": said, "is_well": is_well})
    raise typer.Exit(0 if is_well else 3)


def _lake_problem(settings: Settings, adopt: bool, repair: bool) -> str | None:
    """Adopt or repair the lake where that is asked for; what is wrong with it all the same."""
    from mira_spark.cli.opening import open_tables
    from mira_spark.corpus import repeated
    from mira_spark.lake import adoption, leases, runs, session

    if adopt:
        folder = settings.driver_files.absolute()
        session.hold(folder)
        before = adoption.adopt(folder)
        say(
            f"{folder} was {before}: its tables and artefacts are its own now"
            if before
            else f"{folder} is where it was made: nothing to adopt"
        )
    lake = open_tables(settings)
    if repair:
        with leases.write_lease(lake, settings.session, repeated.WRITES) as claimed:
            removed = repeated.remove_repeated(claimed, runs.new_run_id())
        say(f"{removed:,} documents removed that were there twice")
    try:
        repeated.check_repeated(lake)
    except ReconciliationError as error:
        return str(error)
    return None
