"""The tasks of lab 06: the state in z̄ and σ, steps of first and second order, what a step costs, which times to visit.

The kernel of the slide "Diffusion kernel", divided by sqrt(α_t): z̄ = x + σ ε with σ = sqrt(1/α_t - 1). `alpha` has
length T+1 with alpha[0] = 1, the lecture's product.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from labkit.exercises.draws import guess, normal, variances
from labkit.exercises.task import Case, Mistake, Task

HAND = torch.tensor([1, 0.64, 0.5, 0.2, 0.1], dtype=torch.float64)  # sqrt(1/α - 1) is 0, 0.75, 1, 2, 3
ONE = torch.ones(1, dtype=torch.float64)


# 6.1 the state in other units
def flat(alpha: Tensor, z_t: Tensor, t: int) -> tuple[Tensor, float]:
    """z̄ = z_t / sqrt(α_t) and σ = sqrt(1/α_t - 1)."""
    return z_t / math.sqrt(alpha[t]), math.sqrt(1 / alpha[t] - 1)


def flat_cases(generator: torch.Generator) -> list[Case]:
    """One number at α = 1/2, where σ = 1, and at α = 0.2; then images."""
    alpha, shape = (1 - variances(generator, 7)).cumprod(0), (2, 1, 3, 3)
    images = [(alpha, normal(generator, *shape), t) for t in (1, 4, 6)]
    return [(HAND, ONE, 2), (HAND, 3 * ONE, 3), *images]


FLAT_MISTAKES = [
    Mistake("That σ is the noise in z_t itself, √(1-α_t). All of z_t was divided by √α_t, the noise as well.",
            lambda alpha, z, t: (z / alpha[t].sqrt(), (1 - alpha[t]).sqrt()), 0.5),
    Mistake("That is σ², the variance of the noise in z̄; σ is its root.",
            lambda alpha, z, t: (z / alpha[t].sqrt(), 1 / alpha[t] - 1), 0.5),
    Mistake("z̄ is z_t divided by √α_t, the factor of x in the kernel: this divides by α_t.",
            lambda alpha, z, t: (z / alpha[t], (1 / alpha[t] - 1).sqrt()), 0.5),
    Mistake("z̄ must bring x back to its size: *divide* by the factor √α_t that x has in z_t.",
            lambda alpha, z, t: (z * alpha[t].sqrt(), (1 / alpha[t] - 1).sqrt()), 0.5),
    Mistake("That is √(α_t / (1-α_t)), image over noise. σ is noise over image, the same upside down.",
            lambda alpha, z, t: (z / alpha[t].sqrt(), (alpha[t] / (1 - alpha[t])).sqrt()), 0.5),
    Mistake("This uses α of the step before. The slide's α_t is alpha[t]: alpha[0] = 1 stands in front.",
            lambda alpha, z, t: flat(alpha, z, t - 1), 0.5),
    Mistake("The two have changed places: first z̄, then σ.", lambda alpha, z, t: flat(alpha, z, t)[::-1], 0.5),
]  # fmt: skip


# 6.2 a step of Euler's method
def euler(z_bar: Tensor, sigma: float, sigma_next: float, epsilon_hat: Tensor) -> Tensor:
    """z̄ + (σ_next - σ) ε̂: straight on along the slope."""
    return z_bar + (sigma_next - sigma) * epsilon_hat


def euler_cases(generator: torch.Generator) -> list[Case]:
    """One number from σ = 3 to 2, then images, down to σ = 0 as well."""
    images = [
        (normal(generator, 2, 1, 3, 3), high, low, normal(generator, 2, 1, 3, 3))
        for high, low in ((5.0, 1.5), (0.8, 0.3), (0.4, 0.0))
    ]
    return [(ONE, 3.0, 2.0, 0.5 * ONE), *images]


EULER_MISTAKES = [
    Mistake("The sign: σ falls, so σ_next - σ is negative, and noise is taken away.",
            lambda z, high, low, e: z + (high - low) * e, 0.5),
    Mistake("That goes all the way to σ = 0, where x̂ lies. Stop at σ_next.", lambda z, high, low, e: z - high * e),
    Mistake("That takes the noise of σ_next away; what has to go is the difference of the two.",
            lambda z, high, low, e: z - low * e),
    Mistake("Where is z̄? The slope times the difference is the change alone.",
            lambda z, high, low, e: (low - high) * e),
    Mistake("The slope dz̄/dσ is ε̂ for a difference of σ, not of σ².",
            lambda z, high, low, e: z + (low**2 - high**2) * e, 0.5),
    Mistake("A ratio shrinks all of z̄, and x with it. In these units x stays; only σ ε changes.",
            lambda z, high, low, e: z * low / high),
]  # fmt: skip


# 6.4 a step of Heun's method
def heun(epsilon_of: Callable, z_bar: Tensor, sigma: float, sigma_next: float) -> Tensor:
    """z̄ + (σ_next - σ) times the mean of the slope here and the slope at the place where Euler's step arrives."""
    here = epsilon_of(z_bar, sigma)
    there = epsilon_of(z_bar + (sigma_next - sigma) * here, sigma_next)
    return z_bar + (sigma_next - sigma) * (here + there) / 2


