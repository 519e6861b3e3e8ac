"""Find the documents that hold test data. Reads `documents` and the evaluation sets; writes
`contaminated` and `contamination_checks`."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import DataFrame, functions as F

from mira_spark.corpus import contamination
from mira_spark.corpus.contamination import Sizes
from mira_spark.corpus.contamination_checks import Check, latest_checks, record_checks
from mira_spark.corpus.evaluation_items import (
    SetSummary,
    items_state,
    named_items,
    read_items,
    set_line,
    settings_digest,
    summarise_items,
)
from mira_spark.corpus.input_rows import changes_told
from mira_spark.corpus.ngram_batches import DOCUMENT
from mira_spark.errors import InputError
from mira_spark.lake.caches import persisted
from mira_spark.lake.history import Snapshot
from mira_spark.lake.retention import unreadable_versions
from mira_spark.lake.runs import Outcome
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.failpoints import reach
from mira_spark.settings.evaluation import EvaluationSettings
from mira_spark.settings.root import Settings

SETTINGS = ("evaluation",)
WRITES = ("contaminated", "contamination_checks")
NO_SETS = "no evaluation sets (evaluation.sets): nothing is looked for"


def inputs(lake: Lakehouse, settings: Settings) -> dict[str, str]:
    """What `documents` and the evaluation sets hold; empty without a set."""
    sets = settings.evaluation.sets
    if not sets:
        return {}
    if lake.read("documents").isEmpty():
        raise InputError(f"{lake.name('documents')} is empty: run mira ingest-corpus first")
    states = {f"items of {s.name}": items_state(lake.spark, s) for s in sets}
    return {"documents": str(lake.snapshot("documents")), **states}


def missing(lake: Lakehouse, settings: Settings) -> list[str]:
    """A reason where what was found is not there as it was left."""
    names = {each.name for each in settings.evaluation.sets}
    return ["what was found is not there as it was"] if names - latest_checks(lake).keys() else []


@dataclass(frozen=True)
class _Items:
    """The n-grams of the items of all sets; of each set how many there are, and a digest; what is
    said of the sets."""

    ngrams: DataFrame
    sizes: Mapping[str, Sizes]
    digests: Mapping[str, str]
    lines: Sequence[str]


def run(lake: Lakehouse, settings: Settings, run_id: str) -> Outcome:
    """Look in documents that are new or changed for all items, in the others for those of sets that
    are. One commit of what was found, where that changes anything, and one of what was looked
    through."""
    evaluation = settings.evaluation
    if not evaluation.sets:
        return Outcome(NO_SETS)
    now = lake.snapshot("documents")
    with ExitStack() as caches:
        columns = [each for chosen in evaluation.sets for each in named_items(chosen).values()]
        caches.enter_context(changes_told(lake.spark, columns))
        items = _items(lake, evaluation, caches)
        known = _known_sets(lake, now, items.digests)
        others = sorted(items.digests.keys() - known.keys())
        documents = lake.read("documents", now.version)
        unseen = caches.enter_context(persisted(_unseen_documents(lake, now, known)))
        looked_through = (documents if others else unseen).count()
        found = []
        if others:
            found.append(_search(documents, items, others, evaluation, caches))
        if known and not unseen.isEmpty():
            texts = documents.join(unseen, on=[*DOCUMENT], how="left_semi")
            found.append(_search(texts, items, sorted(known), evaluation, caches))
        rows = _replace(lake, _still_found(lake, now, known), found, items.digests, run_id)
    reach("contaminated.written")
    state = lake.snapshot("contaminated")
    checks = [
        Check(each.name, settings_digest(each, evaluation), items.digests[each.name],
              items.sizes[each.name].items, now, state)
        for each in evaluation.sets
    ]  # fmt: skip
    record_checks(lake, checks, run_id)
    message = "; ".join([_message(lake, now, looked_through), *items.lines])
    return Outcome(message, rows_in=looked_through, rows_out=rows)


def _items(lake: Lakehouse, evaluation: EvaluationSettings, caches: ExitStack) -> _Items:
    """InputError where a set has no item that is looked for, or one id for several."""
    sets = [read_items(lake.spark, each) for each in evaluation.sets]
    rows = reduce(DataFrame.unionByName, [each.rows for each in sets])
    rows = caches.enter_context(persisted(rows))
    summaries = summarise_items(rows, evaluation)
    ngrams = contamination.ngrams_of_items(rows, evaluation)
    ngrams = caches.enter_context(persisted(ngrams))
    sizes = contamination.sizes_by_set(ngrams)
    none, nothing = SetSummary(0, ""), Sizes(0, 0, 0)
    lines = [
        set_line(each, summaries.get(each.name, none).items, sizes.get(each.name, nothing).items,
                 evaluation)
        for each in sets
    ]  # fmt: skip
    digests = {name: summary.digest for name, summary in summaries.items()}
    return _Items(ngrams, sizes, digests, lines)


def _known_sets(lake: Lakehouse, now: Snapshot, digests: Mapping[str, str]) -> dict[str, Check]:
    """The checks of sets whose items are as they were, where the documents that were looked through
    can still be told. One run wrote all of them, so they are of one version of `documents`."""
    checks = latest_checks(lake)
    known = {
        name: checks[name]
        for name, digest in digests.items()
        if name in checks
        and (checks[name].items_digest, checks[name].documents.table_id) == (digest, now.table_id)
    }
    versions = {check.documents.version for check in known.values()}
    return {} if unreadable_versions(lake, "documents", versions) else known


def _seen_documents(lake: Lakehouse, known: Mapping[str, Check]) -> DataFrame:
    """DOCUMENT of those that were looked through for the known sets."""
    version = next(iter(known.values())).documents.version
    return lake.read("documents", version).select(*DOCUMENT)


def _unseen_documents(lake: Lakehouse, now: Snapshot, known: Mapping[str, Check]) -> DataFrame:
    """DOCUMENT of those that are new or changed since; none without a known set."""
    there = lake.read("documents", now.version).select(*DOCUMENT)
    if not known:
        return there.limit(0)
    return there.join(_seen_documents(lake, known), on=[*DOCUMENT], how="left_anti")


def _still_found(lake: Lakehouse, now: Snapshot, known: Mapping[str, Check]) -> DataFrame:
    """The rows of known sets whose document is still there as it was looked through."""
    rows = lake.read("contaminated")
    if not known:
        return rows.limit(0)
    digests = [check.items_digest for check in known.values()]
    there = lake.read("documents", now.version).select(*DOCUMENT)
    rows = rows.filter(F.col("items_digest").isin(digests))
    rows = rows.join(there, on=[*DOCUMENT], how="left_semi")
    return rows.join(_seen_documents(lake, known), on=[*DOCUMENT], how="left_semi")


def _search(
    documents: DataFrame,
    items: _Items,
    names: Sequence[str],
    evaluation: EvaluationSettings,
    caches: ExitStack,
) -> DataFrame:
    """What the documents hold of the sets of these names; one pass over their texts."""
    of_items = items.ngrams.filter(F.col("item_set").isin(names))
    sizes = contamination.summed(items.sizes[name] for name in names)
    passing = contamination.ngram_filter(of_items, sizes.ngrams)
    of_documents = contamination.ngrams_of_documents(documents, evaluation, passing)
    of_documents = caches.enter_context(persisted(of_documents))
    return contamination.contaminated_documents(of_documents, of_items, sizes.are_few)


def _replace(
    lake: Lakehouse,
    kept: DataFrame,
    found: Sequence[DataFrame],
    digests: Mapping[str, str],
    run_id: str,
) -> int:
    """Make what is kept and what was found the rows of `contaminated`, where that changes anything;
    how many were found."""
    by_set = F.create_map(*(F.lit(text) for pair in digests.items() for text in pair))
    stamps = {"items_digest": by_set[F.col("item_set")], "run_id": F.lit(run_id)}
    with ExitStack() as caches:
        parts = [caches.enter_context(persisted(part.withColumns(stamps))) for part in found]
        count = sum(part.count() for part in parts)
        if count or kept.count() < lake.read("contaminated").count():
            rows = reduce(DataFrame.unionByName, parts, kept)
            lake.replace_all(rows, "contaminated", run_id)
    return count


def _message(lake: Lakehouse, now: Snapshot, looked_through: int) -> str:
    held = lake.read("documents", now.version).count()
    contaminated = lake.read("contaminated").select(*DOCUMENT).distinct().count()
    said = f"{contaminated:,} of {held:,} documents are contaminated"
    return f"{said}, {looked_through:,} looked through"
