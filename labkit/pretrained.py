"""The only file that loads weights: the course's own models and, where there is a network, the Hub's.

diffusers does the reading; safetensors only, and no code of a repository is ever run. It knows
nothing of sampling and training.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from labkit.classifier import Classifier
from labkit.data import STYLES, checksums, emoji_names, verified
from labkit.device import pick_device
from labkit.hub import BUNDLED, ModelUnavailable, answered, check_blobs, check_kind, reason, weights_size
from labkit.model import UNet
from labkit.painter import Painter, known_from
from labkit.recogniser import Recogniser
from labkit.schedule import NoiseSchedule
from labkit.text_to_image import TextToImage

ROOM = "pretrained"
QUICK = 5.0  # seconds to wait for the Hub's first answer


def known_models(words: bool = False) -> list[str]:
    """The names of the models in data/pretrained, such as "fashion"; with `words` of those that draw captions."""
    folders = {name.split("/")[1] for name in checksums() if name.startswith(f"{ROOM}/") and "model_index" in name}
    return sorted(name for name in folders if (f"{ROOM}/{name}/tokenizer/tokenizer.json" in checksums()) == words)


def model_folder(name: str, words: bool = False) -> Path:
    """The folder of the bundled model `name`, after the SHA-256 of every file in it was compared.

    Raises ValueError for a name that is not among `known_models(words)`, DataError for a missing or damaged file.
    """
    if name not in known_models(words):
        known = ", ".join(known_models(words))
        if name in known_models(not words):
            other = "labkit.load_pretrained" if words else "labkit.load_painter"
            raise ValueError(f"model {name!r} draws {'without' if words else 'from'} captions; load it with {other}")
        hub = "" if words else ", or a Hub id such as google/ddpm-cifar10-32"
        raise ValueError(f"model {name!r} is unknown; use one of: {known}{hub}")
    files = {file: verified(file) for file in checksums() if file.startswith(f"{ROOM}/{name}/")}
    return files[f"{ROOM}/{name}/model_index.json"].parent


def load_pretrained(name: str, device: torch.device | str | None = None) -> UNet:
    """A trained network, called `model(z_t, t)` with t = 1..T, and its noise schedule as `model.schedule`.

    name: a bundled model (`known_models()`), or the id of an unconditional DDPM on the Hub, such as
    "google/ddpm-cifar10-32", where there is a network. The weights are float32 on `device` (None: the
    best there is). z_t: (B, C, H, W). Raises ValueError for an unknown name, DataError for a damaged
    file of the course, ModelUnavailable where the Hub does not give it.
    """
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    device = pick_device(device)
    if "/" in str(name):
        pipeline = load_hub(name, DDPMPipeline)
        unet, scheduler = pipeline.unet, pipeline.scheduler
    else:  # part by part: the same as the pipeline, without its progress bar
        folder, rules = model_folder(name), {"use_safetensors": True, "local_files_only": True}
        unet = UNet2DModel.from_pretrained(folder / "unet", **rules)
        scheduler = DDPMScheduler.from_pretrained(folder / "scheduler", local_files_only=True)
    unet = unet.float().to(device, memory_format=torch.channels_last).requires_grad_(False)
    return UNet(unet, schedule_of(scheduler), scheduler.config.prediction_type == "v_prediction").eval()


def load_painter(name: str = "emoji", device: torch.device | str | None = None) -> Painter:
    """The bundled text-to-image model `name`, a StableDiffusionPipeline in float32, as a `Painter` on `device`.

    Raises ValueError for an unknown name, DataError for a missing or damaged file.
    """
    folder, rules = model_folder(name, words=True), {"use_safetensors": True, "local_files_only": True}
    with _quietly():
        from diffusers import StableDiffusionPipeline

        pipeline = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None, **rules)
    pipeline.to(pick_device(device)).set_progress_bar_config(disable=True)
    model = TextToImage(pipeline.text_encoder, pipeline.unet, schedule_of(pipeline.scheduler))
    for part in (model, pipeline.vae):
        part.eval().requires_grad_(False)
    captions = [f"{name}, {style}" for name, _, split in emoji_names() if split == "train" for style in STYLES]
    return Painter(pipeline, model, *known_from(pipeline.tokenizer, captions))


def load_classifier(device: torch.device | str | None = None) -> Classifier:
    """The bundled Fashion-MNIST classifier whose features `evaluate` compares, on `device`, in eval mode.

    Raises DataError where its file is missing or damaged.
    """
    from safetensors.torch import load_file

    classifier = Classifier()
    classifier.load_state_dict(load_file(verified(f"{ROOM}/classifier/model.safetensors")))
    return classifier.to(pick_device(device)).eval().requires_grad_(False)


def load_recogniser(device: torch.device | str | None = None) -> Recogniser:
    """The bundled judge of emoji (its `features` took no part in generation), on `device`, in eval mode.

    Raises DataError where its file is missing or damaged.
    """
    from safetensors.torch import load_file

    recogniser = Recogniser()
    recogniser.load_state_dict(load_file(verified(f"{ROOM}/recogniser/model.safetensors")))
    return recogniser.float().to(pick_device(device)).eval().requires_grad_(False)


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the libraries' progress bars and remarks: what is read takes a moment, and torchvision is not missed."""
    from diffusers.utils import logging as diffusers_says
    from transformers.utils import logging as transformers_says

    libraries = (diffusers_says, transformers_says)
    both = [(says, says.get_verbosity(), says.is_progress_bar_enabled()) for says in libraries]
    for says, _, _ in both:
        says.set_verbosity_error()
        says.disable_progress_bar()
    try:
        yield
    finally:
        for says, verbosity, bar in both:
            says.set_verbosity(verbosity)
            if bar:
                says.enable_progress_bar()


