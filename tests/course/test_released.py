"""A student's whole notebook: what its instant checks say, grading says, however the answers are written around."""

import re
import sys

import nbclient
import nbformat
import pytest

from labkit.course.grade import courses
from labkit.course.grading import grade
from labkit.course.release import students
from labkit.course.sandbox import Limits, problem
from labkit.data import ROOT
from labkit.exercises.cells import mark_of, task_cells
from labkit.exercises.check import OPEN, RIGHT, WRONG
from labkit.exercises.report import SIGNS
from labkit.exercises.task import notebook, tasks

NAME = notebook("1")
HELPER = "def keep(b):\n    # the factor of the image\n    return sqrt(one - b)"  # both names are of cells below
BELOW = "from math import *\none = 1"
# how a line of the released cell is changed
WRITTEN = {
    "1.1": lambda text: f"%%time\n# by hand\n{text.replace('my_pixel', '# my_pixel')}\nmy_pixel = -0.2",
    "1.2": lambda text: text.replace("...  # your turn", "math.sqrt(beta_1)"),
    "1.3": lambda text: "import numpy as np\n\n" + text.replace("raise", "# raise")
    + "\n    return np.sqrt(1 - beta[t].item()) * z_prev + np.sqrt(beta[t].item()) * epsilon",
    "1.4": lambda text: text.replace("    raise", "    z = [x]\n    for t in range(1, len(beta)):\n        z.append("
                                     "my_forward_step(beta, z[-1], t, noise[t]))\n    return z\n    raise"),
    "1.5": lambda text: re.sub("raise.*", "x, one = x.clone(), torch.ones(1)\n    return keep(beta_1) * x + "
                               "one * math.sqrt(beta_1) * torch.randn(x.shape, generator=generator)", text),
    "1.6": lambda text: re.sub("raise.*", "left = (1 - beta).cumprod(0)\n    return left.sqrt() * mean, "
                               "1 - (1 - variance) * left", text) + "\n%time my_moments(beta, 1.0, 2.0)\n?my_moments",
    "1.7": lambda text: f"{text}\nmy_limit = 'half'",
    "1.8": lambda text: re.sub("raise.*", "return kstest(z.flatten(), 'norm').statistic", text),
    "1.9": lambda text: re.sub("raise.*", "return 1 + int((first_below(beta, share)).argmax())", text)
    + "\n\ndef first_below(beta, share):\n    return ((1 - beta[1:]).cumprod(0) < share).int()",
}  # fmt: skip
OTHERWISE = {
    "1.2": lambda text: text.replace("...  # your turn", "beta_1"),
    "1.4": lambda text: text,
    "1.7": lambda text: text.replace("...  # your turn", "'half'\nmy_limit = ..."),
}


def filled(changes):
    """The released lab 01 with the answers, a set-up with one more import, and cells of the student's own."""
    made = students(ROOT / "notebooks" / NAME, {"source_url": "here", "release_url": "there"})
    for number, cell in task_cells(made).items():
        cell.source = changes[number](cell.source)
    setup = next(cell for cell in made.cells if (seen := mark_of(cell)) and seen.kind == "SETUP")
    setup.source += "\nfrom scipy.stats import kstest"
    at = made.cells.index(setup) + 1
    made.cells[at:at] = [nbformat.v4.new_code_cell(text) for text in (HELPER, BELOW)]
    return made


def checked(made):
    """What the instant checks of a notebook say: {number: sign}. Course cells below task 1.3 give no names here."""
    run, below = nbformat.v4.new_notebook(), False
    for cell in made.cells:
        seen = mark_of(cell)
        below = below or bool(seen and seen.number == "1.3")
        if cell.cell_type == "code" and (seen or not below):
            run.cells.append(nbformat.v4.new_code_cell(cell.source))
    nbclient.NotebookClient(run, timeout=300, kernel_name="python3", resources={"metadata": {"path": ROOT}}).execute()
    said = {}
    for cell in run.cells:
        if (seen := mark_of(cell)) and seen.kind == "CHECK":
            said[seen.number] = cell.outputs[0]["data"]["text/plain"][0]
    return said


@pytest.mark.slow
@pytest.mark.skipif(bool(problem()), reason=f"grading in the sandbox is not covered: {problem()}")
@pytest.mark.parametrize(
    ("changes", "kinds"),
    [({}, {}), (OTHERWISE, {"1.2": WRONG, "1.4": OPEN, "1.7": OPEN})],
    ids=["all of it right", "three not"],
)
def test_what_the_instant_checks_say_grading_says(changes, kinds, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PATH", f"{sys.prefix}/bin:/usr/bin:/bin")
    made = filled({**WRITTEN, **changes})
    result = grade(nbformat.writes(made).encode(), NAME, courses(True), 7, Limits())
    told = {number: row.says for number, row in result.grades.items()}
    expected = {number: kinds.get(number, RIGHT) for number in tasks("1")}
    assert {number: row.kind for number, row in result.grades.items()} == expected, (told, result.notes)
    assert checked(made) == {number: SIGNS[kind] for number, kind in expected.items()}
    assert (result.points == 25) == (not changes)
