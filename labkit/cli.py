"""The command `labkit`: a thin face over the rooms; it parses words, calls them and prints."""

import json
from pathlib import Path

import click


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
@click.option("--steps", type=click.IntRange(1), default=20_000, show_default=True)
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True)
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Stop then, whatever is left; go on later.")
@click.option("--compile", "compiled", is_flag=True, help="Compile the network first (a minute, then a fifth faster).")
@click.option("--seed", type=int, default=0, show_default=True)
def fashion(out: Path, steps: int, batch_size: int, minutes: float | None, compiled: bool, seed: int) -> None:
    """The U-Net of lab 00 and 04, on Fashion-MNIST; killed and started again, it goes on where it was."""
    import torch

    from labkit.data import fashion_mnist
    from labkit.device import half_precision, pick_device
    from labkit.model import fashion_unet
    from labkit.pretrained import save_pipeline
    from labkit.sample import ddim, sample
    from labkit.schedule import NoiseSchedule
    from labkit.show import save_curve, save_grid
    from labkit.train import train as run

    torch.manual_seed(seed)
    precision = {torch.bfloat16: "bf16", torch.float16: "fp16", None: "no"}[half_precision(pick_device())]
    model, schedule = fashion_unet(), NoiseSchedule.linear()
    if compiled:
        model.compile()

    def picture(step: int, averaged: torch.nn.Module) -> None:
        generator = torch.Generator().manual_seed(seed)
        x = sample(averaged, schedule, (16, 1, 32, 32), solver=ddim, steps=30, generator=generator, progress=False)
        save_grid(x, out / f"samples-{step:06d}.png")

    average, losses = run(
        model, schedule, fashion_mnist("train")[0], steps=steps, batch_size=batch_size, ema=0.9995, seed=seed,
        minutes=minutes, checkpoint=out / "checkpoint.pt", callback=picture, every=1000, mixed_precision=precision,
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

    from labkit.classifier import Classifier, train_classifier
    from labkit.data import fashion_mnist

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
