"""Quality tables for tests: which slots count, all else the same for every slot."""

from collections.abc import Mapping, Sequence

from mira_spark.settings.students import Rule
from mira_spark.students.quality import QualityTable, SourceCells


def a_table(
    counts: Sequence[bool],
    sources: Mapping[str, Sequence[bool]] | None = None,
    rule: Rule = "paper",
) -> QualityTable:
    """Under `shrunk` a slot that counts adds its score as it is: its slope is 1."""
    return QualityTable(
        rule=rule,
        weights=(1000,) * len(counts),
        group=_cells(counts),
        sources={source: _cells(own) for source, own in (sources or {}).items()},
    )


def _cells(counts: Sequence[bool]) -> SourceCells:
    n = len(counts)
    return SourceCells(
        counts=tuple(counts),
        judged_mean=(5000,) * n,
        mean_prediction=(5000,) * n,
        slope=(1000,) * n,
    )
