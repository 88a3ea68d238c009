"""What a cell's first line says: `# TASK 1.3 points=3: title`, `# CHECK 1.3`, `# HIDDEN 1.3`, `# SETUP`, `# SOLVED`.

The mark stands in the text itself, so that it survives lost metadata, doubled ids, Colab and old formats; what students
put above it (remarks, magics, imports) does no harm. Release, carry and grading read it here; this file knows nothing
of them, nor of what the tasks ask.
"""

import ast
import re
from dataclasses import dataclass
from typing import Any

MARK = re.compile(r"#\s*(TASK|CHECK|HIDDEN)\s+(\d{1,3}\.\d{1,3})(?:\s+points=(\d{1,4}))?(?::\s*(.*))?$")
PLAIN = re.compile(r"#\s*(SETUP|SOLVED)\b")
LONGEST = 500  # characters of a line that can be a mark
MAGIC = re.compile(r"\s*([!?]|%%?[a-zA-Z])|\s*[\w.]+\?{1,2}\s*$")
TIMED = re.compile(r"(\s*)%time\s+(?=\S)")  # a statement that is timed is still to be run
ABOVE = re.compile(r"#|import\s|from\s.*\simport\b|[!%?]")  # the lines that may stand above the mark
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
    """The mark of a cell's text, or None: its first line, or below remarks, magics and imports the line of a TASK."""
    found = _marked(source)
    return found[1] if found else None


def mark_line(source: str) -> int:
    """The place of the line with the mark among the lines of a text that has one."""
    return _marked(source)[0]


def _marked(source: str) -> tuple[int, Mark] | None:
    lines = [(place, text) for place, line in enumerate(source.splitlines()) if (text := line.strip())]
    inside = False  # an import in brackets
    for above, (place, line) in enumerate(lines):
        seen = _read(line)
        if seen and (not above or seen.points):  # who speaks of a task in a remark gives it no points
            return place, seen
        if not (inside or ABOVE.match(line)):
            return None
        inside = ")" not in line if inside or not line.startswith("#") and "(" in line else False
    return None


def _read(line: str) -> Mark | None:
    if len(line) > LONGEST:
        return None
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


def without_magics(source: str) -> str:
    """A cell's text without the lines that are for the shell or for IPython; `%time f(x)` is left as `f(x)`."""
    lines = [TIMED.sub(r"\1", line) for line in source.splitlines()]
    return "\n".join(line for line in lines if not MAGIC.match(line))


def is_untouched(source: str) -> bool:
    """True for a TASK cell that holds its stubs and nothing else. A stub that is a remark by now is none."""
    for text in (source, without_magics(source)):
        try:
            statements = ast.parse(text).body
            return bool(statements) and all(map(_is_stub, statements))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return False


def _is_stub(node: ast.stmt) -> bool:
    """Is it `name = ...`, or a function of which there is no more than its docstring and the error?"""
    match node:
        case ast.Assign(value=ast.Constant(value=value)):
            return value is Ellipsis
        case ast.FunctionDef(body=[ast.Raise() as last] | [ast.Expr(value=ast.Constant()), ast.Raise() as last]):
            match last.exc:
                case ast.Call(func=ast.Name(id="NotImplementedError"), args=[ast.Constant(value=str(says))]):
                    return says.endswith(TODO)
    return False
