"""What `mira plan` says of labels before the judge is paid."""

from mira_spark.cli.plan import show_label_rows
from mira_spark.labels.planning import LabelRows
from mira_spark.process.progress import console


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
