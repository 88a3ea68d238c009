"""Words become pictures: the parts of a latent text-to-image model, untrained, and how they are put together.

The same parts as in Stable Diffusion, small: an autoencoder (64x64 pixels to 8x8 latents and back), a tokenizer and
a text encoder, a U-Net that looks at the words (cross-attention). diffusers and transformers build them; this file says
how large they are. It knows nothing of training loops, sampling and files.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from labkit.model import UNet
from labkit.schedule import NoiseSchedule

if TYPE_CHECKING:
    from diffusers import AutoencoderKL
    from transformers import CLIPTokenizer

LATENT = (12, 8, 8)  # what a picture of (3, 64, 64) becomes: sixteen times fewer numbers
TOKENS = 16  # the longest caption, its first and last token included


class TextToImage(nn.Module):
    """Text encoder and U-Net as one network, called `model(z_t, t, tokens)` -> ε̂ of the shape of z_t.

    z_t: latents (B, 12, 8, 8); t: int or int64 (B,), 1..T; tokens: int64 (B, 16) from the tokenizer. The U-Net
    inside predicts v; labkit's adapter gives ε̂.
    """

    def __init__(self, text_encoder: nn.Module, unet: nn.Module, schedule: NoiseSchedule) -> None:
        super().__init__()
        self.text_encoder, self.unet, self.schedule = text_encoder, UNet(unet, schedule, velocity=True), schedule

    def forward(self, z_t: Tensor, t: int | Tensor, tokens: Tensor) -> Tensor:
        """The guess ε̂, of the shape of z_t."""
        return self.unet(z_t, t, self.text_encoder(tokens.to(z_t.device), return_dict=False)[0])


class Reconstruction(nn.Module):
    """An autoencoder in the shape in which `train` calls networks: model(x, noise) -> (x̂, mean, log variance)."""

    def __init__(self, parts: "AutoencoderKL") -> None:
        super().__init__()
        self.parts = parts

    def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x: images (B, 3, 64, 64); noise: of the latents' shape; mean and log variance are those of q(latents | x)."""
        latents = self.parts.encode(x).latent_dist
        return self.parts.decode(latents.mean + latents.std * noise).sample, latents.mean, latents.logvar


def autoencoder_loss(model: nn.Module, schedule: NoiseSchedule, x: Tensor, t: Tensor, epsilon: Tensor) -> Tensor:
    """|x̂ - x| + (x̂ - x)², the same of edges, and 0.001 times the KL of the latents from N(0, I): a scalar.

    A loss for `train`: of its noise (B, 3, 64, 64) the first numbers serve the latents; schedule and t are left aside.
    """
    noise = epsilon.flatten(1)[:, : math.prod(LATENT)].reshape(-1, *LATENT)
    x_hat, mean, log_variance = model(x, noise)
    gap, mean, log_variance = (x_hat - x).float(), mean.float(), log_variance.float()
    edges = gap.diff(dim=2).abs().mean() + gap.diff(dim=3).abs().mean()
    kl = (mean.square() + log_variance.exp() - 1 - log_variance).mean() / 2
    return gap.abs().mean() + gap.square().mean() + edges + 1e-3 * kl


@torch.no_grad()
def encode(parts: "AutoencoderKL", x: Tensor) -> Tensor:
    """The mean latents of images x (N, 3, 64, 64): (N, 12, 8, 8), on the CPU."""
    device = next(parts.parameters()).device
    return torch.cat([parts.encode(part.to(device)).latent_dist.mean.cpu() for part in x.split(100)])


@torch.no_grad()
def standardise(parts: "AutoencoderKL", x: Tensor) -> None:
    """Give the latents of images x mean 0 and variance 1 in each channel, in place, and leave the pictures as they are.

    The 1x1 convolutions at the end of the encoder and at the start of the decoder take the change up, so that diffusion
    starts from latents of the size of its noise and no factor has to be remembered.
    """
    latents = encode(parts, x)
    mean, std = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    last, first, channels = parts.quant_conv, parts.post_quant_conv, len(mean)
    mean, std = mean.to(last.weight), std.to(last.weight)
    first.bias += first.weight[:, :, 0, 0] @ mean
    first.weight *= std[None, :, None, None]
    last.bias[:channels] = (last.bias[:channels] - mean) / std
    last.weight[:channels] /= std[:, None, None, None]
    last.bias[channels:] -= 2 * std.log()


def autoencoder() -> "AutoencoderKL":
    """An untrained variational autoencoder: images (B, 3, 64, 64) to latents (B, 12, 8, 8) and back."""
    from diffusers import AutoencoderKL

    widths = (16, 32, 64, 96)  # narrow where the picture is large: that is where time goes
    return AutoencoderKL(
        block_out_channels=widths,
        down_block_types=["DownEncoderBlock2D"] * len(widths),
        up_block_types=["UpDecoderBlock2D"] * len(widths),
        latent_channels=LATENT[0],
        layers_per_block=1,
        norm_num_groups=8,
        mid_block_add_attention=False,
        sample_size=64,
        scaling_factor=1.0,
    )


def text_to_image(vocabulary: int, schedule: NoiseSchedule) -> TextToImage:
    """The untrained text encoder (for `vocabulary` tokens, 0 the start and 1 the end) and U-Net."""
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    words = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=TOKENS,
        projection_dim=128,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    unet = UNet2DConditionModel(
        sample_size=LATENT[-1],
        in_channels=LATENT[0],
        out_channels=LATENT[0],
        block_out_channels=(96, 128),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=words.hidden_size,
        attention_head_dim=4,
        norm_num_groups=16,
    )
    return TextToImage(CLIPTextModel(words), unet, schedule)


def train_tokenizer(captions: Sequence[str]) -> "CLIPTokenizer":
    """A CLIPTokenizer whose byte-pair merges go on until every word of `captions` is one token."""
    from transformers import CLIPTokenizer

    untrained = CLIPTokenizer(model_max_length=TOKENS)
    return untrained.train_new_from_iterator(captions, vocab_size=100_000, show_progress=False)


def kept_tokenizer(folder: Path, captions: Sequence[str]) -> "CLIPTokenizer":
    """The tokenizer in `folder`; where there is none, one is trained on `captions` and written there.

    Training it twice gives some words other numbers (equal pairs are merged in any order): weights go with one.
    """
    from transformers import CLIPTokenizer

    if not (folder / "tokenizer.json").is_file():
        train_tokenizer(captions).save_pretrained(folder)
    return CLIPTokenizer.from_pretrained(folder, local_files_only=True)


def tokens_of(tokenizer: "CLIPTokenizer", captions: Sequence[str]) -> Tensor:
    """Captions as the numbers that the text encoder takes: int64 (B, 16), filled up with the end token."""
    settings = {"padding": "max_length", "truncation": True, "max_length": TOKENS, "return_tensors": "pt"}
    return tokenizer(list(captions), **settings).input_ids
