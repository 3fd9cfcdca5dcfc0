"""plots/index.html in a real browser, headless, from disk: all there, nothing from elsewhere, nothing too wide."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from bench.__main__ import main
from support import sample_run

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
QUIET = ["--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
# Elements that reach beyond the window, but for what lies in a box that scrolls by itself.
TOO_WIDE = """() => [...document.querySelectorAll('body *')]
  .filter(one => !one.parentElement.closest('.wide'))
  .filter(one => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map(one => one.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of the made-up run, in a directory whose name needs quoting in an address."""
    base = tmp_path_factory.mktemp("a b#c%20")
    run = sample_run.write_run(base / "sample")
    assert main(["plot", str(run), "--plots", str(base / "plots")]) == 0
    return base / "plots" / "index.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start the browser that is installed, with an empty profile; none is ever downloaded."""
    found = os.environ.get("BROWSER_EXECUTABLE") or next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        pytest.skip(f"NOT TESTED in a browser: none of {', '.join(NAMES)} is installed, and BROWSER_EXECUTABLE is not set")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=QUIET, chromium_sandbox=os.getuid() != 0)
        yield browser
        browser.close()


def opened(browser: Any, index: Path, width: int) -> tuple[Page, list[str], list[str]]:
    """Open the page; return it with what the console said and what was requested."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("requestfailed", lambda request: said.append(request.url))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(index.as_uri(), wait_until="load")
    return page, said, asked


@pytest.mark.parametrize("width", [400, 1200])
def test_the_page_opens_from_disk(browser: Any, index: Path, width: int) -> None:
    page, said, asked = opened(browser, index, width)
    assert page.title() == "unlockall-bench: figures of sample"
    assert page.evaluate("window.innerWidth") == width
    sizes = page.evaluate("[...document.images].map(one => one.complete ? one.naturalWidth * one.naturalHeight : 0)")
    assert len(sizes) == 6
    assert all(sizes)
    assert page.locator("table").count() > 8
    assert page.locator("table").first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(TOO_WIDE) == []
    assert said == []
    assert len(asked) == 7
    assert all(url.startswith("file://") for url in asked)
    page.close()


def test_the_page_itself_forbids_what_is_not_on_disk(browser: Any, index: Path) -> None:
    changed = index.with_name("changed.html")
    text = index.read_text(encoding="utf-8")
    more = "<img src='http://192.0.2.1/x.png'><script>document.title = 'ran'</script>"
    changed.write_text(text.replace("<main>", f"<main>{more}"), encoding="utf-8")
    page, said, _ = opened(browser, changed, 800)
    assert page.title() == "unlockall-bench: figures of sample"
    assert len([line for line in said if "Content Security Policy" in line]) == 2
    assert page.evaluate("document.querySelector('main > img').naturalWidth") == 0
    page.close()
