"""Processes that grade: each takes one submission at a time, and ends with the process that asked for it.

nbval is run by changing what a whole process has (its environment, its output): two submissions in threads of one
process would disturb each other. This file knows nothing of a class.
"""

import atexit
import contextlib
import json
import os
import pickle
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch

from labkit.course import answerless
from labkit.course.grading import NOT_GRADED, Result, grade
from labkit.course.sandbox import Limits, remove
from labkit.data import ROOT

MOST = 50  # submissions that one process grades, so that none grows for good
IDLE = 60  # seconds after which one that has nothing to do ends


@cache
def courses(sandbox: bool) -> Callable[[str], Path]:
    """Gives for a lab the folder with its grading copy of labkit, made once a process."""
    folder = Path(tempfile.mkdtemp(prefix="course-"))
    folder.chmod(0o755)
    atexit.register(remove, str(folder))
    return cache(lambda lab: answerless.write(folder / lab, lab, data_as_link=not sandbox))


def work_on(raw: bytes, name: str, seed: int, limits: Limits, slot: int = 0) -> dict[str, Any]:
    """Grade one submission in this process; its result for JSON."""
    try:
        return grade(raw, name, courses(limits.sandbox), seed, limits, slot).as_dict()
    except Exception as error:  # a fault of ours must not end the class: it is a row that says so
        return not_graded(f"the grader failed: {type(error).__name__}: {error}"[:300])


def not_graded(why: str) -> dict[str, Any]:
    """The result, for JSON, of a submission that could not be graded by no fault of its own."""
    return Result(NOT_GRADED, notes=[why]).as_dict()


class Worker:
    """A process that grades, started when it is needed. slot: its number among those of this machine, 0 for its pid."""

    def __init__(self, slot: int = 0) -> None:
        self.slot, self.process, self.left, self.over = slot, None, 0, False

    def grade(self, raw: bytes, name: str, seed: int, limits: Limits) -> dict[str, Any]:
        """The result of one submission for JSON. One that ends the process is tried once more, in a fresh one."""
        for _ in range(2):
            with contextlib.suppress(OSError, ValueError):  # it is gone, or half of an answer came
                if not self.left or self.process.poll() is not None:
                    self._start()
                self.left -= 1
                pickle.dump((raw, name, seed, limits), self.process.stdin)
                self.process.stdin.flush()
                return json.loads(self.process.stdout.readline())
            self.left = 0
        return not_graded("it ended the grader's own process, twice")

    def _start(self) -> None:
        self._end()
        if self.over:
            raise ValueError("nothing more is to be graded")
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        words = [sys.executable, "-P", "-m", __spec__.name, str(self.slot)]  # -P: nothing of the folder we are in
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        self.left = MOST

    def close(self) -> None:
        """End it, also in the middle of its work."""
        self.over = True
        self._end()

    def _end(self) -> None:
        if self.process:
            with contextlib.suppress(OSError):  # what it was being sent when it died
                self.process.stdin.close()
            self.process.wait()


_idle: list[Worker] = []


def grade_with(idle: list[Worker], raw: bytes, name: str, seed: int, limits: Limits) -> dict[str, Any]:
    """Grade one submission, out of any thread, with a worker that is idle, or a new one; then it is idle again."""
    try:
        worker = idle.pop()
    except IndexError:
        worker = Worker()
    try:
        return worker.grade(raw, name, seed, limits)
    finally:
        idle.append(worker)


def anywhere(raw: bytes, name: str, seed: int, limits: Limits) -> dict[str, Any]:
    """Grade one submission in a process beside this one: what a Dask worker is asked for."""
    return grade_with(_idle, raw, name, seed, limits)


def serve(slot: int) -> None:
    """The life of such a process: grade what comes by standard input until that ends, or nothing comes for a while."""
    answers, asked = os.fdopen(os.dup(1), "w"), os.fdopen(os.dup(0), "rb")  # pytest puts others in their place
    os.dup2(2, 1)  # what anybody prints is no answer
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the one who asks
    torch.set_num_threads(1)  # two jobs' threads would wait for each other
    with tempfile.TemporaryDirectory(prefix="grader-") as own:
        tempfile.tempdir = own
        threading.Thread(target=_end_with_input, args=(asked.fileno(), own), daemon=True).start()
        while select.select([asked], [], [], IDLE)[0]:
            try:
                request = pickle.load(asked)
            except EOFError:
                break
            print(json.dumps(work_on(*request, slot or os.getpid() % 4000)), file=answers, flush=True)


def _end_with_input(asked: int, own: str) -> None:
    """End this process at once where the one that asks is gone, also in the middle of a submission.

    The kernel dies with it, as bubblewrap is told to (and as ipykernel does by itself).
    """
    watch = select.poll()
    watch.register(asked, 0)  # tells of the other end being closed, and of nothing else
    watch.poll()
    for _ in range(5):  # the other thread is at work in it still
        if os.path.exists(own):
            remove(own)
    os._exit(1)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
