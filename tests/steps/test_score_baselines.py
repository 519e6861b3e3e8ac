"""The step: each document scored once by each baseline, as those say; what is wrong told before."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from pyspark.sql import SparkSession
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
)

from mira_spark.errors import InputError
from mira_spark.judges.heuristic.judge import PROPERTY_NAMES, label
from mira_spark.lake.creation import create_tables
from mira_spark.lake.runs import Outcome
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.failpoints import DrillError
from mira_spark.scoring.baseline_record import baseline_scores, latest_baseline
from mira_spark.scoring.baselines import dsir, ngram_model
from mira_spark.settings.root import Settings, load
from mira_spark.steps import score_baselines
from tests import scoring_lake
from tests.encoders import a_tokenizer, an_encoder

TABLES = ("documents", "baselines", "baseline_scores", "leases", "runs")
TARGET = ["The sun is up and the sea is calm.", "The sea is deep; so is the sun's light.", "Sun!"]
TEXTS = {f"doc {i}": f"The sun is text {i} of some, the sea {i % 7} is not." for i in range(12)}
NO_WORD = "\u2007"  # a space to Python, a sign to Java


@pytest.fixture
def settings(lake: Lakehouse, tmp_path: Path) -> Settings:
    create_tables(lake, TABLES)
    scoring_lake.add(lake, TEXTS)
    (tmp_path / "target").mkdir()
    for place, text in enumerate([*TARGET, " \n"]):
        (tmp_path / "target" / f"{place}.txt").write_text(text)
    return load(None, [f"namespace={lake.namespace}", f"folder={tmp_path}"])


def with_baselines(settings: Settings, **baselines: Any) -> Settings:
    chosen = settings.model_dump(mode="json", exclude_defaults=True) | {"baselines": baselines}
    return Settings.model_validate(chosen)


def target(settings: Settings) -> dict[str, Any]:
    return {"format": "text", "path": str(settings.folder / "target"), "lines": False}


def run(lake: Lakehouse, settings: Settings) -> Outcome:
    score_baselines.inputs(lake, settings)
    return score_baselines.run(lake, settings, "r")


def scores(lake: Lakehouse, name: str) -> dict[str, float | None]:
    """doc_id to the score that counts."""
    made = latest_baseline(lake, name)
    assert made is not None
    rows = baseline_scores(lake, made.scorer.student_id, lake.version("documents"))
    found = [(row["doc_id"], row["score"]) for row in rows.collect()]
    assert len(found) == len(dict(found)) == lake.read("documents").count()
    return dict(found)


def test_without_a_baseline_nothing_is_done(lake: Lakehouse, settings: Settings) -> None:
    assert score_baselines.inputs(lake, settings) == {}
    assert run(lake, settings).message == "no baseline is set: see baselines in the settings"
    assert lake.version("baseline_scores") == 0


def test_each_baseline_scores_each_document_and_later_the_new_ones_alone(
    lake: Lakehouse, settings: Settings
) -> None:
    place = target(settings)
    chosen = with_baselines(
        settings, dsir={"target": place}, perplexity={"target": place, "order": 2}, heuristics=True
    )
    done = run(lake, chosen)
    assert done.message == (
        "dsir: 12 documents scored, 12 in all, target set of 3 texts, without 1 empty; "
        "perplexity: 12 documents scored, 12 in all, target set of 3 texts, without 1 empty; "
        "heuristics: 12 documents scored, 12 in all"
    )
    assert (done.status, done.rows_out) == ("done", 36)
    ratios = dsir.log_ratios(dsir.bucket_counts(TARGET), dsir.bucket_counts(TEXTS.values()))
    model = ngram_model.train(TARGET, 2)
    for doc_id, score in scores(lake, "dsir").items():
        assert score == pytest.approx(dsir.log_weight(TEXTS[doc_id], ratios), abs=1e-9)
    for doc_id, score in scores(lake, "perplexity").items():
        assert score == model.mean_log_likelihood(TEXTS[doc_id])
    points = [point.score for point in label(TEXTS["doc 3"], PROPERTY_NAMES) if point]
    assert scores(lake, "heuristics")["doc 3"] == pytest.approx(sum(points) / len(points))
    assert score_baselines.missing(lake, chosen) == []

    before = {table: lake.version(table) for table in ("baseline_scores", "baselines")}
    assert run(lake, chosen).rows_out == 0
    assert {table: lake.version(table) for table in before} == before

    scoring_lake.add(lake, {"new": "The sun is new.", "bare": NO_WORD})
    later = run(lake, chosen)
    assert later.status == "degraded"
    assert later.message == (
        "dsir: 14 documents scored, 14 in all, target set of 3 texts, without 1 empty; "  # its
        # weights follow from the corpus, too
        "perplexity: 2 documents scored, 14 in all, target set of 3 texts, without 1 empty, "
        "1 quarantined (7.14%), see baseline_scores.reason; "
        "heuristics: 2 documents scored, 14 in all, 1 quarantined (7.14%), see "
        "baseline_scores.reason"
    )
    assert scores(lake, "perplexity")["bare"] is None


@pytest.mark.long
def test_another_target_set_is_another_baseline_and_the_first_counts_again_when_it_is_named(
    lake: Lakehouse, settings: Settings
) -> None:
    first = with_baselines(settings, perplexity={"target": target(settings)})
    run(lake, first)
    before = scores(lake, "perplexity")
    (settings.folder / "other.txt").write_text("Quite another language")
    other = with_baselines(settings, perplexity={"target": {
        "format": "text", "path": str(settings.folder / "other.txt")}})  # fmt: skip
    assert score_baselines.inputs(lake, other) != score_baselines.inputs(lake, first)
    run(lake, other)
    assert scores(lake, "perplexity") != before
    assert run(lake, first).rows_out == 0
    assert scores(lake, "perplexity") == before


def test_a_run_that_fails_goes_on_from_there_and_counts_when_it_is_whole(
    lake: Lakehouse, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    scoring_lake.add(lake, {f"more {i}": f"more of the sun, {i}" for i in range(28)})
    units = settings.scoring.model_copy(update={"unit_tokens": 400})
    chosen = with_baselines(
        settings.model_copy(update={"scoring": units}), perplexity={"target": target(settings)}
    )
    monkeypatch.setenv("MIRA_FAILPOINTS", "unit.committed=raise")
    with pytest.raises(DrillError):
        run(lake, chosen)
    monkeypatch.delenv("MIRA_FAILPOINTS")
    there = lake.read("baseline_scores").count()
    assert 0 < there < 40
    assert score_baselines.missing(lake, chosen) == ["there are no scores of perplexity"]
    assert run(lake, chosen).rows_out == 40 - there
    assert len(scores(lake, "perplexity")) == 40


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models as users bring them: two that are right, an encoder, and a classifier of two kinds."""
    home, tokenizer = tmp_path_factory.mktemp("models"), a_tokenizer(TEXTS.values())
    torch.manual_seed(5)
    small = {"vocab_size": 500, "hidden_size": 32, "num_hidden_layers": 1,
             "num_attention_heads": 2, "intermediate_size": 32}  # fmt: skip
    of_gpt2 = GPT2Config(vocab_size=500, n_embd=32, n_layer=1, n_head=2, n_positions=64,
                         bos_token_id=1, eos_token_id=2)  # fmt: skip
    models: dict[str, PreTrainedModel] = {
        "causal": GPT2LMHeadModel(of_gpt2),
        "one_output": BertForSequenceClassification(BertConfig(**small, num_labels=1)),
        "two_outputs": BertForSequenceClassification(BertConfig(**small, num_labels=2)),
    }
    for name, model in models.items():
        model.save_pretrained(home / name)
        tokenizer.save(str(home / name / "tokenizer.json"))
    an_encoder(home / "encoder", TEXTS.values())
    return {path.name: path for path in home.iterdir()}


