"""From a submission to a notebook that can be trusted: the course's own cells, with the student's answers put in.

SETUP, CHECK and HIDDEN are the course's; of the student's file come the TASK cells, and the helper cells whose names
a task uses. Whatever steers nbval, the shell or IPython in them is taken out, with a note. Nothing is run here.
"""

import ast
import re
from dataclasses import dataclass, field
from typing import Any

from labkit.course.reading import Submitted
from labkit.exercises.cells import is_untouched, mark
from labkit.exercises.task import tasks

MAGIC = re.compile(r"\s*[!%?]|.*\?\s*$")
STEER = re.compile(r"#\s*NBVAL|#\s*PYTEST_VALIDATE", re.IGNORECASE)


@dataclass
class Cell:
    """One cell to run: its kind (SETUP, HELPER, TASK, PUBLISH), the task it belongs to, and its text."""

    kind: str
    number: str
    source: str


@dataclass
class Composed:
    """What is run for a submission, the tasks that need no run, each with its reason, and notes for people."""

    lab: str
    cells: list[Cell] = field(default_factory=list)
    settled: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


OPEN = "not done yet"


def lab_of(submitted: Submitted, name: str) -> str:
    """The number of the lab a submission belongs to: that of most of its tasks, else of the file's name, else ""."""
    numbers = [
        seen.number.split(".")[0] for source in submitted.cells if (seen := mark(source)) and seen.kind == "TASK"
    ]
    known = [number for number in numbers if tasks(number)]
    if known:
        return max(sorted(set(known)), key=known.count)
    found = re.search(r"(?:^|[^0-9])0*(\d+)_[a-z]+_[a-z]+", name)
    return found[1] if found and tasks(found[1]) else ""


def compose(lab: str, solved: Any, submitted: Submitted, seed: int) -> Composed:
    """The cells to run for one submission to `lab`; `solved` is the instructor's notebook, whose set-up is used."""
    out = Composed(lab, notes=list(submitted.notes))
    setup = [cell.source for cell in solved.cells if cell.cell_type == "code" and _kind(cell.source) == "SETUP"]
    out.cells = [Cell("SETUP", "", source) for source in setup]
    answers = _answers(lab, submitted, out)
    known = {cell.source.strip() for cell in solved.cells}
    helpers = _helpers(submitted, answers, known, out)
    for _, number, source in sorted([*helpers, *answers]):
        out.cells.append(Cell("TASK" if number else "HELPER", number, source))
        if number:
            out.cells.append(Cell("PUBLISH", number, _publish(number, solved, seed)))
    return out


def _kind(source: str) -> str:
    seen = mark(source)
    return seen.kind if seen else ""


def _answers(lab: str, submitted: Submitted, out: Composed) -> list[tuple[int, str, str]]:
    """(place, number, text) of the TASK cells; the last one of a number counts. The rest is settled here."""
    found: dict[str, tuple[int, str]] = {}
    for place, source in enumerate(submitted.cells):
        seen = mark(source)
        if not seen or seen.kind != "TASK":
            continue
        if seen.number in found:
            out.notes.append(f"task {seen.number} stands more than once: the last one counts")
        found[seen.number] = (place, source)
    answers = []
    for number in tasks(lab):
        if number not in found:
            out.settled[number] = "the task's cell is missing"
            continue
        place, source = found.pop(number)
        if is_untouched(source):
            out.settled[number] = OPEN
            continue
        text, error = plain(source, f"task {number}", out.notes)
        if error:
            out.settled[number] = error
        else:
            answers.append((place, number, text))
    out.notes += [f"there is no task {number} in this lab: left out" for number in found]
    return answers


def _helpers(
    submitted: Submitted, answers: list[tuple[int, str, str]], known: set[str], out: Composed
) -> list[tuple[int, str, str]]:
    """The student's own cells that define names which a task uses, or which such a cell uses."""
    candidates = {}
    for place, source in enumerate(submitted.cells):
        if _kind(source) or source.strip() in known or not source.strip() or "labkit.finish()" in source:
            continue
        text, error = plain(source, "a helper cell", notes := [])
        if not error:
            candidates[place] = (text, names_bound(text), notes)
    wanted = {name for _, _, text in answers for name in names_used(text)}
    chosen: dict[int, str] = {}
    while more := [place for place, (_, bound, _) in candidates.items() if place not in chosen and bound & wanted]:
        for place in more:
            text, _, notes = candidates[place]
            chosen[place], wanted = text, wanted | names_used(text)
            out.notes += notes
    return [(place, "", text) for place, text in chosen.items()]


def plain(source: str, what: str, notes: list[str]) -> tuple[str, str]:
    """(the text as plain Python, why it is none): shell and magic lines go, what would steer nbval is made a remark."""
    text = source
    if _error(text):
        kept = [line for line in source.splitlines() if not MAGIC.match(line)]
        text = "\n".join(kept)
        if len(kept) < len(source.splitlines()):
            notes.append(f"{what}: shell and magic lines were left out")
    if STEER.search(text):
        notes.append(f"{what}: marks for nbval have no effect")
        text = STEER.sub("# (for nbval: no effect)", text)
    error = _error(text)
    return ("", f"it is not Python ({error})") if error else (text, "")


def _error(text: str) -> str:
    """Why a text is no Python, or ""."""
    try:
        ast.parse(text)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    except (ValueError, RecursionError, MemoryError) as error:
        return str(error) or "it is nested too deeply"
    return ""


def names_bound(text: str) -> set[str]:
    """The names that a cell defines."""
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).split(".")[0])
    return names


def names_given(text: str) -> set[str]:
    """The names that a cell defines for the cells after it, and not only inside a function."""
    tops = ast.parse(text).body
    named = [[node.name] if hasattr(node, "name") else names_bound(ast.unparse(node)) for node in tops]
    return {name for names in named for name in names}


def names_used(text: str) -> set[str]:
    """The names that a cell reads."""
    nodes = ast.walk(ast.parse(text))
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def _publish(number: str, solved: Any, seed: int) -> str:
    """The trusted cell that runs an answer on hidden inputs and stores what it does."""
    checks = (cell.source for cell in solved.cells if cell.cell_type == "code" and _kind(cell.source) == "CHECK")
    check = next(source for source in checks if mark(source).number == number)
    name = re.search(r'labkit\.check\("[\d.]+",\s*(\w+)\)', check)[1]
    return f'import labkit.exercises\nlabkit.exercises.publish("{number}", {name}, seed={seed})'
