"""Colab rehearsed: torch, diffusers and transformers are there, labkit is not; a notebook alone in an empty folder."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLAY = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
notebook.cells.insert(0, nbformat.v4.new_code_cell(
    "import google.colab, importlib.util, torch\\n"
    "torch_was = torch.__version__, torch.__file__\\n"
    "assert importlib.util.find_spec('labkit') is None"
))
notebook.cells.append(nbformat.v4.new_code_cell(
    "import os, pathlib, labkit, importlib.metadata\\n"
    "here = pathlib.Path.cwd()\\n"
    "assert here.parts[-2:] == ('course', 'notebooks'), here\\n"
    "assert pathlib.Path(labkit.__file__).is_relative_to(here.parent), labkit.__file__\\n"
    "assert importlib.metadata.version('torch') == torch_was[0] and torch.__file__ == torch_was[1]"
))
nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
"""


def colab(folder):
    """A Python under `folder` that sees all packages of this one but labkit, and a stub of google.colab."""
    here, shadow = Path(sysconfig.get_path("purelib")), folder / "packages"
    shadow.mkdir()
    for entry in here.iterdir():
        if "labkit" not in entry.name and entry.suffix != ".pth":
            (shadow / entry.name).symlink_to(entry)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
    own = next((folder / "env").glob("lib/python*/site-packages"))
    (own / "shadow.pth").write_text(f"{shadow}\n")
    (own / "google" / "colab").mkdir(parents=True)
    (own / "google" / "colab" / "__init__.py").write_text('"""A stub."""\n')
    return folder / "env" / "bin" / "python"


def rehearse(notebook, folder):
    """Run `notebook` to the end as on Colab, the course being cloned from this repository; the finished process."""
    python, alone = colab(folder), folder / "content"
    alone.mkdir()
    shutil.copy(notebook, alone)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "JUPYTER"))}
    env |= {"LABKIT_SOURCE": ROOT.as_uri(), "JUPYTER_DATA_DIR": str(folder / "jupyter"), "HF_HUB_OFFLINE": "1"}
    command = [python, "-c", PLAY, notebook.name]
    return subprocess.run(command, cwd=alone, env=env, capture_output=True, text=True, timeout=900)


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout: nothing to clone")
def test_a_notebook_alone_runs_to_the_end_on_colab(tmp_path):
    done = rehearse(ROOT / "notebooks" / "00_start_here.ipynb", tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
