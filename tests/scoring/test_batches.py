"""What executors do: one row out for one row in, and a bad one harms no other."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from mira_spark.errors import ArtefactError
from mira_spark.scoring import batches as scoring
from mira_spark.scoring.batches import _OUTPUT, NO_SLOT, rate, rate_by_group, score
from mira_spark.scoring.engine import _NOT_FINITE, Engine
from mira_spark.scoring.scorer import Scorer
from mira_spark.students import artefact, calibration, protocol
from mira_spark.students.artefact import Manifest
from mira_spark.students.calibration import IDENTITY, Curve
from mira_spark.students.hashing import SHAPE
from mira_spark.students.linear import LinearStudent
from mira_spark.students.paper_rule import paper_quality
from mira_spark.students.protocol import Batch
from tests.quality_tables import a_table

SLOTS = 3
TEXTS = ["def f():\n    return 1\n", "some prose, quoted.", "", "naïve 東京", "x = 1; y = 2"] * 2


@dataclass(frozen=True)
class LengthStudent:
    """Scores by a text's length; two rows a batch, the last texts first. A text may break it."""

    slots: int = SLOTS
    kind: str = "linear"
    window: int = 1

    def shorter(self, batch: Batch) -> None:
        """It needs no memory."""

    def encode(self, texts: pa.Array) -> Iterator[Batch]:
        values = texts.to_pylist()
        for first in reversed(range(0, len(values), 2)):
            rows = np.arange(first, min(first + 2, len(values)), dtype=np.int64)
            if any("unreadable" in values[row] for row in rows):
                raise ValueError("cannot be read")
            lengths = np.array([len(values[row]) for row in rows], np.float32)
            special = {"nan": np.nan, "inf": np.inf, "overflow": -np.inf}
            for i, row in enumerate(rows):
                lengths[i] = special.get(values[row], lengths[i])
            yield Batch(rows, {"lengths": lengths})

    def forward(self, batch: Batch) -> protocol.Scores:
        lengths = batch.inputs["lengths"]
        if (lengths == len("too hard for it")).any():
            raise RuntimeError("x" * 500)
        return (lengths[:, None] / np.array([10, 5, 2], np.float32)).astype(np.float32)


def a_manifest(**changes: object) -> Manifest:
    """Slot 0 and 2 count for `code`, none for `noise`, all for the others."""
    fields: dict[str, object] = {
        "rubric_id": "abc",
        "source_group": "group_a",
        "anchors": ("a", "b", "c"),
        "calibration": (IDENTITY, Curve(x=(0.0, 5.0), y=(1000, 9000)), IDENTITY),
        "quality": a_table(
            (True,) * SLOTS, {"code": (True, False, True), "noise": (False,) * SLOTS}
        ),
        "labels_version": 7,
        "package_version": "0.1.0",
    }
    return Manifest.model_validate(fields | changes)


def linear(seed: int) -> LinearStudent:
    """Small random weights around the middle of the scale."""
    random = np.random.default_rng(seed)
    shapes = ((1 << 10, 16), (len(SHAPE), 16), (len(SHAPE),), (len(SHAPE),), (16,))
    table, weights, centre, scale, bias = (
        random.random(shape, np.float32) * 0.4 - 0.2 for shape in shapes
    )
    return LinearStudent(SLOTS, table, weights, centre, np.abs(scale) + 1, bias + 5)


def written(folder: Path, student: LinearStudent, manifest: Manifest) -> Scorer:
    return Scorer("mira_group_a/1", str(folder), artefact.write(folder, student, manifest))


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    return written(tmp_path_factory.mktemp("student") / "a", linear(1), a_manifest())


def documents(texts: list[str], source: str = "web", **columns: pa.Array) -> pa.RecordBatch:
    """INPUT columns, not in their order, and one more."""
    n = len(texts)
    found = {
        "text": pa.array(texts, pa.string()),
        "extra": pa.array(range(n)),
        "doc_id": pa.array([f"doc {i}" for i in range(n)], pa.string()),
        "source": pa.array([source] * n, pa.string()),
        "source_group": pa.array(["group_a"] * n, pa.string()),
        "bucket": pa.array(range(n), pa.int16()),
        "content_hash": pa.array([i.to_bytes(16) for i in range(n)], pa.binary()),
        "n_tokens": pa.array(range(100, 100 + n), pa.int64()),
    }
    return pa.RecordBatch.from_pydict(found | columns)


