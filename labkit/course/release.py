"""Writes the students' folder from the solved notebooks: the same labs without solutions, hidden cells and outputs.

labkit, the data and the environment go along; nothing of the instructor's does. It knows what the marks of cells mean
(`exercises.cells`) and which tasks there are, and nothing of how an answer is judged.
"""

import hashlib
import json
import re
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labkit.data import ROOT
from labkit.exercises.carry import RELEASED, digest
from labkit.exercises.cells import mark_of, without_solution
from labkit.exercises.task import find, tasks

AS_IT_IS = ("LICENSE", ".gitignore", "constraints.txt", "environment.yml")
TOOLS = ("common.mk", "set_up.py", "join.py")
STUDENT = {
    "Makefile": "Makefile",
    "README.md": "README.md",
    "test_course.py": "tests/test_course.py",
}  # in course/student: where it goes
STAMP = "release.json"
OURS = {".git", ".venv", "runs"}  # what may lie in an older release's folder and is left alone


class NotReleased(ValueError):
    """The folder cannot be written, or a notebook is not in order; the message says what to do, a line each."""


def release(out: Path, archive: bool = False) -> dict[str, Any]:
    """Write the students' folder to `out` (and `out`.zip); returns its stamp: version, url and the points of each lab.

    `out` must not exist, be empty, or hold an older release, which is replaced (its .git and .venv stay). All is
    written beside it first. Raises NotReleased, and then nothing has changed.
    """
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / STAMP).is_file())):
        raise NotReleased(f"{out} is there and is no release; give a folder that is empty or does not exist yet")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".releasing-") as temporary:
        folder = Path(temporary) / "release"
        stamp = _write(folder)
        out.mkdir(exist_ok=True)
        for old in [path for path in out.iterdir() if path.name not in OURS]:
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        for path in sorted(folder.iterdir(), key=lambda path: path.name == STAMP):
            path.rename(out / path.name)
    if archive:
        _zip(out)
    return stamp


def version() -> str:
    """What a release of the course as it stands here is called; another name means that something in it differs."""
    with tempfile.TemporaryDirectory(prefix="release-") as temporary:
        return _write(Path(temporary) / "release")["version"]


def _write(folder: Path) -> dict[str, Any]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))
    addresses = settings["tool"]["labkit"]
    notebooks = {path.name: students(path, addresses) for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))}
    for name in AS_IT_IS:
        _copy(ROOT / name, folder / name)
    for name in TOOLS:
        _copy(ROOT / "tools" / name, folder / "tools" / name)
    for path in _package():
        _copy(path, folder / path.relative_to(ROOT))
    shutil.copytree(ROOT / "data", folder / "data", ignore=shutil.ignore_patterns("*.tmp", "__pycache__"))
    for name, place in STUDENT.items():
        _copy(ROOT / "labkit" / "course" / "student" / name, folder / place)
    project = (ROOT / "pyproject.toml").read_text("utf8")
    project = re.sub(r"### BEGIN INSTRUCTOR\n.*?### END INSTRUCTOR\n\n?", "", project, flags=re.DOTALL)
    project = project.replace(f'"{addresses["source_url"]}"', f'"{addresses["release_url"]}"')
    (folder / "pyproject.toml").write_text(project, "utf8")
    version = f"{settings['project']['version']}+{_fingerprint(folder, notebooks)}"
    (folder / "notebooks").mkdir()
    for name, notebook in notebooks.items():
        notebook.metadata["labkit"] = {"release": version}
        (folder / "notebooks" / name).write_text(_text(notebook), "utf8")
    labs = {name.split("_")[0].lstrip("0"): name for name in notebooks}
    points = {name: sum(task.points for task in tasks(lab).values()) for lab, name in labs.items() if tasks(lab)}
    stamp = {"version": version, "url": addresses["release_url"], "points": points}
    (folder / STAMP).write_text(json.dumps(stamp, indent=2) + "\n", "utf8")
    return stamp


def _package() -> Iterator[Path]:
    """The files of labkit that students get."""
    for path in sorted((ROOT / "labkit").rglob("*.py")):
        if "course" not in path.relative_to(ROOT / "labkit").parts:
            yield path


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _text(notebook: Any) -> str:
    import nbformat

    return nbformat.writes(notebook) + "\n"


