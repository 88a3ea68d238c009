"""What the site is built of: the students' pages have the labs' figures, and none that answers a prediction."""

import importlib.util
from pathlib import Path

import nbformat
import pytest

from labkit.course.release import students
from labkit.exercises.cells import mark_of
from labkit.exercises.task import labs, notebook, tasks

ROOT = Path(__file__).resolve().parent.parent.parent
NAMES = sorted(path.name for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
ADDRESSES = {"source_url": "https://example.org/a", "release_url": "https://example.org/b"}
NOTHING_TELLS = {"1.1", "1.2", "2.2", "2.10", "5.3"}  # no cell below shows the answer

spec = importlib.util.spec_from_file_location("build_site", ROOT / "tools" / "build_site.py")
build_site = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build_site)


def solved(name):
    return nbformat.read(ROOT / "notebooks" / name, as_version=4)


@pytest.fixture(params=NAMES)
def pair(request):
    """A lab as students read it, and the solved one."""
    given = students(ROOT / "notebooks" / request.param, ADDRESSES)
    build_site.illustrate(given, solved(request.param))
    return given, solved(request.param)


def test_students_see_the_figures_and_the_numbers_that_labkit_computes(pair):
    given, whole = pair
    hidden = {one for cells in build_site.TELLING.values() for one in cells}
    shown = {cell.id: cell.outputs for cell in given.cells if cell.cell_type == "code"}
    for cell in whole.cells:
        if cell.cell_type == "code" and not mark_of(cell) and cell.source != "labkit.finish()" and cell.outputs:
            assert shown[cell.id] == ([] if cell.id in hidden else cell.outputs), cell.id
    assert build_site.thumbnail(given).startswith(b"\x89PNG")


def test_nothing_of_an_answer_is_shown_to_students(pair):
    given, _ = pair
    for cell in given.cells:
        if (seen := mark_of(cell)) and seen.kind in ("TASK", "CHECK") or "finish()" in cell.source:
            assert cell.get("outputs", []) == []


def test_a_cell_that_says_something_else_keeps_no_output():
    given, whole = (nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1", id="a")]) for _ in range(2))
    whole.cells[0].outputs = [nbformat.v4.new_output("stream", text="2")]
    whole.cells[0].source = "my_answer + 1"
    build_site.illustrate(given, whole)
    assert given.cells[0].outputs == []


def test_every_prediction_is_looked_at():
    """A new one is added either to TELLING, with the cells that answer it, or to NOTHING_TELLS."""
    predictions = {number for lab in labs() for number, task in tasks(lab).items() if task.is_value}
    assert set(build_site.TELLING) | NOTHING_TELLS == predictions
    for number, cells in build_site.TELLING.items():
        whole = solved(notebook(number.split(".")[0])).cells
        asked = next(i for i, cell in enumerate(whole) if (seen := mark_of(cell)) and seen.number == number)
        below = [cell.id for cell in whole[asked:] if cell.cell_type == "code" and cell.outputs and not mark_of(cell)]
        assert set(cells) <= set(below), number
