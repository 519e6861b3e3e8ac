"""What the step finds day after day, and what it refuses, against looking at every pair."""

import json
import random
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import functions as F

from mira_spark.errors import InputError
from mira_spark.lake.creation import create_tables
from mira_spark.lake.runs import Outcome
from mira_spark.lake.tables import Lakehouse
from mira_spark.process import failpoints
from mira_spark.process.failpoints import DrillError
from mira_spark.settings.root import Settings, load
from mira_spark.steps import find_contamination
from tests import contamination_oracle as oracle
from tests.contaminated_texts import planted
from tests.scoring_lake import document

TABLES = ("documents", "contaminated", "contamination_checks")
Found = set[tuple[str, bytes, str, str, str, int, int, float]]


@pytest.fixture
def empty(lake: Lakehouse) -> Lakehouse:
    create_tables(lake, TABLES)
    return lake


def settings_of(lake: Lakehouse, folder: Path, *sets: Mapping[str, Any], **rule: Any) -> Settings:
    """With these sets, of JSON in the folder where they say nothing else."""
    named = [{"format": "json", "path": str(folder / f"{each['name']}.jsonl"),
              "columns": {"doc_id": "id"}} | each for each in sets]  # fmt: skip
    return load(None, [f"namespace={lake.namespace}", f"folder={folder}",
                       f"evaluation={json.dumps({'sets': named} | rule)}"])  # fmt: skip


def write_items(folder: Path, name: str, items: Mapping[str, str]) -> None:
    lines = [json.dumps({"id": item_id, "text": text}) for item_id, text in items.items()]
    (folder / f"{name}.jsonl").write_text("\n".join(lines))


def put(lake: Lakehouse, texts: Mapping[str, str]) -> None:
    """Documents, new or with another text."""
    rows = [document(doc_id, text) for doc_id, text in texts.items()]
    frame = lake.frame(rows, "documents")
    lake.upsert(frame, "documents", "doc_id")


def stored(lake: Lakehouse) -> Found:
    rows = lake.read("contaminated").collect()
    names = ("doc_id", "content_hash", "item_set", "item_column", "item_id", "position", "matches",
             "share")  # fmt: skip
    found = {tuple(bytes(v) if isinstance(v, bytearray) else v for v in (r[n] for n in names))
             for r in rows}  # fmt: skip
    assert len(found) == len(rows)
    return found  # type: ignore[return-value]  # of the columns' types


def expected(texts: Mapping[str, str], sets: Mapping[str, Mapping[str, str]], **rule: Any) -> Found:
    hashes = {doc_id: document(doc_id, text)["content_hash"] for doc_id, text in texts.items()}
    return {
        (h.doc_id, hashes[h.doc_id], name, "text", h.item_id, h.position, h.matches, h.share)
        for name, items in sets.items()
        for h in oracle.contaminated(texts, items, **rule)
    }  # type: ignore[misc]  # a row of documents has values of any kind


def inputs_and_run(lake: Lakehouse, settings: Settings, run_id: str = "r") -> Outcome:
    """As the pipeline does them."""
    find_contamination.inputs(lake, settings)
    return find_contamination.run(lake, settings, run_id)


class Days:
    """A corpus and two evaluation sets that change from day to day."""

    def __init__(self, lake: Lakehouse, folder: Path, documents: int, items: int) -> None:
        self.lake, self.folder = lake, folder
        self.draw = random.Random(3)
        made = planted(documents, items, seed=5)
        self.pool = list(made.documents.values())
        both = list(made.items.items())
        self.sets = {"one": dict(both[::2]), "two": dict(both[1::2])}
        self.texts: dict[str, str] = {}
        for name, of_set in self.sets.items():
            write_items(folder, name, of_set)
        self.change(60, 0, 0)

    def change(self, new: int, changed: int, removed: int) -> int:
        """How many documents are new or changed."""
        gone = self.draw.sample(sorted(self.texts), removed)
        frame = self.lake.read("documents").filter(F.col("doc_id").isin(gone))
        self.lake.remove(frame, "documents", "doc_id")
        self.texts = {d: text for d, text in self.texts.items() if d not in gone}
        others = self.draw.sample(sorted(self.texts), changed)
        others += [f"new {len(self.pool)} {n}" for n in range(new)]
        texts = {doc_id: self.pool.pop() for doc_id in others}
        put(self.lake, texts)
        self.texts |= texts
        return len(texts)

    def change_items(self, name: str) -> None:
        item_id = self.draw.choice(sorted(self.sets[name]))
        self.sets[name][item_id] = self.draw.choice(self.pool)[:400]
        write_items(self.folder, name, self.sets[name])


