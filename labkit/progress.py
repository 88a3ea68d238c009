"""A bar with the time that is left, for loops that take long; knows nothing of what they compute.

In a terminal it is tqdm's line, wiped out at the end. In a notebook tqdm's own ways leave a trace in the saved file
(a dead widget, or a red line), so there the bar is an output of the cell that is written anew twice a second, and is
taken away when the loop is over or interrupted. Jupyter clears all outputs of a cell or none: where the cell has
shown something else that is kept, and of the bar an empty output stays.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

if TYPE_CHECKING:
    from tqdm import tqdm

Item = TypeVar("Item")
LINE = "{desc}: {percentage:3.0f}% |{bar}| {n_fmt} of {total_fmt}, {remaining} left{postfix}"


@contextmanager
def bar(what: str, total: int, *, done: int = 0, progress: bool = True) -> Iterator["tqdm"]:
    """A bar for `total` steps, `done` of them before: use it in a `with`, call its `update()` after each step.

    It appears when a loop has taken a second. progress: False for no bar at all.
    """
    from tqdm import tqdm

    shell = _shell()
    place = {} if shell is None else {"file": _Output(shell), "ncols": 90, "position": 0}
    with tqdm(
        total=total, initial=done, desc=what, disable=not progress, bar_format=LINE, leave=False,
        delay=1, mininterval=0.5, miniters=1, **place,
    ) as shown:  # fmt: skip
        try:
            yield shown
        except BaseException:  # an interrupt of the very first drawing, which tqdm has then not noted
            shown.delay = 0
            raise


def over(items: Sequence[Item], what: str, progress: bool = True) -> Iterator[Item]:
    """The items one by one, with a bar that counts those that are done."""
    with bar(what, len(items), progress=progress) as shown:
        for one in items:
            yield one
            shown.update()


def time_left(done: int, total: int, seconds: float) -> str:
    """What `total` steps still take when `done` of them took so many seconds, as bars write it: "01:40"; "?" at 0."""
    from tqdm import tqdm

    return tqdm.format_interval(seconds / done * (total - done)) if done else "?"


@dataclass(eq=False)
class _Cell:
    """The cell that runs: messages of the kernel before it (None: not known) and of its bars, and bars on show."""

    before: int | None = None
    own: int = 0
    bars: int = 0


_cell = _Cell()


class _Output:
    """What tqdm writes to in a notebook: a text rewrites an output of the cell, a blank one takes it away."""

    encoding = "utf-8"  # tqdm asks whether it may draw blocks

    def __init__(self, shell: Any) -> None:
        self.shell, self.name, self.cell = shell, uuid4().hex, None

    def write(self, text: str) -> None:
        text = text.strip()
        if text and self.cell is None:
            self.cell = _cell
            self.cell.bars += 1
            self._publish({}, update=False)  # nbval compares this and no update: it finds nothing
        if text:
            self._publish({"text/plain": text}, update=True)
        elif self.cell is not None:
            self._remove()

    def flush(self) -> None:
        pass

    def _publish(self, data: dict[str, str], update: bool) -> None:
        self._send(self.shell.display_pub.publish, data, {}, transient={"display_id": self.name}, update=update)

    def _send(self, what: Any, *words: Any, **options: Any) -> None:
        before = _sent(self.shell)
        try:
            what(*words, **options)
        finally:  # an interrupt between the message and its count would make it somebody else's
            self.cell.own += _count(self.shell) - before

    def _remove(self) -> None:
        self.cell.bars -= 1
        others = self.cell.before is None or _sent(self.shell) > self.cell.before + self.cell.own
        if others or self.cell.bars or self.cell is not _cell:
            self._publish({}, update=True)
        else:
            self._send(self.shell.display_pub.clear_output)
        self.cell = None


def _shell() -> Any:
    """IPython's shell where it is that of a notebook, else None."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell if hasattr(shell, "kernel") else None


def _sent(shell: Any) -> int:
    """How many messages the kernel has sent, with all that was printed; 0 where it does not count."""
    sys.stdout.flush()
    sys.stderr.flush()
    return _count(shell)


def _count(shell: Any) -> int:
    return getattr(shell.kernel.session, "message_count", 0)


def _begin(*_: Any) -> None:
    """A cell starts: from now on it can be told whether a bar is all that it shows."""
    global _cell
    _cell = _Cell(_sent(_shell()) or None)


if _shell() is not None:
    _shell().events.register("pre_run_cell", _begin)
