"""A real browser without a window: Debian's Chromium, driven by its own driver; it reaches no
network."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
MISSING = (
    "Chromium and its driver are needed, as chromium and chromedriver on the PATH: install them "
    "(Debian and Ubuntu: apt install chromium chromium-driver)"
)
WAIT_S = 30
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # a container lets it have none; it opens pages of ours alone
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


@contextmanager
def chromium() -> Iterator["Chrome"]:
    """Chromium with an empty profile that logs its console and its requests; RuntimeError with what
    to install where there is none."""
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        raise RuntimeError(MISSING)
    try:
        from selenium.webdriver import Chrome, ChromeOptions, ChromeService
    except ImportError:
        raise RuntimeError("selenium is needed: make test-browser brings it") from None
    options = ChromeOptions()
    options.binary_location = program
    for option in _OPTIONS:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = Chrome(options, ChromeService(driver))
    try:
        yield browser
    finally:
        browser.quit()


def resize(browser: "Chrome", width: int, height: int, scale: float = 1) -> None:
    """Gives the page a window of this size, in CSS pixels; narrower than a window may be."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def colours(browser: "Chrome", scheme: str) -> None:
    """Makes the reader prefer `light` or `dark`."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def console(browser: "Chrome") -> list[str]:
    """What the console said since it was last asked: errors, warnings, refusals, the page's own."""
    return [f"{entry['level']} {entry['message']}" for entry in browser.get_log("browser")]


def requests(browser: "Chrome") -> list[str]:
    """The addresses that were asked for since this was last called, refused or not."""
    events = (json.loads(entry["message"])["message"] for entry in browser.get_log("performance"))
    sent = (e["params"] for e in events if e["method"] == "Network.requestWillBeSent")
    return [parameters["request"]["url"] for parameters in sent]


def wait(browser: "Chrome", script: str) -> Any:
    """What the script returns once that is true."""
    from selenium.webdriver.support.wait import WebDriverWait

    return WebDriverWait(browser, WAIT_S, 0.05).until(lambda b: b.execute_script(script))
