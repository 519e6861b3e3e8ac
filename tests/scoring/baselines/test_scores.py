"""What runs on executors: a score or a reason for every document, by the very baseline made."""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mira_spark.errors import ArtefactError
from mira_spark.judges.heuristic.judge import PROPERTY_NAMES, label
from mira_spark.scoring.baselines import dsir, ngram_model, saved, scores
from mira_spark.scoring.baselines.saved import SavedBaseline
from mira_spark.scoring.scorer import Scorer
from mira_spark.students.protocol import USUAL

TEXTS = ["The sun is up.", " \n", "def f(x):\n    return x\n" * 5, "the sea"]


def rows(texts: list[str]) -> pa.RecordBatch:
    columns = {
        "doc_id": [f"doc {i}" for i in range(len(texts))],
        "source": ["web"] * len(texts),
        "bucket": pa.array(range(len(texts)), pa.int16()),
        "content_hash": [b"0"] * len(texts),
        "n_tokens": [1] * len(texts),
        "text": texts,
    }
    return pa.RecordBatch.from_pydict(columns)


def scored(scorer: Scorer, texts: list[str]) -> list[tuple[float | None, str, str | None]]:
    batches = iter([rows(texts[:1]), rows(texts[1:])])
    table = pa.Table.from_batches(scores.score(scorer, 60, USUAL)(batches))
    assert (
        table["doc_id"].to_pylist()
        == rows(texts[:1])["doc_id"].to_pylist() + rows(texts[1:])["doc_id"].to_pylist()
    )
    columns = (table[name].to_pylist() for name in ("score", "status", "reason"))
    return list(zip(*columns, strict=True))


def laid(folder: Path, content: SavedBaseline) -> Scorer:
    return saved.lay(str(folder / "baselines"), content, folder)


def test_dsir_scores_are_log_weights(tmp_path: Path) -> None:
    ratios = dsir.log_ratios(dsir.bucket_counts(TEXTS[:1]), dsir.bucket_counts(TEXTS))
    scorer = laid(tmp_path, SavedBaseline({"baseline": "dsir"}, {"log_ratios": ratios}))
    expected = [(dsir.log_weight(text, ratios), "scored", None) for text in TEXTS]
    assert scored(scorer, TEXTS) == expected
    assert expected[1][0] == 0


def test_perplexities_are_log_likelihoods_and_a_text_without_words_has_a_reason(
    tmp_path: Path,
) -> None:
    model = ngram_model.train(TEXTS, 3)
    scorer = laid(tmp_path, SavedBaseline({"baseline": "perplexity"}, model.arrays()))
    found = scored(scorer, TEXTS)
    assert found[1] == (None, "quarantined", "it holds nothing that could be measured")
    assert [found[i][0] for i in (0, 2, 3)] == [
        model.mean_log_likelihood(TEXTS[i]) for i in (0, 2, 3)
    ]


def test_heuristics_are_the_mean_of_what_applies(tmp_path: Path) -> None:
    scorer = laid(tmp_path, SavedBaseline({"baseline": "heuristics"}, {}))
    code, bare = scored(scorer, [TEXTS[2], TEXTS[1]])
    points = [point.score for point in label(TEXTS[2], PROPERTY_NAMES) if point]
    assert code == (pytest.approx(np.mean(points)), "scored", None)
    assert bare == (None, "quarantined", "it holds nothing that could be measured")


def test_a_document_that_raises_is_alone() -> None:
    def by(text: str) -> float:
        return 1 / (len(text) - 1) if text else math.nan

    (found,) = (
        scores._score_rows(*each)
        for each in scores._by_text(iter([rows(["ab", "a", "", "abc"])]), by)
    )
    assert found["score"].to_pylist() == [1.0, None, None, 0.5]
    assert found["reason"].to_pylist() == [
        None, "ZeroDivisionError: division by zero", scores.NOTHING_MEASURED, None,
    ]  # fmt: skip


def test_equal_baselines_are_one_folder_and_others_another(tmp_path: Path) -> None:
    arrays = {"log_ratios": np.arange(3.0)}
    first, same = (laid(tmp_path, SavedBaseline({"b": 1}, arrays)) for _ in range(2))
    other = laid(tmp_path, SavedBaseline({"b": 1}, {"log_ratios": np.arange(4.0)}))
    assert first == same != other
    assert {path.name for path in (tmp_path / "baselines").iterdir()} == {
        first.student_id,
        other.student_id,
    }


def test_a_folder_that_was_changed_scores_nothing(tmp_path: Path) -> None:
    scorer = laid(tmp_path, SavedBaseline({"baseline": "heuristics"}, {}))
    (Path(scorer.artefact_uri) / "config.json").write_text('{"baseline": "dsir"}')
    with pytest.raises(ArtefactError, match=r"its digest is \w+, expected \w+"):
        scored(scorer, TEXTS)
    (Path(scorer.artefact_uri) / "config.json").unlink()
    with pytest.raises(ArtefactError, match="cannot be read"):
        scored(scorer, TEXTS)
