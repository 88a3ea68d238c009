"""store: a text-to-image pipeline is written whole, and diffusers reads it without labkit."""

import pytest
import torch

import labkit
from labkit.store import save_text_to_image
from labkit.text_to_image import LATENT, autoencoder, text_to_image, tokens_of, train_tokenizer


@pytest.mark.slow
def test_diffusers_reads_the_pipeline_and_draws_what_our_loop_draws(tmp_path):
    from diffusers import StableDiffusionPipeline

    torch.manual_seed(0)
    schedule = labkit.NoiseSchedule.linear()
    captions = ["red apple, noto", "green apple, twemoji"]
    tokenizer = train_tokenizer(captions)
    parts, model = autoencoder(), text_to_image(len(tokenizer), schedule)
    folder = save_text_to_image(parts, model, tokenizer, tmp_path / "pipeline")
    pipeline = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)  # all parts float32
    pipeline.set_progress_bar_config(disable=True)
    model, z = model.float().eval(), torch.randn(2, *LATENT, generator=torch.Generator().manual_seed(1))
    drawn = pipeline(captions, latents=z, num_inference_steps=4, guidance_scale=3.0, output_type="latent").images
    given, empty = tokens_of(tokenizer, captions), tokens_of(tokenizer, [""])[0]
    guided = labkit.guided(model, given, empty, 3.0)
    with torch.no_grad():
        for left, t in zip((4, 3, 2, 1), (1000, 750, 500, 250), strict=True):
            z = labkit.ddim(schedule.shortened(4), z, left, guided(z, t), None)
    torch.testing.assert_close(drawn, z, atol=1e-4, rtol=1e-4)
    assert not [path for path in tmp_path.iterdir() if path.name != "pipeline"]  # nothing half written is left
