"""From a submission to a notebook that can be trusted: the course's own cells, with the student's answers put in.

SETUP, CHECK and HIDDEN are the course's; of the student's file come the TASK cells, and the cells whose names a task
uses: the student's own, and the course's own where they stand in the file unchanged. Whatever steers nbval, the shell
or IPython in them is taken out, with a note. Nothing is run here.
"""

import ast
import re
from dataclasses import dataclass, field
from typing import Any

from labkit.course.names import names_given, names_read
from labkit.course.reading import Submitted
from labkit.exercises.cells import is_untouched, mark, without_magics
from labkit.exercises.task import tasks

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
    helpers = _helpers(submitted, answers, _course_cells(solved), out)
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


def _course_cells(solved: Any) -> set[str]:
    """The course's own cells as students get them: without the line that has nbval compare outputs."""
    texts = {cell.source for cell in solved.cells if cell.cell_type == "code"}
    return {text.removeprefix("# NBVAL_CHECK_OUTPUT\n").strip() for text in texts} | {text.strip() for text in texts}


@dataclass
class _Helper:
    """A cell that is no task's: whether it is the course's own, its text, and the notes if it is taken."""

    ours: bool
    text: str
    notes: list[str]


def _helpers(
    submitted: Submitted, answers: list[tuple[int, str, str]], ours: set[str], out: Composed
) -> list[tuple[int, str, str]]:
    """The cells without a mark that give names which a task uses, or which such a cell uses.

    Of the student's own all that give such a name; of the course's, which may take long, only the one that the name
    has its value from where it is read.
    """
    found = {}
    for place, source in enumerate(submitted.cells):
        known = source.strip() in ours
        if _kind(source) not in ("", "SETUP") or (known and _kind(source)) or "labkit.finish()" in source:
            continue
        text, error = plain(source, "a helper cell", notes := [])
        if not error:
            found[place] = _Helper(known, text, [] if known else notes)
    givers: dict[str, list[int]] = {}
    for place, text in sorted([(at, text) for at, _, text in answers] + [(at, one.text) for at, one in found.items()]):
        for name in names_given(text):
            givers.setdefault(name, []).append(place)
    chosen, open_ = set(), [(place, place, text) for place, _, text in answers]
    while open_:
        at, called, text = open_.pop()
        for place in sorted(_sources(text, at, called, givers, found) - chosen):
            chosen.add(place)
            out.notes += found[place].notes
            open_.append((place, called, found[place].text))
    return [(place, "", found[place].text) for place in chosen]


def _sources(text: str, at: int, called: int, givers: dict[str, list[int]], found: dict[int, _Helper]) -> set[int]:
    """The places of the helper cells that `text`, run at the place `at` and called at `called`, has names from."""
    now, later = names_read(text)
    sources = set()
    for name in {*now, *later, "*"}:
        places = [place for place in givers.get(name, []) if place != at]
        sources |= {place for place in places if place in found and not found[place].ours}
        before = [place for place in places if place < (at if name in now else called)]
        last = [*places[:1], *before][-1:]  # where none stands above it, the first below it
        sources |= {place for place in last if place in found}
    return sources


def plain(source: str, what: str, notes: list[str]) -> tuple[str, str]:
    """(the text as plain Python, why it is none): shell and magic lines go, what would steer nbval is made a remark."""
    text = source
    if _error(text):
        text = without_magics(source)
        if text.splitlines() != source.splitlines():
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


def _publish(number: str, solved: Any, seed: int) -> str:
    """The trusted cell that runs an answer on hidden inputs and stores what it does."""
    checks = (cell.source for cell in solved.cells if cell.cell_type == "code" and _kind(cell.source) == "CHECK")
    check = next(source for source in checks if mark(source).number == number)
    name = re.search(r'labkit\.check\("[\d.]+",\s*(\w+)\)', check)[1]
    return f'import labkit.exercises\nlabkit.exercises.publish("{number}", {name}, seed={seed}, left=True)'