def schedule_of(scheduler: Any) -> NoiseSchedule:
    """The NoiseSchedule of a diffusers scheduler: its `betas` (T,) are the lecture's β_1..β_T.

    Raises ModelUnavailable where it has no β or where its network predicts neither ε nor v.
    """
    predicts = scheduler.config.get("prediction_type", "epsilon")
    if not hasattr(scheduler, "betas") or predicts not in ("epsilon", "v_prediction"):
        found = f"{type(scheduler).__name__} with prediction_type={predicts!r}"
        needed = "a table of betas, and 'epsilon' or 'v_prediction'"
        raise ModelUnavailable(f"The model comes with {found}, but labkit needs {needed}; {BUNDLED[False]}.")
    return NoiseSchedule(scheduler.betas)


def text_to_image(repository: str, variant: str | None = None, revision: str | None = None) -> Any:
    """A text-to-image pipeline of the Hub on a CUDA GPU in float16: `pipeline(prompt).images[0]` is a picture.

    variant: "fp16" where the repository stores such files (half the download); revision: the commit that
    is meant, whatever comes later. Says first how much will be read. Raises ModelUnavailable at once, without a
    download, where there is no CUDA GPU or it has not the lab's five parts, and wherever the Hub does not give it.
    """
    if not torch.cuda.is_available():
        without = "it needs a CUDA GPU and this machine has none"
        raise ModelUnavailable(f"{repository} is skipped: {without}; {BUNDLED[True]}.")
    from diffusers import StableDiffusionPipeline

    with suppress(Exception):  # whatever is wrong with the Hub, `load_hub` says it
        size = weights_size(repository, revision, variant) / 1e9
        print(f"{repository}: {size:.1f} GB of weights to read; the GPU needs room for them, and 2 GB more to draw.")
    how = {"variant": variant, "revision": revision, "torch_dtype": torch.float16}
    return load_hub(repository, StableDiffusionPipeline, words=True, **how).to("cuda")


def load_hub(
    repository: str, pipeline_class: Any, words: bool = False, revision: str | None = None, **kwargs: Any
) -> Any:
    """A diffusers pipeline of a Hub repository, or from the Hub's cache where there is no network.

    pipeline_class: the class whose `from_pretrained` reads it; words: whether it must draw from captions
    (`check_kind`); revision: a commit, None for the newest; kwargs: for `from_pretrained`. Safetensors only, no code of
    the repository, SHA-256 compared where the cache knows it. Raises ModelUnavailable, whatever went
    wrong, in one sentence.
    """
    from diffusers import DiffusionPipeline
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError

    rules = {"use_safetensors": True, "trust_remote_code": False}
    unreachable = None
    try:
        try:  # one short question first: the client's own retries would take half a minute without a network
            get_hf_file_metadata(hf_hub_url(repository, "model_index.json", revision=revision), timeout=QUICK)
        except Exception as error:
            if answered(error, HfHubHTTPError):
                raise
            unreachable = error
        which = {"revision": revision, "local_files_only": unreachable is not None}
        listed = hf_hub_download(repository, "model_index.json", **which)
        index = json.loads(Path(listed).read_text("utf8"))
        check_kind(repository, index, words)
        folder = DiffusionPipeline.download(repository, variant=kwargs.get("variant"), **which, **rules)
        check_blobs(repository, Path(folder))
        return pipeline_class.from_pretrained(folder, local_files_only=True, **rules, **kwargs)
    except ModelUnavailable:
        raise
    except Exception as error:
        why = reason(unreachable or error)
        raise ModelUnavailable(f"{repository} is not available: {why}; {BUNDLED[words]}.") from error
