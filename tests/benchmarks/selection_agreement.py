"""Whether selections of a whole lake are the oracle's: `python -m
tests.benchmarks.selection_agreement [FOLDER]`, of a demo's lake, `.mira` if none is named.

Every policy and baseline is selected from the lake's documents and scores, which are only read, in
a catalog of its own; each view against the oracle, and against what `explain` says of 10,000
documents drawn at random.
"""

import math
import random
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mira_spark.cli import main as cli
from mira_spark.corpus.groups import source_groups
from mira_spark.lake.creation import create_tables
from mira_spark.lake.scale import FULL_SCALE
from mira_spark.lake.session import open_local
from mira_spark.lake.tables import Lakehouse
from mira_spark.scoring.scorers import champion_scorers
from mira_spark.selection import explanation, record
from mira_spark.selection.record import Selection
from mira_spark.settings.root import Settings, load
from mira_spark.settings.selection import SelectionSettings
from mira_spark.steps import select_documents
from tests.selection_lake import documents_of, ids, rule
from tests.selection_oracle import Document, kept

READ = ("documents", "scores", "source_groups", "students", "student_reliability", "rubrics")
EXPLAINED, AT_ONCE = 10_000, 2_500
say = sys.stdout.write


@dataclass(frozen=True)
class Case:
    """Settings, and what documents compete by for the oracle; absent ones do not."""

    title: str
    changes: Mapping[str, Any]
    levels: Mapping[str, int] = field(default_factory=dict)


def opened(folder: Path, own: Path) -> Lakehouse:
    """The lake's tables in a catalog of our own, those that are only read where they lie."""
    spark = open_local(own, cores=2, memory="3g")
    lake = Lakehouse(spark, "mira")
    spark.sql("CREATE SCHEMA mira")
    for table in READ:
        place = folder / "warehouse" / "mira.db" / table
        spark.sql(f"CREATE TABLE {lake.name(table)} USING delta LOCATION '{place}'")
    create_tables(lake)
    return lake


def cases(lake: Lakehouse, sources: Sequence[str]) -> list[Case]:
    """All policies, with floors and caps too, and all baselines."""
    lake.spark.sql(
        f"CREATE TABLE {lake.name('other_scores')} USING delta AS SELECT doc_id, "
        f"cast(hash(doc_id) % 1000 AS double) AS value FROM {lake.name('documents')} "
        "WHERE hash(doc_id, 1) % 10 <> 0"
    )
    first, second = sources[:2]
    limits = {"floors": {first: "0.02"}, "caps": {first: "0.05", second: "0.01"}}
    values = {r["doc_id"]: r["value"] for r in lake.read("other_scores").collect()}
    low, high = min(values.values()), max(values.values())
    scaled = {d: math.floor((v - low) / (high - low) * FULL_SCALE) for d, v in values.items()}
    tokens = lake.read("documents").select("doc_id", "n_tokens").collect()
    lengths = {d: min(FULL_SCALE, int(1000 * math.log10(n + 1))) for d, n in tokens}
    same = dict.fromkeys(lengths, 0)
    column = {"table": lake.name("other_scores"), "column": "value"}
    policies = [Case(p, {"policy": p}) for p in ("group", "global", "source")]
    return [
        *policies,
        *(Case(f"{c.title}, floors and caps", dict(c.changes) | limits) for c in policies),
        Case("random by source", {"policy": "source", "score": "random"}, same),
        Case("random of all", {"policy": "global", "score": "random"}, same),
        Case("length", {"score": "length"}, lengths),
        Case("a column", {"score": column}, scaled),
    ]


def expected(case: Case, documents: Sequence[Document], groups: Mapping[str, str]) -> set[str]:
    """What the oracle keeps of 40 % of all tokens."""
    budget = sum(d.tokens for d in documents) * 40 // 100
    if case.levels:
        documents = [replace(d, quality=case.levels[d.doc_id]) for d in documents
                     if d.quality is not None and d.doc_id in case.levels]  # fmt: skip
    found = SelectionSettings.model_validate(case.changes)
    asked = rule(documents, found.policy, found.floors, found.caps, groups)
    return kept(documents, budget, asked)


def agreeing(lake: Lakehouse, one: Selection, doc_ids: Sequence[str], in_view: set[str]) -> int:
    """Of how many documents `explain` says what the view shows."""
    count = 0
    for start in range(0, len(doc_ids), AT_ONCE):
        told = explanation.explain_all(lake, one, doc_ids[start : start + AT_ONCE])
        count += sum(each.is_in == (each.doc_id in in_view) for each in told)
    return count


def compare(lake: Lakehouse, settings: Settings, case: Case, groups: Mapping[str, str]) -> None:
    chosen = SelectionSettings.model_validate({"budget": "40%"} | dict(case.changes))
    select_documents.run(lake, settings.model_copy(update={"selection": chosen}), "bench")
    one, in_view = record.selection_named(lake, chosen.name), ids(lake)
    documents = documents_of(record.pinned_scores(lake, one), chosen.seed)
    of_oracle = expected(case, documents, groups)
    all_ids = sorted(d.doc_id for d in documents)
    drawn = random.Random(0).sample(all_ids, min(EXPLAINED, len(all_ids)))
    same = "the oracle's set" if in_view == of_oracle else (
        f"NOT THE ORACLE'S SET: {len(in_view - of_oracle):,} more, {len(of_oracle - in_view):,} "
        "fewer"
    )  # fmt: skip
    say(f"{case.title}: {len(in_view):,} of {len(documents):,} documents, {same}; explain agrees "
        f"for {agreeing(lake, one, drawn, in_view):,} of {len(drawn):,}\n")  # fmt: skip


def main(arguments: Sequence[str]) -> None:
    """A line for each policy and baseline."""
    folder = Path(arguments[0] if arguments else ".mira").absolute()
    own = Path(tempfile.mkdtemp())
    try:
        lake = opened(folder, own)
        settings = load(None, [f"folder={folder}"], cli.DEMO)
        groups = source_groups(lake, settings.source_grouping)
        champions = champion_scorers(lake, settings.student_registry, groups.values())
        groups = {s: g for s, g in groups.items() if g in champions}
        for case in cases(lake, sorted(groups)):
            compare(lake, settings, case, groups)
        lake.spark.stop()
    finally:
        shutil.rmtree(own, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
