"""Reads what students hand in: any file that was once a notebook, whatever a student or a learning platform did to it.

What comes out is the list of its code cells' texts and notes for people; a file that is none raises `NotANotebook`
with the reason in plain words. This file knows nothing of tasks.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LARGEST = 20 * 2**20  # bytes of a file
MOST_CELLS, LONGEST = 2000, 100_000  # cells, and characters in one


class NotANotebook(ValueError):
    """The file cannot be graded; the message says why, for the student."""


@dataclass
class Submitted:
    """The code cells of a notebook in their order, the release it says it is of, and notes."""

    cells: list[str]
    release: str = ""
    notes: list[str] = field(default_factory=list)


def load(path: Path) -> bytes:
    """The bytes of a file that may be a notebook. Raises NotANotebook for one that cannot be opened or is too large."""
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise NotANotebook(f"the file has {size / 2**20:.0f} MiB; at most {LARGEST // 2**20} can be graded")
        return path.read_bytes()
    except OSError as problem:
        raise NotANotebook(f"the file cannot be opened ({problem.strerror})") from None


def read(raw: bytes) -> Submitted:
    """The code cells of a file. Raises NotANotebook."""
    notes: list[str] = []
    found = _json(raw, notes)
    cells = _cells(found)
    texts = [text for cell in cells[:MOST_CELLS] if (text := _code(cell)) is not None]
    if len(cells) > MOST_CELLS:
        notes.append(f"only its first {MOST_CELLS} of {len(cells)} cells were read")
    if any(len(text) > LONGEST for text in texts):
        notes.append(f"cells over {LONGEST} characters were left out")
    metadata = found.get("metadata")
    course = metadata.get("labkit") if isinstance(metadata, dict) else None
    release = course.get("release") if isinstance(course, dict) else ""
    return Submitted([text for text in texts if len(text) <= LONGEST], str(release or "")[:100], notes)


def _json(raw: bytes, notes: list[str]) -> dict[str, Any]:
    if not raw.strip(b"\0 \r\n\t"):
        raise NotANotebook("the file is empty")
    for encoding in ("utf-8-sig", "utf-16", "latin-1"):
        try:
            text = raw.decode(encoding)
            found = json.loads(text, strict=False)
        except (UnicodeError, ValueError, RecursionError):
            continue
        if encoding != "utf-8-sig":
            notes.append(f"the file is not in UTF-8 but in {encoding}")
        if not isinstance(found, dict):
            raise NotANotebook("the file is JSON, but no notebook")
        return found
    kinds = {b"PK": "a zip", b"%P": "a PDF", b"<!": "an HTML page", b"<h": "an HTML page", b"# ": "a Python script"}
    kind = next((words for start, words in kinds.items() if raw.lstrip().lower().startswith(start.lower())), "")
    what = f"it looks like {kind}" if kind else "it is damaged, or something else"
    raise NotANotebook(f"the file is not a notebook: {what}; hand in the .ipynb file")


def _cells(found: dict[str, Any]) -> list[Any]:
    """The cells; before format 4 they stood in worksheets."""
    cells = found.get("cells")
    if cells is None and isinstance(found.get("worksheets"), list):
        sheets = [sheet for sheet in found["worksheets"] if isinstance(sheet, dict)]
        cells = [cell for sheet in sheets if isinstance(sheet.get("cells"), list) for cell in sheet["cells"]]
    if not isinstance(cells, list):
        raise NotANotebook("the file is JSON, but it has no cells: it is no notebook")
    return cells


def _code(cell: Any) -> str | None:
    """The text of a code cell; None for another cell, or for what is no cell at all."""
    if not isinstance(cell, dict) or cell.get("cell_type") != "code":
        return None
    source = cell.get("source", cell.get("input", ""))
    parts = source if isinstance(source, list) else [source]
    return "".join(part for part in parts if isinstance(part, str)).replace("\r\n", "\n").replace("\r", "\n")
