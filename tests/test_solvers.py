"""solvers.py: orders of accuracy against the exact flow, diffusers' solvers, spacings, calls counted, bad input."""

import math
from collections.abc import Callable, Iterator

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, HeunDiscreteScheduler
from scipy.integrate import solve_ivp
from torch import Tensor

from labkit.exact import GaussianMixture, exact_model
from labkit.forward import diffuse, posterior
from labkit.reverse import predict_x
from labkit.sample import ancestral, sample, trajectory
from labkit.schedule import NoiseSchedule
from labkit.solvers import DPMSolver2M, Heun, Solver, ddim, ddim_eta, log_snr_times, quadratic_times

LINEAR = NoiseSchedule.linear()
# cosine ends at α = 2e-9, where diffusers' float32 σ = 2e4 is rounded by more than 1e-4; so it stops early here
SCHEDULES = {"linear": LINEAR, "cosine to t = 950": NoiseSchedule(NoiseSchedule.cosine().beta[1:951])}
SHORT = NoiseSchedule.linear(12, 0.05, 0.4)
SPACINGS = {"uniform": NoiseSchedule.times, "quadratic": quadratic_times, "log SNR": log_snr_times}
ALL = {"ancestral": ancestral, "ddim": ddim, "eta": ddim_eta(0.7), "Heun": Heun, "2M": DPMSolver2M}
POINTS = GaussianMixture([0.5, 0.5], [[-0.6, 0.2], [0.7, 0.1]], [0.2, 0.3])
NUMBERS = GaussianMixture([0.3, 0.7], [-0.8, 0.6], [0.4, 0.5])
# β grows from 0 in proportion to t, and T i² / S² is a whole number for every S used: no rounding of times
LONG = NoiseSchedule.linear(2**14, 1e-9, 20 / 2**14)


def generator(seed: int = 0) -> torch.Generator:
    """A generator on the CPU."""
    return torch.Generator().manual_seed(seed)


def path(model: Callable, schedule: NoiseSchedule, *shape: int, seed: int = 0, **options: object) -> list[Tensor]:
    """All states of a run on the CPU from a seed, z_T first."""
    states = trajectory(model, schedule, shape, generator=generator(seed), device="cpu", **options)
    return [z for _, z in states]


def smooth(z_t: Tensor, t: int) -> Tensor:
    """A stand-in for a network: bounded, and different at every time."""
    return (z_t * 0.9).tanh() * (1 + t / 5000)


