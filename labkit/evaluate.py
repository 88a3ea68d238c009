"""How good are samples? Features, Fréchet distance with its error, class shares, nearest neighbours.

A classifier that took no part in generation gives the features (see `pretrained.load_classifier`).
Images are (N, 1, 32, 32) in [-1, 1]. This file knows nothing of diffusion.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from labkit.data import CLASSES


def features(classifier: nn.Module, x: Tensor) -> Tensor:
    """What the classifier sees before it decides: x (N, 1, 32, 32) to (N, D), float64 on the CPU."""
    return _seen(classifier, classifier.features, x).double()


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Squared Fréchet distance of the Gaussians fitted to features a (N, D) and b (M, D).

    |m_a - m_b|² + tr(C_a + C_b - 2 (C_a C_b)^½); Heusel et al. (2017), equation 6. It is biased
    upwards for few samples: compare at equal N only. Raises ValueError below two samples or where
    the dimensions differ.
    """
    check_rows(a, b, more_than=1)
    a, b = a.double(), b.double()
    cov_a, cov_b = torch.cov(a.T).reshape(a.shape[1], -1), torch.cov(b.T).reshape(a.shape[1], -1)
    # The eigenvalues of C_a C_b are real and not negative; rounding may make them a little so.
    cross = torch.linalg.eigvals(cov_a @ cov_b).real.clamp(min=0).sqrt().sum()
    return ((a.mean(0) - b.mean(0)).square().sum() + cov_a.trace() + cov_b.trace() - 2 * cross).item()


def bootstrap_error(a: Tensor, b: Tensor, generator: torch.Generator, rounds: int = 30) -> float:
    """Standard error of `frechet_distance(a, b)`: its spread over rounds (2 or more) in which rows are drawn anew."""
    check_rows(a, b, more_than=1)
    if rounds < 2:
        raise ValueError(f"rounds={rounds}; a spread needs 2 or more")

    def again(part: Tensor) -> Tensor:
        return part[torch.randint(len(part), (len(part),), generator=generator)]

    return torch.tensor([frechet_distance(again(a), again(b)) for _ in range(rounds)]).std().item()


def class_shares(classifier: nn.Module, x: Tensor) -> Tensor:
    """The share of each of the ten classes among images x, as the classifier sees them: (10,)."""
    return torch.bincount(_seen(classifier, classifier, x).argmax(1), minlength=len(CLASSES)).double() / len(x)


def nearest(x: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """For each image of x (N, ...) its nearest in reference (M, ...): distances (N,) and indices (N,).

    The distance is Euclidean over all pixels. Raises ValueError where there are none or their sizes differ.
    """
    x, reference = (part.flatten(1) for part in (x, reference))
    check_rows(x, reference, more_than=0)
    parts = [torch.cdist(part, reference).min(1) for part in x.split(250)]
    return torch.cat([part.values for part in parts]), torch.cat([part.indices for part in parts])


def near_copies(x: Tensor, held_out: Tensor, training: Tensor) -> float:
    """The share of x closer to a training image than 99 % of the held-out images are: 1 % if nothing is copied."""
    threshold = nearest(held_out, training)[0].quantile(0.01)
    return (nearest(x, training)[0] < threshold).double().mean().item()


def check_rows(a: Tensor, b: Tensor, more_than: int) -> None:
    """Raise ValueError unless a is (N, D) and b (M, D), floating-point, with N and M above `more_than`."""
    fit = a.ndim == b.ndim == 2 and a.shape[1] == b.shape[1] and min(len(a), len(b)) > more_than
    if not (fit and a.is_floating_point() and b.is_floating_point()):
        given = f"features have shapes {tuple(a.shape)} and {tuple(b.shape)}, {a.dtype} and {b.dtype}"
        raise ValueError(f"{given}; give (N, D) and (M, D) with N and M above {more_than}, floating-point")


def _seen(classifier: nn.Module, ask: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    device = next(classifier.parameters()).device
    with torch.no_grad():
        return torch.cat([ask(part.clamp(-1, 1).to(device)).cpu() for part in x.split(500)])
