"""Measures grading: `labkit grade` on copies of a real lab against `pytest --nbval-lax` on each, one after the other.

    python benchmarks/grading.py [COPIES] [NBVAL_COPIES]

Both see the same files, the students' version of lab 01 with every answer filled in. The ratio is of submissions an
hour, measured in one run on one machine; memory is the sum over the grader's own processes, by quarter of the run.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import nbformat
import psutil
from bench import machine

from labkit.course.release import release
from labkit.exercises.cells import task_cells

ROOT = Path(__file__).resolve().parent.parent
NAME = "01_forward_encoder.ipynb"


def make_class(folder: Path, copies: int) -> list[Path]:
    """A folder a student, each with the filled-in notebook."""
    release(folder / "release")
    filled = folder / "release" / "notebooks" / NAME
    notebook, solved = (nbformat.read(path, as_version=4) for path in (filled, ROOT / "notebooks" / NAME))
    for number, cell in task_cells(notebook).items():
        cell.source = task_cells(solved)[number].source
    nbformat.write(notebook, filled)
    paths = [folder / "class" / f"student {i:04}" / NAME for i in range(copies)]
    for path in paths:
        path.parent.mkdir(parents=True)
        path.write_bytes(filled.read_bytes())
    return paths


def graded(folder: Path, copies: int) -> dict:
    """Seconds and memory of `labkit grade` on the class, and the verdicts."""
    words = [sys.executable, "-m", "labkit.cli", "grade", str(folder / "class"), "--out", str(folder / "grades")]
    started, memory = time.perf_counter(), []
    process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.DEVNULL)

    def watch() -> None:
        while process.poll() is None:
            memory.append((time.perf_counter() - started, _own_memory(process.pid)))
            time.sleep(0.5)

    threading.Thread(target=watch, daemon=True).start()
    if process.wait():
        raise SystemExit("labkit grade failed")
    seconds = time.perf_counter() - started
    lines = (folder / "grades" / "gradebook.csv").read_text("utf8").splitlines()[1:]
    right = sum(line.split(",")[-3] == "25" for line in lines)
    parts = [[mib for when, mib in memory if i <= 4 * when / seconds < i + 1] for i in range(4)]
    return {
        "copies": copies, "seconds": seconds, "an_hour": 3600 * copies / seconds, "right": right,
        "memory_mib_by_quarter": [round(statistics.median(part)) for part in parts if part],
    }  # fmt: skip


def _own_memory(pid: int) -> float:
    """MiB of the grader's processes, without the kernels in the sandbox."""
    total = 0
    try:
        for one in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            if "bwrap" not in one.name() and "ipykernel" not in " ".join(one.cmdline()):
                total += one.memory_info().rss
    except psutil.Error:
        pass
    return total / 2**20


def one_by_one(paths: list[Path]) -> dict:
    """Seconds of plain nbval on each file, one after the other."""
    seconds, right = [], 0
    for path in paths:
        started = time.perf_counter()
        words = [sys.executable, "-m", "pytest", "-q", "--nbval-lax", "--nbval-current-env", str(path)]
        right += not subprocess.run(words, cwd=path.parent, capture_output=True).returncode
        seconds.append(time.perf_counter() - started)
    each = {"median": statistics.median(seconds), "least": min(seconds), "most": max(seconds)}
    total = sum(seconds)
    return {"copies": len(paths), "seconds": total, "an_hour": 3600 * len(paths) / total, "right": right, "each": each}


def main(copies: int = 60, others: int = 60) -> None:
    """Measure, print, and write benchmarks/grading.json."""
    with tempfile.TemporaryDirectory() as temporary:
        paths = make_class(Path(temporary), copies)
        nbval = one_by_one(paths[:others])
        ours = graded(Path(temporary), copies)
    result = {
        "machine": machine(),
        "labkit grade": ours,
        "pytest --nbval-lax": nbval,
        "times": ours["an_hour"] / nbval["an_hour"],
    }
    (ROOT / "benchmarks" / "grading.json").write_text(json.dumps(result, indent=2) + "\n", "utf8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
