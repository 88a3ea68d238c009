"""A real browser for the tests: Debian's Chromium through Playwright, which downloads nothing here."""

from collections.abc import Iterator

import pytest
from chromium import chromium
from serve import QUIET


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """Chromium, headless."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright: browser tests are skipped")
    with playwright.sync_playwright() as running:
        shown = running.chromium.launch(executable_path=chromium(), args=QUIET)
        yield shown
        shown.close()
