"""Does the course run on this machine, and what are your answers worth so far? `make test` runs this file.

Each notebook is run from top to bottom in a kernel of its own, as Run > Restart Kernel and Run All Cells does; your
files are not changed. Nothing but the last cell may stop: it does so while a task is open or not right yet.
"""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from labkit.data import checksums, verified

os.environ.setdefault("HF_HUB_OFFLINE", "1")
ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))


def test_all_files_of_the_course_are_whole():
    for name in checksums():
        verified(name)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path, capsys):
    notebook = nbformat.read(path, as_version=4)
    place = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", allow_errors=True, resources=place).execute()
    codes = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    for i, cell in enumerate(codes, 1):
        for output in cell.outputs:
            stopped = output.output_type == "error"
            expected = cell is codes[-1] and output.get("ename") == "Unfinished"
            assert not stopped or expected, f"code cell {i} stops: {output.ename}: {output.evalue}"
    shown = [output.data.get("text/plain", "") for output in codes[-1].outputs if "data" in output]
    with capsys.disabled():
        print("", *shown, sep="\n")
