"""What moves in a notebook: a slider over images, a desk to try captions at (ipywidgets); knows no formula."""

import html
import time
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from labkit.pictures import encoded, image_grid
from labkit.progress import time_left

if TYPE_CHECKING:
    from ipywidgets import HTML, VBox


def film(frames: Sequence[Tensor], names: Sequence[str], what: str) -> "VBox":
    """A slider over images prepared beforehand, so that it answers at once; works by keyboard.

    frames: F tensors (N, C, H, W) in [-1, 1], each shown as one row; names: F words for the slider;
    what: its label, such as "t". Print a static strip beside it: paper has no kernel.
    """
    import ipywidgets as widgets

    if len(frames) != len(names) or not len(frames):
        raise ValueError(f"{len(frames)} frames and {len(names)} names; give one name a frame, one frame or more")
    pictures = [encoded(image_grid(frame, len(frame)), 4) for frame in frames]
    slider = widgets.SelectionSlider(
        options=[(name, i) for i, name in enumerate(names)], description=what, continuous_update=True
    )
    view = widgets.Image(value=pictures[0], format="png", layout=widgets.Layout(max_width="100%"))
    told = _told()

    def turn(i: int) -> None:
        view.value = pictures[i]
        row = "one picture" if len(frames[i]) == 1 else f"{len(frames[i])} pictures in a row"
        _tell(told, f"At {what} = {names[i]}: {row}. The slider above goes from {names[0]} to {names[-1]}.")

    slider.observe(lambda change: turn(change["new"]), names="value")
    turn(0)

    class Film(widgets.VBox):
        def __repr__(self) -> str:  # what a saved notebook shows where no kernel runs
            return f"[a slider over {what} = {names[0]} ... {names[-1]}: run this cell to move it]"

    return Film([slider, view, told])


def _told() -> "HTML":
    """A place for words beside a picture, for those who cannot see it: ipywidgets gives its images no text."""
    import ipywidgets as widgets

    return widgets.HTML(layout=widgets.Layout(height="0", margin="0"))


def _tell(told: "HTML", words: str) -> None:
    told.value = f'<p class="sr-only" aria-live="polite">{html.escape(words)}</p>'


def prompt_explorer(painter: Any, caption: str = "red apple", styles: Sequence[str] = ("noto", "twemoji")) -> "VBox":
    """A desk to try captions at: caption, style, guidance, steps and seed, a button, and the picture that they give.

    painter: a `Painter`. It draws once at once; then whenever the button is pressed. A word that the model does not
    know, a caption that is too long, whatever else went wrong or that it was interrupted is told below the button
    and loses nothing; an interrupt of the first drawing stops the cell, too. Raises TypeError for what is no painter,
    such as a pipeline of diffusers.
    """
    import ipywidgets as widgets

    if not (hasattr(painter, "film") and hasattr(painter, "decode")):
        raise TypeError(f"painter is a {type(painter).__name__}; give what labkit.load_painter('emoji') returns")
    wide = {"style": {"description_width": "5em"}, "layout": widgets.Layout(width="26em")}
    words = widgets.Text(value=caption, description="caption", **wide)
    style = widgets.Dropdown(options=styles, description="style", **wide)
    scale = widgets.FloatSlider(value=4, min=0, max=12, step=0.5, description="guidance", **wide)
    steps = widgets.IntSlider(value=20, min=1, max=100, description="steps", **wide)
    seed = widgets.BoundedIntText(value=0, min=0, max=10**6, description="seed", **wide)
    button = widgets.Button(description="Draw", button_style="primary", tooltip="Draw a picture for this caption")
    bar = widgets.IntProgress(description="done", **wide)
    says = widgets.HTML(layout=wide["layout"])  # no wider: a long sentence would push the picture away
    view, seen = widgets.Image(format="png", width=256, height=256), _told()

    def draw(pressed: object = None) -> None:
        started, asked = time.perf_counter(), f"{words.value}, {style.value}"
        try:
            button.disabled, bar.value, bar.max, says.value = True, 0, steps.value, "drawing ..."
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                generator = torch.Generator().manual_seed(seed.value)
                film = painter.film(asked, scale=scale.value, steps=steps.value, generator=generator)
                for bar.value, (_t, z) in enumerate(film):  # noqa: B007
                    left = time_left(bar.value, bar.max, time.perf_counter() - started)
                    says.value = f"drawing ... {left} left"
            view.value = encoded(image_grid(painter.decode(z).cpu()), 4)
            _tell(seen, f"The picture that was drawn for {asked!r}: guidance {scale.value:g}, seed {seed.value}.")
            told = [str(one.message) for one in told] + [f"drawn in {time.perf_counter() - started:.1f} s"]
        except KeyboardInterrupt:
            bar.value, told = 0, ["stopped; the picture is the one before"]
            if pressed is None:
                raise
        except ValueError as problem:
            bar.value, told = 0, [str(problem)]
        except Exception as problem:  # a button has no cell in which a traceback could be read
            why = str(problem).strip().split("\n")[0]
            bar.value, told = 0, [f"nothing was drawn: {why} ({type(problem).__name__})"]
        finally:
            button.disabled = False
        says.value = "<br>".join(html.escape(one) for one in told)

    button.on_click(draw)
    draw()

    class Explorer(widgets.VBox):
        def __repr__(self) -> str:  # what a saved notebook shows where no kernel runs
            return f"[a desk to try captions at, first {caption!r}: run this cell to use it]"

    desk = widgets.VBox([words, style, scale, steps, seed, button, bar, says])
    return Explorer([widgets.HBox([desk, view, seen], layout=widgets.Layout(flex_flow="row wrap"))])
