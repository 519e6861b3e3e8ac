"""Texts as unit vectors; without a model: hashed words and signs, no download."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

DIMENSIONS = 1024
HASHING = "hashing"
"""The id of `embed`, see `embedder_ids`."""

Vectors = npt.NDArray[np.float32]

Embedder = Callable[[Sequence[str]], Vectors]
"""Texts to a row for each, of unit length or zero; equal texts have equal rows."""


def embed(texts: Sequence[str]) -> Vectors:
    """[texts, DIMENSIONS], each row of unit length (or zero for a text without words).

    Words, single signs and line starts with their indent are hashed with alternating sign and
    their counts damped by a square root, so that code, prose and data differ by their signs and
    documents of one kind by their words.
    """
    from sklearn.feature_extraction.text import HashingVectorizer  # seconds to import

    hashing = HashingVectorizer(
        n_features=DIMENSIONS, token_pattern=r"\w+|[^\w\s]|\n *", norm=None, dtype=np.float32
    )
    counts = hashing.transform(texts)
    counts.data = np.sign(counts.data) * np.sqrt(np.abs(counts.data))
    return unit_vectors(np.asarray(counts.todense(), dtype=np.float32))


def unit_vectors(vectors: Vectors) -> Vectors:
    """The rows at length one; rows of zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True).astype(np.float32)
    lengths[lengths == 0] = 1
    scaled: Vectors = np.divide(vectors, lengths)
    return scaled
