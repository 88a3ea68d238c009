"""Writes trained models as diffusers pipelines, whole or not at all; knows nothing of how they were trained."""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from labkit.schedule import NoiseSchedule

if TYPE_CHECKING:
    from diffusers import AutoencoderKL
    from transformers import CLIPTokenizer

    from labkit.text_to_image import TextToImage


def save_pipeline(
    unet: torch.nn.Module, schedule: NoiseSchedule, folder: str | Path, dtype: torch.dtype = torch.float16
) -> Path:
    """Write a diffusers DDPMPipeline (safetensors) that `DDPMPipeline.from_pretrained(folder)` reads without labkit.

    unet: a UNet2DModel or labkit's adapter around one; it is not changed. dtype: that of the stored
    weights; from_pretrained gives float32 again unless torch_dtype is passed. All is written into a
    temporary folder first and each file then renamed into place, the index last; other files of
    `folder` (a model card) stay. Returns the folder.
    """
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    predicts = "v_prediction" if getattr(unet, "velocity", False) else "epsilon"
    unet = getattr(unet, "unet", unet)
    config = {key: value for key, value in unet.config.items() if not key.startswith("_")}  # no path of this machine
    stored = UNet2DModel.from_config(config)
    stored.load_state_dict(unet.state_dict())
    beta = schedule.beta[1:]
    first, last = beta[0].item(), beta[-1].item()
    if torch.allclose(beta, torch.linspace(first, last, schedule.T, dtype=beta.dtype), rtol=1e-6, atol=0):
        table = {"beta_schedule": "linear", "beta_start": round(first, 10), "beta_end": round(last, 10)}
    else:
        table = {"trained_betas": beta.tolist()}
    scheduler = DDPMScheduler(
        schedule.T, variance_type="fixed_large", clip_sample=False, prediction_type=predicts, **table
    )
    return _write(DDPMPipeline(stored.to(dtype), scheduler), Path(folder))


def save_text_to_image(
    parts: "AutoencoderKL", model: "TextToImage", tokenizer: "CLIPTokenizer", folder: str | Path
) -> Path:
    """Write a StableDiffusionPipeline (safetensors, fp16) that `from_pretrained(folder)` reads without labkit.

    The networks become fp16: pass copies where they go on being trained. Returns the folder.
    """
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    beta, T = model.schedule.beta, model.schedule.T
    scheduler = DDIMScheduler(
        T, round(beta[1].item(), 10), round(beta[-1].item(), 10), "linear", clip_sample=False, set_alpha_to_one=True,
        prediction_type="v_prediction", timestep_spacing="trailing", steps_offset=1,
    )  # fmt: skip
    pipeline = StableDiffusionPipeline(
        parts.half(), model.text_encoder.half(), tokenizer, model.unet.unet.half(), scheduler,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    return _write(pipeline, Path(folder))


def _write(pipeline: Any, folder: Path) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".saving-") as temporary:
        pipeline.save_pretrained(temporary, safe_serialization=True)
        for written in Path(temporary).glob("text_encoder/config.json"):
            # transformers loads in the dtype that is written here, diffusers in float32: all parts must be of one
            written.write_text(written.read_text("utf8").replace('"dtype": "float16"', '"dtype": "float32"'), "utf8")
        for written in Path(temporary).glob("tokenizer/tokenizer.json"):  # indented it is twice as long
            compact = json.dumps(json.loads(written.read_text("utf8")), ensure_ascii=False, separators=(",", ":"))
            written.write_text(compact, "utf8")
        files = [path.relative_to(temporary) for path in Path(temporary).rglob("*") if path.is_file()]
        for file in sorted(files, key=lambda file: file.name == "model_index.json"):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (Path(temporary) / file).replace(folder / file)
    return folder
