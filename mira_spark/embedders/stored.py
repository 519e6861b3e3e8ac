"""The table `embeddings`: what was embedded is not embedded again."""

import hashlib
from collections.abc import Sequence

import numpy as np
from pyspark.sql import functions as F

from mira_spark.corpus.embedding import Embedder, Vectors
from mira_spark.lake.tables import Lakehouse

LOOKED_UP_TOGETHER = 1_024
"""Texts that are looked up together, and whose new vectors are one commit: what a run that is
killed has to embed again."""


def stored_embedder(lake: Lakehouse, embedder_id: str, embedder: Embedder, run_id: str) -> Embedder:
    """The embedder, asked for the vectors alone that the table does not have under its id."""

    def embed(texts: Sequence[str]) -> Vectors:
        starts = range(0, len(texts), LOOKED_UP_TOGETHER)
        return np.concatenate([embed_slice(texts[i : i + LOOKED_UP_TOGETHER]) for i in starts])

    def embed_slice(texts: Sequence[str]) -> Vectors:
        """The vectors of so few texts that one commit holds those that are new."""
        by_hash = {text_hash(text): text for text in texts}
        vectors = known_vectors(lake, embedder_id, list(by_hash))
        missing = [each for each in by_hash if each not in vectors]
        if missing:
            new = embedder([by_hash[each] for each in missing])
            rows = [
                {"embedder": embedder_id, "text_hash": each, "vector": vector.tolist()}
                for each, vector in zip(missing, new, strict=True)
            ]
            lake.append_rows([row | {"run_id": run_id} for row in rows], "embeddings", run_id)
            vectors |= dict(zip(missing, new, strict=True))
        return np.stack([vectors[text_hash(text)] for text in texts])

    return embed


def known_vectors(
    lake: Lakehouse, embedder_id: str, hashes: Sequence[bytes]
) -> dict[bytes, Vectors]:
    """Those of the hashes that the embedder has a vector for, each with it."""
    rows = lake.read("embeddings").filter(F.col("embedder") == embedder_id)
    rows = rows.filter(F.col("text_hash").isin(list(hashes)))
    found = rows.select("text_hash", "vector").collect()
    return {bytes(row["text_hash"]): np.array(row["vector"], np.float32) for row in found}


def text_hash(text: str) -> bytes:
    """The first 16 bytes of the SHA-256 of a text."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()[:16]
