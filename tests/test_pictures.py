"""pictures: tiles, and files written whole."""

import pytest
import torch
from PIL import Image

from labkit import pictures


def test_a_grid_puts_images_row_by_row():
    x = torch.linspace(-1, 1, 6).reshape(6, 1, 1, 1).expand(6, 1, 2, 3)
    picture = pictures.image_grid(x, 3)
    assert picture.shape == (4, 9, 1)
    assert picture[::2, ::3, 0].tolist() == [[0, 51, 102], [153, 204, 255]]


def test_an_incomplete_last_row_is_black_and_values_beyond_the_range_are_cut():
    picture = pictures.image_grid(torch.full((3, 3, 1, 1), 7.0), 2)
    assert picture.flatten(0, 1).tolist() == [[255] * 3, [255] * 3, [255] * 3, [0] * 3]


@pytest.mark.parametrize("x", [torch.zeros(3, 3), torch.zeros(0, 1, 2, 2), torch.zeros(1, 1, 2, 2, dtype=torch.uint8)])
def test_what_is_no_image_is_refused(x: torch.Tensor):
    with pytest.raises(ValueError, match="give floating-point images"):
        pictures.image_grid(x)


def test_a_grid_is_written_whole(tmp_path):
    pictures.save_grid(torch.zeros(4, 1, 8, 8), tmp_path / "new" / "grid.png", zoom=2)
    assert Image.open(tmp_path / "new" / "grid.png").size == (32, 32)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["grid.png"]