def test_models_score_documents(
    lake: Lakehouse, settings: Settings, folders: dict[str, Path]
) -> None:
    chosen = with_baselines(
        settings,
        perplexity={"model": str(folders["causal"])},
        educational={"model": str(folders["one_output"]), "max_tokens": 64},
    )
    assert run(lake, chosen).rows_out == 2 * len(TEXTS)
    causal = GPT2LMHeadModel.from_pretrained(folders["causal"]).eval()
    classifier = BertForSequenceClassification.from_pretrained(folders["one_output"]).eval()
    for doc_id in ("doc 1", "doc 11"):
        ids = a_tokenizer(TEXTS.values()).encode(TEXTS[doc_id], add_special_tokens=False).ids
        with torch.inference_mode():
            whole = torch.tensor([[1, *ids, 2]])
            loss = float(causal(whole, labels=whole).loss)
            output = float(classifier(whole).logits)
        assert scores(lake, "perplexity")[doc_id] == pytest.approx(-loss, abs=1e-5)
        assert scores(lake, "educational")[doc_id] == pytest.approx(output, abs=1e-5)
    assert all(math.isfinite(score or math.nan) for score in scores(lake, "educational").values())


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({"educational": {"model": "two_outputs"}},
         "baselines.educational.model: {two_outputs} has 2 outputs; it should be a "
         "sequence-classification model with one output"),
        ({"educational": {"model": "encoder"}},
         "baselines.educational.model: {encoder} is of BertModel; it should be a "
         "sequence-classification model with one output"),
        ({"educational": {"model": "causal"}}, "model_type is 'gpt2', expected one of bert, "),
        ({"perplexity": {"model": "one_output"}}, "model_type is 'bert', expected one of gpt2, "),
        ({"perplexity": {"model": "."}},
         "baselines.perplexity.model: . holds no config.json, no tokenizer.json, no *.safetensors; "
         "it should be the folder of a causal language model, or a hub id"),
        ({"dsir": {"target": {"format": "text", "path": "{empty}", "lines": False}}},
         "baselines.dsir.target: {empty} has 0 texts, without 1 empty: name one of texts"),
        ({"perplexity": {"target": {"format": "text", "path": "{empty}/none"}}},
         "baselines.perplexity.target.path: "),
    ],
)  # fmt: skip
def test_what_is_wrong_with_one_is_told_before_any_is_computed(
    lake: Lakehouse, settings: Settings, folders: dict[str, Path], section: Any, problem: str
) -> None:
    (settings.folder / "empty").mkdir()
    (settings.folder / "empty" / "a.txt").write_text(" \n ")
    places = {name: str(path) for name, path in folders.items()}
    places["empty"] = str(settings.folder / "empty")
    for name, each in section.items():
        if "model" in each:
            section = {name: {"model": places.get(each["model"], each["model"])}}
        else:
            path = each["target"]["path"].format(**places)
            section = {name: {"target": each["target"] | {"path": path}}}
    with pytest.raises(InputError) as error:
        run(lake, with_baselines(settings, heuristics=True, **section))
    assert problem.format(**places) in str(error.value)
    assert "\n" not in str(error.value)
    assert lake.version("baseline_scores") == 0


def test_an_empty_corpus_is_told_with_the_step_to_run(
    spark: SparkSession, lake: Lakehouse, tmp_path: Path
) -> None:
    create_tables(lake, TABLES)
    with pytest.raises(InputError, match="is empty: run mira ingest-corpus first"):
        run(lake, with_baselines(load(None, [f"folder={tmp_path}"]), heuristics=True))
