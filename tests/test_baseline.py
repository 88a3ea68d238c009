"""baseline: LDA and QDA draw with the moments of their classes."""

import pytest
import torch

from labkit import gaussian_samples


@pytest.mark.parametrize("pooled", [False, True])
def test_the_gaussian_baseline_has_the_moments_of_its_classes(pooled: bool):
    generator = torch.Generator().manual_seed(4)
    labels = torch.arange(4000) % 2
    x = (0.05 * torch.randn(4000, 1, 1, 2, generator=generator) * (1 + labels[:, None, None, None])) + 0.5 * (
        2 * labels[:, None, None, None] - 1
    )
    drawn = gaussian_samples(x, labels, 4000, generator, pooled=pooled).flatten(1)
    low, high = drawn[drawn[:, 0] < 0], drawn[drawn[:, 0] > 0]
    assert len(high) / 4000 == pytest.approx(0.5, abs=4 * 0.5 / 4000**0.5)
    expected = (0.00625**0.5, 0.00625**0.5) if pooled else (0.05, 0.1)
    assert (low.std().item(), high.std().item()) == pytest.approx(expected, rel=0.06)
