"""Documents too large for their pool, floors of sources' own tokens, and noise: on a lake."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession, functions as F

from mira_spark.cli.selection_tables import show_explanation
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.progress import console
from mira_spark.selection import diff, explanation, frontier, gumbel, histogram, record
from mira_spark.selection.allocation import Policy
from mira_spark.selection.explanation_wording import explanation_line
from mira_spark.selection.oversized import most_tokens
from mira_spark.selection.pinned import pinned_state
from mira_spark.selection.record import Selection
from mira_spark.settings.root import Settings
from mira_spark.settings.selection import SelectionSettings, parse_share
from mira_spark.steps import select_documents
from tests import selection_lake, selection_oracle as oracle
from tests.counting import bins_of
from tests.selection_lake import GROUP_OF, ids
from tests.selection_oracle import Document

Made = tuple[Lakehouse, Settings]
LARGE = {"web 1": 9_000, "chat 2": 4_000}


@pytest.mark.parametrize(
    ("share", "x", "y"),
    [
        # x has 1,009 documents of 10,000 tokens: 1 % of it are 100 tokens, ten mean documents 99.
        # y has 10 documents of 5,000 tokens, so that none can have more than ten mean ones.
        ("1%", 100, 5_000),
        ("0.5%", 99, 5_000),
        ("20%", 2_000, 5_000),
        ("100%", 10_000, 5_000),
    ],
)
def test_a_limit_is_a_share_of_the_pool_and_ten_of_its_mean_documents(
    share: str, x: int, y: int
) -> None:
    documents = [
        Document("a", "web", 5, 0, 8_000),
        *(Document(f"b{i}", "news", 5, i, 2) for i in range(1_000)),
        *(Document(f"c{i}", "news", 5, i, 0) for i in range(8)),
        Document("d", "news", None, 0, 10**9),
        *(Document(f"e{i}", "chat", 5, i, 500) for i in range(10)),
    ]
    bins = bins_of(documents, {"web": "x", "news": "x", "chat": "y"})
    limits = most_tokens(Policy("group", max_document_share=share), bins)
    assert limits == {"web": x, "news": x, "chat": y}


def test_oversized_documents_are_counted_and_leave_the_levels() -> None:
    documents = [Document("a", "web", 7, 0, 800), *(Document(str(i), "web", 7, i, 4)
                                                    for i in range(50))]  # fmt: skip
    found = bins_of(documents, {"web": "x"}).within({"web": 199})
    assert found.set_aside == {"oversized": 1}
    assert found.competing == {"web": (50, 200)}
    assert found.levels.total_tokens() == {"web": 200}
    assert (found.documents, found.tokens) == (51, 1_000)
    assert found.within({"web": 800}).competing == {"web": (51, 1_000)}


@pytest.fixture(scope="module")
def made(
    spark: SparkSession, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Made]:
    """The usual documents, of which two are large for their pool of 80 or 40."""
    with selection_lake.open_lake(spark, "oversized", home, tmp_path_factory) as (lake, settings):
        tokens = F.expr(
            f"CASE doc_id {' '.join(f'WHEN {d!r} THEN {n}' for d, n in LARGE.items())} END"
        )
        for table in ("documents", "scores"):
            lake.update(table, F.col("doc_id").isin(list(LARGE)), {"n_tokens": tokens})
        lake.update("scores", F.col("doc_id").isin(list(LARGE)), {"quality": F.lit(9000)})
        yield lake, settings


def selected(made: Made, **changes: Any) -> tuple[Selection, str]:
    """The selection, and the step's message."""
    lake, settings = made
    chosen = SelectionSettings.model_validate(changes)
    asked = settings.model_copy(update={"selection": chosen})
    message = select_documents.run(lake, asked, "r").message
    return record.selection_named(lake, chosen.name), message


FLOORED = {"every_source": "10%", "floors": {"code": "50% of source", "web": "5%"},
           "caps": {"tests": "5%"}}  # fmt: skip


