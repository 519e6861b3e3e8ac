"""Groups with few labels take the student of the group that is most like them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mira_spark.corpus.grouping import grouping_id
from mira_spark.distillation import borrowing
from mira_spark.lake.creation import create_tables
from mira_spark.lake.tables import Lakehouse
from mira_spark.scoring.scorers import champion_scorers
from mira_spark.settings.corpus import GroupingSettings
from mira_spark.settings.embedder import Grouping
from mira_spark.settings.root import Settings
from mira_spark.steps import distill_students
from mira_spark.students import artefact
from tests import scoring_lake

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WHY = ["gain at 40 % of the tokens is unknown"]


def add_source(lake: Lakehouse, source: str, group: str, embedding: Sequence[float]) -> None:
    row = {"grouping_id": grouping_id(GroupingSettings()), "source": source, "source_group": group,
           "embedding": list(embedding), "documents": 1, "tokens": 1, "sampled": 1,
           "created_at": NOW}  # fmt: skip
    lake.append_rows([row], "source_groups", "r")


@pytest.mark.parametrize(("others", "nearest"), [("bcd", "c"), ("bd", "b"), ("d", "d")])
def test_the_nearest_group_is_the_one_whose_mean_vector_has_the_greatest_cosine(
    lake: Lakehouse, others: str, nearest: str
) -> None:
    create_tables(lake, ["source_groups"])
    vectors = {
        "a": [(1.0, 0.0), (0.0, 1.0)],
        "b": [(1.0, 0.0)],
        "c": [(1.0, 0.0), (0.0, 0.9)],
        "d": [(0.0, 1.0)],
    }
    for group, of_group in vectors.items():
        for number, vector in enumerate(of_group):
            add_source(lake, f"{group}{number}", group, vector)
    assert borrowing.nearest_group(lake, Grouping(GroupingSettings()), "a", others) == nearest


@pytest.fixture
def settings(
    lake: Lakehouse,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Settings:
    """Of a lake with a champion of `group_a`, and the source `news` in `group_b`."""
    home = tmp_path_factory.getbasetemp() / "borrowing"
    home.mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path)  # where MLflow puts a run's files
    made = scoring_lake.prepared(lake, home, tmp_path, {"1": "a text"})
    add_source(lake, "news", "group_b", [1.0])
    return made


def borrowed(
    lake: Lakehouse, settings: Settings, labels: int, group: str = "group_b"
) -> str | None:
    return distill_students._borrow(lake, settings, group, "labelling", labels, WHY, "r")


def test_what_a_group_borrows_is_its_champion_and_says_so(
    lake: Lakehouse, settings: Settings
) -> None:
    place = settings.student_registry
    lender = champion_scorers(lake, place, ["group_a"])["group_a"]
    assert borrowed(lake, settings, 7) == lender.student_id
    champion = champion_scorers(lake, place, ["group_b"])["group_b"]
    (row,) = lake.read("students").filter("source_group = 'group_b'").collect()
    assert row["student_id"] == champion.student_id != lender.student_id
    assert (row["borrowed_from"], row["gate"]) == (lender.student_id, "borrowed")
    assert (row["gate_reasons"], row["labels"], row["labelling_id"]) == (WHY, 7, "labelling")
    student, manifest = artefact.load(Path(champion.artefact_uri), champion.artefact_sha256)
    original, lent = artefact.load(Path(lender.artefact_uri), lender.artefact_sha256)
    assert student.config == original.config
    assert manifest.quality.group == lent.quality.group
    assert (manifest.source_group, manifest.quality.sources) == ("group_b", {})


def test_a_group_with_labels_enough_borrows_nothing(lake: Lakehouse, settings: Settings) -> None:
    assert borrowed(lake, settings, settings.distillation.few_labels) is None


def test_a_group_with_a_champion_of_its_own_keeps_it(lake: Lakehouse, settings: Settings) -> None:
    assert borrowed(lake, settings, 7, "group_a") is None


def test_what_was_borrowed_is_not_lent_on(lake: Lakehouse, settings: Settings) -> None:
    add_source(lake, "chats", "group_c", [1.0])
    lender = borrowed(lake, settings, 7)
    assert borrowed(lake, settings, 7, "group_c") == lender
