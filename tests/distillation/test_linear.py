"""Training is deterministic, learns what is there to learn, and reads its labels from shards."""

import dataclasses
import hashlib
import math
import os
import sysconfig
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse
from scipy.optimize import minimize

from mira_spark.distillation import hashed_labels, linear, ridge
from mira_spark.distillation.linear import train_parts
from mira_spark.distillation.rank_correlation import rank_correlation
from mira_spark.distillation.shards import Labelled
from mira_spark.distillation.training import predict
from mira_spark.errors import InputError
from mira_spark.settings.students import LinearSettings
from mira_spark.students.hashing import SHAPE, hash_documents
from mira_spark.students.linear import LinearStudent, standardised, utf8_spans
from tests.staging import HELD_OUT, TRAIN, Row, held_out, learnt, staged

SETTINGS = LinearSettings(bits=14)
WEIGHTS = ("table", "shape_weights", "shape_centre", "shape_scale", "bias")


def judged(text: str) -> list[int]:
    """Five things to see in a Python file, 0-10."""
    lines = [line for line in text.split("\n") if line.strip()] or [""]
    words = text.split() or [""]
    return [
        min(10, 40 * sum("#" in line for line in lines) // len(lines)),
        min(10, 60 * text.count("self") // len(words)),
        min(10, 15 * text.count('"""') // max(1, text.count("def "))),
        min(10, round(math.log2(len(lines)))),
        min(10, 100 * text.count("raise") // len(lines)),
    ]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    folder = Path(sysconfig.get_paths()["stdlib"])
    files = sorted(f for f in folder.rglob("*.py") if "site-packages" not in f.parts)
    texts = [f.read_text("latin-1") for f in files if f.stat().st_size < 60_000][:700]
    return [
        (str(i), f"source {i % 3}", text, judged(text), HELD_OUT if i % 5 == 0 else TRAIN)
        for i, text in enumerate(texts)
    ]


def train_linear(labelled: Labelled, slots: int, settings: LinearSettings) -> LinearStudent:
    student, _ = train_parts(labelled, slots, settings, [])
    return student


def digest(student: LinearStudent) -> str:
    weights = b"".join(getattr(student, name).tobytes() for name in WEIGHTS)
    return hashlib.sha256(weights).hexdigest()


def test_the_student_ranks_unseen_files_and_beats_the_mean(rows: list[Row], tmp_path: Path) -> None:
    shards = staged(tmp_path / "shards", rows)
    student = train_linear(learnt(shards), 5, SETTINGS)
    seen = predict(student, held_out(shards))
    assert seen.doc_ids == [row[0] for row in rows if row[4] == HELD_OUT]
    assert seen.sources == [row[1] for row in rows if row[4] == HELD_OUT]
    assert seen.judged.tolist() == [row[3] for row in rows if row[4] == HELD_OUT]
    error = ((seen.predicted - seen.judged) ** 2).mean(axis=0)
    assert (error < 0.6 * seen.judged.var(axis=0)).all()
    ranks = [rank_correlation(seen.predicted[:, slot], seen.judged[:, slot]) for slot in range(5)]
    assert min(ranks) > 0.6
    assert np.mean(ranks) > 0.75


def test_training_twice_gives_the_same_bytes_however_the_rows_are_cut(
    rows: list[Row], tmp_path: Path
) -> None:
    first = train_linear(learnt(staged(tmp_path / "a", rows[:200])), 5, SETTINGS)
    again = train_linear(learnt(tmp_path / "a"), 5, SETTINGS)
    other_shards = train_linear(learnt(staged(tmp_path / "b", rows[:200], 37)), 5, SETTINGS)
    assert len({digest(student) for student in (first, again, other_shards)}) == 1
    assert sorted(os.listdir(tmp_path / "a")) == ["000000.parquet", "000100.parquet"]


def test_validation_rows_teach_nothing(rows: list[Row], tmp_path: Path) -> None:
    swapped = [(*row[:3], [0] * 5, row[4]) if row[4] == HELD_OUT else row for row in rows[:200]]
    one = train_linear(learnt(staged(tmp_path / "a", rows[:200])), 5, SETTINGS)
    two = train_linear(learnt(staged(tmp_path / "b", swapped)), 5, SETTINGS)
    assert digest(one) == digest(two)


def test_slots_do_not_touch_each_other(rows: list[Row], tmp_path: Path) -> None:
    """Labels missing in one slot leave the others' weights as they were."""
    holes: list[Row] = [
        (*row[:3], [None if i % 2 else row[3][0], *row[3][1:4], None], row[4])
        for i, row in enumerate(rows[:300])
    ]
    full = train_linear(learnt(staged(tmp_path / "a", rows[:300])), 5, SETTINGS)
    some = train_linear(learnt(staged(tmp_path / "b", holes)), 5, SETTINGS)
    np.testing.assert_array_equal(full.table[:, 1:4], some.table[:, 1:4])
    np.testing.assert_array_equal(full.bias[1:4], some.bias[1:4])
    seen = predict(some, held_out(tmp_path / "b"))
    assert np.isnan(seen.judged[:, 4]).all()
    assert (seen.predicted[:, 4] == 0).all()
    truth = predict(full, held_out(tmp_path / "a")).judged[:, 0]
    assert rank_correlation(seen.predicted[:, 0], truth) > 0.5


def test_missing_labels_are_as_if_the_row_were_not_there(rows: list[Row], tmp_path: Path) -> None:
    """A slot answered for half of the rows predicts much as one trained on those rows alone."""
    half: list[Row] = [
        (*row[:3], row[3] if i % 2 else [None] * 5, row[4]) for i, row in enumerate(rows)
    ]
    masked = train_linear(learnt(staged(tmp_path / "a", half)), 5, SETTINGS)
    alone = train_linear(learnt(staged(tmp_path / "b", half[1::2])), 5, SETTINGS)
    shards = staged(tmp_path / "c", rows)
    one, two = (predict(student, held_out(shards)).predicted for student in (masked, alone))
    assert np.abs(one - two).mean() < 0.2 * np.abs(one - one.mean(axis=0)).mean()


def test_the_solution_is_the_least_of_the_stated_squares(rows: list[Row], tmp_path: Path) -> None:
    """Many passes reach what a general optimiser finds for the same ridge regression."""
    some = [(*row[:4], TRAIN) for row in rows[:40]]
    settings = LinearSettings(bits=10, passes=100)
    student = train_linear(learnt(staged(tmp_path / "a", some)), 5, settings)
    texts = pa.array([row[2] for row in some])
    bounds, features, shares, shapes = hash_documents(*utf8_spans(texts), 10)
    matrix = np.zeros((40, 1024))
    for row in range(40):
        span = slice(bounds[row], bounds[row + 1])
        matrix[row, features[span]] = shares[span]
    squares, counts = (matrix**2).sum(axis=0), (matrix > 0).sum(axis=0)
    free = np.sqrt(counts / np.maximum(squares, 1e-30))
    free *= 40 / (squares * free).sum()
    dense = np.ones((40, 1 + len(SHAPE)))
    dense[:, 1:] = standardised(shapes, student.shape_centre, student.shape_scale)
    everything = np.hstack([matrix * np.sqrt(free), dense * math.sqrt(linear.DENSE_FREEDOM)])
    _, which, sizes = np.unique([r[1] for r in some], return_inverse=True, return_counts=True)
    weight = 1 / np.sqrt(sizes[which])
    weight /= weight.mean()
    labels = np.array([row[3] for row in some], float)[:, 1]
    mean = np.average(labels, weights=weight)
    spread = math.sqrt(np.average((labels - mean) ** 2, weights=weight))
    target = (labels - mean) / spread

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        error = everything @ w - target
        value = weight @ error**2 + settings.ridge * w @ w
        return value, 2 * (everything.T @ (weight * error) + settings.ridge * w)

    best = minimize(loss, np.zeros(everything.shape[1]), jac=True, options={"gtol": 1e-9}).x
    found = predict(student, learnt(tmp_path / "a")).predicted[:, 1]
    np.testing.assert_allclose(found, mean + spread * (everything @ best), atol=2e-3)


def test_blocks_hold_every_document_once_and_in_order(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    counts = random.integers(0, 40, 60)
    counts[7], counts[20:24] = 300, 0
    bounds = np.concatenate([[0], np.cumsum(counts)])
    features = np.concatenate([np.sort(random.permutation(512)[:n]) for n in counts])
    shares = random.random(len(features), np.float32)
    (tmp_path / "features").write_bytes(features.astype(np.uint32).tobytes())
    (tmp_path / "shares").write_bytes(shares.tobytes())
    whole = hashed_labels.feature_blocks(bounds, tmp_path, 512, 10**6)
    cut = hashed_labels.feature_blocks(bounds, tmp_path, 512, 100)
    assert len(whole) == 1
    assert len(cut) > 8
    assert max(block.features.nnz for block in cut) <= 400
    everything = whole[0].features.toarray()
    np.testing.assert_array_equal(np.vstack([b.features.toarray() for b in cut]), everything)
    np.testing.assert_array_equal(np.hstack([b.transposed.toarray() for b in cut]), everything.T)


def test_memory_is_flat_in_the_labels_texts_and_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a label with 4,000 bytes of text and 1,200 features of eight bytes less than 500 bytes are
    held: its shape, its scores, its source."""
    monkeypatch.setattr(hashed_labels, "BLOCK", 1 << 16)  # what is in memory at once

    def peak(count: int) -> int:
        words = np.random.default_rng(0).integers(0, 1 << 20, (count, 600)).tolist()
        rows: list[Row] = [
            (str(i), "s", " ".join(f"w{w}" for w in some), [i % 11] * 5, TRAIN)
            for i, some in enumerate(words)
        ]
        shards = staged(tmp_path / str(count), rows)
        tracemalloc.start()
        documents = hashed_labels.hash_labelled(learnt(shards), 5, SETTINGS, shards)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert sum(block.features.nnz for block in documents.blocks) > 1_000 * count
        return most

    peak(20)  # what is only made once
    assert peak(1_000) - peak(200) < 500 * 800


def test_ridge_solves_what_numpy_solves_however_it_is_cut(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    features = sparse.random_array((40, 9), density=0.5, rng=random, dtype=np.float32).tocsr()
    dense = random.random((40, 2)).astype(np.float32)
    weights = random.random((40, 3)).astype(np.float32)
    targets = random.random((40, 3)).astype(np.float32)
    freedom = np.ones((11, 1), np.float32)
    freedom[4] = 0
    found = [
        ridge.solve(
            [ridge.Block(part, part.T.tocsr()) for part in parts],
            dense, weights, targets, freedom, 0.7, 40,
        )
        for parts in ([features], [features[:7], features[7:]])
    ]  # fmt: skip
    np.testing.assert_allclose(found[0], found[1], atol=1e-4)
    matrix = np.hstack([features.toarray(), dense])
    matrix[:, 4] = 0
    for lane in range(3):
        squares = matrix.T @ (weights[:, [lane]] * matrix) + 0.7 * np.eye(11)
        best = np.linalg.solve(squares, matrix.T @ (weights[:, lane] * targets[:, lane]))
        np.testing.assert_allclose(found[0][:, lane], best, atol=1e-3)


def test_small_sources_are_not_drowned(rows: list[Row], tmp_path: Path) -> None:
    """Two sources of one text judged apart: sqrt(100) rows against sqrt(4) of them."""
    many: list[Row] = [(str(i), "big", "same text", [2], TRAIN) for i in range(100)]
    few: list[Row] = [(f"s{i}", "small", "same text", [8], TRAIN) for i in range(4)]
    student = train_linear(learnt(staged(tmp_path / "a", many + few)), 1, SETTINGS)
    found = predict(student, learnt(tmp_path / "a")).predicted
    assert found[0, 0] == pytest.approx((10 * 2 + 2 * 8) / 12, abs=0.01)


def test_labels_all_alike_are_learnt_as_a_constant(rows: list[Row], tmp_path: Path) -> None:
    alike = [(*row[:3], [7] * 5, row[4]) for row in rows[:50]]
    shards = staged(tmp_path / "a", alike)
    found = predict(train_linear(learnt(shards), 5, SETTINGS), held_out(shards)).predicted
    np.testing.assert_allclose(found, 7, atol=1e-5)


def test_null_and_empty_texts_are_rows_like_others(rows: list[Row], tmp_path: Path) -> None:
    odd: list[Row] = [
        *rows[:50],
        ("n", "s", None, [1] * 5, TRAIN),
        ("e", "s", "", [1] * 5, TRAIN),
    ]
    shards = staged(tmp_path / "a", odd)
    found = predict(train_linear(learnt(shards), 5, SETTINGS), learnt(shards))
    assert np.isfinite(found.predicted).all()
    np.testing.assert_array_equal(found.predicted[-1], found.predicted[-2])


def test_an_unknown_split_has_no_rows(rows: list[Row], tmp_path: Path) -> None:
    train = [row for row in rows[:50] if row[4] == TRAIN]
    shards = staged(tmp_path / "a", train)
    seen = predict(train_linear(learnt(shards), 5, SETTINGS), held_out(shards))
    assert (seen.doc_ids, seen.predicted.shape, seen.judged.shape) == ([], (0, 5), (0, 5))


def test_unusable_labels_are_refused(rows: list[Row], tmp_path: Path) -> None:
    cases: dict[str, tuple[list[Row], str]] = {
        "validation only": (
            [(*row[:4], HELD_OUT) for row in rows[:5]],
            "there is no labelled row to train on in *.parquet",
        ),
        "blank": ([("1", "s", " ", [1] * 5, TRAIN)], "all 1 labelled texts are blank"),
    }
    for name, (bad, message) in cases.items():
        shards = staged(tmp_path / name, bad)
        with pytest.raises(InputError) as caught:
            train_linear(learnt(shards), 5, SETTINGS)
        assert str(caught.value) == f"{shards}: {message}"
    with pytest.raises(InputError) as caught:
        train_linear(
            learnt(staged(tmp_path / "short", [("1", "s", "x", [1, 2], TRAIN)])), 5, SETTINGS
        )
    assert str(caught.value) == "label rows have [2] scores, expected 5"


def test_student_weights_are_float32_of_the_documented_shapes(
    rows: list[Row], tmp_path: Path
) -> None:
    student = train_linear(learnt(staged(tmp_path / "a", rows[:30])), 5, SETTINGS)
    found = {f.name: getattr(student, f.name) for f in dataclasses.fields(student)}
    assert (found.pop("slots"), found.pop("dtype"), found.pop("byte_grams")) == (5, "F32", False)
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}
    s = len(SHAPE)
    shapes = [array.shape for array in found.values()]
    assert shapes == [(1 << 14, 16), (s, 16), (s,), (s,), (16,)]


def test_byte_grams_are_features_of_training_and_scoring_alike(tmp_path: Path) -> None:
    """What only four bytes in a row tell: the endings of words that never come twice."""
    random = np.random.default_rng(0)
    rows: list[Row] = []
    for i in range(400):
        ends = random.choice(["quix", "brom"], 12)
        text = " ".join(f"{random.integers(10**8):x}{end}" for end in ends)
        rows.append((str(i), "s", text, [int((ends == "quix").sum()) % 11], TRAIN if i % 4 else
                     HELD_OUT))  # fmt: skip
    shards = staged(tmp_path / "shards", rows)
    ranks = []
    for grams in (False, True):
        student = train_linear(learnt(shards), 1, LinearSettings(bits=14, byte_grams=grams))
        seen = predict(student, held_out(shards))
        ranks.append(rank_correlation(seen.predicted[:, 0], seen.judged[:, 0]) or 0)
    assert ranks[1] > 0.9 > 0.5 > ranks[0]


def test_half_weights_score_nearly_as_whole_ones(rows: list[Row], tmp_path: Path) -> None:
    from mira_spark.students import artefact
    from tests.students.test_artefact import a_manifest

    shards = staged(tmp_path / "shards", rows[:100])
    whole = train_linear(learnt(shards), 5, SETTINGS)
    half = train_linear(learnt(shards), 5, SETTINGS.model_copy(update={"dtype": "F16"}))
    manifest = a_manifest(5)
    digest = artefact.write(tmp_path / "half", half, manifest)
    again, _ = artefact.load(tmp_path / "half", digest)
    artefact.write(tmp_path / "whole", whole, manifest)
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("half", "whole")]
    assert sizes[0] < 0.51 * sizes[1]
    first, second = (predict(s, held_out(shards)).predicted for s in (whole, again))
    np.testing.assert_allclose(first, second, atol=0.02)