@pytest.fixture
def float64() -> Iterator[None]:
    """Noise is drawn in float64, so that rounding does not hide the errors of the solvers."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def below(world: GaussianMixture, z: Tensor) -> Tensor:
    """P(Z < z) for a mixture of numbers."""
    return (torch.special.ndtr((z[..., None] - world.mean) / world.std) * world.weight).sum(-1)


def flow(world: GaussianMixture, schedule: NoiseSchedule, z_T: Tensor) -> Tensor:
    """Where the probability-flow ODE takes z_T, without a solver: in one dimension it keeps the order.

    So as much of p(x) lies below x as of q(z_T) below z_T; x is found by halving an interval.
    """
    share = below(world.diffused(schedule, schedule.T), z_T)
    low, high = torch.full_like(z_T, -10), torch.full_like(z_T, 10)
    for _ in range(60):
        middle = (low + high) / 2
        small = below(world, middle) < share
        low, high = torch.where(small, middle, low), torch.where(small, high, middle)
    return (low + high) / 2


@pytest.mark.usefixtures("float64")
def test_the_reference_solves_the_ordinary_differential_equation() -> None:
    """dz̄/dσ = ε̂ by scipy's Runge-Kutta method of order 8, written without labkit's schedule or steps."""
    z_T = torch.tensor([-1.5, 0.2, 2.0])
    alpha = LONG.alpha[-1]
    weight, mean, std = NUMBERS.weight, NUMBERS.mean, NUMBERS.std

    def slope(sigma: float, z: Tensor) -> Tensor:
        variance = std**2 + sigma**2
        away = torch.as_tensor(z)[:, None] - mean
        share = (weight.log() - away**2 / (2 * variance) - variance.log() / 2).softmax(1)
        return sigma * (share * away / variance).sum(1)

    ends = (1 / alpha - 1).sqrt().item(), 0.0
    found = solve_ivp(slope, ends, z_T / alpha.sqrt(), method="DOP853", rtol=1e-10, atol=1e-12).y[:, -1]
    torch.testing.assert_close(torch.as_tensor(found), flow(NUMBERS, LONG, z_T), rtol=0, atol=1e-8)


def orders(solver: Solver, spacing: Callable) -> list[float]:
    """log2 of how much smaller the error gets, from 32 to 64 and to 128 steps."""
    model, errors = exact_model(NUMBERS, LONG), []
    for steps in (32, 64, 128):
        states = path(model, LONG, 64, solver=solver, steps=spacing(LONG, steps))
        errors.append((states[-1] - flow(NUMBERS, LONG, states[0])).abs().mean().item())
    return [math.log2(a / b) for a, b in zip(errors, errors[1:], strict=False)]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("spacing", [quadratic_times, log_snr_times])
@pytest.mark.parametrize(("solver", "order"), [(ddim, 1), (Heun, 2), (DPMSolver2M, 2)])
def test_the_error_falls_with_the_solvers_order(solver: Solver, order: int, spacing: Callable) -> None:
    """Twice the steps, 2^order times the accuracy; the tolerance on the order is 0.3.

    ddim_eta draws, so it follows no differential equation and has no order here.
    """
    for slope in orders(solver, spacing):
        assert abs(slope - order) < 0.3


@pytest.mark.usefixtures("float64")
def test_even_times_keep_the_order_but_for_2M() -> None:
    """Between even times λ moves ever further near t = 0, which 2M's proof excludes: it stays near order 1.5 there."""
    for solver, order in ((ddim, 1), (Heun, 2), (DPMSolver2M, 1.5)):
        for slope in orders(solver, NoiseSchedule.times):
            assert abs(slope - order) < 0.3


def of_diffusers(kind: type, schedule: NoiseSchedule, **options: object) -> object:
    """A scheduler of diffusers with our β."""
    return kind(schedule.T, trained_betas=schedule.beta[1:].numpy(), **options)


def their_ddim(schedule: NoiseSchedule, times: list[int], model: Callable, eta: float) -> Iterator[Tensor]:
    """The states after z_T of diffusers' DDIM, which knows even times only."""
    scheduler = of_diffusers(DDIMScheduler, schedule, clip_sample=False, timestep_spacing="trailing")
    scheduler.set_timesteps(len(times))
    assert (scheduler.timesteps + 1).tolist() == times
    noise = generator(5)
    z_t = torch.randn(5, 2, generator=noise)
    for t in scheduler.timesteps:
        z_t = scheduler.step(model(z_t, t.item() + 1), t, z_t, eta=eta, generator=noise).prev_sample
        yield z_t


def their_2m(schedule: NoiseSchedule, times: list[int], model: Callable) -> Iterator[Tensor]:
    """The same of diffusers' DPM-Solver++: order 2, "midpoint", and order 1 on the last step to σ = 0, its defaults."""
    scheduler = of_diffusers(DPMSolverMultistepScheduler, schedule)
    scheduler.set_timesteps(timesteps=[t - 1 for t in times])
    z_t = torch.randn(5, 2, generator=generator(5))
    for t in scheduler.timesteps:
        z_t = scheduler.step(model(z_t, t.item() + 1), t, z_t).prev_sample
        yield z_t


