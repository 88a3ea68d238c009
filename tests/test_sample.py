"""sample.py: exact model + loop gives the data back; the loops of diffusers; seeds, batches, bad input."""

from collections.abc import Callable, Iterator

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from scipy.stats import ks_2samp
from torch import Tensor

from labkit.exact import GaussianMixture, exact_model
from labkit.model import fashion_unet
from labkit.reverse import reverse_mean, reverse_step
from labkit.sample import ancestral, ddim, guided, sample, trajectory
from labkit.schedule import NoiseSchedule

LINEAR = NoiseSchedule.linear()
SCHEDULES = {"linear": LINEAR, "cosine": NoiseSchedule.cosine()}
SHORT = NoiseSchedule.linear(12, 0.05, 0.4)
WORLD = GaussianMixture(torch.tensor([0.3, 0.7]), torch.tensor([-0.8, 0.6]), torch.tensor([0.15, 0.25]))
POINTS = GaussianMixture(torch.tensor([0.5, 0.5]), torch.tensor([[-0.6, 0.2], [0.7, 0.1]]), torch.tensor([0.2, 0.3]))


def generator(seed: int = 0) -> torch.Generator:
    """A generator on the CPU."""
    return torch.Generator().manual_seed(seed)


def draw(model: Callable, schedule: NoiseSchedule, *shape: int, seed: int = 0, **options: object) -> Tensor:
    """`sample` on the CPU from a seed, without a bar."""
    return sample(model, schedule, shape, generator=generator(seed), device="cpu", progress=False, **options)


def smooth(z_t: Tensor, t: int | Tensor) -> Tensor:
    """A stand-in for a network: bounded, and different at every time."""
    return (z_t * 0.9).tanh() * (1 + torch.as_tensor(t).reshape(-1, *[1] * (z_t.ndim - 1)) / 5000)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("solver", [ancestral, ddim], ids=["ancestral", "ddim"])
def test_exact_model_and_sampler_give_the_mixture_back(schedule: NoiseSchedule, solver: Callable) -> None:
    x = draw(exact_model(WORLD, schedule), schedule, 4000, solver=solver, seed=1)
    assert ks_2samp(x.numpy(), WORLD.sample(4000, generator(2)).numpy()).pvalue > 0.01


def test_the_two_sample_test_sees_a_decoder_with_std_in_place_of_variance() -> None:
    """The same run with noise of variance sqrt(β_t) must be found out, or the test above says nothing."""

    def loud(schedule: NoiseSchedule, z_t: Tensor, t: int, epsilon_hat: Tensor, noise: Callable) -> Tensor:
        mean = reverse_mean(schedule, z_t, t, epsilon_hat)
        return mean + schedule.beta[t].item() ** 0.25 * noise() if t > 1 else mean

    x = draw(exact_model(WORLD, LINEAR), LINEAR, 4000, solver=loud, steps=200, seed=1)
    assert ks_2samp(x.numpy(), WORLD.sample(4000, generator(2)).numpy()).pvalue < 1e-6


def test_points_come_back_too() -> None:
    x = draw(exact_model(POINTS, LINEAR), LINEAR, 3000, 2, seed=3)
    truth = POINTS.sample(3000, generator(4))
    for direction in torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, -0.8]]):
        assert ks_2samp((x @ direction).numpy(), (truth.float() @ direction).numpy()).pvalue > 0.01