def live(empty: Lakehouse, folder: Path, days: int, documents: int, items: int) -> None:
    corpus = Days(empty, folder, documents, items)
    settings = settings_of(empty, folder, {"name": "one"}, {"name": "two"})
    outcome = inputs_and_run(empty, settings)
    assert stored(empty) == expected(corpus.texts, corpus.sets) != set()
    assert outcome.rows_in == len(corpus.texts)
    for day in range(1, days):
        seen = corpus.change(9, 6, 5)
        if day % 3 == 2:
            corpus.change_items("one")
            seen = len(corpus.texts)
        outcome = inputs_and_run(empty, settings, f"day {day}")
        assert stored(empty) == expected(corpus.texts, corpus.sets)
        assert outcome.rows_in == seen, "nothing is looked through again"
        older = empty.read("contaminated").filter(F.col("run_id") != f"day {day}")
        assert not older.isEmpty(), "what was found stays"


@pytest.mark.long
@pytest.mark.parametrize("days", [2, 10])
def test_days_of_changes_leave_what_every_pair_gives(
    empty: Lakehouse, tmp_path: Path, days: int
) -> None:
    live(empty, tmp_path, days, days * 60, days * 6)


TEN = " ".join(f"word{n}" for n in range(10))
LONG = " ".join(f"long{n}" for n in range(20))


