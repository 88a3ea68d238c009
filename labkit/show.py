"""The only file that draws with matplotlib: figures for the notebooks; what moves (`widgets`) is found here, too.

One style for all labs: type that is read from the last row, the Okabe-Ito colours (they survive colour
blindness and, with different line styles, grey print), and alternative text on every figure.
"""

import html
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from labkit.pictures import image_grid, save_grid
from labkit.widgets import film, prompt_explorer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "figure",
    "film",
    "finish",
    "image_grid",
    "images",
    "images_figure",
    "png",
    "prompt_explorer",
    "save_curve",
    "save_grid",
]
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
WIDEST = (
    9.6  # inches: what JupyterLab shows on a laptop of 1366 pixels; it shrinks what is wider, and the words with it
)


def figure(rows: int = 1, columns: int = 1, size: tuple[float, float] = (9, 4)) -> "tuple[Figure, Axes]":
    """A figure in the course's style and its axes (an array of axes for several); size in inches; `finish` shows it."""
    from cycler import cycler
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    lines = cycler(color=COLOURS) + cycler(linestyle=["-", "--", "-.", ":", "-", "--", "-."])
    rcParams.update({**STYLE, "axes.prop_cycle": lines})  # for good: ticks, legends and colour bars are made later
    drawn = Figure(figsize=size)
    return drawn, drawn.subplots(rows, columns)


def finish(drawn: "Figure", alt: str, colours: int | None = None) -> None:
    """Show a figure below the cell, with `alt`: one sentence for those who cannot see it.

    colours: keep so many at most (256 or fewer), so that a figure of many coloured pictures stays small.

    The sentence is also written below, as JupyterLab gives its images no alternative text; there its class keeps it
    for screen readers, elsewhere it is read by all. Raises ValueError for an empty one, for words
    that are below 12 points or run out of the figure, and for a figure wider than 9.6 inches.
    """
    from IPython.display import Image, display

    picture = Image(data=png(drawn, colours), alt=_spoken(alt), width=int(drawn.get_figwidth() * 96))
    _check_readable(drawn)
    display(picture)
    words = {"text/html": f'<p class="sr-only">Figure: {html.escape(alt)}</p>', "text/plain": f"Figure: {alt}"}
    display(words, raw=True)


def png(drawn: "Figure", colours: int | None = None) -> bytes:
    """A figure as the bytes of a PNG file, with at most so many colours; a grey one is stored as grey."""
    from PIL import Image

    buffer, small = io.BytesIO(), io.BytesIO()
    drawn.savefig(buffer, format="png", dpi=100)
    plain = Image.open(buffer).convert("RGB")
    if (grey := plain.convert("L")).convert("RGB").tobytes() == plain.tobytes():
        plain = grey
    elif colours is not None:
        plain = plain.quantize(colours, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    plain.save(small, format="PNG", optimize=True)
    return small.getvalue()


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

    labels: a word under each image; scale: the side of one image in inches, less where a row would be too wide.
    """
    colours = 128 if x.ndim == 4 and x.shape[1] == 3 else None
    finish(images_figure(x, title, columns=columns, labels=labels, scale=scale), alt, colours)


def images_figure(
    x: Tensor, title: str, *, columns: int | None = None, labels: Sequence[str] | None = None, scale: float = 1.0
) -> "Figure":
    """The figure that `images` shows: same arguments, not yet displayed."""
    columns = columns or len(x)
    rows, scale = -(-len(x) // columns), min(scale, WIDEST / columns)
    if labels is not None and len(labels) != len(x):
        raise ValueError(f"{len(labels)} labels for {len(x)} images; give one for each")
    crisp = "nearest" if 100 * scale > 2.5 * x.shape[-1] else "auto"  # much enlarged, pixels are squares, not blurs
    tall = scale + (0.35 if labels is not None else 0.05)
    wide = min(WIDEST, max(columns * scale, 0.115 * len(title)))  # a longer title is refused: it runs out
    drawn, axes = figure(rows, columns, size=(wide, rows * tall + 0.6))
    for i, ax in enumerate(axes.flat if rows * columns > 1 else [axes]):
        ax.set_axis_off()
        if i < len(x):
            picture = image_grid(x[i : i + 1], 1)
            ax.imshow(picture.squeeze(-1), cmap="gray", vmin=0, vmax=255, interpolation=crisp)
            if labels is not None:
                ax.set_title(labels[i], fontsize=13, y=-0.04, va="top", pad=0)
    drawn.suptitle(title, fontsize=15)
    return drawn


def save_curve(losses: Sequence[float], path: Path | str) -> None:
    """Write a training loss, averaged over 100 steps at a time, as a PNG; at once or not at all."""
    drawn, ax = figure(size=(7, 3.5))
    means = [sum(part) / len(part) for part in (losses[i : i + 100] for i in range(0, len(losses), 100))]
    ax.plot([100 * (i + 0.5) for i in range(len(means))], means)
    ax.set(xlabel="step", ylabel="loss, mean of 100 steps", yscale="log", title="Training loss")
    Path(path).with_suffix(".tmp").write_bytes(png(drawn))
    os.replace(Path(path).with_suffix(".tmp"), path)


def _check_readable(drawn: "Figure") -> None:
    from matplotlib.text import Text

    if (wide := drawn.get_figwidth()) > WIDEST:
        raise ValueError(
            f"the figure is {wide:g} inches wide; give {WIDEST} or less: a laptop shrinks it, and its words"
        )
    for words in drawn.findobj(Text):
        size, text = words.get_fontsize(), words.get_text().strip()
        if text and words.get_visible() and size < SMALLEST:
            raise ValueError(f"{text!r} is drawn at {size:g} points; give {SMALLEST} or more: the last row reads it")
    titles = [words for ax in drawn.axes for words in (ax.title, ax.xaxis.label, ax.yaxis.label)]
    for words in [*drawn.texts, *titles]:
        text, box = words.get_text().strip(), words.get_window_extent()
        if text and words.get_visible() and (box.x0 < -1 or box.y0 < -1 or box.x1 > drawn.bbox.x1 + 1):
            raise ValueError(f"{text!r} runs out of the figure; shorten it, or make the figure wider")


def _spoken(alt: str) -> str:
    if not alt.strip():
        raise ValueError("alt is empty; say in one sentence what the figure shows")
    return alt
