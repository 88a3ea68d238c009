"""Set-up: the files that say what to install agree, make does what the README promises, and first cells are stamped."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def tool(name):
    """A module of tools/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


first_cell, set_up, join = tool("first_cell"), tool("set_up"), tool("join")


def make(*words):
    """What make does with these words, whatever make it is that runs the tests (`make test BROWSER=1`)."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "BROWSER"))}
    return subprocess.run(["make", "--no-print-directory", *words], cwd=ROOT, env=env, capture_output=True, text=True)


# -- what is installed


def pins():
    lines = (ROOT / "constraints.txt").read_text("utf8").splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(one.name): one.specifier for one in found}


def test_constraints_pin_every_direct_dependency_within_its_bounds():
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [*PROJECT["project"]["dependencies"], *extras["test"], *extras["develop"]]
    wanted.remove("labkit[test]")
    for one in map(Requirement, wanted):
        pin = re.fullmatch(r"==([\w.]+)", str(pins()[canonicalize_name(one.name)]))
        assert pin, f"{one.name} is not pinned to one public version"
        assert one.specifier.contains(pin[1], True), f"{one.name}: {pin[1]} is outside {one.specifier}"
    assert str(pins()["torch"]) == "==2.13.0"


def test_dependencies_have_lower_bounds_only_so_that_colab_keeps_its_torch():
    for one in map(Requirement, PROJECT["project"]["dependencies"]):
        assert {part.operator for part in one.specifier} == {">="}, one


def test_conda_makes_the_same_environment():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text("utf8"))
    python, pip, words = conda["dependencies"]
    assert python.startswith("python" + PROJECT["project"]["requires-python"])
    assert pip == "pip"
    assert words == {"pip": ["-c constraints.txt", "-e .[test]"]}
    oldest = ".".join(map(str, set_up.OLDEST))
    assert PROJECT["project"]["requires-python"] == f">={oldest}"


def test_the_course_needs_no_torchvision():
    words = (ROOT / "pyproject.toml").read_text("utf8") + (ROOT / "constraints.txt").read_text("utf8")
    assert "torchvision" not in words
    for path in [*(ROOT / "labkit").glob("*.py"), *NOTEBOOKS]:
        assert not re.search(r"(import|from) torchvision", path.read_text("utf8")), path.name


@pytest.mark.slow
@pytest.mark.skipif(bool(importlib.util.find_spec("torchvision")), reason="torchvision is installed here")
def test_what_the_course_uses_imports_with_torchvision_absent():
    code = """
import labkit
from diffusers import DDIMScheduler, DDPMPipeline, DDPMScheduler, UNet2DModel
from transformers import CLIPTextModel, CLIPTokenizer
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_no_committed_text_names_this_machine_or_a_registry():
    forbidden = ["/root/", "/work/main", "pypi.org", "pythonhosted.org", "download.pytorch"]
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in listed.stdout.split("\n"):
        if name.startswith("tests/"):
            continue  # the tests name what they forbid
        if name.endswith((".py", ".ipynb", ".md", ".toml", ".txt", ".yml", ".sh", ".json", "Makefile", "run")):
            text = (ROOT / name).read_text("utf8") if (ROOT / name).is_file() else ""
            assert not [word for word in forbidden if word in text], name


# -- tools/set_up.py


def interpreters():
    """Every python3.N that really runs here, by version: on the path, or beside the others of a pyenv."""
    found = {}
    homes = sorted(Path.home().glob(".pyenv/versions/3.*/bin/python3"))
    for minor in range(8, 14):
        named = [path for path in homes if path.parts[-3].startswith(f"3.{minor}.")] + [
            shutil.which(f"python3.{minor}")
        ]
        for path in filter(None, named):
            if subprocess.run([path, "-c", ""], capture_output=True).returncode == 0:
                found.setdefault((3, minor), str(path))
    return found


@pytest.mark.slow
def test_an_old_python_gets_one_sentence_and_a_new_one_nothing():
    for version, python in interpreters().items():
        done = subprocess.run([python, ROOT / "tools" / "set_up.py", "--check"], capture_output=True, text=True)
        if version >= (3, 11):
            assert (done.returncode, done.stdout + done.stderr) == (0, ""), version
        else:
            assert done.returncode == 1
            assert done.stderr.count("\n") == 1
            assert f"needs Python 3.11 to 3.13, not 3.{version[1]}:" in done.stderr


@pytest.mark.parametrize(("version", "fits"), [((3, 10), False), ((3, 11), True), ((3, 13, 1), True), ((3, 14), False)])
def test_versions(version, fits):
    assert (set_up.version_problem(version) == "") == fits


