"""The step distill_students over a copy of the pipeline's tables: what fails keeps its champion."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession, functions as F

from mira_spark import pipeline
from mira_spark.distillation import champions, mlflow_runs, registry
from mira_spark.errors import ArtefactError, InputError
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.failpoints import DrillError
from mira_spark.process.progress import console
from mira_spark.scoring.scorer import load_student
from mira_spark.scoring.scorers import champion_scorers
from mira_spark.settings.root import Settings
from mira_spark.settings.students import DistillationSettings, EncoderSettings
from tests.encoders import an_encoder

pytestmark = pytest.mark.long
COPIED = ("documents", "source_groups", "rubrics", "labels")
GROUPS = ["group_a", "group_b"]


def perform(lake: Lakehouse, settings: Settings, run_id: str, force: bool = False) -> int:
    return pipeline.perform(lake, settings, run_id, ["distill_students"], force)


@pytest.fixture(scope="module")
def trained(
    spark: SparkSession, settings: Settings, first_run: str
) -> Iterator[tuple[Lakehouse, Settings]]:
    """A schema and models of the module's own, each group with a champion."""
    spark.sql("CREATE SCHEMA students_copy")
    lake = Lakehouse(spark, "students_copy")
    for table in COPIED:
        spark.sql(f"CREATE TABLE {lake.name(table)} SHALLOW CLONE {settings.namespace}.{table}")
    prefixed = settings.registry.model_copy(update={"prefix": "copied"})
    # With so few labels a student may well be worse than the last one; that is not promised here.
    lenient = settings.gate.model_copy(update={"max_champion_loss": 2.0})
    changes = {"namespace": "students_copy", "registry": prefixed, "gate": lenient}
    own = settings.model_copy(update=changes)
    assert perform(lake, own, "first") == 0
    assert sorted(registry.champions(own.student_registry, GROUPS)) == GROUPS
    yield lake, own
    spark.sql("DROP SCHEMA students_copy CASCADE")


@pytest.fixture
def copied(trained: tuple[Lakehouse, Settings]) -> Iterator[tuple[Lakehouse, Settings]]:
    """The same; the labels are put back afterwards."""
    lake, _ = trained
    version = lake.version("labels")
    yield trained
    lake.spark.sql(f"RESTORE TABLE {lake.name('labels')} TO VERSION AS OF {version}")


def removed(lake: Lakehouse, group: str, kept: slice) -> None:
    """Leave the group only these of its labels, in order of doc_id: in no two tests as many, for
    a step looks at the number of labels."""
    of_group = F.col("source_group") == group
    rows = lake.read("labels").filter(of_group).orderBy("doc_id").collect()
    stay = [row["doc_id"] for row in rows][kept]
    lake.delete("labels", of_group & ~F.col("doc_id").isin(stay))


@pytest.mark.parametrize(
    ("kept", "scores"),
    [
        pytest.param(slice(10), "scores", id="ten labels"),
        pytest.param(slice(1, None), "transform(scores, s -> 5S)", id="all alike"),
        pytest.param(slice(2, None), "transform(scores, s -> CAST(NULL AS SHORT))", id="all null"),
    ],
)
def test_labels_that_teach_nothing_fail_the_gate_of_their_group_alone(
    copied: tuple[Lakehouse, Settings], kept: slice, scores: str
) -> None:
    lake, settings = copied
    champions = registry.champions(settings.student_registry, GROUPS)
    removed(lake, "group_b", kept)
    changed = {"scores": F.expr(scores), "repeat_scores": F.lit(None)}
    lake.update("labels", F.col("source_group") == "group_b", changed)
    with console.capture() as output:
        assert perform(lake, settings, "damaged") == 3
    said = " ".join(output.get().split())
    assert re.search(r"champion unchanged: group_b: Spearman with the verdict within source", said)
    assert "1 students" in said, "the other group stands"
    assert "group_a unchanged" in said
    assert registry.champions(settings.student_registry, GROUPS) == champions
    assert (
        registry.student_of(settings.student_registry, "copied_group_b", registry.CHALLENGER)
        is not None
    )


def test_one_slot_without_variance_ranks_nothing_and_the_others_do(
    copied: tuple[Lakehouse, Settings],
) -> None:
    lake, settings = copied
    removed(lake, "group_a", slice(3, None))
    first = F.expr("transform(scores, (s, i) -> IF(i = 0, 5S, s))")
    changed = {"scores": first, "repeat_scores": F.lit(None)}
    lake.update("labels", F.col("source_group") == "group_a", changed)
    perform(lake, settings, "one constant slot")
    students = lake.read("students").filter("source_group = 'group_a'")
    newest = students.orderBy(F.col("created_at").desc()).first()
    assert newest is not None
    cells = lake.read("student_reliability").filter(F.col("student_id") == newest["student_id"])
    of_slot = {row["slot"]: row for row in cells.filter("source IS NULL").collect()}
    assert of_slot[0]["spearman"] is None
    assert of_slot[0]["slope"] == 0
    assert of_slot[0]["judged_mean"] == 5
    assert any(row["slope"] > 0 for row in of_slot.values())


