"""What a cell's first line says: `# TASK 1.3 points=3: title`, `# CHECK 1.3`, `# HIDDEN 1.3`, `# SETUP`, `# SOLVED`.

The mark stands in the text itself, so that it survives lost metadata, doubled ids, Colab and old formats. Release,
carry and grading read it here; this file knows nothing of them, nor of what the tasks ask.
"""

import re
from dataclasses import dataclass
from typing import Any

MARK = re.compile(r"#\s*(TASK|CHECK|HIDDEN)\s+(\d+\.\d+)(?:\s+points=(\d+))?(?::\s*(.*?))?\s*$")
PLAIN = re.compile(r"#\s*(SETUP|SOLVED)\b")
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
TODO = "your turn"


@dataclass(frozen=True)
class Mark:
    """A cell's first line: its kind, and for a task its number, points and title."""

    kind: str
    number: str = ""
    points: int = 0
    title: str = ""


def mark(source: str) -> Mark | None:
    """The mark in the first line that is not blank, or None."""
    line = next((line.strip() for line in source.splitlines() if line.strip()), "")
    if found := MARK.match(line):
        kind, number, points, title = found.groups()
        return Mark(kind, number, int(points or 0), title or "")
    plain = PLAIN.match(line)
    return Mark(plain[1]) if plain else None


def mark_of(cell: Any) -> Mark | None:
    """The mark of a notebook's cell; only code cells have one."""
    return mark(cell.source) if cell.cell_type == "code" else None


def task_cells(notebook: Any) -> dict[str, Any]:
    """The TASK cells of a notebook by their number; of a doubled one the last, which is what a run ends up with."""
    found = {}
    for cell in notebook.cells:
        seen = mark_of(cell)
        if seen and seen.kind == "TASK":
            found[seen.number] = cell
    return found


def without_solution(source: str, number: str) -> str:
    """A TASK cell with its solution replaced by a stub: an error inside a function, dots for a value.

    Raises ValueError where the two solution lines are missing, doubled or the wrong way round.
    """
    lines = source.splitlines()
    marks = [(i, line.strip()) for i, line in enumerate(lines) if line.strip() in (BEGIN, END)]
    if [text for _, text in marks] != [BEGIN, END]:
        raise ValueError(f"task {number} needs one line '{BEGIN}' and below it one line '{END}'")
    first, last = (i for i, _ in marks)
    indent = lines[first][: len(lines[first]) - len(lines[first].lstrip())]
    if indent:
        stub = [f'{indent}raise NotImplementedError("{number}: {TODO}")']
    else:
        names = re.findall(r"^(\w+)\s*(?::[^=\n]+)?=(?!=)", "\n".join(lines[first + 1 : last]), re.MULTILINE)
        if not names:
            raise ValueError(f"task {number} sets no value between the two solution lines")
        stub = [f"{name} = ...  # {TODO}" for name in dict.fromkeys(names)]
    return "\n".join([*lines[:first], *stub, *lines[last + 1 :]])


def is_untouched(source: str) -> bool:
    """True for a TASK cell as it is released: the stub still stands in it."""
    return bool(re.search(rf'NotImplementedError\("\d+\.\d+: {TODO}"\)|= \.\.\.  # {TODO}', source))
