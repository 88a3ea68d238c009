"""Runs composed cells through nbval, the kernel in the sandbox and pytest outside it, and keeps each cell's outcome.

nbval waits long for a kernel that is dead or busy, and keeps all output; a watched kernel takes the place of its own,
and is ended when a limit is passed. Then the run is over, and the caller goes on with the rest in a fresh one.
"""

import contextlib
import io
import math
import os
import re
import stat
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any

import nbformat
import nbval.plugin
import psutil
import pytest

from labkit.course.compose import Cell
from labkit.course.sandbox import NAME, Limits, kernel_spec
from labkit.exercises.report import MIME

BLOCK = 4096  # bytes of the disk that the smallest file takes
TICK = 0.2  # seconds between two looks at a running kernel
ENDED = "it ended the kernel"


@dataclass
class Ran:
    """What became of a cell: the values it stored (untrusted), the error in a line, or the limit that it passed."""

    stored: list[Any] = field(default_factory=list)
    error: str = ""
    limit: str = ""
    seconds: float = 0.0


class Stopped(RuntimeError):
    """The kernel was ended as a limit was passed, or it ended by itself; the message says which, for the student."""


class Watched(nbval.plugin.RunningKernel):
    """nbval's kernel, looked at while it works: is it alive, how much has it used, how much does it say?"""

    limits = Limits()
    own = 0  # how many of the first cells are the course's own: their work is not the student's
    until = math.inf  # when all of the submission's time is over, by time.monotonic()

    def execute_cell_input(self, cell_input: str, allow_stdin: bool | None = None) -> str:
        """Start a cell, and its clocks."""
        self.started = self.looked = time.monotonic()
        self.used, self.said, self.ran = self._cpu(), 0, getattr(self, "ran", 0) + 1
        return super().execute_cell_input(cell_input, allow_stdin)

    def await_reply(self, msg_id: str, timeout: float | None = None) -> None:
        """Wait for the end of the cell; raises Stopped within a second of a limit being passed."""
        while True:
            try:
                message = self.get_message(stream="shell", timeout=TICK)
            except Empty:
                self._look()
                continue
            if message["parent_header"].get("msg_id") == msg_id:
                return

    def get_message(self, stream: str, timeout: float | None = None) -> Any:
        """A message; those that are shown count as output. While a cell runs, messages put off no look at it."""
        if not hasattr(self, "started"):
            return super().get_message(stream, timeout)
        if time.monotonic() > self.looked + TICK:
            self._look()
        try:
            message = super().get_message(stream, timeout)
        except Empty:
            if stream == "shell":
                raise
            self._look()  # a kernel that is gone says more
            self._end("the end of its output did not come")
        except Exception as error:
            self._end(f"it sent a message that cannot be read ({type(error).__name__})")
        if stream == "iopub":
            self.said += len(str(message.get("content", "")))
            if self.said > self.limits.output * 2**20:
                self._end(f"it printed more than {self.limits.output:g} MiB")
        return message

    def _look(self) -> None:
        if not self.km.is_alive():
            self._end(ENDED)
        if not hasattr(self, "started"):  # nbval has its own limit on how long a kernel may take to start
            return
        self.looked = time.monotonic()
        if self.looked > self.until:
            self._end(no_time(self.limits))
        cpu, wall = self.limits.task_cpu, self.limits.task_wall
        if self.ran <= self.own:
            cpu = wall = self.limits.total_wall
        if self._cpu() - self.used > cpu:
            self._end(f"it computed for more than {cpu:g} seconds")
        if self.looked - self.started > wall:
            self._end(f"it was not done after {wall:g} seconds")
        if sum(self._each(lambda one: one.memory_info().rss)) > self.limits.memory * 2**20:
            self._end(f"it took more than {self.limits.memory} MiB of memory")
        most = self.limits.disk * 2**20
        if _size(getattr(self.km.provisioner, "folder", ""), most) + self._without_names() > most:
            self._end(f"it wrote more than {self.limits.disk} MiB")

    def _end(self, why: str) -> None:
        self.kc.stop_channels()
        self.km.shutdown_kernel(now=True)
        raise Stopped(why)

    def _cpu(self) -> float:
        return sum(self._each(lambda one: sum(one.cpu_times()[:4])))

    def _without_names(self) -> int:
        """The bytes of open files that were removed: no folder shows them, and they fill the disk all the same."""
        files = {}
        for pid in self._each(lambda one: one.pid):
            with contextlib.suppress(OSError):
                for entry in os.scandir(f"/proc/{pid}/fd"):
                    with contextlib.suppress(OSError):
                        found = entry.stat()
                        if not found.st_nlink and stat.S_ISREG(found.st_mode):
                            files[found.st_dev, found.st_ino] = max(found.st_size, found.st_blocks * 512)
        return sum(files.values())

    def _each(self, look: Any) -> list[Any]:
        """What `look` finds at every process of the sandbox."""
        found = []
        with contextlib.suppress(psutil.Error):
            top = psutil.Process(self.km.provisioner.pid)
            for one in [top, *top.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    found.append(look(one))
        return found


class Recorder:
    """A pytest plugin that keeps what nbval saw of each cell."""

    def __init__(self) -> None:
        self.cells: list[Ran] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: Any, call: Any) -> Any:
        """After a cell ran: its outputs, or why it failed."""
        report = yield
        if call.when == "setup" and call.excinfo:
            self.cells.append(Ran(limit=f"the kernel did not start ({call.excinfo.value})"))
            item.session.shouldstop = "there is no kernel"
        if call.when == "call" and call.excinfo and str(call.excinfo.value) == "Kernel dead on test start":
            item.session.shouldstop = "the kernel is gone"  # what came before has ended it: this cell is still to run
            with contextlib.suppress(Stopped):
                item.parent.kernel._end(ENDED)
        elif call.when == "call":
            self.cells.append(_ran(item, call))
            if self.cells[-1].limit:
                item.session.shouldstop = "the kernel is gone"
        return report


