"""What a student waits for in a browser: prints the seconds from `make lab` to the first picture of lab 00 and, on
a second line, those from each of ten keys on the slider of lab 01 to its picture. Needs Chromium and Playwright."""

import sys
import tempfile
import time
from pathlib import Path

import nbformat
from playwright.sync_api import Page, TimeoutError, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tools"))
from serve import QUIET, TOKEN, chromium, kernel_is_idle, lab  # noqa: E402

FIRST, SLIDER = "00_start_here.ipynb", "01_forward_encoder.ipynb"
LISTEN = """() => {
    let pressed = 0;
    window.answers = [];
    document.addEventListener('keydown', () => { pressed = performance.now(); }, true);
    new MutationObserver(() => window.answers.push((performance.now() - pressed) / 1000)).observe(
        document.querySelector('.jp-OutputArea-output img.jupyter-widgets'),
        {attributes: true, attributeFilter: ['src']});
}"""


BUSY = "() => [...document.querySelectorAll('.jp-InputPrompt')].some(one => one.textContent.includes('*'))"


def run_all(page: Page, address: str, name: str) -> None:
    """Open a lab, wait for its kernel, and press "Restart Kernel and Run All Cells".

    The command is lost where the kernel has not started yet, and now and then besides: then it is given once more.
    """
    page.goto(f"{address}/lab/tree/{name}?token={TOKEN}&reset")
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=120_000)
    deadline = time.monotonic() + 120
    while not kernel_is_idle(address, name) and time.monotonic() < deadline:
        page.wait_for_timeout(200)
    for wait in (20_000, 60_000):
        page.locator('[data-command="notebook:restart-run-all"]').first.click(timeout=60_000)
        page.locator(".jp-Dialog .jp-mod-accept").click()
        try:
            page.wait_for_function(BUSY, timeout=wait)
            return
        except TimeoutError:
            continue
    raise SystemExit(f"{name} did not run")


def main() -> None:
    """Measure both and print them."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        for name in (FIRST, SLIDER):
            notebook = nbformat.read(ROOT / "notebooks" / name, as_version=4)
            for cell in notebook.cells:
                cell.update({"outputs": []} if cell.cell_type == "code" else {})
            nbformat.write(notebook, Path(folder) / name)
        browser = playwright.chromium.launch(executable_path=chromium(), args=QUIET)
        page, started = browser.new_page(), time.perf_counter()
        with lab(folder) as address:
            run_all(page, address, FIRST)
            page.locator(".jp-RenderedImage img").first.wait_for(timeout=120_000)
            print(time.perf_counter() - started)
            page = browser.new_page()
            run_all(page, address, SLIDER)
            page.locator(".jp-OutputArea-output img.jupyter-widgets").wait_for(timeout=120_000)
            page.wait_for_timeout(60_000)  # until both labs are done
            page.evaluate(LISTEN)
            page.locator(".jp-OutputArea-output .noUi-handle").first.focus()
            for _ in range(10):
                page.keyboard.press("ArrowRight")
                page.wait_for_timeout(700)
            print(*page.evaluate("window.answers"))
        browser.close()


if __name__ == "__main__":
    main()
