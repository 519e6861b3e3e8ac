"""Ten daily runs over a corpus that grows, changes and loses documents, with a judge that fails and
people who tend the tables: only what is new is asked, labelled and scored, and the views are right.
"""

import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from pyspark.sql import SparkSession, functions as F

from mira_spark.judges.calls.pacing import JudgeUnavailable
from mira_spark.lake.tables import Lakehouse
from tests.integration.test_judge import KEY
from tests.judge_faults import BY_KIND, always
from tests.whole_lake import KEY_VARIABLE, WholeLake, whole_lake

pytestmark = pytest.mark.long
FIRST = {"code": "group_a", "answers": "group_b"}
LATER = {"prose": "group_b"}
SMALL = {f"site_{number}": "group_b" for number in range(40)}
"""Sources of two documents each."""
TENDED = ("documents", "scores", "labels", "judge_calls", "score_histogram")


@pytest.fixture
def whole(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[WholeLake]:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    with whole_lake(Lakehouse(spark, "days"), tmp_path, dict(FIRST)) as whole:
        yield whole


def students(whole: WholeLake) -> dict[str, str]:
    """The group of each student whose scores count."""
    counts = whole.lake.read("scored_documents").select("student_id", "source_group").distinct()
    return {row["student_id"]: row["source_group"] for row in counts.collect()}


def commits(whole: WholeLake) -> dict[str, int]:
    return {table: whole.lake.version(table) for table in (*TENDED, "runs")}


def table_folder(whole: WholeLake, table: str) -> Path:
    detail = whole.lake.spark.sql(f"DESCRIBE DETAIL {whole.lake.name(table)}")
    return local_path(detail.collect()[0]["location"])


def local_path(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path))


def sizes(whole: WholeLake) -> str:
    """Files that count, their median size, and files of the log."""
    lines = []
    for table in ("documents", "scores"):
        files = whole.lake.read(table).inputFiles()
        median = statistics.median(local_path(file).stat().st_size for file in files)
        log = len(list((table_folder(whole, table) / "_delta_log").glob("*.json")))
        lines.append(f"{table}: {len(files)} files of {median:,.0f} bytes, {log} files of log")
    return ", ".join(lines)


def grow(whole: WholeLake) -> set[str]:
    return whole.add("code", 8) | whole.add("answers", 4)


def change(whole: WholeLake) -> set[str]:
    whole.withdraw(whole.without_label("answers", 3))
    return whole.change(whole.without_label("code", 5))


def a_new_source(whole: WholeLake) -> set[str]:
    """In a group by another mapping: rubrics are discovered anew, from what was not asked yet."""
    whole.groups |= LATER
    return whole.add("prose", 50)


def labels_of_it(whole: WholeLake) -> set[str]:
    """From a judge that first refuses the key."""
    whole.stub.faults = always(BY_KIND["status_401"])
    with pytest.raises(JudgeUnavailable):
        whole.perform("refused", ["label_documents"], force=True)
    whole.stub.faults = None
    assert whole.perform("labels", ["label_documents"], force=True)[0] == 0
    return set()


def groups_with_new_labels(whole: WholeLake) -> set[str]:
    """That of the new source, and any of whose sample documents came or changed before."""
    calls = whole.lake.read("judge_calls").filter("run_id = 'labels' AND purpose = 'label'")
    groups = {row["source_group"] for row in calls.select("source_group").distinct().collect()}
    assert "group_b" in groups
    return groups


def tended(whole: WholeLake) -> set[str]:
    for table in TENDED:
        whole.lake.spark.sql(f"OPTIMIZE {whole.lake.name(table)}")
        whole.lake.spark.sql(f"VACUUM {whole.lake.name(table)}")
    return grow(whole)


def small_sources(whole: WholeLake) -> set[str]:
    whole.groups |= SMALL
    return set().union(*(whole.add(name, 2) for name in SMALL))


def a_clean_log(whole: WholeLake) -> set[str]:
    """What Delta does when a checkpoint is older than the log's retention."""
    for table in TENDED:
        log = table_folder(whole, table) / "_delta_log"
        checkpoints = [int(p.name[:20]) for p in log.glob("*.checkpoint*.parquet")]
        for commit in log.glob("*.json"):
            if int(commit.name[:20]) < max(checkpoints, default=0):
                commit.unlink()
    return grow(whole)


def nothing(whole: WholeLake) -> set[str]:
    return set()


DAYS: tuple[Callable[[WholeLake], set[str]], ...] = (
    grow, change, a_new_source, labels_of_it, tended, small_sources, a_clean_log, change, nothing,
)  # fmt: skip
"""After the first; each gives the ids of the documents that are new or changed."""


def live(whole: WholeLake, day: int, happens: Callable[[WholeLake], set[str]]) -> str:
    """A day: what happens, and the run after it; then all is as it should be."""
    yesterday, before, asked = students(whole), commits(whole), len(whole.stub.calls)
    new = happens(whole)
    code, said = whole.perform(f"day_{day}")
    assert code == 0, said
    whole.check_views()
    trained = {group for one, group in students(whole).items() if one not in yesterday}
    assert trained == (groups_with_new_labels(whole) if happens is labels_of_it else set())
    wanted = {i for i, row in whole.corpus.items() if whole.groups[row["source"]] in trained}
    rows = whole.lake.read("scores").filter(F.col("run_id") == f"day_{day}").select("doc_id")
    assert Counter(row["doc_id"] for row in rows.collect()) == Counter(wanted | new)
    if happens is not labels_of_it:
        calls = whole.lake.read("judge_calls").filter(F.col("run_id") == f"day_{day}")
        purposes = {row["purpose"] for row in calls.select("purpose").distinct().collect()}
        wanted_purposes = {"discover"} if happens in (a_new_source, small_sources) else set()
        assert purposes == wanted_purposes, "new documents ask for no label"
        assert len(whole.stub.calls) == asked + calls.count()
    grown = {table: version - before[table] for table, version in commits(whole).items()}
    assert grown["scores"] <= 2 + 3 * (happens is tended), "a group's sources share a commit"
    if happens is nothing:
        assert grown == dict.fromkeys(TENDED, 0) | {"runs": 1}
    return f"day {day}, {happens.__name__}: {len(new)} new, commits {grown}; {sizes(whole)}"


def test_ten_days_ask_label_and_score_only_what_is_new(
    whole: WholeLake, capfd: pytest.CaptureFixture[str]
) -> None:
    whole.add("code", 80)
    whole.add("answers", 60)
    code, said = whole.perform("day_1")
    assert code == 0, said
    whole.check_views()
    lines = [live(whole, day, happens) for day, happens in enumerate(DAYS, 2)]
    answered = Counter(call.key for call in whole.stub.calls if call.status == 200)
    assert set(answered.values()) == {1}, "an answer was paid for twice"
    with capfd.disabled():
        print("\n" + "\n".join(lines))  # noqa: T201
