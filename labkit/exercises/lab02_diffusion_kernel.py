"""The tasks of lab 02: the joint, α, the jump and its kernel, one marginalisation on a grid, the signal-to-noise ratio.

Slide "Diffusion kernel". `beta` has length T+1 with beta[0] = 0; `alpha` has length T+1 with alpha[0] = 1 and is the
lecture's, the product of all 1-β up to t.
"""

import math

import torch
from torch import Tensor

from labkit.exercises.draws import normal, variances
from labkit.exercises.task import Case, Mistake, Task


def table(*numbers: float) -> Tensor:
    """Numbers as a float64 tensor."""
    return torch.tensor(numbers, dtype=torch.float64)


def drawn_alpha(generator: torch.Generator, T: int) -> Tensor:
    """A table of α for random variances."""
    return (1 - variances(generator, T)).cumprod(0)


def _density(z: Tensor, mean: Tensor, variance: float) -> Tensor:
    return (-((z - mean) ** 2) / (2 * variance)).exp() / math.sqrt(2 * math.pi * variance)


SINGLE = "Nearly right: in single precision hardly a digit of 1-α_t is left near t = 1. Subtract in the table's double."

# 2.1 the joint


def log_joint(beta: Tensor, z: Tensor) -> float:
    """log q(z_1, ..., z_T | x) = Σ log N(z_τ | sqrt(1-β_τ) z_{τ-1}, β_τ), where z_0 = x."""
    total = 0.0
    for t in range(1, len(beta)):
        off = z[t].item() - math.sqrt(1 - beta[t]) * z[t - 1].item()
        total += -0.5 * math.log(2 * math.pi * beta[t]) - off**2 / (2 * beta[t].item())
    return total


def joint_cases(generator: torch.Generator) -> list[Case]:
    """One step that hits its mean, one that does not, then longer chains."""
    one = table(0, 0.36)
    more = [(variances(generator, T), normal(generator, T + 1)) for T in (1, 3, 6)]
    return [(one, table(1, 0.8)), (one, table(0.5, -0.2)), *more]


def _joint(mean: object, variance: object = lambda b: b, first: int = 1) -> object:
    """A sum of log densities in which z_t has mean(beta, z, t) and variance(β_t)."""

    def term(beta: Tensor, z: Tensor, t: int) -> Tensor:
        return _density(z[t], mean(beta, z, t), variance(beta[t])).log()

    return lambda beta, z: sum(term(beta, z, t) for t in range(first, len(beta)))


def _mean(beta: Tensor, z: Tensor, t: int) -> Tensor:
    return (1 - beta[t]).sqrt() * z[t - 1]


JOINT_MISTAKES = [
    Mistake("β_τ went in as the standard deviation. It is the variance, which Normal does not take.",
            _joint(_mean, lambda b: b**2), 0.5),
    Mistake("Every factor starts from x. Step τ starts from z_{τ-1}: only the first factor has x in it.",
            _joint(lambda beta, z, t: (1 - beta[t]).sqrt() * z[0])),
    Mistake("The first factor, q(z_1|x), is missing: step 1 counts as well.", _joint(_mean, first=2), 0.5),
    Mistake("Only the exponents are there. A Gaussian density has a factor in front of the exponential, too.",
            lambda beta, z: sum(-((z[t] - _mean(beta, z, t)) ** 2) / (2 * beta[t]) for t in range(1, len(beta))), 0.5),
    Mistake("The mean of z_τ is z_{τ-1} itself here. The encoder shrinks it first (slide \"Forward encoder II\").",
            _joint(lambda beta, z, t: z[t - 1]), 0.5),
    Mistake("That is the joint density itself; its logarithm is asked for. (With 1000 factors the density underflows.)",
            lambda beta, z: math.exp(log_joint(beta, z)), 0.5),
]  # fmt: skip

# 2.3 the running product


def alpha(beta: Tensor) -> list[float]:
    """α_t = ∏_{τ≤t} (1-β_τ) for t = 0..T; α_0 = 1."""
    products = [1.0]
    for b in beta[1:].tolist():
        products.append(products[-1] * (1 - b))
    return products


ALPHA_MISTAKES = [
    Mistake("That is 1-β_t, one step's factor (DDPM's α_t); the lecture's α_t is a product.", lambda beta: 1 - beta),
    Mistake("The β were multiplied: it is 1-β on the slide.", lambda b: torch.cat([table(1), b[1:].cumprod(0)])),
    Mistake("The entry for t = 0 is missing: α_0 = 1 stands in front.", lambda beta: (1 - beta[1:]).cumprod(0), 0.5),
    Mistake("Everything stands one place too late. The slide's product runs up to and including step t.",
            lambda beta: torch.cat([table(1), (1 - beta[:-1]).cumprod(0)]), 0.5),
    Mistake("This takes the sum of the β from 1: nearly right while β is small. The slide's ∏ multiplies.",
            lambda beta: 1 - beta.cumsum(0)),
    Mistake("That is √α_t, the factor of the image.", lambda beta: (1 - beta).cumprod(0).sqrt(), 0.5),
    Mistake("That is 1-α_t, the variance of the noise.", lambda beta: 1 - (1 - beta).cumprod(0), 0.5),
]  # fmt: skip

