"""Random inputs that several labs' tasks draw: noise, tables of variances."""

import torch
from torch import Tensor


def normal(generator: torch.Generator, *shape: int) -> Tensor:
    """Standard normal float64 numbers of a shape."""
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def variances(generator: torch.Generator, T: int, least: float = 0.05, most: float = 0.6) -> Tensor:
    """A table beta of length T+1: beta[0] = 0, then random variances between `least` and `most`."""
    drawn = least + (most - least) * torch.rand(T, generator=generator, dtype=torch.float64)
    return torch.cat([torch.zeros(1, dtype=torch.float64), drawn])
