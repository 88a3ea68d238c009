"""Measures what the README claims and writes it there: `make bench`.

Every figure is a median over rounds with its smallest and largest value. Ratios are taken between commands that ran
in turn in the same round, as a shared machine drifts. A notebook's memory is the largest sum over its pytest and
kernel processes, looked at ten times a second. Peers are measured by `peers.py`; grading takes most of an hour and has
a script of its own, `grading.py`: its figures are shown here if they come from this machine, and left out if not.
"""

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
START, END = "<!-- bench -->", "<!-- /bench -->"
DRAW = """
import time, torch, labkit
model = labkit.load_pretrained("fashion", "cpu")
for net in (model, labkit.fast(model)):
    started = time.perf_counter()
    labkit.sample(net, model.schedule, (16, 1, 32, 32), solver=labkit.ddim, steps=50, device="cpu", progress=False)
    print(time.perf_counter() - started)
"""


def run(*command: str) -> tuple[float, float, str]:
    """Seconds, largest memory in GiB and output of a command; the output must be that of a success."""
    started, peaks = time.perf_counter(), [0]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}

    def watch() -> None:  # ten times a second: more often it would take part of a core from what is measured
        while process.poll() is None:
            peaks.append(_memory(process))
            time.sleep(0.1)

    with tempfile.TemporaryFile("w+") as bars:  # a screen full of them says nothing, a traceback among them does
        process = psutil.Popen(
            [sys.executable, *command], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=bars, text=True
        )
        threading.Thread(target=watch, daemon=True).start()
        output = process.stdout.read()
        if process.wait():
            bars.seek(0)
            raise SystemExit(f"{' '.join(command)} failed:\n{output[-2000:]}\n{bars.read()[-2000:]}")
    return time.perf_counter() - started, max(peaks) / 2**30, output


def _memory(process: psutil.Process) -> int:
    total = 0
    for one in [process, *_children(process)]:
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def spread(values: list[float], unit: str) -> str:
    """Median and range as text."""
    return f"{statistics.median(values):.3g} {unit} ({min(values):.3g} to {max(values):.3g})"


def imports(rounds: int) -> dict[str, str]:
    """`import labkit` against `import torch`, in turn."""
    ratios = []
    for _ in range(rounds + 1):
        torch_seconds, labkit_seconds = (run("-c", f"import {name}")[0] for name in ("torch", "labkit"))
        ratios.append(labkit_seconds / torch_seconds)
    return {"`import labkit` over `import torch`": spread(ratios[1:], "times")}


def drawing(rounds: int) -> dict[str, str]:
    """16 images in 50 DDIM steps with the bundled model, plain and `fast`."""
    seconds = [[float(word) for word in run("-c", DRAW)[2].split()] for _ in range(rounds)]
    plain, quick = zip(*seconds, strict=True)
    return {
        "16 images, 50 DDIM steps": spread(list(plain), "s"),
        "the same with `fast(model)`": spread(list(quick), "s"),
    }


def notebooks(rounds: int) -> dict[str, str]:
    """Each notebook by nbval: seconds, and memory of all its processes."""
    figures = {}
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        runs = [run("-m", "pytest", "-q", "--nbval-lax", str(path.relative_to(ROOT))) for _ in range(rounds)]
        memory = max(memory for _, memory, _ in runs)
        figures[f"`{path.stem}` by nbval"] = f"{spread([seconds for seconds, _, _ in runs], 's')}, {memory:.1f} GiB"
    return figures


def browser(rounds: int) -> dict[str, str]:
    """From `make lab` to the first picture, and from a key to the picture, where there is a browser."""
    if not shutil.which("chromium"):
        return {}
    try:
        printed = [[float(word) for word in run("benchmarks/browser.py")[2].split()] for _ in range(rounds)]
    except SystemExit as failed:  # an hour of other figures is not lost with it
        print(failed, file=sys.stderr)
        return {}
    return {
        "`make lab` to the first picture of lab 00": spread([words[0] for words in printed], "s"),
        "a key on the slider of lab 01 to its picture": spread([one for words in printed for one in words[1:]], "s"),
    }