def their_loop(scheduler: DDPMScheduler | DDIMScheduler, steps: int, model: Callable) -> Iterator[Tensor]:
    """Sampling as diffusers does it: its times (from 0), its steps, its own draws from the generator.

    With fewer steps than T diffusers' DDPM adds noise on the last step too, because it asks for t > 0
    and trailing spacing ends above 0 (a slip: x comes out grainy); here that noise is taken off again.
    """
    noise = generator(5)
    z_t = torch.randn(5, 2, generator=noise)
    yield z_t
    scheduler.set_timesteps(steps)
    for t in scheduler.timesteps:
        before = noise.get_state()
        z_t = scheduler.step(model(z_t, t.item() + 1), t, z_t, generator=noise).prev_sample
        if isinstance(scheduler, DDPMScheduler) and t == scheduler.timesteps[-1] and t > 0:
            noise.set_state(before)
            z_t = z_t - (1 - scheduler.alphas_cumprod[t]).sqrt() * torch.randn(5, 2, generator=noise)
        yield z_t


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("kind", [DDPMScheduler, DDIMScheduler])
@pytest.mark.parametrize("steps", [1, 10, 50, 1000])
def test_the_whole_loop_equals_diffusers(name: str, kind: type, steps: int) -> None:
    """Every state to 1e-4; cosine ends at α_T = 2e-9, where diffusers' float32 tables round more."""
    tolerance = 1e-4 if name == "linear" else 1e-3 if steps > 1 else 1e-2
    own = {"variance_type": "fixed_large"} if kind is DDPMScheduler else {"set_alpha_to_one": True}
    beta = {"linear": "linear", "cosine": "squaredcos_cap_v2"}[name]
    theirs = kind(beta_schedule=beta, clip_sample=False, timestep_spacing="trailing", **own)
    schedule, solver = SCHEDULES[name], ddim if kind is DDIMScheduler else ancestral
    model = exact_model(POINTS, schedule)
    ours = trajectory(model, schedule, (5, 2), solver=solver, steps=steps, generator=generator(5), device="cpu")
    for (_, mine), expected in zip(ours, their_loop(theirs, steps, model), strict=True):
        assert (mine - expected).abs().max() < tolerance


@pytest.mark.parametrize("steps", [None, 1, 5, 12])
def test_trajectory_yields_each_time_once_from_T_to_0(steps: int | None) -> None:
    path = list(trajectory(smooth, SHORT, (2, 3), steps=steps, generator=generator(), device="cpu"))
    assert [t for t, _ in path] == [*SHORT.times(steps), 0]
    assert path[0][0] == SHORT.T
    assert len(path) == (steps or 12) + 1
    assert torch.equal(path[0][1], torch.randn(2, 3, generator=generator()))
    assert torch.equal(path[-1][1], draw(smooth, SHORT, 2, 3, steps=steps))
    assert all(z.shape == (2, 3) and z.dtype == torch.float32 for _, z in path)


def test_states_that_were_yielded_are_not_changed_later() -> None:
    path = trajectory(smooth, SHORT, (2, 3), generator=generator(), device="cpu")
    kept = [(z, z.clone()) for _, z in path]
    assert all(torch.equal(now, then) for now, then in kept)


@pytest.mark.parametrize("steps", [None, 4])
def test_the_network_sees_the_original_t_as_an_int(steps: int | None) -> None:
    seen = []

    def spy(z_t: Tensor, t: int) -> Tensor:
        seen.append(t)
        return smooth(z_t, t)

    draw(spy, SHORT, 2, 3, steps=steps)
    assert seen == SHORT.times(steps)
    assert all(type(t) is int for t in seen)


def test_the_loop_is_the_lectures_step_written_out() -> None:
    noise = generator()
    z_t = torch.randn(2, 3, generator=noise)
    for t in range(12, 0, -1):
        fresh = torch.randn(2, 3, generator=noise) if t > 1 else None
        z_t = reverse_step(SHORT, z_t, t, smooth(z_t, t), fresh)
    torch.testing.assert_close(draw(smooth, SHORT, 2, 3), z_t, rtol=0, atol=1e-6)


def test_no_noise_on_the_last_step() -> None:
    """x is μ of z_1 alone, and nothing is drawn from the generator for it."""
    noise = generator()
    path = list(trajectory(smooth, SHORT, (2, 3), generator=noise, device="cpu"))
    z_1 = path[-2][1]
    torch.testing.assert_close(path[-1][1], reverse_mean(SHORT, z_1, 1, smooth(z_1, 1)))
    other = generator()
    for _ in range(12):  # z_12 and eleven noises
        torch.randn(2, 3, generator=other)
    assert torch.equal(torch.randn(3, generator=noise), torch.randn(3, generator=other))


def test_ddim_draws_nothing_after_the_start() -> None:
    first = torch.Generator().manual_seed(1)
    draw_once = torch.randn(2, 3, generator=first)
    noise = generator(1)
    path = list(trajectory(smooth, SHORT, (2, 3), solver=ddim, generator=noise, device="cpu"))
    assert torch.equal(path[0][1], draw_once)
    assert torch.equal(torch.randn(4, generator=noise), torch.randn(4, generator=first))


def test_the_seed_decides() -> None:
    assert torch.equal(draw(smooth, SHORT, 2, 3, seed=1), draw(smooth, SHORT, 2, 3, seed=1))
    assert not torch.equal(draw(smooth, SHORT, 2, 3, seed=1), draw(smooth, SHORT, 2, 3, seed=2))


