"""widgets: the slider changes the picture; the desk draws what it is told, and says what it cannot draw."""

import io
import re
import warnings
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from labkit import show


def test_the_slider_changes_the_picture():
    box = show.film([torch.full((2, 1, 4, 4), value) for value in (-1.0, 0.0, 1.0)], ["0", "5", "9"], "t")
    slider, view, told = box.children
    first = view.value
    assert "At t = 0: 2 pictures in a row. The slider above goes from 0 to 9." in told.value
    slider.value = 2
    assert "At t = 9" in told.value
    assert 'class="sr-only"' in told.value  # JupyterLab keeps this for screen readers
    assert slider.description == "t"
    assert view.value != first
    assert Image.open(io.BytesIO(view.value)).getextrema() == (255, 255)


def test_frames_and_names_must_match():
    with pytest.raises(ValueError, match="1 frames and 2 names"):
        show.film([torch.zeros(1, 1, 4, 4)], ["0", "1"], "t")


class Stub:
    """A painter whose picture is as light as its guidance, in so many steps."""

    def __init__(self):
        self.asked, self.raises = [], None

    def film(self, caption, *, scale, steps, generator):
        if "aple" in caption:
            raise ValueError("the model was not taught the word 'aple'")
        if "very" in caption:
            warnings.warn("too long", stacklevel=1)
        self.asked.append((caption, scale, steps, generator.initial_seed()))
        for t in range(steps, -1, -1):
            if self.raises is not None and t == steps // 2:
                raise self.raises
            yield t, torch.full((1, 3, 4, 4), scale / 6 - 1)

    def decode(self, z):
        return z


def test_the_desk_draws_what_it_is_told():
    painter = Stub()
    desk, view, told = show.prompt_explorer(painter).children[0].children
    words, style, scale, steps, seed, button, bar, says = desk.children
    assert painter.asked == [("red apple, noto", 4.0, 20, 0)]  # at once: a saved notebook keeps the desk with a picture
    words.value, style.value, scale.value, steps.value, seed.value = "dog", "twemoji", 12, 7, 3
    button.click()
    assert painter.asked[1:] == [("dog, twemoji", 12.0, 7, 3)]
    assert Image.open(io.BytesIO(view.value)).getextrema() == ((255, 255),) * 3
    assert (bar.value, bar.max, button.disabled) == (7, 7, False)
    assert "drawn in" in says.value
    assert "for &#x27;dog, twemoji&#x27;: guidance 12, seed 3" in told.value


@pytest.mark.parametrize(("caption", "said"), [("red aple", "&#x27;aple&#x27;"), ("a very long one", "too long")])
def test_the_desk_says_what_is_wrong_and_goes_on(caption, said):
    desk, view, _ = show.prompt_explorer(Stub()).children[0].children
    words, *_, button, _, says = desk.children
    before = view.value
    words.value = caption
    button.click()
    assert said in says.value
    assert view.value == before
    assert not button.disabled


def test_the_desk_wants_a_painter_and_no_pipeline():
    with pytest.raises(
        TypeError, match=r"painter is a SimpleNamespace; give what labkit\.load_painter\('emoji'\) returns"
    ):
        show.prompt_explorer(SimpleNamespace(unet=None, vae=None))


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (KeyboardInterrupt(), "stopped; the picture is the one before"),
        (RuntimeError("out of memory\nwith <many> lines"), "nothing was drawn: out of memory (RuntimeError)"),
        (ValueError("steps must be fewer"), "steps must be fewer"),
    ],
)
def test_the_desk_says_that_it_was_stopped_or_broke_and_goes_on(raised, said):
    painter = Stub()
    desk, view, told = show.prompt_explorer(painter).children[0].children
    words, *_, button, bar, says = desk.children
    before = view.value, told.value
    painter.raises, words.value = raised, "dog"
    button.click()
    assert says.value == said
    assert (bar.value, button.disabled) == (0, False)
    assert (view.value, told.value) == before
    painter.raises = None
    button.click()
    assert "drawn in" in says.value
    assert "dog" in told.value


def test_an_interrupt_of_the_first_drawing_stops_the_cell():
    painter = Stub()
    painter.raises = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        show.prompt_explorer(painter)


def test_the_desk_says_how_much_time_is_left():
    painter, seen = Stub(), []
    desk, _, _ = show.prompt_explorer(painter).children[0].children
    *_, button, _, says = desk.children
    says.observe(lambda change: seen.append(change["new"]), names="value")
    button.click()
    assert seen[:2] == ["drawing ...", "drawing ... ? left"]
    assert re.fullmatch(r"drawing \.\.\. \d\d:\d\d left", seen[2])