def _fingerprint(folder: Path, notebooks: dict[str, Any]) -> str:
    """Eight digits that change when anything in the release does."""
    found = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        found.update(str(path.relative_to(folder)).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    for notebook in notebooks.values():
        found.update(_text(notebook).encode())
    return found.hexdigest()[:8]


def students(path: Path, addresses: dict[str, str]) -> Any:
    """The students' version of the solved notebook at `path`, as nbformat's object. Raises NotReleased.

    addresses: source_url and release_url of pyproject.toml.
    """
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    problems = out_of_order(path.name, notebook)
    if problems:
        raise NotReleased("\n".join(problems))
    cells = [_student_cell(cell, addresses) for cell in notebook.cells if _is_for_students(cell)]
    link = _colab(path.name, addresses["release_url"])
    top = [nbformat.v4.new_markdown_cell(link, id="open-in-colab")] if link else []
    notebook.cells = [*top, *cells]
    for cell in notebook.cells:
        cell.metadata["labkit"] = {RELEASED: digest(cell.source)}
    notebook.metadata = {
        key: notebook.metadata[key] for key in ("kernelspec", "language_info") if key in notebook.metadata
    }
    return notebook


def _is_for_students(cell: Any) -> bool:
    seen = mark_of(cell)
    return seen is None or seen.kind not in ("HIDDEN", "SOLVED")


def _student_cell(cell: Any, addresses: dict[str, str]) -> Any:
    cell.metadata = {}
    if cell.cell_type != "code":
        return cell
    cell.outputs, cell.execution_count = [], None
    # outputs are the student's own from here on, so there is nothing of ours to compare them with
    cell.source = re.sub(r"^# NBVAL_CHECK_OUTPUT\n", "", cell.source)
    cell.source = cell.source.replace(f'"{addresses["source_url"]}"', f'"{addresses["release_url"]}"')
    seen = mark_of(cell)
    if seen and seen.kind == "TASK":
        cell.source = without_solution(cell.source, seen.number)
        cell.metadata = {"deletable": False}
    if seen and seen.kind == "CHECK":
        cell.metadata = {"deletable": False, "editable": False}
    return cell


def _colab(name: str, url: str) -> str:
    """A link that opens the notebook on Colab, where the address is one of GitHub's; else ""."""
    found = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?", url)
    if not found:
        return ""
    return (
        f"[<kbd>▶ Open in Colab</kbd>](https://colab.research.google.com/github/{found[1]}/blob/main/notebooks/{name})"
    )


def out_of_order(name: str, notebook: Any) -> list[str]:
    """What is wrong with the marked cells of a solved notebook, a sentence each; [] if nothing is."""
    wanted = tasks(name.split("_")[0].lstrip("0"))
    marks = [seen for cell in notebook.cells if (seen := mark_of(cell))]
    kinds = {kind: [seen.number for seen in marks if seen.kind == kind] for kind in ("TASK", "CHECK", "HIDDEN")}
    hidden = [number for number, task in wanted.items() if not task.is_value]
    said = []
    for kind, numbers in (("TASK", list(wanted)), ("CHECK", list(wanted)), ("HIDDEN", hidden)):
        if kinds[kind] != numbers:
            said.append(
                f"{name}: its {kind} cells are {kinds[kind]}, and the exercises ask for {numbers}, in this order"
            )
    for seen in marks:
        task = find(seen.number) if seen.kind == "TASK" else None
        if task and (seen.points, seen.title) != (task.points, task.title):
            said.append(f"{name}: task {seen.number} says points={seen.points}: {seen.title}, and the exercises "
                        f"points={task.points}: {task.title}")  # fmt: skip
    for cell in notebook.cells:
        seen = mark_of(cell)
        if seen and seen.kind == "TASK":
            try:
                without_solution(cell.source, seen.number)
            except ValueError as problem:
                said.append(f"{name}: {problem}")
    return said


def _zip(out: Path) -> None:
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".zipping-") as temporary:
        base = Path(temporary) / out.name
        inside = shutil.copytree(out, Path(temporary) / "in" / out.name, ignore=shutil.ignore_patterns(*OURS))
        made = shutil.make_archive(str(base), "zip", inside.parent, out.name)
        Path(made).replace(out.with_name(out.name + ".zip"))
