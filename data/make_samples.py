"""Makes data/samples: 128 images of the bundled model at each number of steps, for lab 04.

Image i comes from the generator with seed i, so that any one of them can be made anew (a test does it).
Run it after training: `python data/make_samples.py`, or with the numbers of steps that are wanted; all of
them take about a quarter of an hour on 2 cores.
"""

import json
import sys
import time

import torch

from labkit import load_pretrained, sample
from labkit.data import ROOT
from labkit.show import save_grid

COUNT, BATCH, STEPS = 128, 64, (1, 2, 5, 10, 50, 250, 1000)
CARD = 250  # those steps make the picture of the model card and of the README


def draw(model: torch.nn.Module, steps: int, first: int, last: int) -> torch.Tensor:
    """Images first..last-1 by the lecture's ancestral step, in float32."""
    generators = [torch.Generator().manual_seed(i) for i in range(first, last)]
    return sample(model, model.schedule, (last - first, 1, 32, 32), steps=steps, generator=generators, device="cpu")


def main(wanted: list[int]) -> None:
    """Write one PNG of 16 by 8 images for each number of steps, and the seconds an image took."""
    model, folder = load_pretrained("fashion", "cpu"), ROOT / "data" / "samples"
    record = folder / "seconds.json"
    seconds = json.loads(record.read_text("utf8"))["seconds_an_image"] if record.exists() else {}
    for steps in wanted:
        started = time.perf_counter()
        x = torch.cat([draw(model, steps, i, i + BATCH) for i in range(0, COUNT, BATCH)])
        seconds[str(steps)] = round((time.perf_counter() - started) / COUNT, 4)
        save_grid(x, folder / f"fashion-{steps}.png", columns=16)
        if steps == CARD:
            save_grid(x[:24], ROOT / "data" / "pretrained" / "fashion" / "samples.png", columns=8, zoom=3)
        print(f"{steps} steps: {seconds[str(steps)]} s an image", flush=True)
        how = {"count": COUNT, "batch": BATCH, "threads": torch.get_num_threads(), "seconds_an_image": seconds}
        record.write_text(json.dumps(how, indent=2) + "\n", "utf8")


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or list(STEPS))
