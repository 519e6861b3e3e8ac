"""The linear student: its features, its sums, and how it reads Arrow."""

import math
import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from mira_spark.students import hashing
from mira_spark.students.linear import LinearStudent, utf8_spans
from mira_spark.students.protocol import score

BITS = 12
GOLDEN = [
    44671, 45510, 65447, 68887, 78695, 80294, 93631, 95653,
    96441, 116951, 169811, 177092, 214659, 220585, 253265, 259254,
]  # fmt: skip
MASK = (1 << 64) - 1

TEXTS = [
    b"",
    b" ",
    b"\n",
    b"\n\n\n",
    b"a",
    b"def f(x):\n    return x_1 + 22\n",
    b"def f(x):\r\n\treturn x\r\n\r\n",
    b"No newline at the end",
    b"trailing spaces   ",
    b"\x00\x00 NUL \x00",
    b"\x7f\x1b[0m control",
    "naïve café — 東京, Ωmega 🎉".encode(),
    b"\xff\xfe not \xc3\x28 UTF-8",
    b"UPPER lower UPPER Lower",
    b"    " * 40 + b"deep",
    b"\n" + b" " * 15 + b"a\n" + b" " * 16 + b"a\n" + b" " * 99 + b"a",
    b"x" * 5000,
    b"!" * 5000,
    b" ".join(b"word%d" % i for i in range(511)),
    b" ".join(b"word%d" % i for i in range(512)),
    b" ".join(b"word%d" % i for i in range(513)),
    b" ".join(b"word%d" % (i % 700) for i in range(40_000)),
    Path(__file__).read_bytes(),
]


def mixed(value: int) -> int:
    value = (value ^ value >> 32) * 0xFF51AFD7ED558CCD & MASK
    return value ^ value >> 32


def token_hash(token: bytes) -> int:
    if token[:1] == b"\n":
        return mixed(0xD6E8FEB86659FD93 + min(len(token) - 1, 15))
    value = 0x9E3779B97F4A7C15
    for byte in token.lower():
        value = (value ^ byte) * 0x100000001B3 & MASK
    return mixed(value)


def tokens_of(text: bytes) -> list[bytes]:
    return re.findall(rb"[A-Za-z0-9_\x80-\xff]+|\n[ \t]*|[^ \t\r\v\f\n]", text)


def features_of(text: bytes) -> list[int]:
    """Slow and plain: every token, and every token with the one before it."""
    features, last = [], 0x9E3779B97F4A7C15
    for value in map(token_hash, tokens_of(text)):
        pair = mixed((last * 0x9FB21C651E98DF25 + value) & MASK)
        features += [value >> (64 - BITS), pair >> (64 - BITS)]
        last = value
    return features


def unmatched_share(text: bytes) -> float:
    """Of each kind by itself: openers that nothing closes, and closers of what is not open."""
    unmatched = total = 0
    for opener, closer in (b"()", b"[]", b"{}"):
        open_now = 0
        for byte in text:
            total += byte in (opener, closer)
            if byte == opener:
                open_now += 1
            elif byte == closer:
                unmatched += open_now == 0
                open_now = max(0, open_now - 1)
        unmatched += open_now
    return unmatched / max(1, total)


def shape_of(text: bytes) -> dict[str, float]:
    tokens, lines = tokens_of(text), text.split(b"\n")
    words = [token for token in tokens if re.match(rb"[A-Za-z0-9_\x80-\xff]", token)]
    hashes = [0x9E3779B97F4A7C15, *map(token_hash, tokens)]
    pairs = [mixed((a * 0x9FB21C651E98DF25 + b) & MASK) for a, b in pairwise(hashes)]
    new_words = len({token_hash(word) >> 50 for word in words})
    size, many = max(len(text), 1), max(len(words), 1)

    def share(pattern: bytes) -> float:
        return len(re.findall(pattern, text)) / size

    return {
        "log_bytes": math.log1p(len(text)),
        "log_lines": math.log1p(len(lines)),
        "log_mean_line": math.log1p(len(text) / len(lines)),
        "log_rms_line": math.log1p(math.sqrt(sum(len(x) ** 2 for x in lines) / len(lines))),
        "log_longest_line": math.log1p(max(map(len, lines))),
        "blank_line_share": sum(not re.search(rb"[^ \t\r\v\f]", x) for x in lines) / len(lines),
        "indent_share": sum(len(token) - 1 for token in tokens if token[:1] == b"\n") / size,
        "lower_share": share(rb"[a-z]"),
        "upper_share": share(rb"[A-Z]"),
        "digit_share": share(rb"[0-9]"),
        "underscore_share": share(rb"_"),
        "non_ascii_share": share(rb"[\x80-\xff]"),
        "space_share": share(rb"[ \t\r\v\f]"),
        "newline_share": share(rb"\n"),
        "punctuation_share": share(rb"[!-/:-@\[-^`{-~]"),
        "control_share": share(rb"[\x00-\x08\x0e-\x1f\x7f]"),
        "log_mean_word": math.log1p(sum(map(len, words)) / many),
        "words_per_byte": len(words) / size,
        "tokens_per_byte": len(tokens) / size,
        "new_word_share": new_words / many,
        "new_pair_share": len({pair >> 48 for pair in pairs}) / max(len(tokens), 1),
        "log_new_words": math.log1p(new_words),
        "unmatched_bracket_share": unmatched_share(text),
    }


