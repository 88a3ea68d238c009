"""forward.py: the iterated chain and the jump agree, the posterior is Bayes, dtypes, batches, bad input."""

import math
from collections.abc import Callable

import pytest
import torch
from diffusers import DDPMScheduler
from torch import Tensor

from labkit.forward import diffuse, diffusion_kernel, forward_step, posterior
from labkit.schedule import NoiseSchedule

SCHEDULES = {"linear": NoiseSchedule.linear(), "cosine": NoiseSchedule.cosine()}
SHORT = NoiseSchedule.linear(30, 0.01, 0.3)

# Every q of the lecture as f(schedule, a, t, b), so that rules for all can be tested on each.
CALLS: dict[str, Callable[..., Tensor]] = {
    "forward_step": forward_step,
    "diffuse": diffuse,
    "kernel mean": lambda schedule, a, t, b: diffusion_kernel(schedule, a, t)[0],
    "kernel variance": lambda schedule, a, t, b: diffusion_kernel(schedule, a, t)[1],
    "posterior mean": lambda schedule, a, t, b: posterior(schedule, a, b, t)[0],
    "posterior variance": lambda schedule, a, t, b: posterior(schedule, a, b, t)[1],
}
TWO_TENSORS = {"forward_step": ("z_prev", "epsilon"), "diffuse": ("x", "epsilon"), "posterior mean": ("x", "z_t")}
call = pytest.mark.parametrize("f", CALLS.values(), ids=CALLS)


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Standard normal numbers from a seed."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def gaussian(z: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """The density N(z | mean, variance)."""
    return (-((z - mean) ** 2) / (2 * variance)).exp() / (2 * math.pi * variance).sqrt()


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_moments_of_the_chain_are_those_of_the_kernel(schedule: NoiseSchedule) -> None:
    """Exactly: the chain is linear, so its factors are read off and its two moments carried along."""
    one, zero = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    x = torch.tensor([0.7], dtype=torch.float64)
    mean, variance = x, zero
    for t in range(1, schedule.T + 1):
        keep, add = forward_step(schedule, one, t, zero), forward_step(schedule, zero, t, one)
        mean, variance = keep * mean, keep**2 * variance + add**2
        expected_mean, expected_variance = diffusion_kernel(schedule, x, t)
        torch.testing.assert_close(mean, expected_mean, rtol=1e-9, atol=1e-14)
        torch.testing.assert_close(variance, expected_variance, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("t", [1, 10, 30])
def test_draws_of_the_chain_and_of_the_jump_have_the_kernels_moments(t: int) -> None:
    n = 100_000
    x = torch.full((n,), -0.6, dtype=torch.float64)
    chain = x
    for step in range(1, t + 1):
        chain = forward_step(SHORT, chain, step, noise(n, seed=step))
    mean, variance = (moment[0] for moment in diffusion_kernel(SHORT, x[:1], t))
    for z_t in (chain, diffuse(SHORT, x, t, noise(n, seed=99))):
        assert abs(z_t.mean() - mean) < 4 * (variance / n).sqrt()
        assert abs(z_t.var() - variance) < 4 * variance * math.sqrt(2 / (n - 1))


@call
@pytest.mark.parametrize("t", [1, 15, 30])
def test_an_int_and_a_tensor_t_agree(f: Callable[..., Tensor], t: int) -> None:
    a, b = noise(3, 2, 4, seed=1), noise(3, 2, 4, seed=2)
    by_int = f(SHORT, a, t, b)
    for dtype in (torch.int64, torch.int32, torch.uint8):
        torch.testing.assert_close(f(SHORT, a, torch.full((3,), t, dtype=dtype), b), by_int, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(f(SHORT, a, torch.tensor(t), b), by_int, rtol=0, atol=0)


@call
def test_each_image_has_its_own_time(f: Callable[..., Tensor]) -> None:
    a, b, t = noise(3, 2, 2, seed=1), noise(3, 2, 2, seed=2), torch.tensor([30, 1, 12])
    batch = f(SHORT, a, t, b)
    for i in range(3):
        torch.testing.assert_close(batch[i : i + 1], f(SHORT, a[i : i + 1], t[i].item(), b[i : i + 1]))


@call
@pytest.mark.parametrize("t", [12, torch.tensor([12, 3])], ids=["int", "tensor"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_dtype_is_kept(f: Callable[..., Tensor], dtype: torch.dtype, t: int | Tensor) -> None:
    a, b = noise(2, 3, seed=1, dtype=dtype), noise(2, 3, seed=2, dtype=dtype)
    result = f(SHORT, a, t, b)
    assert result.dtype == dtype
    assert result.shape == a.shape
    exact = f(SHORT, a.double(), t, b.double())
    torch.testing.assert_close(result.double(), exact, rtol=8 * torch.finfo(dtype).eps, atol=8 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("f", [CALLS[name] for name in TWO_TENSORS], ids=TWO_TENSORS)
@pytest.mark.parametrize("t", [12, torch.tensor([12, 3])], ids=["int", "tensor"])
@pytest.mark.parametrize(
    ("one", "other"), [(torch.float32, torch.float64), (torch.float16, torch.float32), (torch.bfloat16, torch.float16)]
)
def test_mixed_dtypes_promote_as_in_torch(f: Callable, t: int | Tensor, one: torch.dtype, other: torch.dtype) -> None:
    a, b = noise(2, 3, seed=1), noise(2, 3, seed=2)
    assert f(SHORT, a.to(one), t, b.to(other)).dtype == torch.promote_types(one, other)
    assert f(SHORT, a.to(other), t, b.to(one)).dtype == torch.promote_types(one, other)


@pytest.mark.parametrize("t", [2, 3, 11, 30])
def test_posterior_is_bayes_on_a_grid(t: int) -> None:
    """q(z_{t-1} | z_t, x) ∝ q(z_t | z_{t-1}) q(z_{t-1} | x), normalised by summation."""
    x, z_t = torch.tensor([0.4], dtype=torch.float64), torch.tensor([-0.3], dtype=torch.float64)
    grid = torch.linspace(-6, 6, 24_001, dtype=torch.float64)
    step = forward_step(SHORT, grid, t, torch.zeros_like(grid))
    product = gaussian(z_t, step, SHORT.beta[t]) * gaussian(grid, *diffusion_kernel(SHORT, x, t - 1))
    bayes = product / torch.trapezoid(product, grid)
    mean, variance = posterior(SHORT, x, z_t, t)
    assert (bayes - gaussian(grid, mean, variance)).abs().max() < 1e-6
    grid_mean = torch.trapezoid(grid * bayes, grid)
    assert abs(grid_mean - mean) < 1e-6
    assert abs(torch.trapezoid((grid - grid_mean) ** 2 * bayes, grid) - variance) < 1e-6


@pytest.mark.parametrize("t", [1, torch.tensor([1, 1])], ids=["int", "tensor"])
def test_posterior_at_the_first_step_is_the_image_itself(t: int | Tensor) -> None:
    x, z_1 = noise(2, 3, seed=1), noise(2, 3, seed=2)
    mean, variance = posterior(SHORT, x, z_1, t)
    torch.testing.assert_close(mean, x, rtol=1e-12, atol=1e-12)
    assert (variance.abs() < 1e-15).all()


@pytest.mark.parametrize("name", SCHEDULES)
def test_diffuse_is_add_noise_of_diffusers(name: str) -> None:
    theirs = DDPMScheduler(beta_schedule={"linear": "linear", "cosine": "squaredcos_cap_v2"}[name])
    x, epsilon = noise(6, 1, 4, 4, seed=1).float(), noise(6, 1, 4, 4, seed=2).float()
    t = torch.tensor([1, 2, 100, 500, 999, 1000])
    ours = diffuse(SCHEDULES[name], x, t, epsilon)
    torch.testing.assert_close(ours, theirs.add_noise(x, epsilon, t - 1), rtol=0, atol=1e-5)


def test_gradients_pass_through() -> None:
    x = noise(2, 3).requires_grad_()
    diffuse(SHORT, x, 5, noise(2, 3)).sum().backward()
    torch.testing.assert_close(x.grad, SHORT.alpha[5].sqrt().expand(2, 3))


def test_inputs_are_left_alone() -> None:
    x, epsilon, t = noise(2, 3, seed=1), noise(2, 3, seed=2), torch.tensor([4, 5])
    before = [part.clone() for part in (x, epsilon, t)]
    for f in CALLS.values():
        f(SHORT, x, t, epsilon)
    assert all(torch.equal(now, then) for now, then in zip((x, epsilon, t), before, strict=True))


@call
@pytest.mark.parametrize("t", [0, 31, -1, torch.tensor(0), torch.tensor([1, 0]), torch.tensor([31, 1])], ids=repr)
def test_a_time_outside_is_refused(f: Callable[..., Tensor], t: int | Tensor) -> None:
    came = t if isinstance(t, int) or t.ndim == 0 else t[(t < 1) | (t > 30)][0].item()
    with pytest.raises(ValueError, match=rf"t.*{int(came)}.*outside 1\.\.30"):
        f(SHORT, noise(2, 3), t, noise(2, 3))


@call
@pytest.mark.parametrize(
    "t",
    [2.0, "2", None, True, torch.tensor(2.0), torch.tensor(True), torch.tensor([1.0, 2.0]), torch.tensor([True, True])],
    ids=repr,
)
def test_a_time_that_is_no_integer_is_refused(f: Callable[..., Tensor], t: object) -> None:
    with pytest.raises(TypeError, match=r"t(=| is ).*(integer)"):
        f(SHORT, noise(2, 3), t, noise(2, 3))


@call
@pytest.mark.parametrize("t", [torch.tensor([1, 2, 3]), torch.tensor([[1], [2]])], ids=["three", "column"])
def test_a_time_for_each_image_is_needed(f: Callable[..., Tensor], t: Tensor) -> None:
    with pytest.raises((ValueError, TypeError), match=r"t .*shape \((3,|2, 1)\).*(one t an image|\(B,\))"):
        f(SHORT, noise(2, 3), t, noise(2, 3))


@pytest.mark.parametrize("name", TWO_TENSORS)
@pytest.mark.parametrize("shape", [(2, 4), (3,), (1, 2, 3), (2, 1)], ids=str)
def test_shapes_that_differ_are_refused(name: str, shape: tuple[int, ...]) -> None:
    first, second = TWO_TENSORS[name]
    with pytest.raises(ValueError, match=rf"shapes differ.*{first}.*\(2, 3\).*{second}.*one shape"):
        CALLS[name](SHORT, noise(2, 3), 1, noise(*shape))


@call
@pytest.mark.parametrize("bad", [torch.zeros(2, 3, dtype=torch.uint8), torch.zeros(2, 3, dtype=torch.int64)], ids=str)
def test_integer_images_are_refused(f: Callable[..., Tensor], bad: Tensor) -> None:
    with pytest.raises(TypeError, match=r"(x|z_prev) is torch\.\w*int\w*; give a floating-point tensor"):
        f(SHORT, bad, 1, noise(2, 3))


@pytest.mark.parametrize("name", TWO_TENSORS)
def test_things_that_are_no_tensor_are_refused(name: str) -> None:
    with pytest.raises(TypeError, match=rf"{TWO_TENSORS[name][1]} is float; give a floating-point tensor"):
        CALLS[name](SHORT, noise(2, 3), 1, 0.5)
