"""Which documents of a group the judge is shown without a rubric, and whether they are enough."""

from collections.abc import Mapping, Sequence

from pyspark.sql import DataFrame

from mira_spark.corpus import sampling
from mira_spark.settings.rubrics import DiscoverySettings

ENOUGH = 20
"""Documents of a source that are shown although they are more than `documents_per_domain` of one
domain, where it has so many. With fewer, what the judge names is about those documents."""


def discovery_sample(
    documents: DataFrame, settings: DiscoverySettings, n_sources: int
) -> DataFrame:
    """The rows of `documents`, a group's, that are shown, the same at any partitioning: of each of
    its `n_sources` sources an equal part of `documents_per_group`, drawn by hash."""
    each = -(-settings.documents_per_group // n_sources)
    return sampling.sample(
        documents,
        each,
        settings.seed,
        "source",
        settings.documents_per_domain,
        at_least=min(each, ENOUGH),
    )


def shown_line(source_group: str, sources: Sequence[str], shown: Mapping[str, int]) -> str:
    """How many documents of each source are shown, and a warning of those that have fewer than
    `ENOUGH`."""
    line = f"{source_group} is shown " + ", ".join(f"{shown.get(s, 0):,} of {s}" for s in sources)
    few = [source for source in sources if shown.get(source, 0) < ENOUGH]
    if few:
        line += f" (fewer than {ENOUGH} of {', '.join(few)}: its rubric may miss what they need)"
    return line
