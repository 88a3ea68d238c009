"""The networks, all called `model(z_t, t)` -> ε̂ of the shape of z_t, with the lecture's t = 1..T.

Adapters for diffusers' U-Nets stand here too; diffusers is imported only where one is built. This
file knows nothing of training, sampling, speed or weight files.
"""

import math

import torch
from torch import Tensor, nn

from labkit.schedule import NoiseSchedule, coefficients


class UNet(nn.Module):
    """Makes a diffusers `UNet2DModel` callable as `model(z_t, t)`.

    z_t: (B, C, H, W); t: int or int64 tensor (B,), 1..T. diffusers counts from 0, so t-1 goes in:
    this is the only place where that happens for a network. `schedule` may be attached by the loader.

    velocity: the network inside predicts v = sqrt(alpha) ε - sqrt(1 - alpha) x, diffusers'
    "v_prediction" (Salimans & Ho 2022), and ε̂ = sqrt(alpha) v + sqrt(1 - alpha) z_t comes out; this needs `schedule`.
    """

    def __init__(self, unet: nn.Module, schedule: NoiseSchedule | None = None, velocity: bool = False) -> None:
        super().__init__()
        self.unet = unet
        self.schedule = schedule
        self.velocity = velocity

    def forward(self, z_t: Tensor, t: int | Tensor, *given: Tensor) -> Tensor:
        """The guess ε̂, of the shape of z_t; `given` is what the U-Net takes besides, such as encoded words."""
        # an int is filled in on the device: no transfer, so the loop never waits for a GPU
        times = torch.full((len(z_t),), t, device=z_t.device) if isinstance(t, int) else t.to(z_t.device)
        output = self.unet(z_t, times - 1, *given, return_dict=False)[0]
        if not self.velocity:
            return output
        alpha = self.schedule.alpha
        signal, noise = coefficients(t, alpha.sqrt(), (1 - alpha).sqrt(), z_t=z_t, v=output)
        return signal * output + noise * z_t


def fashion_unet(channels: tuple[int, ...] = (32, 48, 96, 96)) -> UNet:
    """An untrained U-Net for images (B, 1, 32, 32): one residual layer a block, attention at 8x8 and in the middle.

    channels: the width at 32x32, 16x16, 8x8, ... pixels, each a multiple of 8. The default has 2.5
    million parameters; it is narrow where the pictures are large, because that is where time goes,
    and it looks at all of the picture at once where that is cheap, so that both sleeves fit one coat.
    Raises ValueError for no width, more than five, or one that is no multiple of 8.
    """
    from diffusers import UNet2DModel

    if not 1 <= len(channels) <= 5 or any(width < 8 or width % 8 for width in channels):
        raise ValueError(f"channels={tuple(channels)}; give one to five multiples of 8, such as (8, 16, 16)")
    down = ["AttnDownBlock2D" if 32 >> level == 8 else "DownBlock2D" for level in range(len(channels))]
    unet = UNet2DModel(
        sample_size=32,
        in_channels=1,
        out_channels=1,
        block_out_channels=channels,
        layers_per_block=1,
        down_block_types=down,
        up_block_types=[block.replace("Down", "Up") for block in reversed(down)],
        norm_num_groups=8,
        attention_head_dim=min(32, *channels[2:3], channels[-1]),
    )
    return UNet(unet)


class MLP(nn.Module):
    """A small network for points: `model(z_t, t)` with z_t (B,) or (B, D), for 1-D and 2-D worlds.

    T: the schedule's length, so that t/T reaches it as sines and cosines; hidden: the width. Raises
    ValueError for a number below 1, or points of another dimension.
    """

    def __init__(self, dim: int, T: int, hidden: int = 128) -> None:
        super().__init__()
        if min(dim, T, hidden) < 1:
            raise ValueError(f"dim={dim}, T={T}, hidden={hidden}; give 1 or more each")
        self.dim, self.T = dim, T
        self.register_buffer("frequency", math.pi * 2.0 ** torch.arange(6))
        self.net = nn.Sequential(
            nn.Linear(dim + 12, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(),
            nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, dim),
        )  # fmt: skip

    def forward(self, z_t: Tensor, t: int | Tensor) -> Tensor:
        """The guess ε̂, of the shape of z_t."""
        if (z_t.shape[1:] or (1,)) != (self.dim,):
            raise ValueError(f"z_t has shape {tuple(z_t.shape)}; give (B, {self.dim}){', or (B,)' * (self.dim == 1)}")
        z = z_t.reshape(-1, self.dim)
        u = torch.as_tensor(t, device=z.device).expand(len(z)).to(z.dtype) / self.T
        angle = u[:, None] * self.frequency
        return self.net(torch.cat([z, angle.sin(), angle.cos()], 1)).reshape(z_t.shape)
