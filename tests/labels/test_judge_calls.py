"""A journal's rows reach the table once each, whichever copy of the journal they come from."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from mira_spark.judges.calls.journal import Journal, Sink
from mira_spark.judges.calls.journal_file import CallRow
from mira_spark.labels import judge_calls
from mira_spark.lake.creation import create_tables
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.failpoints import DrillError
from tests.judges.calls.test_journal import all_at_once, held_on_disk, row


def into(lake: Lakehouse) -> Sink:
    def sink(opening: str, batch: int, rows: Sequence[CallRow], again: bool) -> None:
        judge_calls.append(lake, rows, "r", (opening, batch), again)

    return sink


def test_an_answer_is_known_in_what_it_was_asked_for_whatever_the_group(lake: Lakehouse) -> None:
    """A group may get another name; what is asked about it is the same."""
    create_tables(lake, ["judge_calls"])
    calls = [
        row("a"),
        row("b", source_group="another"),
        row("c", rubric_id=None),
        row("d", outcome="failed"),
    ]
    judge_calls.append(lake, calls, "r", ("journal", 1), again=False)
    assert sorted(judge_calls.answers(lake, "r1", [*"abcde"])) == ["a", "b"]
    assert sorted(judge_calls.answers(lake, None, [*"abcde"])) == ["c"]


def called(lake: Lakehouse) -> list[str]:
    return sorted(row["call_key"] for row in lake.read("judge_calls").collect())


def test_no_answer_of_a_journal_that_was_put_back_is_lost_or_doubled(
    lake: Lakehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_tables(lake, ["judge_calls"])
    path, copy = tmp_path / "judge.sqlite", tmp_path / "copy.sqlite"
    with Journal(path, into(lake)) as journal:
        all_at_once(journal.record, [row("a")])
    monkeypatch.setenv("MIRA_FAILPOINTS", "judge_calls.appended=raise")
    with pytest.raises(DrillError), Journal(path, into(lake)) as journal:
        all_at_once(journal.record, [row("b")])
    monkeypatch.delenv("MIRA_FAILPOINTS")
    shutil.copy(path, copy)  # holds b, which is in the table
    with Journal(path, into(lake)) as journal:
        assert called(lake) == ["a", "b"]
        all_at_once(journal.record, [row("c")])
    shutil.copy(copy, path)
    with Journal(path, into(lake)) as journal:
        all_at_once(journal.record, [row("d")])
    assert called(lake) == ["a", "b", "c", "d"]
    assert held_on_disk(path, "answers") == []
