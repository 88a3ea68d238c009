"""The instant check: run an answer on a task's inputs, say what is wrong with it, and publish the values it gave.

A verdict is one of: right; a known mistake, named; wrong, with the smallest input that shows it; stopped by an error,
with the student's own line; labkit's own answer; not done yet. The verdict serves the student. The grader trusts none
of it: what is published are values, compared again outside the student's kernel. Nothing here raises.
"""

import linecache
import sys
import sysconfig
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from inspect import signature
from pathlib import Path
from types import FrameType
from typing import Any

from torch import nn

from labkit.exercises.compare import (
    NotAValue,
    aligned,
    brief,
    copy_of,
    decode,
    encode,
    left_of,
    same,
    shape,
    unchanged,
    values,
)
from labkit.exercises.task import Case, Mistake, Task

PACKAGE = str(Path(__file__).resolve().parent.parent)
RIGHT, WRONG, STOPPED, BORROWED, OPEN = "right", "wrong", "stopped", "borrowed", "open"
PUBLIC = 0  # the seed of the inputs of the instant check


class Borrowed(Exception):
    """Raised in the place of labkit's own answers while grading, where they are not there."""


@dataclass
class Outcome:
    """What an answer did on one input: its value, or the error that stopped it, or why it is no value.

    error: the name of its type; where: the error and the student's own line, in words; left: what the arguments
    are after the call; borrowed: the functions of labkit that were called in the place of an answer.
    """

    value: Any = None
    error: str = ""
    where: list[str] = field(default_factory=list)
    problem: str = ""
    left: list[Any] = field(default_factory=list)
    borrowed: list[str] = field(default_factory=list)

    def stored(self, left: bool = False) -> dict[str, Any]:
        """The outcome for JSON; `restored` reads it. left: with the arguments after the call, for the grader."""
        told = {name: part for name, part in vars(self).items() if name not in ("value", "left") and part}
        if self.error or self.problem:
            return told
        return {"value": encode(self.value), **({"left": encode(self.left)} if left else {}), **told}

    @classmethod
    def restored(cls, found: Any) -> "Outcome":
        """The outcome from what was stored, which a student may have written: raises NotAValue where it is none."""
        if not isinstance(found, dict) or not ("value" in found or found.get("error") or found.get("problem")):
            raise NotAValue("this is no stored outcome")
        lists = {name: [str(part)[:200] for part in _list(found.get(name))][:10] for name in ("where", "borrowed")}
        words = {name: str(found.get(name, ""))[:200] for name in ("error", "problem")}
        value = decode(found["value"]) if "value" in found else None
        return cls(value=value, left=_list(decode(found.get("left", []))), **words, **lists)


def _list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []


@dataclass
class Verdict:
    """What the check says: its kind, the points earned, and lines for people."""

    task: Task
    kind: str
    points: float
    lines: list[str]
    mistake: Mistake | None = None
    outcomes: list[Outcome] = field(default_factory=list)


def judge(task: Task, answer: Any, seed: int = PUBLIC, *, watch: bool = True) -> Verdict:
    """Try `answer` on the inputs that `seed` draws, and say what is right or wrong with it.

    watch: look whether the answer asks labkit; the tests turn it off to try labkit's own mistakes.
    """
    return diagnose(task, seed, outcomes_of(task, answer, seed, watch=watch))


def outcomes_of(task: Task, answer: Any, seed: int, *, watch: bool = True) -> list[Outcome]:
    """What `answer` does on each input that `seed` draws; the task's reference is not asked."""
    if answer is None or answer is Ellipsis:
        return [Outcome(error=NotImplementedError.__name__)]
    if task.is_value and callable(answer):
        return [Outcome(problem="A function came, and this task asks for a value.")]
    if not task.is_value and not callable(answer):
        says = "Give the function itself, by its name alone: what came is not a function (was it called already?)."
        return [Outcome(problem=says)]
    return [attempt(task, answer, case, watch) for case in task.inputs(seed)]


def diagnose(task: Task, seed: int, outcomes: list[Outcome]) -> Verdict:
    """The verdict on what an answer did on the inputs of `seed`; the check and the grader both come here."""
    return Verdict(task, *_diagnosis(task, seed, outcomes), outcomes=outcomes)


