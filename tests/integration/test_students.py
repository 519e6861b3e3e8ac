"""The step distill_students over a copy of the pipeline's tables: what fails keeps its champion."""

from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from mira_spark import pipeline, registry
from mira_spark.errors import InputError
from mira_spark.failpoints import DrillError
from mira_spark.progress import console
from mira_spark.settings import Settings, load
from mira_spark.tables import Lakehouse

pytestmark = pytest.mark.long
COPIED = ("documents", "source_groups", "rubrics", "labels")
STEP = ["distill_students"]


@pytest.fixture
def copied(
    spark: SparkSession, settings: Settings, first_run: str
) -> Iterator[tuple[Lakehouse, Settings]]:
    spark.sql("CREATE SCHEMA students_copy")
    lake = Lakehouse(spark, "students_copy")
    for table in COPIED:
        spark.sql(f"CREATE TABLE {lake.name(table)} SHALLOW CLONE {settings.namespace}.{table}")
    changes = {"namespace": "students_copy"}
    prefixed = settings.registry.model_copy(update={"prefix": "copied"})
    yield lake, settings.model_copy(update=changes | {"registry": prefixed})
    spark.sql("DROP SCHEMA students_copy CASCADE")


def perform(lake: Lakehouse, settings: Settings, run_id: str) -> tuple[int, str]:
    with console.capture() as output:
        code = pipeline.perform(lake, settings, run_id, STEP)
    return code, output.get()


def test_what_fails_leaves_the_champion_and_the_other_groups(
    copied: tuple[Lakehouse, Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, settings = copied
    assert perform(lake, settings, "first")[0] == 0
    champions = registry.champions(settings, ["group_a", "group_b"])
    assert sorted(champions) == ["group_a", "group_b"]

    keep = f"SELECT doc_id FROM {lake.name('labels')} WHERE source_group = 'group_b' "
    keep += "ORDER BY doc_id LIMIT 10"
    lake.spark.sql(
        f"DELETE FROM {lake.name('labels')} WHERE source_group = 'group_b' "
        f"AND doc_id NOT IN ({keep})"
    )
    code, said = perform(lake, settings, "ten labels")
    assert code == 3
    assert "gate failed, champion unchanged: group_b" in said
    assert "group_a unchanged" in said
    assert registry.champions(settings, ["group_a", "group_b"]) == champions

    lake.spark.sql(
        f"DELETE FROM {lake.name('labels')} WHERE source_group = 'group_a' AND split = 'train' "
        "AND pmod(hash(doc_id), 4) = 0"
    )
    monkeypatch.setenv("MIRA_FAILPOINTS", "student.recorded=raise")
    with pytest.raises(DrillError):
        perform(lake, settings, "interrupted")
    assert registry.champions(settings, ["group_a", "group_b"]) == champions
    monkeypatch.delenv("MIRA_FAILPOINTS")
    perform(lake, settings, "again")
    after = registry.champions(settings, ["group_a", "group_b"])
    assert after["group_b"] == champions["group_b"]
    assert after["group_a"] != champions["group_a"]

    another = load(None, ["discovery.seed=5"]).discovery.model_copy(
        update={"documents_per_group": settings.discovery.documents_per_group}
    )
    with pytest.raises(InputError, match="no rubric for group_a: run discover_rubrics first"):
        perform(lake, settings.model_copy(update={"discovery": another}), "rubric")
    assert registry.champions(settings, ["group_a", "group_b"]) == after
