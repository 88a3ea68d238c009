"""What a student sees: `check` shows a verdict, `finish` sums up; `publish` stores values for the grader.

A verdict is shown in colour and as plain text, with the values that the answer gave as an output of a type of its own,
which the page does not show. This file knows nothing of how a verdict is reached.
"""

import html
from typing import Any

from labkit.exercises.check import BORROWED, OPEN, PUBLIC, RIGHT, STOPPED, WRONG, Outcome, Verdict, judge, outcomes_of
from labkit.exercises.task import find, labs, notebook, tasks

MIME = "application/vnd.labkit.value+json"
SIGNS = {RIGHT: "✔", WRONG: "✘", STOPPED: "✘", BORROWED: "✘", OPEN: "○"}
WORDS = {
    RIGHT: "right",
    WRONG: "not right yet",
    STOPPED: "not right yet",
    BORROWED: "not yours yet",
    OPEN: "not done yet",
}
COLOURS = {RIGHT: "#009E73", WRONG: "#D55E00", STOPPED: "#D55E00", BORROWED: "#D55E00", OPEN: "#888888"}
_verdicts: dict[str, Verdict] = {}  # of this kernel, for `finish`


class Unfinished(Exception):
    """Raised by `finish` where a task is open or wrong, so that nbval fails; IPython shows its one line alone."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def check(number: str, answer: Any) -> None:
    """Try an answer to the task `number` ("1.3") and show what is right or wrong with it; it never raises.

    answer: the student's function by its name, or for a prediction the value. It takes less than a second.
    """
    task = find(number)
    if task is None:
        known = ", ".join(tasks(str(number).split(".")[0])) or ", ".join(f"{lab}.1, ..." for lab in labs())
        _show(f"There is no task {number!r}; there are {known}.", COLOURS[WRONG], {})
        return
    verdict = _verdicts[task.number] = judge(task, answer)
    _show(sentence(verdict), COLOURS[verdict.kind], stored(task.number, PUBLIC, verdict.outcomes))


def publish(number: str, answer: Any, seed: int, left: bool = False) -> None:
    """Run an answer on the inputs that `seed` draws and store what it does, for the grader; it never raises.

    left: with what it left of the inputs, which is long; the grader asks for it and looks whether they changed.
    """
    outcomes = outcomes_of(find(number), answer, seed)
    count = f"{len(outcomes)} more input{'' if len(outcomes) == 1 else 's'}"
    _show(f"{number}: values stored for {count}.", COLOURS[OPEN], stored(number, seed, outcomes, left))


def finish() -> None:
    """Sum up the checks of this notebook, and raise `Unfinished` if a task is open or wrong. The last cell calls it."""
    numbers = sorted({number.split(".")[0] for number in _verdicts}, key=int)
    if not numbers:
        raise Unfinished("No check has run in this notebook yet: choose Run > Restart Kernel and Run All Cells.")
    left = []
    for lab in numbers:
        rows = [_verdicts.get(task.number, Verdict(task, OPEN, 0, [])) for task in tasks(lab).values()]
        left += [row.task.number for row in rows if row.kind != RIGHT]
        _show(summary(lab, rows), COLOURS[OPEN if left else RIGHT], {})
    if left:
        one = len(left) == 1
        raise Unfinished(f"{len(left)} task{' is' if one else 's are'} open or not right yet: {', '.join(left)}.")


def sentence(verdict: Verdict) -> str:
    """A verdict as text: a sign, the task, the points, and what to do about it."""
    task, kind = verdict.task, verdict.kind
    unit = "point" if task.points == 1 else "points"
    points = f"{task.points} {unit} to win" if kind == OPEN else f"{verdict.points:g} of {task.points} {unit}"
    head = f"{SIGNS[kind]} {task.number} {task.title}: {WORDS[kind]}, {points}"
    return "\n   ".join([head, *verdict.lines])


def summary(lab: str, rows: list[Verdict]) -> str:
    """The table of `finish`: points, done, open and wrong, and what to hand in."""
    won, all_points = sum(row.points for row in rows), sum(row.task.points for row in rows)
    counts = {word: sum(WORDS[row.kind] == word for row in rows) for word in dict.fromkeys(WORDS.values())}
    said = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    lines = [f"Lab {lab}: {won:g} of {all_points} points ({said})"]
    lines += [
        f"{SIGNS[row.kind]} {row.task.number:5}{row.points:4g} of {row.task.points}  {row.task.title}" for row in rows
    ]
    what = f"To hand in: save this notebook, then upload {notebook(lab)}"
    return "\n".join([*lines, f"{what}{'' if won == all_points else ', now or when more of it is right'}."])


def stored(number: str, seed: int, outcomes: list[Outcome], left: bool = False) -> dict[str, Any]:
    """What goes into the output for the grader: what the answer did on each input, and no verdict.

    left: with what it left of the inputs, where the grader looks whether it changed them.
    """
    return {"task": number, "seed": seed, "outcomes": [outcome.stored(left) for outcome in outcomes]}


def _show(text: str, colour: str, value: dict[str, Any]) -> None:
    from IPython import get_ipython
    from IPython.display import display

    if get_ipython() is None:
        print(text)
        return
    first, _, rest = html.escape(text).partition("\n")
    style = f"border-left: 6px solid {colour}; padding: 4px 10px; white-space: pre-wrap"
    page = f'<div style="{style}"><b>{first}</b>{"<br>" if rest else ""}{rest}</div>'
    data = {"text/plain": text, "text/html": page} | ({MIME: value} if value else {})
    display(data, raw=True)
