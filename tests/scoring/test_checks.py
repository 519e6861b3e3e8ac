"""Which scores count is known or looked up, never guessed from a history that says too little."""

from pathlib import Path

import pytest
from pyspark.sql import functions as F

from mira_spark.errors import ReconciliationError
from mira_spark.lake import runs
from mira_spark.lake.creation import create_tables
from mira_spark.lake.runs import Outcome
from mira_spark.lake.tables import Lakehouse
from mira_spark.scoring import checks as score_checks, repair
from mira_spark.scoring.scorers import champion_scorers
from mira_spark.settings.root import Settings
from mira_spark.steps import score_documents
from tests import scoring_lake

TEXTS = {f"doc {i}": f"text {i} of some" for i in range(8)}


@pytest.fixture
def settings(lake: Lakehouse, home: Path, tmp_path: Path) -> Settings:
    create_tables(lake, ["score_histogram"])
    return scoring_lake.prepared(lake, home, tmp_path, TEXTS)


def score(lake: Lakehouse, settings: Settings) -> Outcome:
    return score_documents.run(lake, settings, runs.new_run_id())


def known(lake: Lakehouse, settings: Settings) -> score_checks.Proof:
    scorers = champion_scorers(lake, settings.student_registry, ["group_a"])
    return score_checks.latest_proof(lake, [scorer.student_id for scorer in scorers.values()])


def shown(lake: Lakehouse, view: str = "scored_documents") -> list[str]:
    return sorted(row["doc_id"] for row in lake.read(view).collect())


def clean_history(lake: Lakehouse, table: str) -> None:
    """As Delta does once the log is older than its retention."""
    described = lake.spark.sql(f"DESCRIBE DETAIL {lake.name(table)}").collect()[0]
    log = Path(described["location"].removeprefix("file:")) / "_delta_log"
    last = max(int(path.name[:20]) for path in log.glob("*.checkpoint*.parquet"))
    for commit in log.glob("*.json"):
        if int(commit.name[:20]) < last:
            commit.unlink()


@pytest.mark.long
def test_after_appends_of_ours_no_join_is_needed(lake: Lakehouse, settings: Settings) -> None:
    assert known(lake, settings) == (False, False)
    score(lake, settings)
    assert known(lake, settings) == (True, True)
    scoring_lake.add(lake, {"new": "a new one"})
    lake.spark.sql(f"OPTIMIZE {lake.name('documents')}")
    assert known(lake, settings) == (True, True)
    checks = lake.version("score_checks")
    assert score(lake, settings).rows_in == 1
    assert known(lake, settings) == (True, True)
    assert lake.version("score_checks") == checks + 1
    assert score(lake, settings).rows_in == 0
    assert lake.version("score_checks") == checks + 1, "what is known is not written again"


def test_several_checks_of_one_state_hold_together(lake: Lakehouse) -> None:
    """A repair proves that all belong, a step that its students have one each, in any order."""
    create_tables(lake, ["documents", "scores", "score_checks"])
    documents = lake.snapshot("documents")
    for students in (["a"], [], ["b"], ["a", "c"], ["a"]):
        score_checks.record_check(lake, documents, students, True, "r")
    assert lake.read("score_checks").count() == 3, "what is known is not written again"
    for students in (["a"], ["b"], ["a", "b", "c"], []):
        assert score_checks.latest_proof(lake, students) == (True, True), students
    assert score_checks.latest_proof(lake, ["d"]) == (True, False)


CHANGES = {
    "overwritten": "INSERT OVERWRITE {0} SELECT * FROM {0} WHERE doc_id <> 'doc 1'",
    "restored": "RESTORE TABLE {0} TO VERSION AS OF 1",
    "deleted": "DELETE FROM {0} WHERE doc_id = 'doc 1'",
}


@pytest.mark.parametrize(
    "how",
    ["overwritten", *(pytest.param(how, marks=pytest.mark.long) for how in
                      ("restored", "deleted", "cleaned", "made anew"))],
)  # fmt: skip
def test_scores_of_documents_that_went_do_not_count(
    lake: Lakehouse, settings: Settings, how: str
) -> None:
    lake.set_properties("documents", {"delta.checkpointInterval": "1"})
    scoring_lake.add(lake, {"later": "a later one"})
    score(lake, settings)
    table = lake.name("documents")
    if how == "made anew":
        lake.spark.sql(f"CREATE TABLE {table}_copy USING delta AS SELECT * FROM {table}")
        lake.spark.sql(f"DROP TABLE {table}")
        lake.spark.sql(f"ALTER TABLE {table}_copy RENAME TO {table}")
        for _ in range(4):
            lake.set_properties("documents", {"by": "hand"})
    elif how == "cleaned":
        lake.delete("documents", F.col("doc_id") == "doc 1")
        lake.set_properties("documents", {"by": "time"})
        clean_history(lake, "documents")
    else:
        lake.spark.sql(CHANGES[how].format(table))
    assert not known(lake, settings).all_belong
    score(lake, settings)
    assert shown(lake) == shown(lake, "documents")
    # Where nothing is left that belongs to no document, the next time is quick again.
    assert known(lake, settings).all_belong == (how == "made anew")


def test_what_cannot_be_reconciled_is_repaired(lake: Lakehouse, settings: Settings) -> None:
    score(lake, settings)
    table = lake.name("scores")
    lake.spark.sql(f"INSERT INTO {table} SELECT * FROM {table} WHERE doc_id IN ('doc 1', 'doc 2')")
    lake.delete("documents", F.col("doc_id") == "doc 3")
    assert score_documents.missing(lake, settings) == ["scores are not as it left them"]
    with pytest.raises(ReconciliationError) as error:
        score(lake, settings)
    assert str(error.value) == (
        f"{table}: web, buckets 0 to 4: 4 documents at version {lake.version('documents')}, 6 "
        "current scores: run mira scores repair, then mira run"
    )
    assert repair.repair(lake, "repair") == [
        f"{table}: 1 scores of no document dropped",
        f"{table}: 2 second scores of a document and student dropped",
        f"{table}: 7 scores are left; mira run scores what has none and selects again",
    ]
    assert score_documents.missing(lake, settings) == ["scores are not as it left them"]
    assert score(lake, settings).rows_in == 0
    assert known(lake, settings) == (True, True)
    assert shown(lake) == shown(lake, "documents")
