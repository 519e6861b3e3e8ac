"""DSIR: how much likelier a document is in a target set than in the corpus, by hashed n-grams.

Xie et al. 2023, arXiv 2302.03169, section 3, with the constants of the package `data-selection`
1.0.3: words and pairs of words, 10,000 buckets, 1e-8 added to every share. A text is cut into words
as NLTK's WordPunctTokenizer cut it up to 3.9, by Python's `re`; NLTK 3.10 cuts by `regex`, to which
combining marks belong to a word.
"""

import functools
import hashlib
import re
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mira_spark.students.protocol import strings

FEATURES_VERSION = 1
"""Of how texts are cut and n-grams hashed: what was fitted by another is not read with this one."""
NGRAM_BUCKETS = 10_000
SMOOTHING = 1e-8
_MEMORY = 1 << 18  # n-grams whose bucket a process remembers: about 40 MB
_WORD = re.compile(r"\w+|[^\w\s]+")
BUCKET_ROWS_DDL = "bucket int, ngrams bigint"
NgramCounts = npt.NDArray[np.int64]
LogRatios = npt.NDArray[np.float64]


def words(text: str) -> Iterator[str]:
    """Runs of letters, digits and underscores, and runs of other signs, in lower case."""
    return (match[0] for match in _WORD.finditer(text.lower()))


def bucket_counts(texts: Iterable[str]) -> NgramCounts:
    """How often an n-gram of each bucket is in the texts, int64 [NGRAM_BUCKETS]."""
    counts = np.zeros(NGRAM_BUCKETS, np.int64)
    for text in texts:
        counts += np.bincount(_buckets(text), minlength=NGRAM_BUCKETS)
    return counts


def bucket_rows(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """`bucket_counts` of the column `text` of all batches, one row for each bucket."""
    counts = np.zeros(NGRAM_BUCKETS, np.int64)
    for batch in batches:
        counts += bucket_counts(strings(batch.column("text")))
    buckets = pa.array(np.arange(NGRAM_BUCKETS, dtype=np.int32))
    yield pa.RecordBatch.from_arrays([buckets, pa.array(counts)], ["bucket", "ngrams"])


def log_ratios(target: NgramCounts, corpus: NgramCounts) -> LogRatios:
    """For each bucket the log of its share in the target set over that in the corpus, float64
    [NGRAM_BUCKETS], from the `bucket_counts` of both."""
    in_target, in_corpus = (counts / counts.sum() + SMOOTHING for counts in (target, corpus))
    return np.asarray(np.log(in_target) - np.log(in_corpus))


def log_weight(text: str, ratios: LogRatios) -> float:
    """The log of the document's importance weight, in nats: the sum of `log_ratios` over its
    n-grams. It grows with the length of the text, either way."""
    return float(ratios[_buckets(text)].sum())


def _buckets(text: str) -> NgramCounts:
    """The bucket of every n-gram of the text."""
    return np.fromiter(map(_bucket, _ngrams(text)), np.int64)


def _ngrams(text: str) -> Iterator[str]:
    before = None
    for word in words(text):
        yield word
        if before is not None:
            yield f"{before} {word}"
        before = word


@functools.lru_cache(maxsize=_MEMORY)
def _bucket(ngram: str) -> int:
    return int.from_bytes(hashlib.sha256(ngram.encode(errors="replace")).digest()) % NGRAM_BUCKETS
