"""exact.py: the mixture's density, its diffused marginals, Bayes on a grid, and E[ε | z_t] by brute force."""

import math

import pytest
import torch
from scipy.stats import kstest
from torch import Tensor

from labkit.exact import GaussianMixture, exact_model, exact_reverse
from labkit.forward import diffuse, diffusion_kernel, forward_step
from labkit.schedule import NoiseSchedule

SCHEDULE = NoiseSchedule.linear(40, 0.01, 0.3)
NUMBERS = GaussianMixture(torch.tensor([1.0, 3.0]), torch.tensor([-1.0, 0.8]), torch.tensor([0.2, 0.4]))
POINTS = GaussianMixture(torch.tensor([0.3, 0.7]), torch.tensor([[-1.0, 0.5], [1.0, 0.0]]), torch.tensor([0.3, 0.2]))
GRID = torch.linspace(-8, 8, 16_001, dtype=torch.float64)


def gaussian(z: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """The density N(z | mean, variance)."""
    return (-((z - mean) ** 2) / (2 * variance)).exp() / (2 * math.pi * variance).sqrt()


def generator(seed: int = 0) -> torch.Generator:
    """A generator on the CPU."""
    return torch.Generator().manual_seed(seed)


def test_weights_are_scaled_and_float64_kept() -> None:
    assert NUMBERS.weight.tolist() == [0.25, 0.75]
    assert {part.dtype for part in (NUMBERS.weight, NUMBERS.mean, NUMBERS.std)} == {torch.float64}


def test_pdf_is_the_weighted_sum_and_integrates_to_one() -> None:
    parts = zip(NUMBERS.weight, NUMBERS.mean, NUMBERS.std, strict=True)
    by_hand = sum(weight * gaussian(GRID, mean, std**2) for weight, mean, std in parts)
    torch.testing.assert_close(NUMBERS.pdf(GRID), by_hand)
    assert torch.trapezoid(NUMBERS.pdf(GRID), GRID).item() == pytest.approx(1, abs=1e-9)


def test_pdf_of_points_integrates_to_one() -> None:
    axis = torch.linspace(-4, 4, 401, dtype=torch.float64)
    density = POINTS.pdf(torch.cartesian_prod(axis, axis)).reshape(401, 401)
    assert torch.trapezoid(torch.trapezoid(density, axis), axis).item() == pytest.approx(1, abs=1e-6)


def test_pdf_far_away_is_zero_and_not_nan() -> None:
    assert NUMBERS.pdf(torch.tensor(1e6)) == 0


@pytest.mark.parametrize("t", [0, 1, 20, 40])
def test_draws_follow_the_diffused_density(t: int) -> None:
    """Draws of x, diffused with noise, against the distribution function of `diffused(t)`."""
    x = NUMBERS.sample(4000, generator(t))
    epsilon = torch.randn(4000, generator=generator(t + 100), dtype=torch.float64)
    z_t = diffuse(SCHEDULE, x, t, epsilon) if t else x
    marginal = NUMBERS.diffused(SCHEDULE, t)
    normal = torch.distributions.Normal(marginal.mean, marginal.std)

    def cdf(z): return (normal.cdf(torch.as_tensor(z)[:, None]) * marginal.weight).sum(-1).numpy()  # fmt: skip

    assert kstest(z_t.numpy(), cdf).pvalue > 0.01
    assert kstest(z_t.numpy() + 0.2, cdf).pvalue < 1e-6


def test_sample_has_the_shape_of_the_world_and_its_seed() -> None:
    assert NUMBERS.sample(5, generator()).shape == (5,)
    assert POINTS.sample(5, generator()).shape == (5, 2)
    assert torch.equal(POINTS.sample(5, generator(3)), POINTS.sample(5, generator(3)))
    assert not torch.equal(POINTS.sample(5, generator(3)), POINTS.sample(5, generator(4)))
    assert POINTS.sample(5, generator()).dtype == torch.float64


def test_sample_of_points_has_the_mixtures_moments() -> None:
    n = 40_000
    x = POINTS.sample(n, generator())
    mean = POINTS.weight @ POINTS.mean
    second = POINTS.weight @ (POINTS.mean**2 + POINTS.std[:, None] ** 2)
    assert ((x.mean(0) - mean).abs() < 4 * ((second - mean**2) / n).sqrt()).all()
    assert (((x**2).mean(0) - second).abs() < 4 * (x**2).std(0) / math.sqrt(n)).all()


@pytest.mark.parametrize("mixture", [NUMBERS, POINTS], ids=["numbers", "points"])
@pytest.mark.parametrize("t", [0, 1, 40])
def test_score_is_the_gradient_of_log_pdf(mixture: GaussianMixture, t: int) -> None:
    marginal = mixture.diffused(SCHEDULE, t)
    z = mixture.sample(20, generator()).requires_grad_()
    (expected,) = torch.autograd.grad(marginal.pdf(z).log().sum(), z)
    torch.testing.assert_close(marginal.score(z.detach()), expected)


@pytest.mark.parametrize("t", [1, 2, 15, 40])
@pytest.mark.parametrize("z_t", [-0.9, 0.1, 1.4])
def test_exact_reverse_is_bayes_on_a_grid(t: int, z_t: float) -> None:
    """∝ q(z_t | z_{t-1}) q(z_{t-1}), the second factor by summation over x where t > 1."""
    grid = torch.linspace(-7, 7, 2801, dtype=torch.float64)
    if t > 1:
        x = torch.linspace(-3, 3, 601, dtype=torch.float64)
        kernel = gaussian(grid[:, None], *diffusion_kernel(SCHEDULE, x, t - 1))
        before = torch.trapezoid(kernel * NUMBERS.pdf(x), x)
    else:
        before = NUMBERS.pdf(grid)
    step = forward_step(SCHEDULE, grid, t, torch.zeros_like(grid))
    product = gaussian(torch.tensor(z_t, dtype=torch.float64), step, SCHEDULE.beta[t]) * before
    density = exact_reverse(NUMBERS, SCHEDULE, z_t, t, grid)
    assert (density - product / torch.trapezoid(product, grid)).abs().max() < 1e-6
    assert torch.trapezoid(density, grid).item() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("t", [1, 5, 20, 40])
def test_exact_model_is_the_mean_of_epsilon_given_z(t: int) -> None:
    """E[ε | z_t] by summation over x: ε = (z_t - sqrt(α_t) x) / sqrt(1-α_t)."""
    z_t = torch.linspace(-2, 2, 9, dtype=torch.float64)
    mean, variance = diffusion_kernel(SCHEDULE, GRID, t)
    joint = gaussian(z_t[:, None], mean, variance) * NUMBERS.pdf(GRID)
    epsilon = (z_t[:, None] - mean) / variance.sqrt()
    expected = torch.trapezoid(joint * epsilon, GRID) / torch.trapezoid(joint, GRID)
    torch.testing.assert_close(exact_model(NUMBERS, SCHEDULE)(z_t, t), expected, rtol=1e-8, atol=1e-8)


def test_exact_model_for_one_gaussian_in_closed_form() -> None:
    """For x ~ N(0, s² I), E[ε | z_t] = sqrt(1-α_t) z_t / (α_t s² + 1-α_t), in any dimension."""
    world = GaussianMixture(torch.ones(1), torch.zeros(1, 3), torch.tensor([0.5]))
    z_t = torch.randn(4, 3, generator=generator(), dtype=torch.float64)
    alpha = SCHEDULE.alpha[9]
    expected = (1 - alpha).sqrt() * z_t / (alpha * 0.25 + 1 - alpha)
    torch.testing.assert_close(exact_model(world, SCHEDULE)(z_t, 9), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_exact_model_keeps_shape_and_dtype_and_takes_both_kinds_of_t(dtype: torch.dtype) -> None:
    model, t = exact_model(POINTS, SCHEDULE), torch.tensor([40, 1, 7, 1])
    z_t = torch.randn(4, 2, generator=generator()).to(dtype)
    batch = model(z_t, t)
    assert batch.dtype == dtype
    for i in range(4):
        torch.testing.assert_close(batch[i : i + 1], model(z_t[i : i + 1], t[i].item()))


def test_exact_model_of_numbers_takes_columns() -> None:
    model, z_t = exact_model(NUMBERS, SCHEDULE), torch.linspace(-1, 1, 5)
    torch.testing.assert_close(model(z_t[:, None], 3), model(z_t, 3)[:, None])


@pytest.mark.parametrize(
    ("weight", "mean", "std", "message"),
    [
        ([], [], [], "give .K,."),
        ([1.0], [0.0, 1.0], [1.0], "agree on K"),
        ([1.0, 1.0], [0.0, 1.0], [1.0], "give .K,."),
        ([[1.0]], [0.0], [1.0], "give .K,."),
        ([1.0], [[[0.0]]], [1.0], "give .K,."),
        ([1.0, 0.0], [0.0, 1.0], [1.0, 1.0], r"weight=\[1.0, 0.0\]; give finite"),
        ([1.0], [math.nan], [1.0], r"mean=\[nan\]; give finite"),
        ([1.0], [0.0], [-1.0], r"std=\[-1.0\]; give finite"),
        ([math.inf], [0.0], [1.0], r"weight=\[inf\]; give finite"),
    ],
)
def test_an_impossible_mixture_is_refused(weight: list, mean: list, std: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GaussianMixture(*(torch.tensor(part) for part in (weight, mean, std)))


@pytest.mark.parametrize("t", [-1, 41])
def test_a_time_outside_is_refused(t: int) -> None:
    for use in (lambda: NUMBERS.diffused(SCHEDULE, t), lambda: exact_reverse(NUMBERS, SCHEDULE, 0.0, t, GRID)):
        with pytest.raises(ValueError, match=rf"t={t} is outside 1\.\.40"):
            use()
    with pytest.raises(ValueError, match=rf"t={t} is outside 1\.\.40"):
        exact_model(NUMBERS, SCHEDULE)(GRID, t)
    with pytest.raises(ValueError, match=rf"t contains {t}, which is outside 1\.\.40"):
        exact_model(NUMBERS, SCHEDULE)(GRID[:2], torch.tensor([1, t]))


@pytest.mark.parametrize("t", [1.0, True, False, None], ids=repr)
def test_a_time_that_is_no_integer_is_refused(t: object) -> None:
    with pytest.raises(TypeError, match="t=.*not an integer"):
        NUMBERS.diffused(SCHEDULE, t)
    with pytest.raises(TypeError, match="t=.*not an integer"):
        exact_reverse(NUMBERS, SCHEDULE, 0.0, t, GRID)


def test_worlds_and_points_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"means of shape \(2, 2\).*needs numbers"):
        exact_reverse(POINTS, SCHEDULE, 0.0, 1, GRID)
    with pytest.raises(ValueError, match=r"z has shape \(4, 3\); give points \(\.\.\., 2\)"):
        POINTS.pdf(torch.zeros(4, 3))
    with pytest.raises(ValueError, match=r"z has shape \(4, 1\); give points \(\.\.\., 2\)"):
        exact_model(POINTS, SCHEDULE)(torch.zeros(4, 1), 1)
    with pytest.raises(ValueError, match="n=0; draw 1 or more"):
        NUMBERS.sample(0)


def test_a_mixture_of_images_is_as_exact_as_its_parts_and_fills_no_memory() -> None:
    """A thousand images of 1,024 pixels, whose differences from 100 points would take 0.8 GB, against sums by hand."""
    import resource

    mean = torch.randn(1000, 1024, generator=generator(), dtype=torch.float64)
    images = GaussianMixture(torch.ones(1000), mean, torch.linspace(0.5, 1.5, 1000))
    z = mean[:100] + 0.3 * torch.randn(100, 1024, generator=generator(1), dtype=torch.float64)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    score = images.score(z)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB
    for row in (0, 99):
        squares = (z[row] - mean).square().sum(1) / images.std**2
        share = (images.weight.log() - 1024 * images.std.log() - squares / 2).softmax(0) / images.std**2
        torch.testing.assert_close(score[row], share @ mean - share.sum() * z[row], rtol=1e-9, atol=1e-9)
