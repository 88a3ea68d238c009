"""The tasks of lab 01: one step of the encoder, the chain, what keeps the variance, whether T is large enough.

Slides "Forward encoder I, II" and "Central idea of diffusion model I". `beta` has length T+1 with beta[0] = 0.
"""

import math

import torch
from torch import Tensor

from labkit.exercises.compare import NotAValue
from labkit.exercises.draws import normal, variances
from labkit.exercises.task import Case, Mistake, Task

# 1.3 one step


def forward_step(beta: Tensor, z_prev: Tensor, t: int, epsilon: Tensor) -> Tensor:
    """z_t = sqrt(1-β_t) z_{t-1} + sqrt(β_t) ε_t."""
    return math.sqrt(1 - beta[t]) * z_prev + math.sqrt(beta[t]) * epsilon


def step_cases(generator: torch.Generator) -> list[Case]:
    """One number without noise, one with, then images."""
    beta = torch.tensor([0, 0.36, 0.19, 0.51], dtype=torch.float64)
    one, zero = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    numbers = [(beta, one, 1, zero), (beta, zero, 1, one), (beta, 0.5 * one, 2, -one)]
    more = variances(generator, 6)
    return numbers + [(more, normal(generator, 2, 1, 3, 3), t, normal(generator, 2, 1, 3, 3)) for t in (1, 3, 6)]


STEP_MISTAKES = [
    Mistake("The noise is multiplied by β_t. A variance is a square: multiply ε by the standard deviation, its root.",
            lambda beta, z, t, e: math.sqrt(1 - beta[t]) * z + beta[t] * e, 0.5),
    Mistake("The image is multiplied by 1-β_t. Then the variance shrinks by (1-β_t)²: the slide has a root here.",
            lambda beta, z, t, e: (1 - beta[t]) * z + math.sqrt(beta[t]) * e, 0.5),
    Mistake("Both roots are missing: β_t is a variance.", lambda beta, z, t, e: (1 - beta[t]) * z + beta[t] * e),
    Mistake("This uses β of the step before. The slide's β_t is beta[t]: beta[0] = 0 stands in front.",
            lambda beta, z, t, e: forward_step(beta, z, t - 1, e), 0.5),
    Mistake("The image must shrink, too.", lambda beta, z, t, e: z + math.sqrt(beta[t]) * e),
    Mistake("The two roots have changed places: √(1-β_t) belongs to the image, √β_t to the noise.",
            lambda beta, z, t, e: math.sqrt(beta[t]) * z + math.sqrt(1 - beta[t]) * e),
]  # fmt: skip

# 1.4 the chain


def chain(beta: Tensor, x: Tensor, noise: Tensor) -> list[Tensor]:
    """z_0 = x, z_1, ..., z_T, where noise[t] is ε_t."""
    z = [x]
    for t in range(1, len(beta)):
        z.append(math.sqrt(1 - beta[t]) * z[t - 1] + math.sqrt(beta[t]) * noise[t])
    return z


def _chain(step: object) -> object:
    """A chain whose state at t is step(z, beta, noise, t), z being the states so far."""

    def wrong(beta: Tensor, x: Tensor, noise: Tensor) -> list[Tensor]:
        z = [x]
        for t in range(1, len(beta)):
            z.append(step(z, beta, noise, t))
        return z

    return wrong


CHAIN_MISTAKES = [
    Mistake("The step to z_t uses the noise of the step before it: ε_t is noise[t].",
            _chain(lambda z, beta, noise, t: forward_step(beta, z[-1], t, noise[t - 1])), 0.5),
    Mistake("Every step uses the same noise. The slide: additional *independent* noise in each step, noise[t].",
            _chain(lambda z, beta, noise, t: forward_step(beta, z[-1], t, noise[1])), 0.5),
    Mistake("Each step starts from x again. Step t goes on from z_{t-1}, the result of the step before.",
            _chain(lambda z, beta, noise, t: forward_step(beta, z[0], t, noise[t]))),
    Mistake("The list begins with z_1: put z_0 = x in front.", lambda beta, x, noise: chain(beta, x, noise)[1:], 0.5),
    Mistake("All there is is z_T: return all states, and make a new tensor in each step in place of changing one.",
            lambda beta, x, noise: [chain(beta, x, noise)[-1]] * len(beta), 0.5),
    Mistake("The step to z_t uses β and ε of the step before it.",
            _chain(lambda z, beta, noise, t: forward_step(beta, z[-1], t - 1, noise[t - 1]))),
    Mistake("The last step is missing: t runs from 1 to T, and T included.", lambda b, x, e: chain(b, x, e)[:-1], 0.5),
]  # fmt: skip

