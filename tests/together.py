"""What each of the processes in test_together.py does; torchrun starts it with a folder for what it found."""

import importlib
import json
import os
import sys
from pathlib import Path

import torch
from click.testing import CliRunner

from labkit import MLP, NoiseSchedule, cli, data, fashion_unet, recipes, train

SCHEDULE = NoiseSchedule.linear(20, 0.02, 0.4)
X = torch.randn(256, 2, generator=torch.Generator().manual_seed(0))


def run(seed: int = 0, **options: object) -> tuple[torch.nn.Module, list[float]]:
    """`train` on points, without a bar; seed: of the weights at the start."""
    torch.manual_seed(seed)
    settings = {"steps": 8, "batch_size": 32, "progress": False, **options}
    return train(MLP(2, SCHEDULE.T, 16), SCHEDULE, X, **settings)


def refusal(**options: object) -> str:
    """What `train` says of options that it refuses."""
    try:
        run(**options)
    except ValueError as problem:
        return str(problem)
    return "accepted"


def stopped_by_its_own_clock(rank: int) -> int:
    """How many steps a run makes in which the time is soon over for the second process and never for the first."""

    class Clock:
        now = 0.0

        @classmethod
        def monotonic(cls) -> float:
            cls.now += rank
            return cls.now

    room = importlib.import_module("labkit.train")
    real, room.time = room.time, Clock
    try:
        return len(run(steps=200, minutes=5 / 60)[1])
    finally:
        room.time = real


def recipe(out: Path) -> tuple[str, list[str]]:
    """What `labkit train fashion` prints in this process, and what it writes at the end; narrow, on few images."""
    images = data.fashion_mnist("test")
    written = []
    recipes.fashion_mnist = lambda split: (images[0][:64], images[1][:64])
    recipes.fashion_unet = lambda: fashion_unet((8, 8))
    for name in ("save_pipeline", "save_curve"):

        def noted(*words: object, name: str = name, really: object = getattr(recipes, name)) -> None:
            written.append(name)
            really(*words)

        setattr(recipes, name, noted)
    words = ["train", "fashion", "--out", str(out), "--steps", "2", "--batch-size", "4"]
    done = CliRunner().invoke(cli.main, words, catch_exceptions=False)
    return done.stdout, written


def main(out: Path) -> None:
    """Do all of it and write it down, a file a process."""
    rank = int(os.environ["RANK"])
    model, losses = run(seed=rank, checkpoint=out / "run.pt")
    found = {
        "losses": losses,
        "weights": torch.cat([part.detach().flatten() for part in model.parameters()]).tolist(),
        "again": run(seed=rank, checkpoint=out / "run.pt")[1],
        "other precision": len(run(mixed_precision="bf16")[1]),
        "refusals": [refusal(batch_size=size) for size in (1, 33)],
        "steps": stopped_by_its_own_clock(rank),
    }
    found["printed"], found["written"] = recipe(out / "fashion")
    (out / f"{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
