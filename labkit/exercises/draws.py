"""Inputs that several labs' tasks draw: noise, tables of variances, a stand-in for a network."""

import torch
from torch import Tensor


def normal(generator: torch.Generator, *shape: int) -> Tensor:
    """Standard normal float64 numbers of a shape."""
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def variances(generator: torch.Generator, T: int, least: float = 0.05, most: float = 0.6) -> Tensor:
    """A table beta of length T+1: beta[0] = 0, then random variances between `least` and `most`."""
    drawn = least + (most - least) * torch.rand(T, generator=generator, dtype=torch.float64)
    return torch.cat([torch.zeros(1, dtype=torch.float64), drawn])


def guess(z_t: Tensor, t: int | Tensor) -> Tensor:
    """Stands for a network in the inputs: some ε̂ that depends on z_t and on t."""
    t = torch.as_tensor(t, dtype=torch.float64).reshape(-1, *[1] * (z_t.ndim - 1))
    return torch.sin(1.3 * z_t + 0.8 * t)


guess.__name__ = "sin(1.3 z + 0.8 t)"  # what a message shows, so that a student can compute it
