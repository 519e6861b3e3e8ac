"""The embedder of a run, as the settings say, and whether it could be opened."""

import contextlib
import os
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from mira_spark.corpus.embedder_ids import embedder_id
from mira_spark.corpus.embedding import HASHING, Embedder, embed
from mira_spark.embedders.endpoint import EndpointEmbedder
from mira_spark.embedders.stored import stored_embedder
from mira_spark.judges.calls import secret
from mira_spark.judges.calls.desk import Desk
from mira_spark.judges.calls.pacing import Pacer
from mira_spark.judges.calls.prices import price_of
from mira_spark.judges.openai_embeddings import OpenAIEmbeddings
from mira_spark.labels import desks, judge_calls
from mira_spark.lake.tables import Lakehouse
from mira_spark.settings.embedder import EmbedderSettings
from mira_spark.settings.judge import JudgeSettings

FIRST_TEXT = "mira_spark"
"""A text that is embedded first: so an endpoint that cannot be used is known before it, or a judge,
is asked for more."""


def check_embedder(settings: EmbedderSettings, judge: JudgeSettings) -> None:
    """InputError or ConfigError when the embedder could not be opened: no folder, key, library,
    address or price. Nothing is sent, and no model is loaded."""
    embedder_id(settings)
    if settings.kind == "openai":
        _server(settings)
        price_of(settings.model or "", judge.prices)


@contextlib.contextmanager
def open_embedder(
    lake: Lakehouse,
    settings: EmbedderSettings,
    judge: JudgeSettings,
    folder: Path,
    run_id: str,
    beside: Desk | None = None,
) -> Iterator[Embedder]:
    """The embedder of one run of a step. What an encoder or an endpoint embeds is kept in
    `embeddings` and not embedded again.

    An endpoint is asked at a desk of its own or, where the run has one for its judge, `beside` it.
    Raises what `check_embedder`, `encoder_embedder` and `EndpointEmbedder` do.
    """
    if settings.kind == "hashing":
        yield embed
    elif settings.kind == "encoder":
        from mira_spark.embedders.encoder import encoder_embedder  # torch takes seconds

        yield stored_embedder(lake, embedder_id(settings), encoder_embedder(settings), run_id)
    else:
        server, price = _server(settings), price_of(settings.model or "", judge.prices)
        pacer = Pacer(judge.pacing, random.Random())
        opened = (
            desks.open_judge_desk(lake, judge, folder, server, price, run_id)
            if beside is None
            else beside.beside(server, price, pacer)
        )
        with opened as desk:
            recorded = partial(judge_calls.answers, lake, None)
            endpoint = EndpointEmbedder(server, desk, recorded, settings.max_characters)
            stored = stored_embedder(lake, embedder_id(settings), endpoint, run_id)
            endpoint.width = stored([FIRST_TEXT]).shape[1]
            yield stored


def named_embedder(embedder_id: str) -> dict[str, str]:
    """The embedder among the inputs of a step; hashed words, the default, are not named."""
    return {} if embedder_id == HASHING else {"embedder": embedder_id}


def _server(settings: EmbedderSettings) -> OpenAIEmbeddings:
    return OpenAIEmbeddings(settings, secret.read(settings.secret, os.environ))
