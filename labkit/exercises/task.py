"""What a task is: its reference, the inputs it is tried on, and the mistakes that are known by name.

One file a notebook (`lab01_forward_encoder.py`, ...) holds the tasks themselves. A reference is written out as a small
plain function, in the slide's letters, so that the tests can break it in every way and see that the check notices.
This file knows nothing of running, comparing or showing.
"""

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import torch

Case = tuple[Any, ...]


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that people really give: what to say, the answer itself, and what it is worth.

    answer: a function called like the student's, or a value; credit: the share of the points that it earns.
    """

    says: str
    answer: Any
    credit: float = 0.0


def _call(answer: Callable, *case: Any) -> Any:
    return answer(*case)


@dataclass(frozen=True)
class Task:
    """One thing to do, and how an answer to it is judged.

    number: "1.3" is the third task of lab 1. reference: a function, or for a prediction the value itself.
    cases: draws the inputs of a function, each a tuple of its arguments, the smallest first. observe: what is
    recorded, `observe(answer, *case)`; by default what the function returns. look: `look(case, value)` makes of that
    what is compared; it runs where the verdict is made, out of reach of the student's code. rtol, atol: the tolerance,
    as in torch.isclose. parts: names for the parts of a result that is a tuple. may_use: the labkit names that the
    answer may call; others would be labkit's own answer.
    """

    number: str
    points: int
    title: str
    reference: Any
    mistakes: Sequence[Mistake]
    cases: Callable[[torch.Generator], list[Case]] | None = None
    observe: Callable[..., Any] = _call
    look: Callable[[Case, Any], Any] | None = None
    rtol: float = 1e-4
    atol: float = 1e-6
    parts: Sequence[str] = ()
    may_use: Sequence[str] = ()

    @property
    def is_value(self) -> bool:
        """True for a prediction or a choice, which is answered by a value."""
        return self.cases is None

    def inputs(self, seed: int) -> list[Case]:
        """The inputs for a seed: 0 for the instant check, the grading seed later. For a value one empty tuple."""
        if self.cases is None:
            return [()]
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float32)  # a student may have set another one
        try:
            return self.cases(torch.Generator().manual_seed(seed))
        finally:
            torch.set_default_dtype(before)


@cache
def labs() -> dict[str, ModuleType]:
    """The files that hold tasks, by the lab's number: {"1": lab01_forward_encoder, ...}."""
    package = importlib.import_module(__package__)
    names = sorted(found.name for found in pkgutil.iter_modules(package.__path__) if found.name.startswith("lab"))
    return {str(int(name[3:5])): importlib.import_module(f"{__package__}.{name}") for name in names}


def tasks(lab: str) -> dict[str, Task]:
    """The tasks of a lab by their number, in the order of its notebook; none for a lab without tasks."""
    return {task.number: task for task in labs()[lab].TASKS} if lab in labs() else {}


def notebook(lab: str) -> str:
    """The name of a lab's notebook, such as "01_forward_encoder.ipynb"."""
    return f"{labs()[lab].__name__.rsplit('.', 1)[1].removeprefix('lab')}.ipynb"


def find(number: str) -> Task | None:
    """The task with this number, or None."""
    return tasks(str(number).split(".")[0]).get(str(number))
