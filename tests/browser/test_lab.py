"""The labs as students see them: JupyterLab in a real browser, run, answered, saved, interrupted."""

import json
import re
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest
from chromium import ROOT, SHOTS
from serve import TOKEN, kernel_is_idle, lab

from labkit.course.release import students

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]
LABS = sorted(path.name for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
MOVING = {"01", "02", "04", "05"}  # labs with a slider over pictures
MINUTE = 60_000  # milliseconds, as Playwright counts
SLOW = """import time, torch, labkit
class Slow:  # the first drawing is quick, all others take minutes
    pause = 0
    def film(self, caption, *, scale, steps, generator):
        for t in range(steps, -1, -1):
            time.sleep(self.pause)
            yield t, torch.zeros(1, 3, 8, 8)
        self.pause = 5
    def decode(self, z):
        return z
labkit.show.prompt_explorer(Slow())"""
BUSY = "[...document.querySelectorAll('.jp-InputPrompt')].some(one => one.textContent.includes('*'))"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """`make lab` on a free port, over copies: the solved labs, and the students' version of lab 01 as mine.ipynb."""
    folder, settings = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("settings")
    for name in LABS:
        shutil.copy(ROOT / "notebooks" / name, folder / name)
    addresses = {"source_url": "https://example.org/a", "release_url": "https://example.org/b"}
    nbformat.write(students(ROOT / "notebooks" / LABS[1], addresses), folder / "mine.ipynb")
    tracker = settings / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    tracker.parent.mkdir(parents=True)
    tracker.write_text('{"windowingMode": "none"}')  # all cells stay in the page, so that all can be looked at
    with lab(folder, JUPYTERLAB_SETTINGS_DIR=str(settings), HF_HUB_OFFLINE="1") as address:
        yield address, folder


@pytest.fixture
def page(browser: "Browser", server: tuple[str, Path]) -> Iterator["Page"]:
    """A window of a small laptop; afterwards the kernels are shut down, as each takes memory."""
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    yield context.new_page()
    context.close()
    with urllib.request.urlopen(f"{server[0]}/api/sessions?token={TOKEN}") as answer:
        for one in json.load(answer):
            address = f"{server[0]}/api/sessions/{one['id']}?token={TOKEN}"
            urllib.request.urlopen(urllib.request.Request(address, method="DELETE"))


def opened(page: "Page", server: tuple[str, Path], name: str) -> None:
    """Open a notebook and wait for its kernel."""
    page.goto(f"{server[0]}/lab/tree/{name}?token={TOKEN}&reset")
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=2 * MINUTE)
    for _ in range(120):
        if kernel_is_idle(server[0], name):
            return
        page.wait_for_timeout(500)
    raise AssertionError(f"the kernel of {name} did not start")


def idle(page: "Page", timeout: int = 10 * MINUTE) -> None:
    """Wait until no cell waits or runs. (The toolbar's own indicator sometimes stays busy after a restart.)"""
    page.wait_for_timeout(200)
    page.wait_for_function(f"() => !{BUSY}", timeout=timeout)


def run_all(page: "Page") -> None:
    """Restart Kernel and Run All Cells, by the button and its question."""
    page.locator('[data-command="notebook:restart-run-all"]').first.click()
    page.locator(".jp-Dialog .jp-mod-accept").click()
    page.wait_for_function(f"() => {BUSY}", timeout=MINUTE)
    idle(page)


def cell(page: "Page", first_line: str) -> "Locator":
    """The code cell that begins with this line."""
    return page.locator(".jp-CodeCell").filter(
        has=page.locator(".cm-line:first-child", has_text=re.compile(rf"^{re.escape(first_line)}"))
    )


def start(page: "Page", where: "Locator", text: str) -> None:
    """Replace what stands in a cell, and let it run."""
    where.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(text)
    page.keyboard.press("Control+Enter")


def write(page: "Page", where: "Locator", text: str) -> None:
    """Replace what stands in a cell, and run it."""
    start(page, where, text)
    idle(page)


def run(page: "Page", where: "Locator") -> str:
    """Run a cell; what it shows below."""
    where.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    idle(page)
    return where.locator(".jp-Cell-outputArea").inner_text()


