"""schedule.py: the tables, their round trips, diffusers' tables and spacing, and what it says to bad input."""

import math

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from labkit.schedule import NoiseSchedule, coefficients

SCHEDULES = {"linear": NoiseSchedule.linear, "cosine": NoiseSchedule.cosine}
THEIRS = {"linear": "linear", "cosine": "squaredcos_cap_v2"}


@pytest.fixture(params=SCHEDULES)
def name(request: pytest.FixtureRequest) -> str:
    """The name of a schedule."""
    return request.param


@pytest.mark.parametrize("T", [1, 2, 7, 1000])
def test_tables_have_one_entry_more_than_steps(name: str, T: int) -> None:
    schedule = SCHEDULES[name](T)
    assert schedule.T == T
    for table in (schedule.beta, schedule.alpha, schedule.snr):
        assert table.shape == (T + 1,)
        assert table.dtype == torch.float64
    assert schedule.beta[0] == 0
    assert schedule.alpha[0] == 1
    assert schedule.snr[0] == math.inf


def test_alpha_is_the_product_and_beta_comes_back(name: str) -> None:
    schedule = SCHEDULES[name]()
    product = 1.0
    for t in range(1, schedule.T + 1):
        product *= 1 - schedule.beta[t].item()
        assert schedule.alpha[t].item() == pytest.approx(product, rel=1e-12)
    again = 1 - schedule.alpha[1:] / schedule.alpha[:-1]
    torch.testing.assert_close(again, schedule.beta[1:], rtol=1e-9, atol=1e-15)
    torch.testing.assert_close(NoiseSchedule(again).alpha, schedule.alpha, rtol=1e-9, atol=0)


def test_noise_only_grows(name: str) -> None:
    schedule = SCHEDULES[name]()
    assert (schedule.alpha.diff() < 0).all()
    assert (schedule.snr.diff() < 0).all()
    assert schedule.alpha[-1] < 1e-4
    assert schedule.beta.max() <= 0.999


def test_snr_is_signal_over_noise(name: str) -> None:
    schedule = SCHEDULES[name]()
    expected = schedule.alpha[1:] / (1 - schedule.alpha[1:])
    torch.testing.assert_close(schedule.snr[1:], expected)
    crossing = int((schedule.snr > 1).sum())
    assert schedule.alpha[crossing] < 0.5 < schedule.alpha[crossing - 1]


def test_linear_has_equal_steps_between_its_ends() -> None:
    schedule = NoiseSchedule.linear(5, beta_1=0.1, beta_T=0.5)
    torch.testing.assert_close(schedule.beta[1:], torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5], dtype=torch.float64))


def test_cosine_follows_its_formula_until_clipped() -> None:
    schedule = NoiseSchedule.cosine()
    u = torch.arange(1001, dtype=torch.float64) / 1000
    target = torch.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2
    torch.testing.assert_close(schedule.alpha[:-1], (target / target[0])[:-1], rtol=1e-9, atol=1e-15)
    assert schedule.beta[-1] == 0.999
    assert schedule.alpha[-1].item() == pytest.approx(schedule.alpha[-2].item() * 0.001, rel=1e-9)


@pytest.mark.parametrize("scheduler", [DDPMScheduler, DDIMScheduler])
@pytest.mark.parametrize("T", [10, 1000])
def test_tables_equal_those_of_diffusers(name: str, T: int, scheduler: type) -> None:
    theirs = scheduler(num_train_timesteps=T, beta_schedule=THEIRS[name])
    ours = SCHEDULES[name](T)
    torch.testing.assert_close(ours.alpha[1:], theirs.alphas_cumprod.double(), rtol=0, atol=1e-6)
    torch.testing.assert_close(ours.beta[1:], theirs.betas.double(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 10, 40, 50, 64, 100, 250, 999, 1000])
def test_times_are_diffusers_trailing_spacing(steps: int) -> None:
    theirs = DDPMScheduler(num_train_timesteps=1000, timestep_spacing="trailing")
    theirs.set_timesteps(steps)
    assert NoiseSchedule.linear().times(steps) == (theirs.timesteps + 1).tolist()


