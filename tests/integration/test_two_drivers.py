"""Two drivers of every step started together over one Hive metastore, ten times each: nothing is
doubled, one works or both end well, the views are right."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from mira_spark import pipeline
from mira_spark.settings.root import Settings
from tests.shared_metastore import Driver, Platform

ROUNDS = 10
KEYS = {
    "documents": "doc_id",
    "rejected_documents": "source, doc_id, reason",
    "text_bands": "content_hash",
    "near_pairs": "earlier, later",
    "near_duplicates": "doc_id",
    "contaminated": "doc_id, item_set, item_column, item_id",
    "contamination_checks": "item_set",
    "source_groups": "grouping_id, source",
    "embeddings": "embedder, text_hash",
    "judge_calls": "call_key",
    "judgement_points": "doc_id, point",
    "pilot_labels": "discovery_id, doc_id",
    "rubrics": "source_group, slot",
    "labels": "doc_id, content_hash",
    "judge_agreement": "labelling_id, kind, slot",
    "students": "source_group",
    "student_reliability": "student_id, source, slot",
    "student_figures": "student_id, predictor, figure, source",
    "student_predictions": "student_id, doc_id",
    "noise_checks": "student_id, source, kind",
    "scores": "doc_id",
    "score_checks": "documents_version, scores_version, students",
    "score_histogram": "student_id, source, quality, set_aside, document_tokens",
    "baseline_scores": "doc_id, baseline",
    "baselines": "baseline",
    "selections": "name",
    "selection_cutoffs": "source",
    "selected_documents": "doc_id",
}
"""What is there once after one undisturbed run."""
VIEWS = {
    "group_sources": "SELECT count(*), count(DISTINCT doc_id) FROM {0}.corpus",
    "label_documents": "SELECT count(*), count(DISTINCT doc_id, slot) FROM {0}.label_points",
    "score_documents": "SELECT count(*), count(DISTINCT doc_id) FROM {0}.scored_documents",
    "select_documents":
        "SELECT count(*), count(DISTINCT doc_id), sum(n_tokens), (SELECT sum(selected_tokens) "
        "FROM {0}.selections), md5(concat_ws(',', sort_array(collect_list(doc_id)))) "
        "FROM {0}.selected",
}  # fmt: skip


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    platform = Platform(tmp_path_factory.mktemp("platform"))
    yield platform
    platform.close()


@pytest.fixture(scope="module")
def drivers(platform: Platform) -> Iterator[list[Driver]]:
    drivers = []
    for _ in range(2):  # the first makes the metastore's own tables
        drivers.append(platform.driver())
        drivers[-1].sql("SHOW SCHEMAS")
    yield drivers
    for driver in drivers:
        driver.close()


@pytest.fixture(scope="module")
def config(platform: Platform, settings: Settings) -> Path:
    chosen = settings.model_dump(mode="json", exclude_defaults=True)
    chosen |= {"session": "platform", "folder": str(platform.folder / "work")}
    chosen["driver_folder"] = str(platform.folder / "driver")
    chosen["registry"] = {"tracking_uri": f"sqlite:///{platform.folder}/mlflow.db"}
    chosen["baselines"] = {"heuristics": True}
    (platform.folder / "platform.yaml").write_text(yaml.safe_dump(chosen))
    return platform.folder / "platform.yaml"


def test_every_table_that_a_step_writes_has_a_key() -> None:
    assert set(KEYS) == {table for step in pipeline.STEPS.values() for table in step.WRITES}


@pytest.mark.long
def test_two_drivers_started_together_end_well(
    drivers: list[Driver], config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    namespace = ""
    for step, module in pipeline.STEPS.items():
        seen: set[str] = set()
        codes: list[str] = []
        begun = time.monotonic()
        for turn in range(ROUNDS):
            if step == "ingest_corpus":
                namespace = f"drill_{turn}"  # both create the tables, too
            else:
                emptied = [f"DELETE FROM {namespace}.{table}" for table in module.WRITES]
                drivers[0].sql(*emptied, f"DELETE FROM {namespace}.runs WHERE step = '{step}'")
            place = ["--config", str(config), "--set", f"namespace={namespace}"]
            for driver in drivers:
                driver.begin(mira=[step.replace("_", "-"), *place])
            ended = [driver.answer() for driver in drivers]
            said = "\n".join(f"{code}: {output}" for code, output in ended)
            codes.append("+".join(sorted(str(code) for code, _ in ended)))
            assert {code for code, _ in ended} <= {0, 75}, said
            assert 0 in {code for code, _ in ended}, said
            for code, output in ended:
                assert code == 0 or "works on it: wait until it ends" in output, output
            seen.add(str(_state(drivers[0], namespace, step, module.WRITES)))
            work = f"step = '{step}' AND status = 'done' AND message <> 'nothing to do'"
            done = drivers[0].sql(f"SELECT count(*) FROM {namespace}.runs WHERE {work}")
            assert done == [[1]] or step == "report_selection", said
        assert len(seen) == 1, seen
        with capsys.disabled():
            seconds = time.monotonic() - begun
            sys.stdout.write(f"\n{step}: {codes} in {seconds:.0f} s")


def _state(driver: Driver, namespace: str, step: str, tables: tuple[str, ...]) -> list[object]:
    """How many rows each table of the step has, none doubled, and what its view shows."""
    state: list[object] = []
    for table in tables:
        count, keys = f"count(*) FROM {namespace}.{table}", f"SELECT DISTINCT {KEYS[table]} FROM"
        query = f"SELECT (SELECT {count}), (SELECT count(*) FROM ({keys} {namespace}.{table}))"
        ((rows, distinct),) = driver.sql(query)
        assert rows == distinct, (table, rows, distinct)
        state.append((table, rows))
    if step in VIEWS:
        ((rows, distinct, *more),) = driver.sql(VIEWS[step].format(namespace))
        assert rows == distinct > 0
        assert not more or more[0] == more[1], "as many tokens as the selection says"
        state.append((rows, *more))
    return state
