"""Files that students hand in, and how each must be read: with which tasks ready to be run, with which note."""

import gzip
import json
from dataclasses import dataclass
from typing import Any

from hostile import TASKS, answer, notebook, task_cell

ALL = frozenset(TASKS)
CELLS = [task_cell(number, answer(number)) for number in TASKS]


@dataclass(frozen=True)
class File:
    """A file. reason: words of why it cannot be read, "" where it can; ready: the tasks that are run; note: words.

    settled: {number: words} for tasks that need no run.
    """

    name: str
    raw: bytes
    reason: str = ""
    ready: frozenset = ALL
    note: str = ""
    settled: tuple[tuple[str, str], ...] = ()


def raw(cells: list[str], change: Any = None, **more: object) -> bytes:
    """The bytes of a notebook; `change` changes it before."""
    made = notebook(cells, **more)
    if change:
        change(made)
    return json.dumps(made, ensure_ascii=False).encode()


def each(change: Any) -> Any:
    """A change of each cell."""

    def change_all(made: dict) -> None:
        for cell in made["cells"]:
            change(cell)

    return change_all


def old(made: dict) -> None:
    """As nbformat 3 has it."""
    cells = [{"cell_type": "code", "input": cell["source"], "language": "python", "outputs": []}
             for cell in made.pop("cells")]  # fmt: skip
    made.update(worksheets=[{"cells": cells[:4]}, {"cells": cells[4:]}], nbformat=3, nbformat_minor=0)


def colab(made: dict) -> None:
    """As Colab saves it."""
    made["metadata"] = {"colab": {"provenance": []}, "accelerator": "GPU", "labkit": {"release": "7"}}
    made.update(nbformat_minor=0)
    for cell in made["cells"]:
        cell["metadata"] = {"id": cell.pop("id"), "colab": {"base_uri": "https://localhost:8080/"}}
        cell["source"] = cell["source"].splitlines(keepends=True)


def swapped(number: str, text: str) -> list[str]:
    """The cells with another text for one task."""
    return [text if cell.startswith(f"# TASK {number} ") else cell for cell in CELLS]


def broken(number: str, text: str, words: str = "it is not Python") -> dict[str, Any]:
    """What is expected where one task's cell is no Python."""
    made = json.dumps(notebook(swapped(number, task_cell(number, text)))).encode()
    return {"raw": made, "ready": ALL - {number}, "settled": ((number, words),)}