@pytest.mark.parametrize("T", [1, 7, 60])
def test_times_start_at_T_and_fall_without_repeats(T: int) -> None:
    schedule = NoiseSchedule.linear(T)
    for steps in range(1, T + 1):
        times = schedule.times(steps)
        assert times[0] == T
        assert len(times) == steps
        assert times[-1] >= 1
        assert all(a > b for a, b in zip(times, times[1:], strict=False))
    assert schedule.times() == schedule.times(T) == list(range(T, 0, -1))


@pytest.mark.parametrize("steps", [1, 3, 64, 1000, None])
def test_shortened_schedule_keeps_alpha(name: str, steps: int | None) -> None:
    schedule = SCHEDULES[name]()
    short = schedule.shortened(steps)
    times = schedule.times(steps)
    assert len(times) == short.T
    torch.testing.assert_close(short.alpha[1:], schedule.alpha[times[::-1]], rtol=1e-6, atol=0)


def test_schedule_takes_any_sequence_and_detaches() -> None:
    beta = torch.tensor([0.1, 0.2], requires_grad=True)
    assert not NoiseSchedule(beta).alpha.requires_grad
    assert NoiseSchedule([0.5]).alpha.tolist() == [1.0, 0.5]
    assert NoiseSchedule(np.array([0.5])).T == 1


@pytest.mark.parametrize(
    ("beta", "came"),
    [
        ([0.1, 0.0], "contains 0"),
        ([-0.1], "contains -0.1"),
        ([0.1, 1.0], "contains 1"),
        ([1.5], "contains 1.5"),
        ([0.1, math.nan], "contains nan"),
        ([math.inf], "contains inf"),
        ([], r"shape \(0,\)"),
        ([[0.1, 0.2]], r"shape \(1, 2\)"),
        (0.1, r"shape \(\)"),
    ],
)
def test_impossible_beta_is_refused(beta: list[float], came: str) -> None:
    with pytest.raises(ValueError, match=f"beta.*{came}.*(between 0 and 1|\\(T,\\))"):
        NoiseSchedule(torch.tensor(beta))


def test_linear_refuses_impossible_ends() -> None:
    with pytest.raises(ValueError, match="beta contains 1.00005;"):
        NoiseSchedule.linear(3, beta_T=2)


@pytest.mark.parametrize("make", SCHEDULES.values())
@pytest.mark.parametrize(
    ("T", "error"), [(0, ValueError), (-3, ValueError), (2.5, TypeError), ("9", TypeError), (True, ValueError)]
)
def test_impossible_length_is_refused(make: type, T: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"T={T!r}.*(1 or more|whole number)"):
        make(T)


@pytest.mark.parametrize("method", ["times", "shortened"])
@pytest.mark.parametrize(
    ("steps", "error", "allowed"),
    [
        (0, ValueError, "1 or more"),
        (-1, ValueError, "1 or more"),
        (11, ValueError, r"1\.\.10"),
        (2.5, TypeError, "whole number"),
        ("3", TypeError, "whole number"),
        (True, ValueError, "1 or more"),
    ],
)
def test_impossible_steps_are_refused(method: str, steps: object, error: type[Exception], allowed: str) -> None:
    with pytest.raises(error, match=f"steps={steps!r}.*{allowed}"):
        getattr(NoiseSchedule.linear(10), method)(steps)


def test_coefficients_are_numbers_for_int_and_columns_for_tensor() -> None:
    table = NoiseSchedule.linear(10).beta
    x = torch.zeros(2, 3, 4)
    (number,) = coefficients(7, table, x=x)
    (column,) = coefficients(torch.tensor([7, 1]), table, x=x)
    assert isinstance(number, float)
    assert number == table[7].item()
    assert column.shape == (2, 1, 1)
    assert column.dtype == x.dtype
    torch.testing.assert_close(column.flatten(), table[[7, 1]].float())


def test_repr_says_what_it_is() -> None:
    assert repr(NoiseSchedule([0.5, 0.25])) == "NoiseSchedule(T=2, beta 0.5 to 0.25, alpha_T 0.375)"
