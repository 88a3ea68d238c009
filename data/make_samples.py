"""Makes data/samples: 128 images of the bundled model at each number of steps for lab 04, and 600 of 2M for lab 07.

Image i comes from the generator with seed i, so that any one of them can be made anew (a test does it).
Run it after training: `python data/make_samples.py`, or with what is wanted of it, as in `make_samples.py 50 2M`;
all of it takes about a quarter of an hour on 2 cores.
"""

import json
import sys
import time

import torch

from labkit import DPMSolver2M, load_pretrained, quadratic_times, sample
from labkit.data import ROOT
from labkit.show import save_grid

COUNT, BATCH, STEPS = 128, 64, (5, 10, 50, 250, 1000)
MANY, CALLS = 600, 10  # lab 07: images, and calls of 2M at quadratic times for each
CARD = 250  # those steps make the picture of the model card and of the README


def draw(model: torch.nn.Module, steps: int | str, first: int, last: int) -> torch.Tensor:
    """Images first..last-1 by the lecture's ancestral step, or by 2M, in float32."""
    times = quadratic_times(model.schedule, CALLS) if steps == "2M" else steps
    solver = {"solver": DPMSolver2M} if steps == "2M" else {}
    generators = [torch.Generator().manual_seed(i) for i in range(first, last)]
    shape = (last - first, 1, 32, 32)
    return sample(model, model.schedule, shape, steps=times, generator=generators, device="cpu", **solver)


def main(wanted: list[int | str]) -> None:
    """Write one PNG of small images for each number of steps, and the seconds an image took."""
    model, folder = load_pretrained("fashion", "cpu"), ROOT / "data" / "samples"
    record = folder / "seconds.json"
    seconds = json.loads(record.read_text("utf8"))["seconds_an_image"] if record.exists() else {}
    for steps in wanted:
        count, columns = (MANY, 30) if steps == "2M" else (COUNT, 16)
        started = time.perf_counter()
        x = torch.cat([draw(model, steps, i, min(i + BATCH, count)) for i in range(0, count, BATCH)])
        seconds[str(steps)] = round((time.perf_counter() - started) / count, 4)
        save_grid(x, folder / f"fashion-{steps}.png", columns=columns)
        if steps == CARD:
            save_grid(x[:24], ROOT / "data" / "pretrained" / "fashion" / "samples.png", columns=8, zoom=3)
        print(f"{steps} steps: {seconds[str(steps)]} s an image", flush=True)
        how = {"count": COUNT, "batch": BATCH, "threads": torch.get_num_threads(), "seconds_an_image": seconds}
        record.write_text(json.dumps(how, indent=2) + "\n", "utf8")


if __name__ == "__main__":
    main([word if word == "2M" else int(word) for word in sys.argv[1:]] or [*STEPS, "2M"])
