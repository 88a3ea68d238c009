"""reverse.py: μ from three sides, the step's noise, diffusers' DDPM step, and bad input."""

from collections.abc import Callable

import pytest
import torch
from diffusers import DDPMScheduler
from torch import Tensor

from labkit.forward import diffuse, posterior
from labkit.reverse import predict_x, reverse_mean, reverse_step
from labkit.schedule import NoiseSchedule

SCHEDULES = {"linear": NoiseSchedule.linear(), "cosine": NoiseSchedule.cosine()}
SHORT = NoiseSchedule.linear(30, 0.01, 0.3)
CALLS: dict[str, Callable[..., Tensor]] = {
    "predict_x": predict_x,
    "reverse_mean": reverse_mean,
    "reverse_step": lambda schedule, z_t, t, epsilon_hat: reverse_step(schedule, z_t, t, epsilon_hat, 0 * epsilon_hat),
}
call = pytest.mark.parametrize("f", CALLS.values(), ids=CALLS)


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Standard normal numbers from a seed."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("t", [1, 17, 30, torch.tensor([1, 30, 5])], ids=str)
def test_predict_x_undoes_diffuse(t: int | Tensor) -> None:
    x, epsilon = noise(3, 2, 2, seed=1), noise(3, 2, 2, seed=2)
    torch.testing.assert_close(predict_x(SHORT, diffuse(SHORT, x, t, epsilon), t, epsilon), x)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("t", [1, 2, 500, 998, 1000])
def test_the_mean_is_the_posteriors_with_the_guessed_image(schedule: NoiseSchedule, t: int) -> None:
    z_t, epsilon_hat = noise(3, 4, seed=1), noise(3, 4, seed=2)
    x_hat = predict_x(schedule, z_t, t, epsilon_hat)
    expected, _ = posterior(schedule, x_hat, z_t, t)
    torch.testing.assert_close(reverse_mean(schedule, z_t, t, epsilon_hat), expected, rtol=1e-7, atol=1e-8)


def test_the_step_is_the_mean_plus_noise_of_variance_beta() -> None:
    z_t, epsilon_hat, draw = noise(3, 4, seed=1), noise(3, 4, seed=2), noise(3, 4, seed=3)
    for t in range(2, 31):
        moved = reverse_step(SHORT, z_t, t, epsilon_hat, draw) - reverse_mean(SHORT, z_t, t, epsilon_hat)
        torch.testing.assert_close(moved**2, SHORT.beta[t] * draw**2)
        torch.testing.assert_close(moved.sign(), draw.sign())


def test_no_noise_on_the_last_step() -> None:
    z_1, epsilon_hat = noise(2, 4, seed=1), noise(2, 4, seed=2)
    mean = reverse_mean(SHORT, z_1, 1, epsilon_hat)
    loud = torch.full_like(z_1, 1e30)
    assert torch.equal(reverse_step(SHORT, z_1, 1, epsilon_hat, None), mean)
    assert torch.equal(reverse_step(SHORT, z_1, 1, epsilon_hat, loud), mean)
    mixed = reverse_step(SHORT, z_1, torch.tensor([1, 2]), epsilon_hat, torch.ones_like(z_1))
    torch.testing.assert_close(mixed[0], mean[0])
    assert (mixed[1] - reverse_mean(SHORT, z_1, 2, epsilon_hat)[1] > 0.05).all()


def test_the_table_is_left_alone() -> None:
    before = SHORT.beta.clone()
    reverse_step(SHORT, noise(2, 3), 2, noise(2, 3), noise(2, 3))
    assert torch.equal(SHORT.beta, before)


@call
@pytest.mark.parametrize("t", [1, 15, 30])
def test_an_int_and_a_tensor_t_agree(f: Callable[..., Tensor], t: int) -> None:
    z_t, epsilon_hat = noise(3, 2, 4, seed=1), noise(3, 2, 4, seed=2)
    by_tensor = f(SHORT, z_t, torch.full((3,), t), epsilon_hat)
    torch.testing.assert_close(by_tensor, f(SHORT, z_t, t, epsilon_hat), rtol=1e-12, atol=1e-14)


