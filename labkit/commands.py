"""The words `labkit train` and `labkit evaluate`: how the course's own models are made and measured."""

from pathlib import Path

import click


@click.group()
def train() -> None:
    """Train one of the course's own models.

    On several GPUs or CPUs, here on 2, fashion and emoji share every batch out:

    torchrun --standalone --nproc-per-node 2 -m labkit.cli train fashion
    """


@train.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/fashion"), show_default=True)
@click.option("--steps", type=click.IntRange(1), default=6_000, show_default=True)
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True)
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Stop then, whatever is left; go on later.")
@click.option("--seed", type=int, default=0, show_default=True)
def fashion(out: Path, steps: int, batch_size: int, minutes: float | None, seed: int) -> None:
    """The U-Net of lab 00 and 04, on Fashion-MNIST; killed and started again, it goes on where it was."""
    from labkit import recipes

    losses = recipes.fashion(out, steps=steps, batch_size=batch_size, minutes=minutes, seed=seed)
    loss = sum(losses[-100:]) / len(losses[-100:])
    if recipes.is_first():
        click.echo(f"{len(losses)} of {steps} steps done, loss {loss:.4f}; as a diffusers pipeline: {out / 'pipeline'}")


@train.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/emoji"), show_default=True)
@click.option("--picture-steps", type=click.IntRange(1), default=4_000, show_default=True, help="Of the autoencoder.")
@click.option("--word-steps", type=click.IntRange(1), default=24_000, show_default=True, help="Of the rest.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Stop then, whatever is left; go on later.")
@click.option("--seed", type=int, default=0, show_default=True)
def emoji(out: Path, minutes: float | None, **settings: int) -> None:
    """A small text-to-image model, on emoji: the autoencoder, then the rest; started again, it goes on where it was."""
    from labkit import recipes

    losses = recipes.emoji(out, minutes=minutes, **settings)
    loss = sum(losses[-100:]) / len(losses[-100:])
    if recipes.is_first():
        click.echo(f"{len(losses)} steps of this stage done, loss {loss:.4f}; see {out}")


@train.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/classifier"), show_default=True)
@click.option("--epochs", type=click.IntRange(1), default=10, show_default=True)
def classifier(out: Path, epochs: int) -> None:
    """The small classifier whose features measure the quality of samples."""
    from labkit import recipes

    right = recipes.judge(out, epochs=epochs)
    click.echo(f"{right:.2%} of the test images named right; saved in {out}")


@train.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/recogniser"), show_default=True)
@click.option("--epochs", type=click.IntRange(1), default=40, show_default=True)
def recogniser(out: Path, epochs: int) -> None:
    """The small network that tells emoji apart and judges what lab 05's model draws."""
    from labkit import recipes

    right = recipes.recogniser(out, epochs=epochs)
    click.echo(f"{right:.2%} of the varied pictures found again; saved in {out}")


@click.command()
@click.argument("model", type=click.Choice(["fashion", "emoji"]), default="fashion")
@click.option("--count", type=click.IntRange(2), help="Images drawn: 2000 for fashion, 200 captions for emoji.")
@click.option("--steps", type=click.IntRange(1), help="DDIM steps: 50 for fashion, 20 for emoji.")
@click.option("--out", type=click.Path(path_type=Path), help="Where the result goes [runs/quality-MODEL.json].")
def evaluate(model: str, count: int | None, steps: int | None, out: Path | None) -> None:
    """Measure a bundled model: Fréchet distance beside its floor, near copies, and what it draws."""
    from labkit import emoji_quality, quality

    ours, usual = {"fashion": (quality, (2000, 50)), "emoji": (emoji_quality, (200, 20))}[model]
    result = ours.measure(count or usual[0], steps or usual[1])
    quality.save(result, out or Path(f"runs/quality-{model}.json"))
    click.echo(ours.report(result))
