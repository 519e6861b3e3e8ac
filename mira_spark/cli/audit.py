"""What `mira rubrics audit` prints."""

from mira_spark.process.progress import say, show_table
from mira_spark.rubrics.audit import Audit


def show_audit(audit: Audit) -> None:
    """The figures of each slot, those of the rubric, its redundancy matrix, and the warnings."""
    headings = ("slot", "dimension", "applies", "spread", "agreement", "with the rest", "nearest")
    rows = [
        (
            str(each.slot),
            each.name,
            f"{each.applying:.0%}",
            _number(each.spread),
            _number(each.agreement),
            _number(each.item_rest),
            ""
            if each.nearest is None
            else f"{each.nearest} ({audit.correlations[each.slot, each.nearest]:.2f})",
        )
        for each in audit.slots
    ]
    title = (
        f"{audit.source_group}, rubric {audit.rubric_id}, by {audit.documents:,} documents of its "
        f"{audit.basis}"
    )
    show_table(headings, rows, texts=2, title=title)
    numbers = [str(each.slot) for each in audit.slots]
    matrix = [
        (str(each.slot), *(f"{100 * r:.0f}" for r in audit.correlations[each.slot]))
        for each in audit.slots
    ]
    show_table(("x 100", *numbers), matrix, texts=1, title="Correlations within sources")
    (first, second), (alpha, other) = zip(*audit.halves, strict=True)
    say(
        f"worth {audit.effective_dimensions:.1f} independent dimensions ({first:.1f} and "
        f"{second:.1f} in two halves of the documents); Cronbach's alpha {_number(audit.alpha)} "
        f"({_number(alpha)} and {_number(other)})"
    )
    for warning in audit.warnings:
        say((f"{audit.source_group}: {warning}", "yellow"))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
