"""Grades one submission: reads it, composes a trusted notebook, runs it, and judges the values outside the kernel.

A task that ends the kernel loses its own points; the rest goes on in a fresh one. What a kernel stored is taken as
claims about values and nothing more: the verdict comes from the same `diagnose` that the instant check uses, here.
"""

import dataclasses
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from labkit.course.compose import OPEN as NOT_DONE
from labkit.course.compose import Cell, Composed, compose, lab_of
from labkit.course.names import names_given, names_used
from labkit.course.reading import NotANotebook, read
from labkit.course.rerun import ENDED, Ran, no_time, rerun
from labkit.course.sandbox import Limits
from labkit.data import ROOT
from labkit.exercises.check import BORROWED, OPEN, RIGHT, STOPPED, Outcome, diagnose
from labkit.exercises.compare import NotAValue
from labkit.exercises.task import notebook, tasks

GRADED, UNREADABLE, NO_LAB, NOT_GRADED = "graded", "unreadable", "no lab", "not graded"  # the last: not yet


@dataclass
class Grade:
    """What a task of a submission is worth, and why, in lines for the student."""

    points: float
    of: int
    kind: str
    says: list[str] = field(default_factory=list)
    mistake: int = -1


@dataclass
class Result:
    """The grades of one submission. status: graded, or why not; notes: what the grader should know."""

    status: str
    lab: str = ""
    grades: dict[str, Grade] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    release: str = ""
    code: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def points(self) -> float:
        """The sum of the points."""
        return sum(grade.points for grade in self.grades.values())

    @property
    def of(self) -> int:
        """The points that there are."""
        return sum(grade.of for grade in self.grades.values())

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**dataclasses.asdict(self), "points": self.points, "of": self.of}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "Result":
        """From JSON."""
        names = {part.name for part in dataclasses.fields(cls)}
        grades = {number: Grade(**grade) for number, grade in stored["grades"].items()}
        return cls(**{**{name: stored[name] for name in names if name in stored}, "grades": grades})


@cache
def solved(lab: str) -> Any:
    """The instructor's notebook of a lab."""
    import nbformat

    return nbformat.read(ROOT / "notebooks" / notebook(lab), as_version=4)


def grade(raw: bytes, name: str, courses: Callable[[str], Path], seed: int, limits: Limits, slot: int = 0) -> Result:
    """Grade the bytes of a file.

    name: of the file. courses: gives for a lab the folder with its grading copy of labkit. seed: of the hidden inputs.
    slot: which of the jobs this is, as each has a user of its own. Raises nothing that a submission can cause.
    """
    started = time.monotonic()
    try:
        submitted = read(raw)
    except NotANotebook as problem:
        return Result(UNREADABLE, notes=[str(problem)])
    lab = lab_of(submitted, name)
    if not lab:
        return Result(NO_LAB, notes=["it holds none of the course's tasks", *submitted.notes])
    composed = compose(lab, solved(lab), submitted, seed)
    ran = run(composed, courses(lab), limits, slot)
    result = Result(GRADED, lab, notes=composed.notes, release=submitted.release)
    for number in tasks(lab):
        result.grades[number] = _grade(number, composed, ran.get(number), seed)
    result.notes += [f"task {number} asks labkit for the answer" for number, one in result.grades.items()
                     if one.kind == BORROWED]  # fmt: skip
    result.code = {cell.number: cell.source for cell in composed.cells if cell.kind == "TASK"}
    result.seconds = round(time.monotonic() - started, 2)
    return result


def run(composed: Composed, course: Path, limits: Limits, slot: int) -> dict[str, list[tuple[Cell, Ran]]]:
    """Run all cells, in as many kernels as it takes; what became of each task's cells, by its number."""
    found: dict[str, list[tuple[Cell, Ran]]] = {}
    cells, until = list(composed.cells), time.monotonic() + limits.total_wall
    failed, done, again, over = 0, set(), set(), set()
    while any(cell.kind == "TASK" for cell in cells):
        if time.monotonic() > until:
            for number in {cell.number for cell in cells if cell.number}:
                composed.settled[number] = no_time(limits)
            break
        pairs = list(zip(cells, rerun(cells, course, limits, slot, until), strict=False))
        for cell, ran in pairs:
            if cell.number:
                found.setdefault(cell.number, []).append((cell, ran))
        if len(pairs) == len(cells) and not pairs[-1][1].limit:
            break
        last = pairs[-1][0] if pairs else Cell("SETUP", "", "")
        if last.kind == "SETUP":
            failed += 1
            if failed > 1 and time.monotonic() < until:
                raise RuntimeError(f"the course's own first cell does not run: {pairs[-1][1].limit if pairs else ''}")
            continue
        if last.kind == "HELPER":
            composed.notes.append(f"a helper cell was left out: {pairs[-1][1].limit or ENDED}")
        done |= {number for number in found if _published(found[number])}
        if last.number and pairs[-1][1].limit:
            first = all(cell.number in ("", last.number) for cell, _ in pairs)
            if pairs[-1][1].limit != ENDED or first or last.number in again:
                done.add(last.number)
            else:  # what ran before it may have done that: once more, as the first of a fresh kernel
                done.discard(last.number)
                again.add(last.number)
        elif last.number:
            done.add(last.number)
        found = {number: rows for number, rows in found.items() if number in done}
        over |= {last.source} if last.number in done or not last.number else set()
        over |= {cell.source for cell, ran in pairs if ran.error and cell.number in done}
        cells = _left(composed.cells, done, over)
    return found


