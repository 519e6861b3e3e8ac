"""A transformers encoder on this machine: the mean of a text's last hidden states, unit length."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import torch

from mira_spark.corpus.embedder_ids import encoder_folder
from mira_spark.corpus.embedding import Embedder, Vectors, unit_vectors
from mira_spark.distillation.encoder import untrained
from mira_spark.settings.embedder import EmbedderSettings
from mira_spark.settings.students import EncoderSettings
from mira_spark.students import encoder


def encoder_embedder(settings: EmbedderSettings) -> Embedder:
    """The embedder, loaded as an encoder student is: safetensors alone, no code of the folder, on
    the GPU where there is one. A text without a token has zeros.

    InputError or ArtefactError where the folder is not of an encoder, or memory is too small.
    """
    folder = encoder_folder(settings)
    chosen = EncoderSettings(model=str(folder), max_tokens=settings.max_tokens)
    student = untrained(1, chosen)

    def embed(texts: Sequence[str]) -> Vectors:
        vectors = np.zeros((len(texts), student.heads.shape[1]), np.float32)
        with torch.inference_mode():
            for batch in student.encode(pa.array(texts, pa.string())):
                vectors[batch.rows] = encoder.pooled(student.model, batch).cpu().numpy()
        return unit_vectors(vectors)

    return embed
