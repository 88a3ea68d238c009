"""The notebooks test labkit too: each deliberate break of labkit turns the notebook about it red.

A broken copy of labkit goes first on the path of a fresh Python, which runs the notebook's code cells
without drawing and stops at the first error. That error must be a failed assertion, not an accident.
The same cells run green with labkit as it is, so the break alone is what was noticed.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
RUNNER = """
import json, sys, traceback
import labkit
assert labkit.__file__.startswith(sys.argv[2]), labkit.__file__
for name in ("finish", "images", "film"):  # figures take time and assert nothing
    setattr(labkit.show, name, lambda *a, **k: None)
cells = [c for c in json.load(open(sys.argv[1], encoding="utf8"))["cells"] if c["cell_type"] == "code"]
world = {"__name__": "__main__"}
for i, cell in enumerate(cells[: int(sys.argv[3])], 1):
    try:
        exec(compile("".join(cell["source"]), f"cell {i}", "exec"), world)
    except BaseException as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        print("RED", i, type(error).__name__, f"in {frame.filename}, line {frame.lineno}")
        break
else:
    print("GREEN")
"""


class Break(NamedTuple):
    """Wrong lines, each as (room, what stands there, what is put there), and the notebooks of which one must notice."""

    changes: list[tuple[str, str, str]]
    notebooks: tuple[str, ...]


STEP = "(1 - schedule.beta).sqrt(), schedule.beta.sqrt(), z_prev"
JUMP = "schedule.alpha.sqrt(), (1 - schedule.alpha).sqrt(), x=x, eps"
KERNEL = "schedule.alpha.sqrt(), 1 - schedule.alpha, x=x"
BREAKS = {
    "root of the root": Break([("forward", STEP, STEP.replace("beta.sqrt()", "beta.sqrt().sqrt()"))], ("01",)),
    "beta for its root": Break([("forward", STEP, STEP.replace("beta.sqrt()", "beta"))], ("01",)),
    "alpha for 1-alpha": Break([("forward", JUMP, JUMP.replace("1 - schedule.alpha", "schedule.alpha"))], ("02",)),
    "std for variance": Break(
        [("forward", KERNEL, KERNEL.replace("1 - schedule.alpha", "(1 - schedule.alpha).sqrt()"))], ("02",)
    ),
    "variance for std": Break(
        [("forward", JUMP, JUMP.replace("(1 - schedule.alpha).sqrt()", "1 - schedule.alpha"))], ("02",)
    ),
    "noise on the last step": Break(
        [("reverse", "    std[1] = 0\n", ""), ("sample", "draw() if t > 1 else None", "draw()")], ("03", "04")
    ),
    "t off by one": Break([("schedule", "[table[t].item() for", "[table[t - 1].item() for")], ("01",)),
    "a sign in the mean": Break(
        [("reverse", "(z_t - share * epsilon_hat)", "(z_t + share * epsilon_hat)")], ("03", "04")
    ),
    "a sign in x": Break([("reverse", "(z_t - noise * epsilon_hat)", "(z_t + noise * epsilon_hat)")], ("03", "04")),
}


def copy_of_labkit(folder: Path, changes: list[tuple[str, str, str]]) -> Path:
    """A copy of labkit with wrong lines, and the data where it looks for them; returns `folder`."""
    shutil.copytree(ROOT / "labkit", folder / "labkit", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "data").symlink_to(ROOT / "data", target_is_directory=True)
    for room, right, wrong in changes:
        path = folder / "labkit" / f"{room}.py"
        text = path.read_text("utf8")
        assert text.count(right) == 1, f"{room}.py has changed; bring BREAKS up to date"
        path.write_text(text.replace(right, wrong), "utf8")
    return folder


def run_notebook(path: Path, folder: Path, cells: int = 1000) -> str:
    """The first `cells` code cells: GREEN, or RED with the cell, the kind and the place of the first error."""
    place = {"PYTHONPATH": str(folder), "MPLBACKEND": "Agg", "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, str(path), str(folder), str(cells)],
        capture_output=True, text=True, cwd=folder, env=os.environ | place, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("change", BREAKS.values(), ids=BREAKS)
def test_a_broken_labkit_turns_a_notebook_red(tmp_path: Path, change: Break) -> None:
    paths = [path for start in change.notebooks for path in (ROOT / "notebooks").glob(f"{start}_*.ipynb")]
    if not paths:
        pytest.skip(f"notebook {change.notebooks[0]} is not there yet")
    broken = copy_of_labkit(tmp_path / "broken", change.changes)
    for path in paths:
        said = run_notebook(path, broken)
        if said.startswith("RED"):
            break
    color, cell, error, *_ = said.split()
    assert (color, error) == ("RED", "AssertionError"), said
    whole = copy_of_labkit(tmp_path / "whole", [])
    assert run_notebook(path, whole, int(cell)) == "GREEN"
