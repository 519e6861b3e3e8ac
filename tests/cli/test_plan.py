"""What `mira plan` says before the judge is paid and machines are rented."""

from pathlib import Path

import pytest
import typer

from mira_spark.cli import main
from mira_spark.cli.plan_judge import show_label_rows
from mira_spark.errors import ConfigError
from mira_spark.labels.planning import LabelRows
from mira_spark.process.progress import console

SUPPOSED = ("--documents", "1e6", "--tokens", "1_000_000_000", "--bytes", "4e9", "--sources", "10")


def shown(rows: list[LabelRows], few: int = 300, doublings: dict[str, float] | None = None) -> str:
    with console.capture() as capture:
        show_label_rows(rows, few, doublings or {})
    return " ".join(capture.get().split())


ROWS = [LabelRows("group_a", "web", 700, 0), LabelRows("group_a", "news", 2, 1),
        LabelRows("group_b", "chat", 100, 100)]  # fmt: skip


def test_each_source_and_group_has_a_line_with_its_labels_and_what_they_decide() -> None:
    text = shown(ROWS)
    assert "group_a web 700 0 ± 0.08" in text
    assert "group_a news 2 1 nothing" in text
    assert "group_a all 702 1 ± 0.08" in text
    assert "group_b chat 100 100 ± 0.21" in text


def test_a_group_with_few_labels_is_told_which_settings_give_more() -> None:
    assert (
        "group_b: 100 labels are fewer than distillation.few_labels (300): it may have to borrow a "
        "student; labelling.documents_per_source and labelling.documents_per_domain give more"
    ) in shown(ROWS)
    assert "may have to borrow" not in shown(ROWS, few=100)


def test_what_twice_the_labels_would_add_stands_beside_the_group() -> None:
    assert "group_b all 100 100 ± 0.21 +0.031" in shown(ROWS, doublings={"group_b": 0.0314})


def planned(folder: Path, *options: str) -> str:
    """What the command prints, in a folder without tables, which it leaves alone."""
    with console.capture() as capture:
        main.app(["plan", "--set", f"folder={folder / 'none'}", *options], standalone_mode=False)
    assert not (folder / "none").exists()
    return " ".join(capture.get().split())


def test_a_corpus_that_is_not_taken_in_is_planned_without_tables(tmp_path: Path) -> None:
    text = planned(tmp_path, *SUPPOSED, "--within", "2", "--set", "scoring.unit_tokens=50_000_000")
    assert "labelling all heuristic:2 1,150,480" in text  # 10 sources, 100,000 labels and 15 %
    assert "linear measured 2026-11-27 on core 1,000,000 1,000 15,250,000 0.02 1" in text
    assert "BERT-base measured 2026-11-27 on H200 1,000,000 512.00 1,820,000 0.08 1" in text
    assert "units: 20, each one commit, of 50,000,000 tokens in the mean" in text
    assert "no more than 4 tasks are at work at once" in text
    assert "generative: no rate was measured, plan.tokens_per_second: {generative: …} says" in text
    assert "dollars without" in text
    assert "scores 1,000,000" in text
    assert "score_histogram 110,000" in text  # 10 sources, 10,001 qualities, 999 large documents
    assert "selected_documents 0" in text


def test_what_is_set_of_machines_is_used_and_said(tmp_path: Path) -> None:
    chosen = (
        "plan.tokens_per_second={generative: 10_000}",
        "plan.devices_per_executor={generative: 8}",
        "plan.dollars_per_device_hour={generative: 2.5}",
        "selection.materialize=manifest",
        "selection.budget=10%",
    )
    overrides = [word for one in chosen for word in ("--set", one)]
    text = planned(tmp_path, *SUPPOSED, "--within", "1", *overrides)
    assert "generative configured 1,000,000 1,000 10,000 27.78 69.44 4" in text
    assert "selected_documents 100,000" in text
    assert "served: no rate was measured" in text


def test_a_part_of_a_supposed_corpus_is_refused_with_what_is_missing() -> None:
    for options, problem in {
        ("--documents", "10"): "needs --tokens, --bytes, --sources, too",
        ("--sources", "2", "--bytes", "9", "--documents", "5"): "needs --tokens, too",
        (*SUPPOSED[:-1], "1e7"): "--sources: 10,000,000 are more than --documents, 1,000,000",
    }.items():
        with pytest.raises(ConfigError, match=problem):
            main.app(["plan", *options], standalone_mode=False)


@pytest.mark.parametrize("number", ["0", "-1", "1.5", "nan", "inf", "many"])
def test_a_number_that_can_be_no_count_is_refused(number: str) -> None:
    with pytest.raises(typer.BadParameter, match="should be a"):
        main.app(["plan", *SUPPOSED[:-1], number], standalone_mode=False)
