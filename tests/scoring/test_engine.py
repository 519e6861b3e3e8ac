"""The engine: every row has its scores or its reason, whatever breaks on the way."""

import io
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import log2
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from mira_spark.errors import StudentError
from mira_spark.scoring import engine
from mira_spark.scoring.engine import _NOT_FINITE, IN_PART, Engine, Outage, resized
from mira_spark.scoring.stages import run_ahead
from mira_spark.students.protocol import Batch, Scores
from tests.poison import POISON
from tests.scoring.test_batches import LengthStudent, linear, strings

LIMIT_OF_ONE = 4


class Panic(BaseException):
    """What a tokenizer's panic looks like: no Exception."""


@dataclass
class TokenStudent:
    """Scores by length; its memory holds so many tokens."""

    memory: int = 10**9
    batch_tokens: int = 256
    window: int = 1
    slots: int = 2
    kind: str = "encoder"
    refused: int = 0
    scored: list[int] = field(default_factory=list)

    def encode(self, texts: pa.Array) -> Iterator[Batch]:
        values = texts.to_pylist()
        if any(value == "panic" for value in values):
            raise Panic("called `Option::unwrap()` on a `None` value")
        lengths = np.array([max(len(value), 1) for value in values], np.int64)
        order = np.argsort(-lengths, kind="stable")
        first = 0
        while first < len(order):
            longest = lengths[order[first]]
            rows = order[first : first + max(self.batch_tokens // longest, 1)]
            ids = np.zeros((len(rows), longest), np.int32)
            yield Batch(rows, {"ids": ids, "lengths": lengths[rows]})
            first += len(rows)

    def forward(self, batch: Batch) -> Scores:
        if batch.inputs["ids"].size > self.memory:
            self.refused += 1
            raise MemoryError("too large")
        self.scored += batch.rows.tolist()
        lengths = batch.inputs["lengths"].astype(np.float32)
        return np.stack([lengths, lengths * 2], 1)

    def shorter(self, batch: Batch) -> Batch | None:
        most = batch.inputs["ids"].shape[1] // 2
        if most < LIMIT_OF_ONE:
            return None
        ids, lengths = batch.inputs["ids"], batch.inputs["lengths"]
        return Batch(batch.rows, {"ids": ids[:, :most], "lengths": np.minimum(lengths, most)})


@settings(max_examples=1_000)
@given(
    st.lists(st.integers(0, 200), min_size=1, max_size=60),
    st.integers(1, 400),
    st.integers(1, 1_000),
)
def test_a_memory_too_small_loses_no_row_and_costs_few_splits(
    lengths: list[int], memory: int, batch_tokens: int
) -> None:
    student: Any = TokenStudent(memory, batch_tokens)
    runner = Engine(student)
    texts = strings(*("x" * n for n in lengths))
    encoded = runner.encoded(texts)
    largest = max(len(batch.rows) for batch in encoded.batches)
    scores, reasons = runner.collected(runner.forwarded(encoded))
    padded = {r: b.inputs["ids"].shape[1] for b in encoded.batches for r in b.rows.tolist()}
    for row, n in enumerate(lengths):
        whole = max(n, 1)
        if padded[row] <= memory:
            assert (scores[row, 0], reasons[row]) == (whole, None)
        elif reasons[row] == IN_PART:
            assert min(LIMIT_OF_ONE, whole) <= scores[row, 0] <= min(memory, whole)
        else:
            assert np.isnan(scores[row]).all()
            assert reasons[row] == "MemoryError: too large"
    assert sorted(student.scored) == [r for r in range(len(lengths)) if not np.isnan(scores[r, 0])]
    too_long = [n for n in padded.values() if n > memory]
    shortened = sum(int(log2(n)) + 1 for n in too_long)
    assert student.refused - shortened <= 2 * log2(max(largest, 2))


def test_what_the_memory_held_is_remembered() -> None:
    student: Any = TokenStudent(memory=40, batch_tokens=256)
    runner = Engine(student)
    runner.scores(strings(*["xxxx"] * 64))
    refused = student.refused
    assert 0 < refused <= log2(64)
    _, reasons = runner.scores(strings(*["xxxx"] * 640))
    assert student.refused == refused
    assert reasons == [None] * 640


def test_a_panic_is_one_row() -> None:
    student: Any = TokenStudent()
    scores, reasons = Engine(student).scores(strings("a", "bb", "panic", "dddd", "eeeee"))
    assert scores[:, 0].tolist()[:2] + scores[:, 0].tolist()[3:] == [1, 2, 4, 5]
    assert np.isnan(scores[2]).all()
    assert [r is None for r in reasons] == [True, True, False, True, True]
    assert str(reasons[2]).startswith("Panic: called")


def test_a_watched_student_scores_where_stderr_is_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    scores, reasons = Engine(LengthStudent(), watched_s=60).scores(strings("one", "two and three"))
    assert reasons == [None, None]
    assert np.isfinite(scores).all()


def test_what_must_end_the_process_is_not_a_row() -> None:
    class Interrupted(TokenStudent):
        def forward(self, batch: Batch) -> Scores:
            raise KeyboardInterrupt

    student: Any = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        Engine(student).scores(strings("a"))


def test_a_score_that_is_no_number_is_a_row_that_says_so() -> None:
    student: Any = LengthStudent()
    scores, reasons = Engine(student).scores(strings("a", "nan", "bb"))
    assert np.isnan(scores).all(axis=1).tolist() == [False, True, False]
    assert reasons == [None, _NOT_FINITE, None]


class Waiting(TokenStudent):
    """Its scores come only when they are read."""

    log: list[str]

    def forward(self, batch: Batch) -> Any:
        scores = super().forward(batch)
        self.log.append("asked")
        student = self

        class OnItsWay:
            def __array__(self, dtype: Any = None, copy: bool | None = None) -> Scores:
                student.log.append("read")
                if 13 in scores:
                    raise RuntimeError("the device is lost")
                return scores

        return OnItsWay()


def test_no_batch_waits_for_the_scores_of_the_one_before() -> None:
    student: Any = Waiting(batch_tokens=8)
    student.log = []
    scores, reasons = Engine(student).scores(strings(*["xxxx"] * 6))
    assert scores[:, 0].tolist() == [4] * 6
    assert reasons == [None] * 6
    assert student.log == ["asked"] * 3 + ["read"] * 3


def test_a_device_that_is_lost_ends_the_task_and_quarantines_nothing() -> None:
    student: Any = Waiting()
    student.log = []
    with pytest.raises(RuntimeError, match="the device is lost"):
        list(Engine(student).overlapped([table(["xxxx", "x" * 13])]))


def table(texts: list[str]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"text": strings(*texts)})


def test_batches_are_cut_and_put_together() -> None:
    batches = [table(["x"] * n) for n in (3, 0, 4, 10, 1)]
    assert [b.num_rows for b in resized(batches, 6)] == [7, 6, 5]
    assert [b.num_rows for b in resized(batches, 1)] == [1] * 18
    assert [b.num_rows for b in resized(batches, None)] == [3, 4, 10, 1]
    assert list(resized([], 6)) == []


def test_a_batch_ends_where_its_texts_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BATCH_BYTES", 1_000)
    assert [b.num_rows for b in resized([table(["x" * 400])] * 5, 100)] == [3, 2]


@pytest.mark.parametrize("rows", [1, 7, 1_000, None])
def test_the_order_and_the_scores_do_not_depend_on_the_batches(rows: int | None) -> None:
    texts = [f"word{i} and more" * (i % 5) for i in range(300)]
    batches = [table(texts[i : i + 20]) for i in range(0, 300, 20)]
    whole, _ = Engine(linear(1)).scores(strings(*texts))
    found = list(Engine(linear(1)).overlapped(resized(batches, rows)))
    assert [t for batch, _, _ in found for t in batch["text"].to_pylist()] == texts
    np.testing.assert_array_equal(np.concatenate([s for _, s, _ in found]), whole)


def test_what_comes_ahead_is_the_same_and_its_error_comes_too() -> None:
    def three() -> Iterator[int]:
        yield from (1, 2, 3)
        raise ValueError("no more")

    assert list(run_ahead(range(100), 2)) == list(range(100))
    found = run_ahead(three(), 5)
    assert [next(found) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(ValueError, match="no more"):
        next(found)


def test_a_thread_ahead_goes_no_farther_than_it_may_and_ends_when_left() -> None:
    made: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(1_000):
            made.append(number)
            yield number

    found = run_ahead(numbers(), 3)
    assert next(found) == 0
    found.close()  # type: ignore[attr-defined]
    assert len(made) <= 6


def scored(texts: pa.Array) -> tuple[Scores, engine.Reasons]:
    return Engine(linear(1)).scores(texts)


def binary(*values: bytes | None) -> pa.Array:
    return pa.array(values, pa.large_binary())


def test_there_are_a_hundred_kinds_of_poison() -> None:
    assert len(POISON) >= 100


@pytest.mark.parametrize("place", ["alone", "first", "last", "between"])
def test_no_poison_fails_or_changes_its_neighbours(place: str) -> None:
    clean = [b"def f():\n    return 1\n", b"some prose, quoted."]
    expected, _ = scored(binary(*clean))
    for name, poison in POISON.items():
        before = {"alone": [], "first": [], "last": clean, "between": clean[:1]}[place]
        after = {"alone": [], "first": clean, "last": [], "between": clean[1:]}[place]
        scores, reasons = scored(binary(*before, poison, *after))
        neighbours = np.delete(scores, len(before), 0)
        np.testing.assert_array_equal(neighbours, expected[: len(neighbours)], err_msg=name)
        assert [r for i, r in enumerate(reasons) if i != len(before)] == [None] * len(neighbours)
        assert np.isfinite(scores[len(before)]).all() == (reasons[len(before)] is None), name


def test_poison_mixed_into_a_hundred_thousand_changes_none_of_them() -> None:
    clean = [f"text {i} of many, with {i % 97} words".encode() for i in range(100_000)]
    mixed: list[bytes | None] = list(clean)
    places = np.random.default_rng(0).choice(len(clean), len(POISON), replace=False)
    for place, poison in zip(places.tolist(), POISON.values(), strict=True):
        mixed[place] = poison
    expected, _ = scored(binary(*clean))
    found, reasons = scored(binary(*mixed))
    untouched = np.ones(len(clean), np.bool_)
    untouched[places] = False
    np.testing.assert_array_equal(found[untouched], expected[untouched])
    assert all(r is None for r, same in zip(reasons, untouched, strict=True) if same)


HANGING = """
import time
from mira_spark.scoring.stages import Watch
watch = Watch(0.3)
with watch.busy():
    pass
print("idle", flush=True)
time.sleep({idle})
with watch.busy():
    {call}
print("over", flush=True)
"""


@pytest.mark.parametrize(
    ("idle", "call", "said", "code"),
    [
        (0.6, "pass", "idle\nover\n", 0),
        (0, "time.sleep(60)", "idle\n", 1),
        (0, "9 ** 9 ** 9", "idle\n", 1),  # never lets go of the GIL
    ],
)
def test_only_a_call_that_lasts_too_long_ends_the_process(
    idle: float, call: str, said: str, code: int
) -> None:
    begun = time.monotonic()
    program = HANGING.format(idle=idle, call=call)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ended.stdout, ended.returncode) == (said, code)
    assert ("Timeout" in ended.stderr) == bool(code)
    assert time.monotonic() - begun < 50


class Broken(TokenStudent):
    """Scores nothing any more, whatever it is given."""

    def forward(self, batch: Batch) -> Scores:
        self.refused += 1
        raise RuntimeError("CUDA error: an illegal memory access was encountered")


def test_a_student_that_fails_with_every_text_blames_none_of_them() -> None:
    student: Any = Broken()
    scores, reasons = Engine(student).scores(strings(*["xxxx"] * 1_000))
    assert np.isnan(scores).all()
    assert all(isinstance(reason, Outage) for reason in reasons)
    assert set(reasons) == {"RuntimeError: CUDA error: an illegal memory access was encountered"}
    assert student.refused <= log2(256) + 2, "what fails with every text is not asked for each"


def test_a_memory_that_holds_no_text_at_all_blames_none_of_them() -> None:
    student: Any = TokenStudent(memory=0)
    _, reasons = Engine(student).scores(strings("xxxxxxxx", "yy"))
    assert [isinstance(reason, Outage) for reason in reasons] == [True, True]


def test_a_tokenizer_that_reads_nothing_any_more_blames_no_text() -> None:
    class Unread(TokenStudent):
        def encode(self, texts: pa.Array) -> Iterator[Batch]:
            raise OSError("no space left on device")

    student: Any = Unread()
    _, reasons = Engine(student).scores(strings("a", "b"))
    assert [isinstance(reason, Outage) for reason in reasons] == [True, True]


class Short(TokenStudent):
    """Gives other scores than it was asked for."""

    given: Any = (1, 2)

    def forward(self, batch: Batch) -> Scores:
        return np.ones(self.given, np.float32)


@pytest.mark.parametrize("given", [(1, 2), (2, 1), (1, 1), (), (2,), (3, 2), (2, 2, 1)])
def test_a_student_that_gives_another_number_of_scores_is_a_defect(given: tuple[int, ...]) -> None:
    student: Any = Short()
    student.given = given
    with pytest.raises(StudentError) as refused:
        Engine(student).scores(strings("aa", "bb"))
    assert str(refused.value) == f"Short gave scores of shape {given}, expected (2, 2)"


def test_a_student_that_leaves_a_text_out_is_a_defect() -> None:
    class Skipping(TokenStudent):
        def encode(self, texts: pa.Array) -> Iterator[Batch]:
            return super().encode(texts.slice(1))

    student: Any = Skipping()
    with pytest.raises(StudentError, match=r"Skipping gave batches of shape \(1,\), expected \(2,"):
        Engine(student).scores(strings("aa", "bb"))


@pytest.mark.parametrize("whole", [True, False])
def test_how_often_threads_change_is_as_before_when_scoring_is_over(whole: bool) -> None:
    before = sys.getswitchinterval()
    found = Engine(linear(1)).overlapped([table(["a"]), table(["b"])])
    next(found)
    assert sys.getswitchinterval() == pytest.approx(engine.SWITCH_S)
    if whole:
        list(found)
    else:
        found.close()  # type: ignore[attr-defined]
    assert sys.getswitchinterval() == pytest.approx(before)