def test_an_interrupted_run_promotes_nothing_and_the_next_one_does(
    copied: tuple[Lakehouse, Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, settings = copied
    champions = registry.champions(settings.student_registry, GROUPS)
    removed(lake, "group_a", slice(4, None))
    monkeypatch.setenv("MIRA_FAILPOINTS", "student.recorded=raise")
    with pytest.raises(DrillError):
        perform(lake, settings, "interrupted")
    assert registry.champions(settings.student_registry, GROUPS) == champions
    monkeypatch.delenv("MIRA_FAILPOINTS")
    perform(lake, settings, "again")
    assert registry.champions(settings.student_registry, GROUPS)["group_a"] != champions["group_a"]


def test_a_forced_step_trains_all_groups_anew(copied: tuple[Lakehouse, Settings]) -> None:
    lake, settings = copied
    perform(lake, settings, "up to date")
    before = lake.read("students").count()
    perform(lake, settings, "idle")
    assert lake.read("students").count() == before
    perform(lake, settings, "forced", force=True)
    assert lake.read("students").count() == before + 2


def test_champions_stand_where_the_registry_was_emptied(
    copied: tuple[Lakehouse, Settings],
) -> None:
    lake, settings = copied
    perform(lake, settings, "up to date")
    before = champion_scorers(lake, settings.student_registry, GROUPS)
    client, name = (
        mlflow_runs.client(settings.student_registry),
        registry.model_name(settings.student_registry, "group_b"),
    )
    client.delete_registered_model(name)
    assert pipeline.status(lake, settings)["distill_students"] == "done"
    assert champion_scorers(lake, settings.student_registry, GROUPS) == before
    with pytest.raises(InputError, match=rf"{before['group_b'].student_id} is not in MLflow"):
        champions.promote(lake, settings.student_registry, before["group_b"].student_id, False)
    shutil.rmtree(before["group_b"].artefact_uri)
    lost = f"stale: the artefact of {before['group_b'].student_id} is gone"
    assert pipeline.status(lake, settings)["distill_students"] == lost
    assert perform(lake, settings, "emptied") == 0
    assert pipeline.status(lake, settings)["distill_students"] == "done"
    now = champion_scorers(lake, settings.student_registry, GROUPS)
    assert now == before, "the same labels make the same student, and the other stands"
    assert load_student(now["group_b"])


def test_an_artefact_that_is_gone_is_fetched_from_mlflow(
    copied: tuple[Lakehouse, Settings],
) -> None:
    lake, settings = copied
    perform(lake, settings, "up to date")
    before, students = (
        champion_scorers(lake, settings.student_registry, GROUPS),
        lake.read("students").count(),
    )
    (Path(before["group_a"].artefact_uri) / "manifest.json").unlink()
    assert perform(lake, settings, "fetched") == 0
    assert lake.read("students").count() == students, "no student was made"
    assert champion_scorers(lake, settings.student_registry, GROUPS) == before
    assert before["group_a"].manifest().source_group == "group_a"


def refused(settings: Settings, distillation: DistillationSettings) -> Settings:
    return settings.model_copy(update={"distillation": distillation})


def test_what_cannot_be_trained_leaves_the_champions(
    copied: tuple[Lakehouse, Settings], tmp_path: Path
) -> None:
    lake, settings = copied
    champions = registry.champions(settings.student_registry, GROUPS)
    folder = an_encoder(tmp_path / "encoder", ["a text"])
    encoder = DistillationSettings(kind="encoder", encoder=EncoderSettings(model=str(folder)))
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ArtefactError, match=r"encoder/tokenizer\.json: is missing"):
        perform(lake, refused(settings, encoder), "no tokenizer")

    config = json.loads((folder / "config.json").read_text())
    large = config | {"vocab_size": 1 << 36}  # its weights are not even looked for
    (folder / "config.json").write_text(json.dumps(large))
    with console.capture() as output:
        assert perform(lake, refused(settings, encoder), "no memory") == 3
    said = " ".join(output.get().split())
    for group in GROUPS:
        assert re.search(rf"{group}: \S*: [0-9,]* weights, 1 times, needs about", said)

    discovery = settings.discovery.model_copy(update={"seed": settings.discovery.seed + 5})
    another = settings.model_copy(update={"discovery": discovery})
    with pytest.raises(InputError, match="no rubric for group_a: run mira discover-rubrics first"):
        perform(lake, another, "another rubric")
    assert registry.champions(settings.student_registry, GROUPS) == champions
