"""Measures samples/solvers.json: how good the images of each solver and spacing are at 5, 10, 20 and 40 calls (lab 06).

    python data/measure_solvers.py [IMAGES]        # 500 by default; stopped and started again, it goes on

Image i comes from the generator with seed i, drawn by `fast(model)`; all points are drawn in rounds of 128 images. A
Fréchet distance depends on how many images it sees, so each line says how many, and the floor is that of as many real
training images. `thousand` is lab 04's set, 1,000 ancestral steps; as it has 128 images, `first` is the distance of
each point's first 128. Features lie in runs/solvers; a round that is there is not drawn again. With the default it
takes one to two hours on 2 cores. Then `data/refresh_checksums.sh`.
"""

import itertools
import json
import os
import sys
from pathlib import Path

import torch

import labkit
from labkit import evaluate

ROOT = Path(__file__).resolve().parent.parent
OUT, STORE = ROOT / "data" / "samples" / "solvers.json", ROOT / "runs" / "solvers"
ROUND, REAL = 128, 2000
SOLVERS = {"ancestral": labkit.ancestral, "ddim": labkit.ddim, "Heun": labkit.Heun, "2M": labkit.DPMSolver2M}
SPACINGS = {
    "uniform": labkit.NoiseSchedule.times,
    "quadratic": labkit.quadratic_times,
    "log SNR": labkit.log_snr_times,
}
POINTS = [point[::-1] for point in itertools.product((5, 10, 20, 40), SPACINGS, SOLVERS)]  # the cheap ones first


def steps_for(solver: str, calls: int) -> int:
    """The most steps that make at most so many calls: Heun asks twice a step, and once on the last."""
    return (calls + 1) // 2 if solver == "Heun" else calls


def draw(model: torch.nn.Module, solver: str, spacing: str, calls: int, first: int, last: int) -> torch.Tensor:
    """Images first..last-1, each from its own seed."""
    times = SPACINGS[spacing](model.schedule, steps_for(solver, calls))
    generators = [torch.Generator().manual_seed(seed) for seed in range(first, last)]
    how = {"solver": SOLVERS[solver], "steps": times, "generator": generators, "device": "cpu", "progress": False}
    return labkit.sample(model, model.schedule, (last - first, 1, 32, 32), **how)


def stored(point: tuple[str, str, int], first: int, last: int) -> Path:
    """Where the features of a round lie."""
    return STORE / f"{'-'.join(map(str, point)).replace(' ', '-')}-{first}-{last}.pt"


def measured(seen: torch.Tensor, real: torch.Tensor) -> list[float]:
    """The distance and its bootstrap error."""
    generator = torch.Generator().manual_seed(0)
    return [evaluate.frechet_distance(seen, real), evaluate.bootstrap_error(seen, real, generator)]


def record(rounds: list[tuple[int, int]], classifier: torch.nn.Module) -> None:
    """Write solvers.json from the rounds that are there."""
    real = evaluate.features(classifier, labkit.data.fashion_mnist("test")[0][:REAL])
    thousand = measured(evaluate.features(classifier, labkit.data.stored_samples(1000)), real)
    points = []
    for point in POINTS:
        parts = [torch.load(stored(point, *part)) for part in rounds if stored(point, *part).exists()]
        if parts:
            seen, (solver, spacing, calls) = torch.cat(parts), point
            steps = steps_for(solver, calls)
            line = {"solver": solver, "spacing": spacing, "calls": 2 * steps - 1 if solver == "Heun" else calls}
            line |= {"steps": steps, "images": len(seen), "distance": measured(seen, real)}
            points.append(line | {"first": measured(seen[:ROUND], real)})
    train = labkit.data.fashion_mnist("train")[0]
    counts = sorted({ROUND, *(line["images"] for line in points)})
    floor = {n: measured(evaluate.features(classifier, train[:n]), real) for n in counts}
    result = {"real": REAL, "floor": floor, "thousand": thousand, "points": points}
    OUT.with_suffix(".tmp").write_text(_json(result), "utf8")
    os.replace(OUT.with_suffix(".tmp"), OUT)


def _json(result: dict) -> str:
    """A point a line, numbers with four digits."""
    result = json.loads(json.dumps(result), parse_float=lambda number: float(f"{float(number):.4g}"))
    points = ",\n    ".join(json.dumps(point) for point in result.pop("points"))
    others = ",\n  ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in result.items())
    return f'{{\n  {others},\n  "points": [\n    {points}\n  ]\n}}\n'


def main(images: int) -> None:
    """Draw round after round, each point of it, and write the result after each number of calls."""
    net, classifier = labkit.fast(labkit.load_pretrained("fashion", "cpu")), labkit.load_classifier("cpu")
    STORE.mkdir(parents=True, exist_ok=True)
    rounds = [(first, min(first + ROUND, images)) for first in range(0, images, ROUND)]
    for part, point in itertools.product(rounds, POINTS):
        path = stored(point, *part)
        if not path.exists():
            torch.save(evaluate.features(classifier, draw(net, *point, *part)), path.with_suffix(".tmp"))
            os.replace(path.with_suffix(".tmp"), path)
            print(*point, *part, flush=True)
        if point[:2] == POINTS[-1][:2]:  # the last of its number of calls
            record(rounds, classifier)


if __name__ == "__main__":
    main(*([int(word) for word in sys.argv[1:]] or [500]))
