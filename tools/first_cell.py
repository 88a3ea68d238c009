"""The first code cell of every notebook, in one place; `make address` runs this file to stamp it.

The cell does nothing where labkit is installed. On Colab, or wherever labkit is missing, it clones the
course from the address that stands in pyproject.toml ([tool.labkit] source_url) and hands over to
tools/join.py. LABKIT_SOURCE in the environment overrides the address.
"""

import sys
import tomllib
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = """\
# Where labkit is missing (on Colab, say) this fetches the course and installs it; elsewhere it does nothing.
import importlib.util
import os
import runpy
import subprocess

if importlib.util.find_spec("labkit") is None:
    address = os.environ.get("LABKIT_SOURCE", "ADDRESS")
    if not os.path.isdir("course"):
        subprocess.run(["git", "clone", "--depth=1", "--quiet", address, "course"], check=True)
    runpy.run_path("course/tools/join.py")"""


def address(which: str = "source_url") -> str:
    """The address of the course, or with "release_url" of the students' copy, as pyproject.toml gives it."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["tool"]["labkit"][which]


def source(url: str) -> str:
    """The text of the first code cell for a course that is cloned from `url`."""
    return TEMPLATE.replace("ADDRESS", url)


def stamp(path: Path, url: str) -> bool:
    """Put the first cell for `url` into the notebook at `path`; True if that changed the file.

    A first code cell that is an older stamp is replaced; before any other one a new cell is inserted.
    """
    notebook = nbformat.read(path, as_version=4)
    codes = [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    place = codes[0] if codes else len(notebook.cells)
    if codes and notebook.cells[place].source == source(url):
        return False
    if codes and notebook.cells[place].source.startswith(TEMPLATE.splitlines()[0]):
        notebook.cells[place].source = source(url)
    else:
        notebook.cells.insert(place, nbformat.v4.new_code_cell(source(url), id="first-cell"))
    nbformat.write(notebook, path)
    return True


def main(folder: Path = ROOT / "notebooks") -> None:
    """Stamp every notebook in `folder` and say which ones changed."""
    for path in sorted(folder.glob("*.ipynb")):
        print(f"{path.name}: {'stamped' if stamp(path, address()) else 'as it should be'}")


if __name__ == "__main__":
    main(*(Path(word) for word in sys.argv[1:]))
