"""The reverse decoder: every p of the lecture, from noise back to an image.

Slides "An alternative solution" and "Reverse decoder": p(z_{t-1} | z_t, w) = N(μ(z_t, w, t), β_t I).
The network's guess ε̂ comes in as a tensor, so this file knows nothing of networks. Tensors are
(B, ...); t is an int or an int64 tensor (B,), 1..T. All raise what `schedule.coefficients` raises.
"""

from torch import Tensor

from labkit.schedule import NoiseSchedule, coefficients


def predict_x(schedule: NoiseSchedule, z_t: Tensor, t: int | Tensor, epsilon_hat: Tensor) -> Tensor:
    """The image that the guess implies: x̂ = (z_t - sqrt(1-α_t) ε̂) / sqrt(α_t), shape (B, ...).

    It is the slide "Diffusion kernel" solved for x.
    """
    noise, signal = coefficients(
        t, (1 - schedule.alpha).sqrt(), schedule.alpha.sqrt(), z_t=z_t, epsilon_hat=epsilon_hat
    )
    return (z_t - noise * epsilon_hat) / signal


def reverse_mean(schedule: NoiseSchedule, z_t: Tensor, t: int | Tensor, epsilon_hat: Tensor) -> Tensor:
    """The decoder's mean: μ = (z_t - β_t / sqrt(1-α_t) ε̂) / sqrt(1-β_t), shape (B, ...).

    It is the mean of q(z_{t-1} | z_t, x) with x̂ in place of x; Bishop & Bishop (2024), 20.31.
    """
    beta, alpha = schedule.beta, schedule.alpha
    share, keep = coefficients(t, beta / (1 - alpha).sqrt(), (1 - beta).sqrt(), z_t=z_t, epsilon_hat=epsilon_hat)
    return (z_t - share * epsilon_hat) / keep


def reverse_step(
    schedule: NoiseSchedule, z_t: Tensor, t: int | Tensor, epsilon_hat: Tensor, noise: Tensor | None
) -> Tensor:
    """One draw of p(z_{t-1} | z_t, w) = N(μ, β_t I), shape (B, ...); slide "Reverse decoder".

    At t = 1 the mean itself is returned: no noise is added on the way from z_1 to x, and for an
    int t = 1 `noise` may be None.
    """
    mean = reverse_mean(schedule, z_t, t, epsilon_hat)
    if noise is None:
        if not isinstance(t, Tensor) and t == 1:
            return mean
        raise ValueError("noise is None; give standard normal noise of the shape of z_t (only t = 1 needs none)")
    std = schedule.beta.sqrt()
    std[1] = 0
    (std,) = coefficients(t, std, z_t=z_t, noise=noise)
    return mean + std * noise
