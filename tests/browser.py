"""Debian's Chromium for tests. Import `browser` and `page` into a conftest to use them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.base import AXE_SCRIPT  # type: ignore[import-untyped]
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, expect, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ALL = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
# What can differ in other colours and another width, of a page that all rules have looked at.
OF_LOOKS = ["color-contrast", "link-in-text-block", "scrollable-region-focusable", "target-size"]
# All that it finds is a large object, of which this process would look at every value.
_AXE = """async (options) => (await axe.run(options)).violations
  .filter((rule) => ["serious", "critical"].includes(rule.impact))
  .flatMap((rule) => rule.nodes.map((node) =>
    `${rule.id} (${rule.impact}): ${rule.help}: ${node.html}\n    ${node.failureSummary}`))"""
# Of a busy machine, on which a page may take long.
_TIMEOUT_MS = 8_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium per module. Without it the test is skipped, unless AGENTAPP_REQUIRE_BROWSER=1 forbids that."""
    if not CHROMIUM.exists():
        missing = f"{CHROMIUM} is missing: install Debian's chromium"
        if os.environ.get("AGENTAPP_REQUIRE_BROWSER") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    # Playwright's sync API runs an event loop in this thread, in which Django refuses to use the database without this.
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        chromium = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=_ARGUMENTS, timeout=2 * _TIMEOUT_MS
        )  # fmt: skip
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh tab. A script that fails, or that the content policy stops, fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(_TIMEOUT_MS)
    expect.set_options(timeout=_TIMEOUT_MS)
    tab = context.new_page()
    complaints: list[str] = []

    def complain(error: Error) -> None:
        complaints.append(str(error))

    def look(message: ConsoleMessage) -> None:
        # What has no address is a script of the test's.
        if "Content Security" in message.text and message.location["url"]:
            complaints.append(message.text)

    tab.on("pageerror", complain)
    tab.on("console", look)
    yield tab
    context.close()
    assert not complaints, complaints


def press(page: Page, key: str) -> None:
    """Press a key once the scripts of a page are there to hear it: its text is there before them."""
    page.wait_for_load_state("load")
    page.keyboard.press(key)


def until(page: Page, expression: str) -> None:
    """Wait until an expression of a script holds. Playwright's own way asks again by `eval`, which our pages forbid."""
    deadline = time.monotonic() + 2 * _TIMEOUT_MS / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(20)


def resize(page: Page, width: int) -> None:
    """Make the window as wide as this, and return when the page is."""
    page.set_viewport_size({"width": width, "height": 900})
    until(page, f"innerWidth === {width}")


def take_picture(page: Page, name: str, *, full_page: bool = True) -> None:
    """Take a picture for people, into the folder that AGENTAPP_SCREENSHOTS names; none without it.

    It shows a test nothing, and costs as much CPU as all else that a test does with a page.
    """
    if folder := os.environ.get("AGENTAPP_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=full_page, animations="disabled")


def check_accessibility(page: Page, name: str, rules: list[str] = ALL) -> None:
    """Let axe look at a page as it is, by WCAG 2.2 AA: it may find nothing serious or critical."""
    serious = accessibility_faults(page, rules)
    assert not serious, f"{name}:\n" + "\n".join(serious)


def accessibility_faults(page: Page, rules: list[str] = ALL) -> list[str]:
    """Return what axe finds of serious and critical faults of a page."""
    # Another colour scheme takes a moment to fade in. What fades in an element that is replaced meanwhile is aborted.
    page.evaluate("Promise.allSettled(document.getAnimations().map((animation) => animation.finished))")
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    found: list[str] = page.evaluate(_AXE, {"resultTypes": ["violations"], "runOnly": rules})
    return found
