"""The report shows what it is given, whole and escaped, and loads nothing."""

import dataclasses
import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from mira_spark.report.formats import LONGEST_TEXT, NOTHING, dollars, duration, points
from mira_spark.report.page import ReportData, render
from mira_spark.report.plots import BIN, PLACES
from mira_spark.rubrics.audit import ScoredDocuments, audit
from mira_spark.settings.report import ReportSettings
from tests.report_corpus import corpus
from tests.report_pages import report_data, with_texts

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>"
STAND_IN = "heuristic judge, a stand-in: it measures properties of text"
GROUPS = {"group_a": ("wiki", "papers"), "group_b": ("stdlib",)}
CUT = {"group_a": 6437, "group_b": 5012}
THIRDS = "33.3% → 33.3%"
DIMENSIONS = ("Clear structure", "Sound evidence", "Depth of explanation")
PARTS = (
    "judges",
    "groups",
    "cutoffs",
    "histogram",
    "rubrics",
    "agreement",
    "students",
    "student_reliability",
    "student_figures",
    "noise_checks",
    "judge_calls",
    "examples",
    "runs",
    "budgets",
)


def _sources() -> list[tuple[str, str]]:
    return [(g, s) for g, sources in GROUPS.items() for s in sources]


def _cutoffs() -> list[dict[str, Any]]:
    return [
        {
            "source_group": g,
            "source": s,
            "student_id": f"mira_{g}/3",
            "quality_cut": CUT[g],
            "kept_documents": 400,
            "kept_tokens": 40_000,
            "total_documents": 1_000,
            "total_tokens": 1_234_567,
        }
        for g, s in _sources()
    ]


def _histogram() -> list[dict[str, Any]]:
    rows = []
    for g, s in _sources():
        for place, step in (("below", -500), ("at", 0), ("above", 500)):
            quality = CUT[g] + step
            rows.append(
                {
                    "source_group": g,
                    "source": s,
                    "bin": quality // 100 * 100,
                    "place": place,
                    "documents": 300,
                    "tokens": 30_000,
                    "quality_sum": 300 * quality,
                }
            )
    return rows


def _rubrics() -> list[dict[str, Any]]:
    return [
        {
            "source_group": g,
            "slot": slot,
            "name": f"{name} of {g}",
            "definition": f"What {name.lower()} means in {g}.",
            "document_share": 0.625,
            "score_sd": 1.75 if slot else None,
            "stability": 0.5 if slot else None,
        }
        for g in GROUPS
        for slot, name in enumerate(DIMENSIONS)
    ]


def _students() -> list[dict[str, Any]]:
    return [
        {
            "student_id": f"mira_{g}/3",
            "source_group": g,
            "kind": "linear",
            "dimensions": list(DIMENSIONS),
            "rule": "shrunk",
            "labels": 6_000,
            "held_out_rows": 5_990,
            "spearman": 0.71,
            "spearman_within_source": 0.62,
            "gain_40": 0.834,
            "next_doubling": 0.03,
            "borrowed_from": None,
            "gate": "passed",
            "gate_reasons": [f"gain of {g} is 0.83, needed above 0.50"],
        }
        for g in GROUPS
    ]


def _budgets() -> list[dict[str, Any]]:
    """Of three budgets of the corpus' tokens."""
    return [
        {
            "percent": percent,
            "budget_tokens": 37_037 * percent,
            "mean_quality": 9_000.0 - 10 * percent,
            "kept": {s: (10 * percent, 12_345 * percent) for _, s in _sources()},
        }
        for percent in (20, 40, 60)
    ]


def _agreement() -> list[dict[str, Any]]:
    figures = dict.fromkeys(("alpha", "mae", "within_one", "shift"), 0.5)
    intervals = {f"{name}_interval": [0.25, 0.75] for name in figures}
    return [
        {"source_group": g, "kind": kind, "slot": slot, "name": name, "documents": 987}
        | figures
        | intervals
        | {"kappa": 0.91 if slot else None, "kappa_interval": [0.81, 0.96] if slot else None}
        for g in GROUPS
        for kind in ("repeat", "reversed")
        for slot, name in enumerate(DIMENSIONS)
    ]


def _reliability() -> list[dict[str, Any]]:
    return [
        {
            "student_id": f"mira_{g}/3",
            "source": s,
            "slot": slot,
            "rows": 300,
            "mae": 0.83,
            "spearman": 0.66 if slot else None,
            "ceiling": 0.91 if slot else None,
            "slope": 0.875,
            "counts": slot > 0,
            "reason": "applies" if slot else "its weight is 0",
        }
        for g, s in [*_sources(), *((g, None) for g in GROUPS)]
        for slot in range(len(DIMENSIONS))
    ]


