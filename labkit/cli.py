"""The command `labkit`: a thin face over the rooms; it parses words, calls them and prints."""

import importlib.metadata
import json
import os
import platform
import time
import urllib.request
from pathlib import Path

import click

# Seconds of each notebook by nbval (`make bench`), and the folders of data/ that it reads. They were measured where a
# U-Net step of 16 images takes REFERENCE_STEP seconds; `labkit doctor` scales them by the step it measures.
REFERENCE_STEP = 0.2
LABS = {
    "00": (20, ("fashion-mnist", "pretrained/fashion")),
    "01": (30, ("fashion-mnist",)),
    "02": (30, ()),
    "03": (60, ("fashion-mnist",)),
    "04": (90, ("fashion-mnist", "pretrained/fashion")),
}
PACKAGES = ("labkit", "torch", "diffusers", "transformers", "accelerate", "matplotlib", "ipywidgets")
GIB_WANTED = 3


@click.group()
def main() -> None:
    """The lab course on diffusion models: check this machine, train the course's models, measure them."""


@main.command()
def doctor() -> None:
    """Can this machine run the labs? Versions, device, memory, files, network, speed; exit 1 if a lab cannot run."""
    import psutil

    from labkit.data import checksums
    from labkit.device import describe_device, pick_device

    click.echo(f"python {platform.python_version()}, {platform.system()}")
    absent = [name for name in PACKAGES if not _version(name)]
    click.echo(", ".join(f"{name} {_version(name) or 'MISSING'}" for name in PACKAGES))
    free, total = (getattr(psutil.virtual_memory(), name) / 2**30 for name in ("available", "total"))
    click.echo(f"device: {describe_device()}; memory: {free:.1f} of {total:.1f} GiB free")
    states = {name: _state(name) for name in checksums()}
    for name, state in states.items():
        click.echo(f"data/{name}: {state}")
    click.echo(f"network: {_network()}")
    step = None if absent else _unet_seconds("cpu")
    if step:
        click.echo(f"one U-Net step of 16 images: {step:.2g} s on the CPU")
    if step and pick_device().type != "cpu":
        click.echo(
            f"one U-Net step of 16 images: {_unet_seconds(pick_device()):.2g} s on the {pick_device().type} device"
        )
    verdicts = {lab: _obstacle(folders, states, absent, free) for lab, (_, folders) in LABS.items()}
    for lab, obstacle in verdicts.items():
        seconds = LABS[lab][0] * (step or 0) / REFERENCE_STEP  # on the CPU: with a GPU, this at most
        click.echo(
            f"{lab}: cannot run, {obstacle}" if obstacle else f"{lab}: ready, about {float(f'{seconds:.1g}'):.0f} s"
        )
    raise SystemExit(1 if any(verdicts.values()) else 0)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _state(name: str) -> str:
    """ "ok", or what is wrong with data/`name` and how to restore it."""
    from labkit.data import DataError, verified

    try:
        verified(name)
    except DataError as problem:
        return str(problem).removeprefix(f"data/{name} is ")
    return "ok"


def _network() -> str:
    """Whether Hub models can be had: HF_HUB_OFFLINE first, then one try of two seconds."""
    from huggingface_hub import constants

    if os.environ.get("HF_HUB_OFFLINE", "0").upper() in ("1", "ON", "YES", "TRUE"):
        return "offline (HF_HUB_OFFLINE is set); the labs do not need it"
    try:
        urllib.request.urlopen(urllib.request.Request(constants.ENDPOINT, method="HEAD"), timeout=2).close()
    except OSError:
        return "offline (the Hub does not answer); the labs do not need it"
    return "online"


def _unet_seconds(device: str) -> float:
    """Seconds of one step of the course's U-Net on 16 images: the median of five, after one to warm up."""
    import torch

    from labkit.model import fashion_unet

    model, z_t, seconds = fashion_unet().eval().to(device), torch.zeros(16, 1, 32, 32, device=device), []
    with torch.no_grad():
        for _ in range(6):
            started = time.perf_counter()
            model(z_t, 1).sum().item()
            seconds.append(time.perf_counter() - started)
    return sorted(seconds[1:])[2]


