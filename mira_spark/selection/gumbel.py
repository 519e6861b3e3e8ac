"""Noise in what documents compete by, so that a selection is a sample and not only the best.

With Gumbel noise g made of each document's hash, the documents with the greatest
score + temperature x g are a sample without replacement in which a document is drawn with a
probability in proportion to exp(score / temperature): the Gumbel top-k trick (Kool, van Hoof and
Welling, 2019), by which QuRating (Wettig et al., 2024) selects.

Everything is in integers but the two logarithms, of which no value of the 65,536 there are lies so
near to the next thousandth that two machines could round it differently.
"""

from math import floor, log

from mira_spark.lake.scale import FULL_SCALE, POINT

_VALUES = 2**16
_LEAST, _MOST = -2_467, 11_783
"""Of the noise of any document, thousandths."""


def gumbel(tie_hash: int) -> int:
    """The Gumbel noise of the document with this hash, in thousandths: the quantile that the last
    16 bits of the hash are."""
    quantile = (2 * (tie_hash % _VALUES) + 1) / (2 * _VALUES)
    return floor(0.5 - 1000 * log(-log(quantile)))


def gumbel_sql(tie_hash: str) -> str:
    """`gumbel` as SQL, of the hash that an expression gives."""
    quantile = f"(2 * ({tie_hash} & {_VALUES - 1}) + 1) / {2 * _VALUES}D"
    return f"floor(0.5D - 1000D * ln(-ln({quantile})))"


def noisy_level_sql(level: str, tie_hash: str, scale: int) -> str:
    """SQL: the levels from 0 to 10,000 that documents compete by with noise, in place of those that
    they compete by without; `scale` is the temperature in thousandths of a point.

    score + temperature x noise, brought to the whole of 0 to 10,000 and rounded down.
    """
    if not scale:
        return level
    place = f"({POINT} * {level} + {scale} * ({gumbel_sql(tie_hash)} - ({_LEAST})))"
    return f"{place} * {FULL_SCALE} div {POINT * FULL_SCALE + scale * (_MOST - _LEAST)}"