def _diagnosis(task: Task, seed: int, outcomes: list[Outcome]) -> tuple[str, float, list[str], Mistake | None]:
    borrowed = sorted({name for outcome in outcomes for name in outcome.borrowed})
    if borrowed:
        says = (
            f"This asks labkit for the answer ({', '.join(borrowed)}). Write it yourself; reading its source is fine."
        )
        return BORROWED, 0, [says], None
    if any(outcome.error == NotImplementedError.__name__ for outcome in outcomes):
        return OPEN, 0, [], None
    cases = task.inputs(seed)
    if len(outcomes) != len(cases):  # it was not tried at all, and says why
        return WRONG, 0, [outcomes[0].problem or outcomes[0].error if outcomes else "There is no answer."], None
    outcomes = [_seen(task, *pair) for pair in zip(cases, outcomes, strict=True)]
    wanted = [_tried(task, task.reference, case).value for case in cases]
    agree = [_agrees(task, outcome, value) for outcome, value in zip(outcomes, wanted, strict=True)]
    if all(agree):
        return _right(task, cases, outcomes)
    for mistake in task.mistakes:
        if _matches(task, outcomes, [_tried(task, mistake.answer, case) for case in cases]):
            return WRONG, task.points * mistake.credit, [mistake.says], mistake
    first = agree.index(False)
    return _unknown(task, cases[first], outcomes[first], wanted[first])


def _right(task: Task, cases: list[Case], outcomes: list[Outcome]) -> tuple[str, float, list[str], None]:
    for case, outcome in zip(cases, outcomes, strict=True):
        if len(outcome.left) != len(case):
            raise NotAValue("it does not say what is left of the arguments")
        for place, pair in enumerate(zip(case, outcome.left, strict=True)):
            if not unchanged(*pair):
                name = [*signature(task.reference).parameters, "?"][place]
                says = f"The result is right, but the function changes its input {name} in place"
                return WRONG, task.points / 2, [f"{says}; leave inputs as they are."], None
    return RIGHT, task.points, [], None


def _tried(task: Task, answer: Any, case: Case) -> Outcome:
    return _seen(task, case, attempt(task, answer, case))


def _seen(task: Task, case: Case, outcome: Outcome) -> Outcome:
    """An outcome with what is compared in the place of what was recorded."""
    if task.look is None or outcome.error or outcome.problem:
        return outcome
    try:
        return replace(outcome, value=values(task.look(case, outcome.value)))
    except NotAValue as problem:
        return replace(outcome, value=None, problem=_as_sentence(problem))
    except Exception:  # what was stored need not have come from our own observer
        return replace(outcome, value=None, problem="What came is not what this task asks for.")


def _as_sentence(problem: NotAValue) -> str:
    return f"{str(problem)[0].upper()}{str(problem)[1:]}."


def _agrees(task: Task, outcome: Outcome, value: Any) -> bool:
    failed = outcome.error or outcome.problem
    return not failed and same(outcome.value, value, task.rtol, task.atol)


def _matches(task: Task, outcomes: list[Outcome], mistaken: list[Outcome]) -> bool:
    """Does an answer do what a known mistake does, on every input? Both may stop with the same kind of error."""
    stops = [one.error == two.error for one, two in zip(outcomes, mistaken, strict=True)]
    agree = [
        one.problem == two.problem if one.problem or two.problem else _agrees(task, one, two.value)
        for one, two in zip(outcomes, mistaken, strict=True)
        if not one.error and not two.error
    ]
    return all(stops) and bool(agree) and all(agree)