def their_heun(schedule: NoiseSchedule, times: list[int], model: Callable) -> Iterator[Tensor]:
    """The same of diffusers' Heun, which keeps z̄ = z / sqrt(α) and makes half a step a call; its grid is given."""
    scheduler = of_diffusers(HeunDiscreteScheduler, schedule)
    scheduler.set_timesteps(timesteps=[t - 1 for t in times])
    assert len(scheduler.timesteps) == 2 * len(times) - 1
    alpha = schedule.alpha.float()
    z_bar, arrivals = torch.randn(5, 2, generator=generator(5)) / alpha[times[0]].sqrt(), iter([*times[1:], 0])
    for call, t in enumerate(scheduler.timesteps, 1):
        guess = model(scheduler.scale_model_input(z_bar, t), int(t) + 1)
        z_bar = scheduler.step(guess, t, z_bar).prev_sample
        if call % 2 == 0 or call == len(scheduler.timesteps):  # the second half, or the last step's only one
            yield z_bar * alpha[next(arrivals)].sqrt()


def gap(ours: list[Tensor], theirs: Iterator[Tensor]) -> float:
    """The largest difference of two runs, in units of the largest number where that is above 1."""
    pairs = list(zip(ours, theirs, strict=True))
    return max(((a - b).abs().max() / b.abs().max().clamp(min=1)).item() for a, b in pairs)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("steps", [1, 10, 50])
@pytest.mark.parametrize("eta", [0, 0.3, 1])
def test_eta_equals_diffusers(schedule: NoiseSchedule, steps: int, eta: float) -> None:
    model = exact_model(POINTS, schedule)
    _, *ours = path(model, schedule, 5, 2, seed=5, solver=ddim_eta(eta), steps=steps)
    assert gap(ours, their_ddim(schedule, schedule.times(steps), model, eta)) < 1e-4


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # diffusers asks numpy in an old way
@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("spacing", SPACINGS.values(), ids=SPACINGS)
@pytest.mark.parametrize("steps", [1, 2, 10, 50])
@pytest.mark.parametrize(("solver", "theirs"), [(DPMSolver2M, their_2m), (Heun, their_heun)])
def test_second_order_equals_diffusers(
    solver: Solver, theirs: Callable, steps: int, spacing: Callable, schedule: NoiseSchedule
) -> None:
    times, model = spacing(schedule, steps), exact_model(POINTS, schedule)
    _, *ours = path(model, schedule, 5, 2, seed=5, solver=solver, steps=times)
    assert gap(ours, theirs(schedule, times, model)) < 1e-4


def test_eta_0_is_ddim_to_the_last_bit_and_draws_nothing() -> None:
    ours, theirs = (path(smooth, LINEAR, 4, 3, solver=solver, steps=20) for solver in (ddim_eta(0), ddim))
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert torch.equal(ddim_eta(0.0)(SHORT, ours[0], 5, ours[1], None), ddim(SHORT, ours[0], 5, ours[1], None))


@pytest.mark.parametrize("eta", [0.5, 1])
def test_etas_step_has_the_mean_and_variance_of_the_posterior(eta: float) -> None:
    """With fresh noise 0 and 1 one sees its mean and standard deviation; η = 1 is q(z_{t-1} | z_t, x̂) itself."""
    z_t, epsilon_hat = (torch.randn(4, 3, dtype=torch.float64, generator=generator(seed)) for seed in (1, 2))
    for t in range(1, SHORT.T + 1):
        mean, above = (ddim_eta(eta)(SHORT, z_t, t, epsilon_hat, lambda n=n: n + 0 * z_t) for n in (0, 1))
        its_mean, its_variance = posterior(SHORT, predict_x(SHORT, z_t, t, epsilon_hat), z_t, t)
        torch.testing.assert_close((above - mean) ** 2, eta**2 * its_variance)
        if eta == 1:
            torch.testing.assert_close(mean, its_mean)


