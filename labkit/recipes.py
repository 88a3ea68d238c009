"""How the course's own models are trained, start to file: the U-Net of labs 00 and 04, the emoji's, and the judge.

It joins rooms (data, model, text_to_image, train, sample, store, show) for `labkit train` and knows no formula itself.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from labkit import data
from labkit.classifier import Classifier, train_classifier
from labkit.data import fashion_mnist
from labkit.device import half_precision, pick_device
from labkit.model import UNet, fashion_unet
from labkit.pictures import save_grid
from labkit.recogniser import Recogniser, train_recogniser, varied
from labkit.sample import ddim, guided, sample
from labkit.schedule import NoiseSchedule
from labkit.show import save_curve
from labkit.store import save_pipeline, save_text_to_image
from labkit.text_to_image import (
    LATENT,
    Reconstruction,
    autoencoder,
    autoencoder_loss,
    encode,
    kept_tokenizer,
    standardise,
    text_to_image,
    tokens_of,
)
from labkit.train import train, velocity_loss

LATENTS = "autoencoder.sha256"  # beside words.pt: the weights whose latents the second stage began on
SHOWN = (
    "red apple",
    "green apple",
    "blue book",
    "red heart",
    "dog face",
    "smiling face with sunglasses",
    "rocket",
    "umbrella",
)


def fashion_model(schedule: NoiseSchedule) -> UNet:
    """The untrained U-Net that predicts v; channels_last on a GPU, as on a CPU its gradients take a sixth longer so."""
    unet = fashion_unet().unet
    if pick_device().type == "cuda":
        unet.to(memory_format=torch.channels_last)
    return UNet(unet, schedule, velocity=True)


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
    schedule = NoiseSchedule.linear()
    model = fashion_model(schedule)

    def picture(step: int, averaged: torch.nn.Module) -> None:
        generator = torch.Generator().manual_seed(seed)
        x = sample(averaged, schedule, (16, 1, 32, 32), solver=ddim, steps=30, generator=generator, progress=False)
        save_grid(x, out / f"samples-{step:06d}.png")

    average, losses = train(
        model, schedule, fashion_mnist("train")[0], steps=steps, batch_size=batch_size, peak_rate=1.2e-3, seed=seed,
        loss=velocity_loss, early=2.0, minutes=minutes, checkpoint=out / "checkpoint.pt", callback=picture,
        every=1000, mixed_precision=precision(),
    )  # fmt: skip
    by_first(lambda: save_pipeline(average, schedule, out / "pipeline"))
    by_first(lambda: save_curve(losses, out / "loss.png"))
    return losses


def emoji(
    out: Path, *, picture_steps: int = 4_000, word_steps: int = 24_000, minutes: float | None = None, seed: int = 0
) -> list[float]:
    """Train lab 05's text-to-image model: the autoencoder first, then text encoder and U-Net on its latents.

    Returns the losses of the stage that was reached. Into `out` go a checkpoint a stage (from which the next call goes
    on), pictures every 1,000 steps, loss curves, and at the end of the second stage's call the pipeline, `pipeline/`.
    Raises ValueError, and changes nothing, where the second stage began on the latents of another autoencoder than that
    in `out`, or of fewer picture_steps.
    """
    if (out / "words.pt").is_file():
        _check_latents(out, picture_steps)
    torch.manual_seed(seed)
    until = None if minutes is None else time.monotonic() + 60 * minutes
    schedule, (x, captions) = NoiseSchedule.linear(), data.emoji("train")
    mirrors = [able for _, able, split in data.emoji_names() if split == "train"] * len(data.STYLES)
    x = torch.cat([x, x[torch.tensor(mirrors)].flip(3)])
    captions += [caption for caption, able in zip(captions, mirrors, strict=True) if able]
    settings = {"seed": seed, "every": 1000}

    def redraw(step: int, averaged: torch.nn.Module) -> None:
        device = next(averaged.parameters()).device
        with torch.no_grad():
            again = averaged(x[:1600:100].to(device), torch.zeros(16, *LATENT, device=device))[0]
        save_grid(torch.cat([x[:1600:100], again.cpu()]), out / f"autoencoder-{step:06d}.png", columns=16)

    average, losses = train(
        Reconstruction(autoencoder()), schedule, x, steps=picture_steps, batch_size=32, peak_rate=2e-3, ema=0.995,
        loss=autoencoder_loss, minutes=minutes, checkpoint=out / "autoencoder.pt", callback=redraw,
        mixed_precision=precision(), **settings,
    )  # fmt: skip
    by_first(lambda: save_curve(losses, out / "autoencoder.png"))
    if len(losses) < picture_steps:
        return losses
    if not (out / "words.pt").is_file():
        by_first(lambda: (out / LATENTS).write_text(_digest(average.state_dict()), "utf8"))
    standardise(average.parts, x)
    by_first(lambda: kept_tokenizer(out / "tokenizer", captions))
    tokenizer = kept_tokenizer(out / "tokenizer", captions)
    tokens, empty = tokens_of(tokenizer, captions), tokens_of(tokenizer, [""])[0]

    def picture(step: int, averaged: torch.nn.Module) -> None:
        told = tokens_of(tokenizer, [f"{name}, {style}" for name in SHOWN for style in data.STYLES])
        device = next(averaged.parameters()).device
        model = guided(averaged, told.to(device), empty.to(device), 4.0)
        generator = torch.Generator().manual_seed(seed)
        z = sample(model, schedule, (len(told), *LATENT), solver=ddim, steps=20, generator=generator, progress=False)
        with torch.no_grad():
            save_grid(average.parts.decode(z).sample.cpu(), out / f"words-{step:06d}.png", columns=8)

    quickest = precision() if pick_device().type != "cpu" else "no"  # latents are small: bf16 gains a CPU nothing
    model, losses = train(
        text_to_image(len(tokenizer), schedule), schedule, encode(average.parts, x), given=tokens, empty=empty,
        steps=word_steps, batch_size=64, peak_rate=1e-3, ema=0.9995, loss=velocity_loss, checkpoint=out / "words.pt",
        minutes=None if until is None else max(0.01, (until - time.monotonic()) / 60), callback=picture,
        mixed_precision=quickest, **settings,
    )  # fmt: skip
    by_first(lambda: save_curve(losses, out / "words.png"))
    unused = kept_tokenizer(out / "tokenizer", captions)  # the other one remembers how it padded
    by_first(lambda: save_text_to_image(average.parts, model, unused, out / "pipeline"))
    return losses


def is_first() -> bool:
    """Whether this process writes and prints: of several that train together (see `train`) one does."""
    return not _together() or torch.distributed.get_rank() == 0


def by_first(write: Callable[[], object]) -> None:
    """Let one process call `write` while those that train with it wait."""
    if is_first():
        write()
    if _together():
        torch.distributed.barrier()


def _together() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _check_latents(out: Path, picture_steps: int) -> None:
    # Before the first stage, not after it: trained on, the autoencoder that words.pt belongs to would be lost.
    words, kept = out / "words.pt", out / "autoencoder.pt"
    state = torch.load(kept, map_location="cpu", weights_only=True) if kept.is_file() else {"losses": []}
    done = len(state["losses"])
    if done < picture_steps:
        raise ValueError(
            f"{words} was trained on an autoencoder of {done} steps, and --picture-steps is {picture_steps} now: its "
            f"latents would be others; ask for {done}, remove {words} to train the words anew, or give another --out"
        )
    if (out / LATENTS).is_file() and (out / LATENTS).read_text("utf8") != _digest(state["average"]):
        raise ValueError(
            f"{words} was not trained on the latents of {kept}; remove {words} to train the words anew, or give "
            "another --out"
        )


def _digest(weights: Mapping[str, torch.Tensor]) -> str:
    found = hashlib.sha256()
    for name in sorted(weights):
        found.update(name.encode() + weights[name].cpu().numpy().tobytes())
    return found.hexdigest()


def precision() -> str:
    """What `train` is told of mixed precision here: "bf16", "fp16" or "no", whichever is quickest."""
    return {torch.bfloat16: "bf16", torch.float16: "fp16", None: "no"}[half_precision(pick_device())]


def judge(out: Path, *, epochs: int = 10) -> float:
    """Train the classifier on Fashion-MNIST, write `out`/model.safetensors; returns its share of right test images."""
    torch.manual_seed(0)
    classifier = Classifier().to(memory_format=torch.channels_last)
    train_classifier(classifier, *fashion_mnist("train"), epochs=epochs)
    x, labels = fashion_mnist("test")
    with torch.no_grad():
        guess = torch.cat([classifier(part).argmax(1) for part in x.split(500)])
    _save_weights(classifier, out)
    return (guess == labels).double().mean().item()


def recogniser(out: Path, *, epochs: int = 40) -> float:
    """Train the judge of emoji, write `out`/model.safetensors (fp16); returns the share of varied pictures found again.

    All emoji are its classes, also those that are held out from the text-to-image model: it judges and does not draw.
    """
    torch.manual_seed(0)
    model, (x, _) = Recogniser(), data.emoji("all")
    train_recogniser(model, x, epochs=epochs)
    with torch.no_grad():
        known = torch.cat([model(part) for part in x.split(200)])
        anew = torch.cat([model(varied(part, torch.Generator().manual_seed(1))) for part in x.split(200)])
    _save_weights(model.half(), out)
    return ((anew @ known.T).argmax(1) == torch.arange(len(x))).double().mean().item()


def _save_weights(model: torch.nn.Module, out: Path) -> None:
    from safetensors.torch import save

    out.mkdir(parents=True, exist_ok=True)
    (out / "model.tmp").write_bytes(save({name: part.contiguous() for name, part in model.state_dict().items()}))
    (out / "model.tmp").replace(out / "model.safetensors")
