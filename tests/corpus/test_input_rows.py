"""What comes in of the files that people have: every case as expected, or refused in one line."""

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, Row, SparkSession

from mira_spark.corpus.documents import in_our_columns
from mira_spark.corpus.input_rows import NamedInput, read_input
from mira_spark.errors import InputError
from mira_spark.lake.input_files import list_files
from mira_spark.settings.corpus import InputSettings
from tests.input_cases import CASES as OTHER_CASES, Case, mapping
from tests.message_cases import MESSAGE_CASES

CASES = OTHER_CASES | MESSAGE_CASES
TOGETHER = 12
"""Cases that one query reads: with all in one, planning it takes most of the time."""
COMPUTED = hashlib.sha256(b"web\0x").hexdigest()[:32]


@dataclass
class Result:
    """What became of a case: its rows, or why it was refused."""

    path: Path
    rows: list[Row] = field(default_factory=list)
    count: int = 0
    files: int = 0
    files_with_rows: int = 0
    left_out: dict[str, str] = field(default_factory=dict)
    refused: str | None = None


def laid_out(folder: Path, case: Case) -> Path:
    """The path of a case's input, its files written."""
    for name, content in case.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder / case.path


@pytest.fixture(scope="module")
def results(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """All cases, TOGETHER read as the inputs of one corpus."""
    home = tmp_path_factory.mktemp("cases")
    read: dict[str, Result] = {}
    frames: list[DataFrame] = []
    for name, case in CASES.items():
        path = laid_out(home / name, case)
        settings = {"name": name, "format": case.format, "path": str(path)} | mapping()
        named = InputSettings.model_validate(settings | dict(case.settings))
        result = read[name] = Result(path)
        try:
            rows = read_input(spark, NamedInput(named, f"corpus.inputs.{name}"))
        except InputError as error:
            result.refused = str(error)
            continue
        frames.append(rows.rows)
        result.count, result.files = rows.count, rows.files
        result.files_with_rows = rows.files_with_rows()
        result.left_out = {Path(p).name: reason for p, reason in rows.left_out.items()}
    by_name = defaultdict(list)
    for first in range(0, len(frames), TOGETHER):
        some = reduce(DataFrame.unionByName, frames[first : first + TOGETHER])
        for row in in_our_columns(some, 10_000).collect():
            by_name[row["input"]].append(row)
    for name, rows_of_case in by_name.items():
        read[name].rows = rows_of_case
    return read


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.refused])
def test_every_row_is_a_document_or_says_why_not(results: dict[str, Result], name: str) -> None:
    case, result = CASES[name], results[name]
    assert result.refused is None
    documents = {r["doc_id"]: (r["source"], r["text"]) for r in result.rows if not r["reason"]}
    assert documents == {
        COMPUTED if key == "computed" else key: text if isinstance(text, tuple) else ("web", text)
        for key, text in case.documents.items()
    }
    reasons = [r["reason"] for r in result.rows if r["reason"]]
    assert reasons.count("filtered") == case.filtered
    rejected = [
        (r["reason"], r["line"]) for r in result.rows if r["reason"] not in (None, "filtered")
    ]
    assert sorted(rejected, key=str) == sorted(case.rejected, key=str)
    assert len(result.rows) == result.count == len(documents) + len(reasons)
    assert result.left_out == case.left_out
    assert result.files_with_rows == len({r["read_from"] for r in result.rows})
    if not case.path:
        assert result.files + len(result.left_out) == len(case.files)
    for doc_id, metadata in case.metadata.items():
        found = {r["doc_id"]: r["metadata"] for r in result.rows if not r["reason"]}
        assert found[doc_id] == metadata


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.refused])
def test_what_cannot_be_read_is_refused_in_a_line(results: dict[str, Result], name: str) -> None:
    folder = results[name].path
    expected = (CASES[name].refused or "").replace("NAME", name).replace("PATH", str(folder))
    assert (results[name].refused or "").startswith(expected)
    assert (results[name].refused or "").count("\n") == expected.count("\n")


def test_what_is_no_boolean_is_not_sendable_and_said(results: dict[str, Result]) -> None:
    rows = {int(r["doc_id"]): r for r in results["sendable"].rows}
    assert [i for i in range(10) if rows[i]["sendable"]] == [0, 1, 4, 7, 8]
    assert [i for i in range(10) if rows[i]["unclear"]] == [3, 9]


def test_a_row_that_cannot_be_read_says_where_it_stands(results: dict[str, Result]) -> None:
    (row,) = [r for r in results["concatenated"].rows if r["reason"]]
    assert (row["file"], row["line"]) == (f"{results['concatenated'].path}/a.jsonl", 2)
    assert row["beginning"] == '{"id": "c", "source": "web", "text": "text c"}'
    (row,) = [r for r in results["csv_width"].rows if r["line"] == 3]
    assert row["beginning"] == "b,web"


def test_a_mended_text_is_marked(results: dict[str, Result]) -> None:
    names = ("odd_chars", "binary_beside", "messages_half_pair")
    rows = [r for name in names for r in results[name].rows]
    assert {r["doc_id"] for r in rows if r["repaired"]} == {"lone", "bad", "d", "half", "latin"}


def test_the_beginning_of_what_is_no_conversation_is_shown(results: dict[str, Result]) -> None:
    rows = {r["doc_id"]: r for r in results["messages_bad"].rows}
    assert rows["object"]["beginning"] == '{"a":1}'
    assert rows["object"]["file"] == f"{results['messages_bad'].path}/a.jsonl"


def test_an_empty_folder_is_said_to_be_empty(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^corpus\.path: \S+ cannot be read: it is empty$"):
        list_files(spark, str(tmp_path), "json", "corpus.path")
