"""Linear students of generated documents at the gate: one that reads them passes, and those that
do not fail, each by a check of its own."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np

from mira_spark.distillation import planted_noise, training
from mira_spark.distillation.assessment import assess, measured_quality
from mira_spark.distillation.gate import Gate, gate
from mira_spark.distillation.shards import Labelled
from mira_spark.distillation.training import Distilled, Evaluation
from mira_spark.labels.spoiling import spoilt_copy
from mira_spark.scoring.noise import quality_scorer
from mira_spark.settings.gate import GateSettings
from mira_spark.settings.students import QualitySettings
from mira_spark.students.artefact import Manifest
from tests.labelled_texts import LINEAR, RUBRIC, SLOTS
from tests.staging import Row, staged

SOURCES, DOMAINS, DOCUMENTS, FRESH = 3, 60, 360, 120
VOCABULARY = [f"{a}{b}" for a in ("al", "be", "cor", "dun", "ev", "fir") for b in
              ("ana", "ole", "ith", "umo", "eka", "ist", "ora", "und")]  # fmt: skip
PHRASES = [" ".join(Random(n).sample(VOCABULARY, 4)) for n in range(60)]

WITHIN = "Spearman with the verdict within source"
GAIN = "gain at 40 % of the tokens"
LENGTH = "correlation with length within source"
NOISE = "AUC of planted noise over all kinds"


def document(random: Random, place: int) -> tuple[str, str, list[int]]:
    """Source, text and scores: two slots follow a word of the text, one the source; longer texts
    score a little higher."""
    source, clear, size = place % SOURCES, random.randrange(5), random.randrange(16, 49)
    sentences = random.choices(PHRASES, k=size) + ["clearly"] * clear
    random.shuffle(sentences)
    lines = [". ".join(sentences[at : at + 8]) + "." for at in range(0, len(sentences), 8)]
    text = f"source{source}.\n\n" + "\n\n".join(lines) + "\n"
    scores = [1 + 2 * clear, min(10, 3 + clear + size // 20), 3 + 2 * source + random.randrange(2)]
    return f"s{source}", text, scores


def labelled() -> tuple[list[Row], list[Row]]:
    """Rows in folds by domain, and copies of a third of them, spoilt and scored low."""
    random = Random(0)
    documents = [document(random, place) for place in range(DOCUMENTS)]
    rows: list[Row] = []
    copies: list[Row] = []
    for place, (source, text, scores) in enumerate(documents):
        fold = place % DOMAINS % 5
        rows.append((f"d{place}", source, text, [*scores], fold))
        near, foreign = (documents[place - step][1] for step in (SOURCES, 1))
        spoilt = spoilt_copy(text, near, foreign, place) if place % 3 == 0 else None
        if spoilt is not None:
            low: list[int | None] = [max(0, score - 5) for score in scores]
            copies.append((f"d{place}", source, spoilt[1], low, fold))
    return rows, copies


ROWS, COPIES = labelled()
JUDGED = np.array([row[3] for row in [*ROWS, *COPIES]], np.float32)
Relabel = Callable[[list[Row]], list[Row]]


def as_they_are(rows: list[Row]) -> list[Row]:
    return rows


def by_source(rows: list[Row]) -> list[Row]:
    means = {
        source: np.mean([r[3] for r in ROWS if r[1] == source], axis=0).round().astype(int).tolist()
        for source in {row[1] for row in ROWS}
    }
    return [(*row[:3], means[row[1]], row[4]) for row in rows]


def by_length(rows: list[Row]) -> list[Row]:
    return [(*row[:3], [min(10, len(row[2] or "") // 120)] * SLOTS, row[4]) for row in rows]


def shuffled(rows: list[Row]) -> list[Row]:
    order = Random(1).sample(range(len(rows)), len(rows))
    return [(*row[:3], rows[other][3], row[4]) for row, other in zip(rows, order, strict=True)]


def trained(folder: Path, relabel: Relabel) -> Distilled:
    """A student of these labels, and what it predicts beside the judge's own."""
    rows, domains = (
        relabel([*ROWS, *COPIES]),
        {f"d{n}": f"d{n % DOMAINS}" for n in range(DOCUMENTS)},
    )
    shards = staged(
        folder, rows[:DOCUMENTS], domains=domains, copies=rows[DOCUMENTS:], per_shard=1_000
    )
    distilled = training.distill(Labelled(shards), RUBRIC, LINEAR, folder / "checkpoints")
    assert distilled.held_out.doc_ids == [row[0] for row in [*ROWS, *COPIES]]
    return replace(distilled, held_out=replace(distilled.held_out, judged=JUDGED))


def gated(folder: Path, distilled: Distilled, held_out: Evaluation) -> Gate:
    assessment = assess(held_out, RUBRIC.weights, QualitySettings())
    manifest = Manifest(
        rubric_id="r",
        source_group="group_a",
        anchors=[anchor.name for anchor in RUBRIC.anchors],
        calibration=assessment.curves,
        quality=assessment.table,
        labels_version=1,
        package_version="0",
    )
    random = Random(9)
    fresh = [document(random, place) for place in range(FRESH)]
    checks = planted_noise.noise_checks(
        quality_scorer(distilled.student, manifest),
        [text for _, text, _ in fresh],
        [source for source, *_ in fresh],
        seed=0,
    )
    figures = measured_quality(assessment, Labelled(folder))
    return gate(figures, planted_noise.overall(checks), None, GateSettings())


def student_at_the_gate(folder: Path, relabel: Relabel) -> Gate:
    distilled = trained(folder, relabel)
    return gated(folder, distilled, distilled.held_out)


def needed(lines: list[str], what: str) -> list[str]:
    return [line.partition("; needed ")[2] for line in lines if line.startswith(what)]


def test_a_student_that_has_learnt_to_read_passes(tmp_path: Path) -> None:
    result = student_at_the_gate(tmp_path / "a", as_they_are)
    assert result.reasons == []
    assert len(result.met) == 8


def test_a_student_that_gives_its_source_s_mean_fails_within_source(tmp_path: Path) -> None:
    reasons = student_at_the_gate(tmp_path / "a", by_source).reasons
    assert "above 0 with its lower end" in needed(reasons, WITHIN)


def test_a_student_that_gives_the_length_fails_by_it(tmp_path: Path) -> None:
    reasons = student_at_the_gate(tmp_path / "a", by_length).reasons
    (line,) = needed(reasons, LENGTH)
    assert line.startswith("at most 0.5 either way, or the judge's own ")


def test_a_student_that_has_learnt_shuffled_labels_fails_within_source(tmp_path: Path) -> None:
    reasons = student_at_the_gate(tmp_path / "a", shuffled).reasons
    assert "above 0 with its lower end" in needed(reasons, WITHIN)
    assert needed(reasons, NOISE) == ["at least 0.7"]


def test_a_student_that_gives_noise_fails_within_source(tmp_path: Path) -> None:
    honest = trained(tmp_path / "a", as_they_are)
    random = np.random.default_rng(0)
    noise = random.uniform(0, 10, JUDGED.shape).astype(np.float32)
    reasons = gated(tmp_path / "a", honest, replace(honest.held_out, predicted=noise)).reasons
    assert "above 0 with its lower end" in needed(reasons, WITHIN)