# 2.4 the jump


def diffuse(alpha: Tensor, x: Tensor, t: int, epsilon: Tensor) -> Tensor:
    """z_t = sqrt(α_t) x + sqrt(1-α_t) ε."""
    return math.sqrt(alpha[t]) * x + math.sqrt(1 - alpha[t]) * epsilon


def jump_cases(generator: torch.Generator) -> list[Case]:
    """One number without noise, one with, then images."""
    few, one, zero = table(1, 0.64, 0.36, 0.09), table(1), table(0)
    numbers = [(few, one, 1, zero), (few, zero, 1, one), (few, 0.5 * one, 2, -one)]
    more = drawn_alpha(generator, 6)
    return numbers + [(more, normal(generator, 2, 1, 3, 3), t, normal(generator, 2, 1, 3, 3)) for t in (1, 3, 6)]


JUMP_MISTAKES = [
    Mistake("The noise is multiplied by 1-α_t. The slide's N states a variance; the noise is multiplied by its root.",
            lambda a, x, t, e: a[t].sqrt() * x + (1 - a[t]) * e, 0.5),
    Mistake("The image is multiplied by α_t: on the slide the mean has the root of it.",
            lambda a, x, t, e: a[t] * x + (1 - a[t]).sqrt() * e, 0.5),
    Mistake("Both roots are missing.", lambda a, x, t, e: a[t] * x + (1 - a[t]) * e),
    Mistake("α_t and 1-α_t have changed places: at a late t the image must have gone, and not the noise.",
            lambda a, x, t, e: (1 - a[t]).sqrt() * x + a[t].sqrt() * e),
    Mistake("This is α of the step before. The slide's α_t is alpha[t]: alpha[0] = 1 stands in front.",
            lambda a, x, t, e: diffuse(a, x, t - 1, e), 0.5),
    Mistake("The noise has the factor 1-√α_t. The root is to be taken of the variance, 1-α_t as a whole.",
            lambda a, x, t, e: a[t].sqrt() * x + (1 - a[t].sqrt()) * e, 0.5),
    Mistake("The image keeps its full strength: it must shrink.", lambda a, x, t, e: x + (1 - a[t]).sqrt() * e),
]  # fmt: skip

# 2.5 the jump for a batch


def diffuse_batch(alpha: Tensor, x: Tensor, t: Tensor, epsilon: Tensor) -> Tensor:
    """z of image i = sqrt(α) x + sqrt(1-α) ε with α at its own time t[i]."""
    own = alpha[t].reshape(-1, 1, 1, 1)
    return own.sqrt() * x + (1 - own).sqrt() * epsilon


def batch_cases(generator: torch.Generator) -> list[Case]:
    """One image, two of one pixel, a batch as high and wide as it is long (it hides a wrong broadcast), and another."""
    few, one = table(1, 0.64, 0.36), torch.ones(2, 1, 1, 1, dtype=torch.float64)
    cases = [(few, one[:1], torch.tensor([1]), 0 * one[:1]), (few, one, torch.tensor([1, 2]), 0 * one)]
    for shape, t in (((3, 1, 3, 3), [1, 5, 3]), ((4, 1, 2, 5), [2, 6, 1, 2])):
        cases.append((drawn_alpha(generator, 6), normal(generator, *shape), torch.tensor(t), normal(generator, *shape)))
    return cases


BATCH_MISTAKES = [
    Mistake("The factors lie along the last dimension: each column of pixels has its own t, not each image. Where W = B"
            " nothing stops you: B factors must line up with the first dimension.",
            lambda a, x, t, e: a[t].sqrt() * x + (1 - a[t]).sqrt() * e),
    Mistake("The factors lie along the rows: each row of pixels has its own t, not each image.",
            lambda a, x, t, e: a[t][:, None].sqrt() * x + (1 - a[t][:, None]).sqrt() * e),
    Mistake("All images get the t of the first one; each has its own.", lambda a, x, t, e: diffuse(a, x, t[0], e)),
    Mistake("This works for one image and stops with more: something in it (math.sqrt, int, .item) takes a single"
            " number, and t holds one for each image.",
            lambda a, x, t, e: math.sqrt(a[t]) * x + math.sqrt(1 - a[t]) * e, 0.5),
    Mistake("The noise is multiplied by the variance 1-α: its root belongs there.",
            lambda a, x, t, e: diffuse_batch(a, x, t, (1 - a[t]).sqrt().reshape(-1, 1, 1, 1) * e), 0.5),
    Mistake("This is α of the step before.", lambda a, x, t, e: diffuse_batch(a, x, t - 1, e), 0.5),
]  # fmt: skip

