"""An endpoint that embeds, at a desk, over a real server on loopback: what cannot be used is told
and loses nothing else, and what is mended is asked again."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from mira_spark.corpus.embedding import Vectors, unit_vectors
from mira_spark.embedders.endpoint import EndpointEmbedder
from mira_spark.errors import JudgeError
from mira_spark.judges.calls.desk import Desk
from mira_spark.judges.calls.journal import Journal
from mira_spark.judges.calls.journal_file import CallRow
from mira_spark.judges.calls.pacing import Pacer
from mira_spark.judges.calls.secret import Secret
from mira_spark.judges.calls.spending import Spending
from mira_spark.judges.openai_embeddings import OpenAIEmbeddings
from mira_spark.judges.protocol import Answer
from mira_spark.settings.embedder import EmbedderSettings
from mira_spark.settings.judge import BudgetSettings, PacingSettings, Price
from tests.judge_faults import Fault, always
from tests.judge_stub import JudgeStub, by_words, text_code

KEY = "sk-canary-0123456789abcdef"
PRICE = Price(input=Decimal(1), output=Decimal(0), read_on=date(2026, 1, 1))
NAN = float("nan")


@dataclass
class Place:
    """A server, a journal, and `judge_calls` in memory; usable for one run after another."""

    stub: JudgeStub
    journal: Path
    max_characters: int = 6_000
    table: list[CallRow] = field(default_factory=list)

    def embed(self, texts: Sequence[str], width: int | None = None) -> Vectors:
        settings = EmbedderSettings(
            kind="openai", model="m-1", url=self.stub.url, hosts=("127.0.0.1",)
        )
        server = OpenAIEmbeddings(settings, Secret(KEY))
        pacer = Pacer(PacingSettings(base_s=0, in_flight=4), random.Random(0))
        with (
            Journal(self.journal, lambda opening, batch, rows, again: self.table.extend(rows)) as j,
            Desk(server, j, Spending(BudgetSettings(), PRICE), pacer, "run") as desk,
        ):
            embedder = EndpointEmbedder(server, desk, self.recorded, self.max_characters)
            embedder.width = width
            return embedder(texts)

    def recorded(self, keys: Sequence[str]) -> Mapping[str, Answer]:
        rows = (row for row in self.table if row.call_key in keys and row.outcome != "failed")
        return {
            row.call_key: Answer(row.raw_response, row.outcome or "answered", row.reason)
            for row in rows
        }

    def asked(self) -> Counter[str]:
        return Counter(call.code for call in self.stub.calls)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with JudgeStub() as stub:
        yield Place(stub, tmp_path / "judge.sqlite")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ([], "0 vectors for one text"),
        ([{"embedding": [1.0]}] * 2, "2 vectors for one text"),
        ([{"embedding": [1.0] * 31 + [NAN]}], "a vector with a number that is not finite"),
        ([{"embedding": [1.0] * 31}], "a vector of 31 numbers, should be 32"),
    ],
)
def test_a_vector_that_cannot_be_used_is_told_and_asked_for_again_when_the_server_is_mended(
    place: Place, data: object, what: str
) -> None:
    place.stub.faults = always(
        Fault("bad", "invalid", envelope=lambda envelope: envelope | {"data": data})
    )
    with pytest.raises(JudgeError) as caught:
        place.embed(["a text"], width=32)
    begin, _, end = str(caught.value).partition("; it begins ")
    assert begin == f"the embedder openai:m-1: 1 of 1 texts have no vector; 1 of 1: {what}"
    assert end.endswith(
        "; all are in judge_calls; check embedder.url, embedder.model and embedder.secret, then "
        "run the step again"
    )
    assert [(row.outcome, row.reason) for row in place.table] == [("invalid", what)]
    place.stub.faults = None
    assert place.embed(["a text"], width=32).shape == (1, 32)
    assert place.asked() == {text_code("a text"): 2}


def test_one_bad_vector_loses_no_other(place: Place) -> None:
    texts = ["one text", "a short one", "another text"]
    place.stub.vector = lambda text: by_words(text)[: 16 if "short" in text else 32]
    with pytest.raises(JudgeError, match="1 of 3 texts have no vector; 1 of 1: a vector of 16 "
                                         "numbers, should be 32"):  # fmt: skip
        place.embed(texts, width=32)
    place.stub.vector = by_words
    expected = unit_vectors(np.array([by_words(text) for text in texts], np.float32))
    np.testing.assert_allclose(place.embed(texts, width=32), expected, atol=1e-6)
    assert place.asked() == Counter(map(text_code, [*texts, "a short one"]))


def test_equal_texts_are_one_call(place: Place) -> None:
    vectors = place.embed(["one text", "another text", "one text"])
    np.testing.assert_array_equal(vectors[0], vectors[2])
    assert place.asked() == {text_code("one text"): 1, text_code("another text"): 1}


def test_of_a_long_text_the_begin_the_middle_and_the_end_are_sent(place: Place) -> None:
    place.max_characters = 120
    seen: list[str] = []
    place.stub.vector = lambda text: [float(bool(seen.append(text))), 1.0]
    place.embed(["a" * 500 + "m" * 500 + "z" * 500, "short"])
    (long,) = {text for text in seen if text != "short"}
    assert long.startswith("a" * 40 + "\n")
    assert "m" * 40 in long
    assert long.endswith("\n" + "z" * 40)
    assert len(long) < 200


def test_a_key_that_is_refused_stops_at_once_and_names_the_embedder_s_settings(
    place: Place,
) -> None:
    place.stub.faults = always(Fault("status_401", "failed", 401))
    with pytest.raises(JudgeError) as caught:
        place.embed([f"text {i}" for i in range(100)])
    assert str(caught.value).startswith("the embedder openai:m-1: 5 calls in a row were refused")
    assert "embedder.secret" in str(caught.value)
    assert len(place.stub.calls) < 10
    assert KEY not in str(place.table)