def _figures() -> list[dict[str, Any]]:
    return [
        {
            "student_id": f"mira_{g}/3",
            "predictor": predictor,
            "figure": "gain_40",
            "value": value,
            "low": value - 0.125,
            "high": value + 0.125,
        }
        for g in GROUPS
        for predictor, value in (("student", 0.834), ("length", 0.25))
    ]


def _noise() -> list[dict[str, Any]]:
    return [
        {
            "student_id": f"mira_{g}/3",
            "kind": kind,
            "pairs": 1_234,
            "auc": auc,
            "auc_low": None if auc is None else auc - 0.25,
            "auc_high": None if auc is None else auc + 0.125,
        }
        for g in GROUPS
        for kind, auc in (("all", 0.75), ("foreign_text", None))
    ]


def _example(end: str) -> dict[str, Any]:
    return {
        "source": "wiki",
        "end": end,
        "doc_id": f"{end} document",
        "quality": 9_120 if end == "highest" else 1_010,
        "n_tokens": 4_321,
        "dimensions": list(DIMENSIONS),
        "dimension_scores": [10_000, 8_250, 2_500],
        "counts": [False, True, True],
        "excerpt": "Once upon a time" if end == "highest" else None,
    }


def _data(**changes: Any) -> ReportData:
    data = ReportData(
        package_version="0.1.0",
        selection={
            "selection_id": "0123456789abcdef",
            "name": "default",
            "policy": "group",
            "documents_version": 7,
            "scores_version": 11,
            "seed": 0,
            "budget_tokens": 1_481_480,
            "selected_tokens": 1_481_111,
            "selected_documents": 1_200,
            "created_at": NOW,
        },
        judges=("heuristic:v1",),
        groups=[
            {"source_group": g, "source": s, "documents": 1_000, "tokens": 1_234_567}
            for g, s in _sources()
        ],
        cutoffs=_cutoffs(),
        histogram=_histogram(),
        rubrics=_rubrics(),
        agreement=_agreement(),
        students=_students(),
        student_reliability=_reliability(),
        student_figures=_figures(),
        noise_checks=_noise(),
        judge_calls=[
            {
                "judge": "heuristic:v1",
                "purpose": "label",
                "outcome": "answered",
                "calls": 6_300,
                "input_tokens": 7_654_321,
                "cached_input_tokens": 0,
                "output_tokens": 98_765,
                "cost_usd": Decimal("12.340000000"),
            }
        ],
        examples=[_example("highest"), _example("lowest")],
        budgets=_budgets(),
        runs=[
            {
                "run_id": "20260304T050607-abc123",
                "step": "score_documents",
                "status": "done",
                "started_at": NOW,
                "finished_at": NOW + timedelta(seconds=3_725),
                "message": "3,000 documents scored in 2 units",
                "all_runs": 3,
                "all_seconds": 7_384.6,
            }
        ],
    )
    return dataclasses.replace(data, **changes)


