"""The memo of the SQL functions: what was scored is found by others, and nothing else is."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mira_spark.scoring import memo
from mira_spark.scoring.batches import rate_by_group
from mira_spark.scoring.scorer import load_student
from mira_spark.students.linear import LinearStudent
from mira_spark.students.protocol import Batch
from tests.scoring.test_batches import a_manifest, linear, written

TEXTS = [f"text {i % 7}" for i in range(20)]


def test_what_is_kept_is_found_and_nothing_else(tmp_path: Path) -> None:
    assert memo.lookup(tmp_path / "m", [b"a"]) == {}
    memo.store(tmp_path / "m", {b"a": b"1", b"b": b"2"})
    memo.store(tmp_path / "m", {b"b": b"other"})
    assert memo.lookup(tmp_path / "m", [b"b", b"c", b"a"]) == {b"a": b"1", b"b": b"2"}


def test_a_key_is_of_one_text_and_one_student() -> None:
    texts = pa.array(["a", "b", None, ""])
    first, second = memo.keys("0" * 64, texts), memo.keys("1" * 64, texts)
    assert len({*first, *second}) == 6
    assert first[2] == first[3]


def test_the_oldest_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memo, "MOST", 10)
    for i in range(30):
        memo.store(tmp_path / "m", {bytes([i]): b"x"})
    assert list(memo.lookup(tmp_path / "m", [bytes([i]) for i in range(30)])) == [
        bytes([i]) for i in range(20, 30)
    ]


def test_many_may_keep_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: memo.store(tmp_path / "m", {bytes([i]): b"x"}), range(64)))
    assert len(memo.lookup(tmp_path / "m", [bytes([i]) for i in range(64)])) == 64


def test_a_folder_open_to_others_or_a_broken_file_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "broken").mkdir(mode=0o700)
    (tmp_path / "broken" / "memo.sqlite").write_bytes(b"no database" * 100)
    for name in ("open", "broken"):
        memo.store(tmp_path / name, {b"a": b"1"})
        assert memo.lookup(tmp_path / name, [b"a"]) == {}


def test_a_text_is_scored_once_whoever_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = written(tmp_path / "student", linear(1), a_manifest())
    asked: list[int] = []
    forward = LinearStudent.forward
    monkeypatch.setattr(
        LinearStudent, "forward",
        lambda self, batch: (asked.append(len(batch.rows)), forward(self, batch))[1],
    )  # fmt: skip
    texts = pd.Series([*TEXTS, None])
    same = pd.Series(["group_a"] * len(texts))
    columns = texts, same, same, {"group_a": scorer}
    plain = rate_by_group(*columns)
    asked.clear()
    for _ in range(2):
        pd.testing.assert_frame_equal(rate_by_group(*columns, tmp_path / "m"), plain)
    assert sum(asked) == 7


def test_what_could_not_be_scored_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = written(tmp_path / "student", linear(1), a_manifest())
    forward, failing = LinearStudent.forward, [True]

    def broken(self: LinearStudent, batch: Batch) -> np.ndarray:
        if failing[0] and len(batch.rows):  # the engine's own probe passes: no outage
            raise RuntimeError("not now")
        return forward(self, batch)

    monkeypatch.setattr(LinearStudent, "forward", broken)
    one = pd.Series(["group_a"])
    assert rate_by_group(one, one, one, {"group_a": scorer}, tmp_path / "m")["quality"][0] is None
    failing[0] = False
    found = rate_by_group(one, one, one, {"group_a": scorer}, tmp_path / "m")["quality"][0]
    assert found == rate_by_group(one, one, one, {"group_a": scorer})["quality"][0]
    assert load_student(scorer)
