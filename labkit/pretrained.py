"""The only file that loads weights: the course's own models and, where there is a network, the Hub's.

diffusers does the reading; safetensors only, and no code of a repository is ever run. It knows
nothing of sampling and training.
"""

import re
from pathlib import Path

import torch

from labkit.data import DataError, checksums, verified
from labkit.device import pick_device
from labkit.model import UNet
from labkit.schedule import NoiseSchedule

ROOM = "pretrained"


class ModelUnavailable(ValueError):
    """A model cannot be had here and now; the message is one sentence that says why and what to do."""


def known_models() -> list[str]:
    """The names of the models that lie in data/pretrained, such as "fashion"."""
    return sorted({name.split("/")[1] for name in checksums() if name.startswith(ROOM) and name.endswith("model_index.json")})


def model_folder(name: str) -> Path:
    """The folder of the bundled model `name`, after every file of it was verified."""
    files = [file for file in checksums() if file.startswith(f"{ROOM}/{name}/")]
    if name not in known_models():
        raise ValueError(f"model {name!r} is unknown; use {', '.join(known_models())}, or a Hub id such as google/ddpm-cifar10-32")
    return [verified(file) for file in files if file.endswith("model_index.json")][0].parent


def load_pretrained(name: str, device: torch.device | str | None = None) -> UNet:
    """A trained network, called `model(z_t, t)`, with its noise schedule as `model.schedule`.

    name: a bundled model (`known_models()`), or the id of an unconditional DDPM on the Hub, such as
    "google/ddpm-cifar10-32", where there is a network. Raises ValueError for an unknown name,
    DataError for a damaged file, ModelUnavailable where the Hub does not give it.
    """
    from diffusers import DDPMPipeline

    device = pick_device(device)
    if "/" not in str(name):
        pipeline = DDPMPipeline.from_pretrained(model_folder(name), use_safetensors=True, local_files_only=True)
    else:
        pipeline = load_hub(name, DDPMPipeline)
    unet = pipeline.unet.float().to(device).eval().requires_grad_(False)
    return UNet(unet.to(memory_format=torch.channels_last), schedule_of(pipeline.scheduler))