# 2.6 mean and variance of the kernel


def kernel(alpha: Tensor, x: Tensor, t: int) -> tuple[Tensor, Tensor]:
    """Mean sqrt(α_t) x and variance 1-α_t of q(z_t | x)."""
    return math.sqrt(alpha[t]) * x, torch.full_like(x, 1 - alpha[t])


def _kernel(mean: object, variance: object) -> object:
    return lambda a, x, t: (mean(a[t]) * x, torch.full_like(x, float(variance(a[t]))))


KERNEL_MISTAKES = [
    Mistake("The second part is the standard deviation. The slide's N(z_t | mean, 1-α_t) states the variance.",
            _kernel(torch.sqrt, lambda a: (1 - a).sqrt()), 0.5),
    Mistake("The variance is α_t here. α_t is what is left of the image; the noise has the rest.",
            _kernel(torch.sqrt, lambda a: a), 0.5),
    Mistake("The mean has α_t where the slide has its root.", _kernel(lambda a: a, lambda a: 1 - a), 0.5),
    Mistake("The mean is x itself: the slide multiplies it by √α_t.", _kernel(lambda a: 1, lambda a: 1 - a), 0.5),
    Mistake(SINGLE, _kernel(torch.sqrt, lambda a: 1 - a.float()), 0.5),
    Mistake("The two have changed places: the mean comes first.", lambda a, x, t: kernel(a, x, t)[::-1], 0.5),
    Mistake("This is the kernel of the step before.", lambda a, x, t: kernel(a, x, t - 1), 0.5),
]  # fmt: skip

# 2.7 one marginalisation


def marginal_step(q_prev: Tensor, grid: Tensor, beta_t: float) -> Tensor:
    """q(z_t|x) = Σ N(z_t | sqrt(1-β_t) z_{t-1}, β_t) q(z_{t-1}|x) · width, the sum over all z_{t-1} of the grid."""
    off = grid[:, None] - math.sqrt(1 - beta_t) * grid  # row: z_t, column: z_{t-1}
    step = (-(off**2) / (2 * beta_t)).exp() / math.sqrt(2 * math.pi * beta_t)
    return step @ q_prev * (grid[1] - grid[0])


def grid_cases(generator: torch.Generator) -> list[Case]:
    """All mass in the cell at z = 1, then random sums of two bumps, which end well inside their grid."""
    cases = [(table(*[0] * 6, 1, *[0] * 4), torch.linspace(-5, 5, 11).double(), 0.64)]
    for size in (61, 81):
        grid = torch.linspace(-6, 6, size, dtype=torch.float64)
        share, beta_t = (0.2 + 0.3 * torch.rand(2, generator=generator)).tolist()
        first, second = (_density(grid, mean, 0.3) for mean in normal(generator, 2).clamp(-1.5, 1.5))
        cases.append((share * first + (1 - share) * second, grid, beta_t))
    return cases


def _step(mean: object, variance: object = lambda b: b) -> object:
    return lambda q, z, b: _density(z[:, None], mean(z, b), variance(b)) @ q * (z[1] - z[0])


def _shrunk(z: Tensor, b: float) -> Tensor:
    return math.sqrt(1 - b) * z


GRID_MISTAKES = [
    Mistake("The width of the grid is missing.", lambda q, z, b: marginal_step(q, z, b) / (z[1] - z[0]), 0.5),
    Mistake("z_t and z_{t-1} have changed places. The sum runs over z_{t-1}, and it is z_{t-1} that is shrunk.",
            lambda q, z, b: _density(z, _shrunk(z, b)[:, None], b) @ q * (z[1] - z[0]), 0.5),
    Mistake("β_t went in as the standard deviation: it is the step's variance.", _step(_shrunk, lambda b: b**2), 0.5),
    Mistake("The step does not shrink z_{t-1}: its mean is √(1-β_t) z_{t-1}.", _step(lambda z, b: z), 0.5),
    Mistake("The result was divided by its sum. A density has the integral 1: its sum times the width is 1.",
            lambda q, z, b: marginal_step(q, z, b) / marginal_step(q, z, b).sum(), 0.5),
    Mistake("q(z_{t-1}|x) is not in it: weigh every z_{t-1} with the density that it has.",
            lambda q, z, b: marginal_step(torch.ones_like(q), z, b)),
]  # fmt: skip

# 2.8 the signal-to-noise ratio