# 1.5 noise of one's own


def add_noise(x: Tensor, beta_1: float, generator: torch.Generator) -> Tensor:
    """z_1 from x with noise that is drawn here, a number of its own for each pixel."""
    epsilon = torch.randn(x.shape, generator=generator)
    return math.sqrt(1 - beta_1) * x + math.sqrt(beta_1) * epsilon


def record_noise(answer: object, x: Tensor, beta_1: float, generator: torch.Generator) -> tuple | None:
    """Three draws: two from one generator, one after the other, and the first once more from where it began."""
    start = generator.get_state()
    first, second = answer(x, beta_1, generator), answer(x, beta_1, generator)
    generator.set_state(start)
    again = answer(x, beta_1, generator)
    if first is None:
        return None
    return tuple(torch.as_tensor(z, dtype=torch.float64).round(decimals=3) for z in (first, second, again))


def look_at_noise(case: Case, recorded: list) -> tuple:
    """What was added to x, in units of √β_1: its statistics; and whether it repeats, and is new in the next call."""
    (x, beta_1, _), (z, second, again) = case, recorded
    if z.shape != x.shape:
        raise NotAValue(f"shape {tuple(z.shape)} came for images of shape {tuple(x.shape)}; keep the shape of x")
    epsilon = (z - math.sqrt(1 - beta_1) * x) / math.sqrt(beta_1)
    beside, below = (epsilon[..., 1:] * epsilon[..., :-1]).mean(), (epsilon[..., 1:, :] * epsilon[..., :-1, :]).mean()
    images, left = (epsilon[1:] * epsilon[:-1]).mean(), (epsilon * x).mean() / x.square().mean()
    fourth = epsilon.pow(4).mean() / 10
    repeats, moves = torch.equal(z, again), not torch.equal(z, second)
    return epsilon.mean(), left, epsilon.square().mean(), beside, below, images, fourth, repeats, moves


NOISE_PARTS = [
    "mean of the noise", "part of the image in the noise", "variance of the noise (over β_1)",
    "mean product of the noise of two pixels side by side",
    "mean product of the noise of two pixels one below the other",
    "mean product of two images' noise", "mean fourth power of the noise, over 10 (is it Gaussian?),",
    "answer to «does the same generator give the same noise?»", "answer to «is the noise new in the next call?»",
]  # fmt: skip
NOISE_MISTAKES = [
    Mistake("All pixels of an image share one number. The slide adds noise independently for each pixel.",
            lambda x, b, g: math.sqrt(1 - b) * x + math.sqrt(b) * torch.randn(len(x), 1, 1, 1, generator=g)),
    Mistake("All pixels of all images share one number: draw one for each, in the shape of x.",
            lambda x, b, g: math.sqrt(1 - b) * x + math.sqrt(b) * torch.randn(1, generator=g)),
    Mistake("The generator starts anew in every call, so the noise is always the same: leave its seed alone.",
            lambda x, b, g: add_noise(x, b, g.manual_seed(0)), 0.5),
    Mistake("All images get the same noise: draw a number for each image and pixel, in the shape of x.",
            lambda x, b, g: math.sqrt(1 - b) * x + math.sqrt(b) * torch.randn(1, *x.shape[1:], generator=g), 0.5),
    Mistake("The noise comes from torch.rand: uniform between 0 and 1. Gaussian noise is torch.randn.",
            lambda x, b, g: math.sqrt(1 - b) * x + math.sqrt(b) * torch.rand(x.shape, generator=g)),
    Mistake("The noise does not come from the generator, so nobody can draw the same again: pass generator=generator.",
            lambda x, b, g: add_noise(x, b, None), 0.5),
    Mistake("The noise is multiplied by β_1: its standard deviation is the root.",
            lambda x, b, g: math.sqrt(1 - b) * x + b * torch.randn(x.shape, generator=g), 0.5),
]  # fmt: skip

