"""Encoders learn from labels: heads on a frozen one, or all of it, resumed where interrupted."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from mira_spark.distillation import fine_tuning
from mira_spark.distillation.encoder import train_encoder
from mira_spark.distillation.rank_correlation import rank_correlation
from mira_spark.distillation.training import predict
from mira_spark.errors import ArtefactError, InputError
from mira_spark.settings.students import EncoderSettings
from mira_spark.students import encoder, packing
from tests.encoders import an_encoder
from tests.object_store import BUCKET, object_store
from tests.staging import HELD_OUT, TRAIN, Row, held_out, learnt, staged

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]


def documents(count: int) -> list[Row]:
    """What is judged: how often two of the words stand in the text."""
    random = np.random.default_rng(1)
    rows: list[Row] = []
    for i in range(count):
        text = " ".join(random.choice(WORDS, 24, p=random.dirichlet(np.ones(8))))
        scores: list[int | None] = [min(10, text.count("alpha")), min(10, text.count("zeta")), 4]
        if i % 9 == 0:
            scores[1] = None
        split = HELD_OUT if i % 4 == 0 else 1 + i % 3
        rows.append((f"doc {i}", f"source {i % 2}", text, scores, split))
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return an_encoder(tmp_path_factory.mktemp("encoder"), [row[2] or "" for row in documents(50)])


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return staged(tmp_path_factory.mktemp("labels") / "shards", documents(400))


def ranks(shards: Path, student: encoder.EncoderStudent) -> list[float | None]:
    found = predict(student, held_out(shards))
    known = ~np.isnan(found.judged)
    return [
        rank_correlation(found.predicted[known[:, slot], slot], found.judged[known[:, slot], slot])
        for slot in range(2)
    ]


def test_heads_on_a_frozen_encoder_rank_unseen_documents(
    folder: Path, shards: Path, tmp_path: Path
) -> None:
    settings = EncoderSettings(model=str(folder))
    student = train_encoder(learnt(shards), 3, settings, tmp_path)
    assert all(rank is not None and rank > 0.6 for rank in ranks(shards, student))
    constant = predict(student, held_out(shards)).predicted[:, 2]
    np.testing.assert_allclose(constant, 4, atol=0.01)
    again = train_encoder(learnt(shards), 3, settings, tmp_path)
    assert torch.equal(student.heads, again.heads)
    assert torch.equal(student.bias, again.bias)


def test_the_frozen_solution_is_that_of_ridge_regression(
    folder: Path, shards: Path, tmp_path: Path
) -> None:
    """Labels that are a linear function of the states are found again, whatever is missing."""
    settings = EncoderSettings(model=str(folder))
    student = train_encoder(learnt(shards), 3, settings, tmp_path)
    texts = pa.array([row[2] for row in documents(400)])
    states = np.empty((400, 48), np.float32)
    for batch in student.encode(texts):
        states[batch.rows] = encoder.pooled(student.model, batch).detach().numpy()
    weights = np.random.default_rng(2).normal(size=48)
    points = states @ weights
    planted = 10 * (points - points.min()) / np.ptp(points)
    rows: list[Row] = [
        (row[0], row[1], row[2], [round(p * 100), None if i % 3 else round(p * 100)], row[4])
        for i, (row, p) in enumerate(zip(documents(400), planted, strict=True))
    ]
    student = train_encoder(learnt(staged(tmp_path / "planted", rows)), 2, settings, tmp_path)
    found = predict(student, held_out(tmp_path / "planted"))
    for slot in range(2):
        rank = rank_correlation(found.predicted[:, slot], planted[::4])
        assert rank is not None
        assert rank > 0.98


def test_with_no_row_aside_heads_do_not_learn_noise_by_heart(folder: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    rows: list[Row] = []
    for number, (_, source, text, _, _) in enumerate(documents(60)):
        split = TRAIN if number < 20 else HELD_OUT
        rows.append((f"doc {number}", source, text, [int(random.integers(0, 11))], split))
    settings = EncoderSettings(model=str(folder))
    student = train_encoder(learnt(staged(tmp_path / "noise", rows)), 1, settings, tmp_path)
    unseen = predict(student, held_out(tmp_path / "noise")).predicted
    assert unseen.std() < 2.5, "of labels whose standard deviation is 3"


def test_an_epoch_has_the_same_batches_in_an_order_of_its_own(
    folder: Path, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(fine_tuning.MICRO_TOKENS, "cpu", 512)
    settings = EncoderSettings(model=str(folder))
    student = train_encoder(learnt(shards), 3, settings, tmp_path)
    labels = fine_tuning._labels(learnt(shards), 3)

    def rows(epoch: int) -> list[tuple[int, ...]]:
        found = fine_tuning._batches(student, learnt(shards), labels, settings, epoch)
        return [tuple(batch.rows.tolist()) for batch, _, _ in found]

    assert rows(0) == rows(0) != rows(1)
    assert sorted(rows(0)) == sorted(rows(1))
    assert sum(map(len, rows(0))) > 200


class Interrupted(Exception):
    pass


def test_fine_tuning_ranks_unseen_documents_and_goes_on_where_it_stopped(
    folder: Path, shards: Path, tmp_path: Path
) -> None:
    settings = EncoderSettings(
        model=str(folder), frozen=False, epochs=4, learning_rate=3e-3, tokens_per_step=512,
        patience=4,
    )  # fmt: skip
    losses: list[float] = []
    whole = train_encoder(
        learnt(shards), 3, settings, tmp_path / "a", lambda _, loss: losses.append(loss)
    )
    assert losses[-1] < losses[0] < 1.2
    assert all(rank is not None and rank > 0.8 for rank in ranks(shards, whole))

    def stop(epoch: int, loss: float) -> None:
        if epoch == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        train_encoder(learnt(shards), 3, settings, tmp_path / "b", stop)
    seen: list[int] = []
    resumed = train_encoder(
        learnt(shards), 3, settings, tmp_path / "b", lambda n, _: seen.append(n)
    )
    assert seen == [3, 4]
    first, second = (predict(s, held_out(shards)).predicted for s in (whole, resumed))
    np.testing.assert_allclose(first, second, atol=1e-4)


def test_a_training_of_a_single_step_learns(folder: Path, shards: Path, tmp_path: Path) -> None:
    """The schedule is at its middle then, not at its end."""
    losses: list[float] = []
    for rate in (1e-12, 3e-3):
        settings = EncoderSettings(
            model=str(folder), frozen=False, epochs=1, learning_rate=rate, tokens_per_step=1 << 30
        )
        train_encoder(learnt(shards), 3, settings, tmp_path, lambda _, loss: losses.append(loss))
    assert losses[1] < losses[0] - 0.02


def test_an_encoder_that_was_packed_is_trained_on_padded_documents(
    folder: Path, shards: Path, tmp_path: Path
) -> None:
    """As it is when it was put on a GPU; laid end to end, attention could not be dropped."""
    student = train_encoder(learnt(shards), 3, EncoderSettings(model=str(folder)), tmp_path)
    packing.pack(student.model)
    settings = EncoderSettings(model=str(folder), frozen=False, epochs=1)
    trained = fine_tuning.fine_tune(student, learnt(shards), settings, tmp_path, None)
    assert not packing.is_packed(trained.model)
    assert np.isfinite(predict(trained, held_out(shards)).predicted).all()


def test_a_training_goes_on_from_no_other_labels(
    folder: Path, shards: Path, tmp_path: Path
) -> None:
    """Not even from the same scores of other documents."""
    settings = EncoderSettings(model=str(folder), frozen=False, epochs=2)

    def stop(epoch: int, loss: float) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        train_encoder(learnt(shards), 3, settings, tmp_path / "checkpoints", stop)
    rows = [row for row in documents(400) if row[4] == TRAIN]
    swapped = [(*a[:3], b[3], a[4]) for a, b in zip(rows, reversed(rows), strict=True)]
    others = staged(tmp_path / "others", swapped)

    def epochs(labels: Path) -> list[int]:
        seen: list[int] = []
        train_encoder(
            learnt(labels), 3, settings, tmp_path / "checkpoints", lambda n, _: seen.append(n)
        )
        return seen

    assert epochs(others) == [1, 2]
    assert epochs(shards) == [2]


def test_a_training_goes_on_from_object_storage(folder: Path, shards: Path) -> None:
    settings = EncoderSettings(model=str(folder), frozen=False, epochs=2)
    seen: list[int] = []

    def stop(epoch: int, loss: float) -> None:
        raise Interrupted

    with object_store():
        place = f"s3://{BUCKET}/checkpoints"
        with pytest.raises(Interrupted):
            train_encoder(learnt(shards), 3, settings, place, stop)
        train_encoder(learnt(shards), 3, settings, place, lambda n, _: seen.append(n))
    assert seen == [2]


def test_a_training_without_a_finite_loss_says_what_to_change(
    folder: Path, shards: Path, tmp_path: Path
) -> None:
    settings = EncoderSettings(
        model=str(folder), frozen=False, epochs=1, learning_rate=1e30, tokens_per_step=512
    )
    for _ in range(2):  # the second goes on from what the first left
        with pytest.raises(InputError, match=r"no epoch of 1 .*learning_rate, which is 1e\+30"):
            train_encoder(learnt(shards), 3, settings, tmp_path)


def test_what_cannot_be_trained_is_said(folder: Path, shards: Path, tmp_path: Path) -> None:
    nothing = staged(tmp_path / "none", documents(1))
    with pytest.raises(InputError, match=r"there is no labelled row to train on"):
        train_encoder(learnt(nothing), 3, EncoderSettings(model=str(folder)), tmp_path)
    with pytest.raises(ArtefactError, match="no model is set"):
        train_encoder(learnt(shards), 3, EncoderSettings(), tmp_path)
    with pytest.raises(InputError, match="label rows have"):
        train_encoder(learnt(shards), 5, EncoderSettings(model=str(folder)), tmp_path)
