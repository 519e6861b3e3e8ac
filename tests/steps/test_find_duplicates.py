"""Near-duplicates are those of brute force, found anew for what changed alone."""

import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from pyspark.sql import SparkSession, functions as F

from mira_spark import pipeline
from mira_spark.corpus import clusters
from mira_spark.corpus.near_batches import MEMBERS
from mira_spark.corpus.shingles import BANDS
from mira_spark.errors import InputError
from mira_spark.lake import runs
from mira_spark.lake.creation import create_tables
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.failpoints import VARIABLE, DrillError
from mira_spark.settings.duplicates import DuplicatesSettings
from mira_spark.settings.root import Settings, load
from mira_spark.steps import find_duplicates
from tests import near_oracle, scoring_lake
from tests.near_oracle import Member

LEAST = DuplicatesSettings().similarity
TABLES = ("documents", *find_duplicates.WRITES, "runs")


@pytest.fixture
def empty(lake: Lakehouse) -> Lakehouse:
    create_tables(lake, TABLES)
    return lake


def settings(lake: Lakehouse, folder: Path, **changes: object) -> Settings:
    chosen = {"namespace": lake.namespace, "folder": folder} | changes
    return load(None, [f"{key}={value}" for key, value in chosen.items()])


def write(lake: Lakehouse, documents: Mapping[str, str], files: int = 2) -> None:
    """Make these the documents, doc_id to text, in so many files and in another order."""
    rows = [scoring_lake.document(doc_id, text) for doc_id, text in documents.items()]
    random.Random(files).shuffle(rows)
    frame = lake.frame(rows, "documents").repartition(files)
    lake.replace_all(frame, "documents", "r")


def found(lake: Lakehouse) -> dict[str, Member]:
    rows = lake.read("near_duplicates").collect()
    assert len({r["doc_id"] for r in rows}) == len(rows)
    return {r["doc_id"]: Member(r["representative"], r["similarity"]) for r in rows}


def check(documents: Mapping[str, str], members: Mapping[str, Member], least: float) -> None:
    """Each is truly near what stands for it, which is no member itself; nearly none is missed."""
    near = near_oracle.near_pairs(documents.values(), least)
    for doc_id, (representative, similarity) in members.items():
        texts = documents[doc_id], documents[representative]
        assert similarity == near_oracle.similarity(*texts) >= least
        assert representative not in members, "a chain"
    wanted = near_oracle.members(documents, near)
    missed = wanted.keys() - members.keys()
    assert len(missed) <= 0.02 * len(wanted), sorted(missed)


def test_they_are_those_of_brute_force_on_any_partitioning(
    empty: Lakehouse, tmp_path: Path, spark: SparkSession
) -> None:
    documents = near_oracle.planted(600, seed=3)
    write(empty, documents, files=1)
    outcome = find_duplicates.run(empty, settings(empty, tmp_path), "one")
    members = found(empty)
    check(documents, members, LEAST)
    assert len(members) > 100
    assert any(member.similarity < 1 for member in members.values())
    groups = len({member.representative for member in members.values()})
    texts, pairs = len(set(documents.values())), empty.read("near_pairs").count()
    assert outcome.message == (
        f"{len(members)} of 600 documents are near another, in {groups} clusters; {texts} texts "
        f"read, {pairs:,} pairs compared"
    )
    before = spark.conf.get("spark.sql.shuffle.partitions")
    try:
        for table in find_duplicates.WRITES:
            empty.delete(table, F.lit(True))
        spark.conf.set("spark.sql.shuffle.partitions", "5")
        write(empty, documents, files=7)
        find_duplicates.run(empty, settings(empty, tmp_path), "two")
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", before)
    assert found(empty) == members


@pytest.mark.long
@pytest.mark.parametrize(("seed", "least"), [(11, LEAST), (12, 0.8), (13, 0.5), (14, 0.95)])
def test_3_000_documents_are_clustered_as_by_brute_force(
    empty: Lakehouse, tmp_path: Path, seed: int, least: float
) -> None:
    documents = near_oracle.planted(3_000, seed)
    write(empty, documents)
    chosen = settings(empty, tmp_path, **{"duplicates.similarity": least})
    find_duplicates.run(empty, chosen, "one")
    check(documents, found(empty), least)


def days(number: int) -> Iterator[dict[str, str]]:
    """What is there on each of so many days: new documents, changed ones, fewer, and the first
    again."""
    draw = random.Random(4)
    everything = near_oracle.planted(60 * number, seed=5)
    names = sorted(everything)
    documents = {name: everything[name] for name in names[:100]}
    for day in range(number):
        yield documents
        there = sorted(documents)
        documents = dict(documents)
        for doc_id in draw.sample(there, 15):
            del documents[doc_id]
        for doc_id in draw.sample(sorted(documents), 15):
            documents[doc_id] = everything[draw.choice(names)]
        documents |= {name: everything[name] for name in draw.sample(names, 20 + day)}


@pytest.mark.long
@pytest.mark.parametrize("number", [2, 10])
def test_days_of_changes_leave_what_a_first_run_finds(
    empty: Lakehouse, tmp_path: Path, number: int
) -> None:
    chosen = settings(empty, tmp_path)
    there: set[str] = set()
    for documents in days(number):
        write(empty, documents)
        outcome = find_duplicates.run(empty, chosen, "day")
        new = set(documents.values()) - there
        assert f"; {len(new):,} texts read, " in outcome.message, "a text is read once"
        there = set(documents.values())
    members = found(empty)
    hashes = {bytes(r[0]) for r in empty.read("text_bands").select("content_hash").collect()}
    assert hashes == {near_oracle.content_hash(text) for text in there}
    pairs = empty.read("near_pairs").select("earlier", "later").collect()
    assert {bytes(value) for pair in pairs for value in pair} <= hashes
    for table in find_duplicates.WRITES:
        empty.delete(table, F.lit(True))
    find_duplicates.run(empty, chosen, "anew")
    assert found(empty) == members
    check(documents, members, LEAST)


