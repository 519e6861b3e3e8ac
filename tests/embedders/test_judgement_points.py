"""What the embedders make of judgement points that mean the same in other words."""

import numpy as np

from mira_spark.corpus.embedding import embed
from mira_spark.embedders.encoder import encoder_embedder
from mira_spark.settings.embedder import EmbedderSettings
from tests.benchmarks.students import minilm
from tests.embedders.judgement_points import WORDINGS, agreement, points


def test_an_encoder_puts_points_of_one_dimension_together_better_than_hashed_words() -> None:
    assert len({text for _, text in points()}) == len(points()) >= 150
    assert len(WORDINGS) == 15
    encoder = encoder_embedder(EmbedderSettings(kind="encoder", model=minilm(), max_tokens=64))
    hashed, encoded = agreement(embed), agreement(encoder)
    assert encoded >= hashed + 0.2, f"ARI {encoded:.3f} against {hashed:.3f}"


def test_equal_texts_have_equal_vectors_of_unit_length() -> None:
    encoder = encoder_embedder(EmbedderSettings(kind="encoder", model=minilm(), max_tokens=64))
    _, texts = zip(*points()[:6], strict=True)
    vectors = encoder([*texts, texts[0]])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(vectors[0], vectors[-1], atol=1e-6)
