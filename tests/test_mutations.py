"""The notebooks test labkit too: each deliberate break of labkit turns the notebook about it red.

A broken copy of labkit goes first on the path of a fresh Python, which runs the notebook's code cells
without drawing and stops at the first error. That error must be a failed assertion, not an accident.
(That the notebooks are green with labkit as it is, nbval says.)
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
for i, cell in enumerate(cells, 1):
    try:
        exec(compile("".join(cell["source"]), f"cell {i}", "exec"), world)
    except BaseException as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        print(f"RED {type(error).__name__} in {frame.filename}, line {frame.lineno}")
        break
else:
    print("GREEN")
"""


class Break(NamedTuple):
    """One wrong line: in which room, what stands there, what is put there, and which notebook must notice."""

    room: str
    right: str
    wrong: str
    notebook: str


BREAKS = {
    "√β for β": Break(
        "forward",
        "(1 - schedule.beta).sqrt(), schedule.beta.sqrt(), z_prev",
        "(1 - schedule.beta).sqrt(), schedule.beta.sqrt().sqrt(), z_prev",
        "01",
    ),
    "β for √β": Break(
        "forward",
        "(1 - schedule.beta).sqrt(), schedule.beta.sqrt(), z_prev",
        "(1 - schedule.beta).sqrt(), schedule.beta, z_prev",
        "01",
    ),
    "α for 1-α": Break(
        "forward",
        "schedule.alpha.sqrt(), (1 - schedule.alpha).sqrt(), x",
        "schedule.alpha.sqrt(), schedule.alpha.sqrt(), x",
        "02",
    ),
    "std for variance": Break(
        "forward",
        "schedule.alpha.sqrt(), 1 - schedule.alpha, x=x",
        "schedule.alpha.sqrt(), (1 - schedule.alpha).sqrt(), x=x",
        "02",
    ),
    "variance for std": Break(
        "forward",
        "schedule.alpha.sqrt(), (1 - schedule.alpha).sqrt(), x",
        "schedule.alpha.sqrt(), 1 - schedule.alpha, x",
        "02",
    ),
    "noise on the last step": Break("reverse", "    std[1] = 0\n", "", "03"),
    "t off by one": Break("schedule", "[table[t].item() for", "[table[t - 1].item() for", "01"),
    "a sign in μ": Break("reverse", "(z_t - share * epsilon_hat)", "(z_t + share * epsilon_hat)", "03"),
    "a sign in x": Break("reverse", "(z_t - noise * epsilon_hat)", "(z_t + noise * epsilon_hat)", "03"),
}


def broken_copy(folder: Path, change: Break) -> None:
    """A copy of labkit with one wrong line, and the data where it looks for them."""
    shutil.copytree(ROOT / "labkit", folder / "labkit", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "data").symlink_to(ROOT / "data", target_is_directory=True)
    path = folder / "labkit" / f"{change.room}.py"
    text = path.read_text("utf8")
    assert text.count(change.right) == 1, f"{change.room}.py has changed; bring BREAKS up to date"
    path.write_text(text.replace(change.right, change.wrong), "utf8")


def run_notebook(notebook: str, folder: Path) -> str:
    """GREEN, or RED with the kind and the place of the first error."""
    (path,) = (ROOT / "notebooks").glob(f"{notebook}_*.ipynb")
    place = {"PYTHONPATH": str(folder), "MPLBACKEND": "Agg", "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, str(path), str(folder)],
        capture_output=True, text=True, cwd=folder, env=os.environ | place, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("change", BREAKS.values(), ids=BREAKS)
def test_a_broken_labkit_turns_its_notebook_red(tmp_path: Path, change: Break) -> None:
    if not list((ROOT / "notebooks").glob(f"{change.notebook}_*.ipynb")):
        pytest.skip(f"notebook {change.notebook} is not there yet")
    broken_copy(tmp_path, change)
    assert run_notebook(change.notebook, tmp_path).startswith("RED AssertionError in ")
