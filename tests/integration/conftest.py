"""One run of the pipeline on a small real corpus, for all tests of this folder."""

import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from mira_spark import pipeline
from mira_spark.corpus import python_environment
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.progress import console
from mira_spark.settings.root import Settings, load

SOURCES = ("stdlib_code", "type_stubs", "docstring_qa", "package_descriptions")
EACH = 170
NAMESPACE = "pipeline"


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """JSON Lines, one file a source, of texts found beside the interpreter."""
    folder = tmp_path_factory.mktemp("corpus")
    limits = python_environment.CorpusLimits(EACH, 1_200_000)
    found = python_environment.find_files(python_environment.this_environment(), limits)
    of_sources = [file for file in found if file.source in SOURCES]
    rows: dict[str, list[str]] = {}
    for document in python_environment.documents(of_sources, limits):
        text = document.text.decode(errors="replace")
        row = {"id": document.doc_id, "source": document.source, "text": text}
        rows.setdefault(document.source, []).append(json.dumps(row | {"domain": document.domain}))
    for source, lines in rows.items():
        (folder / f"{source}.json").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="session")
def settings(files: Path, home: Path) -> Settings:
    return load(
        None,
        [
            f"namespace={NAMESPACE}",
            f"folder={home}",
            "corpus.input=json",
            f"corpus.path={files}",
            "corpus.columns.doc_id=id",
            "corpus.columns.domain=domain",
            "grouping.groups=2",
            "discovery.documents_per_group=60",
            "labelling.documents_per_source=170",
            "distillation.linear.bits=16",
            "scoring.unit_tokens=400_000",
        ],
    )


@pytest.fixture
def first_lake(spark: SparkSession, settings: Settings, first_run: str) -> Lakehouse:
    """The tables of the first run."""
    return Lakehouse(spark, settings.namespace)


@pytest.fixture
def selected_here(first_lake: Lakehouse) -> set[str]:
    """The ids that the first run selected."""
    return {row["doc_id"] for row in first_lake.read("selected").select("doc_id").collect()}


@pytest.fixture(scope="session")
def first_run(spark: SparkSession, settings: Settings) -> str:
    """What the first run printed."""
    with console.capture() as output:
        code = pipeline.perform(Lakehouse(spark, settings.namespace), settings, "first")
    assert code == 0, output.get()
    return output.get()
