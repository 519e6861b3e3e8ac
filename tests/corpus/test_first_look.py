"""A first look at files: what they are and which column is what, read without Spark."""

import gzip
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mira_spark.corpus.first_look import ROWS_READ, guesses, look
from mira_spark.errors import InputError

TEXT = "A text of some words, which is longer than what a name has, by far."
TALK = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}]


def json_lines(path: Path, *rows: Mapping[str, Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def as_json(folder: Path) -> None:
    json_lines(folder / "a.jsonl", {"id": 1, "text": TEXT}, {"id": 2, "text": TEXT})


def as_an_array(folder: Path) -> None:
    (folder / "a").write_text(json.dumps([{"id": 1, "text": TEXT}, {"id": 2, "text": TEXT}]))


def as_gzip(folder: Path) -> None:
    (folder / "a.json.gz").write_bytes(gzip.compress(json.dumps({"id": 1, "text": TEXT}).encode()))


def as_csv(folder: Path) -> None:
    (folder / "a.csv").write_text(f'id,text\n1,"{TEXT}"\n2,"{TEXT}"\n')


def as_parquet(folder: Path) -> None:
    pq.write_table(pa.table({"id": [1, 2], "text": [TEXT, TEXT]}), folder / "a.parquet")


def as_delta(folder: Path) -> None:
    as_parquet(folder)
    (folder / "_delta_log").mkdir()
    (folder / "_delta_log" / "00000000000000000000.json").write_text("{}")


@pytest.mark.parametrize(
    ("laid", "kind"),
    [(as_json, "json"), (as_an_array, "json"), (as_gzip, "json"), (as_csv, "csv"),
     (as_parquet, "parquet"), (as_delta, "delta")],
)  # fmt: skip
def test_what_files_are_is_seen_and_what_their_columns_hold(
    laid: Callable[[Path], None], kind: str, tmp_path: Path
) -> None:
    laid(tmp_path)
    (tmp_path / "_SUCCESS").write_text("")
    (tmp_path / ".hidden.json").write_text("no JSON")
    seen = look(str(tmp_path))
    assert (seen.format, seen.files) == (kind, 1)
    assert guesses(seen) == {"doc_id": "id", "text": "text"}
    column = seen.column("text")
    assert column is not None
    assert (column.filled, column.mean_characters, column.example) == (seen.rows, len(TEXT), TEXT)


def test_a_text_file_is_documents_of_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(f"{TEXT}\n{TEXT}\n")
    seen = look(str(tmp_path / "*.txt"))
    assert (seen.format, seen.rows, guesses(seen)) == ("text", 2, {"text": "text"})


def test_conversations_stand_in_the_place_of_a_text_in_whatever_column(tmp_path: Path) -> None:
    for talk in (TALK, json.dumps(TALK)):
        path = json_lines(tmp_path / "a.jsonl", {"log": talk, "text": TEXT})
        assert guesses(look(path))["messages"] == "log"
        assert "text" not in guesses(look(path))
    path = json_lines(tmp_path / "a.jsonl", {"tags": ["a", "b"], "text": TEXT})
    assert guesses(look(path)) == {"text": "text"}


def test_what_is_called_otherwise_or_lies_inside_is_found(tmp_path: Path) -> None:
    row = {"Body": TEXT, "meta": {"dataset": "web", "licence": "MIT", "host": "h"}, "uuid": "x"}
    other = row | {"uuid": "y"}
    assert guesses(look(json_lines(tmp_path / "a.jsonl", row, other))) == {
        "text": "Body", "doc_id": "uuid", "source": "meta.dataset", "domain": "meta.host",
        "license": "meta.licence",
    }  # fmt: skip
    path = json_lines(tmp_path / "a.jsonl", {"short": "a", "said": TEXT, "id": 1}, {"id": 1})
    assert guesses(look(path)) == {"text": "said"}, "an id that comes twice is none"


def test_folders_may_name_the_source(tmp_path: Path) -> None:
    for source in ("a", "b"):
        (tmp_path / f"source={source}").mkdir()
        json_lines(tmp_path / f"source={source}" / "a.jsonl", {"text": TEXT})
    seen = look(str(tmp_path))
    assert (seen.files, seen.partitions) == (2, ("source",))
    assert guesses(seen)["source"] == "source"


def test_only_the_beginning_is_read(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "a.jsonl", *({"text": TEXT} for _ in range(ROWS_READ + 9)))
    assert look(path).rows == ROWS_READ


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.jsonl", b"", "there are no files; name a file, or a folder of files"),
        ("a.jsonl", b"no JSON\n", "have no rows that can be read as json"),
        ("a.jsonl", b"PAR1 and more", "cannot be read as json: holds Parquet, not json"),
        ("a.json.gz", b"\x1f\x8b\x08 cut", "cannot be read as json: "),
        ("a.parquet", b"no Parquet", "cannot be read as parquet: "),
    ],
)
def test_what_cannot_be_read_is_said(
    name: str, content: bytes, problem: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=problem):
        look(str(tmp_path / name))
