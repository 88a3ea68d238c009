"""The tasks of lab 03: Bayes' step back, its modes, the posterior, the decoder and its loop, the conversions, the loss.

Slides "Reverse decoder" and "Role of variance of noise". `beta`, `alpha`: length T+1, beta[0] = 0, alpha[0] = 1.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from labkit.exercises.draws import guess, normal, variances
from labkit.exercises.task import Case, Mistake, Task

BETA = torch.tensor([0, 0.36, 0.4375, 0.4375], dtype=torch.float64)  # α = 1, 0.64, 0.36, 0.2025: easy roots
ONE = torch.ones(1, dtype=torch.float64)


def rows(generator: torch.Generator, first: int = 1) -> list[Case]:
    """(beta, alpha, z_t, t, another of the shape of z_t): by hand, then random batches; t is `first` or more."""
    by_hand = [(BETA, 0 * ONE, 2, ONE), (BETA, ONE, 2, 0 * ONE), (BETA, ONE, first, -ONE)]
    more, shapes = variances(generator, 6), {first: (3,), 3: (2, 3), 6: (2, 1, 2, 2)}
    drawn = [(more, normal(generator, *shape), t, normal(generator, *shape)) for t, shape in shapes.items()]
    return [(beta, torch.cumprod(1 - beta, 0), *rest) for beta, *rest in by_hand + drawn]


# 3.1 Bayes' theorem on a grid
def reverse(grid: Tensor, prior: Tensor, beta_t: float, z_t: float) -> Tensor:
    """q(z_{t-1}|z_t) = N(z_t | sqrt(1-β_t) z_{t-1}, β_t) q(z_{t-1}) / (the integral of that over z_{t-1})."""
    joint = torch.exp(-((z_t - math.sqrt(1 - beta_t) * grid) ** 2) / (2 * beta_t)) * prior
    return joint / (joint.sum() * (grid[1] - grid[0]))


def reverse_cases(generator: torch.Generator) -> list[Case]:
    """Five points, then a prior with two modes on 81 points."""
    five, grid = torch.linspace(-1, 1, 5).double(), torch.linspace(-4, 4, 81, dtype=torch.float64)
    cases = [(five, torch.tensor([0, 0.5, 1, 0.5, 0]).double(), 0.36, 0.4)]
    for beta_t in (0.1, 0.36, 0.6):
        u, v, w = torch.rand(3, generator=generator).tolist()
        cases.append((grid, 0.4 * _bell(grid, -1 - u, 0.2) + 0.6 * _bell(grid, v, 0.1), beta_t, 0.3 + w))
    return cases


def _bell(z: Tensor, mean: Tensor, variance: float) -> Tensor:
    return torch.exp(-((z - mean) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)


REVERSE_MISTAKES = [
    Mistake("This is likelihood times prior. Divide by q(z_t), its integral over the grid: a density must have area 1.",
            lambda grid, p, b, z: p * _bell(z, math.sqrt(1 - b) * grid, b), 0.5),
    Mistake("The numbers sum to 1, but their integral must be 1: it is the sum times the distance of two grid points.",
            lambda grid, p, b, z: reverse(grid, p, b, z) * (grid[1] - grid[0]), 0.5),
    Mistake("β_t was squared, as if it were a standard deviation. On the slide it is the variance of the noise.",
            lambda g, p, b, z: (j := p * _bell(z, (1 - b) ** 0.5 * g, b**2)) / (j.sum() * (g[1] - g[0])), 0.5),
    Mistake("The noise step shrinks z_{t-1} first: the Gaussian for z_t is centred at √(1-β_t) z_{t-1}.",
            lambda grid, p, b, z: (j := p * _bell(z, grid, b)) / (j.sum() * (grid[1] - grid[0])), 0.5),
    Mistake("The prior q(z_{t-1}) is missing: Bayes' theorem multiplies the likelihood by it.",
            lambda grid, p, b, z: reverse(grid, torch.ones_like(p), b, z)),
    Mistake("z_t and z_{t-1} have changed places. The noise step goes from a grid point z_{t-1} to the number z_t.",
            lambda grid, p, b, z: (j := p * _bell(grid, (1 - b) ** 0.5 * z, b)) / (j.sum() * (grid[1] - grid[0])), 0.5),
]  # fmt: skip


# 3.3 counting modes
def count_modes(density: Tensor) -> int:
    """The number of grid points above both neighbours and above 1 % of the highest."""
    inside = density[1:-1]
    peak = (inside > density[:-2]) & (inside > density[2:]) & (inside > 0.01 * density.max())
    return int(peak.sum())


def modes_cases(generator: torch.Generator) -> list[Case]:
    """One hill, two, hills near the limit of 1 % at several scales, and a rugged line; 0 at both ends."""
    fixed = (
        [0, 1, 0],
        [0, 2, 1, 3, 0],
        [0, 1, 2, 3, 2, 1, 0],
        [0, 50, 0, 0.2, 0, 0.8, 0],
        [0, 0.2, 0, 0.006, 0.001, 0.08, 0],
    )
    large = [0, 9, 2, 9.5, 1, 9.2, 2, 8, 1, 8.5, 1, 0.12, 0.11, 0.13, 0]
    rugged = torch.nn.functional.pad(0.2 + 3 * torch.rand(40, generator=generator), (1, 1))
    return [(torch.tensor(row).double(),) for row in [*fixed, large, rugged.tolist()]]


def _count(rule: Callable) -> Callable:
    """Counts the inner points for which rule(left, inside, right, density) holds."""
    return lambda density: int(rule(density[:-2], density[1:-1], density[2:], density).sum())


COUNT_MISTAKES = [
    Mistake("These are the valleys: a mode is higher than both of its neighbours.",
            _count(lambda a, b, c, d: (b < a) & (b < c))),
    Mistake("Tiny bumps count here as well: a mode must reach 1 % of the highest value.",
            _count(lambda a, b, c, d: (b > a) & (b > c)), 0.5),
    Mistake("The limit is 0.01 itself. It should be 1 % *of the highest value*, whatever the scale.",
            _count(lambda a, b, c, d: (b > a) & (b > c) & (b > 0.01)), 0.5),
    Mistake("The limit is 1 % of the sum. It should be 1 % of the highest value.",
            _count(lambda a, b, c, d: (b > a) & (b > c) & (b > 0.01 * d.sum())), 0.5),
    Mistake("Every change of direction counts here, from down to up as well: those are the valleys.",
            _count(lambda a, b, c, d: (b - a) * (c - b) < 0)),
    Mistake("This looks at one neighbour only, so every point of a rising slope counts. A mode beats both.",
            _count(lambda a, b, c, d: (b > a) & (b > 0.01 * d.max()))),
]  # fmt: skip


# 3.4 the posterior
def posterior(beta: Tensor, alpha: Tensor, x: Tensor, z_t: Tensor, t: int) -> tuple[Tensor, Tensor]:
    """Mean (sqrt(α_{t-1}) β_t x + sqrt(1-β_t) (1-α_{t-1}) z_t) / (1-α_t), variance β_t (1-α_{t-1}) / (1-α_t)."""
    variance = beta[t] * (1 - alpha[t - 1]) / (1 - alpha[t])
    mean = (alpha[t - 1].sqrt() * beta[t] * x + (1 - beta[t]).sqrt() * (1 - alpha[t - 1]) * z_t) / (1 - alpha[t])
    return mean, variance.expand(mean.shape)


def _unscaled(b: Tensor, a: Tensor, x: Tensor, z: Tensor, t: int) -> tuple[Tensor, Tensor]:
    variance = 1 / (1 / b[t] + 1 / (1 - a[t - 1]))
    mean = variance * (z / (1 - b[t]).sqrt() / b[t] + a[t - 1].sqrt() * x / (1 - a[t - 1]))
    return mean, variance


POSTERIOR_MISTAKES = [
    Mistake("The mean is right. β_t is the variance of the decoder p; q(z_{t-1}|z_t, x) has a smaller one: x is known.",
            lambda b, a, x, z, t: (posterior(b, a, x, z, t)[0], b[t]), 0.5),
    Mistake("The second number is the standard deviation; the variance is asked for.",
            lambda b, a, x, z, t: (posterior(b, a, x, z, t)[0], posterior(b, a, x, z, t)[1].sqrt()), 0.5),
    Mistake("α_t stands where α_{t-1} belongs: what x says about z_{t-1} is the diffusion kernel up to step t-1.",
            lambda b, a, x, z, t: posterior(b, a[t].expand(len(a)), x, z, t), 0.5),
    Mistake("The variance is right. In the mean, the weights of x and z_t have changed places.",
            lambda b, a, x, z, t: posterior(b, a, z, x, t), 0.5),
    Mistake("The variance is right. In the mean x needs the kernel's root: without noise z_{t-1} is √α_{t-1} x.",
            lambda b, a, x, z, t: posterior(b, a, a[t - 1].sqrt() * x, z, t), 0.5),
    Mistake("The variance is right. In the mean z_t is not enlarged: the step says that z_{t-1} is near z_t/√(1-β_t).",
            lambda b, a, x, z, t: posterior(b, a, x, (1 - b[t]).sqrt() * z, t), 0.5),
    Mistake("The precision of z_t's bell is 1/β_t here; divided by √(1-β_t) its variance is β_t/(1-β_t).", _unscaled),
    Mistake("The sum of the precisions is returned; the variance is one over it.",
            lambda b, a, x, z, t: (posterior(b, a, x, z, t)[0], 1 / posterior(b, a, x, z, t)[1]), 0.5),
    Mistake("The two have changed places: the mean comes first.", lambda *case: posterior(*case)[::-1], 0.5),
]  # fmt: skip


# 3.5 the mean of the decoder
def reverse_mean(beta: Tensor, alpha: Tensor, z_t: Tensor, t: int, epsilon_hat: Tensor) -> Tensor:
    """μ = (z_t - β_t / sqrt(1-α_t) ε̂) / sqrt(1-β_t)."""
    return (z_t - beta[t] / (1 - alpha[t]).sqrt() * epsilon_hat) / (1 - beta[t]).sqrt()


MEAN_MISTAKES = [
    Mistake("The sign: the guessed noise is taken *away*.", lambda b, a, z, t, e: reverse_mean(b, a, z, t, -e), 0.5),
    Mistake("The noise is multiplied by √β_t. In this formula β_t stands without a root.",
            lambda b, a, z, t, e: reverse_mean(b, a, z, t, e / b[t].sqrt()), 0.5),
    Mistake("The noise is divided by 1-α_t, its variance in z_t. The formula divides by the standard deviation.",
            lambda b, a, z, t, e: reverse_mean(b, a, z, t, e / (1 - a[t]).sqrt()), 0.5),
    Mistake("The first factor is missing: the step shrank z_{t-1} by √(1-β_t), so going back must enlarge.",
            lambda b, a, z, t, e: reverse_mean(b, a, z, t, e) * (1 - b[t]).sqrt(), 0.5),
    Mistake("The first factor has α_t, the product over all steps. One step is undone here: 1-β_t.",
            lambda b, a, z, t, e: reverse_mean(b, a, z, t, e) * ((1 - b[t]) / a[t]).sqrt(), 0.5),
    Mistake("The first factor belongs to the whole bracket, to the noise as well.",
            lambda b, a, z, t, e: reverse_mean(b, a, z, t, (1 - b[t]).sqrt() * e), 0.5),
]  # fmt: skip


# 3.6 the decoder's loop
def decode(model: Callable, beta: Tensor, z_T: Tensor, noise: Tensor) -> Tensor:
    """From z_T to x: z_{t-1} = μ(z_t, t) + sqrt(β_t) noise[t] for t = T..2, and x = μ(z_1, 1)."""
    alpha, z = torch.cumprod(1 - beta, 0), z_T
    for t in range(len(beta) - 1, 0, -1):
        mean = (z - beta[t] / (1 - alpha[t]).sqrt() * model(z, t)) / (1 - beta[t]).sqrt()
        z = mean + beta[t].sqrt() * noise[t] if t > 1 else mean
    return z


def decode_cases(generator: torch.Generator) -> list[Case]:
    """One step, two steps, five steps of a batch."""
    tables = {(1,): BETA[:2], (1, 1): BETA[:3], (2, 1, 2, 2): variances(generator, 5)}
    return [(guess, b, 0.5 + normal(generator, *s), normal(generator, len(b), *s)) for s, b in tables.items()]


DECODE_MISTAKES = [
    Mistake("Noise is added on the last step as well. On the way from z_1 to x there is none: x is the mean itself.",
            lambda m, b, z, n: decode(m, b, z, n) + b[1].sqrt() * n[1], 0.5),
    Mistake("The noise is multiplied by β_t. That is the decoder's variance: its root belongs here.",
            lambda m, b, z, n: decode(m, b, z, b.sqrt().reshape(-1, *[1] * z.ndim) * n), 0.5),
    Mistake("No noise is added. Each step but the last is a draw of N(μ, β_t I), not its mean.",
            lambda m, b, z, n: decode(m, b, z, 0 * n), 0.5),
    Mistake("The network is called with t-1. It looks at z_t, so tell it t.",
            lambda m, b, z, n: decode(lambda z, t: m(z, t - 1), b, z, n), 0.5),
    Mistake("The loop ends at z_1. One more step, t = 1, leads to x.",  # this ε̂ leaves z_1 where it is
            lambda m, b, z, n: decode(lambda z, t: m(z, t) if t > 1 else z * (1 - (1 - b[1]).sqrt()) / b[1].sqrt(),
                                      b, z, n), 0.5),
    Mistake("The network's guess is not used: it must denoise.", lambda m, *rest: decode(lambda z, t: 0 * z, *rest)),
]  # fmt: skip


# 3.7 and 3.8 conversions
def epsilon_from_x(alpha: Tensor, z_t: Tensor, t: int, x: Tensor) -> Tensor:
    """ε = (z_t - sqrt(α_t) x) / sqrt(1-α_t)."""
    return (z_t - alpha[t].sqrt() * x) / (1 - alpha[t]).sqrt()


def epsilon_cases(generator: torch.Generator) -> list[Case]:
    """Numbers and batches, then a t where α_t is nearly 1."""
    near, x = 1 - torch.tensor([0, 1e-6, 3e-6], dtype=torch.float64), normal(generator, 2)
    return [row[1:] for row in rows(generator)] + [(near, near[1].sqrt() * x + 1e-3 * normal(generator, 2), 1, x)]


EPSILON_MISTAKES = [
    Mistake("It is divided by 1-α_t, the variance of the noise. Divide by its standard deviation.",
            lambda a, z, t, x: epsilon_from_x(a, z, t, x) / (1 - a[t]).sqrt(), 0.5),
    Mistake("In z_t the image is multiplied by √α_t, not by α_t.",
            lambda a, z, t, x: epsilon_from_x(a, z, t, a[t].sqrt() * x), 0.5),
    Mistake("The sign: take the image away from z_t, not z_t away from it.",
            lambda a, z, t, x: -epsilon_from_x(a, z, t, x), 0.5),
    Mistake("The two roots have changed places.", lambda a, z, t, x: epsilon_from_x(1 - a, z, t, x), 0.5),
    Mistake("Right but at small t: there α_t is nearly 1, and float32 keeps few digits of 1-α_t. Leave α in float64.",
            lambda a, z, t, x: epsilon_from_x(a.float(), z, t, x), 0.5),
]  # fmt: skip


def x_from_mu(beta: Tensor, alpha: Tensor, z_t: Tensor, t: int, mu: Tensor) -> Tensor:
    """The x in μ = sqrt(α_{t-1}) β_t / (1-α_t) x + sqrt(1-β_t) (1-α_{t-1}) / (1-α_t) z_t."""
    of_x = alpha[t - 1].sqrt() * beta[t] / (1 - alpha[t])
    of_z = (1 - beta[t]).sqrt() * (1 - alpha[t - 1]) / (1 - alpha[t])
    return (mu - of_z * z_t) / of_x


# 3.9 the weight in the KL
def kl_weight(beta: Tensor, alpha: Tensor, t: int) -> Tensor:
    """The factor of (ε-ε̂)² in the KL: β_t / (2 (1-β_t) (1-α_t))."""
    return beta[t] / (2 * (1 - beta[t]) * (1 - alpha[t]))


# 3.10 the loss
def epsilon_loss(model: Callable, alpha: Tensor, x: Tensor, t: Tensor, epsilon: Tensor) -> Tensor:
    """The mean of (model(z_t, t) - ε)², where z_t = sqrt(α_t) x + sqrt(1-α_t) ε."""
    a = alpha[t].reshape(len(x), *[1] * (x.ndim - 1))
    return (model(a.sqrt() * x + (1 - a).sqrt() * epsilon, t) - epsilon).square().mean()


def loss_cases(generator: torch.Generator) -> list[Case]:
    """One number, four numbers, three points in two and in three dimensions; a time of its own for each."""
    alpha = torch.cumprod(1 - variances(generator, 6), 0)
    times = {(4,): [5, 1, 3, 6], (3, 2): [2, 6, 4], (3, 3): [6, 1, 3]}
    drawn = [(normal(generator, *s), torch.tensor(t), normal(generator, *s)) for s, t in times.items()]
    return [(guess, torch.cumprod(1 - BETA, 0), ONE, torch.tensor([1]), -ONE), *((guess, alpha, *row) for row in drawn)]


def _broadcast(model: Callable, alpha: Tensor, x: Tensor, t: Tensor, epsilon: Tensor) -> Tensor:
    return (model(alpha[t].sqrt() * x + (1 - alpha[t]).sqrt() * epsilon, t) - epsilon).square().mean()


LOSS_MISTAKES = [
    Mistake("The guess is compared with x. This network guesses the noise ε.",
            lambda model, a, x, t, e: epsilon_loss(lambda z, t: model(z, t) - x + e, a, x, t, e), 0.5),
    Mistake("The squares are summed. Take their mean, or the loss grows with the batch.",
            lambda model, a, x, t, e: epsilon_loss(model, a, x, t, e) * x.numel(), 0.5),
    Mistake("This is the mean absolute error; the KL leads to the square.",
            lambda model, a, x, t, e: epsilon_loss(lambda z, t: (model(z, t) - e).abs().sqrt() + e, a, x, t, e), 0.5),
    Mistake("The root at the end is too much.", lambda model, a, x, t, e: epsilon_loss(model, a, x, t, e).sqrt(), 0.5),
    Mistake("The network sees the clean x. It must see z_t, or there is no noise to guess.",
            lambda model, a, x, t, e: epsilon_loss(model, torch.ones_like(a), x, t, e)),
    Mistake("All have the time t[0].", lambda m, a, x, t, e: epsilon_loss(m, a[t[0]].expand(len(a)), x, t, e), 0.5),
    Mistake("alpha[t] has the shape (B,). For (B, D) it must become (B, 1), or it runs along D.", _broadcast, 0.5),
    Mistake("alpha[t] always becomes (B, 1) here; with x of shape (B,) that makes a table (B, B).",
            lambda model, a, x, t, e: _broadcast(model, a[:, None], x, t, e), 0.5),
]  # fmt: skip

TASKS = (
    Task("3.1", 3, "Bayes on a grid", reverse, REVERSE_MISTAKES, reverse_cases),
    Task("3.2", 1, "How many modes?", (1, 3), [
        Mistake("The other way round: the slide says which variance gives the complex shape.", (3, 1)),
        Mistake("With a large β, z_2 = 0 says little about z_1. Where does q(z_1) have its modes?", (1, 1), 0.5),
        Mistake("For the large β: z_1 may be near the component in the middle, and on *either* side.", (1, 2), 0.5),
        Mistake("For the small β: with a standard deviation of 0.03, can z_1 have been far away?", (3, 3), 0.5),
    ]),
    Task("3.3", 3, "Counting modes", count_modes, COUNT_MISTAKES, modes_cases, rtol=0),
    Task("3.4", 4, "The posterior", posterior, POSTERIOR_MISTAKES,
         lambda g: [(beta, alpha, x, z_t, t) for beta, alpha, z_t, t, x in rows(g, 2)], parts=("mean", "variance")),
    Task("3.5", 3, "The mean of the decoder", reverse_mean, MEAN_MISTAKES, rows),
    Task("3.6", 4, "The decoder", decode, DECODE_MISTAKES, decode_cases),
    Task("3.7", 2, "From x to ε", epsilon_from_x, EPSILON_MISTAKES, epsilon_cases),
    Task("3.8", 2, "From μ to x", x_from_mu, [
        Mistake("Take the part of z_t away from μ first.", lambda b, a, z, t, mu: x_from_mu(b, a, 0 * z, t, mu)),
        Mistake("What is left of μ is multiplied by the weight of x; solving for x divides by it.",
                lambda b, a, z, t, mu: x_from_mu(b, a, z, t, mu) * a[t - 1] * (b[t] / (1 - a[t])) ** 2, 0.5),
        Mistake("α_t, in place of α_{t-1}.", lambda b, a, z, t, mu: x_from_mu(b, a[t].expand(len(a)), z, t, mu), 0.5),
        Mistake("The part of z_t is added; take it away.", lambda b, a, z, t, mu: x_from_mu(b, a, -z, t, mu), 0.5),
    ], rows),
    Task("3.9", 1, "The weight of the squared error", kl_weight, [
        Mistake("A factor ½ is missing: divide (m-μ)² by *twice* β_t.", lambda b, a, t: 2 * kl_weight(b, a, t), 0.5),
        Mistake("Where is 1-β_t? Its root is squared, too.", lambda b, a, t: (1 - b[t]) * kl_weight(b, a, t), 0.5),
        Mistake("α_t stands where 1-α_t belongs.", lambda b, a, t: kl_weight(b, 1 - a, t), 0.5),
        Mistake("The division by the variance β_t is missing.", lambda b, a, t: b[t] * kl_weight(b, a, t), 0.5),
    ], lambda g: [(beta, alpha, t) for beta, alpha, _, t, _ in rows(g)]),
    Task("3.10", 3, "The loss", epsilon_loss, LOSS_MISTAKES, loss_cases),
    Task("3.11", 1, "Who guesses worse, and when?", "small", [
        Mistake("Near t = T the image is nearly gone: z_t is almost ε, and a poor guess of x spoils little.", "large"),
        Mistake("The factor from one error to the other changes in one direction all the way.", "middle"),
        Mistake("The factor between the two errors changes a great deal with t.", "equal"),
    ]),
)  # fmt: skip
