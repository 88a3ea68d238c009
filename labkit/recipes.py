"""How the course's own models were trained, start to file: the U-Net of labs 00 and 04, and the judge.

It joins rooms (data, model, train, sample, pretrained, show) for `labkit train` and knows no formula of its own.
"""

from pathlib import Path

import torch

from labkit.classifier import Classifier, train_classifier
from labkit.data import fashion_mnist
from labkit.device import half_precision, pick_device
from labkit.model import UNet, fashion_unet
from labkit.pretrained import save_pipeline
from labkit.sample import ddim, sample
from labkit.schedule import NoiseSchedule
from labkit.show import save_curve, save_grid
from labkit.train import train, velocity_loss


def fashion(
    out: Path,
    *,
    steps: int = 6_000,
    batch_size: int = 64,
    minutes: float | None = None,
    seed: int = 0,
) -> list[float]:
    """Train the U-Net on Fashion-MNIST; returns the loss of each step, all runs from this `out` together.

    Into the folder `out` go checkpoint.pt (from which the next call goes on), a grid of samples every 1,000
    steps, loss.png, and at the end of this call the averaged weights as a diffusers pipeline, `pipeline/`.
    """
    torch.manual_seed(seed)
    precision = {torch.bfloat16: "bf16", torch.float16: "fp16", None: "no"}[half_precision(pick_device())]
    schedule = NoiseSchedule.linear()
    model = UNet(fashion_unet().unet, schedule, velocity=True)

    def picture(step: int, averaged: torch.nn.Module) -> None:
        generator = torch.Generator().manual_seed(seed)
        x = sample(averaged, schedule, (16, 1, 32, 32), solver=ddim, steps=30, generator=generator, progress=False)
        save_grid(x, out / f"samples-{step:06d}.png")

    average, losses = train(
        model, schedule, fashion_mnist("train")[0], steps=steps, batch_size=batch_size, peak_rate=1.2e-3, seed=seed,
        loss=velocity_loss, early=2.0, minutes=minutes, checkpoint=out / "checkpoint.pt", callback=picture,
        every=1000, mixed_precision=precision,
    )  # fmt: skip
    save_pipeline(average, schedule, out / "pipeline")
    save_curve(losses, out / "loss.png")
    return losses


def judge(out: Path, *, epochs: int = 10) -> float:
    """Train the classifier on Fashion-MNIST, write `out`/model.safetensors; returns its share of right test images."""
    from safetensors.torch import save

    torch.manual_seed(0)
    classifier = Classifier().to(memory_format=torch.channels_last)
    train_classifier(classifier, *fashion_mnist("train"), epochs=epochs)
    x, labels = fashion_mnist("test")
    with torch.no_grad():
        guess = torch.cat([classifier(part).argmax(1) for part in x.split(500)])
    out.mkdir(parents=True, exist_ok=True)
    weights = save({name: part.contiguous() for name, part in classifier.state_dict().items()})
    (out / "model.tmp").write_bytes(weights)
    (out / "model.tmp").replace(out / "model.safetensors")
    return (guess == labels).double().mean().item()