def shot(page: "Page", name: str) -> bytes:
    """A picture of the window, kept for a person."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    return page.screenshot(path=SHOTS / f"{name}.png")


@pytest.mark.parametrize("name", LABS)
def test_a_lab_runs_and_everything_in_it_is_drawn(page: "Page", server: tuple[str, Path], name: str) -> None:
    solved = nbformat.read(ROOT / "notebooks" / name, as_version=4)  # the served copy is saved again as it runs
    opened(page, server, name)
    run_all(page)
    assert page.locator('.jp-OutputArea-output[data-mime-type*="error"]').count() == 0
    for formula in page.locator(".jp-RenderedMarkdown").all_inner_texts():
        assert "$" not in formula, f"not rendered: {formula[:200]}"
    assert page.locator("mjx-merror, .MathJax_Error, [data-mjx-error]").count() == 0
    widgets = sum(
        "application/vnd.jupyter.widget-view+json" in output.get("data", {})
        for one in solved.cells
        for output in one.get("outputs", [])
    )
    assert (widgets > 0) == (name[:2] in MOVING)
    drawn = page.locator(".jp-OutputArea-output > .jupyter-widgets.widget-container")  # no box inside another
    assert drawn.count() == widgets
    for view in drawn.all():
        picture = view.locator("img.jupyter-widgets")
        assert picture.count() == 1
        assert picture.evaluate("one => one.decode().then(() => one.naturalWidth > 0)")
        assert view.locator(".sr-only").count() == 1
    figures = page.locator(".jp-OutputArea-output.jp-RenderedImage")
    for figure in figures.all():
        assert figure.locator("img").evaluate("one => one.complete && one.naturalWidth > 0")
    words = page.locator(".jp-OutputArea-output .sr-only", has_text="Figure: ")
    assert words.count() == figures.count() > 0  # a sentence for each, for those who cannot see it ...
    assert words.first.evaluate("one => one.getBoundingClientRect().height") <= 1  # ... and in nobody's way
    page.locator(".jp-OutputArea-output img").first.scroll_into_view_if_needed()
    shot(page, name.removesuffix(".ipynb"))
    if name[:2] in MOVING:
        move_the_slider(page, name)


def move_the_slider(page: "Page", name: str) -> None:
    """By keyboard, as those do who use no mouse: the picture must change."""
    handle = page.locator(".jp-OutputArea-output .noUi-handle").first
    handle.scroll_into_view_if_needed()
    picture = page.locator(".jp-OutputArea-output img.jupyter-widgets").first
    handle.focus()
    shot(page, f"slider-before-{name[:2]}")
    before = picture.screenshot()
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    changed(page, picture, before)
    shot(page, f"slider-after-{name[:2]}")


def changed(page: "Page", picture: "Locator", before: bytes) -> None:
    """Wait until a picture is another one; a minute without is a failure, however busy the machine."""
    for _ in range(120):
        if picture.screenshot() != before:
            return
        page.wait_for_timeout(500)
    raise AssertionError("the picture has not changed in a minute")


def test_a_wrong_answer_a_right_one_the_sum_and_a_reload(page: "Page", server: tuple[str, Path]) -> None:
    opened(page, server, "mine.ipynb")
    run_all(page)
    task, check = cell(page, "# TASK 1.3"), cell(page, "# CHECK 1.3")
    assert "not done" in run(page, check)
    head = "# TASK 1.3 points=3: One step of the encoder\ndef my_forward_step(beta, z_prev, t, epsilon):\n    return "
    write(page, task, head + "(1 - beta[t]).sqrt() * z_prev + beta[t] * epsilon")
    said = run(page, check)
    assert "A variance is a square" in said
    shot(page, "wrong-answer")
    right = "(1 - beta[t]).sqrt() * z_prev + beta[t].sqrt() * epsilon"
    write(page, task, head + right)
    said = run(page, check)
    assert re.search(r"right, (\d+) of \1 points", said)
    points = int(re.search(r"right, (\d+) of", said)[1])
    shot(page, "right-answer")
    assert f"Lab 1: {points} of 25 points" in run(page, cell(page, "labkit.finish()"))
    page.keyboard.press("Control+s")
    page.wait_for_timeout(3000)
    assert right in (server[1] / "mine.ipynb").read_text("utf8")
    page.reload()
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=2 * MINUTE)
    assert right in task.inner_text().replace("\xa0", " ")


def test_an_interrupt_stops_a_long_cell_and_the_kernel_lives(page: "Page", server: tuple[str, Path]) -> None:
    opened(page, server, "mine.ipynb")
    where = page.locator(".jp-CodeCell").nth(1)
    write(page, where, 'import labkit\nmodel = labkit.load_pretrained("fashion")')
    start(page, where, "x = labkit.sample(model, model.schedule, (64, 1, 32, 32))")
    bar = re.compile(r"sample: +\d+% \|.*\|.* \d\d:\d\d left")
    page.locator(".jp-OutputArea-output", has_text=bar).first.wait_for(timeout=2 * MINUTE)
    shot(page, "long-cell")  # a bar with the time that is left
    page.locator('[data-command="notebook:interrupt-kernel"]').first.click()
    idle(page, MINUTE)
    shown = where.locator(".jp-OutputArea-output")
    assert shown.count() == 1
    assert "KeyboardInterrupt" in shown.inner_text()
    start(page, where, "x = labkit.sample(model, model.schedule, (16, 1, 32, 32), steps=60)\nx.shape")
    page.locator(".jp-OutputArea-output", has_text=bar).first.wait_for(timeout=MINUTE)
    idle(page)
    assert shown.count() == 1  # nothing of the bar is left beside the value ...
    assert "torch.Size([16, 1, 32, 32])" in shown.inner_text()
    page.keyboard.press("Control+s")
    page.wait_for_timeout(3000)
    saved = nbformat.read(server[1] / "mine.ipynb", as_version=4)
    (cell,) = (one for one in saved.cells if "steps=60" in one.source)
    assert [one.output_type for one in cell.outputs] == ["execute_result"]  # ... and in the file


def test_a_caption_is_drawn_and_an_unknown_word_is_told(page: "Page", server: tuple[str, Path]) -> None:
    opened(page, server, "mine.ipynb")
    where = page.locator(".jp-CodeCell").nth(1)
    write(page, where, 'import labkit\nlabkit.show.prompt_explorer(labkit.load_painter("emoji"))')
    desk = where.locator(".jp-OutputArea-output")
    caption, button, picture = (
        desk.get_by_label("caption"),
        desk.get_by_role("button", name="Draw"),
        desk.locator("img"),
    )
    picture.wait_for(timeout=MINUTE)
    before = picture.screenshot()
    caption.fill("blue heart")
    caption.press("Tab")
    desk.get_by_label("style").select_option("twemoji")
    button.focus()
    page.keyboard.press("Enter")
    changed(page, picture, before)
    desk.get_by_text("drawn in").wait_for(timeout=MINUTE)
    shot(page, "explorer")
    caption.fill("blue haert")
    caption.press("Tab")
    button.click()
    desk.get_by_text("not taught the word 'haert' of 'blue haert, twemoji'; the nearest known words are").wait_for(
        timeout=MINUTE
    )
    shot(page, "explorer-unknown-word")


def test_a_drawing_can_be_interrupted(page: "Page", server: tuple[str, Path]) -> None:
    opened(page, server, "mine.ipynb")
    where = page.locator(".jp-CodeCell").nth(1)
    write(page, where, SLOW)
    desk = where.locator(".jp-OutputArea-output")
    button = desk.get_by_role("button", name="Draw")
    desk.get_by_text("drawn in").wait_for(timeout=MINUTE)
    button.click()
    desk.get_by_text(re.compile(r"drawing \.\.\. \d\d:\d\d left")).wait_for(timeout=MINUTE)
    page.locator('[data-command="notebook:interrupt-kernel"]').first.click()
    desk.get_by_text("stopped; the picture is the one before").wait_for(timeout=MINUTE)
    shot(page, "explorer-stopped")
    assert button.is_enabled()