def _unknown(task: Task, case: Case, outcome: Outcome, wanted: Any) -> tuple[str, float, list[str], None]:
    lines = []
    if case:
        pairs = zip(signature(task.reference).parameters, case, strict=False)
        lines.append(
            "The smallest input that shows it: " + ", ".join(f"{name} = {brief(part)}" for name, part in pairs)
        )
    if outcome.error:
        return STOPPED, 0, [*outcome.where, *lines], None
    if outcome.problem:
        return WRONG, 0, [*lines, outcome.problem], None
    if task.is_value and isinstance(task.reference, str):
        words = sorted({task.reference, *(str(mistake.answer) for mistake in task.mistakes)})
        return WRONG, 0, [f"{brief(outcome.value)} is not one of the answers: {', '.join(map(repr, words))}."], None
    if task.is_value:  # the right value is not shown: it is the whole answer
        return WRONG, 0, [f"{brief(outcome.value)} is not it. Read the question again, or compute it."], None
    if aligned(outcome.value, wanted) is None and shape(outcome.value) != shape(wanted):
        return WRONG, 0, [*lines, f"It returns {shape(outcome.value)}; this task asks for {shape(wanted)}."], None
    name, found, right = _first_wrong_part(task, outcome.value, wanted)
    return WRONG, 0, [*lines, f"{name} {brief(found)}; right is {brief(right)}."], None


def _first_wrong_part(task: Task, found: Any, wanted: Any) -> tuple[str, Any, Any]:
    for name, (one, other) in zip(task.parts, aligned(found, wanted) or [], strict=False):
        if not same(one, other, task.rtol, task.atol):
            return f"The {name} is", one, other
    return "It returns", found, wanted


def attempt(task: Task, answer: Any, case: Case, watch: bool = False) -> Outcome:
    """One call with copies of the inputs; whatever the student's function does comes back as an outcome."""
    outcome = Outcome()
    try:
        if task.is_value:
            outcome.value = values(answer)
            return outcome
        given = copy_of(case)
        result = task.observe(_Watched(task, answer, case, outcome.borrowed) if watch else answer, *given)
        outcome.left = left_of(given)
        if result is None:
            outcome.problem = "It returns nothing: is the line with return missing?"
        else:
            outcome.value = values(result)
    except NotAValue as problem:
        outcome.problem = _as_sentence(problem)
    except KeyboardInterrupt:
        raise
    except Borrowed as error:
        outcome.error, outcome.borrowed = type(error).__name__, [*outcome.borrowed, str(error)]
    except BaseException as error:
        stub = isinstance(error, NotImplementedError)
        outcome.error, outcome.where = (NotImplementedError if stub else type(error)).__name__, _where(error)
    return outcome


class _Watched:
    """The student's function, with an eye on which of labkit's own functions it calls directly."""

    def __init__(self, task: Task, answer: Callable, case: Case, borrowed: list[str]) -> None:
        self.task, self.answer, self.borrowed = task, answer, borrowed
        self.given = {code for thing in case for code in _codes(thing)}

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        before, in_threads = sys.getprofile(), threading.getprofile()
        sys.setprofile(self._look)
        threading.setprofile(self._look)  # for the threads that it starts
        try:
            return self.answer(*arguments, **named)
        finally:
            sys.setprofile(before)
            threading.setprofile(in_threads)

    def _look(self, frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or not frame.f_code.co_filename.startswith(PACKAGE) or frame.f_code in self.given:
            return
        code, caller = frame.f_code, frame.f_back.f_code if frame.f_back else None
        nested = caller is not None and caller.co_filename.startswith(PACKAGE) and caller is not _CALL
        name = code.co_qualname.split(".")[0]
        if not nested and name not in self.task.may_use and name not in self.borrowed:
            self.borrowed.append(name)


_CALL = _Watched.__call__.__code__


def _codes(thing: Any) -> list[Any]:
    """The code of a callable argument, which the student's function is meant to call."""
    if isinstance(thing, nn.Module):
        return [type(part).forward.__code__ for part in thing.modules() if hasattr(type(part).forward, "__code__")]
    return [thing.__code__] if hasattr(thing, "__code__") else []


def _where(error: BaseException) -> list[str]:
    """The error in one line and the student's own line in which it arose."""
    first = (str(error).strip().splitlines() or [""])[0][:200]
    lines = [f"Your code stopped with {type(error).__name__}" + (f": {first}" if first else "")]
    library = (PACKAGE, sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"))
    own = [part for part in traceback.extract_tb(error.__traceback__) if not part.filename.startswith(library)]
    if own:
        line = (own[-1].line or linecache.getline(own[-1].filename, own[-1].lineno)).strip()
        lines.append(f"in line {own[-1].lineno} of the cell: {line[:120]}")
    return lines
