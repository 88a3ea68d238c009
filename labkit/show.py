"""The only file that draws: figures for the notebooks, grids of images, sliders."""

import os
from pathlib import Path

import torch
from torch import Tensor


def image_grid(x: Tensor, columns: int | None = None) -> Tensor:
    """Tile images (N, C, H, W) in [-1, 1] into one uint8 picture (rows·H, columns·W, C)."""
    columns = columns or int(len(x) ** 0.5)
    rows = -(-len(x) // columns)
    blank = x.new_full((rows * columns - len(x), *x.shape[1:]), -1.0)
    tiles = torch.cat([x, blank]).unflatten(0, (rows, columns))
    picture = tiles.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
    return ((picture.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu()


def save_grid(x: Tensor, path: Path | str, columns: int | None = None) -> None:
    """Write images (N, C, H, W) as one PNG, at once or not at all."""
    from PIL import Image

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = image_grid(x, columns)
    Image.fromarray(picture.squeeze(-1).numpy()).save(path.with_suffix(".tmp"), format="PNG")
    os.replace(path.with_suffix(".tmp"), path)
