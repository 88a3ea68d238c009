"""Joins a fresh clone to a Python that has torch already (Colab): the notebooks' first cell runs this file.

labkit is installed without its dependencies. Of those, only the ones that are absent or too old are added,
under a constraint that keeps torch at the version that is there. JupyterLab is left out: the notebook
that runs this is open in something already.
"""

import importlib.metadata
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
NEVER = {"torch", "jupyterlab"}


def missing(dependencies: list[str]) -> list[str]:
    """Those of the requirements (as in pyproject.toml) that this Python does not meet."""
    return [text for text in dependencies if not _met(Requirement(text))]


def _met(wanted: Requirement) -> bool:
    try:
        return wanted.name in NEVER or wanted.specifier.contains(importlib.metadata.version(wanted.name), True)
    except importlib.metadata.PackageNotFoundError:
        return False


def install(*words: str) -> bool:
    """Run pip with torch held at its version; True if pip was content."""
    with tempfile.TemporaryDirectory() as folder:
        keep = Path(folder) / "keep.txt"
        keep.write_text(f"torch=={importlib.metadata.version('torch')}\n", "utf8")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--constraint", str(keep), *words]
        return subprocess.run(command).returncode == 0


def join() -> None:
    """Install what is missing, make labkit importable in this very process and go to the notebooks."""
    wanted = missing(tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["project"]["dependencies"])
    if wanted and not install(*wanted):
        raise SystemExit(f"pip could not install {', '.join(wanted)}; install them by hand and run this cell again")
    if not install("--no-deps", "--editable", str(ROOT)):
        print("pip could not install labkit; it is used from its folder instead")
    sys.path.insert(0, str(ROOT))
    os.chdir(ROOT / "notebooks")


if __name__ in ("__main__", "<run_path>"):
    join()