@call
@pytest.mark.parametrize("t", [12, torch.tensor([12, 3])], ids=["int", "tensor"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_dtype_is_kept(f: Callable[..., Tensor], dtype: torch.dtype, t: int | Tensor) -> None:
    z_t, epsilon_hat = noise(2, 3, seed=1, dtype=dtype), noise(2, 3, seed=2, dtype=dtype)
    result = f(SHORT, z_t, t, epsilon_hat)
    assert result.dtype == dtype
    exact = f(SHORT, z_t.double(), t, epsilon_hat.double())
    torch.testing.assert_close(result.double(), exact, rtol=0, atol=16 * torch.finfo(dtype).eps)


@call
@pytest.mark.parametrize("t", [12, torch.tensor([12, 3])], ids=["int", "tensor"])
def test_mixed_dtypes_promote_as_in_torch(f: Callable[..., Tensor], t: int | Tensor) -> None:
    z_t, epsilon_hat = noise(2, 3, seed=1), noise(2, 3, seed=2)
    assert f(SHORT, z_t.float(), t, epsilon_hat).dtype == torch.float64
    assert f(SHORT, z_t.half(), t, epsilon_hat.float()).dtype == torch.float32


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("t", [1, 2, 50, 500, 1000])
def test_one_step_of_diffusers_ddpm(name: str, t: int) -> None:
    kind = {"linear": "linear", "cosine": "squaredcos_cap_v2"}[name]
    theirs = DDPMScheduler(beta_schedule=kind, variance_type="fixed_large", clip_sample=False)
    z_t, epsilon_hat = noise(2, 1, 4, 4, seed=1).float(), noise(2, 1, 4, 4, seed=2).float()
    draw = torch.randn(z_t.shape, generator=torch.Generator().manual_seed(7))
    expected = theirs.step(epsilon_hat, t - 1, z_t, generator=torch.Generator().manual_seed(7)).prev_sample
    ours = reverse_step(SCHEDULES[name], z_t, t, epsilon_hat, draw)
    torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-4)


@call
@pytest.mark.parametrize("t", [0, 31, torch.tensor([1, 0]), torch.tensor([31, 1])], ids=repr)
def test_a_time_outside_is_refused(f: Callable[..., Tensor], t: int | Tensor) -> None:
    with pytest.raises(ValueError, match=r"t.*(0|31).*outside 1\.\.30"):
        f(SHORT, noise(2, 3), t, noise(2, 3))


@call
@pytest.mark.parametrize("t", [2.0, True, torch.tensor(2.0), torch.tensor([1.0, 2.0]), None], ids=repr)
def test_a_time_that_is_no_integer_is_refused(f: Callable[..., Tensor], t: object) -> None:
    with pytest.raises(TypeError, match=r"t(=| is ).*integer"):
        f(SHORT, noise(2, 3), t, noise(2, 3))


@call
def test_shapes_that_differ_are_refused(f: Callable[..., Tensor]) -> None:
    with pytest.raises(ValueError, match=r"shapes differ.*z_t.*\(2, 3\).*epsilon_hat.*\(2, 4\).*one shape"):
        f(SHORT, noise(2, 3), 2, noise(2, 4))


@call
def test_integer_images_are_refused(f: Callable[..., Tensor]) -> None:
    with pytest.raises(TypeError, match=r"z_t is torch\.uint8; give a floating-point tensor"):
        f(SHORT, torch.zeros(2, 3, dtype=torch.uint8), 2, noise(2, 3))


@pytest.mark.parametrize("t", [2, torch.tensor([1, 1]), torch.tensor([2, 3])], ids=str)
def test_noise_may_only_be_left_out_at_the_end(t: int | Tensor) -> None:
    with pytest.raises(ValueError, match="noise is None; give standard normal noise"):
        reverse_step(SHORT, noise(2, 3), t, noise(2, 3), None)


def test_noise_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shapes differ.*noise.*\(2, 1\)"):
        reverse_step(SHORT, noise(2, 3), 2, noise(2, 3), noise(2, 1))
