"""Makes the copy of labkit that a student's code meets while it is graded: everything but the answers.

Whoever can run code beside a reference can copy what it returns. So the copy has no references and no known mistakes,
and the functions that a lab asks its students to write raise `Borrowed`. Inputs and what is observed stay, and so does
all that a cell of the course may need before an answer: data, figures, networks, the lecture's own schedules.
"""

import ast
import shutil
from functools import partial
from pathlib import Path
from types import ModuleType

from labkit.data import ROOT
from labkit.exercises.task import labs

HIDDEN_ROOMS = ("forward", "reverse", "sample", "solvers", "exact", "train")
TABLES = "schedule.NoiseSchedule: α and SNR"  # those of a schedule with β of one's own
# what a lab's tasks ask for besides, and no other lab hides: a room, a function or a method
HIDES = {
    "1": (TABLES,),
    "2": (TABLES, "schedule.coefficients"),
    "4": ("schedule.NoiseSchedule.times", "schedule.NoiseSchedule.shortened"),
    "7": ("fidelity", "evaluate.frechet_distance", "evaluate.bootstrap_error"),
}
RAISE = "from labkit.exercises.check import Borrowed\nraise Borrowed({!r})"
NO_TABLES = """def __getattr__(self, name):
    from labkit.exercises.check import Borrowed
    raise Borrowed('NoiseSchedule') if name in ('alpha', 'snr') else AttributeError(name)"""


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
    for hidden in (*HIDDEN_ROOMS, *HIDES.get(lab, ())):
        room, _, part = hidden.partition(".")
        path = folder / "labkit" / f"{room}.py"
        change = without_tables if hidden == TABLES else partial(without_bodies, allowed=allowed, hidden=part)
        path.write_text(change(path.read_text("utf8")), "utf8")
    name = f"{tasks_file.__name__.rsplit('.', 1)[1]}.py"
    (folder / "labkit" / "exercises" / name).write_text(without_answers(tasks_file), "utf8")
    return folder


def without_bodies(source: str, allowed: set[str], hidden: str = "") -> str:
    """The source of a room whose functions and methods, but for the allowed ones, raise `Borrowed`.

    hidden: only the function or the method ("Class.method") with this name; "" for all.
    """
    tree = ast.parse(source)
    for node in tree.body:
        outside = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
        for part in node.body if outside else [node]:
            if not isinstance(part, ast.FunctionDef) or {part.name, outside[:-1]} & allowed:
                continue
            if hidden in ("", outside + part.name):
                part.body = ast.parse(RAISE.format(part.name)).body
    return ast.unparse(tree)


def without_tables(source: str) -> str:
    """The source of the room schedule, where only linear() and cosine() give a schedule its α and its SNR."""
    tree = ast.parse(source)
    room = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "NoiseSchedule")
    methods = {node.name: node for node in room.body if isinstance(node, ast.FunctionDef)}
    last = methods["__init__"].body
    tables = [node for node in last if ast.unparse(node).startswith(("self.alpha = ", "self.snr = "))]
    methods["__init__"].body = [node for node in last if node not in tables]
    for name in ("linear", "cosine"):
        made = ast.parse(f"self = {ast.unparse(methods[name].body.pop().value)}").body
        methods[name].body += [*made, *tables, *ast.parse("return self").body]
    room.body += ast.parse(NO_TABLES).body
    return ast.unparse(ast.fix_missing_locations(tree))


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
    wanted, found = ["TASKS"], set()
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