def a_student(slots: int = 15) -> LinearStudent:
    random = np.random.default_rng(7)

    def normal(*shape: int) -> np.ndarray:
        return random.standard_normal(shape, dtype=np.float32)

    size = len(hashing.SHAPE)
    return LinearStudent(
        slots,
        normal(1 << BITS, 16),
        normal(size, 16),
        np.abs(normal(size)),
        np.abs(normal(size)) + 0.1,
        normal(16),
    )


def score_slowly(student: LinearStudent, text: bytes) -> np.ndarray:
    features = features_of(text)
    table = student.table.astype(np.float64)
    mean = table[features].mean(axis=0) if features else np.zeros(16)
    shape = np.array([shape_of(text)[name] for name in hashing.SHAPE])
    deviations = np.clip((shape - student.shape_centre) / student.shape_scale, -6, 6)
    return (student.bias + mean + deviations @ student.shape_weights)[: student.slots]


def binary(texts: list[bytes | None]) -> pa.Array:
    return pa.array(texts, pa.binary())


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: repr(text[:20]))
def test_a_score_is_what_plain_python_makes_of_the_same_features(text: bytes) -> None:
    student = a_student()
    found = score(student, binary([text]))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], score_slowly(student, text), rtol=1e-4, atol=1e-4)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.text(st.characters(codec="utf-8") | st.sampled_from("\n\n    ab_(#\t")), max_size=5)
)
def test_training_and_scoring_see_the_features_plain_python_sees(texts: list[str]) -> None:
    data = [text.encode() for text in texts]
    bounds, features, shares, shapes = hashing.hash_documents(*utf8_spans(binary(data)), BITS)
    shapes_again = hashing.mean_rows(*utf8_spans(binary(data)), a_student().table, BITS)[1]
    for row, text in enumerate(data):
        span = slice(bounds[row], bounds[row + 1])
        expected, counts = np.unique(np.array(features_of(text), np.int64), return_counts=True)
        np.testing.assert_array_equal(features[span], expected)
        np.testing.assert_allclose(shares[span], counts / max(counts.sum(), 1), rtol=1e-6)
        shape = shape_of(text)
        np.testing.assert_allclose(shapes[row], [shape[name] for name in hashing.SHAPE], atol=1e-9)
        np.testing.assert_array_equal(shapes[row], shapes_again[row])


def test_hashes_and_shapes_are_those_of_version_2() -> None:
    """Students in use were trained on these numbers: to change them is a new VERSION."""
    found = hashing.hash_documents(*utf8_spans(binary(["Def f(x):\n  é".encode()])), 18)[1]
    assert hashing.VERSION == 2
    assert len(hashing.SHAPE) == 23
    assert found.tolist() == GOLDEN


def test_case_is_folded_in_words_and_indents_are_told_apart() -> None:
    assert features_of(b"DEF") == features_of(b"def")
    student = a_student()
    one, two = score(student, binary([b"a\n  b", b"a\n   b"]))
    assert not np.array_equal(one, two)


def test_every_arrow_type_slice_and_chunk_gives_the_same_scores() -> None:
    student = a_student()
    texts = ["", "first text", "zwei\nZeilen", "три", "x = 1"]
    expected = score(student, pa.array(texts))
    for kind in (pa.large_string(), pa.binary(), pa.large_binary()):
        np.testing.assert_array_equal(
            score(student, pa.array(texts, pa.string()).cast(kind)), expected
        )
    padded = pa.array(["noise", *texts, "more noise"])
    np.testing.assert_array_equal(score(student, padded.slice(1, 5)), expected)
    chunks = pa.chunked_array([texts[:2], [], texts[2:]], pa.string()).chunks
    found = np.concatenate([score(student, chunk) for chunk in chunks])
    np.testing.assert_array_equal(found, expected)


