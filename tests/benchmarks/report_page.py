"""The size of a report of many sources, and the seconds that Chromium takes to open it.

After `make test-browser`: `PYTHONPATH=.browser python -m tests.benchmarks.report_page`, or with
`--screenshots FOLDER` for the first screen of a usual report, wide and light, and narrow and dark.
"""

import argparse
import base64
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mira_spark.process.progress import say
from mira_spark.report.page import render
from tests import browser
from tests.report_corpus import corpus
from tests.report_pages import report_data

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

TIMES = 5
SCREENS = {"report_wide": (1280, 1000, "light"), "report_narrow": (390, 780, "dark")}
_DRAWN = """
  const waits = plot => {
    const { top, height } = plot.getBoundingClientRect();
    return height && top < innerHeight && !plot.querySelector('.main-svg');
  };
  const plots = [...document.querySelectorAll('.plot')];
  return window.Plotly && !plots.some(waits) && performance.now() / 1000;
"""
_ALL_DRAWN = """
  if (!document.querySelector('.plot')) return 0;
  document.querySelectorAll('details').forEach(part => { part.open = true; });
  document.querySelector('.plot:not(.js-plotly-plot)')?.scrollIntoView();
  return !document.querySelector('.plot:not(.js-plotly-plot)') && performance.now() / 1000;
"""


def opened(chromium: "Chrome", page: Path, drawn: str) -> float:
    """Seconds from asking for the page until the script says that it is drawn."""
    chromium.get(page.as_uri())
    seconds: float = browser.wait(chromium, drawn)
    return seconds


def measure(chromium: "Chrome", folder: Path) -> None:
    """Print the size of a page of 200 sources in 12 groups, and the seconds to open it."""
    data = report_data(corpus(groups=12, sources=200, dimensions=15))
    started = time.process_time()
    written = render(data)
    say(f"rendered in {time.process_time() - started:.1f} s of a processor")
    page = folder / "report.html"
    page.write_text(written, encoding="utf-8")
    say(f"{page.stat().st_size:,} bytes")
    browser.resize(chromium, 1280, 900)
    for what, drawn in (("opens", _DRAWN), ("opens, all unfolded and drawn,", _ALL_DRAWN)):
        seconds = [opened(chromium, page, drawn) for _ in range(TIMES)]
        say(f"{what} in {statistics.median(seconds):.2f} s, at most {max(seconds):.2f}")


def photograph(chromium: "Chrome", folder: Path, images: Path) -> None:
    """Write SCREENS of a report of 13 sources in 3 groups into `images`."""
    page = folder / "report.html"
    page.write_text(render(report_data(corpus())), encoding="utf-8")
    images.mkdir(parents=True, exist_ok=True)
    chromium.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
    for name, (width, height, scheme) in SCREENS.items():
        browser.resize(chromium, width, height)
        browser.colours(chromium, scheme)
        opened(chromium, page, _DRAWN)
        shot = chromium.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
        (images / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))


def main() -> None:
    """Measure, or take pictures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--screenshots", type=Path)
    images = parser.parse_args().screenshots
    with tempfile.TemporaryDirectory() as folder, browser.chromium() as chromium:
        if images is None:
            measure(chromium, Path(folder))
        else:
            photograph(chromium, Path(folder), images)


if __name__ == "__main__":
    main()
