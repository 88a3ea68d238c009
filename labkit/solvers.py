"""The solvers that plug into the loop of `sample`, one step from z_t to z_{t-1} each, and the times that a run visits.

A solver is a function `step(schedule, z_t, t, epsilon_hat, draw)` -> z_{t-1}, (B, ...), where `draw()` gives
fresh standard normal noise; its t counts the steps that are left. One that asks the network a second time,
or remembers the step before, is a class of such steps: each run makes its own, `solver(ask)`, where
`ask(z, t)` is the network's ε̂ at the solver's t. This file knows nothing of networks or devices.

Without fresh noise the steps follow the probability-flow ODE (Song et al. 2021b, equation 13). With
z̄ = z / sqrt(α) and σ = sqrt(1/α - 1) it reads dz̄/dσ = ε̂ (Song et al. 2021a, equation 14): DDIM is Euler's
method on it, and the solvers of second order here are DDIM's step with a better guess.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from labkit.reverse import predict_x
from labkit.schedule import NoiseSchedule, coefficients

Ask = Callable[[Tensor, int], Tensor]
Draw = Callable[[], Tensor]
Step = Callable[[NoiseSchedule, Tensor, int, Tensor, Draw], Tensor]
Solver = Step | Callable[[Ask], Step]


def ddim(schedule: NoiseSchedule, z_t: Tensor, t: int, epsilon_hat: Tensor, draw: Draw) -> Tensor:
    """DDIM with η = 0: guess x, then put the same guessed noise back, only less of it.

    Song et al. (2021a), equation 12: sqrt(α_{t-1}) x̂ + sqrt(1-α_{t-1}) ε̂. Nothing is drawn.
    """
    x_hat = predict_x(schedule, z_t, t, epsilon_hat)
    before = schedule.alpha.roll(1)
    signal, noise = coefficients(t, before.sqrt(), (1 - before).sqrt(), x_hat=x_hat, epsilon_hat=epsilon_hat)
    return signal * x_hat + noise * epsilon_hat


def ddim_eta(eta: float) -> Step:
    """The solver that puts part of the noise back as fresh noise: η = 0 is `ddim`, η = 1 draws from the posterior.

    Song et al. (2021a), equations 12 and 16: the fresh noise has η² times the variance of q(z_{t-1} | z_t, x̂), and
    the guessed noise so much less. One call of the network a step. ValueError for an eta outside 0..1.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta={eta!r} is outside 0..1; 0 draws nothing (DDIM), 1 is the posterior's variance")

    def step(schedule: NoiseSchedule, z_t: Tensor, t: int, epsilon_hat: Tensor, draw: Draw) -> Tensor:
        x_hat = predict_x(schedule, z_t, t, epsilon_hat)
        before = schedule.alpha.roll(1)
        fresh = eta**2 * (1 - before) * schedule.beta / (1 - schedule.alpha)  # a variance, 0 at t = 1
        signal, noise, std = coefficients(
            t, before.sqrt(), (1 - before - fresh).sqrt(), fresh.sqrt(), x_hat=x_hat, epsilon_hat=epsilon_hat
        )
        mean = signal * x_hat + noise * epsilon_hat
        return mean + std * draw() if std else mean

    return step


class Heun:
    """Heun's method: go there as DDIM does, ask again, and take the step anew with the mean of both guesses.

    Karras et al. (2022), algorithm 1, in the variables z̄ and σ. Second order; two calls of the network a step, and
    one on the last: no network knows t = 0.
    """

    def __init__(self, ask: Ask) -> None:
        self.ask = ask

    def __call__(self, schedule: NoiseSchedule, z_t: Tensor, t: int, epsilon_hat: Tensor, draw: Draw) -> Tensor:
        """One step, z_t (B, ...) to z_{t-1}; nothing is drawn."""
        arrived = ddim(schedule, z_t, t, epsilon_hat, draw)
        if t == 1:
            return arrived
        return ddim(schedule, z_t, t, (epsilon_hat + self.ask(arrived, t - 1)) / 2, draw)


class DPMSolver2M:
    """DPM-Solver++ (2M): DDIM's step, with x̂ drawn out half a step along the line through the last two guesses.

    Lu et al. (2022b), algorithm 2, with λ = log(SNR) / 2 as the clock. Second order while neighbouring steps of λ
    have bounded ratios, for one call of the network a step. The first step has no guess before it, and half of the
    last, to λ_0 = inf, is infinite: both are DDIM's own.
    """

    def __init__(self, ask: Ask) -> None:
        self.x_before = None  # the guess of the step before; ask is not needed, one call a step is the loop's own

    def __call__(self, schedule: NoiseSchedule, z_t: Tensor, t: int, epsilon_hat: Tensor, draw: Draw) -> Tensor:
        """One step, z_t (B, ...) to z_{t-1}; nothing is drawn."""
        x_before, self.x_before = self.x_before, predict_x(schedule, z_t, t, epsilon_hat)
        if x_before is not None and t > 1:
            earlier, now, later = (schedule.snr[[t + 1, t, t - 1]].log() / 2).tolist()
            drift = (later - now) / (2 * (now - earlier)) * (self.x_before - x_before)
            epsilon_hat = epsilon_hat - schedule.snr[t].sqrt().item() * drift  # the noise that x̂ + drift implies
        return ddim(schedule, z_t, t, epsilon_hat, draw)


def quadratic_times(schedule: NoiseSchedule, steps: int) -> list[int]:
    """`steps` times from T down, T (i / steps)² for i = steps..1: shorter steps near the image.

    Song et al. (2021a), appendix D.2; for `sample(..., steps=quadratic_times(schedule, 20))`. Whole numbers, each
    once: where two would be equal they are neighbours. `schedule.times` has even times, and its errors are raised.
    """
    count = len(schedule.times(steps))
    return _falling([round(schedule.T * (i / count) ** 2) for i in range(1, count + 1)], schedule.T)


def log_snr_times(schedule: NoiseSchedule, steps: int) -> list[int]:
    """`steps` times from T down to 1 at which the logarithm of the signal-to-noise ratio grows evenly.

    The uniform λ of Lu et al. (2022a), and diffusers' `use_lu_lambdas`. Whole numbers and errors as `quadratic_times`.
    """
    count = len(schedule.times(steps))
    log_snr = schedule.snr[1:].log()
    even = torch.linspace(log_snr[-1].item(), log_snr[0].item(), count, dtype=log_snr.dtype)
    return _falling((1 + (log_snr - even[:, None]).abs().argmin(1)).flip(0).tolist(), schedule.T)


def _falling(rising: list[int], T: int) -> list[int]:
    """Whole numbers that rise to T, moved apart where two are equal, and turned round."""
    times = [0]
    for left, t in zip(range(len(rising) - 1, -1, -1), rising, strict=True):
        times.append(min(max(t, times[-1] + 1), T - left))  # above the one before, with room for those that follow
    return times[:0:-1]
