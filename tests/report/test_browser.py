"""The page in a real browser: it runs only its own scripts, leaves nothing, fits every window, and
its slider says what `mira what-if` says."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mira_spark.lake.scale import FULL_SCALE
from mira_spark.report.budgets import PERCENTS
from mira_spark.report.page import ReportData, render
from mira_spark.report.plots import BIN
from mira_spark.selection.frontier import BudgetAnswer
from tests import browser
from tests.report_corpus import corpus
from tests.report_pages import report_data, with_texts

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

pytestmark = pytest.mark.browser

CORPUS = corpus(groups=2, sources=7, dimensions=5, qualities=200)
BUDGETS = range(5, 101, 5)
PLOTS = 1 + 3 * len(CORPUS.groups)
"""The frontier, and of each group its histogram, its sources and its student."""
WIDTHS = (1280, 390)
RUN = "window.ran = true; alert(1)"
HOSTILE = (
    f"\"'--></style></script><script>{RUN}</script><img src=x onerror='{RUN}'>"
    f"<svg onload='{RUN}'><a href='javascript:{RUN}'>x</a>{{{{ 7 * 7 }}}}${{ran=1}}\u2028\n=cmd|'!"
    "A0\u202e\u2066\u200f\ufeff\x00\x1b[2J\ud800\udfff"
    + "\u0624\u0308\U0001f600" * 20
    + "x" * 3_000
)
LONG = 5_000_000


@pytest.fixture(scope="module")
def chromium() -> Iterator["Chrome"]:
    try:
        with browser.chromium() as driver:
            yield driver
    except RuntimeError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


def open_page(chromium: "Chrome", folder: Path, data: ReportData, width: int = 1280) -> str:
    """Open the page of the data in a window of the width, with an empty log; its address."""
    path = folder / "report.html"
    path.write_text(render(data), encoding="utf-8")
    browser.resize(chromium, width, 900)
    browser.console(chromium)
    browser.requests(chromium)
    chromium.get(path.as_uri())
    browser.wait(chromium, "return Boolean(window.Plotly)")
    return path.as_uri()


def draw_all(chromium: "Chrome") -> int:
    """Unfold everything and scroll to every plot, as a reader would; the number of plots."""
    script = "document.querySelectorAll('details').forEach(part => { part.open = true; })"
    chromium.execute_script(script)
    plots = chromium.find_elements("class name", "plot")
    for place, plot in enumerate(plots):
        chromium.execute_script("arguments[0].scrollIntoView()", plot)
        drawn = f"document.querySelectorAll('.plot')[{place}].querySelector('.main-svg')"
        browser.wait(chromium, f"return Boolean({drawn})")
    return len(plots)


def slide(chromium: "Chrome", place: int) -> None:
    script = (
        "const range = document.getElementById('budget'); range.value = arguments[0];"
        "range.dispatchEvent(new Event('input'));"
    )
    chromium.execute_script(script, place)


def slider_text(chromium: "Chrome") -> dict[str, Any]:
    """What the page says of the budget it stands at."""
    script = """
      const text = id => document.getElementById(id).textContent;
      const rows = [...document.querySelectorAll('[data-source]')];
      return {
        said: text('budget-now'),
        all: ['all-documents', 'all-tokens', 'all-share'].map(text),
        sources: Object.fromEntries(rows.map(row => {
          const [name, ...figures] = [...row.cells].map(cell => cell.textContent);
          return [name, figures];
        })),
      };
    """
    shown: dict[str, Any] = chromium.execute_script(script)
    return shown


def expected_text(percent: int, answer: BudgetAnswer) -> dict[str, Any]:
    """The same, from what `mira what-if` prints."""
    *lines, whole = answer.lines
    kept = whole.kept
    return {
        "said": f"{percent} % of the corpus' tokens, {answer.budget_tokens:,} tokens, "
        f"mean quality {(kept.mean_quality or 0) / 1000:.2f}",
        "all": [
            f"{kept.documents:,}",
            f"{kept.tokens:,}",
            f"{kept.tokens / whole.total_tokens:.1%}",
        ],
        "sources": {
            line.source: [
                f"{line.kept.documents:,}",
                f"{line.kept.tokens:,}",
                f"{line.kept.tokens / line.total_tokens:.1%}",
                f"{line.kept.tokens / kept.tokens:.1%}",
            ]
            for line in lines
            if line.source is not None
        },
    }


def is_within(chromium: "Chrome", width: int) -> bool:
    """Whether the page is no wider than its window, which a phone would widen to the page."""
    script = "return [document.documentElement.scrollWidth, window.innerWidth]"
    wide, window = chromium.execute_script(script)
    return bool(wide <= width and window == width)


def left_the_page(chromium: "Chrome", page: str) -> list[str]:
    """Requests for anything but the page, and what it holds itself."""
    return [
        url for url in browser.requests(chromium) if url != page and not url.startswith("data:")
    ]


def test_the_console_is_silent_and_nothing_is_asked_for(chromium: "Chrome", tmp_path: Path) -> None:
    page = open_page(chromium, tmp_path, report_data(CORPUS))
    assert draw_all(chromium) == PLOTS
    slide(chromium, 7)
    assert left_the_page(chromium, page) == []
    assert browser.console(chromium) == []


def test_what_would_leave_the_page_or_run_in_it_is_refused(
    chromium: "Chrome", tmp_path: Path
) -> None:
    """So the silence of the other tests says something."""
    page = open_page(chromium, tmp_path, report_data(CORPUS))
    chromium.execute_script("new Image().src = 'https://example.com/x.png'")
    chromium.execute_script(
        "const script = document.createElement('script'); script.textContent = 'window.ran = 1';"
        "document.body.append(script)"
    )
    said = browser.console(chromium)
    assert len(said) == 2
    assert all("Content Security Policy" in line for line in said)
    assert not chromium.execute_script("return window.ran")
    assert all(url.startswith("https://example.com/") for url in left_the_page(chromium, page))


def test_the_slider_says_what_what_if_says(chromium: "Chrome", tmp_path: Path) -> None:
    data = report_data(CORPUS)
    open_page(chromium, tmp_path, data)
    percents = [row["percent"] for row in data.budgets]
    assert slider_text(chromium) == expected_text(40, CORPUS.answer("40%"))
    for percent in BUDGETS:
        slide(chromium, percents.index(percent))
        assert slider_text(chromium) == expected_text(percent, CORPUS.answer(f"{percent}%"))


def test_every_plot_has_data_and_draws_it(chromium: "Chrome", tmp_path: Path) -> None:
    open_page(chromium, tmp_path, report_data(CORPUS))
    draw_all(chromium)
    script = """
      const points = trace => (trace.z ?? [trace.y]).flat().filter(Number.isFinite).length;
      const isSeen = mark => mark.getBoundingClientRect().width > 0;
      return [...document.querySelectorAll('.plot')].map(plot => [
        Math.max(...plot.data.map(points)),
        [...plot.querySelectorAll('.point path, .js-line, .hm image')].filter(isSeen).length,
      ]);
    """
    frontier, *of_groups = chromium.execute_script(script)
    cells = [len(CORPUS.dimensions) * (len(own) + 1) for own in CORPUS.groups.values()]
    assert frontier == [len(PERCENTS), 1]
    bins = [(FULL_SCALE // BIN) * len(own) for own in CORPUS.groups.values()]
    assert [points for points, _ in of_groups[1::3]] == bins
    assert [points for points, _ in of_groups[2::3]] == cells
    assert all(points and marks for points, marks in of_groups)


@pytest.mark.parametrize("width", WIDTHS)
def test_hostile_texts_run_nothing_and_fit_the_window(
    chromium: "Chrome", tmp_path: Path, width: int
) -> None:
    data = with_texts(report_data(CORPUS), lambda text: text + HOSTILE)
    page = open_page(chromium, tmp_path, data, width)
    assert draw_all(chromium) == PLOTS
    slide(chromium, 3)
    assert not chromium.execute_script("return window.ran")
    assert chromium.find_elements("css selector", "img, svg[onload], a:not([href^='#'])") == []
    assert is_within(chromium, width)
    assert left_the_page(chromium, page) == []
    assert browser.console(chromium) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_a_page_fits_the_window(chromium: "Chrome", tmp_path: Path, width: int) -> None:
    open_page(chromium, tmp_path, report_data(CORPUS), width)
    assert is_within(chromium, width)
    draw_all(chromium)
    assert is_within(chromium, width)


@pytest.mark.parametrize("width", WIDTHS)
def test_lines_of_five_megabytes_are_cut(chromium: "Chrome", tmp_path: Path, width: int) -> None:
    data = report_data(CORPUS)
    source, example, run = data.groups[0]["source"], data.examples[1], data.runs[0]
    long = {
        source, CORPUS.dimensions[0], data.rubrics[0]["definition"], data.selection["name"],
        data.students[0]["gate_reasons"][0], data.student_reliability[0]["reason"],
        example["doc_id"], example["excerpt"], run["message"], run["run_id"],
    }  # fmt: skip
    endless = "A" * LONG
    spoilt = with_texts(data, lambda text: text + endless if text in long else text)
    open_page(chromium, tmp_path, spoilt, width)
    draw_all(chromium)
    assert (tmp_path / "report.html").stat().st_size < 6_000_000
    assert is_within(chromium, width)
    assert source in chromium.find_element("id", "kept").text


def test_a_link_unfolds_its_part_and_paper_shows_all(chromium: "Chrome", tmp_path: Path) -> None:
    open_page(chromium, tmp_path, report_data(CORPUS))
    folded = "return [...document.querySelectorAll('details:not([open])')].map(part => part.id)"
    assert "group-2" in chromium.execute_script(folded)
    chromium.find_element("css selector", "nav a[href='#group-2']").click()
    assert "group-2" not in chromium.execute_script(folded)
    chromium.execute_cdp_cmd("Page.printToPDF", {})
    assert chromium.execute_script(folded) == []
    undrawn = "return document.querySelectorAll('.plot:not(.js-plotly-plot)').length"
    assert chromium.execute_script(undrawn) == 0


def test_a_machine_without_chromium_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError) as error, browser.chromium():
        pass
    assert str(error.value) == browser.MISSING
