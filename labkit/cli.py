"""The command `labkit`: a thin face over the rooms; it parses words, calls them and prints."""

from pathlib import Path

import click

from labkit.exercises.commands import carry


@click.group()
def main() -> None:
    """The lab course on diffusion models: check this machine, train the course's models, measure them."""


@main.command()
def doctor() -> None:
    """Can this machine run the labs? Versions, device, memory, files, network, speed; exit 1 if a lab cannot run."""
    from labkit.doctor import examine

    raise SystemExit(0 if examine() else 1)


@main.group()
def train() -> None:
    """Train one of the course's own models."""


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
    click.echo(f"{len(losses)} steps of this stage done, loss {sum(losses[-100:]) / len(losses[-100:]):.4f}; see {out}")


@train.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/classifier"), show_default=True)
@click.option("--epochs", type=click.IntRange(1), default=10, show_default=True)
def classifier(out: Path, epochs: int) -> None:
    """The small classifier whose features measure the quality of samples."""
    from labkit import recipes

    right = recipes.judge(out, epochs=epochs)
    click.echo(f"{right:.2%} of the test images named right; saved in {out}")


@main.command()
@click.option("--count", type=click.IntRange(2), default=2000, show_default=True, help="Images drawn and compared.")
@click.option("--steps", type=click.IntRange(1), default=50, show_default=True, help="DDIM steps.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/quality.json"), show_default=True)
def evaluate(count: int, steps: int, out: Path) -> None:
    """Measure the bundled model: Fréchet distance beside floor and baselines, class shares, near copies."""
    from labkit import quality

    click.echo(quality.save(quality.measure(count, steps), out))


main.add_command(carry)
if (Path(__file__).parent / "course").is_dir():  # the instructor's side; a release has none
    from labkit.course.commands import grade, release

    for command in (release, grade):
        main.add_command(command)

if __name__ == "__main__":
    main()
