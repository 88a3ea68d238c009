"""benchmarks: the table says what is aimed at, and `labkit doctor` says what was measured."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from labkit import doctor

ROOT = Path(__file__).resolve().parent.parent
RESULTS = json.loads((ROOT / "benchmarks" / "results.json").read_text("utf8"))


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    """benchmarks/bench.py, which measures nothing when it is read."""
    spec = importlib.util.spec_from_file_location("bench", ROOT / "benchmarks" / "bench.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("16 images, 50 DDIM steps", [6.0, 8.0, 70.0], "≤ 10 s"),
        ("16 images, 50 DDIM steps, with `fast(model)`", [12.0], "≤ 10 s, **missed**"),
        ("images a second of `fast(model)` over diffusers' `DDPMPipeline`, batch 16", [1.4], "≥ 1.5 s, **missed**"),
        ("images a second of `fast(model)` over diffusers' `DDPMPipeline`, batch 1", [0.9], ""),
    ],
)
def test_an_aim_stands_beside_the_median(bench: ModuleType, name: str, values: list[float], said: str) -> None:
    assert bench.aim(name, bench.figure(values, "s")) == said


def test_a_notebook_is_to_be_quick_and_small(bench: ModuleType) -> None:
    one = bench.figure([50.0, 40.0, 55.0], "s", memory_gib=[2.0, 3.5, 2.1])
    assert bench.spread(one) == "50 s (40 to 55), 3.5 GiB"
    assert bench.aim("`00_start_here` by nbval", one) == "≤ 60 s, ≤ 3 GiB, **missed**"
    assert bench.aim("`00_start_here` by nbval", one | {"memory_gib": [2.0]}) == "≤ 60 s, ≤ 3 GiB"


def test_every_notebook_has_an_aim(bench: ModuleType) -> None:
    names = [f"`{path.stem}` by nbval" for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")]
    assert all(bench.aim(name, bench.figure([1.0], "s")) for name in names)


@pytest.mark.parametrize("same", [True, False])
def test_figures_of_another_machine_stand_below_the_table(
    bench: ModuleType, same: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = json.loads((ROOT / "benchmarks" / "grading.json").read_text("utf8"))
    place, hour = found["machine"], found["labkit grade"]["an_hour"]
    monkeypatch.setattr(bench, "machine", lambda: place if same else "a laptop")
    inside = [line for line in bench.table({"a": bench.figure([1.0], "s")}, 1).splitlines() if line.startswith("|")]
    assert any("labkit grade" in line for line in inside) == same
    assert f"{hour:.0f} an hour" in bench.table({"a": bench.figure([1.0], "s")}, 1)
    below = f"Grading was measured on another machine, {place}: "
    assert (below in bench.table({"a": bench.figure([1.0], "s")}, 1)) == (not same)


def test_a_machine_is_told_by_its_processor(bench: ModuleType) -> None:
    assert bench.processor()
    assert bench.processor() in bench.machine()


def test_what_doctor_says_of_the_labs_was_measured() -> None:
    """To 10 %, all of one run: `make bench` writes both, and labkit/doctor.py is then brought up to it."""
    if "doctor" not in RESULTS:
        pytest.skip("benchmarks/results.json is older than what `make bench` writes for labkit/doctor.py")
    measured = RESULTS["doctor"]
    assert pytest.approx(measured["step"], rel=0.1) == doctor.REFERENCE_STEP
    assert {lab: seconds for lab, (seconds, _) in doctor.LABS.items()} == pytest.approx(measured["labs"], rel=0.1)
