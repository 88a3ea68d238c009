"""The command `labkit`: a thin face over the rooms; it parses words, calls them and prints."""

from pathlib import Path

import click


@click.group()
def main() -> None:
    """The lab course on diffusion models: check this machine, train the course's models, measure them."""


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
    from labkit.sample import ddim, sample
    from labkit.schedule import NoiseSchedule
    from labkit.show import save_grid
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
