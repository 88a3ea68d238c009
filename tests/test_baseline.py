"""baseline: LDA and QDA draw with the moments of their classes, which are those of scikit-learn's LDA and QDA."""

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


@pytest.mark.parametrize("pooled", [False, True], ids=["QDA", "LDA"])
def test_the_draws_have_the_gaussians_that_scikit_learn_fits(pooled: bool):
    """Whitened by a class's mean and covariance there, the draws of the class here have mean 0 and covariance 1.

    To 4 standard errors of 20,000 draws a class; the images are small, so that none is clamped.
    """
    sklearn = pytest.importorskip("sklearn.discriminant_analysis", reason="pip install scikit-learn: no comparison")
    generator = torch.Generator().manual_seed(6)
    labels = torch.arange(300) % 2
    mixing = torch.eye(3) + 0.3 * torch.randn(2, 3, 3, generator=generator, dtype=torch.float64)
    x = (torch.randn(300, 1, 3, generator=generator, dtype=torch.float64) @ mixing[labels])[:, 0]
    x = 0.03 * (x + 8 * labels[:, None])  # far enough apart that each draw's class is seen
    if pooled:
        fitted = sklearn.LinearDiscriminantAnalysis(solver="eigen", store_covariance=True).fit(x, labels)
        covariances = [300 / 299 * torch.as_tensor(fitted.covariance_)] * 2  # ours divides by N - 1, theirs by N
    else:
        fitted = sklearn.QuadraticDiscriminantAnalysis(store_covariance=True, tol=1e-9).fit(x, labels)
        covariances = [torch.as_tensor(one) for one in fitted.covariance_]
    drawn = gaussian_samples(x, labels, 40_000, generator, pooled=pooled, progress=False)
    kinds = torch.as_tensor(fitted.predict(drawn.numpy()))
    for c, covariance in enumerate(covariances):
        flat = drawn[kinds == c] - torch.as_tensor(fitted.means_[c])
        white = torch.linalg.solve_triangular(torch.linalg.cholesky(covariance), flat.T, upper=False)
        assert white.mean(1).abs().max() < 4 / 20_000**0.5
        assert (torch.cov(white) - torch.eye(3)).abs().max() < 4 * (2 / 20_000) ** 0.5
