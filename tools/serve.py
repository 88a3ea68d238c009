"""`make lab` for a program to look at: on a free port, over a folder of notebooks, until the program is done.

tests/browser and benchmarks/browser.py start it here, and Chromium with the same words. It knows nothing of what they
look at.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOKEN = "t"
QUIET = [  # Chromium as root in a container; and nothing of its own looks for the network
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]  # fmt: skip


def chromium() -> str | None:
    """Where Chromium lies, None where there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class NoServer(RuntimeError):
    """JupyterLab cannot be had; the message is one sentence."""


@contextlib.contextmanager
def lab(notebooks: Path | str, seconds: float = 120, **environment: str) -> Iterator[str]:
    """Run `make lab` over the folder `notebooks`; gives its address, http://127.0.0.1:PORT, as soon as it answers.

    environment: variables for the server and its kernels, beside those of this process. The server and all that it
    started end with the block. Raises NoServer where it ends by itself, or does not answer within `seconds`.
    """
    port = _free_port()
    address = f"http://127.0.0.1:{port}"
    words = ["make", "lab", f"PORT={port}", f"NOTEBOOKS={notebooks}"]
    words += [f"ARGS=--no-browser --IdentityProvider.token={TOKEN}"]
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        process = subprocess.Popen(
            words, cwd=ROOT, stdout=log, stderr=log, start_new_session=True, env={**os.environ, **environment}
        )
        try:
            problem = _wait(process, f"{address}/api?token={TOKEN}", seconds)
            if problem:
                log.seek(0)
                raise NoServer(f"`make lab` {problem}; the last that it said: {_last_words(log.read())}")
            yield address
        finally:
            _end(process)


def kernel_is_idle(address: str, name: str) -> bool:
    """Whether the notebook `name` that is open at `address` has a kernel which has started and waits for work."""
    with urllib.request.urlopen(f"{address}/api/sessions?token={TOKEN}") as answer:
        return any(one["path"] == name and one["kernel"]["execution_state"] == "idle" for one in json.load(answer))


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _wait(process: subprocess.Popen, address: str, seconds: float) -> str:
    """Wait until the address answers: "", or what happened instead."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):  # nobody there yet, or somebody who is not ready
            urllib.request.urlopen(address, timeout=5).close()
            return ""
        if process.poll() is not None:
            return f"ended with exit status {process.returncode}"
        time.sleep(0.2)
    return f"did not answer within {seconds:g} s"


def _last_words(log: str) -> str:
    said = [line for line in log.splitlines() if line.strip() and not re.match(r"make(\[\d+\])?: ", line)]  # "Error 1"
    return said[-1] if said else "nothing"


def _end(process: subprocess.Popen) -> None:
    """End make, the server and its kernels: they get half a minute to do so themselves."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
            return
