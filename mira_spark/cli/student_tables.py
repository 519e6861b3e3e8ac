"""What commands about students print: which there are, what one is worth, planted noise."""

from collections.abc import Mapping, Sequence

from mira_spark.cli import student_figures
from mira_spark.cli.opening import open_lakehouse
from mira_spark.corpus.groups import source_groups
from mira_spark.distillation import champions
from mira_spark.distillation.champions import ListedStudent
from mira_spark.distillation.planted_noise import PER_SOURCE, NoiseCheck
from mira_spark.errors import InputError
from mira_spark.labels.spoilers import MIN_CHARACTERS
from mira_spark.lake import leases
from mira_spark.lake.creation import create_tables
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.progress import give_answer, note, show_table, write_answer
from mira_spark.scoring import noise
from mira_spark.scoring.scorer import Scorer, load_student
from mira_spark.scoring.scorers import champion_scorers
from mira_spark.settings.root import Settings

_NOTHING_TO_SPOIL = (
    f"no document without a label of {MIN_CHARACTERS:,} characters to {noise.MAX_BYTES:,} bytes in"
)


def answer_students(settings: Settings, as_json: bool) -> None:
    """All registered students, the newest of each group first."""
    students = champions.list_students(open_lakehouse(settings), settings.student_registry)
    give_answer({"students": students}, _show_students, as_json)


def _show_students(answer: Mapping[str, Sequence[ListedStudent]]) -> None:
    headings = ("student", "alias", "kind", "labels", "Spearman", "gate", "made")
    rows = [
        (
            each.student_id,
            each.alias,
            each.kind,
            f"{each.labels:,}",
            "" if each.spearman is None else f"{each.spearman:.3f}",
            each.gate,
            f"{each.created_at:%Y-%m-%d %H:%M}",
        )
        for each in answer["students"]
    ]
    show_table(headings, rows)


def answer_student(settings: Settings, student_id: str, as_json: bool) -> None:
    """What a student's quality is worth."""
    lake = open_lakehouse(settings)
    worth = student_figures.student_worth(lake, champions.student_row(lake, student_id))
    give_answer(worth, student_figures.show_worth, as_json)


def promote(settings: Settings, student_id: str, force: bool) -> str:
    """Make a student its group's champion; what was done."""
    with leases.write_lease(open_lakehouse(settings), settings.session, champions.WRITES) as lake:
        return champions.promote(lake, settings.student_registry, student_id, force)


def check_noise(
    settings: Settings, group: str | None, documents: int | None, run_id: str, as_json: bool
) -> None:
    """Spoil so many documents without a label of each source, by default PER_SOURCE; print how
    often the champion scores them above their spoilt copies."""
    lake = open_lakehouse(settings)
    create_tables(lake, noise.WRITES)
    groups = source_groups(lake, settings.source_grouping)
    scorers = _champions(lake, settings, set(groups.values()), group)
    checked: list[dict[str, object]] = []
    with leases.write_lease(lake, settings.session, noise.WRITES) as claimed:
        for name, scorer in sorted(scorers.items()):
            sources = {source for source, of_group in groups.items() if of_group == name}
            student, manifest = load_student(scorer)
            checks = noise.student_checks(
                claimed, student, manifest, sources, documents or PER_SOURCE
            )
            if left_out := sorted(sources - {check.source for check in checks}):
                note(f"{name}: {_NOTHING_TO_SPOIL} {', '.join(left_out)}: not checked")
            if checks:
                noise.record_checks(claimed, scorer.student_id, checks, run_id)
                named = {"source_group": name, "student_id": scorer.student_id}
                checked.append({**named, "checks": checks})
                title = f"{name}: {scorer.student_id}, documents above their spoilt copies"
                headings = ("source", "spoilt", "pairs", "AUC", "95 %")
                show_table(headings, map(_table_row, checks), 2, title)
    if as_json and checked:
        write_answer({"run_id": run_id, "students": checked})
    if not checked:
        raise InputError(f"{_NOTHING_TO_SPOIL} any source: ingest more documents than are labelled")


def _champions(
    lake: Lakehouse, settings: Settings, groups: set[str], group: str | None
) -> dict[str, Scorer]:
    """The champions of all groups, or of the one; InputError where there is none."""
    scorers = champion_scorers(lake, settings.student_registry, groups)
    if not scorers:
        raise InputError("no group has a champion: run mira distill-students first")
    if group is not None and group not in scorers:
        raise InputError(
            f"{group} has no champion; --group names one of {', '.join(sorted(scorers))}"
        )
    return {name: scorer for name, scorer in scorers.items() if group in (None, name)}


def _table_row(check: NoiseCheck) -> tuple[str, ...]:
    auc = check.auc
    interval = "" if auc.low is None or auc.high is None else f"{auc.low:.3f} to {auc.high:.3f}"
    value = "none" if auc.value is None else f"{auc.value:.3f}"
    return check.source or "all", check.kind, f"{check.pairs:,}", value, interval
