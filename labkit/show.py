"""The only file that draws: figures for the notebooks, grids of images, a slider over frames.

One style for all labs: type that is read from the last row, the Okabe-Ito colours (they survive colour
blindness and, with different line styles, grey print), and alternative text on every figure.
"""

import html
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from ipywidgets import VBox
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLE = {
    "font.size": 14,
    "axes.titlesize": 15,
    "axes.labelsize": 14,
    "legend.fontsize": 13,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "figure.constrained_layout.use": True,
    "image.cmap": "viridis",
}
SMALLEST = 12  # points: what is read from the last row of a classroom


def figure(rows: int = 1, columns: int = 1, size: tuple[float, float] = (9, 4)) -> "tuple[Figure, Axes]":
    """A figure in the course's style and its axes (an array of axes for several); size in inches; `finish` shows it."""
    from cycler import cycler
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    lines = cycler(color=COLOURS) + cycler(linestyle=["-", "--", "-.", ":", "-", "--", "-."])
    rcParams.update({**STYLE, "axes.prop_cycle": lines})  # for good: ticks, legends and colour bars are made later
    drawn = Figure(figsize=size)
    return drawn, drawn.subplots(rows, columns)


def finish(drawn: "Figure", alt: str) -> None:
    """Show a figure below the cell, with `alt`: one sentence for those who cannot see it.

    The sentence is also written below, as JupyterLab gives its images no alternative text; there its class keeps it
    for screen readers, elsewhere it is read by all. Raises ValueError for an empty one, and for words
    that are below 12 points or run out of the figure.
    """
    from IPython.display import Image, display

    picture = Image(data=png(drawn), alt=_spoken(alt), width=int(drawn.get_figwidth() * 96))
    _check_readable(drawn)
    display(picture)
    words = {"text/html": f'<p class="sr-only">Figure: {html.escape(alt)}</p>', "text/plain": f"Figure: {alt}"}
    display(words, raw=True)


def png(drawn: "Figure") -> bytes:
    """A figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def images(
    x: Tensor,
    title: str,
    alt: str,
    *,
    columns: int | None = None,
    labels: Sequence[str] | None = None,
    scale: float = 1.0,
) -> None:
    """Show images (N, C, H, W) in [-1, 1] side by side, `columns` in a row (all of them by default).

    labels: a word under each image; scale: the side of one image in inches.
    """
    finish(images_figure(x, title, columns=columns, labels=labels, scale=scale), alt)


def images_figure(
    x: Tensor, title: str, *, columns: int | None = None, labels: Sequence[str] | None = None, scale: float = 1.0
) -> "Figure":
    """The figure that `images` shows: same arguments, not yet displayed."""
    columns = columns or len(x)
    rows = -(-len(x) // columns)
    if labels is not None and len(labels) != len(x):
        raise ValueError(f"{len(labels)} labels for {len(x)} images; give one for each")
    tall = scale + (0.35 if labels is not None else 0.05)
    drawn, axes = figure(rows, columns, size=(max(columns * scale, 0.115 * len(title)), rows * tall + 0.6))
    for i, ax in enumerate(axes.flat if rows * columns > 1 else [axes]):
        ax.set_axis_off()
        if i < len(x):
            picture = image_grid(x[i : i + 1], 1)
            ax.imshow(picture.squeeze(-1), cmap="gray", vmin=0, vmax=255)
            if labels is not None:
                ax.set_title(labels[i], fontsize=13, y=-0.04, va="top", pad=0)
    drawn.suptitle(title, fontsize=15)
    return drawn


def film(frames: Sequence[Tensor], names: Sequence[str], what: str) -> "VBox":
    """A slider over images prepared beforehand, so that it answers at once; works by keyboard.

    frames: F tensors (N, C, H, W) in [-1, 1], each shown as one row; names: F words for the slider;
    what: its label, such as "t". Print a static strip beside it: paper has no kernel.
    """
    import ipywidgets as widgets

    if len(frames) != len(names) or not len(frames):
        raise ValueError(f"{len(frames)} frames and {len(names)} names; give one name a frame, one frame or more")
    pictures = [_encoded(image_grid(frame, len(frame)), 4) for frame in frames]
    slider = widgets.SelectionSlider(
        options=[(name, i) for i, name in enumerate(names)], description=what, continuous_update=True
    )
    view = widgets.Image(value=pictures[0], format="png", layout=widgets.Layout(max_width="100%"))
    slider.observe(lambda change: setattr(view, "value", pictures[change["new"]]), names="value")

    class Film(widgets.VBox):
        def __repr__(self) -> str:  # what a saved notebook shows where no kernel runs
            return f"[a slider over {what} = {names[0]} ... {names[-1]}: run this cell to move it]"

    return Film([slider, view])


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
    path.with_suffix(".tmp").write_bytes(_encoded(image_grid(x, columns), zoom))
    os.replace(path.with_suffix(".tmp"), path)


def save_curve(losses: Sequence[float], path: Path | str) -> None:
    """Write a training loss, averaged over 100 steps at a time, as a PNG; at once or not at all."""
    drawn, ax = figure(size=(7, 3.5))
    means = [sum(part) / len(part) for part in (losses[i : i + 100] for i in range(0, len(losses), 100))]
    ax.plot([100 * (i + 0.5) for i in range(len(means))], means)
    ax.set(xlabel="step", ylabel="loss, mean of 100 steps", yscale="log", title="Training loss")
    Path(path).with_suffix(".tmp").write_bytes(png(drawn))
    os.replace(Path(path).with_suffix(".tmp"), path)


def _encoded(picture: Tensor, zoom: int) -> bytes:
    from PIL import Image

    drawn = Image.fromarray(picture.squeeze(-1).numpy())
    buffer = io.BytesIO()
    drawn.resize((drawn.width * zoom, drawn.height * zoom), Image.Resampling.NEAREST).save(buffer, format="PNG")
    return buffer.getvalue()


def _check_readable(drawn: "Figure") -> None:
    from matplotlib.text import Text

    for words in drawn.findobj(Text):
        size, text = words.get_fontsize(), words.get_text().strip()
        if text and words.get_visible() and size < SMALLEST:
            raise ValueError(
                f"{text!r} is drawn at {size:g} points; give {SMALLEST} or more: the last row reads it, too"
            )
    titles = [words for ax in drawn.axes for words in (ax.title, ax.xaxis.label, ax.yaxis.label)]
    for words in [*drawn.texts, *titles]:
        text, box = words.get_text().strip(), words.get_window_extent()
        if text and words.get_visible() and (box.x0 < -1 or box.y0 < -1 or box.x1 > drawn.bbox.x1 + 1):
            raise ValueError(f"{text!r} runs out of the figure; shorten it, or make the figure wider")


def _spoken(alt: str) -> str:
    if not alt.strip():
        raise ValueError("alt is empty; say in one sentence what the figure shows")
    return alt