def _left(cells: list[Cell], done: set[str], over: set[str]) -> list[Cell]:
    """The cells of the tasks that are not done, and before them the answers that these use; over: not again."""
    left = [cell for cell in cells if cell.number not in done and cell.source not in over]
    kept, wanted = [], {name for cell in left for name in names_used(cell.source)}
    for cell in reversed([cell for cell in cells if cell.kind == "TASK" and cell.number in done]):
        if names_given(cell.source) & wanted and cell.source not in over:
            kept.insert(0, Cell("HELPER", "", cell.source))
            wanted |= names_used(cell.source)
    first = next((i for i, cell in enumerate(left) if cell.number), len(left))
    return [*left[:first], *kept, *left[first:]]


def _published(rows: list[tuple[Cell, Ran]]) -> bool:
    return any(cell.kind == "PUBLISH" for cell, _ in rows)


def _grade(number: str, composed: Composed, rows: list[tuple[Cell, Ran]] | None, seed: int) -> Grade:
    """The verdict on a task from what its cells stored."""
    task = tasks(composed.lab)[number]
    if number in composed.settled:
        kind = OPEN if composed.settled[number] == NOT_DONE else STOPPED
        return Grade(0, task.points, kind, [composed.settled[number]])
    limit = next((ran.limit for _, ran in rows or [] if ran.limit), "")
    if limit or not rows:
        return Grade(0, task.points, STOPPED, [f"It could not be finished: {limit or 'it was never reached'}."])
    try:
        outcomes = _outcomes(number, rows, seed)
        if outcomes is None:
            error = next((ran.error for _, ran in rows if ran.error), "it gave no values")
            return Grade(0, task.points, STOPPED, [f"The cell stopped: {error}"])
        verdict = diagnose(task, seed, outcomes)
    except NotAValue as problem:
        return Grade(0, task.points, STOPPED, [f"What it stored is not an answer: {problem}."])
    except Exception as problem:  # numbers that are none, lists nested a thousand times: whatever can be made up
        return Grade(0, task.points, STOPPED, [f"What it stored is not an answer ({type(problem).__name__})."])
    place = next((i for i, mistake in enumerate(task.mistakes) if mistake is verdict.mistake), -1)
    return Grade(verdict.points, task.points, verdict.kind, verdict.lines, place)


def _outcomes(number: str, rows: list[tuple[Cell, Ran]], seed: int) -> list[Outcome] | None:
    stored = [found for cell, ran in rows if cell.kind == "PUBLISH" for found in ran.stored]
    fitting = [
        found
        for found in stored
        if isinstance(found, dict) and (found.get("task"), found.get("seed")) == (number, seed)
    ]
    if not fitting:
        return None
    listed = fitting[-1].get("outcomes")
    if not isinstance(listed, list):
        raise NotAValue("there are no outcomes")
    return [Outcome.restored(found) for found in listed[:100]]


def prove(lab: str, courses: Callable[[str], Path], seed: int, limits: Limits) -> str:
    """Grade the solved notebook itself: "" if it scores everything on this seed, else which tasks do not."""
    result = grade((ROOT / "notebooks" / notebook(lab)).read_bytes(), notebook(lab), courses, seed, limits)
    wrong = [f"{number} ({'; '.join(row.says)})" for number, row in result.grades.items() if row.kind != RIGHT]
    return f"the solved notebook of lab {lab} does not score everything: {', '.join(wrong)}" if wrong else ""


def fingerprint(raw: bytes, seed: int, limits: Limits) -> str:
    """What a stored result depends on: the file, the seed, the limits, the solved notebooks and labkit."""
    found = hashlib.sha256(repr((seed, limits)).encode() + course_fingerprint())
    found.update(raw)
    return found.hexdigest()[:16]


@cache
def course_fingerprint() -> bytes:
    """Changes when a notebook or a line of labkit does."""
    found = hashlib.sha256()
    for path in sorted([*(ROOT / "notebooks").glob("[0-9]*.ipynb"), *(ROOT / "labkit").rglob("*.py")]):
        found.update(path.read_bytes())
    return found.digest()
