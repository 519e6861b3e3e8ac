"""An endpoint that embeds texts, asked at a desk: journalled, paid for, paced as a judge's calls.

One text is one call: so it is paid once, whatever stands beside it in a sample.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mira_spark.corpus.embedding import Vectors, unit_vectors
from mira_spark.corpus.excerpts import CHARACTERS_PER_TOKEN, excerpt
from mira_spark.errors import JudgeError
from mira_spark.judges import prompts
from mira_spark.judges.calls.desk import Desk
from mira_spark.judges.calls.ledger import Ledger, answered
from mira_spark.judges.openai_embeddings import OpenAIEmbeddings, parse_vector
from mira_spark.judges.protocol import Answer, Request
from mira_spark.judges.unusable import summary

NO_GROUP = ""
"""The group of these calls in `judge_calls`: a text may be embedded before there are groups."""
EMBEDDINGS = "(embeddings)"
"""The source of these calls in `judge_calls`, and so for `judge.budget.per_source`: a call is about
a text, whichever documents have it."""
EMBEDDER_REMEDY = "check embedder.url, embedder.model and embedder.secret, then run the step again"


class EndpointEmbedder:
    """Texts to unit vectors. `recorded` gives those of the keys of calls that `judge_calls` has an
    answer to; `width` is how many numbers a vector must have, None: any.

    JudgeError when a text got no vector; the others' are kept. CapReached at a cap.
    """

    def __init__(
        self,
        server: OpenAIEmbeddings,
        desk: Desk,
        recorded: Callable[[Sequence[str]], Mapping[str, Answer]],
        max_characters: int,
    ) -> None:
        self._server, self._desk, self._recorded = server, desk, recorded
        self._window_tokens = max(1, max_characters // 3 // CHARACTERS_PER_TOKEN)
        self.width: int | None = None

    def __call__(self, texts: Sequence[str]) -> Vectors:
        requests = [self._request(text) for text in texts]
        ledger = Ledger(self._known, self._parse, lambda request: request, reasks=0)
        vectors: dict[str, Vectors] = {}
        unusable: list[Answer] = []
        try:
            for done in answered(requests, self._desk, ledger):
                if done.value is None:
                    unusable.append(done.answer)
                else:
                    vectors[done.call_key] = done.value
        except JudgeError as error:
            raise JudgeError(
                f"the embedder {self._server.name}: {error}; {EMBEDDER_REMEDY}"
            ) from error
        if unusable:
            raise JudgeError(
                f"the embedder {self._server.name}: {len(unusable):,} of {len(texts):,} texts have "
                f"no vector; {summary(unusable)}; all are in judge_calls; {EMBEDDER_REMEDY}"
            )
        return unit_vectors(np.stack([vectors[request.call_key] for request in requests]))

    def _request(self, text: str) -> Request:
        shown = excerpt(text, self._window_tokens)
        messages = (("input", shown),)
        key = prompts.call_key(self._server.identity, messages, {}, None, 0)
        return Request(key, "embed", key[:32], NO_GROUP, shown, (), messages, source=EMBEDDINGS)

    def _known(self, keys: Sequence[str]) -> Mapping[str, Answer]:
        """An answer that could not be used is none: the server may have been mended since."""
        recorded = self._recorded(keys)
        return {key: answer for key, answer in recorded.items() if answer.outcome == "answered"}

    def _parse(self, request: Request, body: str) -> Vectors:
        vector = parse_vector(body)
        if self.width not in (None, len(vector)):
            raise ValueError(f"a vector of {len(vector):,} numbers, should be {self.width:,}")
        return vector
