"""Tensors to pixels: one picture out of many images, and its file; knows nothing of figures and of widgets."""

import io
import os
from pathlib import Path

import torch
from torch import Tensor


def image_grid(x: Tensor, columns: int | None = None) -> Tensor:
    """Tile images (N, C, H, W) in [-1, 1] into one uint8 picture (rows·H, columns·W, C)."""
    if x.ndim != 4 or len(x) == 0 or not x.is_floating_point():
        raise ValueError(f"x is {x.dtype} of shape {tuple(x.shape)}; give floating-point images (N, C, H, W)")
    columns = columns or int(len(x) ** 0.5)
    rows = -(-len(x) // columns)
    blank = x.new_full((rows * columns - len(x), *x.shape[1:]), -1.0)
    tiles = torch.cat([x, blank]).unflatten(0, (rows, columns))
    picture = tiles.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
    return ((picture.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu()


def save_grid(x: Tensor, path: Path | str, columns: int | None = None, zoom: int = 1) -> None:
    """Write images (N, C, H, W) as one PNG, each pixel `zoom` wide; at once or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".tmp").write_bytes(encoded(image_grid(x, columns), zoom))
    os.replace(path.with_suffix(".tmp"), path)


def encoded(picture: Tensor, zoom: int) -> bytes:
    """A uint8 picture (H, W, C) as the bytes of a PNG file, each pixel `zoom` wide."""
    from PIL import Image

    drawn = Image.fromarray(picture.squeeze(-1).numpy())
    buffer = io.BytesIO()
    drawn.resize((drawn.width * zoom, drawn.height * zoom), Image.Resampling.NEAREST).save(buffer, format="PNG")
    return buffer.getvalue()