def test_a_null_is_an_empty_text_whatever_lies_under_it() -> None:
    student = a_student()
    valid = pa.array([True, False, True]).buffers()[1]
    full = pa.array(["one", "hidden", "three"])
    under = pa.Array.from_buffers(pa.string(), 3, [valid, *full.buffers()[1:]])
    assert under.to_pylist() == ["one", None, "three"]
    expected = score(student, pa.array(["one", "", "three"]))
    np.testing.assert_array_equal(score(student, under), expected)
    np.testing.assert_array_equal(score(student, under.slice(1)), expected[1:])
    np.testing.assert_array_equal(
        score(student, pa.array([None, None], pa.string())), expected[[1]].repeat(2, 0)
    )


def test_a_score_does_not_depend_on_the_texts_beside_it() -> None:
    student = a_student()
    together = score(student, binary(TEXTS))
    backwards = score(student, binary(TEXTS[::-1]))[::-1]
    alone = np.concatenate([score(student, binary([text])) for text in TEXTS])
    np.testing.assert_array_equal(together, backwards)
    np.testing.assert_array_equal(together, alone)


def test_no_texts_give_no_scores() -> None:
    assert score(a_student(15), pa.array([], pa.string())).shape == (0, 15)
    assert score(a_student(3), pa.array(["a", "b"])).shape == (2, 3)


def test_batches_hold_every_row_once() -> None:
    rows = np.concatenate([batch.rows for batch in a_student().encode(binary(TEXTS))])
    assert sorted(rows.tolist()) == list(range(len(TEXTS)))


def test_texts_of_another_type_are_refused() -> None:
    with pytest.raises(
        TypeError, match=r"^texts are int64, expected string, large_string or binary$"
    ):
        score(a_student(), pa.array([1, 2]))


def test_one_strange_share_moves_a_score_only_so_far() -> None:
    student = a_student()
    narrow = LinearStudent(
        15, student.table * 0, student.shape_weights, student.shape_centre,
        np.full(len(hashing.SHAPE), 1e-7, np.float32), student.bias * 0,
    )  # fmt: skip
    limit = 6 * np.abs(student.shape_weights).sum(axis=0).max()
    assert np.abs(score(narrow, binary(TEXTS))).max() <= limit


def test_import_compiles_nothing_starts_no_thread_and_needs_no_torch_spark_or_mlflow() -> None:
    program = """
import sys, threading
from mira_spark.distillation import cells, training
from mira_spark.students import artefact, calibration, hashing, quality
assert not hashing.mean_rows.signatures and not hashing.hash_documents.signatures
assert threading.active_count() == 1
print(sorted({"torch", "pyspark", "mlflow", "transformers"} & set(sys.modules)))
"""
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout == "[]\n"


def test_scoring_works_from_a_zip_where_nothing_can_be_written(tmp_path: Path) -> None:
    """As on an executor: `--py-files mira_spark.zip`, no home, no place for compiled code."""
    package = Path(hashing.__file__).parents[1]
    archive = shutil.make_archive(str(tmp_path / "mira"), "zip", package.parent, package.name)
    program = f"""
import sys
sys.path.insert(0, {archive!r})
import mira_spark.students.hashing as hashing
import numpy as np
assert hashing.__file__.startswith({archive!r})
data = np.frombuffer(b"Def f(x):\\n  \\xc3\\xa9", np.uint8)
print(hashing.hash_documents(data, np.array([0]), np.array([len(data)]), 18)[1].tolist())
"""
    environment = {"HOME": "/dev/null/none", "PATH": os.environ["PATH"]}
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment
    )
    assert (found.stdout, found.stderr) == (f"{GOLDEN}\n", "")


def test_executors_load_and_score_without_scikit_learn() -> None:
    program = """
import sys
from mira_spark.students import artefact, calibration, quality
print(sorted({"sklearn", "torch"} & set(sys.modules)))
"""
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout == "[]\n"


def unmatched(text: str) -> float:
    _, _, _, shapes = hashing.hash_documents(*utf8_spans(pa.array([text])), 14)
    return float(shapes[0, hashing.SHAPE.index("unmatched_bracket_share")])


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("", 0.0),
        ("no bracket at all", 0.0),
        ("f(a[1], {2: (3)})", 0.0),
        ("(]", 1.0),
        ("f(x", 1.0),
        (") closes nothing", 1.0),
        (") and (", 1.0),
        ("(a) (b", 1 / 3),
        ("(a) b)", 1 / 3),
        ("[a] {b} (c", 1 / 5),
    ],
)
def test_brackets_that_close_nothing_or_stay_open_are_a_share_of_all(
    text: str, share: float
) -> None:
    assert unmatched(text) == pytest.approx(share)


def test_dropping_half_of_the_brackets_raises_their_share() -> None:
    code = "def f(a, b=(1, 2)):\n    return {a: [b[0], g(h(a))]}\n" * 20
    random = np.random.default_rng(0)
    dropped = "".join(c for c in code if c not in "()[]{}" or random.random() < 0.5)
    assert unmatched(code) == 0
    assert unmatched(dropped) > 0.05
