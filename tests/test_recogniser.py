"""recogniser: pictures are varied a little and their features stay close; training makes it tell them apart."""

import pytest
import torch

from labkit import data
from labkit.recogniser import SIZE, Recogniser, train_recogniser, varied


def test_a_varied_picture_is_near_its_own_and_stays_on_white():
    x, generator = data.emoji("all")[0][::33], torch.Generator().manual_seed(0)
    again = varied(x, generator)
    assert again.shape == x.shape
    own, others = (again - x).flatten(1).norm(dim=1), (again - x.roll(1, 0)).flatten(1).norm(dim=1)
    assert (own < others).double().mean() > 0.9
    assert own.min() > 1
    white = varied(torch.ones(200, 3, 8, 8), generator)
    assert abs(white.mean() - 1) < 4 * white.std() / white.numel() ** 0.5


def test_features_have_length_1():
    seen = Recogniser().eval()(torch.randn(3, 3, 64, 64))
    assert seen.shape == (3, SIZE)
    torch.testing.assert_close(seen.norm(dim=1), torch.ones(3))


@pytest.mark.slow
def test_it_learns_to_find_a_varied_picture_again():
    torch.manual_seed(0)
    model, x = Recogniser(), data.emoji("all")[0][::51][:64]
    train_recogniser(model, x, epochs=60)
    with torch.no_grad():
        again = model(varied(x, torch.Generator().manual_seed(5))) @ model(x).T
    assert (again.argmax(1) == torch.arange(64)).double().mean() > 0.8  # by chance 1/64
