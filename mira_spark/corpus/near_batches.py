"""What executors do to find near-duplicates: batches of rows in, batches out, for `mapInArrow`.

Plain Python, no Spark. Each function keeps at most a batch and what the next one needs of it.
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mira_spark.corpus.shingles import MinHash, band_values, jaccard, shingle_set

_Batches = Iterator[pa.RecordBatch]

MEMBERS = 8
"""With so many texts of a band, the first by hash, each text of it is compared."""
PART_TEXTS = 4096
"""So many texts of a band, at most, are compared with one text in one task."""
BANDS_DDL = "content_hash binary, bands array<bigint>"
PAIRS_DDL = "earlier binary, later binary, part int"
SIMILARITIES_DDL = "earlier binary, later binary, similarity double"


def bands_of_texts(by: MinHash) -> Callable[[_Batches], _Batches]:
    """From rows (content_hash, text) those of BANDS_DDL, one for each."""

    def run(batches: _Batches) -> _Batches:
        for batch in batches:
            values = [band_values(text.as_py(), by) for text in batch["text"]]
            if values:
                ends = np.cumsum([0, *map(len, values)], dtype=np.int32)
                bands = pa.ListArray.from_arrays(ends, np.concatenate(values))
                yield pa.record_batch(
                    [batch["content_hash"], bands], names=["content_hash", "bands"]
                )

    return run


def pairs_of_bands(batches: _Batches) -> _Batches:
    """From rows (band, content_hash) in this order, all of a band among them, those of PAIRS_DDL:
    each text with the first MEMBERS of its band. `part` numbers the runs of PART_TEXTS texts."""
    band, seen = None, 0
    firsts = pa.array([], pa.binary())
    for batch in batches:
        if not batch.num_rows:
            continue
        bands = batch["band"].to_numpy()
        hashes = pa.concat_arrays([firsts, batch["content_hash"].cast(pa.binary())])
        begins, places = _places(bands, band, seen, len(firsts))
        yield from _pairs(hashes, begins, places)
        band, seen = bands[-1], int(places[-1]) + 1
        firsts = hashes.slice(begins[-1], min(seen, MEMBERS))


def _places(
    bands: npt.NDArray[np.int64], band: int | None, seen: int, before: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Of each row the place among the rows of its band, and where the band's first is; `before`
    rows of the batch before, which ended with the band `band` and `seen` rows of it, precede."""
    is_first = np.empty(len(bands), bool)
    is_first[0] = bands[0] != band
    is_first[1:] = bands[1:] != bands[:-1]
    rows = np.arange(len(bands))
    starts = np.maximum.accumulate(np.where(is_first, rows, -1))
    goes_on = starts < 0
    begins = np.where(goes_on, 0, before + starts)
    places = np.where(goes_on, seen + rows, rows - starts)
    return begins, places


def _pairs(
    hashes: pa.Array, begins: npt.NDArray[np.int64], places: npt.NDArray[np.int64]
) -> _Batches:
    """The rows of the last `len(begins)` hashes with each of the MEMBERS from where their band
    begins."""
    own = np.arange(len(hashes) - len(begins), len(hashes))
    for member in range(MEMBERS):
        is_later = places > member
        if is_later.any():
            yield pa.record_batch(
                [
                    hashes.take(pa.array(begins[is_later] + member)),
                    hashes.take(pa.array(own[is_later])),
                    pa.array(places[is_later] // PART_TEXTS, pa.int32()),
                ],
                names=["earlier", "later", "part"],
            )


def similarities(words: int) -> Callable[[_Batches], _Batches]:
    """From rows (earlier, later, text), those of one `earlier` together and its own text first,
    whose `later` is null, the rows of SIMILARITIES_DDL, one for each other."""

    def run(batches: _Batches) -> _Batches:
        own = np.zeros(0, np.uint64)
        for batch in batches:
            values = []
            for later, text in zip(batch["later"], batch["text"], strict=True):
                shingles = shingle_set(text.as_py(), words)
                if later.is_valid:
                    values.append(jaccard(own, shingles))
                else:
                    own = shingles
            pairs = batch.filter(batch["later"].is_valid()).select(["earlier", "later"])
            columns = [*pairs.columns, pa.array(values, pa.float64())]
            yield pa.record_batch(columns, names=["earlier", "later", "similarity"])

    return run