DEEP = b'{"cells": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
FILES = [
    File("empty", b"", "empty"),
    File("NULs", bytes(1000), "empty"),
    File("blank lines", b"\r\n \n", "empty"),
    File("a letter", b"Dear Sir or Madam", "damaged, or something else"),
    File("cut in the middle", raw(CELLS)[:2000], "damaged"),
    File("HTML", b"<!DOCTYPE html><html><body>Log in</body></html>", "an HTML page"),
    File("PDF", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF"),
    File("zip", b"PK\x03\x04" + bytes(40), "a zip"),
    File("gzip", gzip.compress(raw(CELLS)), "damaged"),
    File("a script", b"# %% [markdown]\nprint(1)\n", "a Python script"),
    File("JSON list", b"[1, 2]", "no notebook"),
    File("JSON number", b"3", "no notebook"),
    File("JSON null", b"null", "no notebook"),
    File("no cells", b'{"metadata": {}}', "no cells"),
    File("cells are a word", b'{"cells": "x"}', "no cells"),
    File("worksheets hold no lists", b'{"worksheets": [{"cells": 5}, 3, {"cells": {"a": 1}}]}', "", frozenset()),
    File("cells are not dicts", b'{"cells": [1, null, "x", [], {}]}', "", frozenset()),
    File("sources of all kinds", b'{"cells": [{"cell_type": "code", "source": 5}, {"cell_type": "code", "source": '
         b'[1, null]}, {"cell_type": ["code"]}, {"cell_type": "code", "source": {"a": 1}}]}', "", frozenset()),
    File("deep JSON", DEEP, "damaged"),
    File("deep JSON in the metadata", raw(CELLS).replace(b'"metadata": {}, "nbformat"', b'"metadata": {"labkit": '
         b'{"release": ' + b"[" * 900 + b"]" * 900 + b'}}, "nbformat"')),
    File("a number of 10,000 digits", b'{"cells": [' + b"9" * 10_000 + b"]}", "damaged"),
    File("NaN and Infinity", raw(CELLS, nbformat_minor=float("nan"))),
    File("as it is", raw(CELLS)),
    File("nbformat 3", raw(CELLS, old)),
    File("no ids", raw(CELLS, each(lambda cell: cell.pop("id")), nbformat_minor=0)),
    File("doubled ids", raw(CELLS, each(lambda cell: cell.update(id="same")))),
    File("no metadata at all", raw(CELLS, lambda made: [made.pop(k) for k in [*made] if k != "cells"])),
    File("metadata is a list", raw(CELLS, metadata=[1])),
    File("Colab", raw(CELLS, colab)),
    File("source as a list", raw(CELLS, each(lambda cell: cell.update(source=cell["source"].splitlines(True))))),
    File("UTF-8 with a mark", b"\xef\xbb\xbf" + raw(CELLS)),
    File("UTF-16", raw(CELLS).decode().encode("utf-16"), note="utf-16"),
    File("latin-1", raw(swapped("1.7", task_cell("1.7", "my_limit = 'half'  # für"))).decode().encode("latin-1"),
         note="latin-1"),
    File("CRLF in the file", json.dumps(notebook(CELLS), indent=1).replace("\n", "\r\n").encode()),
    File("CRLF in the cells", raw([cell.replace("\n", "\r\n") for cell in CELLS])),
    File("CR in the cells", raw([cell.replace("\n", "\r") for cell in CELLS])),
    File("reordered", raw(CELLS[::-1])),
    File("one task missing", raw(CELLS[1:]), ready=ALL - {"1.1"}, settled=(("1.1", "missing"),)),
    File("a task as Markdown", raw(CELLS, lambda made: made["cells"][0].update(cell_type="markdown")),
         ready=ALL - {"1.1"}, settled=(("1.1", "missing"),)),
    File("a doubled task", raw([task_cell("1.1", "my_pixel = 5"), *CELLS]), note="1.1 stands more than once"),
    File("an unknown task", raw([*CELLS, "# TASK 1.77 points=99: mine\nx = 1"]), note="there is no task 1.77"),
    File("a task of another lab", raw([*CELLS, "# TASK 2.1 points=3: x\nx = 1"]), note="there is no task 2.1"),
    File("points of one's own", raw([cell.replace("points=", "points=9") for cell in CELLS])),
    File("an untouched task", raw(swapped("1.7", task_cell("1.7", "my_limit = ...  # your turn"))),
         ready=ALL - {"1.7"}, settled=(("1.7", "not done yet"),)),
    File("3000 cells", raw([*CELLS, *["x = 1"] * 3000]), note="first 2000 of 3009"),
    File("a cell of 1 MB", raw(swapped("1.1", task_cell("1.1", "#" * 10**6))), ready=ALL - {"1.1"},
         note="over 100000 characters", settled=(("1.1", "missing"),)),
    File("unicode names", raw([*CELLS[:6], task_cell("1.7", "µ = 'half'\nmy_limit = µ"), *CELLS[7:]])),
    File("a syntax error", **broken("1.3", "def my_forward_step(:\n  pass", "line 2: invalid syntax")),
    File("tabs and spaces", **broken("1.3", "def my_forward_step(*a):\n\tif a:\n        return 1", "inconsistent")),
    File("NULs in a cell", **broken("1.3", "x = 1\0", "null bytes")),
    File("half a character", **broken("1.3", "x = '\udc80'")),
    File("deep brackets", **broken("1.3", "x = " + "(" * 5000 + ")" * 5000)),
    File("deep minus", **broken("1.3", "x = " + "-" * 90_000 + "1")),
    File("a long sum", **broken("1.3", "x = " + "+".join("1" * 30_000))),
    File("deep indexing", **broken("1.3", "x" + "[0]" * 30_000)),
    File("a number too long", **broken("1.3", "x = " + "9" * 5000)),
    File("smart quotes", **broken("1.7", "my_limit = “half”", "invalid character")),
    File("nbval marks", raw(swapped("1.7", task_cell("1.7", "## NBVAL_SKIP\n#\u3000nbval_skip\nmy_limit = 2"))),
         note="marks for nbval have no effect"),
    File("nbval tags", raw(CELLS, each(lambda cell: cell.update(metadata={"tags": ["nbval-skip"]})))),
]  # fmt: skip
