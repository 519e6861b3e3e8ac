"""How an encoder's batches are made and its model compiled."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from mira_spark.scoring import batches
from mira_spark.scoring.scorer import load_student
from mira_spark.settings.scoring import ScoringSettings
from mira_spark.students import encoder
from mira_spark.students.encoder import EncoderStudent
from mira_spark.students.protocol import Batching, score
from tests.benchmarks import shapes
from tests.quality_tables import a_table
from tests.scoring.test_batches import a_manifest, written

MOST = 96
TEXTS = [f"def function_{i}(x):\n    return x * {i}\n" * (1 + i % 7) for i in range(60)]


@pytest.fixture(scope="module")
def student() -> EncoderStudent:
    return shapes.student("small", TEXTS, MOST, 3)


@pytest.mark.parametrize("tokens", [64, 1_000])
def test_no_batch_is_over_the_tokens_that_were_asked_for(
    student: EncoderStudent, tokens: int
) -> None:
    small, texts = student.batched(Batching(tokens)), pa.array(TEXTS)
    for batch in small.encode(texts):
        assert batch.inputs["ids"].size <= tokens or len(batch.rows) == 1
    np.testing.assert_allclose(score(small, texts), score(student, texts), atol=2e-5)


@pytest.mark.long
def test_a_compiled_encoder_scores_the_same_and_is_compiled_once_for_all_layers_and_shapes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(encoder, "BACKEND", "aot_eager")
    own = shapes.student("small", TEXTS, MOST, 3)
    plain, texts = score(own, pa.array(TEXTS)), pa.array(TEXTS)
    compiled = own.batched(Batching(400, compiled=True))
    assert len({batch.inputs["ids"].shape for batch in compiled.encode(texts)}) > 5
    torch._dynamo.utils.counters.clear()
    np.testing.assert_allclose(score(compiled, texts), plain, atol=2e-5)
    np.testing.assert_allclose(score(compiled, texts.slice(0, 17)), plain[:17], atol=2e-5)
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert 0 < graphs <= 4, "with and without a mask, of one document or more"
    assert compiled.tensors().keys() == own.tensors().keys()


def test_the_settings_reach_the_student_that_scores(
    student: EncoderStudent, tmp_path: Path
) -> None:
    anchors = a_manifest(quality=a_table((True,) * 3))
    scorer = written(tmp_path / "student", student, anchors)  # type: ignore[arg-type]
    chosen = ScoringSettings(batch_tokens=300)
    loaded, _ = load_student(scorer, batches.batching(chosen))
    assert isinstance(loaded, EncoderStudent)
    assert loaded.batching == Batching(300, compiled=False)
    assert max(b.inputs["ids"].size for b in loaded.encode(pa.array(TEXTS))) <= 300
