"""What may be wrong with a lake when a run begins: from each state a run, or the command that its
refusal names, leads to views that are right. The tests share a lake, which each leaves right."""

import re
import shutil
from collections.abc import Callable, Iterator

import pytest
from pyspark.sql import SparkSession

from mira_spark import pipeline
from mira_spark.distillation import mlflow_runs, registry
from mira_spark.errors import MiraError
from mira_spark.lake.schemas import TABLES
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.failpoints import VARIABLE, DrillError
from mira_spark.scoring import repair
from tests.aged_lake import COMMAND, STATEMENT
from tests.integration.test_judge import KEY
from tests.whole_lake import KEY_VARIABLE, LENIENT, WholeLake, whole_lake

pytestmark = pytest.mark.long
GROUPS = {"code": "group_a", "answers": "group_b"}
VIEWS = ("corpus", "scored_documents", "selected", "selected_default")
PLACES = ("cutoffs.written", "student.registered", "student.recorded",
          "unit.appending", "unit.committed", "unit.reconciled", "units.done", "view.replaced",
          "selection.written", "view.named", "run.ending")  # fmt: skip
"""Where a driver may end that does what a new document and a new label ask for."""


@pytest.fixture(scope="module")
def whole(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeLake]:
    folder = tmp_path_factory.mktemp("states")
    with (
        pytest.MonkeyPatch.context() as patch,
        whole_lake(Lakehouse(spark, "states"), folder, dict(GROUPS)) as whole,
    ):
        patch.setenv(KEY_VARIABLE, KEY)
        whole.add("code", 60)
        whole.add("answers", 50)
        code, said = whole.perform("first")
        assert code == 0, said
        yield whole


def mend(whole: WholeLake, error: MiraError) -> str:
    """Do what the refusal names; what it was."""
    if statement := STATEMENT.search(str(error)) or re.search(r"DROP TABLE \S+", str(error)):
        whole.lake.spark.sql(statement[0])
        return statement[0]
    named = COMMAND.findall(str(error))
    assert named, f"no command is named: {error}"
    step = named[0].removeprefix("mira ").replace("-", "_")
    if step == "scores_repair" or named[0] == "mira scores repair":
        repair.repair(whole.lake, "repair")
    elif step in pipeline.STEPS:
        whole.perform("mended", [step], force=True)
    else:
        assert named[0] == "mira run", named
    return named[0]


def led_to_right_views(whole: WholeLake) -> list[str]:
    """Run, and do what refusals name, until a run is done; what they named."""
    mended: list[str] = []
    for _ in range(5):
        try:
            code, said = whole.perform("again")
        except MiraError as error:
            mended.append(mend(whole, error))
            continue
        assert code == 0, said
        whole.check_views()
        return mended
    raise AssertionError(f"a dead end: {mended}")


@pytest.mark.parametrize("table", TABLES)
def test_a_dropped_table(whole: WholeLake, table: str) -> None:
    whole.lake.spark.sql(f"DROP TABLE {whole.lake.name(table)}")
    led_to_right_views(whole)


@pytest.mark.parametrize("view", VIEWS)
def test_a_dropped_view(whole: WholeLake, view: str) -> None:
    whole.lake.spark.sql(f"DROP VIEW {whole.lake.name(view)}")
    led_to_right_views(whole)


@pytest.mark.parametrize("place", PLACES)
def test_a_driver_that_ended_in_the_middle(
    whole: WholeLake, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole.add("code", 1)
    labelled = {row["doc_id"] for row in whole.lake.read("labels").select("doc_id").collect()}
    whole.withdraw([min(labelled & whole.corpus.keys())])
    monkeypatch.setenv(VARIABLE, f"{place}=raise")
    with pytest.raises(DrillError):
        whole.perform("ended")
    monkeypatch.delenv(VARIABLE)
    led_to_right_views(whole)


def empty_the_registry(whole: WholeLake) -> None:
    place = whole.settings().student_registry
    client = mlflow_runs.client(place)
    for group in set(GROUPS.values()):
        client.delete_registered_model(registry.model_name(place, group))


def use_another_server(whole: WholeLake) -> None:
    whole.changes["registry.tracking_uri"] = f"sqlite:///{whole.folder}/another.db"


def remove_artefacts(whole: WholeLake) -> None:
    shutil.rmtree(whole.folder / "root" / "students")
    whole.add("code", 1)


def remove_artefacts_and_registry(whole: WholeLake) -> None:
    remove_artefacts(whole)
    empty_the_registry(whole)


def damage_an_artefact(whole: WholeLake) -> None:
    model = next((whole.folder / "root" / "students").rglob("model*"))
    model.write_bytes(model.read_bytes()[:-8])
    whole.add("code", 1)
    whole.add("answers", 1)


def remove_the_journal(whole: WholeLake) -> None:
    (whole.folder / "root" / "judge.sqlite").unlink()


def move_the_root(whole: WholeLake) -> None:
    (whole.folder / "root").rename(whole.folder / "moved")
    whole.changes["folder"] = str(whole.folder / "moved")


def move_it_back(whole: WholeLake) -> None:
    (whole.folder / "moved").rename(whole.folder / "root")
    del whole.changes["folder"]


def degrade(whole: WholeLake) -> None:
    """A student that its gate refuses, so that a run ends with 3 and the champion stays."""
    whole.changes["gate"] = LENIENT | {"min_gain": 0.999}
    assert whole.perform("degraded")[0] == 3
    del whole.changes["gate"]


def stop(whole: WholeLake) -> None:
    """A judge that may spend nothing more."""
    whole.changes["labelling.documents_per_source"] = 45
    whole.changes["judge.budget.per_run.tokens"] = 1
    with pytest.raises(MiraError):
        whole.perform("stopped")
    del whole.changes["judge.budget.per_run.tokens"]


def truncate_scores(whole: WholeLake) -> None:
    whole.lake.spark.sql(f"TRUNCATE TABLE {whole.lake.name('scores')}")


def forget_runs(whole: WholeLake) -> None:
    whole.lake.spark.sql(f"TRUNCATE TABLE {whole.lake.name('runs')}")


@pytest.mark.parametrize(
    "harm",
    [empty_the_registry, remove_artefacts, remove_artefacts_and_registry, damage_an_artefact,
     remove_the_journal, move_the_root, move_it_back, degrade, stop, truncate_scores, forget_runs,
     use_another_server],
)  # fmt: skip
def test_what_was_lost_moved_refused_or_stopped(
    whole: WholeLake, harm: Callable[[WholeLake], None]
) -> None:
    harm(whole)
    led_to_right_views(whole)
