"""One Spark session for a whole process of tests, with its catalog in a temporary folder."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark import SparkContext
from pyspark.sql import SparkSession

from mira_spark.lake.session import open_local
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.progress import set_up_logging

DRILLS = str(Path(__file__).parent / "drills")
LATE = ("test_judge.py", "test_command.py")
# Over tables of few rows, compiling a query, planning it anew and a second partition are work for
# nothing; tests of partitionings make their own. The processes that tests start (`mira sql`, the
# job on separate executors) have Spark's own defaults.
FEW_ROWS = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.shuffle.partitions": "1",
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.databricks.delta.allFilesInCrc.enabled": "false",
}


@pytest.hookimpl(tryfirst=True)  # `-m` chooses by the marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the session are marked `spark`; LATE ones use what others left, or end it."""
    for item in items:
        if "spark" in getattr(item, "fixturenames", ()):
            item.add_marker("spark")
    items.sort(key=lambda item: LATE.index(item.path.name) if item.path.name in LATE else -1)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the session: catalog, tables, MLflow."""
    return tmp_path_factory.mktemp("a lake")


@pytest.fixture(scope="session")
def spark(home: Path) -> Iterator[SparkSession]:
    set_up_logging()
    # What Spark's workers start with: a student that some texts kill.
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [DRILLS, *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    session = open_local(home, cores=2, memory="3g")
    for name, value in FEW_ROWS.items():
        session.conf.set(name, value)
    yield session
    if SparkContext._gateway is not None:  # test_command ends it earlier
        session.stop()


@pytest.fixture
def lake(spark: SparkSession, request: pytest.FixtureRequest) -> Iterator[Lakehouse]:
    """An empty schema of the test's own; `create` makes the tables that the test needs."""
    name = re.sub(r"\W", "_", request.node.name)[:60]
    spark.sql(f"DROP SCHEMA IF EXISTS {name} CASCADE")
    spark.sql(f"CREATE SCHEMA {name}")
    yield Lakehouse(spark, name)
    spark.sql(f"DROP SCHEMA {name} CASCADE")
