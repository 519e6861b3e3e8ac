"""Evaluation sets: what a file may say of them, and what is refused before anything is read."""

from fractions import Fraction
from pathlib import Path

import pytest

from mira_spark.errors import ConfigError
from mira_spark.settings.evaluation import EvaluationSet, EvaluationSettings
from mira_spark.settings.root import load

SET = "{name: mmlu, format: json, path: p}"


def loaded(folder: Path, evaluation: str) -> EvaluationSettings:
    file = folder / "my.yaml"
    file.write_text(f"corpus: {{input: python_environment}}\nevaluation: {{{evaluation}}}")
    return load(file).evaluation


def test_a_set_is_an_input_for_each_of_its_columns_of_text(tmp_path: Path) -> None:
    said = "{name: gsm8k, format: csv, path: p, filter: n > 1, encoding: latin-1, csv: {sep: '|'}, "
    said += "columns: {doc_id: id, text: [question, meta.answer]}}"
    (each,) = loaded(tmp_path, f"sets: [{said}], share: 4/5").sets
    assert list(each.inputs) == ["question", "meta.answer"]
    answers = each.inputs["meta.answer"]
    mapping = answers.columns.model_dump(exclude_none=True)
    assert mapping == {"doc_id": "id", "text": "meta.answer"}
    assert (answers.source, answers.filter, answers.encoding) == ("gsm8k", "n > 1", "iso8859-1")
    assert (answers.csv.sep, answers.name, answers.cap) == ("|", "gsm8k", None)
    single = EvaluationSet.model_validate({"name": "a", "format": "text", "path": "p"})
    assert list(single.inputs) == ["text"]


@pytest.mark.parametrize("share", ["0.8", "80%", "4/5"])
def test_a_share_is_exact(tmp_path: Path, share: str) -> None:
    assert loaded(tmp_path, f"share: {share}").least_share == Fraction(4, 5)


@pytest.mark.parametrize(
    ("evaluation", "problem"),
    [
        (f"sets: [{SET}, {SET}]", "evaluation.sets: mmlu is the name of more than one; use others"),
        ("sets: [{name: a b, format: json, path: p}]",
         "evaluation.sets.0.name: should be 1 to 64 of a to z, 0 to 9 and _, found 'a b'"),
        ("sets: [{name: a, format: json}]", "evaluation.sets.0.path: is missing"),
        ("sets: [{name: a, format: json, path: ''}]",
         "evaluation.sets.0.path: should not be empty, found ''"),
        ("sets: [{name: a, format: messages, path: p}]",
         "evaluation.sets.0.format: conversations are no items: name columns of text, or paths "
         "into them, found 'messages'"),
        ("sets: [{name: a, format: json, path: p, columns: {text: []}}]",
         "evaluation.sets.0.columns.text: should not be empty, found []"),
        ("sets: [{name: a, format: json, path: p, columns: {text: [q, q]}}]",
         "evaluation.sets.0.columns.text: q is named twice, found ['q', 'q']"),
        ("sets: [{name: a, format: table, path: a.b.c.d}]",
         "evaluation.sets.0.path: should be a table's name: table, schema.table or with a "
         "catalog, found 'a.b.c.d'"),
        ("sets: [{name: a, format: json, path: p, cap: 3}]",
         "evaluation.sets.0.cap is not a setting. Known: columns, csv, encoding, filter, format, "
         "lines, name, path"),
        ("words: 4", "evaluation.short_words: should be at most words, 4, found 5"),
        ("words: 0", "evaluation.words: should be at least 1, found 0"),
        ("share: 0", "evaluation.share: should be above 0, found 0"),
        ("share: 101%", "evaluation.share: should be from 0 to 1, e.g. 0.05, 5% or 1/20, found "
         "'101%'"),
    ],
)  # fmt: skip
def test_what_no_evaluation_can_be_is_one_line(
    tmp_path: Path, evaluation: str, problem: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(tmp_path, evaluation)
    assert str(refused.value) == f"{tmp_path / 'my.yaml'}: {problem}"