def itself(z_bar: Tensor, sigma: float) -> Tensor:
    """A slope that can be followed by hand."""
    return z_bar


itself.__name__ = "ε̂ = z̄"


def heun_cases(generator: torch.Generator) -> list[Case]:
    """The slope z̄ from σ = 1 to 0.5, by hand: 1 - 0.5 (1 + 0.5) / 2; then one that depends on σ, too."""
    pairs = ((2.0, 0.7), (0.9, 0.4), (6.0, 5.0))
    return [(itself, ONE, 1.0, 0.5), *((guess, normal(generator, 2, 1, 3, 3), *pair) for pair in pairs)]


def _heun(put: Callable) -> Callable:
    """The step put(ask, z̄, σ, σ_next, here, arrived), with the slope here and the place where Euler arrives."""

    def step(ask: Callable, z: Tensor, high: float, low: float) -> Tensor:
        here = ask(z, high)
        return put(ask, z, high, low, here, z + (low - high) * here)

    return step


HEUN_MISTAKES = [
    Mistake("That is Euler's step: the second slope, at the place of arrival, is not used.",
            _heun(lambda ask, z, high, low, here, arrived: arrived)),
    Mistake("The second slope was asked at the old z̄. First go there with Euler's step, then ask.",
            _heun(lambda ask, z, high, low, here, arrived: z + (low - high) * (here + ask(z, low)) / 2), 0.5),
    Mistake("The second slope was asked at the old σ. At the place of arrival the noise is that of sigma_next.",
            _heun(lambda ask, z, high, low, here, arrived: z + (low - high) * (here + ask(arrived, high)) / 2), 0.5),
    Mistake("Only the second slope is used; the *mean* of both is what makes the step better.",
            _heun(lambda ask, z, high, low, here, arrived: z + (low - high) * ask(arrived, low)), 0.5),
    Mistake("The two slopes are added: halve the sum, or the step is twice as long.",
            _heun(lambda ask, z, high, low, here, arrived: z + (low - high) * (here + ask(arrived, low))), 0.5),
    Mistake("The step with the mean slope starts anew at z̄. This one starts where Euler's step arrived.", _heun(
            lambda ask, z, high, low, here, arrived: arrived + (low - high) * (here + ask(arrived, low)) / 2), 0.5),
    Mistake("That is the midpoint method: a good one, too, but Heun asks at the end of the step, not halfway.", _heun(
            lambda ask, z, high, low, here, arrived: z + (low - high) * ask((z + arrived) / 2, (high + low) / 2)), 0.5),
]  # fmt: skip


# 6.5 the guess drawn out
def drawn_out(x_before: Tensor, x_now: Tensor, earlier: float, now: float, later: float) -> Tensor:
    """x̂ + (λ_later - λ_now) / (2 (λ_now - λ_earlier)) (x̂ - x̂_before): along the line, to the middle of the step."""
    return x_now + (later - now) / (2 * (now - earlier)) * (x_now - x_before)