# 1.6 mean and variance along the chain


def moments(beta: Tensor, mean: float, variance: float) -> tuple[list[float], list[float]]:
    """Mean and variance at t = 0..T by the two rules."""
    means, spreads = [mean], [variance]
    for b in beta[1:].tolist():
        means.append(math.sqrt(1 - b) * means[-1])
        spreads.append((1 - b) * spreads[-1] + b)
    return means, spreads


def _moments(mean: object, variance: object) -> object:
    def wrong(beta: Tensor, m: float, v: float) -> tuple[list[float], list[float]]:
        means, spreads = [m], [v]
        for b in beta[1:].tolist():
            means.append(mean(means[-1], b))
            spreads.append(variance(spreads[-1], b))
        return means, spreads

    return wrong


def _mean(m: float, b: float) -> float:
    return math.sqrt(1 - b) * m


def _spread(v: float, b: float) -> float:
    return (1 - b) * v + b


MOMENTS_MISTAKES = [
    Mistake("The mean is multiplied by √(1-β), not by 1-β.", _moments(lambda m, b: (1 - b) * m, _spread), 0.5),
    Mistake("The variance is multiplied by the factor *squared*: var(aZ) = a² var(Z), here 1-β.",
            _moments(_mean, lambda v, b: math.sqrt(1 - b) * v + b), 0.5),
    Mistake("The old variance must shrink, too: 1-β times it.", _moments(_mean, lambda v, b: v + b), 0.5),
    Mistake("The noise adds the variance β; its root √β is the standard deviation.",
            _moments(_mean, lambda v, b: (1 - b) * v + math.sqrt(b)), 0.5),
    Mistake("The values at t = 0 are missing: T+1 numbers, the first the given ones.",
            lambda beta, m, v: tuple(part[1:] for part in moments(beta, m, v)), 0.5),
]  # fmt: skip

# 1.8 the Kolmogorov-Smirnov distance


def ks_distance(z: Tensor) -> Tensor:
    """The largest gap between the shares of the numbers in z and the distribution function of N(0, 1)."""
    z = z.flatten().sort().values
    gaussian = torch.special.ndtr(z)
    share = torch.arange(len(z) + 1, dtype=torch.float64) / len(z)
    return torch.maximum((share[1:] - gaussian).max(), (gaussian - share[:-1]).max())


def _gaps(z: Tensor) -> tuple[Tensor, Tensor]:
    z = z.flatten().double().sort().values
    share = torch.arange(len(z) + 1, dtype=torch.float64) / len(z)
    return share[1:] - torch.special.ndtr(z), torch.special.ndtr(z) - share[:-1]


def _unsorted(z: Tensor) -> Tensor:
    z, n = z.flatten(), z.numel()
    above = torch.arange(1, n + 1, dtype=torch.float64) / n - torch.special.ndtr(z)
    return torch.maximum(above.max(), (1 / n - above).max())


KS_MISTAKES = [
    Mistake("Only the gap just above each step of the staircase is looked at: the one just below counts as well.",
            lambda z: _gaps(z)[0].max(), 0.5),
    Mistake("Only the gap just below each step of the staircase is looked at: the one just above counts as well.",
            lambda z: _gaps(z)[1].max(), 0.5),
    Mistake("Each number is compared at the top of its step only: just below it the share is 1/n smaller.",
            lambda z: _gaps(z)[0].abs().max(), 0.5),
    Mistake("The numbers must be sorted first: the share below a value counts the smaller ones.", _unsorted),
    Mistake("This averages the gaps: D is the largest one.", lambda z: _gaps(z)[0].abs().mean()),
]  # fmt: skip

# 1.9 is T large enough?


def steps_needed(beta: Tensor, share: float) -> int:
    """The first t at which (1-β_1)...(1-β_t), the share of the image's variance that is left, is below `share`."""
    left = 1.0
    for t in range(1, len(beta)):
        left *= 1 - beta[t].item()
        if left < share:
            return t
    return len(beta)


