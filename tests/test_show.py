"""show: alternative text, words that can be read, files written whole."""

import base64
import io

import pytest
import torch
from PIL import Image

from labkit import show


def test_a_figure_is_shown_with_its_alternative_text(monkeypatch: pytest.MonkeyPatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda thing, raw=False: shown.append(thing))
    drawn, ax = show.figure()
    ax.plot([0, 1])
    show.finish(drawn, "A line < that rises.")
    data, metadata = shown[0]._repr_mimebundle_()
    assert metadata["image/png"]["alt"] == "A line < that rises."
    assert Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).width == 900
    assert shown[1]["text/html"] == '<p class="sr-only">Figure: A line &lt; that rises.</p>'  # JupyterLab forgets alt


@pytest.mark.parametrize("draw", [
    lambda ax: ax.set_title("small", fontsize=11),
    lambda ax: ax.legend(["small"], fontsize=8),
    lambda ax: ax.tick_params(labelsize=9),
])  # fmt: skip
def test_words_that_the_last_row_cannot_read_are_refused(draw: object):
    drawn, ax = show.figure()
    ax.plot([0, 1])
    draw(ax)
    with pytest.raises(ValueError, match="points; give 12 or more"):
        show.finish(drawn, "A line that rises.")


def test_a_title_that_is_cut_off_is_refused():
    drawn, ax = show.figure(size=(3, 3))
    ax.set_title("A title that is far too long for three inches")
    with pytest.raises(ValueError, match="runs out of the figure"):
        show.finish(drawn, "Nothing but a title.")


def test_a_figure_that_a_laptop_would_shrink_is_refused_and_a_long_row_of_images_is_none(monkeypatch):
    with pytest.raises(ValueError, match="12 inches wide; give 9.6 or less"):
        show.finish(show.figure(size=(12, 4))[0], "Nothing.")
    monkeypatch.setattr("IPython.display.display", lambda thing, raw=False: None)
    show.images(torch.zeros(10, 1, 8, 8), "Ten", "Ten grey squares.", scale=1.3)
    show.images(torch.zeros(37, 1, 8, 8), "37", "A row of grey squares.")  # 37 * (9.6 / 37) is more than 9.6
    with pytest.raises(ValueError, match="runs out of the figure; shorten it"):
        show.images(torch.zeros(2, 1, 8, 8), "A title that is too long " * 5, "Two grey squares.")


def test_much_enlarged_pixels_stay_squares():
    stripes = torch.ones(10, 1, 32, 32)
    stripes[..., ::2] = -1
    drawn = Image.open(io.BytesIO(show.png(show.images_figure(stripes, "")))).convert("L")
    assert set(drawn.crop((20, 80, 70, 130)).tobytes()) == {0, 255}


def test_a_few_images_below_a_long_title(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("IPython.display.display", lambda thing, raw=False: None)
    show.images(torch.zeros(1, 1, 8, 8), "One image below a title that is rather long", "One grey square.")


def test_what_matplotlib_makes_later_has_the_style_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("IPython.display.display", lambda thing, raw=False: None)
    drawn, ax = show.figure()
    spots = ax.scatter([0, 1], [0, 1], c=[0, 1], label="spots")
    drawn.colorbar(spots, label="value")
    ax.legend()
    ax.set(xscale="log", xlim=(0.1, 10), xlabel="x")
    show.finish(drawn, "Two spots on a line that rises.")  # refuses words below 12 points


def test_a_figure_without_alternative_text_is_refused():
    with pytest.raises(ValueError, match="alt is empty"):
        show.finish(show.figure()[0], "  ")


def test_labels_must_match_the_images():
    with pytest.raises(ValueError, match="2 labels for 3 images"):
        show.images(torch.zeros(3, 1, 4, 4), "title", "alt", labels=["a", "b"])


def test_coloured_pictures_are_kept_small():
    drawn = show.images_figure(torch.rand(12, 3, 32, 32) * 2 - 1, "noise in colour")
    small = show.png(drawn, 192)
    assert len(small) < len(show.png(drawn)) / 2
    picture = Image.open(io.BytesIO(small))
    assert len(picture.convert("RGB").getcolors()) <= 192
    assert picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255)  # paper stays white


def test_a_curve_is_written_whole(tmp_path):
    show.save_curve([1.0] * 250, tmp_path / "loss.png")
    assert Image.open(tmp_path / "loss.png").size == (700, 350)
    assert [path.name for path in tmp_path.iterdir()] == ["loss.png"]
