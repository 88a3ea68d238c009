"""The noise schedule: tables of β, α and the signal-to-noise ratio for t = 0..T.

It holds `NoiseSchedule` and `coefficients`, the only broadcasting helper, and knows nothing of
images, networks or devices. The lecture's α_t is the *cumulative* product ∏(1-β_τ) (DDPM's ᾱ_t);
the factor of one step is written `1 - beta[t]`. Tables are float64 and stay on the CPU.
"""

import math
import operator
from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor


class NoiseSchedule:
    """Tables of length T+1, so that `beta[t]` is the slide's β_t and t = 0 is the clean image.

    beta: (T,) tensor or sequence, β_1..β_T, each strictly between 0 and 1.
    Attributes: T (int); beta, alpha, snr (float64, length T+1) with beta[0] = 0, alpha[0] = 1,
    snr[0] = inf, where snr_t = α_t / (1 - α_t). Raises ValueError for an empty, non-finite or
    out-of-range β. Source: slides "Forward encoder II" and "Diffusion kernel".
    """

    def __init__(self, beta: Tensor) -> None:
        beta = torch.as_tensor(beta, dtype=torch.float64).detach().cpu()
        if beta.ndim != 1 or len(beta) == 0:
            raise ValueError(f"beta has shape {tuple(beta.shape)}; give one value a step, shape (T,) with T >= 1")
        if not ((beta > 0) & (beta < 1)).all():
            bad = beta[~((beta > 0) & (beta < 1))][0].item()
            raise ValueError(f"beta contains {bad:g}; every variance must lie strictly between 0 and 1")
        self.T = len(beta)
        self.beta = torch.cat([beta.new_zeros(1), beta])
        self.alpha = torch.cumprod(1 - self.beta, 0)
        self.snr = self.alpha / (1 - self.alpha)

    @classmethod
    def linear(cls, T: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02) -> "NoiseSchedule":
        """β grows in equal steps from beta_1 to beta_T (Ho et al. 2020, section 4)."""
        return cls(torch.linspace(beta_1, beta_T, _positive("T", T), dtype=torch.float64))

    @classmethod
    def cosine(cls, T: int = 1000) -> "NoiseSchedule":
        """α_t follows cos², s = 0.008; β is clipped at 0.999 and α computed from the clipped β.

        Source: Nichol & Dhariwal 2021, equation 17.
        """
        u = torch.arange(_positive("T", T) + 1, dtype=torch.float64) / T
        target = torch.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2
        return cls((1 - target[1:] / target[:-1]).clamp(max=0.999))

    def times(self, steps: int | Sequence[int] | None = None) -> list[int]:
        """The times that a run of `steps` visits: round(T i / steps) for i = steps..1, T included.

        `None` means all T. diffusers calls this spacing "trailing". ValueError outside 1..T. The times
        themselves, T first and falling to 1 or more, may be given too: `solvers` has other spacings.
        """
        if isinstance(steps, list | tuple):
            times = sorted({check_time(t, self.T) for t in steps}, reverse=True)
            if [self.T, *steps[1:]] != times:
                raise ValueError(f"steps={steps}; times must fall from T={self.T} to 1 or more, each once")
            return times
        steps = self.T if steps is None else _positive("steps", steps)
        if steps > self.T:
            raise ValueError(f"steps={steps} is more than the schedule has; use 1..{self.T}, or None for all")
        return [round(self.T * i / steps) for i in range(steps, 0, -1)]

    def shortened(self, steps: int | Sequence[int] | None = None) -> "NoiseSchedule":
        """The same noise levels with fewer, larger steps: β' = 1 - α_t/α_s for the jump from t to s.

        Its entry i belongs to the original time `times(steps)[-i]`; α there is the same.
        """
        kept = self.alpha[[0, *reversed(self.times(steps))]]
        return self if len(kept) == self.T + 1 else NoiseSchedule(1 - kept[1:] / kept[:-1])

    def __repr__(self) -> str:
        return (
            f"NoiseSchedule(T={self.T}, beta {self.beta[1]:.3g} to {self.beta[-1]:.3g}, alpha_T {self.alpha[-1]:.3g})"
        )


def coefficients(t: int | Tensor, *tables: Tensor, **tensors: Tensor) -> list[float | Tensor]:
    """Look up float64 `tables` (length T+1) at time t, ready to multiply `tensors` of shape (B, ...).

    For an int t each coefficient is a Python float; for t of shape (B,) it is a tensor (B, 1, ...)
    with the tensors' common dtype and device. `tensors` are named for the messages. Raises TypeError
    for tensors that are not floating point or a t that is not an integer, and ValueError for a t
    outside 1..T or for shapes that do not fit together.
    """
    T = len(tables[0]) - 1
    for name, value in tensors.items():
        if not isinstance(value, Tensor) or not value.is_floating_point():
            came = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise TypeError(f"{name} is {came}; give a floating-point tensor (images in [-1, 1])")
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"shapes differ: {shapes}; give tensors of one shape (B, ...)")
    first = next(iter(tensors.values()))
    t = check_time(t, T)
    if isinstance(t, int):
        return [table[t].item() for table in tables]
    if first.ndim == 0 or len(t) != len(first):
        raise ValueError(
            f"t has shape {tuple(t.shape)} but the batch has shape {tuple(first.shape)}; give one t an image"
        )
    dtype = reduce(torch.promote_types, (value.dtype for value in tensors.values()))
    shape = (-1, *[1] * (first.ndim - 1))
    index = t.to(tables[0].device, torch.int64)  # uint8 would be taken for a mask
    return [table[index].to(first.device, dtype).reshape(shape) for table in tables]


def check_time(t: int | Tensor, T: int) -> int | Tensor:
    """Return t as an int, or as an integer tensor of shape (B,), if all of it lies in 1..T."""
    if not isinstance(t, Tensor) or t.ndim == 0:
        try:
            if isinstance(t, bool) or (isinstance(t, Tensor) and t.dtype == torch.bool):
                raise TypeError
            t = operator.index(t)
        except TypeError:
            raise TypeError(f"t={t!r} is not an integer; time counts whole steps, 1..{T}") from None
        if not 1 <= t <= T:
            raise ValueError(f"t={t} is outside 1..{T}")
        return t
    if t.ndim != 1 or t.is_floating_point() or t.is_complex() or t.dtype == torch.bool:
        raise TypeError(f"t is {t.dtype} of shape {tuple(t.shape)}; give an int or an integer tensor (B,)")
    outside = t[(t < 1) | (t > T)]
    if len(outside):
        raise ValueError(f"t contains {outside[0].item()}, which is outside 1..{T}")
    return t


def _positive(name: str, value: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}={value!r} is not an integer; give a whole number of steps") from None
    if number < 1 or isinstance(value, bool):
        raise ValueError(f"{name}={value!r} is not a number of steps; give 1 or more")
    return number