class _Page(HTMLParser):
    """What a browser makes of a page: its elements, its text, and its scripts apart."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.texts: list[str] = []
        self._open = ""
        self.feed(page)
        self.text = " ".join(" ".join(self.texts).split())

    def plots(self, kind: str, has_width: bool | None = None) -> list[dict[str, Any]]:
        """The figures whose first trace is of the kind, and as wide as the page or not."""
        found = [json.loads(s) for s in self.scripts if s.startswith("{") and '"layout"' in s]
        alike = [figure for figure in found if figure["data"][0]["type"] == kind]
        return [f for f in alike if has_width in (None, "width" in f["layout"])]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open == "script":
            self.scripts.append(data)
        elif self._open != "style":
            self.texts.append(data)


def test_every_part_is_shown() -> None:
    page = _Page(render(_data()))
    for name in (*GROUPS, *(s for _, s in _sources())):
        assert name in page.text
    for row in _rubrics():
        assert row["name"] in page.text
        assert row["definition"] in page.text
    for row in _students():
        assert row["student_id"] in page.text
        assert f"Gate: passed ({row['gate_reasons'][0]})" in page.text.replace(
            "passed (", "passed ("
        )
    assert "0.1.0" in page.text
    assert "documents version 7, scores version 11" in page.text
    assert "heuristic:v1 label answered 6,300 7,654,321 0 98,765 $12.34" in page.text
    assert "score_documents done 2026-03-04 05:06:07 1:02:05 2:03:05 in 3" in page.text


def test_numbers_are_formatted() -> None:
    page = _Page(render(_data()))
    assert "1,481,111 of 1,481,480 tokens of budget, 369 left" in page.text
    assert "1,200 of 3,000 documents" in page.text
    assert "40.0% of the corpus' 3,703,701 tokens" in page.text
    assert points(6437) == "6.44"
    assert points(None) == NOTHING
    assert (dollars(0), dollars(0.0125), dollars(1234.5)) == ("$0.00", "$0.0125", "$1,234.50")
    assert duration({"started_at": NOW, "finished_at": None}) == NOTHING


def test_the_judge_against_itself_is_shown_with_intervals_where_there_are_some() -> None:
    page = _Page(render(_data()))
    assert page.text.count("The judge against itself") == len(GROUPS)
    assert "0.91 (0.81 to 0.96)" in page.text
    assert "(None" not in page.text
    assert "The judge against itself" not in _Page(render(_data(agreement=()))).text


def test_what_a_rubric_separates_is_shown_with_its_warnings() -> None:
    names, random = ["clear <b>", "deep", "new"], np.random.default_rng(0)
    quality = random.normal(5, 2, (60, 1))
    scores = np.clip(quality + random.normal(0, 1, (60, 3)), 0, 10)
    scores[:, 2] = 7
    ids = [f"d{i}" for i in range(60)]
    scored = ScoredDocuments("labels", ids, ["web"] * 60, scores, np.full_like(scores, np.nan))
    group = _data().cutoffs[0]["source_group"]
    page = render(_data(audits=[audit(group, "r", names, scored)]))
    assert page.count("<summary>What the rubric separates</summary>") == 1
    assert "By 60 documents of its labels, within sources." in page
    assert "clear &lt;b&gt;" in page
    assert "<li>slot 2, &#39;new&#39;, separates nothing" in page


def test_cuts_and_means_are_shown() -> None:
    page = _Page(render(_data()))
    # documents, tokens, mean quality, cut, mix, kept documents, kept tokens, share of tokens
    assert f"wiki 1,000 1,234,567 6.44 6.44 {THIRDS} 400 40,000 3.2%" in page.text
    assert f"stdlib 1,000 1,234,567 5.01 5.01 {THIRDS} 400 40,000 3.2%" in page.text
    cuts = [plot["layout"]["annotations"][0]["text"] for plot in page.plots("bar")]
    assert cuts == ["cut 6.44", "cut 5.01"]


def test_the_mix_is_shown_before_and_after() -> None:
    first, *others = _cutoffs()
    page = _Page(render(_data(cutoffs=[first | {"kept_tokens": 120_000}, *others])))
    assert "wiki 1,000 1,234,567 6.44 6.44 33.3% → 60.0% 400 120,000 9.7%" in page.text
    assert "group_a papers , wiki 2 2,000 2,469,134 6.44 6.44 66.7% → 80.0% 6.5%" in page.text


def test_sources_of_a_group_are_compared_by_how_their_documents_lie_on_the_scale() -> None:
    (plot,) = _Page(render(_data())).plots("heatmap", has_width=False)  # group_b has one source
    assert plot["layout"]["yaxis"]["ticktext"] == ["papers", "wiki"]
    shares, cuts = plot["data"]
    third = round(1 / 3, 4)
    assert [sum(map(bool, row)) for row in shares["z"]] == [3, 3]
    assert [shares["z"][0][edge] for edge in (59, 64, 69)] == [third] * 3
    assert shares["customdata"][1][64] == 300
    assert shares["x0"] + 64 * shares["dx"] == pytest.approx(6.45)
    assert list(zip(cuts["x"], cuts["y"], strict=True)) == [(6.437, 0), (6.437, 1)]


def test_a_group_that_fits_whole_has_no_cut() -> None:
    cutoffs = [row | {"quality_cut": -1} for row in _cutoffs()]
    page = _Page(render(_data(cutoffs=cutoffs)))
    assert f"wiki 1,000 1,234,567 6.44 all kept {THIRDS}" in page.text
    assert not any("annotations" in plot["layout"] for plot in page.plots("bar"))


def test_a_source_without_a_score_is_said_to_have_none() -> None:
    cutoffs = [row for row in _cutoffs() if row["source_group"] == "group_a"]
    histogram = [row for row in _histogram() if row["source_group"] == "group_a"]
    page = _Page(render(_data(cutoffs=cutoffs, histogram=histogram)))
    assert f"stdlib 1,000 1,234,567 {NOTHING} not scored 33.3% → 0.0% 0 0 0.0%" in page.text
    assert "No document of this group has a score." in page.text
    assert "group_b has no scores: its 1,000 documents took no part in the selection" in page.text
    assert "40.0% of the corpus' 3,703,701 tokens" in page.text


def test_quarantined_documents_are_counted_only_where_there_are_some() -> None:
    assert "quarantined" not in _Page(render(_data())).text
    lost = {"source_group": "group_a", "source": "wiki", "bin": None, "place": None}
    lost |= {"documents": 17, "tokens": 170, "quality_sum": None}
    page = _Page(render(_data(histogram=[*_histogram(), lost])))
    assert f"wiki 1,000 1,234,567 6.44 6.44 {THIRDS} 400 40,000 3.2% 17" in page.text


def test_reliability_has_every_source_and_the_whole_group() -> None:
    plots = [json.dumps(plot) for plot in _Page(render(_data())).plots("heatmap", has_width=True)]
    assert len(plots) == len(GROUPS)
    for name in ("whole group", "wiki", "papers", *DIMENSIONS):
        assert name in plots[0]
    with_itself = "(the judge with itself, rubric reversed: "
    assert f"Spearman 0.66 on 300 labels {with_itself}0.91); MAE 0.83 points" in plots[0]
    assert f"Spearman not known on 300 labels {with_itself}not known); MAE 0.83" in plots[0]
    assert "slope 0.88" in plots[0]
    assert "counts: applies" in plots[0]
    assert "does not count: its weight is 0" in plots[0]


def test_a_student_is_shown_with_what_its_quality_is_worth() -> None:
    shown = (
        "rule shrunk , from 6,000 labels, measured on 5,990 that it did not learn from: Spearman "
        "of its quality with the judge's verdict 0.71, within source 0.62; selecting 40 % of the "
        "tokens by it gains 83 % of what selecting by the judge would; twice the labels would add "
        "about 3 % ."
    )
    squeezed = shown.replace(" ", "")
    assert squeezed in _Page(render(_data())).text.replace(" ", "")
    unknown = dict.fromkeys(
        ("spearman", "spearman_within_source", "gain_40", "next_doubling"), None
    )
    students = [row | unknown | {"held_out_rows": 0} for row in _students()]
    text = _Page(render(_data(students=students))).text.replace(" ", "")
    assert "from6,000labels,measuredon0thatitdidnotlearnfrom.Itsscores" in text


def test_figures_of_the_quality_and_planted_noise_are_shown_with_their_intervals() -> None:
    text = _Page(render(_data())).text
    assert "gain at 40% of the tokens 0.83 (0.71 to 0.96) 0.25 (0.12 to 0.38)" in text
    assert "all 1,234 0.75 (0.50 to 0.88)" in text
    assert f"foreign_text 1,234 {NOTHING}" in text


def test_a_borrowed_student_is_said_to_be_one() -> None:
    assert "Borrowed from" not in _Page(render(_data())).text
    students = [row | {"borrowed_from": "mira_group_z/1"} for row in _students()]
    text = _Page(render(_data(students=students))).text
    assert "Borrowed from mira_group_z/1 , another group's student" in text


def test_best_and_worst_are_of_the_dimensions_that_count() -> None:
    page = _Page(render(_data()))
    shown = (
        "9.12 highest document 4,321 tokens Once upon a time best: Sound evidence 8.25 ; worst: "
        "Depth of explanation 2.50"
    )
    assert shown in page.text
    assert (
        "lowest document 4,321 tokens not shown: the document is not marked as sendable"
        in page.text
    )


@pytest.mark.parametrize("part", PARTS)
def test_any_part_may_be_empty(part: str) -> None:
    assert "Selection" in _Page(render(_data(**{part: ()}))).text


def test_all_parts_may_be_empty() -> None:
    page = _Page(render(_data(**dict.fromkeys(PARTS, ()))))
    assert "no judge answer is recorded" in page.text
    assert "No source is recorded." in page.text


@pytest.mark.parametrize(
    ("judges", "said"),
    [
        (("heuristic:v1",), True),
        (("heuristic:v1", "openai:some-model"), True),
        (("openai:heuristic",), False),
        ((), False),
    ],
)
def test_the_stand_in_is_named_exactly_where_it_judged(judges: tuple[str, ...], said: bool) -> None:
    assert (STAND_IN in _Page(render(_data(judges=judges))).text) is said


def _hostile() -> ReportData:
    return with_texts(_data(), lambda text: f"{text}{HOSTILE}'\"--></style>")


def test_hostile_strings_are_only_text() -> None:
    plain, hostile = _Page(render(_data())), _Page(render(_hostile()))
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in plain.elements]
    assert [set(found) for _, found in hostile.elements] == [set(f) for _, f in plain.elements]
    assert len(hostile.scripts) == len(plain.scripts)
    assert not any(HOSTILE in script for script in hostile.scripts)
    for name in (*GROUPS, *(s for _, s in _sources())):
        assert f"{name}{HOSTILE}" in hostile.text


def test_hostile_names_are_text_in_the_plots() -> None:
    """plotly makes elements of what looks like some in a label, so labels hold entities."""
    plots = json.dumps(_Page(render(_hostile())).plots("heatmap"))
    assert "wiki&lt;script&gt;alert(1)" in plots
    assert "<script" not in plots


def test_nothing_is_loaded() -> None:
    page = render(_data())
    for tag, attributes in _Page(page).elements:
        assert not {"src", "srcset", "data", "action"} & set(attributes), tag
        assert (attributes.get("href") or "#").startswith("#"), tag
        assert tag not in ("link", "iframe", "img", "object", "embed", "base")
    assert "default-src 'none'" in page
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_only_scripts_of_the_page_itself_may_run() -> None:
    page = _Page(render(_hostile()))
    (policy,) = [found["content"] or "" for _, found in page.elements
                 if found.get("http-equiv") == "Content-Security-Policy"]  # fmt: skip
    nonce = re.search(r"script-src 'nonce-([\w-]+)'", policy)
    assert nonce is not None
    for tag, found in page.elements:
        if tag == "script":
            runs = found.get("type") not in ("application/json", "text/plain")
            assert not runs or found == {"nonce": nonce[1]}
        assert not any(name.startswith("on") for name in found)
    assert nonce[1] not in render(_hostile()), "another page, another number"


def test_the_slider_has_the_figures_of_each_budget_in_the_order_of_the_table() -> None:
    page = _Page(render(_data()))
    slider = json.loads(next(script for script in page.scripts if script.startswith('{"budget"')))
    assert slider["percents"] == [20, 40, 60]
    assert slider["tokens"] == [37_037 * percent for percent in (20, 40, 60)]
    assert slider["means"] == ["8.80", "8.60", "8.40"]
    assert slider["kept"] == [[[200, 400, 600], [246_900, 493_800, 740_700]]] * 3
    rows = [found for tag, found in page.elements if tag == "tr" and "data-source" in found]
    assert [row["data-source"] for row in rows] == ["0", "1", "2"]
    assert [row["data-tokens"] for row in rows] == ["1234567"] * 3
    assert "What other budgets would keep" not in _Page(render(_data(budgets=()))).text


def test_a_text_is_cut_and_what_cannot_be_seen_in_it_is_marked() -> None:
    long = with_texts(_data(), lambda text: text + "\u202e\x00\ud800" + "A" * 5_000)
    page = render(long)
    assert len(page.encode()) < 3_000_000
    assert "What depth of explanation means in group_b.\ufffd\ufffd\ufffdAAAA" in page
    assert "A" * LONGEST_TEXT not in page


def test_200_sources_in_12_groups_are_a_page_of_less_than_6_mb() -> None:
    many = corpus(groups=12, sources=200, dimensions=15, qualities=30)
    large = {"documents": 123_456_789, "tokens": 123_456_789_012, "quality_sum": 0}
    full = [
        {"source_group": group, "source": sources[0], "bin": edge, "place": place} | large
        for group, sources in many.groups.items()
        for edge in range(0, 10_000, BIN)
        for place in PLACES
    ]
    data = dataclasses.replace(report_data(many), histogram=full)
    assert (len(data.groups), len(data.budgets)) == (200, 100)
    assert len(render(data).encode()) < 6_000_000


def test_plotly_is_there_once() -> None:
    long = [script for script in _Page(render(_data())).scripts if len(script) > 1_000_000]
    assert len(long) == 1


def test_settings_refuse_unknown_keys() -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        ReportSettings.model_validate({"paht": "report.html"})
