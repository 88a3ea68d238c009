"""Makes the copy of labkit that a student's code meets while it is graded: everything but the answers.

Whoever can run code beside a reference can copy what it returns. So the copy has no references and no known mistakes,
and the functions that a lab asks its students to write raise `Borrowed`. Inputs and what is observed stay.
"""

import ast
import shutil
from pathlib import Path
from types import ModuleType

from labkit.data import ROOT
from labkit.exercises.task import labs

# a lab's file may name more: HIDES = ("schedule",)
HIDDEN_ROOMS = ("forward", "reverse", "sample", "solvers", "exact", "train")


def write(folder: Path, lab: str, data_as_link: bool = False) -> Path:
    """Write `folder`/labkit for one lab, with an empty data/ beside it to mount the data on; returns `folder`.

    data_as_link: data/ is a link to the real one, for a run without a sandbox.
    """
    folder.mkdir(parents=True)
    (folder / "data").symlink_to(ROOT / "data") if data_as_link else (folder / "data").mkdir()
    tasks_file = labs()[lab]
    shutil.copytree(
        ROOT / "labkit", folder / "labkit",
        ignore=shutil.ignore_patterns("__pycache__", "course", "lab[0-9]*_*.py"),
    )  # fmt: skip
    allowed = {name for task in tasks_file.TASKS for name in task.may_use}
    for room in (*HIDDEN_ROOMS, *getattr(tasks_file, "HIDES", ())):
        path = folder / "labkit" / f"{room}.py"
        path.write_text(without_bodies(path.read_text("utf8"), allowed), "utf8")
    name = f"{tasks_file.__name__.rsplit('.', 1)[1]}.py"
    (folder / "labkit" / "exercises" / name).write_text(without_answers(tasks_file), "utf8")
    return folder


def without_bodies(source: str, allowed: set[str]) -> str:
    """The source of a room whose functions and methods, but for the allowed ones, raise `Borrowed`."""
    tree = ast.parse(source)
    for node in tree.body:
        inside = node.body if isinstance(node, ast.ClassDef) else [node]
        for part in inside:
            if isinstance(part, ast.FunctionDef) and not {part.name, getattr(node, "name", "")} & allowed:
                words = f"from labkit.exercises.check import Borrowed\nraise Borrowed({part.name!r})"
                part.body = ast.parse(words).body
    return ast.unparse(tree)


def without_answers(module: ModuleType) -> str:
    """The source of a lab's tasks without references and mistakes, and without all that only they need."""
    tree = ast.parse(Path(module.__file__).read_text("utf8"))
    for call in [node for node in ast.walk(tree) if isinstance(node, ast.Call)]:
        if isinstance(call.func, ast.Name) and call.func.id == "Task":
            named = {word.arg: word for word in call.keywords}
            for place, word, empty in ((3, "reference", ast.Constant(None)), (4, "mistakes", ast.List([], ast.Load()))):
                if word in named:
                    named[word].value = empty
                else:
                    call.args[place] = empty
    named = {name: node for node in tree.body for name in _binds(node)}
    wanted, found = ["TASKS", "HIDES"], set()
    while wanted:
        name = wanted.pop()
        if name in named and name not in found:
            found.add(name)
            wanted += [node.id for node in ast.walk(named[name]) if isinstance(node, ast.Name)]
    imports = (ast.Import, ast.ImportFrom)
    tree.body = [node for node in tree.body if isinstance(node, imports) or found & set(_binds(node))]
    return ast.unparse(ast.fix_missing_locations(tree))


def _binds(node: ast.stmt) -> list[str]:
    """The names that a statement of a module defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [name.id for target in targets if target for name in ast.walk(target) if isinstance(name, ast.Name)]