def test_what_was_interrupted_or_is_the_same_is_not_done_twice(
    empty: Lakehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_items(tmp_path, "one", {"a": TEN, "b": LONG})
    texts = {"d1": f"x {TEN}", "d2": "nothing"}
    put(empty, texts)
    settings = settings_of(empty, tmp_path, {"name": "one"})
    monkeypatch.setenv(failpoints.VARIABLE, "contaminated.written=raise")
    with pytest.raises(DrillError):
        inputs_and_run(empty, settings)
    monkeypatch.delenv(failpoints.VARIABLE)
    assert find_contamination.missing(empty, settings)
    inputs_and_run(empty, settings)
    assert stored(empty) == expected(texts, {"one": {"a": TEN, "b": LONG}})
    assert find_contamination.missing(empty, settings) == []
    before = [empty.version(table) for table in TABLES]
    write_items(tmp_path, "one", {"b": LONG, "a": TEN})  # the same in another order
    outcome = inputs_and_run(empty, settings, "again")
    assert (outcome.rows_in, outcome.rows_out) == (0, 0)
    assert outcome.message == ("1 of 2 documents are contaminated, 0 looked through; one: 2 items")
    assert [empty.version(table) for table in TABLES] == before
    empty.delete("contaminated", F.lit(True))
    assert find_contamination.missing(empty, settings), "other hands took it"
    inputs_and_run(empty, settings)
    assert len(stored(empty)) == 1


def test_another_rule_and_another_set_are_looked_for_anew(empty: Lakehouse, tmp_path: Path) -> None:
    one, two = {"a": TEN, "b": LONG}, {"a": "of words"}
    write_items(tmp_path, "one", one)
    write_items(tmp_path, "two", two)
    texts = {"d1": " ".join(TEN.split()[:9]), "d2": " ".join(LONG.split()[3:12]), "d3": "of words!"}
    put(empty, texts)
    inputs_and_run(empty, settings_of(empty, tmp_path, {"name": "one"}))
    assert {row[0] for row in stored(empty)} == {"d1"}
    rule = {"words": 8, "short_words": 2, "share": "50%"}
    inputs_and_run(empty, settings_of(empty, tmp_path, {"name": "one"}, {"name": "two"}, **rule))
    numbers = {"words": 8, "short_words": 2, "share": Fraction(1, 2)}
    assert stored(empty) == expected(texts, {"one": one, "two": two}, **numbers)
    assert {row[0] for row in stored(empty)} == {"d1", "d2", "d3"}
    inputs_and_run(empty, settings_of(empty, tmp_path, {"name": "two"}, **rule))
    assert {row[2] for row in stored(empty)} == {"two"}, "the table is of the sets there are"


def test_columns_of_text_are_items_and_what_is_none_is_counted(
    empty: Lakehouse, tmp_path: Path
) -> None:
    rows = [{"q": TEN, "a": "no", "n": 1}, {"q": LONG, "a": TEN, "n": 2},
            {"q": None, "a": "", "n": 3},
            {"q": "left out " * 9, "a": LONG, "n": 0}]  # fmt: skip
    lines = [*map(json.dumps, rows), "no json"]
    (tmp_path / "qa.jsonl").write_text("\n".join(lines))
    put(empty, {"d1": TEN.upper(), "d2": f"# {LONG}"})
    settings = settings_of(
        empty, tmp_path, {"name": "qa", "filter": "n > 0", "columns": {"text": ["q", "a"]}}
    )
    outcome = inputs_and_run(empty, settings)
    assert outcome.message == (
        "2 of 2 documents are contaminated, 2 looked through; qa: 3 items, 1 of fewer than 5 words "
        "not looked for, 2 rows empty, 2 rows filtered, 2 rows unreadable"
    )
    assert {(row[0], row[3]) for row in stored(empty)} == {("d1", "q"), ("d1", "a"), ("d2", "q")}
    ids = {row[4] for row in stored(empty)}
    assert len(ids) == 2, "an id is of the text"


def refused(lake: Lakehouse, settings: Settings) -> str:
    with pytest.raises(InputError) as error:
        inputs_and_run(lake, settings)
    assert error.value.exit_code == 2
    return str(error.value)


WRONG: Sequence[tuple[str, Mapping[str, Any], str]] = [
    ("", {"path": "DIR/none.jsonl"},
     "evaluation.sets.one.path: DIR/none.jsonl cannot be read: there is no such file or folder"),
    ("", {"path": "DIR/*.csv", "format": "csv"},
     "evaluation.sets.one.path: DIR/*.csv cannot be read: there is no such file or folder"),
    ('{"id": 1}', {},
     "evaluation.sets.one.columns.text: the input has no column text; it has: id"),
    ('{"id": 1, "text": ["x"]}', {},
     "evaluation.sets.one.columns.text: text holds lists or objects, no text: name a path into "
     "it, as text.content, or another column; or, of conversations, name it as messages"),
    ('{"id": 1, "text": ""}', {},
     "evaluation.sets.one: has no item to look for: 1 rows empty"),
    ('{"id": 1, "text": "a b c d"}', {},
     "evaluation.sets.one: has no item to look for: 1 of fewer than 5 words not looked for"),
    ('{"id": 1, "text": "a"}', {"filter": "id > 1"},
     "evaluation.sets.one: has no item to look for: 1 rows filtered"),
    ('{"id": 1, "text": "a"}\n{"id": 1, "text": "b"}\n{"id": 1, "text": "a"}', {},
     "evaluation.sets.one.columns.doc_id: 1 ids are those of several items, e.g. '1': name "
     "another column, or null"),
    ("", {"format": "table", "path": "nowhere.items"}, "there is no table nowhere.items: "
     'mira sql "show tables in SCHEMA" lists what there is'),
]  # fmt: skip


def test_a_set_that_no_item_comes_from_is_one_line(empty: Lakehouse, tmp_path: Path) -> None:
    put(empty, {"d": "text"})
    for content, changes, problem in WRONG:
        (tmp_path / "one.jsonl").write_text(content)
        said = {key: str(value).replace("DIR", str(tmp_path)) for key, value in changes.items()}
        settings = settings_of(empty, tmp_path, {"name": "one"} | said)
        assert refused(empty, settings) == problem.replace("DIR", str(tmp_path))
    assert empty.version("contaminated") == empty.version("contamination_checks") == 0


def test_without_a_set_nothing_is_looked_for_and_without_a_document_it_waits(
    empty: Lakehouse, tmp_path: Path
) -> None:
    none = settings_of(empty, tmp_path)
    assert find_contamination.inputs(empty, none) == {}
    assert find_contamination.missing(empty, none) == []
    assert find_contamination.run(empty, none, "r").message == (
        "no evaluation sets (evaluation.sets): nothing is looked for"
    )
    write_items(tmp_path, "one", {"a": TEN})
    assert refused(empty, settings_of(empty, tmp_path, {"name": "one"})) == (
        f"{empty.namespace}.documents is empty: run mira ingest-corpus first"
    )