def drawn_out_cases(generator: torch.Generator) -> list[Case]:
    """From guesses 1 and 2, even steps, then a step twice as long as the one before; then images."""
    images = [
        (normal(generator, 2, 1, 3, 3), normal(generator, 2, 1, 3, 3), *clock)
        for clock in ((-5.0, -3.2, -2.7), (0.4, 1.0, 2.5))
    ]
    return [(ONE, 2 * ONE, 0.0, 1.0, 2.0), (ONE, 2 * ONE, 0.0, 1.0, 3.0), *images]


DRAWN_OUT_MISTAKES = [
    Mistake("That is the guess at the *end* of the step. The middle stands for all of it: half as far.",
            lambda b, x, l0, l1, l2: x + (l2 - l1) / (l1 - l0) * (x - b), 0.5),
    Mistake("That goes back towards the old guess. The line is drawn on: new minus old.",
            lambda b, x, l0, l1, l2: x + (l2 - l1) / (2 * (l1 - l0)) * (b - x), 0.5),
    Mistake("The fraction stands on its head: how long is the coming step, in units of the last one?",
            lambda b, x, l0, l1, l2: x + (l1 - l0) / (2 * (l2 - l1)) * (x - b), 0.5),
    Mistake("That takes all steps for equally long. Half of the coming step, in units of the last one, is asked for.",
            lambda b, x, l0, l1, l2: x + (x - b) / 2, 0.5),
    Mistake("That is the middle between the two guesses, a place in the past. Go on beyond the new one.",
            lambda b, x, l0, l1, l2: (x + b) / 2),
    Mistake("That is the change alone: the new guess must be there as well.",
            lambda b, x, l0, l1, l2: (l2 - l1) / (2 * (l1 - l0)) * (x - b), 0.5),
    Mistake("The line starts at the old guess here. It must be drawn on from the new one.",
            lambda b, x, l0, l1, l2: b + (l2 - l1) / (2 * (l1 - l0)) * (x - b)),
]  # fmt: skip


# 6.7 the order from a row of errors
def order(calls: Tensor, errors: Tensor) -> Tensor:
    """Minus the slope of the least-squares line through log(errors) against log(calls)."""
    u = calls.log() - calls.log().mean()
    return -(u * errors.log()).sum() / u.square().sum()


def order_cases(generator: torch.Generator) -> list[Case]:
    """An error that falls exactly as 1 / calls², then ones that scatter about a line."""
    exact = torch.tensor([1, 2, 4], dtype=torch.float64)
    cases = [(exact, 1 / exact**2)]
    for n, p in ((4, 1.0), (5, 2.1), (6, 1.4)):
        calls = (4 * 2 ** torch.arange(n)).double() + (torch.arange(n) % 3)
        cases.append((calls, 3 * calls**-p * (0.4 * normal(generator, n)).exp()))
    return cases


def _line(u: Tensor, v: Tensor) -> Tensor:
    return ((u - u.mean()) * v).sum() / (u - u.mean()).square().sum()


ORDER_MISTAKES = [
    Mistake("That is the slope itself, which is negative. Order p means an error like calls to the power -p.",
            lambda calls, errors: _line(calls.log(), errors.log()), 0.5),
    Mistake("The logarithm of the calls is missing: here *both* axes are logarithmic.",
            lambda calls, errors: -_line(calls, errors.log()), 0.5),
    Mistake("The logarithm of the errors is missing: here *both* axes are logarithmic.",
            lambda calls, errors: -_line(calls.log(), errors)),
    Mistake("That is a straight line through the numbers themselves; take the logarithms of both first.",
            lambda calls, errors: -_line(calls, errors)),
    Mistake("The axes are exchanged: the error is the one that is explained.",
            lambda calls, errors: -_line(errors.log(), calls.log()), 0.5),
    Mistake("This line goes through the first and the last point alone; the least-squares line uses all of them.",
            lambda calls, errors: (errors[0] / errors[-1]).log() / (calls[-1] / calls[0]).log(), 0.5),
]  # fmt: skip


