"""Makes .venv and installs the course into it; `make` runs this file before anything else.

It needs the standard library only, and an old Python can read it too, so that it gets a sentence instead of a
traceback. What was installed is remembered in .venv (a digest of the files that say what to install), so
that a second run is over at once.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OLDEST, NEWEST = (3, 11), (3, 13)
GIB_FREE = 4  # .venv takes 2 with torch for the CPU, and pip needs room to unpack


def version_problem(version: tuple) -> str:
    """One sentence on a Python `version` (major, minor, ...) that the course does not run on, else ""."""
    if OLDEST <= tuple(version[:2]) <= NEWEST:
        return ""
    wanted = f"{OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}"
    found = f"{version[0]}.{version[1]}"
    return f"The course needs Python {wanted}, not {found}: install one and name it, as in: make lab PYTHON=python3.12"


def venv_problem() -> str:
    """What to install where this Python cannot make environments (Debian ships venv apart), else ""."""
    if importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        return ""
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    return f"This Python cannot make a virtual environment: install venv, on Debian or Ubuntu: sudo apt install {name}"


def disk_problem(free_bytes: int) -> str:
    """How much room to make where `free_bytes` are too few, else ""."""
    if free_bytes >= GIB_FREE * 2**30:
        return ""
    found = f"{free_bytes / 2**30:.1f} GiB"
    return f"The disk has {found} left and .venv needs {GIB_FREE} GiB (12 where pip brings torch with CUDA): make room"


def digest(root: str = ROOT) -> str:
    """A fingerprint of what is to be installed, and where."""
    found = hashlib.sha256(root.encode())
    for name in ("pyproject.toml", "constraints.txt"):
        with open(os.path.join(root, name), "rb") as file:
            found.update(file.read())
    return found.hexdigest()


def extra(root: str = ROOT) -> str:
    """What of pyproject.toml is installed: "develop", or "test" in the students' copy, which has no other."""
    with open(os.path.join(root, "pyproject.toml"), encoding="utf8") as file:
        return "develop" if "\ndevelop = " in file.read() else "test"


def quiet_jupyter(folder: str) -> None:
    """Tell this environment's JupyterLab not to ask about news and not to look for updates: the course is offline."""
    settings = os.path.join(folder, "share", "jupyter", "lab", "settings")
    os.makedirs(settings, exist_ok=True)
    with open(os.path.join(settings, "overrides.json"), "w") as file:
        wanted = {"fetchNews": "false", "checkForUpdates": False}
        json.dump({"@jupyterlab/apputils-extension:notification": wanted}, file)


def set_up(root: str = ROOT) -> None:
    """Create .venv under `root` and install the course there, unless that is done; a sentence ends it if it cannot."""
    folder = os.path.join(root, ".venv")
    python, stamp = os.path.join(folder, "bin", "python"), os.path.join(folder, "course-set-up")
    if os.path.exists(stamp) and os.path.exists(python):
        with open(stamp) as file:
            if file.read() == digest(root):
                return
    usable = os.path.exists(python) and not subprocess.run([python, __file__, "--check"]).returncode
    problem = "" if usable else venv_problem() or disk_problem(shutil.disk_usage(root).free)
    if problem:
        sys.exit(problem)
    print("Setting up .venv: a few minutes the first time, seconds from then on", flush=True)
    if not usable:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    command = [python, "-m", "pip", "install", "--quiet", "-c", "constraints.txt", "-e", f".[{extra(root)}]"]
    if subprocess.run(command, cwd=root).returncode:
        sys.exit("pip could not install the course: is the network there? Its words are above; run the same again")
    quiet_jupyter(folder)
    with open(stamp, "w") as file:
        file.write(digest(root))


if __name__ == "__main__":
    if version_problem(sys.version_info):
        sys.exit(version_problem(sys.version_info))
    if "--check" not in sys.argv:
        set_up()