def test_missing_venv_and_disk_say_what_to_do(monkeypatch):
    assert set_up.disk_problem(100 * 2**30) == ""
    assert "The disk has 1.0 GiB left" in set_up.disk_problem(2**30)
    assert set_up.venv_problem() == ""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert f"sudo apt install python3.{sys.version_info[1]}-venv" in set_up.venv_problem()


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A folder with the two files that say what to install; commands are noted instead of run."""
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    ran = []

    def run(command, **_):
        ran.append([str(word) for word in command])
        if "venv" in command:
            (tmp_path / ".venv" / "bin").mkdir(parents=True, exist_ok=True)
            (tmp_path / ".venv" / "bin" / "python").touch()
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(set_up.subprocess, "run", run)
    monkeypatch.setattr(set_up, "disk_problem", lambda free: "")
    return tmp_path, ran


def test_set_up_makes_venv_installs_once_and_again_only_after_a_change(bare):
    folder, ran = bare
    set_up.set_up(str(folder))
    assert ran[0][1:4] == ["-m", "venv", "--clear"]
    assert ran[1][1:] == ["-m", "pip", "install", "--quiet", "-c", "constraints.txt", "-e", ".[develop]"]
    ran.clear()
    set_up.set_up(str(folder))
    assert ran == []
    with (folder / "constraints.txt").open("a") as file:
        file.write("# changed\n")
    set_up.set_up(str(folder))
    assert [command[-1] for command in ran] == ["--check", ".[develop]"]  # .venv is kept


def test_students_get_less_and_jupyterlab_asks_nothing(bare):
    folder, ran = bare
    project = (folder / "pyproject.toml").read_text("utf8")
    (folder / "pyproject.toml").write_text(project.replace("develop = [", "other = ["), "utf8")
    set_up.set_up(str(folder))
    assert ran[1][-1] == ".[test]"
    (settings,) = (folder / ".venv").rglob("overrides.json")
    assert json.loads(settings.read_text())["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"


def test_set_up_stops_with_a_sentence_before_it_fills_the_disk(bare, monkeypatch):
    folder, ran = bare
    monkeypatch.setattr(set_up, "disk_problem", lambda free: "The disk is full")
    with pytest.raises(SystemExit, match="The disk is full"):
        set_up.set_up(str(folder))
    assert ran == []


# -- make


def test_make_help_lists_every_target():
    files = "".join((ROOT / name).read_text("utf8") for name in ("Makefile", "tools/common.mk"))
    phony = " ".join(re.findall(r"^\.PHONY: (.*)$", files, re.M)).split()
    lines = make("help").stdout.splitlines()
    listed = [line.split()[1] for line in lines]
    assert sorted(listed) == sorted(phony)
    for line in lines:
        assert f"## {line[15:]}\n" in files, "a target's words are cut"
    assert {"lab", "test", "quick", "bench", "address", "help"} <= set(listed)


@pytest.mark.parametrize(
    ("words", "chosen"),
    [([], '-m "not browser" tests notebooks'), (["BROWSER=1"], "tests notebooks")]
    + [([f"BROWSER={other}"], '-m "not browser" tests notebooks') for other in ("", "0", "firefox")],
)
def test_make_test_runs_everything_and_pytest_last(words, chosen):
    lines = make("-n", "test", *words).stdout.splitlines()
    assert lines[-1] == (
        "OMP_NUM_THREADS=1 .venv/bin/pytest -rs -n 2 --dist loadfile --no-loadscope-reorder"
        f" --nbval-lax --nbval-current-env {chosen}"
    )
    assert lines[-3] == ".venv/bin/ruff check ."
    assert lines[-2] == ".venv/bin/ruff format --check ."


def test_ci_runs_the_browser_too_and_pytest_last():
    assert (ROOT / ".ci" / "run").read_text("utf8").splitlines()[-1] == "exec make --no-print-directory test BROWSER=1"
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_make_lab_passes_the_port_and_words_on():
    printed = make("-n", "lab", "PORT=9123", "ARGS=--no-browser").stdout
    for word in ("--port=9123", "--no-browser", "/lab/tree/00_start_here.ipynb"):
        assert word in printed
    assert '-m "not slow" tests' in make("-n", "quick").stdout


def test_make_without_python_says_what_to_install():
    done = make("set-up", "PYTHON=no-such-python")
    assert done.returncode
    assert "No no-such-python here: install Python 3.11 to 3.13" in done.stdout


# -- the first cell


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_first_cells_are_stamped_with_the_address_of_pyproject(path):
    cells = json.loads(path.read_text("utf8"))["cells"]
    first = next("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    assert first == first_cell.source(PROJECT["tool"]["labkit"]["source_url"]), "run: make address"


def test_the_first_cell_does_nothing_where_labkit_is(monkeypatch):
    text = first_cell.source("https://example.org/course")
    assert len(text.splitlines()) <= 12
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("it ran something"))
    before = os.getcwd(), list(sys.path)
    exec(text, {})
    assert (os.getcwd(), sys.path) == before


def test_stamping_inserts_replaces_and_then_leaves_alone(tmp_path):
    import nbformat

    path, v4 = tmp_path / "a.ipynb", nbformat.v4
    nbformat.write(v4.new_notebook(cells=[v4.new_markdown_cell("# Lab"), v4.new_code_cell("1 + 1")]), path)
    assert first_cell.stamp(path, "https://example.org/old")
    assert first_cell.stamp(path, "https://example.org/new")
    assert not first_cell.stamp(path, "https://example.org/new")
    sources = [cell.source for cell in nbformat.read(path, as_version=4).cells]
    assert sources == ["# Lab", first_cell.source("https://example.org/new"), "1 + 1"]
    assert first_cell.address("release_url") == PROJECT["tool"]["labkit"]["release_url"] != first_cell.address()


def test_joining_adds_only_what_is_absent_or_too_old_and_never_torch():
    wanted = ["torch>=999", "jupyterlab>=999", "numpy>=1", "numpy>=999", "surely-not-there>=1"]
    assert join.missing(wanted) == ["numpy>=999", "surely-not-there>=1"]
