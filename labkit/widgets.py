"""What moves in a notebook: a slider over images, a desk to try captions at (ipywidgets); knows no formula."""

import html
import time
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from labkit.pictures import encoded, image_grid

if TYPE_CHECKING:
    from ipywidgets import VBox


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
    slider.observe(lambda change: setattr(view, "value", pictures[change["new"]]), names="value")

    class Film(widgets.VBox):
        def __repr__(self) -> str:  # what a saved notebook shows where no kernel runs
            return f"[a slider over {what} = {names[0]} ... {names[-1]}: run this cell to move it]"

    return Film([slider, view])


def prompt_explorer(painter: Any, caption: str = "red apple", styles: Sequence[str] = ("noto", "twemoji")) -> "VBox":
    """A desk to try captions at: caption, style, guidance, steps and seed, a button, and the picture that they give.

    painter: a `Painter`. It draws once at once; then whenever the button is pressed. A word that the model does not
    know, or a caption that is too long, is told below the button and loses nothing. Raises TypeError for what is no
    painter, such as a pipeline of diffusers.
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
    view = widgets.Image(format="png", width=256, height=256)

    def draw(_: object = None) -> None:
        button.disabled, bar.value, bar.max, started = True, 0, steps.value, time.perf_counter()
        says.value = "drawing ..."
        try:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                generator = torch.Generator().manual_seed(seed.value)
                film = painter.film(
                    f"{words.value}, {style.value}", scale=scale.value, steps=steps.value, generator=generator
                )
                for bar.value, (_t, z) in enumerate(film):  # noqa: B007
                    pass
            view.value = encoded(image_grid(painter.decode(z).cpu()), 4)
            told = [str(one.message) for one in told] + [f"drawn in {time.perf_counter() - started:.1f} s"]
        except ValueError as problem:
            told = [str(problem)]
        finally:
            button.disabled = False
        says.value = "<br>".join(html.escape(one) for one in told)

    button.on_click(draw)
    draw()

    class Explorer(widgets.VBox):
        def __repr__(self) -> str:  # what a saved notebook shows where no kernel runs
            return f"[a desk to try captions at, first {caption!r}: run this cell to use it]"

    desk = widgets.VBox([words, style, scale, steps, seed, button, bar, says])
    return Explorer([widgets.HBox([desk, view], layout=widgets.Layout(flex_flow="row wrap"))])
