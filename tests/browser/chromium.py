"""Where Chromium lies, and where screenshots go."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SHOTS = ROOT / "runs" / "screenshots"
sys.path.append(str(ROOT / "tools"))  # serve: what the benchmark uses, too


def chromium() -> str:
    """Where Chromium lies; skips the test where there is none, and says what is then not covered."""
    from serve import chromium

    found = chromium()
    if not found:
        pytest.skip("no Chromium here: what a browser shows is not covered (Debian: apt install chromium)")
    return found
