"""The students' folder: nothing of the instructor's is in it, all of it runs, and a filled-in one scores everything."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from labkit.course import release as room
from labkit.course.names import names_given, names_used
from labkit.course.release import STAMP, NotReleased, out_of_order, release
from labkit.exercises.carry import carry
from labkit.exercises.cells import BEGIN, END, is_untouched, mark, task_cells
from labkit.exercises.task import labs, notebook, tasks

ROOT = Path(__file__).resolve().parent.parent.parent
SOLVED = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
LABS = {lab: ROOT / "notebooks" / notebook(lab) for lab in labs()}
each = pytest.mark.parametrize("path", SOLVED, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def students(tmp_path_factory):
    """A release, written once."""
    out = tmp_path_factory.mktemp("release") / "course"
    release(out, archive=True)
    return out


def read(path):
    return nbformat.read(path, as_version=4)


@each
def test_a_solved_notebook_is_in_order(path):
    assert out_of_order(path.name, read(path)) == []


def test_every_lab_with_tasks_has_its_notebook_and_the_course_its_points():
    assert all(path.is_file() for path in LABS.values())
    counts = {lab: len(tasks(lab)) for lab in labs()}
    assert min(counts.values()) >= 5
    assert sum(counts.values()) >= 20
    points = {lab: sum(task.points for task in tasks(lab).values()) for lab in labs()}
    assert 90 <= sum(points[lab] for lab in "1234") <= 115
    assert all(15 <= each <= 30 for each in points.values())


@each
def test_no_solution_and_no_hidden_cell_is_in_the_release(students, path):
    text = (students / "notebooks" / path.name).read_text("utf8")
    for word in (BEGIN, END, "HIDDEN", "SOLVED", "publish(", "seed=20261", "NBVAL_CHECK_OUTPUT"):
        assert word not in text
    for number, cell in task_cells(read(path)).items():
        inside = cell.source.split(BEGIN)[1].split(END)[0]
        secret = [line.strip() for line in inside.splitlines() if len(line.strip()) > 20]
        stub = task_cells(read(students / "notebooks" / path.name))[number].source
        assert is_untouched(stub), number
        assert [line for line in secret if line in stub] == []


@each
def test_a_released_notebook_is_clean(students, path):
    given = read(students / "notebooks" / path.name)
    assert all(cell.outputs == [] and cell.execution_count is None for cell in given.cells if cell.cell_type == "code")
    assert "widgets" not in given.metadata
    assert given.metadata.labkit.release == json.loads((students / STAMP).read_text())["version"]
    marks = {mark(cell.source).kind: cell for cell in given.cells if cell.cell_type == "code" and mark(cell.source)}
    if "CHECK" in marks:
        assert marks["CHECK"].metadata.editable is False
        assert marks["CHECK"].metadata.deletable is False
    assert "colab.research.google.com/github/diffusion-lab/course-release/blob/main/notebooks/" in given.cells[0].source
    first = next(cell for cell in given.cells if cell.cell_type == "code")
    assert '"https://github.com/diffusion-lab/course-release"' in first.source
    assert '"https://github.com/diffusion-lab/course"' not in (students / "notebooks" / path.name).read_text("utf8")
    nbformat.validate(given)


def test_nothing_of_the_instructors_is_in_the_release(students):
    assert not (students / "labkit" / "course").exists()
    names = {str(path.relative_to(students)) for path in students.rglob("*") if path.is_file()}
    assert not [name for name in names if "INSTRUCTOR" in name or "CONTRIBUTING" in name or "variants" in name]
    assert {name.split("/")[0] for name in names} == {
        ".gitignore", "LICENSE", "Makefile", "README.md", "constraints.txt", "data", "environment.yml", "labkit",
        "notebooks", "pyproject.toml", "release.json", "tests", "tools",
    }  # fmt: skip
    assert "README.md" in names
    front = (students / "README.md").read_text("utf8")
    assert "your copy of the labs" in front
    assert all(owner in front for owner in ("Zalando", "Google", "Twitter"))
    links = re.findall(r"\]\(([^)]+)\)", front)
    assert "data/pretrained/fashion/samples.png" in links
    assert all((students / link).is_file() for link in links)
    ours = {str(path.relative_to(ROOT / "data")) for path in (ROOT / "data").rglob("*") if path.is_file()}
    assert {name.removeprefix("data/") for name in names if name.startswith("data/")} == ours


def inside(students, *words, **more):
    """A command in the release, with its own labkit."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # as below no other make
    env |= {"PYTHONPATH": str(students), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(words, cwd=students, env=env, capture_output=True, text=True, **more)


def test_the_release_has_the_two_commands(students):
    helped = inside(students, "make", "help").stdout.splitlines()
    assert sorted(line.split()[1] for line in helped) == ["doctor", "help", "lab", "set-up", "test"]
    assert inside(students, "make", "-n", "test").stdout.splitlines()[-1] == ".venv/bin/pytest tests"
    assert "jupyter lab" in inside(students, "make", "-n", "lab").stdout
    words = inside(students, sys.executable, "-m", "labkit.cli", "--help").stdout
    assert "carry" in words
    assert "release" not in words.replace("newer release", "")


@each
def test_no_cell_of_a_release_depends_on_an_answer(path):
    """What a TASK cell defines is read by its CHECK cell and by cells that students do not get, and nowhere else."""
    cells = [cell for cell in read(path).cells if cell.cell_type == "code"]
    kinds = [mark(cell.source).kind if mark(cell.source) else "" for cell in cells]
    pairs = list(zip(kinds, cells, strict=True))
    answers = {name for kind, cell in pairs if kind == "TASK" for name in names_given(cell.source)}
    for kind, cell in pairs:
        if kind in ("", "SETUP"):
            assert names_used(cell.source) & answers == set()


@pytest.mark.slow
@pytest.mark.parametrize("lab", ["1", "2", "3"])  # 04 takes longest: `make test` in a release runs it, and 00, as well
def test_an_untouched_notebook_runs_from_top_to_bottom_and_scores_nothing(students, lab):
    """What `make test` runs there: every cell but the last."""
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", "-k", LABS[lab].stem]
    done = inside(students, sys.executable, *words, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "1 passed" in done.stdout
    total = sum(task.points for task in tasks(lab).values())
    assert f"Lab {lab}: 0 of {total} points ({len(tasks(lab))} not done yet)" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("lab", LABS)
def test_a_released_notebook_filled_in_scores_everything(students, lab, tmp_path):
    """The solved cells are carried into the release, and its set-up, task, check and last cells run by themselves."""
    name = LABS[lab].name
    shutil.copy(students / "notebooks" / name, tmp_path / name)
    carry(LABS[lab], tmp_path / name)
    given = read(tmp_path / name)
    kinds = {"SETUP", "TASK", "CHECK"}
    given.cells = [
        cell
        for cell in given.cells
        if cell.cell_type == "code"
        and ((mark(cell.source) and mark(cell.source).kind in kinds) or "finish()" in cell.source)
    ]
    NotebookClient(
        given, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(ROOT / "notebooks")}}
    ).execute()
    total = sum(task.points for task in tasks(lab).values())
    shown = given.cells[-1].outputs[0].data["text/plain"]
    assert f"Lab {lab}: {total} of {total} points ({len(tasks(lab))} right)" in shown


