"""What comes in, changes, is revoked and withdrawn, from files as users have them."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from mira_spark.errors import InputError
from mira_spark.lake.creation import create_tables
from mira_spark.lake.tables import Lakehouse
from mira_spark.settings.root import Settings, load
from mira_spark.steps import ingest_corpus
from tests.corpus.test_tokens import bytewise

COLUMNS = {"doc_id": "id", "license": "law", "domain": "host", "sendable": "ok"}


def chosen(lake: Lakehouse, folder: Path, **changes: object) -> Settings:
    corpus = {"input": "json", "path": str(folder / "in"), "columns": COLUMNS} | changes
    return load(
        None,
        [f"namespace={lake.namespace}", f"folder={folder}", f"corpus={json.dumps(corpus)}"],
    )


def write(folder: Path, rows: Sequence[Mapping[str, object]], name: str = "rows.json") -> Path:
    (folder / "in").mkdir(exist_ok=True)
    path = folder / "in" / name
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def document(place: int, **changes: object) -> dict[str, object]:
    row = {"id": f"d{place}", "source": "s", "text": f"text {place}", "law": "MIT", "host": "h",
           "ok": True, "note": "n"}  # fmt: skip
    return row | changes


@pytest.fixture
def empty(lake: Lakehouse) -> Lakehouse:
    create_tables(lake, ("documents", "rejected_documents"))
    return lake


def reasons(lake: Lakehouse) -> Counter[str]:
    return Counter(r["reason"] for r in lake.read("rejected_documents").collect())


def test_whatever_a_known_document_is_given_is_taken_in(empty: Lakehouse, tmp_path: Path) -> None:
    settings = chosen(empty, tmp_path)
    write(tmp_path, [document(i) for i in range(9)])
    ingest_corpus.run(empty, settings, "first")
    before = {r["doc_id"]: r for r in empty.read("documents").collect()}
    version = empty.version("documents")
    changed = [document(0, ok=False), document(1, law="GPL"), document(2, host=None),
               document(3, note="other"), document(4, ok="perhaps"), document(5, text="", ok=False),
               *map(document, range(6, 9))]  # fmt: skip
    write(tmp_path, changed)
    outcome = ingest_corpus.run(empty, settings, "second")
    assert outcome.message == (
        "0 new and 5 changed documents, 9 in all; 1 rejected, see rejected_documents; 1 not "
        "sendable: corpus.columns.sendable holds no boolean there; 1 no longer in the input: kept "
        "(corpus.removed: keep)"
    )
    now = {r["doc_id"]: r for r in empty.read("documents").collect()}
    assert [i for i in range(9) if not now[f"d{i}"]["sendable"]] == [0, 4, 5]
    assert (now["d1"]["license"], now["d2"]["domain"]) == ("GPL", None)
    assert now["d3"]["metadata"] == {"note": "other"}
    assert all(now[f"d{i}"] == before[f"d{i}"] for i in range(6, 9))
    kept = ("content_hash", "text", "n_tokens", "bucket", "source")
    assert all(now[d][c] == before[d][c] for d in now for c in kept)
    assert empty.version("documents") == version + 2, "one commit, and one for the empty text"
    without = chosen(empty, tmp_path, columns={"doc_id": "id"})
    ingest_corpus.run(empty, without, "third")
    after = {r["doc_id"]: r for r in empty.read("documents").collect()}
    given = ("license", "domain", "sendable")
    assert all(after[d][c] == now[d][c] for d in now for c in given), "what is not given stays"


def test_what_the_input_no_longer_holds_is_withdrawn(empty: Lakehouse, tmp_path: Path) -> None:
    settings = chosen(empty, tmp_path, removed="withdraw")
    write(tmp_path, [document(i) for i in range(4)])
    ingest_corpus.run(empty, settings, "first")
    write(tmp_path, [document(0), document(1, text=" ")])
    outcome = ingest_corpus.run(empty, settings, "second")
    assert outcome.message.endswith("; 3 no longer in the input: withdrawn")
    assert [r["doc_id"] for r in empty.read("documents").collect()] == ["d0"]
    gone = empty.read("rejected_documents").filter("reason = 'withdrawn'").orderBy("doc_id")
    assert [(r["doc_id"], r["source"], r["beginning"]) for r in gone.collect()] == [
        ("d1", "s", None), ("d2", "s", None), ("d3", "s", None),
    ]  # fmt: skip
    write(tmp_path, [document(0), document(2)])
    outcome = ingest_corpus.run(empty, settings, "third")
    assert outcome.message == "1 new and 0 changed documents, 2 in all"
    version = empty.version("documents")
    write(tmp_path, [document(0, text="")])
    with pytest.raises(InputError, match="the corpus is empty: the input holds no document"):
        ingest_corpus.run(empty, settings, "fourth")
    assert empty.version("documents") == version, "an input without a document withdraws nothing"


def test_no_line_of_json_is_lost(empty: Lakehouse, tmp_path: Path) -> None:
    """Texts over 20 million characters, a line cut short, and what is no JSON at all."""
    large = document(0, text="0123456789" * 2_100_000)
    broken = write(tmp_path, [large, document(1), document(2)])
    broken.write_text(broken.read_text()[:-9] + "\nno json\n")
    outcome = ingest_corpus.run(empty, chosen(empty, tmp_path), "first")
    assert outcome.message == (
        "2 new and 0 changed documents, 2 in all; 2 rejected, see rejected_documents"
    )
    sizes = {r["doc_id"]: r["n_bytes"] for r in empty.read("documents").collect()}
    assert sizes == {"d0": 21_000_000, "d1": 6}
    rejected = empty.read("rejected_documents").orderBy("beginning").collect()
    assert [(r["reason"], r["beginning"][:9]) for r in rejected] == [
        ("unreadable", "no json"), ("unreadable", '{"id": "d'),
    ]  # fmt: skip
    assert {urlsplit(r["file"]).path for r in rejected} == {str(broken)}
    limited = chosen(empty, tmp_path, max_document_bytes=20_000_000)
    ingest_corpus.run(empty, limited, "second")
    assert reasons(empty) == {"unreadable": 2, "too_large": 1}


def test_a_text_that_cannot_be_counted_is_rejected_alone(empty: Lakehouse, tmp_path: Path) -> None:
    """The pattern backtracks without end on a run of a; the library panics."""
    bytewise(r"(?:a|aa)+$|[^a]+").save(str(tmp_path / "tokenizer.json"))
    settings = chosen(empty, tmp_path, tokenizer=str(tmp_path / "tokenizer.json"))
    write(tmp_path, [document(i) for i in range(3)])
    ingest_corpus.run(empty, settings, "first")
    hostile = "a" * 40 + "!"
    changed = [document(0, ok=False), document(1, text=hostile), document(2, text=" " * 3_000_000),
               document(3, text=hostile), document(4, text="<|end|>")]  # fmt: skip
    write(tmp_path, changed)
    outcome = ingest_corpus.run(empty, settings, "second")
    assert outcome.message.startswith("1 new and 1 changed documents, 4 in all; 3 rejected")
    counts = {r["doc_id"]: r["n_tokens"] for r in empty.read("documents").collect()}
    assert counts == {"d0": 6, "d1": 6, "d2": 6, "d4": 7}
    assert reasons(empty) == {"uncountable": 2, "empty": 1}