def needed_cases(generator: torch.Generator) -> list[Case]:
    """A constant β, whose answer is a logarithm, then random ones; the share is reached each time."""
    constant = torch.tensor([0, *[0.5] * 12], dtype=torch.float64)
    linear = torch.cat([torch.zeros(1), torch.linspace(1e-4, 0.02, 500)]).double()
    random = [(variances(generator, 40), 0.01 + 0.1 * torch.rand(1, generator=generator).item()) for _ in range(4)]
    return [(constant, 0.3), (constant, 0.1), *random, (linear, 0.2)]


def _needed(left: object) -> object:
    return lambda beta, share: 1 + int((left(beta[1:]) < share).int().argmax())


NEEDED_MISTAKES = [
    Mistake("One step too early: this counts from 0. The factor of step 1 is the first one.",
            lambda beta, share: steps_needed(beta, share) - 1, 0.5),
    Mistake("One step too late.", lambda beta, share: steps_needed(beta, share) + 1, 0.5),
    Mistake("This follows the factor of the image, ∏√(1-β). Its *variance* has that squared: ∏(1-β).",
            _needed(lambda b: (1 - b).sqrt().cumprod(0)), 0.5),
    Mistake("The β were added up; what is left is a product, ∏(1-β).", _needed(lambda b: 1 - b.cumsum(0))),
    Mistake("This looks at 1-β_t of one step. What is left after t steps is the product.", _needed(lambda b: 1 - b)),
]  # fmt: skip

TASKS = (
    Task("1.1", 2, "One pixel by hand", math.sqrt(1 - 0.36) * 0.5 + math.sqrt(0.36) * (-1), [
        Mistake("The noise was multiplied by β = 0.36. That is a variance: its root belongs here.", 0.04, 0.5),
        Mistake("The image was multiplied by 1-β = 0.64: the slide has the root of it.", -0.28, 0.5),
        Mistake("The sign: ε is -1 here, so the noise makes the pixel darker.", 1.0, 0.5),
        Mistake("Both roots are missing.", 0.64 * 0.5 - 0.36),
    ]),
    Task("1.2", 1, "What torch.normal wants", math.sqrt(0.36), [
        Mistake("That is the variance. torch.normal asks for the standard deviation.", 0.36),
        Mistake("That is the factor of the image, √(1-β). The noise has another one.", 0.8),
        Mistake("That is 1-β. The noise has variance β; what is its standard deviation?", 0.64),
    ]),
    Task("1.3", 3, "One step of the encoder", forward_step, STEP_MISTAKES, step_cases),
    Task("1.4", 4, "The chain", chain, CHAIN_MISTAKES,
         lambda g: [(variances(g, T), normal(g, *shape), normal(g, T + 1, *shape))
                    for T, shape in ((2, (1,)), (3, (1,)), (6, (2, 1, 2, 2)))]),
    Task("1.5", 3, "Noise for each pixel", add_noise, NOISE_MISTAKES,
         lambda g: [(torch.tensor([-0.5, 1.0]).repeat(8, 4).expand(80, 1, 8, 8), 0.36, g)],
         record_noise, look_at_noise, rtol=0, atol=0.15, parts=NOISE_PARTS),
    Task("1.6", 3, "Mean and variance along the chain", moments, MOMENTS_MISTAKES,
         lambda g: [(variances(g, 1), 1.0, 0.5), (variances(g, 2), -0.6, 0.4), (variances(g, 9), 0.3, 2.0)],
         parts=("list of means", "list of variances")),
    Task("1.7", 2, "A factor that is too small", "half", [
        Mistake("At 0 nothing would be left, and yet each step adds noise of variance β: it cannot go to 0.", "zero"),
        Mistake("That is where the root leads. Solve v = (1-β)² v + β for v, with a small β.", "one"),
        Mistake("It would grow without any factor. Here each step shrinks by more than the root does.", "grows"),
    ]),
    Task("1.8", 4, "The Kolmogorov-Smirnov distance", ks_distance, KS_MISTAKES,
         lambda g: [(torch.tensor([0.7]).double(),), (torch.tensor([-1.5]).double(),), (normal(g, 3) + 1,),
                    (normal(g, 10) + 1.5,), (normal(g, 2, 1, 4, 4),), (normal(g, 50),)]),
    Task("1.9", 3, "Is T large enough?", steps_needed, NEEDED_MISTAKES, needed_cases),
)  # fmt: skip
