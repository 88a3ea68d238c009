"""Moves a student's answers from an older release of a notebook into a newer one, losing nothing.

A TASK cell goes where its number is; a cell that the student added goes after the one it stood behind; what has no
place any more (a task that is gone, a course cell that was changed) is kept at the end, as text. The new file is
replaced at once or not at all.
"""

import hashlib
import os
from pathlib import Path
from typing import Any

from labkit.exercises.cells import is_untouched, mark_line, mark_of, task_cells

RELEASED = "released"  # metadata.labkit.released: the digest of a cell's text as it left the instructor
HEADING = "## Carried over from the older notebook"


class Unreadable(ValueError):
    """A file is no notebook; the message is one sentence."""


def digest(source: str) -> str:
    """A short fingerprint of a cell's text."""
    return hashlib.sha256(source.strip().encode()).hexdigest()[:12]


def carry(old: Path, new: Path) -> list[str]:
    """Put the answers of the notebook `old` into `new` and save it; returns what was done, in sentences.

    An answer that stands in `new` already is not touched: the older one is kept at the end. A second run changes
    nothing. Raises Unreadable for a file that is no notebook, or where `new` is `old`.
    """
    import nbformat

    if old.resolve() == new.resolve():
        raise Unreadable(f"{old} and {new} are the same file; name the older notebook first, then the newer one")
    source, target = _read(old), _read(new)
    places, moved, kept = task_cells(target), [], []
    known = {cell.source.strip() for cell in target.cells}
    text_at_the_end = "\n".join(cell.source for cell in target.cells if cell.source.startswith(HEADING))
    after = -1  # the place in `target` behind which the student's own cells of `source` go
    for cell in source.cells:
        seen = mark_of(cell)
        place = _place(target, cell, seen)
        after = after if place is None else place
        if cell.source.strip() in known or not cell.source.strip():
            continue
        if seen and seen.kind == "TASK":
            if is_untouched(cell.source):
                continue
            if seen.number in places and is_untouched(places[seen.number].source):
                places[seen.number].source = _with_mark_of(places[seen.number].source, cell.source)
                moved.append(seen.number)
            elif seen.number not in places or not _same_answer(places[seen.number].source, cell.source):
                kept.append(cell)
        elif RELEASED not in cell.metadata.get("labkit", {}):
            after += 1
            own = nbformat.v4.new_markdown_cell if cell.cell_type == "markdown" else nbformat.v4.new_code_cell
            target.cells.insert(after, own(cell.source))
            known.add(cell.source.strip())
            moved.append("a cell of your own")
        elif cell.metadata.labkit[RELEASED] != digest(cell.source):
            kept.append(cell)
    kept = [cell for cell in kept if cell.source.strip() not in text_at_the_end]
    if kept:
        end = next((i for i, cell in enumerate(target.cells) if "labkit.finish()" in cell.source), len(target.cells))
        target.cells.insert(end, nbformat.v4.new_markdown_cell(_as_text(kept)))
    temporary = new.with_suffix(".tmp")
    nbformat.write(target, temporary)
    os.replace(temporary, new)
    said = [f"carried into {new.name}: {', '.join(moved) or 'nothing, as nothing was new'}"]
    return said + ([f"kept as text before its last cell: {len(kept)} cell(s) that have no place there"] if kept else [])


def _read(path: Path) -> Any:
    import nbformat

    try:
        notebook = nbformat.read(path, as_version=4)
        notebook.nbformat_minor = max(5, notebook.nbformat_minor)
        for cell in notebook.cells:
            cell.setdefault("metadata", nbformat.NotebookNode())
            cell.setdefault("id", digest(cell.source))
        return notebook
    except FileNotFoundError:
        raise Unreadable(f"{path} does not exist; give the path of a notebook") from None
    except Exception as problem:
        reason = (str(problem) or type(problem).__name__).splitlines()[0][:100]
        raise Unreadable(f"{path} cannot be read as a notebook ({reason}); download it again") from None


def _place(target: Any, cell: Any, seen: Any) -> int | None:
    """Where in `target` this cell stands: by its mark, else by its text; None where it does not."""
    for i, other in enumerate(target.cells):
        if other.source.strip() == cell.source.strip():
            return i
        theirs = mark_of(other) if seen else None
        if theirs and (theirs.kind, theirs.number) == (seen.kind, seen.number):
            return i
    return None


def _with_mark_of(new: str, old: str) -> str:
    """The student's text under the newer release's mark, as points or title may have changed."""
    lines = old.splitlines()
    lines[mark_line(old)] = new.splitlines()[mark_line(new)]
    return "\n".join(lines)


def _same_answer(one: str, other: str) -> bool:
    return _with_mark_of(one, other).strip() == one.strip()


def _as_text(cells: list[Any]) -> str:
    fence = "`" * 5
    parts = [f"{fence}\n{cell.source.strip()}\n{fence}" for cell in cells]
    return "\n\n".join([HEADING, "These cells have no place of their own in this notebook. Nothing runs them.", *parts])