def test_a_zip_holds_the_same_files(students):
    names = {str(path.relative_to(students.parent)) for path in students.rglob("*") if path.is_file()}
    with zipfile.ZipFile(students.with_name("course.zip")) as archive:
        assert {name for name in archive.namelist() if not name.endswith("/")} == names
        assert archive.testzip() is None


def test_a_release_replaces_an_older_one_and_keeps_what_is_the_instructors(students, tmp_path):
    out = tmp_path / "course"
    first = release(out)
    (out / ".git").mkdir()
    (out / ".git" / "HEAD").write_text("mine")
    (out / "stale.txt").write_text("of the older release")
    assert release(out) == first
    assert (out / ".git" / "HEAD").read_text() == "mine"
    assert not (out / "stale.txt").exists()
    assert first["version"] == json.loads((students / STAMP).read_text())["version"]
    assert [path.name for path in tmp_path.iterdir()] == ["course"]


def test_a_folder_that_is_no_release_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(NotReleased, match="no release"):
        release(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_notebook_that_is_not_in_order_is_not_released(tmp_path, monkeypatch):
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "notebooks").mkdir()
    broken = read(LABS["1"])
    cell = task_cells(broken)["1.3"]
    cell.source = cell.source.replace("points=3", "points=30").replace(END, "")
    broken.cells = [cell for cell in broken.cells if not cell.source.startswith("# CHECK 1.1")]
    nbformat.write(broken, tmp_path / "notebooks" / LABS["1"].name)
    monkeypatch.setattr(room, "ROOT", tmp_path)
    with pytest.raises(NotReleased) as raised:
        release(tmp_path / "out")
    said = str(raised.value).splitlines()
    assert len(said) == 3
    assert "its CHECK cells are ['1.2'" in said[0]
    assert "points=30" in said[1]
    assert "END SOLUTION" in said[2]
    assert not (tmp_path / "out").exists()


def test_the_command_says_it_in_a_sentence(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    run = [sys.executable, "-m", "labkit.cli", "release", "--out"]
    done = subprocess.run([*run, tmp_path], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "no release" in done.stderr
