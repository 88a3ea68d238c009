"""Worlds in which everything is known: Gaussian mixtures, their exact reverse step and exact ε-model.

For images q(z_{t-1} | z_t) is out of reach, as p(x) is unknown (slide "Reverse decoder"); for a mixture
p(x) = Σ_k w_k N(x | m_k, s_k² I) every q(z_t) is a mixture again, so that each claim of the lecture
can be computed. This file knows nothing of networks that are trained.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from labkit.forward import diffusion_kernel
from labkit.schedule import NoiseSchedule, check_time


class GaussianMixture:
    """p(x) = Σ_k weight_k N(x | mean_k, std_k² I), in one dimension or in D.

    weight: (K,), positive, scaled to sum 1; mean: (K,) for numbers or (K, D) for points; std: (K,),
    positive. Kept in float64. Raises ValueError for shapes or values that cannot be.
    """

    def __init__(self, weight: Tensor, mean: Tensor, std: Tensor) -> None:
        weight, mean, std = (torch.as_tensor(part, dtype=torch.float64) for part in (weight, mean, std))
        shapes = [tuple(part.shape) for part in (weight, mean, std)]
        if weight.ndim != 1 or not len(weight) or weight.shape != std.shape or mean.ndim not in (1, 2):
            raise ValueError(f"weight, mean, std have shapes {shapes}; give (K,), (K,) or (K, D), and (K,)")
        if len(mean) != len(weight):
            raise ValueError(f"weight, mean, std have shapes {shapes}; they must agree on K")
        for name, part in {"weight": weight, "mean": mean, "std": std}.items():
            if not part.isfinite().all() or (name != "mean" and part.min() <= 0):
                raise ValueError(f"{name}={part.tolist()}; give finite values (weight and std above 0)")
        self.weight, self.mean, self.std = weight / weight.sum(), mean, std

    def pdf(self, z: Tensor) -> Tensor:
        """The density at z: z (...) for numbers, (..., D) for points; returns (...) in float64."""
        return self._log_terms(self._points(z)).logsumexp(0).exp()

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n independent draws: (n,) for numbers, (n, D) for points, float64."""
        if n < 1:
            raise ValueError(f"n={n}; draw 1 or more")
        component = torch.multinomial(self.weight, n, replacement=True, generator=generator)
        noise = torch.randn(n, *self.mean.shape[1:], dtype=torch.float64, generator=generator)
        return self.mean[component] + self.std[component].reshape(-1, *[1] * (self.mean.ndim - 1)) * noise

    def diffused(self, schedule: NoiseSchedule, t: int) -> "GaussianMixture":
        """The marginal q(z_t) = ∫ q(z_t | x) p(x) dx, a mixture again; t = 0 gives p(x) itself, t <= T."""
        if isinstance(t, int) and not isinstance(t, bool) and t == 0:
            return self
        mean, variance = diffusion_kernel(schedule, self.mean, int(check_time(t, schedule.T)))
        spread = schedule.alpha[t] * self.std**2 + variance.reshape(len(self.std), -1)[:, 0]
        return GaussianMixture(self.weight, mean, spread.sqrt())

    def score(self, z: Tensor) -> Tensor:
        """The gradient of log p at z, of the shape of z, float64."""
        points = self._points(z)
        share = self._log_terms(points).softmax(0) / self.std.reshape(-1, *[1] * (points.ndim - 1)) ** 2
        pull = torch.tensordot(share, self.mean.reshape(len(self.weight), -1), ([0], [0]))
        return (pull - share.sum(0)[..., None] * points).reshape(z.shape)

    def _points(self, z: Tensor) -> Tensor:
        z = torch.as_tensor(z, dtype=torch.float64)
        if self.mean.ndim == 1:
            return z[..., None]
        if z.ndim == 0 or z.shape[-1] != self.mean.shape[1]:
            raise ValueError(f"z has shape {tuple(z.shape)}; give points (..., {self.mean.shape[1]})")
        return z

    def _log_terms(self, points: Tensor) -> Tensor:
        """log(weight_k N(z | m_k, s_k² I)), (K, ...), without the (K, ..., D) differences: images have a large D."""
        mean = self.mean.reshape(len(self.weight), -1)
        constant = self.weight.log() - mean.shape[1] * (self.std.log() + math.log(2 * math.pi) / 2)
        squares = torch.cdist(mean, points.reshape(-1, mean.shape[1])).square()
        return (constant[:, None] - squares / (2 * self.std[:, None] ** 2)).reshape(-1, *points.shape[:-1])


def exact_reverse(mixture: GaussianMixture, schedule: NoiseSchedule, z_t: float, t: int, grid: Tensor) -> Tensor:
    """The density of q(z_{t-1} | z_t) on `grid` (G,), for one number z_t and a mixture in one dimension.

    Bayes' theorem on the slide "Reverse decoder": q(z_t | z_{t-1}) q(z_{t-1}) / q(z_t), every factor
    in closed form; float64, (G,). Raises ValueError for a mixture of points or a t outside 1..T.
    """
    if mixture.mean.ndim != 1:
        raise ValueError(f"means of shape {tuple(mixture.mean.shape)}; exact_reverse needs numbers, (K,)")
    t = int(check_time(t, schedule.T))
    grid, z_t = torch.as_tensor(grid, dtype=torch.float64), torch.as_tensor(z_t, dtype=torch.float64)
    beta = schedule.beta[t]
    step = (-((z_t - (1 - beta).sqrt() * grid) ** 2) / (2 * beta)).exp() / (2 * math.pi * beta).sqrt()
    return step * mixture.diffused(schedule, t - 1).pdf(grid) / mixture.diffused(schedule, t).pdf(z_t)


def exact_model(mixture: GaussianMixture, schedule: NoiseSchedule) -> Callable[[Tensor, int | Tensor], Tensor]:
    """The best possible network: `model(z_t, t)` = E[ε | z_t] = -sqrt(1-α_t) ∇ log q(z_t).

    z_t: (B, D), or (B,) for a mixture of numbers ((B, 1) works there too); t: int or (B,); the result
    has the shape and dtype of z_t.
    """

    def model(z_t: Tensor, t: int | Tensor) -> Tensor:
        t = check_time(t, schedule.T)
        if isinstance(t, int):
            score = mixture.diffused(schedule, t).score(z_t)
            return (-(1 - schedule.alpha[t]).sqrt() * score).to(z_t)
        rows = torch.empty_like(z_t)
        for value in t.unique().tolist():
            rows[t == value] = model(z_t[t == value], value)
        return rows

    return model
