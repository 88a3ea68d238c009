"""The forward encoder: every q of the lecture, from the image x to the noise z_T.

Slides "Forward encoder I, II" and "Diffusion kernel". It knows nothing of networks. Tensors are
(B, ...) and floating point; t is an int or an int64 tensor (B,), 1..T; the result keeps their dtype.
All functions raise what `schedule.coefficients` raises.
"""

from torch import Tensor

from labkit.schedule import NoiseSchedule, coefficients


def forward_step(schedule: NoiseSchedule, z_prev: Tensor, t: int | Tensor, epsilon: Tensor) -> Tensor:
    """One step of the chain: z_t = sqrt(1-β_t) z_{t-1} + sqrt(β_t) ε_t, shape (B, ...).

    Slide "Forward encoder II"; at t = 1, z_prev is the image x.
    """
    keep, add = coefficients(t, (1 - schedule.beta).sqrt(), schedule.beta.sqrt(), z_prev=z_prev, epsilon=epsilon)
    return keep * z_prev + add * epsilon


def diffusion_kernel(schedule: NoiseSchedule, x: Tensor, t: int | Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of q(z_t | x) = N(sqrt(α_t) x, (1-α_t) I), both of the shape of x.

    Slide "Diffusion kernel".
    """
    signal, variance = coefficients(t, schedule.alpha.sqrt(), 1 - schedule.alpha, x=x)
    return signal * x, (0 * x) + variance


def diffuse(schedule: NoiseSchedule, x: Tensor, t: int | Tensor, epsilon: Tensor) -> Tensor:
    """One draw of q(z_t | x): z_t = sqrt(α_t) x + sqrt(1-α_t) ε, shape (B, ...).

    Slide "Diffusion kernel": the jump to step t at once.
    """
    signal, noise = coefficients(t, schedule.alpha.sqrt(), (1 - schedule.alpha).sqrt(), x=x, epsilon=epsilon)
    return signal * x + noise * epsilon


def posterior(schedule: NoiseSchedule, x: Tensor, z_t: Tensor, t: int | Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of q(z_{t-1} | z_t, x), both (B, ...); at t = 1 it is (x, 0).

    Bayes' theorem on the slide "Reverse decoder" once x is given; Bishop & Bishop (2024), 20.15-20.17.
    """
    beta, alpha = schedule.beta, schedule.alpha
    before = alpha.roll(1)  # before[t] = α_{t-1}; its entry 0 is never looked up, as t >= 1
    of_x, of_z, variance = coefficients(
        t,
        before.sqrt() * beta / (1 - alpha),
        (1 - beta).sqrt() * (1 - before) / (1 - alpha),
        beta * (1 - before) / (1 - alpha),
        x=x,
        z_t=z_t,
    )
    mean = of_x * x + of_z * z_t
    return mean, (0 * mean) + variance