# 6.8 even steps on another clock
def even_times(clock: Tensor, steps: int) -> list[int]:
    """For `steps` even places from clock[T] to clock[1] the times 1..T whose clock is nearest."""
    places = torch.linspace(clock[-1].item(), clock[1].item(), steps, dtype=torch.float64)
    return [1 + (clock[1:] - place).abs().argmin().item() for place in places]


def even_times_cases(generator: torch.Generator) -> list[Case]:
    """A clock that falls by 1 a step, one that falls ever faster, then random ones; the entry at t = 0 is infinite."""
    start = torch.tensor([math.inf], dtype=torch.float64)
    hand = torch.cat([start, torch.tensor([4, 3, 2, 1, 0], dtype=torch.float64)])
    bent = torch.cat([start, -torch.tensor([0, 1, 4, 9, 16, 25, 36.5, 50], dtype=torch.float64)])
    cases = [(hand, 3), (bent, 4)]
    for T, steps in ((30, 4), (40, 6), (60, 5)):
        falls = torch.rand(T, generator=generator, dtype=torch.float64) + torch.linspace(3, 0.1, T, dtype=torch.float64)
        cases.append((torch.cat([start, 5 - falls.cumsum(0)]), steps))
    return cases


EVEN_TIMES_MISTAKES = [
    Mistake("The times rise. The loop starts in the noise, at T, and goes down.",
            lambda clock, n: even_times(clock, n)[::-1], 0.5),
    Mistake("Each time is one too low: the place in clock[1:] counts from 0, the slide's t from 1.",
            lambda clock, n: [t - 1 for t in even_times(clock, n)], 0.5),
    Mistake("These times are even in t. Even on the *clock* is asked for: look the places up in it.",
            lambda clock, n: [round((len(clock) - 1) * i / n) for i in range(n, 0, -1)]),
    Mistake("These times are even in t, from T to 1. Even on the *clock* is asked for: look the places up in it.",
            lambda clock, n: torch.linspace(len(clock) - 1, 1, n).round()),
    Mistake("0 is where the loop arrives: the network is not asked there. The last time is 1.",
            lambda clock, n: [*even_times(clock, n), 0], 0.5),
    Mistake("The last place is missing: the even places go all the way to clock[1].",
            lambda clock, n: even_times(clock, n + 1)[:-1], 0.5),
    Mistake("These are the places on the clock. The times are asked for, whole numbers from T to 1.",
            lambda clock, n: torch.linspace(clock[-1].item(), clock[1].item(), n)),
]  # fmt: skip

TASKS = (
    Task("6.1", 3, "The state in other units", flat, FLAT_MISTAKES, flat_cases, parts=("z̄", "σ")),
    Task("6.2", 2, "One straight step", euler, EULER_MISTAKES, euler_cases),
    Task("6.3", 1, "What does it cost?", 19, [
        Mistake("Ten calls is what DDIM makes. Heun asks a second time, at the place of arrival.", 10),
        Mistake("Two calls a step, but on the last step? It arrives at t = 0, for which no network was trained.", 20),
        Mistake("The last step has one call fewer, not one more.", 21),
        Mistake("One call fewer, but only on the last step: the others make two.", 11),
    ]),
    Task("6.4", 4, "A step with two slopes", heun, HEUN_MISTAKES, heun_cases),
    Task("6.5", 3, "The guess, drawn out", drawn_out, DRAWN_OUT_MISTAKES, drawn_out_cases),
    Task("6.6", 1, "Who is furthest off?", "heun", [
        Mistake("DDIM has the lowest order. But that says how fast an error falls, not how large it is at first. "
                "And how many steps are 8 calls for each?", "ddim"),
        Mistake("2M makes 8 steps with its 8 calls, nearly all of second order. Who makes fewer steps?", "2m"),
        Mistake("The same number of calls is not the same number of steps, and the orders differ.", "equal"),
    ]),
    Task("6.7", 3, "The order, from a row of errors", order, ORDER_MISTAKES, order_cases),
    Task("6.8", 4, "Even steps on another clock", even_times, EVEN_TIMES_MISTAKES, even_times_cases),
)  # fmt: skip