def _obstacle(folders: tuple[str, ...], states: dict[str, str], absent: list[str], free: float) -> str:
    """Why a lab that reads these folders of data/ cannot run here, or ""."""
    for folder in folders:
        files = {name: state for name, state in states.items() if name.startswith(f"{folder}/")}
        bad = [name for name, state in files.items() if state != "ok"]
        if bad or not files:
            return f"data/{(bad or [folder])[0]} is missing or damaged (see above)"
    if absent:
        return f"{', '.join(absent)} missing: make set-up, or pip install -e ."
    return "" if free >= GIB_WANTED else f"{GIB_WANTED} GiB of free memory are needed: close something"


@main.group()
def train() -> None:
    """Train one of the course's own models."""


@train.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/fashion"), show_default=True)
@click.option("--steps", type=click.IntRange(1), default=20_000, show_default=True)
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True)
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Stop then, whatever is left; go on later.")
@click.option("--compile", "compiled", is_flag=True, help="Compile the network first (a minute, then a fifth faster).")
@click.option("--seed", type=int, default=0, show_default=True)
def fashion(out: Path, steps: int, batch_size: int, minutes: float | None, compiled: bool, seed: int) -> None:
    """The U-Net of lab 00 and 04, on Fashion-MNIST; killed and started again, it goes on where it was."""
    import torch

    from labkit.data import fashion_mnist
    from labkit.model import fashion_unet
    from labkit.pretrained import save_pipeline
    from labkit.sample import ddim, sample
    from labkit.schedule import NoiseSchedule
    from labkit.show import save_curve, save_grid
    from labkit.train import train as run

    torch.manual_seed(seed)
    model, schedule = fashion_unet(), NoiseSchedule.linear()
    if compiled:
        model.compile()

    def picture(step: int, averaged: torch.nn.Module) -> None:
        generator = torch.Generator().manual_seed(seed)
        x = sample(averaged, schedule, (16, 1, 32, 32), solver=ddim, steps=30, generator=generator, progress=False)
        save_grid(x, out / f"samples-{step:06d}.png")

    average, losses = run(
        model, schedule, fashion_mnist("train")[0], steps=steps, batch_size=batch_size, ema=0.9995, seed=seed,
        minutes=minutes, checkpoint=out / "checkpoint.pt", callback=picture, every=1000, mixed_precision="bf16",
    )  # fmt: skip
    click.echo(f"{len(losses)} of {steps} steps done, loss {sum(losses[-100:]) / len(losses[-100:]):.4f}")
    save_pipeline(average.unet, schedule, out / "pipeline")
    save_curve(losses, out / "loss.png")
    click.echo(f"saved as a diffusers pipeline: {out / 'pipeline'}")


@train.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/classifier"), show_default=True)
@click.option("--epochs", type=click.IntRange(1), default=8, show_default=True)
def classifier(out: Path, epochs: int) -> None:
    """The small classifier whose features measure the quality of samples."""
    import torch
    from safetensors.torch import save

    from labkit.data import fashion_mnist
    from labkit.model import Classifier
    from labkit.train import train_classifier

    torch.manual_seed(0)
    net = Classifier().to(memory_format=torch.channels_last)
    train_classifier(net, *fashion_mnist("train"), epochs=epochs)
    x, labels = fashion_mnist("test")
    with torch.no_grad():
        guess = torch.cat([net(x_b).argmax(1) for x_b in x.split(500)])
    right = int((guess == labels).sum())
    out.mkdir(parents=True, exist_ok=True)
    weights = save({name: part.contiguous() for name, part in net.state_dict().items()})
    (out / "model.tmp").write_bytes(weights)
    (out / "model.tmp").replace(out / "model.safetensors")
    click.echo(f"{right / len(x):.2%} of the {len(x)} test images named right; saved in {out}")


@main.command()
@click.option("--count", type=click.IntRange(2), default=2000, show_default=True, help="Images drawn and compared.")
@click.option("--steps", type=click.IntRange(1), default=50, show_default=True, help="DDIM steps.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/quality.json"), show_default=True)
def evaluate(count: int, steps: int, out: Path) -> None:
    """Measure the bundled model: Fréchet distance beside floor and baselines, class shares, near copies."""
    from labkit.quality import measure, report

    result = measure(count, steps)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".tmp").write_text(json.dumps(result, indent=2) + "\n", "utf8")
    out.with_suffix(".tmp").replace(out)
    click.echo(report(result))


if __name__ == "__main__":
    main()