def test_without_a_generator_the_global_seed_decides() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        one = sample(smooth, SHORT, (2, 3), device="cpu", progress=False)
        torch.manual_seed(3)
        assert torch.equal(one, sample(smooth, SHORT, (2, 3), device="cpu", progress=False))


@pytest.mark.parametrize("solver", [ancestral, ddim], ids=["ancestral", "ddim"])
def test_with_a_generator_each_an_image_does_not_depend_on_its_batch(solver: Callable) -> None:
    torch.manual_seed(0)
    model = fashion_unet((8, 16, 16)).eval()
    batch = sample(
        model, SHORT, (3, 1, 32, 32), solver=solver, generator=[generator(s) for s in (5, 6, 7)], device="cpu",
        progress=False,
    )  # fmt: skip
    for i, seed in enumerate((5, 6, 7)):
        alone = draw(model, SHORT, 1, 1, 32, 32, solver=solver, seed=seed)
        torch.testing.assert_close(batch[i : i + 1], alone, rtol=0, atol=1e-4)
    swapped = sample(
        model, SHORT, (2, 1, 32, 32), solver=solver, generator=(generator(7), generator(5)), device="cpu",
        progress=False,
    )  # fmt: skip
    torch.testing.assert_close(swapped, batch[[2, 0]], rtol=0, atol=1e-4)


def test_the_callers_gradients_stay_on_between_yields() -> None:
    for _, z in trajectory(smooth, SHORT, (1, 2), device="cpu", generator=generator()):
        assert torch.is_grad_enabled()
        assert not z.requires_grad


def test_what_was_drawn_can_be_changed_in_place_and_take_part_in_a_gradient() -> None:
    """What inference mode would not allow."""
    x, w = draw(smooth, SHORT, 2, 3), torch.ones(3, requires_grad=True)
    x.clamp_(-1, 1)
    (w * x).sum().backward()
    torch.testing.assert_close(w.grad, x.sum(0))
    x.requires_grad_()


def test_the_loop_can_be_left_early() -> None:
    path = trajectory(smooth, SHORT, (1, 2), device="cpu", generator=generator())
    next(path)
    path.close()
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_another_number_of_generators_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} generators for a batch of 2; give one, or one for each image"):
        sample(smooth, SHORT, (2, 3), generator=[generator()] * count, progress=False)


@pytest.mark.parametrize(
    ("steps", "error", "allowed"),
    [(0, ValueError, "1 or more"), (13, ValueError, r"1\.\.12"), (2.5, TypeError, "whole number")],
)
def test_impossible_steps_are_refused(steps: object, error: type[Exception], allowed: str) -> None:
    with pytest.raises(error, match=f"steps={steps}.*{allowed}"):
        draw(smooth, SHORT, 2, 3, steps=steps)


@pytest.mark.parametrize("shape", [(), (0, 3), (2, -1)], ids=str)
def test_an_empty_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"shape=\(.*give sizes of 1 or more, the batch first"):
        sample(smooth, SHORT, shape, progress=False)


@pytest.mark.parametrize("shape", [4, None, (2, 1.5), ("a",)], ids=repr)
def test_a_shape_of_no_whole_numbers_is_refused(shape: object) -> None:
    with pytest.raises(TypeError, match="shape=.*give whole numbers"):
        sample(smooth, SHORT, shape, progress=False)


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(ValueError, match="device='moon'.*use 'cpu'"):
        sample(smooth, SHORT, (2, 3), device="moon", progress=False)


@pytest.mark.parametrize("bad", [7, "ab", [1, 2]], ids=repr)
def test_a_seed_is_no_generator(bad: object) -> None:
    with pytest.raises(TypeError, match="generator=.*give a torch.Generator, or a list with one for each image"):
        sample(smooth, SHORT, (2, 3), generator=bad, progress=False)


def test_guidance_is_the_line_through_told_and_untold() -> None:
    def model(z_t, t, given):
        return z_t * given[:, :1] + t

    z, given, empty = torch.ones(2, 3), torch.tensor([[2.0], [5.0]]), torch.tensor([1.0])
    assert torch.equal(guided(model, given, empty, 1.0)(z, 4), model(z, 4, given))
    assert torch.equal(guided(model, given, empty, 0.0)(z, 4), model(z, 4, empty.expand(2, 1)))
    assert guided(model, given, empty, 3.0)(z, 4)[:, 0].tolist() == [1 + 3 * 1 + 4, 1 + 3 * 4 + 4]
