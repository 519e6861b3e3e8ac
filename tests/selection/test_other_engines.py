"""The set of a selection without Spark, by the recipe that the folder's README has."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from pyspark.sql import SparkSession, functions as F

from mira_spark.lake.tables import Lakehouse
from mira_spark.settings.root import Settings
from mira_spark.settings.selection import SelectionSettings
from mira_spark.steps import select_documents
from tests import selection_lake
from tests.selection_lake import ids

README = Path(__file__).parents[2] / "mira_spark" / "selection" / "README.md"
Made = tuple[Lakehouse, Settings, str]


def recipe() -> dict[str, Callable[..., Any]]:
    """The functions that the page defines."""
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    defined: dict[str, Callable[..., Any]] = {}
    exec(compile(code, str(README), "exec"), defined)
    return defined


@pytest.fixture(scope="module")
def made(
    spark: SparkSession, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Made]:
    with selection_lake.open_lake(spark, "elsewhere", home, tmp_path_factory) as (lake, settings):
        described = spark.sql("DESCRIBE SCHEMA elsewhere").collect()
        location = next(value for key, value in described if key == "Location")
        yield lake, settings, unquote(urlsplit(location).path)


@pytest.mark.parametrize(("seed", "budget"), [(0, "40%"), (-5, "7%")])
def test_the_set_is_the_views(made: Made, seed: int, budget: str) -> None:
    lake, settings, schema = made
    chosen = SelectionSettings(seed=seed, budget=budget)
    select_documents.run(lake, settings.model_copy(update={"selection": chosen}), "r")
    selected = recipe()["selected_ids"](schema, "default")
    assert selected == ids(lake)
    assert selected


def test_the_hash_of_ties_is_sparks(spark: SparkSession) -> None:
    doc_ids = ["", "a", "Straße 7", "\U0001f600", "x" * 1_000]
    for seed in (0, 1, -1, 2**63 - 1, -(2**63)):
        frame = spark.createDataFrame([(d,) for d in doc_ids], "doc_id string")
        hashed = frame.select(F.xxhash64("doc_id", F.lit(seed).cast("bigint"))).collect()
        assert [recipe()["tie_hash"](d, seed) for d in doc_ids] == [row[0] for row in hashed]
