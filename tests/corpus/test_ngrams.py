"""N-grams of normalised words against plain Python, and that hashes alone decide nothing."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest

from mira_spark.corpus import ngram_kernels
from mira_spark.corpus.ngram_batches import DOCUMENT, ITEM, document_ngrams, item_ngrams
from mira_spark.corpus.ngrams import EVERY_NGRAM, distinct_ngrams, filter_bits
from mira_spark.corpus.word_characters import FIRST_BEYOND, character_table
from tests import contamination_oracle as oracle
from tests.contaminated_texts import planted

TEXTS = [*planted(200, 40).documents.values(), "", "one", "a b c d e", "x" * 70_000, "½ ﷺ e\u0301",
         "\U000e0101a\U000e0020b\U0010ffffc", "漢 字x漢ｶﾞ\u3005"]  # fmt: skip


def test_every_character_is_in_words_as_unicode_says() -> None:
    bounds, utf8 = character_table()
    everything = utf8.tobytes()
    wrong = []
    for code in range(FIRST_BEYOND):
        if not 0xD800 <= code < 0xE000:
            words = everything[bounds[code] : bounds[code + 1]].decode().split(" ")
            expected = oracle.words_and_places(f"{chr(code)}")[0]
            wrong += [hex(code)] * (list(filter(None, words)) != expected)
    assert wrong == []


@pytest.mark.parametrize("size", [1, 2, 5, 13])
def test_n_grams_and_where_they_begin_are_those_of_plain_python(size: int) -> None:
    found = distinct_ngrams(pa.array(TEXTS), [size])
    by_text: list[dict[oracle.Ngram, int]] = [{} for _ in TEXTS]
    places = zip(
        found.rows.tolist(), found.ngrams.to_pylist(), found.positions.tolist(), strict=True
    )
    for row, ngram, position in places:
        assert tuple(ngram.split(" ")) not in by_text[row], "each once"
        by_text[row][tuple(ngram.split(" "))] = position
    assert by_text == [oracle.ngrams(text, size) for text in TEXTS]
    assert found.words.tolist() == [len(oracle.words_and_places(text)[0]) for text in TEXTS]


def test_sizes_together_and_arrays_of_other_kinds_give_the_same() -> None:
    alone = [distinct_ngrams(pa.array(TEXTS), [size]) for size in (5, 13)]
    whole = pa.array(["before", *TEXTS, "behind"], pa.large_string())
    together = distinct_ngrams(whole.slice(1, len(TEXTS)), [5, 13])
    apart = Counter(
        (row, n) for each in alone for row, n in zip(each.rows, each.ngrams, strict=True)
    )
    assert Counter(zip(together.rows, together.ngrams, strict=True)) == apart
    assert len(distinct_ngrams(pa.array([], pa.string()), [5]).ngrams) == 0
    assert distinct_ngrams(pa.array([None, "a b"], pa.string()), [2]).words.tolist() == [0, 2]


def test_n_grams_of_one_hash_are_told_apart_by_their_words() -> None:
    out = np.frombuffer(b"a b a b c a b", np.uint8)
    begins = np.array([0, 2, 4, 6, 8, 10, 12, 14])
    firsts, keys = np.arange(6), np.zeros(6, np.uint64)
    count = ngram_kernels._distinct(out, begins, 2, (firsts, keys), 6)
    spelt = [out[begins[w] : begins[w + 2] - 1].tobytes() for w in firsts[:count]]
    assert (spelt, firsts[:count].tolist()) == ([b"a b", b"b a", b"b c", b"c a"], [0, 1, 3, 4])


def test_a_filter_lets_all_its_n_grams_pass_and_hardly_others() -> None:
    texts = pa.array(TEXTS)
    sought = distinct_ngrams(texts.slice(0, 60), [5])
    passing = np.zeros(1 << 14, np.int64)
    np.bitwise_or.at(passing, sought.hashes & ((1 << 14) - 1), filter_bits(sought.hashes))
    of_sought = set(sought.ngrams.to_pylist())
    through = set(distinct_ngrams(texts, [5], passing).ngrams.to_pylist())
    everything = set(distinct_ngrams(texts, [5]).ngrams.to_pylist())
    assert of_sought <= through <= everything
    assert len(through - of_sought) < 0.01 * len(everything - of_sought)
    assert 2 * len(of_sought) < len(everything)


def items(*texts: str) -> pa.RecordBatch:
    columns = {name: [f"{name} {place}" for place in range(len(texts))] for name in ITEM}
    return pa.record_batch(columns | {"text": list(texts)})


def numbered(count: int) -> str:
    return ", ".join(f"w{number}" for number in range(count))


def test_a_short_item_needs_its_share_and_a_long_one_a_single_n_gram() -> None:
    batch = items(numbered(13), numbered(14), numbered(12), numbered(9), numbered(8), numbered(5),
                  numbered(4), "", "a a a a a a a")  # fmt: skip
    found = pa.Table.from_batches(item_ngrams(iter([batch]), 13, 5, Fraction("0.8")))
    rows = {r["item_id"]: (r["ngrams"], r["needed"]) for r in found.to_pylist()}
    counts = Counter(found["item_id"].to_pylist())
    assert {place: rows.get(f"item_id {place}") for place in range(9)} == {
        0: (1, 1), 1: (2, 1), 2: (8, 7), 3: (5, 4), 4: (4, 4), 5: (1, 1), 6: None, 7: None,
        8: (1, 1),
    }  # fmt: skip
    assert all(counts[item_id] == ngrams for item_id, (ngrams, _) in rows.items())
    lengths = {n.count(" ") + 1 for n in found["ngram"].to_pylist()}
    assert lengths == {5, 13}


def test_of_documents_come_the_n_grams_that_pass_in_batches_that_spark_takes() -> None:
    texts = {"d 0": numbered(60_000), "d 1": "none", "d 2": numbered(20)}
    columns = {"doc_id": list(texts), "content_hash": [b"h"] * 3, "text": list(texts.values())}
    found = list(document_ngrams(iter([pa.record_batch(columns)]), [5, 13], EVERY_NGRAM))
    assert max(batch.num_rows for batch in found) <= 50_000 < sum(b.num_rows for b in found)
    assert {batch.schema.field("ngram").type for batch in found} == {pa.string()}
    assert found[0].schema.names == [*DOCUMENT, "ngram", "position"]
    counts = Counter(doc_id for batch in found for doc_id in batch["doc_id"].to_pylist())
    assert counts == {"d 0": 60_000 - 4 + 60_000 - 12, "d 2": 16 + 8}