def scored(scorer: Scorer, *batches: pa.RecordBatch) -> list[pa.RecordBatch]:
    return list(score(scorer, 60)(iter(batches)))


def strings(*values: str | None) -> pa.Array:
    return pa.array(values, pa.string())


def test_every_row_is_scored_and_keeps_what_names_it(scorer: Scorer) -> None:
    batch = documents(TEXTS)
    (out,) = scored(scorer, batch)
    for name in ("doc_id", "source", "source_group", "bucket", "content_hash", "n_tokens"):
        assert out.column(name).equals(batch.column(name)), name
    raw = calibration.quantised(protocol.score(linear(1), batch["text"]))
    assert out.column("raw_scores").to_pylist() == raw.tolist()
    thousandths = raw.astype(np.float32) / np.float32(1000)
    expected = calibration.apply(a_manifest().calibration, thousandths)
    assert out.column("dimension_scores").to_pylist() == expected.tolist()
    quality = paper_quality(expected, np.ones(SLOTS, np.bool_))
    assert out.column("quality").to_pylist() == quality.tolist()
    assert set(out.column("status").to_pylist()) == {"scored"}
    assert out.column("reason").null_count == len(TEXTS)
    assert len(set(map(tuple, expected.tolist()))) == 5


def test_the_columns_are_those_of_the_table_whatever_comes_in(scorer: Scorer) -> None:
    wide = documents(
        TEXTS,
        text=pa.array(TEXTS, pa.large_string()),
        doc_id=pa.array([f"doc {i}" for i in range(len(TEXTS))], pa.large_string()),
        bucket=pa.array(range(len(TEXTS)), pa.int32()),
        content_hash=pa.array([b"x" * 16] * len(TEXTS), pa.large_binary()),
        n_tokens=pa.array(range(len(TEXTS)), pa.int32()),
    )
    (narrow_out,), (wide_out,) = scored(scorer, documents(TEXTS)), scored(scorer, wide)
    assert narrow_out.schema == wide_out.schema == _OUTPUT
    assert wide_out["quality"].equals(narrow_out["quality"])
    assert str(_OUTPUT).splitlines() == [
        "doc_id: string",
        "source: string",
        "source_group: string",
        "bucket: int16",
        "content_hash: binary",
        "n_tokens: int64",
        "raw_scores: list<item: int16>",
        "  child 0, item: int16",
        "dimension_scores: list<item: int16>",
        "  child 0, item: int16",
        "quality: int16",
        "status: string",
        "reason: string",
    ]


def test_the_ddl_for_spark_names_the_same_columns_and_types() -> None:
    spark = {
        "string": pa.string(),
        "smallint": pa.int16(),
        "bigint": pa.int64(),
        "binary": pa.binary(),
        "array<smallint>": pa.list_(pa.int16()),
    }
    named = [column.split() for column in scoring.OUTPUT_DDL.split(", ")]
    assert [(name, spark[kind]) for name, kind in named] == [(f.name, f.type) for f in _OUTPUT]


def test_an_empty_batch_and_none_at_all_give_nothing(scorer: Scorer) -> None:
    assert scored(scorer) == []
    assert scored(scorer, documents([])) == []
    found = scored(
        scorer, documents([]), documents(TEXTS[:2]), documents([]), documents(TEXTS[2:3])
    )
    assert [batch.num_rows for batch in found] == [2, 1]


def test_a_score_does_not_depend_on_the_batch(scorer: Scorer) -> None:
    (whole,) = scored(scorer, documents(TEXTS))
    parts = scored(scorer, *(documents(TEXTS).slice(i, 3) for i in range(0, len(TEXTS), 3)))
    assert pa.Table.from_batches(parts).equals(pa.Table.from_batches([whole]))


def test_a_null_text_is_scored_as_an_empty_one(scorer: Scorer) -> None:
    found = scored(scorer, documents(["", "x"], text=strings(None, "x")))
    assert (
        found[0]
        .drop_columns("doc_id")
        .equals(scored(scorer, documents(["", "x"]))[0].drop_columns("doc_id"))
    )


def test_a_source_without_a_reliable_slot_has_scores_but_no_quality(scorer: Scorer) -> None:
    (noise,) = scored(scorer, documents(TEXTS, source="noise"))
    (web,) = scored(scorer, documents(TEXTS))
    assert noise["dimension_scores"].equals(web["dimension_scores"])
    assert noise["dimension_scores"].null_count == 0
    assert noise["quality"].null_count == len(TEXTS)
    assert set(noise["status"].to_pylist()) == {"quarantined"}
    assert set(noise["reason"].to_pylist()) == {NO_SLOT}