def test_a_run_that_ends_early_is_made_whole_by_the_next(
    empty: Lakehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = list(days(2))
    chosen = settings(empty, tmp_path)
    write(empty, first)
    find_duplicates.run(empty, chosen, "first")
    write(empty, second)
    for place in ("text_bands.appended", "near_pairs.appended"):
        monkeypatch.setenv(VARIABLE, f"{place}=raise")
        with pytest.raises(DrillError):
            find_duplicates.run(empty, chosen, "broken")
    monkeypatch.delenv(VARIABLE)
    outcome = find_duplicates.run(empty, chosen, "second")
    assert outcome.message.endswith("; 0 texts read, 0 pairs compared")
    check(second, found(empty), LEAST)


def test_equal_texts_are_read_and_compared_as_one(empty: Lakehouse, tmp_path: Path) -> None:
    words = " ".join(near_oracle.VOCABULARY[:50])
    near = f"{words} and a few words more"
    documents = {f"same {n:03}": words for n in range(200)} | {"near": near, "other": "far"}
    write(empty, documents)
    outcome = find_duplicates.run(empty, settings(empty, tmp_path), "one")
    assert outcome.message == (
        "200 of 202 documents are near another, in 1 clusters; 3 texts read, 1 pairs compared"
    )
    members = found(empty)
    similarity = near_oracle.similarity(words, near)
    if near_oracle.content_hash(words) < near_oracle.content_hash(near):
        assert members.pop("near") == Member("same 000", similarity)
        assert set(members.values()) == {Member("same 000", 1.0)}
    else:
        assert set(members.values()) == {Member("near", similarity)}


def test_a_band_of_many_texts_costs_no_more_than_a_few_pairs_of_each(
    empty: Lakehouse, tmp_path: Path
) -> None:
    """Texts of which most is the same, and which are not near."""
    same = " ".join(near_oracle.VOCABULARY[:60])
    tails = {n: " ".join(f"own{n}x{k}" for k in range(45)) for n in range(300)}
    write(empty, {f"doc {n}": f"{same} {tail}" for n, tail in tails.items()})
    find_duplicates.run(empty, settings(empty, tmp_path), "one")
    assert 0 < empty.read("near_pairs").count() <= 300 * MEMBERS * BANDS // 4 < 300 * 299 // 2
    assert found(empty) == {}


def test_rows_that_others_removed_are_missed(empty: Lakehouse, tmp_path: Path) -> None:
    chosen = settings(empty, tmp_path)
    with pytest.raises(InputError, match=r"documents is empty: run mira ingest-corpus first$"):
        find_duplicates.inputs(empty, chosen)
    write(empty, {"a": "the same", "b": "the same"})
    current = pipeline.step_inputs(empty, chosen, "find_duplicates")
    with runs.record_run(empty, current, "r") as outcomes:
        outcomes.append(find_duplicates.run(empty, chosen, "r"))
    assert find_duplicates.missing(empty, chosen) == []
    empty.delete("near_duplicates", F.lit(True))
    assert find_duplicates.missing(empty, chosen) == ["near_duplicates is not as it left it"]


@pytest.mark.long
def test_with_other_settings_all_is_read_and_compared_anew(
    empty: Lakehouse, tmp_path: Path
) -> None:
    documents = near_oracle.planted(120, seed=6)
    write(empty, documents)
    for least, words in ((0.8, 8), (0.6, 8), (0.6, 5)):
        changes = {"duplicates.similarity": least, "duplicates.words": words}
        chosen = settings(empty, tmp_path, **changes)
        outcome = find_duplicates.run(empty, chosen, "run")
        assert f"; {len(set(documents.values()))} texts read, " in outcome.message
        for doc_id, member in found(empty).items():
            texts = documents[doc_id], documents[member.representative]
            assert member.similarity == near_oracle.similarity(*texts, words) >= least
        assert empty.read("near_pairs").select("hashed_by").distinct().count() == 1


@pytest.mark.parametrize("seed", range(3))
def test_clusters_are_the_same_decided_by_spark_or_by_the_driver(
    spark: SparkSession, seed: int
) -> None:
    draw = random.Random(seed)
    texts = sorted(draw.randbytes(16) for _ in range(60))
    pairs = {tuple(sorted(draw.sample(texts, 2))) for _ in range(90)}
    rows = [(*pair, draw.choice((0.8, 0.9, 0.95))) for pair in pairs]
    near = spark.createDataFrame(rows, "earlier binary, later binary, similarity double")
    decided = [
        sorted(tuple(row) for row in clusters.memberships(near, few).collect()) for few in (100, 0)
    ]
    assert decided[0] == decided[1]
    neighbours = {text: {b if a == text else a: s for a, b, s in rows if text in (a, b)}
                  for text in texts}  # fmt: skip
    standing: set[bytes] = set()
    for text in texts:
        if not standing & neighbours[text].keys():
            standing.add(text)
    wanted = {}
    for text in set(texts) - standing:
        minus, best = min((-s, t) for t, s in neighbours[text].items() if t in standing)
        wanted[text] = (best, -minus)
    assert {bytes(row[0]): (bytes(row[1]), row[2]) for row in decided[0]} == wanted
