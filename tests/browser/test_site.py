"""The course site in a real browser: nothing leaves the machine, all is drawn, on a phone, in print, in the dark."""

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest
from chromium import ROOT, SHOTS

import labkit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]
LABS = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
PAGES = {
    "solved": ["index", *LABS, "labkit", "INSTRUCTOR", "CONTRIBUTING"],
    "students": ["index", *LABS, "labkit"],
}
each = pytest.mark.parametrize("which", PAGES)
each_page = pytest.mark.parametrize(("which", "name"), [(which, name) for which in PAGES for name in PAGES[which]])
AXE = "axe-core@4.14.1"


def build(folder: Path, *words: str) -> Path:
    """Run what `make site` runs."""
    pytest.importorskip("sphinx", reason="Sphinx is not installed (pip install -e .[site])")
    words = [sys.executable, str(ROOT / "tools" / "build_site.py"), str(folder), *words]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The instructor's site and the students'."""
    folder = tmp_path_factory.mktemp("sites")
    return {"solved": build(folder / "solved"), "students": build(folder / "students", "--release")}


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """axe-core's script, from npm."""
    folder = tmp_path_factory.mktemp("axe")
    try:
        subprocess.run(["npm", "pack", "--silent", AXE], cwd=folder, check=True, capture_output=True, timeout=120)
        subprocess.run(["tar", "xzf", next(folder.glob("*.tgz"))], cwd=folder, check=True)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("npm gives no axe-core here: accessibility is not covered")
    return (folder / "package" / "axe.min.js").read_text("utf8")


@pytest.fixture(params=["light", "dark"])
def page(browser: "Browser", request: pytest.FixtureRequest) -> Iterator["Page"]:
    """A window that remembers what it was asked for and what went wrong."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=request.param)
    shown = context.new_page()
    shown.troubles = []
    shown.on("request", lambda one: one.url.startswith(("file:", "data:")) or shown.troubles.append(one.url))
    shown.on("requestfailed", lambda one: shown.troubles.append(f"failed: {one.url}"))
    shown.on("console", lambda one: one.type in ("error", "warning") and shown.troubles.append(one.text))
    shown.on("pageerror", lambda one: shown.troubles.append(str(one)))
    yield shown
    context.close()


def opened(page: "Page", site: Path, name: str) -> None:
    """Open a page of the site and wait until its formulas are drawn."""
    page.goto(f"file://{site}/{name}.html")
    page.wait_for_function(
        "() => document.querySelectorAll('.math').length === document.querySelectorAll('.math mjx-container').length",
        timeout=60_000,
    )


@each_page
def test_a_page_is_drawn_whole_and_asks_nobody(
    page: "Page", sites: dict[str, Path], axe: str, which: str, name: str
) -> None:
    opened(page, sites[which], name)
    assert page.troubles == []
    assert page.locator("mjx-merror").count() == 0
    for picture in page.locator("img").all():
        picture.scroll_into_view_if_needed()
        assert picture.evaluate("one => one.decode().then(() => one.naturalWidth > 0)"), picture.get_attribute("src")
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then(all => all.violations)")
    serious = [
        f"{one['id']}, {len(one['nodes'])} times: {one['nodes'][0]['html'][:200]} {one['nodes'][0]['failureSummary']}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []


@each_page
def test_a_phone_shows_it_without_sideways_scrolling(
    browser: "Browser", sites: dict[str, Path], which: str, name: str
) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844}, device_scale_factor=2)
    opened(page, sites[which], name)
    wide = page.evaluate("document.documentElement.scrollWidth")
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"site-phone-{which}-{name}.png")
    page.close()
    assert wide <= 390


def test_print_leaves_the_menus_out(browser: "Browser", sites: dict[str, Path]) -> None:
    page = browser.new_page()
    opened(page, sites["solved"], LABS[1])
    page.emulate_media(media="print")
    assert not page.locator(".sidebar-drawer").first.is_visible()
    assert page.locator("article h1").first.is_visible()
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.pdf(path=SHOTS / "site-print.pdf", format="A4")
    page.close()


@each
def test_every_figure_says_what_it_shows(sites: dict[str, Path], which: str) -> None:
    for name in LABS:
        parsed = Collected((sites[which] / f"{name}.html").read_text("utf8"))
        shown = [one for one in parsed.images if one.get("src", "").startswith("_images/")]
        assert shown
        assert all(one.get("alt", "").count(" ") >= 3 for one in shown), name


@each
def test_every_public_name_has_an_anchor(sites: dict[str, Path], which: str) -> None:
    text = (sites[which] / "labkit.html").read_text("utf8")
    anchors = Collected(text).anchors
    assert "module-labkit" in anchors
    for name in labkit.__all__:
        named = getattr(labkit, name)
        module = isinstance(named, ModuleType)
        anchor = f"module-{named.__name__}" if module else f"{named.__module__}.{named.__qualname__}"
        assert anchor in anchors, f"{name}: add its room to ROOMS of tools/build_site.py"


@each
def test_links_resolve(sites: dict[str, Path], which: str) -> None:
    site = sites[which]
    pages = {path.name: Collected(path.read_text("utf8")) for path in site.glob("*.html")}
    assert {f"{name}.html" for name in PAGES[which]} <= set(pages)
    for name, parsed in pages.items():
        for link in parsed.links:
            target = urlsplit(link)
            if target.scheme in ("http", "https", "mailto"):
                continue
            where = unquote(target.path) or name
            assert (site / where).is_file(), f"{name} links to {link}"
            if target.fragment and where in pages:
                assert unquote(target.fragment) in pages[where].anchors, f"{name} links to {link}"


def test_the_students_site_has_no_solutions_and_no_instructor(sites: dict[str, Path]) -> None:
    site = sites["students"]
    assert {f"{name}.html" for name in ("index", "labkit", *LABS)} <= {path.name for path in site.glob("*.html")}
    assert not [path.name for path in site.glob("*.html") if path.stem in ("INSTRUCTOR", "CONTRIBUTING")]
    text = "".join(path.read_text("utf8") for path in site.rglob("*") if path.suffix in (".html", ".js", ".txt"))
    assert "BEGIN SOLUTION" not in text
    assert "INSTRUCTOR" not in text
    assert not re.search(r"right, \d+ of \d+ point|Lab \d: \d+ of", text)  # nor what a check said of a solution


class Collected(HTMLParser):
    """The links, images and anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links, self.images, self.anchors = [], [], {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Called by the parser."""
        found = dict(attributes)
        if found.get("id"):
            self.anchors.add(found["id"])
        if tag == "img":
            self.images.append(found)
        link = found.get("href") if tag in ("a", "link") else found.get("src") if tag in ("img", "script") else None
        if link and not link.startswith("data:"):
            self.links.append(link)