def test_quality_is_of_the_slots_that_are_reliable_for_the_row_s_source() -> None:
    texts = strings(*["12345678"] * 4)
    sources = strings("code", "web", "noise", None)
    found = rate(texts, sources, LengthStudent(), a_manifest())
    dimensions = [800, 1000 + round(1.6 / 5 * 8000), 4000]
    assert found["dimension_scores"].to_pylist() == [dimensions] * 4
    all_three = (sum(dimensions) + 1) // 3
    assert found["quality"].to_pylist() == [2400, all_three, None, all_three]
    assert found["reason"].to_pylist() == [None, None, NO_SLOT, None]
    assert {name: column.type for name, column in found.items()} == {
        "raw_scores": pa.list_(pa.int16()),
        "dimension_scores": pa.list_(pa.int16()),
        "quality": pa.int16(),
        "reason": pa.string(),
    }


BAD = {
    "an unreadable text": "ValueError: cannot be read",
    "too hard for it": ("RuntimeError: " + "x" * 500)[:300],
    "nan": _NOT_FINITE,
    "inf": _NOT_FINITE,
    "overflow": _NOT_FINITE,
}


@pytest.mark.parametrize("bad", list(BAD))
@pytest.mark.parametrize("place", [0, 3, 6])
def test_a_text_that_cannot_be_scored_is_quarantined_alone(bad: str, place: int) -> None:
    clean = ["a", "bb", "ccc", "dddd", "eeeee", "ffffff"]
    texts = [*clean[:place], bad, *clean[place:]]
    sources = strings(*["web"] * 7)
    found = rate(strings(*texts), sources, LengthStudent(), a_manifest())
    whole = rate(strings(*clean), sources[:6], LengthStudent(), a_manifest())
    for name, column in found.items():
        others = [value for i, value in enumerate(column.to_pylist()) if i != place]
        assert others == whole[name].to_pylist(), name
    assert found["dimension_scores"][place].as_py() is None
    assert found["quality"][place].as_py() is None
    assert found["reason"][place].as_py() == BAD[bad]


def test_a_bad_text_of_a_source_without_a_slot_says_what_is_wrong_with_the_text() -> None:
    texts, sources = strings("nan", "fine"), strings("noise", "noise")
    found = rate(texts, sources, LengthStudent(), a_manifest())
    assert found["reason"].to_pylist() == [_NOT_FINITE, NO_SLOT]
    assert [v is None for v in found["dimension_scores"].to_pylist()] == [True, False]


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["a", "bb", "ccc", *BAD]), min_size=1, max_size=9))
def test_raw_scores_of_good_texts_do_not_depend_on_the_bad_ones(texts: list[str]) -> None:
    found, reasons = Engine(LengthStudent()).scores(strings(*texts))
    assert found.dtype == np.float32
    assert found.shape == (len(texts), SLOTS)
    assert reasons == [BAD.get(text) for text in texts]
    for row, text in zip(found, texts, strict=True):
        length = np.nan if text in BAD else len(text)
        np.testing.assert_array_equal(row, (np.float32(length) / np.float32([10, 5, 2])))


def test_every_row_may_be_bad() -> None:
    texts, sources = strings(*BAD), strings(*["web"] * len(BAD))
    found = rate(texts, sources, LengthStudent(), a_manifest())
    assert found["dimension_scores"].null_count == found["quality"].null_count == len(BAD)
    assert found["reason"].to_pylist() == list(BAD.values())


def test_a_row_that_the_student_cannot_rate_is_quarantined_in_what_spark_gets(
    tmp_path: Path,
) -> None:
    """A weight that is no number spoils the texts with its feature, and no other."""
    student = linear(1)
    table = student.table.copy()
    table[77] = np.nan
    spoiled = replace(student, table=table)
    texts = [f"word{i}" for i in range(3000)]
    raw = protocol.score(spoiled, strings(*texts))
    bad = np.isnan(raw).any(axis=1)
    assert 0 < bad.sum() < 100
    (out,) = scored(written(tmp_path / "spoiled", spoiled, a_manifest()), documents_of(texts))
    (clean,) = scored(written(tmp_path / "clean", student, a_manifest()), documents_of(texts))
    assert [s == "quarantined" for s in out["status"].to_pylist()] == bad.tolist()
    good = pa.array(~bad)
    assert out.filter(good).equals(clean.filter(good))
    quarantined = out.filter(pa.array(bad))
    assert quarantined["quality"].null_count == quarantined.num_rows
    assert quarantined["dimension_scores"].null_count == quarantined.num_rows
    assert set(quarantined["reason"].to_pylist()) == {_NOT_FINITE}


