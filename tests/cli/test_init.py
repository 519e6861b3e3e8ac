"""`mira init`: the settings that it writes read the corpus that it saw."""

import json
from pathlib import Path

import pytest

from mira_spark.cli import main
from mira_spark.errors import ConfigError
from mira_spark.process.progress import console
from mira_spark.settings.root import Settings, load

TEXT = "A text of some words, which is longer than what a name has, by far."


def init(*arguments: str) -> str:
    with console.capture() as capture:
        main.app(["init", *arguments], standalone_mode=False)
    return capture.get()


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    rows = [{"id": n, "from: where": "web", "body": TEXT, "note": TEXT + TEXT} for n in range(3)]
    path = tmp_path / "a corpus: #1.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def written(corpus: Path, *options: str) -> Settings:
    out = corpus.parent / "mira.yaml"
    said = init(str(corpus), "--out", str(out), *options)
    assert f"mira run --config {out}" in " ".join(said.split())
    return load(str(out))


def test_the_likeliest_columns_are_taken_and_rows_without_a_source_have_the_file_s_name(
    corpus: Path,
) -> None:
    chosen = written(corpus).corpus
    assert (chosen.input, chosen.path, chosen.source) == ("json", str(corpus), "a_corpus_1")
    assert (chosen.columns.doc_id, chosen.columns.text, chosen.columns.source) == (
        "id", "body", None,
    )  # fmt: skip


def test_what_is_said_counts(corpus: Path) -> None:
    chosen = written(corpus, "--text", "note", "--source", "from: where", "--id", "id").corpus
    assert (chosen.columns.text, chosen.columns.source) == ("note", "from: where")
    assert chosen.source is None


def test_a_source_that_is_no_column_is_that_of_all_rows(corpus: Path) -> None:
    chosen = written(corpus, "--source", "books").corpus
    assert (chosen.source, chosen.columns.source) == ("books", None)


def test_a_file_that_is_there_is_left_alone(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "mira.yaml"
    out.write_text("mine")
    with pytest.raises(ConfigError, match=r"mira\.yaml is there already"):
        init(str(corpus), "--out", str(out))
    assert out.read_text() == "mine"


def test_a_column_that_is_not_there_and_a_corpus_without_a_text_are_refused(
    corpus: Path, tmp_path: Path
) -> None:
    out = tmp_path / "mira.yaml"
    with pytest.raises(ConfigError, match="there is no column nope; there are body, from: where"):
        init(str(corpus), "--out", str(out), "--text", "nope")
    corpus.write_text('{"n": 1}\n')
    with pytest.raises(ConfigError, match="no column looks like a text or a conversation"):
        init(str(corpus), "--out", str(out))
    assert not out.exists()
