"""What a student waits for in a browser: prints the seconds from `make lab` to the first picture of lab 00 and, on
a second line, those from each of ten keys on the slider of lab 01 to its picture. Needs Chromium and Playwright."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from playwright.sync_api import Error, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
FIRST, SLIDER = "00_start_here.ipynb", "01_forward_encoder.ipynb"
LISTEN = """() => {
    let pressed = 0;
    window.answers = [];
    document.addEventListener('keydown', () => { pressed = performance.now(); }, true);
    new MutationObserver(() => window.answers.push((performance.now() - pressed) / 1000)).observe(
        document.querySelector('.jp-OutputArea-output img.jupyter-widgets'),
        {attributes: true, attributeFilter: ['src']});
}"""


@contextmanager
def lab(folder: str) -> Iterator[str]:
    """`make lab` on a free port; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["make", "lab", f"PORT={port}", f"NOTEBOOKS={folder}", "ARGS=--no-browser --IdentityProvider.token=t"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    server = subprocess.Popen(words, cwd=ROOT, **quiet)
    try:
        yield f"http://127.0.0.1:{port}/lab/tree"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def run_all(page: Page, address: str, name: str) -> None:
    """Open a lab, as soon as the server answers, and press "Restart Kernel and Run All Cells"."""
    while True:
        try:
            page.goto(f"{address}/{name}?token=t&reset")
            break
        except Error:
            time.sleep(0.2)
    page.locator('[data-command="notebook:restart-run-all"]').first.click(timeout=60_000)
    page.locator(".jp-Dialog .jp-mod-accept").click()


def main() -> None:
    """Measure both and print them."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        for name in (FIRST, SLIDER):
            notebook = nbformat.read(ROOT / "notebooks" / name, as_version=4)
            for cell in notebook.cells:
                cell.update({"outputs": []} if cell.cell_type == "code" else {})
            nbformat.write(notebook, Path(folder) / name)
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
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