def documents_of(texts: list[str]) -> pa.RecordBatch:
    n = len(texts)
    same = documents(["x"])
    columns = {name: pa.concat_arrays([same.column(name)] * n) for name in same.schema.names}
    return pa.RecordBatch.from_pydict(columns | {"text": strings(*texts)})


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, scorer: Scorer) -> dict[str, Scorer]:
    folder = tmp_path_factory.mktemp("student") / "b"
    other = written(folder, linear(2), a_manifest(source_group="group_b"))
    return {"group_a": scorer, "group_b": other}


def test_texts_of_several_groups_are_rated_in_place(two: dict[str, Scorer]) -> None:
    rows = [
        ("one text", "web", "group_b"),
        ("one text", "web", "group_a"),
        (None, "web", "group_a"),
        ("one text", "web", "group_z"),
        ("one text", "web", None),
        ("one text", "noise", "group_a"),
        ("another", "code", "group_a"),
        ("one text", "code", "group_b"),
        (None, None, None),
    ]
    frame = pd.DataFrame(rows, [9, 8, 7, 6, 5, 4, 3, 2, 1], ["text", "source", "group"], object)
    found = rate_by_group(frame["text"], frame["source"], frame["group"], two)
    assert list(found.columns) == ["dimension_scores", "quality"]
    assert list(found.index) == list(frame.index)
    dimensions, quality = in_sql(found)
    for place, (text, source, group) in enumerate(rows):
        expected: tuple[object, object] = (None, None)
        if text is not None and group in two:
            uri, digest = Path(two[group].artefact_uri), two[group].artefact_sha256
            alone = rate(strings(text), strings(source), *artefact.load(uri, digest))
            expected = alone["dimension_scores"][0].as_py(), alone["quality"][0].as_py()
        assert (dimensions[place], quality[place]) == expected, place
    assert dimensions[0] != dimensions[1]
    assert [q is None for q in quality] == [
        False,
        False,
        True,
        True,
        True,
        True,
        False,
        False,
        True,
    ]


def in_sql(found: pd.DataFrame) -> tuple[list[object], list[object]]:
    """The columns as Spark takes them over."""
    dimensions = pa.Array.from_pandas(found["dimension_scores"], type=pa.list_(pa.int16()))
    quality = pa.Array.from_pandas(found["quality"], type=pa.int16())
    return dimensions.to_pylist(), quality.to_pylist()


def test_without_scorers_or_rows_nothing_is_rated(two: dict[str, Scorer]) -> None:
    one, none = pd.Series(["x"]), pd.Series([], dtype=object)
    assert in_sql(rate_by_group(one, one, one, {})) == ([None], [None])
    assert in_sql(rate_by_group(none, none, none, two)) == ([], [])


def test_an_artefact_with_another_digest_is_not_loaded(scorer: Scorer) -> None:
    wrong = replace(scorer, artefact_sha256="0" * 64)
    problem = (
        f"{scorer.artefact_uri}/manifest.json: SHA-256 is {scorer.artefact_sha256}, "
        f"expected {'0' * 64}"
    )
    with pytest.raises(ArtefactError) as caught:
        scored(wrong, documents(TEXTS))
    assert str(caught.value) == problem
    texts = pd.Series(TEXTS)
    groups = pd.Series(["group_a"] * len(TEXTS))
    with pytest.raises(ArtefactError) as caught:
        rate_by_group(texts, texts, groups, {"group_a": wrong})
    assert str(caught.value) == problem


def test_a_changed_file_is_not_loaded(tmp_path: Path) -> None:
    scorer = written(tmp_path / "student", linear(3), a_manifest())
    path = tmp_path / "student" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtefactError, match=r"model\.safetensors: SHA-256 is "):
        scored(scorer, documents(TEXTS))


def test_a_student_is_loaded_once_in_a_worker(tmp_path: Path) -> None:
    scorer = written(tmp_path / "student", linear(4), a_manifest())
    before = scored(scorer, documents(TEXTS))
    (tmp_path / "student" / "manifest.json").unlink()
    assert scored(scorer, documents(TEXTS)) == before