@pytest.mark.parametrize("eta", [0.5, 1])
def test_etas_step_leads_from_one_marginal_to_the_next(eta: float) -> None:
    """Where the guess is right, z_{t-1} has the mean and variance of q(z_{t-1} | x), to 4 standard errors."""
    n, x = 40_000, torch.full((40_000,), 0.7, dtype=torch.float64)
    for t in (2, 6, 12):
        epsilon, fresh = (torch.randn(n, dtype=torch.float64, generator=generator(seed)) for seed in (t, 100 + t))
        z = ddim_eta(eta)(SHORT, diffuse(SHORT, x, t, epsilon), t, epsilon, lambda fresh=fresh: fresh)
        mean, variance = SHORT.alpha[t - 1].sqrt() * 0.7, 1 - SHORT.alpha[t - 1]
        assert abs(z.mean() - mean) < 4 * (variance / n).sqrt()
        assert abs(z.var() - variance) < 4 * variance * (2 / n) ** 0.5


def test_eta_1_gives_the_mixture_back() -> None:
    """Mean and variance of 4,000 draws, to 3 standard errors of each (that of a variance: Σ (d² - mean d²)²)."""
    x = path(exact_model(NUMBERS, LINEAR), LINEAR, 4000, solver=ddim_eta(1), steps=250, seed=1)[-1].double()
    truth = NUMBERS.sample(1_000_000, generator(2))
    for ours, theirs in ((x, truth), ((x - truth.mean()) ** 2, (truth - truth.mean()) ** 2)):
        assert abs(ours.mean() - theirs.mean()) < 3 * ours.std() / 4000**0.5


@pytest.mark.parametrize("steps", [1, 5, None])
@pytest.mark.parametrize("name", ALL)
def test_calls_of_the_network_are_counted(name: str, steps: int | None) -> None:
    """One a step, and for Heun two but for the last; a second call is at the time of arrival, never at 0."""
    seen = []

    def spy(z_t: Tensor, t: int) -> Tensor:
        seen.append(t)
        return smooth(z_t, t)

    path(spy, SHORT, 2, 3, solver=ALL[name], steps=steps)
    times = SHORT.times(steps)
    twice = [time for t, s in zip(times, times[1:], strict=False) for time in (t, s)]
    assert seen == ([*twice, times[-1]] if name == "Heun" else times)
    assert all(type(t) is int for t in seen)


@pytest.mark.parametrize("name", ALL)
def test_runs_do_not_disturb_one_another(name: str) -> None:
    """Two runs in turns: what a solver remembers belongs to its run."""
    alone = [path(smooth, SHORT, 2, 3, solver=ALL[name], seed=seed) for seed in (1, 2)]
    runs = [
        trajectory(smooth, SHORT, (2, 3), solver=ALL[name], generator=generator(seed), device="cpu") for seed in (1, 2)
    ]
    for one, two, (_, first), (_, second) in zip(*alone, *runs, strict=True):
        assert torch.equal(one, first)
        assert torch.equal(two, second)


@pytest.mark.parametrize("name", ALL)
def test_an_image_does_not_depend_on_its_batch(name: str) -> None:
    options = {"solver": ALL[name], "steps": 6, "device": "cpu", "progress": False}
    batch = sample(smooth, SHORT, (3, 4), generator=[generator(seed) for seed in (5, 6, 7)], **options)
    alone = [sample(smooth, SHORT, (1, 4), generator=generator(seed), **options) for seed in (5, 6, 7)]
    torch.testing.assert_close(batch, torch.cat(alone), rtol=0, atol=1e-4)


@pytest.mark.parametrize("solver", [Heun, DPMSolver2M])
def test_the_first_and_the_last_step_alone_are_ddims(solver: Solver) -> None:
    ours, theirs = (path(smooth, SHORT, 2, 3, solver=one, steps=1) for one in (solver, ddim))
    assert torch.equal(ours[-1], theirs[-1])