def snr(alpha: Tensor) -> list[float]:
    """SNR_t = α_t / (1-α_t) for t = 1..T, behind the infinite one of t = 0, where there is no noise."""
    return [math.inf] + [a / (1 - a) for a in alpha[1:].tolist()]


SNR_MISTAKES = [
    Mistake("Upside down: this is noise over signal.", lambda a: (1 - a) / a, 0.5),
    Mistake("This is the ratio of the factors in front of image and noise. The SNR compares variances: no root.",
            lambda a: (a / (1 - a)).sqrt(), 0.5),
    Mistake("α_t and 1-α_t were squared. They are variances already.", lambda a: (a / (1 - a)) ** 2, 0.5),
    Mistake("The denominator has a plus: the noise's variance is 1-α_t.", lambda a: a / (1 + a)),
    Mistake(SINGLE, lambda a: a.float() / (1 - a.float()), 0.5),
    Mistake("The entry for t = 0 is missing: the first of T+1 is infinite.", lambda a: a[1:] / (1 - a[1:]), 0.5),
]  # fmt: skip

# 2.9 where they balance


def crossing(alpha: Tensor) -> int | None:
    """The first t with SNR_t < 1, that is α_t < 1-α_t."""
    for t, share in enumerate(alpha.tolist()):
        if share < 1 - share:
            return t


def crossing_cases(generator: torch.Generator) -> list[Case]:
    """A constant β, whose answer is a logarithm, then random ones; even √α falls below one half."""
    constant = 0.8 ** torch.arange(9, dtype=torch.float64)
    return [(constant,), *(((1 - variances(generator, 80, 0.01, 0.08)).cumprod(0),) for _ in range(3))]


CROSSING_MISTAKES = [
    Mistake("One step too early. That is the last t with SNR above 1, or a count from 0 that begins at t = 1.",
            lambda a: crossing(a) - 1, 0.5),
    Mistake("One step too late. alpha[0] belongs to t = 0, so the place in the table is t already.",
            lambda a: crossing(a) + 1, 0.5),
    Mistake("This looks where √α falls below one half. SNR = 1 says that the variances α and 1-α are equal.",
            lambda a: (a.sqrt() < 0.5).nonzero()[0], 0.5),
    Mistake("Here α itself is compared with 1. It is the SNR that passes 1.", lambda a: 1),
    Mistake("This counts the steps with an SNR below 1; the first is asked for.", lambda a: (a < 0.5).sum(), 0.5),
]  # fmt: skip

TASKS = (
    Task("2.1", 3, "The logarithm of the joint", log_joint, JOINT_MISTAKES, joint_cases, atol=1e-5),
    Task("2.2", 2, "Two noises in one", math.sqrt(0.3**2 + 0.4**2), [
        Mistake("The factors were added. Independent noises cancel in part: it is the variances that add.", 0.7),
        Mistake("That is the variance of the sum. The question is for its standard deviation.", 0.25, 0.5),
        Mistake("That is the product of the two factors. The noises are added.", 0.12),
        Mistake("That is the mean of the two factors. The sum varies more than either noise.", 0.35),
    ]),
    Task("2.3", 3, "From β to α", alpha, ALPHA_MISTAKES,
         lambda g: [(table(0, 0.36),), (table(0, 0.36, 0.75),), (variances(g, 5),), (variances(g, 12),)]),
    Task("2.4", 3, "The jump", diffuse, JUMP_MISTAKES, jump_cases),
    Task("2.5", 3, "A batch, each image at its own t", diffuse_batch, BATCH_MISTAKES, batch_cases),
    Task("2.6", 3, "Mean and variance of the kernel", kernel, KERNEL_MISTAKES,
         lambda g: [(table(1, 0.64, 0.36), table(1), 1), (drawn_alpha(g, 6), normal(g, 2, 1, 2, 2), 4),
                    (table(1, 1 - 1e-6, 0.81), normal(g, 2, 1, 2, 2).float(), 1)],
         atol=1e-9, parts=("mean", "variance")),
    Task("2.7", 3, "One marginalisation on a grid", marginal_step, GRID_MISTAKES, grid_cases, atol=1e-5),
    Task("2.8", 2, "The signal-to-noise ratio", snr, SNR_MISTAKES,
         lambda g: [(table(1, 0.8),), (drawn_alpha(g, 5),), (table(1, 1 - 1e-6, 0.9),)]),
    Task("2.9", 2, "Where signal and noise balance", crossing, CROSSING_MISTAKES, crossing_cases),
    Task("2.10", 1, "The same entry in diffusers", 259, [
        Mistake("One too many: that table has no entry for t = 0. Its index 0 is the lecture's t = 1.", 260),
        Mistake("Shifted to the wrong side: without an entry for t = 0 the indices are smaller than t.", 261),
        Mistake("Time runs the same way there: index 0 is the least noisy.", 740),
    ]),
)  # fmt: skip
