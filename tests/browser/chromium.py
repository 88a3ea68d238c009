"""Where Chromium lies, how it is started, and where screenshots go."""

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SHOTS = ROOT / "runs" / "screenshots"
QUIET = [  # as root in a container; and nothing of Chromium's own looks for the network
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]  # fmt: skip


def chromium() -> str:
    """Where Chromium lies; skips the test where there is none, and says what is then not covered."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no Chromium here: what a browser shows is not covered (Debian: apt install chromium)")
    return found