@pytest.mark.parametrize("T", [1, 7, 60])
@pytest.mark.parametrize("spacing", SPACINGS.values(), ids=SPACINGS)
def test_times_fall_from_T_without_repeats(spacing: Callable, T: int) -> None:
    for schedule in (NoiseSchedule.linear(T), NoiseSchedule.cosine(T)):
        for steps in range(1, T + 1):
            times = spacing(schedule, steps)
            assert times[0] == T
            assert len(times) == steps
            assert times[-1] >= 1
            assert all(type(t) is int for t in times)
            assert all(a > b for a, b in zip(times, times[1:], strict=False))
            assert schedule.times(times) == schedule.times(tuple(times)) == times
        assert spacing(schedule, None) == spacing(schedule, T) == list(range(T, 0, -1))


def test_quadratic_times_are_squares() -> None:
    assert quadratic_times(LINEAR, 10) == [1000, 810, 640, 490, 360, 250, 160, 90, 40, 10]
    assert quadratic_times(SHORT, 6) == [12, 8, 5, 3, 2, 1]  # 12 · (1, 4, 9, ...) / 36: 0.33 and 1.33 move up


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_log_snr_grows_evenly(schedule: NoiseSchedule) -> None:
    """Each time is the one nearest to its place, so a place lies between the two times beside it."""
    times = log_snr_times(schedule, 8)
    assert times[-1] == 1
    log_snr = schedule.snr.log()
    places = torch.linspace(log_snr[-1].item(), log_snr[1].item(), 8, dtype=torch.float64)
    for t, place in zip(times[1:-1], places[1:-1], strict=True):
        assert log_snr[t + 1] < place < log_snr[t - 1]


@pytest.mark.filterwarnings("ignore:__array__ implementation")
@pytest.mark.parametrize("steps", [5, 10, 15])
def test_log_snr_times_are_diffusers_to_one(steps: int) -> None:
    """They round the time that they find between two, and do not mind repeats: one apart at most."""
    scheduler = of_diffusers(DPMSolverMultistepScheduler, LINEAR, use_lu_lambdas=True)
    scheduler.set_timesteps(steps)
    assert (scheduler.timesteps + 1 - torch.tensor(log_snr_times(LINEAR, steps))).abs().max() <= 1


@pytest.mark.parametrize("solver", ALL.values(), ids=ALL)
def test_given_even_times_are_the_number_of_steps(solver: Solver) -> None:
    ours, theirs = (path(smooth, SHORT, 2, 3, solver=solver, steps=steps) for steps in (5, SHORT.times(5)))
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert SHORT.shortened(SHORT.times()) is SHORT


@pytest.mark.parametrize("eta", [-0.1, 1.1, math.nan])
def test_an_impossible_eta_is_refused(eta: float) -> None:
    with pytest.raises(ValueError, match=r"eta=.* is outside 0\.\.1"):
        ddim_eta(eta)


@pytest.mark.parametrize("steps", [[], [11, 5], [12, 5, 5], [12, 3, 5], (5, 12)], ids=str)
def test_times_that_do_not_fall_from_T_are_refused(steps: list[int]) -> None:
    with pytest.raises(ValueError, match="steps=.*must fall from T=12 to 1 or more, each once"):
        path(smooth, SHORT, 2, 3, steps=steps)


@pytest.mark.parametrize("bad", [0, -1, 13])
def test_a_time_that_cannot_be_is_refused(bad: int) -> None:
    with pytest.raises(ValueError, match=rf"t={bad} is outside 1\.\.12"):
        SHORT.times([12, bad])


def test_a_time_between_two_is_refused() -> None:
    with pytest.raises(TypeError, match="t=2.5 is not an integer"):
        SHORT.shortened([12, 2.5])


@pytest.mark.parametrize("spacing", SPACINGS.values(), ids=SPACINGS)
@pytest.mark.parametrize(("steps", "allowed"), [(0, "1 or more"), (13, r"1\.\.12"), (True, "1 or more")])
def test_impossible_steps_are_refused(spacing: Callable, steps: int, allowed: str) -> None:
    with pytest.raises(ValueError, match=f"steps={steps}.*{allowed}"):
        spacing(SHORT, steps)