def expected(made: Made, one: Selection) -> set[str]:
    """What the oracle keeps."""
    chosen = one.settings
    documents = oracle.with_noise(
        selection_lake.corpus(made[0], chosen.seed), Fraction(str(chosen.temperature))
    )
    own = dict.fromkeys(GROUP_OF, parse_share(chosen.every_source) or Fraction(0))
    own |= {s: Fraction(0) for s in chosen.floors}
    floors = {s: f for s, f in chosen.floors.items() if "source" not in f}
    own |= {"code": Fraction(1, 2)} if "code" in chosen.floors else {}
    share = parse_share(chosen.max_document_share) or Fraction(1)
    exact = {s: str(parse_share(f)) for s, f in floors.items()}
    caps = {s: str(parse_share(c)) for s, c in chosen.caps.items()}
    rule = selection_lake.rule(
        documents, chosen.policy, exact, caps, own_floors=own, document_share=share
    )
    return oracle.kept(documents, one.budget_tokens, rule)


CASES = [
    {"policy": "global", "temperature": 0.75, "seed": 3} | FLOORED,
    *(
        pytest.param(changes, marks=pytest.mark.long)
        for changes in (
            {"policy": "group"},
            {"policy": "source", "max_document_share": "100%", "temperature": 10},
            {"materialize": "manifest", "score": "length", "temperature": 0.001},
        )
    ),
]


@pytest.mark.parametrize("changes", CASES)
def test_view_record_and_explanation_are_the_oracles_set(
    made: Made, changes: dict[str, Any]
) -> None:
    lake, _ = made
    one, _ = selected(made, budget="40%", **changes)
    shown = ids(lake)
    if changes.get("score") != "length":
        assert shown == expected(made, one)
    assert shown == {r["doc_id"] for r in record.selection_documents(lake, one).collect()}
    told = explanation.explain_all(lake, one, list(selection_lake.texts()))
    assert {each.doc_id for each in told if each.is_in} == shown
    assert {each.doc_id for each in told if each.follows} == shown
    sums = lake.read("selected").agg(F.sum("n_tokens")).collect()[0]
    assert sums[0] == one.selected_tokens <= one.budget_tokens


@pytest.mark.long
def test_a_larger_budget_keeps_all_that_a_smaller_one_kept(made: Made) -> None:
    before: set[str] = set()
    for budget in ("30%", "60%"):
        selected(made, budget=budget, temperature=1, every_source="5%")
        found = ids(made[0])
        assert before < found
        before = found


@pytest.mark.long
def test_what_is_oversized_is_said_everywhere(made: Made) -> None:
    lake, settings = made
    bare, _ = selected(made, name="bare", budget="80%", max_document_share="100%")
    one, message = selected(made, budget="80%")
    assert message.endswith("; 2 oversized; 4 quarantined")
    cutoffs = {row["source"]: row for row in record.cutoffs(lake, one).collect()}
    limits = {source: row["most_tokens"] for source, row in cutoffs.items()}
    bins = bins_of(selection_lake.corpus(lake, 0), GROUP_OF)
    assert limits == most_tokens(Policy("group"), bins)
    aside = {source: row["set_aside_documents"] for source, row in cutoffs.items()}
    assert aside == {"code": 0, "tests": 0, "web": 1, "chat": 1}
    (found,) = explanation.explain_all(lake, one, ["web 1"])
    assert explanation_line(found) == (
        "out: it did not compete, oversized: 9,000 tokens, more than the "
        f"{limits['web']:,} that one of its pool may have"
    )
    moved = {
        (m.side, m.reason): m.documents for m in diff.diff(lake, bare, one) if m.source == "web"
    }
    assert moved[diff.ONLY_A, "set aside"] == 1
    state = pinned_state(
        lake,
        settings.source_grouping,
        settings.student_registry,
        SelectionSettings(budget="40%"),
        settings.evaluation,
    )
    recorded = histogram.recorded_bins(lake, SelectionSettings(), state)
    assert recorded is not None
    answers = frontier.answers(
        recorded,
        [SelectionSettings(), SelectionSettings(max_document_share="100%")],
        recorded.tokens,
    )
    assert [answer.oversized for answer in answers] == [2, 0]


@pytest.mark.long
def test_an_explanation_shows_the_noise(made: Made) -> None:
    lake, _ = made
    one, _ = selected(made, budget="40%", temperature=0.5, name="noisy")
    (found,) = explanation.explain_all(lake, one, ["code 1"])
    assert found.tie_hash is not None
    with console.capture() as shown:
        show_explanation(found)
    added = 0.5 * gumbel.gumbel(found.tie_hash) / 1_000
    assert (
        f"it competes by quality and noise, of {added:+.3f} points at temperature 0.5, on a scale "
        f"from 0 to 10,000: {found.level}" in " ".join(shown.get().split())
    )