def ratios(above: list[float], below: list[float], unit: str = "times") -> str:
    """Round by round, the one over the other."""
    return spread([a / b for a, b in zip(above, below, strict=True)], unit)


def drawing_beside_peers(rounds: int) -> dict[str, str]:
    """The loop over bare calls of the network, and the course's sampling beside that of others, a batch size each."""
    figures = {}
    for batch, taken in json.loads(run("benchmarks/peers.py", "draw", str(rounds))[2].splitlines()[-1]).items():
        batch = f"batch {batch}"
        over = [100 * (a / b - 1) for a, b in zip(taken["sample"], taken["network"], strict=True)]
        figures[f"what the loop adds to bare calls of the network, {batch}"] = spread(over, "%")
        theirs = taken["DDPMPipeline"]
        figures[f"images a second over diffusers' `DDPMPipeline`, {batch}"] = ratios(theirs, taken["sample"])
        figures[f"the same with `fast(model)`, {batch}"] = ratios(theirs, taken["sample, fast"])
        if "smalldiffusion" in taken:
            name = f"images a second over smalldiffusion's `samples`, {batch}"
            figures[name] = ratios(taken["smalldiffusion"], taken["sample, ddim"])
    return figures


def training_beside_peers(rounds: int) -> dict[str, str]:
    """`labkit train fashion` against a plain loop on diffusers and accelerate, in steps a second."""
    taken = json.loads(run("benchmarks/peers.py", "train", str(rounds))[2].splitlines()[-1])
    ours = taken.pop("labkit train")
    words = {"plain": "in float32, its default"}
    return {
        f"steps a second of `labkit train` over a plain loop {words.get(name, name.replace('plain, ', 'in '))}": ratios(
            theirs, ours
        )
        for name, theirs in taken.items()
    }


def grading() -> dict[str, str]:
    """What `grading.py` measured, if that was on this machine."""
    found = json.loads((ROOT / "benchmarks" / "grading.json").read_text("utf8"))
    if found.get("machine") != machine():
        print(f"grading was measured on another machine ({found.get('machine')}) and is left out", file=sys.stderr)
        return {}
    ours, plain = found["labkit grade"], found["pytest --nbval-lax"]
    beside = f"`pytest --nbval-lax` one by one ({plain['an_hour']:.0f}, {plain['copies']} copies)"
    return {
        f"`labkit grade`, {ours['copies']} copies": f"{ours['an_hour']:.0f} an hour, {found['times']:.1f} x {beside}",
        "the grader's own memory, by quarter": f"{', '.join(map(str, ours['memory_mib_by_quarter']))} MiB",
    }


def machine() -> str:
    """The machine in words."""
    import torch

    memory, instructions = psutil.virtual_memory().total / 2**30, torch.backends.cpu.get_cpu_capability()
    bf16 = " with bf16" if torch.cpu._is_avx512_bf16_supported() else ""
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    cores, kind, python = os.cpu_count(), platform.machine(), platform.python_version()
    return f"{cores} cores ({kind}, {instructions}{bf16}), {memory:.0f} GiB, {card}, Python {python}"


def main(rounds: int = 3) -> None:
    """Measure everything, write benchmarks/results.json and the README's table."""
    figures = imports(2 * rounds) | drawing(rounds) | drawing_beside_peers(rounds) | training_beside_peers(rounds)
    figures |= notebooks(rounds) | browser(rounds) | grading()
    result = {"machine": machine(), "rounds": rounds, "figures": figures}
    (ROOT / "benchmarks" / "results.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", "utf8")
    rows = "\n".join(f"| {name} | {value} |" for name, value in figures.items())
    caption = f"{machine()}; median (smallest to largest) of {rounds} round{'' if rounds == 1 else 's'}."
    table = f"{START}\n{caption}\n\n| what | measured |\n|---|---|\n{rows}\n{END}"
    readme = ROOT / "README.md"
    before, rest = readme.read_text("utf8").split(START)
    readme.write_text(before + table + rest.split(END)[1], "utf8")
    print(table)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