def _size(folder: str, most: int) -> float:
    """The bytes in a folder that kernel and grader share, with all that is below it; no exact number above `most`.

    An empty file takes a block of the disk, too. What is too deep, or closed to us, is more than is allowed.
    """
    total, folders = 0, [folder] if folder else []
    while folders and total <= most:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):
                        found = entry.stat(follow_symlinks=False)
                        total += max(found.st_size, found.st_blocks * 512, BLOCK)
                        folders += [entry.path] if stat.S_ISDIR(found.st_mode) else []
        except (FileNotFoundError, NotADirectoryError):  # gone since
            continue
        except OSError:
            return math.inf
    return total


def no_time(limits: Limits) -> str:
    """What is said where the time for all tasks is over."""
    return f"there was no time left: {limits.total_wall:g} seconds are for all tasks"


def _ran(item: Any, call: Any) -> Ran:
    outputs = item.test_outputs or []
    shown = [out["data"] for out in outputs if isinstance(out.get("data"), dict)]
    stored = [data[MIME] for data in shown if MIME in data]
    error = call.excinfo.value if call.excinfo else None
    seconds = call.stop - call.start
    if isinstance(error, Stopped):
        return Ran(stored, limit=str(error), seconds=seconds)
    failed = next((out for out in outputs if out.output_type == "error"), None)
    said = f"{failed.ename}: {failed.evalue}"[:300] if failed else str(error)[:300] if error else ""
    return Ran(stored, re.sub(r"\x1b\[[0-9;]*m", "", said), "", seconds)


def rerun(cells: list[Cell], course: Path, limits: Limits, slot: int = 0, until: float = math.inf) -> list[Ran]:
    """Run the cells in one fresh kernel; returns what became of them, up to and with the one that ended the kernel.

    course: the folder with the grading copy of labkit. until: when all time is over, by time.monotonic(). Raises
    nothing that a cell can cause.
    """
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell.source) for cell in cells])
    with tempfile.TemporaryDirectory(prefix="grading-") as temporary:
        folder = Path(temporary)
        nbformat.write(notebook, folder / "composed.ipynb")
        kernel_spec(folder, course, limits, slot)
        recorder = Recorder()
        options = [
            "-p",
            "nbval.plugin",
            "-p",
            "no:cacheprovider",
            "--noconftest",
            "-c",
            os.devnull,
            "--rootdir",
            str(folder),
        ]
        options += ["--nbval-lax", "--nbval-kernel-name", NAME, str(folder / "composed.ipynb")]
        Watched.limits, Watched.until = limits, until
        Watched.own = sum(cell.kind == "SETUP" for cell in cells)
        with _world(JUPYTER_PATH=str(folder), PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"), _patched():
            pytest.main(options, plugins=[recorder])
    return recorder.cells


@contextlib.contextmanager
def _patched() -> Any:
    """nbval's kernel is the watched one, and nothing is printed."""
    before = nbval.plugin.RunningKernel
    nbval.plugin.RunningKernel = Watched
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        nbval.plugin.RunningKernel = before


@contextlib.contextmanager
def _world(**names: str) -> Any:
    before = dict(os.environ)
    os.environ.update(names)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
