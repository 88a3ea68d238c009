"""How good are samples? Features, Fréchet distance with its error, class shares, nearest neighbours.

A classifier that took no part in generation gives the features (see `pretrained.load_classifier`).
Images are (N, 1, 32, 32) in [-1, 1]. This file knows nothing of diffusion.
"""

import torch
from torch import Tensor, nn

from labkit.data import CLASSES


def features(classifier: nn.Module, x: Tensor) -> Tensor:
    """What the classifier sees before it decides: x (N, 1, 32, 32) to (N, D), float64 on the CPU."""
    device = next(classifier.parameters()).device
    with torch.no_grad():
        parts = [classifier.features(part.clamp(-1, 1).to(device)) for part in x.split(500)]
    return torch.cat(parts).double().cpu()


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Squared Fréchet distance of the Gaussians fitted to features a (N, D) and b (M, D).

    |m_a - m_b|² + tr(C_a + C_b - 2 (C_a C_b)^½); Heusel et al. (2017), equation 6. It is biased
    upwards for few samples: compare at equal N only. Raises ValueError below two samples or where
    the dimensions differ.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(
            f"features have shapes {tuple(a.shape)} and {tuple(b.shape)}; give (N, D) and (M, D), N, M >= 2"
        )
    a, b = a.double(), b.double()
    cov_a, cov_b = torch.cov(a.T).reshape(a.shape[1], -1), torch.cov(b.T).reshape(a.shape[1], -1)
    # The eigenvalues of C_a C_b are real and not negative; rounding may make them a little so.
    cross = torch.linalg.eigvals(cov_a @ cov_b).real.clamp(min=0).sqrt().sum()
    return ((a.mean(0) - b.mean(0)).square().sum() + cov_a.trace() + cov_b.trace() - 2 * cross).item()


def bootstrap_error(a: Tensor, b: Tensor, generator: torch.Generator, rounds: int = 30) -> float:
    """Standard error of `frechet_distance(a, b)`: its spread when rows of both are drawn anew."""

    def again(part: Tensor) -> Tensor:
        return part[torch.randint(len(part), (len(part),), generator=generator)]

    return torch.tensor([frechet_distance(again(a), again(b)) for _ in range(rounds)]).std().item()


def class_shares(classifier: nn.Module, x: Tensor) -> Tensor:
    """The share of each of the ten classes among images x, as the classifier sees them: (10,)."""
    device = next(classifier.parameters()).device
    with torch.no_grad():
        guess = torch.cat([classifier(part.clamp(-1, 1).to(device)).argmax(1) for part in x.split(500)])
    return torch.bincount(guess.cpu(), minlength=len(CLASSES)).double() / len(x)


def nearest(x: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """For each image of x (N, ...) its nearest in reference (M, ...): distances (N,) and indices (N,).

    The distance is Euclidean over all pixels.
    """
    parts = [torch.cdist(part.flatten(1), reference.flatten(1)).min(1) for part in x.split(250)]
    return torch.cat([part.values for part in parts]), torch.cat([part.indices for part in parts])


def near_copies(x: Tensor, held_out: Tensor, training: Tensor) -> float:
    """The share of x closer to a training image than 99 % of the held-out images are: 1 % if nothing is copied."""
    threshold = nearest(held_out, training)[0].quantile(0.01)
    return (nearest(x, training)[0] < threshold).double().mean().item()
