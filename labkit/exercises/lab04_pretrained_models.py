"""The tasks of lab 04: the parts of a pipeline, what its network says, the times and jumps of its loop, what it keeps.

Slides "Reverse decoder" and "Diffusion kernel". `alpha` has length T+1 with alpha[0] = 1, the lecture's product.
"""

import math
from functools import cache

import torch
from torch import Tensor, nn

from labkit.data import stored_samples
from labkit.exercises.draws import normal, variances
from labkit.exercises.task import Case, Mistake, Task
from labkit.pretrained import load_pretrained
from labkit.schedule import NoiseSchedule

HAND = torch.tensor([1, 0.64, 0.36, 0.09, 0.04], dtype=torch.float64)  # a table whose roots are 0.8, 0.6, 0.3, 0.2
ONE = torch.ones(1, dtype=torch.float64)


def shares(generator: torch.Generator, T: int) -> Tensor:
    """A random table alpha of length T+1, alpha[0] = 1."""
    return (1 - variances(generator, T)).cumprod(0)


# 4.2 from the velocity to the noise
def epsilon_from_v(alpha: Tensor, z_t: Tensor, t: int, v: Tensor) -> Tensor:
    """ε = sqrt(α_t) v + sqrt(1-α_t) z_t."""
    return math.sqrt(alpha[t]) * v + math.sqrt(1 - alpha[t]) * z_t


def velocity_cases(generator: torch.Generator) -> list[Case]:
    """One number, once with v = 0 and once without, then images."""
    alpha, shape = shares(generator, 6), (2, 1, 3, 3)
    images = [(alpha, normal(generator, *shape), t, normal(generator, *shape)) for t in (1, 3, 6)]
    return [(HAND, ONE, 1, 0 * ONE), (HAND, 0.5 * ONE, 2, -ONE), *images]


VELOCITY_MISTAKES = [
    Mistake("The two roots have changed places: so weighted, x does not drop out of the sum.",
            lambda alpha, z, t, v: math.sqrt(1 - alpha[t]) * v + math.sqrt(alpha[t]) * z),
    Mistake("A sign: x must drop out, and it does when the two equations are added.",
            lambda alpha, z, t, v: math.sqrt(alpha[t]) * v - math.sqrt(1 - alpha[t]) * z, 0.5),
    Mistake("The roots are missing: 1-α_t is a variance, and the equations have its root, the standard deviation.",
            lambda alpha, z, t, v: alpha[t] * v + (1 - alpha[t]) * z, 0.5),
    Mistake("This uses α of the step before. The slide's α_t is alpha[t]: alpha[0] = 1 stands in front.",
            lambda alpha, z, t, v: epsilon_from_v(alpha, z, t - 1, v), 0.5),
    Mistake("That is x, the image: the other thing that follows from the two equations. The noise ε is asked for.",
            lambda alpha, z, t, v: math.sqrt(alpha[t]) * z - math.sqrt(1 - alpha[t]) * v, 0.5),
]  # fmt: skip


# 4.3 how good is the network's guess?
class Echo(nn.Module):
    """A stand-in for a network: it takes the state itself for the noise."""

    def __init__(self) -> None:
        super().__init__()
        self.schedule = NoiseSchedule([0.36, 0.4375, 0.5])  # alpha: 1, 0.64, 0.36, 0.18
        self.__name__ = "a model that answers z_t"

    def forward(self, z_t: Tensor, t: int) -> Tensor:
        """The state as it is."""
        return z_t


@cache
def bundled() -> nn.Module:
    """The course's own model on the CPU, read once."""
    model = load_pretrained("fashion", "cpu")
    model.__name__ = "the bundled model"
    return model


def denoising_error(model: nn.Module, x: Tensor, t: int, epsilon: Tensor) -> Tensor:
    """The mean of (ε̂ - ε)², ε̂ = model(z_t, t) and z_t = sqrt(α_t) x + sqrt(1-α_t) ε."""
    alpha = model.schedule.alpha[t].item()
    z_t = math.sqrt(alpha) * x + math.sqrt(1 - alpha) * epsilon
    return (model(z_t, t) - epsilon).square().mean()


def denoising_cases(generator: torch.Generator) -> list[Case]:
    """Two pixels and a model that can be followed by hand, then the real one on two stored images."""
    x, epsilon = torch.tensor([0.5, 1.0]).reshape(2, 1, 1, 1), torch.tensor([1.0, -2.0]).reshape(2, 1, 1, 1)
    cases = [(Echo(), x, 2, epsilon)]
    for t in (100, 500):
        two = stored_samples(250)[torch.randint(128, (2,), generator=generator)]
        cases.append((bundled(), two, t, torch.randn(two.shape, generator=generator)))
    return cases


def _noisy(model: nn.Module, x: Tensor, t: int, epsilon: Tensor) -> Tensor:
    alpha = model.schedule.alpha[t].item()
    return math.sqrt(alpha) * x + math.sqrt(1 - alpha) * epsilon


def _error(guess: object) -> object:
    """The mean squared error of guess(model, x, t, epsilon, z_t)."""
    return lambda model, x, t, e: (guess(model, x, t, e, _noisy(model, x, t, e)) - e).square().mean()


DENOISING_MISTAKES = [
    Mistake("The network sees the clean image x. It must see the noisy one: make z_t first.",
            _error(lambda model, x, t, e, z: model(x, t))),
    Mistake("The guess is compared with x. What model(z_t, t) gives is a guess of the noise.",
            lambda model, x, t, e: (model(_noisy(model, x, t, e), t) - x).square().mean(), 0.5),
    Mistake("This sums over all pixels and images: the *mean* squared error does not grow with their number.",
            lambda model, x, t, e: (model(_noisy(model, x, t, e), t) - e).square().sum(), 0.5),
    Mistake("The network was asked at t-1. labkit's models count as the slide does, from 1: give t.",
            _error(lambda model, x, t, e, z: model(z, t - 1)), 0.5),
    Mistake("z_t was made with α of the step before: the slide's α_t is alpha[t].",
            _error(lambda model, x, t, e, z: model(_noisy(model, x, t - 1, e), t)), 0.5),
    Mistake("This compares z_t itself with ε: where is the network?", _error(lambda model, x, t, e, z: z)),
    Mistake("The differences must be squared before the mean; these are absolute.",
            lambda model, x, t, e: (model(_noisy(model, x, t, e), t) - e).abs().mean(), 0.5),
    Mistake("The root is one step too far: the mean *squared* error is asked for.",
            lambda model, x, t, e: denoising_error(model, x, t, e).sqrt(), 0.5),
]  # fmt: skip


# 4.4 which times a short loop visits
def times(T: int, steps: int) -> list[int]:
    """round(T i / steps) for i = steps, ..., 1."""
    return [round(T * i / steps) for i in range(steps, 0, -1)]


def times_cases(generator: torch.Generator) -> list[Case]:
    """Steps that divide T, then an odd number of steps that does not: there no half needs rounding."""
    found = [(10, 5), (6, 1), (10, 3)]
    while len(found) < 6:
        T, half = (int(torch.randint(*bounds, (1,), generator=generator)) for bounds in ((100, 1001), (3, 20)))
        if T % (2 * half + 1):
            found.append((T, 2 * half + 1))
    return found


TIMES_MISTAKES = [
    Mistake("This starts one jump too low and ends at 0, as diffusers' \"leading\" does. Pure noise is the state at T.",
            lambda T, n: [round(T * i / n) for i in range(n - 1, -1, -1)], 0.5),
    Mistake("The times rise. The loop starts in the noise, at T, and goes down.", lambda T, n: times(T, n)[::-1], 0.5),
    Mistake("0 is where the loop arrives: the network is not asked there. The last time is T/steps.",
            lambda T, n: [*times(T, n), 0], 0.5),
    Mistake("T // steps is rounded down too early: where steps does not divide T, this misses T. Round at the end.",
            lambda T, n: [T // n * i for i in range(n, 0, -1)], 0.5),
    Mistake("These are rounded down; the nearest whole number is asked for.",
            lambda T, n: [T * i // n for i in range(n, 0, -1)], 0.5),
    Mistake("These are the library's numbers, which count from 0: the slide's times are one higher, T the first.",
            lambda T, n: [t - 1 for t in times(T, n)], 0.5),
]  # fmt: skip


# 4.5 the variance of a jump
def jump(alpha: Tensor, t: int, s: int) -> Tensor:
    """β' = 1 - α_t/α_s."""
    return 1 - alpha[t] / alpha[s]


def jump_cases(generator: torch.Generator) -> list[Case]:
    """A table that can be followed by hand, then random ones; down to 0 as well."""
    alpha = shares(generator, 8)
    return [(HAND, 3, 2), (HAND, 4, 1), (HAND, 2, 0), *[(alpha, t, s) for t, s in ((8, 3), (5, 4), (2, 0))]]


JUMP_MISTAKES = [
    Mistake("The fraction stands on its head: a variance cannot be negative. Less of the image is left at t than at s.",
            lambda alpha, t, s: 1 - alpha[s] / alpha[t], 0.5),
    Mistake("A difference of α is no variance of a jump: the factors of the image are *multiplied*.",
            lambda alpha, t, s: alpha[s] - alpha[t]),
    Mistake("That is the noise of the whole way from x to z_t. The jump starts at s, where some of it is there.",
            lambda alpha, t, s: 1 - alpha[t]),
    Mistake("That is the standard deviation of the jump's noise: β' is its variance, without the root.",
            lambda alpha, t, s: torch.sqrt(1 - alpha[t] / alpha[s]), 0.5),
    Mistake("That is 1-β', what is left of the image's variance. What does the noise add?",
            lambda alpha, t, s: alpha[t] / alpha[s], 0.5),
    Mistake("That is the variance of one step, from t-1 to t. The jump begins at s.",
            lambda alpha, t, s: 1 - alpha[t] / alpha[t - 1]),
]  # fmt: skip


# 4.6 a step of DDIM
def ddim_step(alpha: Tensor, z_t: Tensor, t: int, s: int, epsilon_hat: Tensor) -> Tensor:
    """z_s = sqrt(α_s) x̂ + sqrt(1-α_s) ε̂, with x̂ = (z_t - sqrt(1-α_t) ε̂) / sqrt(α_t)."""
    x_hat = (z_t - math.sqrt(1 - alpha[t]) * epsilon_hat) / math.sqrt(alpha[t])
    return math.sqrt(alpha[s]) * x_hat + math.sqrt(1 - alpha[s]) * epsilon_hat


def ddim_cases(generator: torch.Generator) -> list[Case]:
    """One number without a guess of noise, then with; then images, down to 0 as well."""
    alpha, shape, pairs = shares(generator, 7), (2, 1, 3, 3), ((7, 4), (3, 2), (4, 0))
    images = [(alpha, normal(generator, *shape), t, s, normal(generator, *shape)) for t, s in pairs]
    return [(HAND, ONE, 3, 1, 0 * ONE), (HAND, 0.5 * ONE, 4, 2, -ONE), *images]


def _x_hat(alpha: Tensor, z: Tensor, t: int, e: Tensor) -> Tensor:
    return (z - math.sqrt(1 - alpha[t]) * e) / math.sqrt(alpha[t])


def _put(signal: object, noise: object) -> object:
    """The step that puts signal(α_t, α_s) times x̂ and noise(α_t, α_s) times ε̂ together."""
    return lambda alpha, z, t, s, e: signal(alpha[t], alpha[s]) * _x_hat(alpha, z, t, e) + noise(alpha[t], alpha[s]) * e


DDIM_MISTAKES = [
    Mistake("This gives z_t back: the noise was put back as it was. Use α_s, the level of the new time.",
            lambda alpha, z, t, s, e: ddim_step(alpha, z, t, t, e), 0.5),
    Mistake("That is x̂, the guess of the image: z_s still has noise, that of level s.",
            lambda alpha, z, t, s, e: _x_hat(alpha, z, t, e)),
    Mistake("Too much noise comes back: √(1-α_t) belongs to time t. Put back that of time s.",
            _put(lambda at, a: a.sqrt(), lambda at, a: (1 - at).sqrt()), 0.5),
    Mistake("x̂ must shrink as well: the kernel at time s multiplies the image by √α_s.",
            _put(lambda at, a: 1, lambda at, a: (1 - a).sqrt()), 0.5),
    Mistake("Roots are missing where x̂ and ε̂ are put together: the kernel has √α_s and √(1-α_s).",
            _put(lambda at, a: a, lambda at, a: 1 - a), 0.5),
    Mistake("The roots are missing in x̂: solve the slide's kernel for x, with its roots.", lambda alpha, z, t, s, e:
            alpha[s].sqrt() * (z - (1 - alpha[t]) * e) / alpha[t] + (1 - alpha[s]).sqrt() * e, 0.5),
    Mistake("This uses α of the step before t. The slide's α_t is alpha[t]: alpha[0] = 1 stands in front.",
            lambda alpha, z, t, s, e: alpha[s].sqrt() * _x_hat(alpha, z, t - 1, e) + (1 - alpha[s]).sqrt() * e, 0.5),
    Mistake("This always goes to t-1. DDIM jumps to s, wherever that is.",
            lambda alpha, z, t, s, e: ddim_step(alpha, z, t, t - 1, e), 0.5),
]  # fmt: skip


# 4.7 what the network has in mind
def guess(alpha: Tensor, z_t: Tensor, t: Tensor, epsilon_hat: Tensor) -> Tensor:
    """x̂ = (z_t - sqrt(1-α_t) ε̂) / sqrt(α_t), with a time of its own for each image."""
    a = alpha[t].reshape(-1, 1, 1, 1)
    return (z_t - (1 - a).sqrt() * epsilon_hat) / a.sqrt()


def guess_cases(generator: torch.Generator) -> list[Case]:
    """One pixel, then several images, as many as an image has columns, too."""
    one, alpha = ONE.reshape(1, 1, 1, 1), shares(generator, 6)
    more = [((3, 1, 3, 3), [5, 1, 3]), ((2, 1, 2, 3), [2, 6]), ((4, 1, 2, 4), [6, 4, 2, 1])]
    images = [(alpha, normal(generator, *shape), torch.tensor(t), normal(generator, *shape)) for shape, t in more]
    return [(HAND, one, torch.tensor([1]), 0 * one), (HAND, 0.5 * one, torch.tensor([2]), -one), *images]


def _guess(formula: object) -> object:
    """The guess by formula(α_t, z, ε̂), α_t one number an image."""
    return lambda alpha, z, t, e: formula(alpha[t].reshape(-1, 1, 1, 1), z, e)


GUESS_MISTAKES = [
    Mistake("The sign: z_t is image *plus* noise, so the noise is taken away.",
            _guess(lambda a, z, e: (z + (1 - a).sqrt() * e) / a.sqrt()), 0.5),
    Mistake("The image in z_t was shrunk by √α_t: after the noise is gone, divide by it.",
            _guess(lambda a, z, e: z - (1 - a).sqrt() * e), 0.5),
    Mistake("The noise is taken away with its variance 1-α_t: its standard deviation is the root.",
            _guess(lambda a, z, e: (z - (1 - a) * e) / a.sqrt()), 0.5),
    Mistake("This divides by α_t. The kernel multiplies the image by its root.",
            _guess(lambda a, z, e: (z - (1 - a).sqrt() * e) / a), 0.5),
    Mistake("This uses α of the step before. The slide's α_t is alpha[t]: alpha[0] = 1 stands in front.",
            lambda alpha, z, t, e: guess(alpha, z, t - 1, e), 0.5),
    Mistake("All images are treated as if they were at the time of the first one: each has a t of its own.",
            lambda alpha, z, t, e: guess(alpha, z, t[:1], e), 0.5),
    Mistake("torch lines alpha[t], of shape (B,), up with the *columns* of an image. Give it the shape (B, 1, 1, 1).",
            lambda alpha, z, t, e: (z - (1 - alpha[t]).sqrt() * e) / alpha[t].sqrt(), 0.5),
]  # fmt: skip


# 4.9 how much detail an image has
def roughness(images: Tensor) -> Tensor:
    """The mean of (pixel - its left neighbour)², over all images, rows and columns."""
    return (images[:, :, :, 1:] - images[:, :, :, :-1]).square().mean()


ROUGHNESS_MISTAKES = [
    Mistake("These are the neighbours above and below. Left and right are along the last dimension.",
            lambda images: images.diff(dim=2).square().mean(), 0.5),
    Mistake("The differences are taken between images. Neighbours lie in one image, along the last dimension.",
            lambda images: images.diff(dim=0).square().mean()),
    Mistake("These differences are absolute; square them.", lambda images: images.diff(dim=3).abs().mean(), 0.5),
    Mistake("The sum grows with the number of pixels and images: take the mean.",
            lambda images: images.diff(dim=3).square().sum(), 0.5),
    Mistake("The first column is compared with the last: they are no neighbours. An image of W columns has W-1 pairs.",
            lambda images: (images - images.roll(1, 3)).square().mean(), 0.5),
]  # fmt: skip

TASKS = (
    Task("4.1", 1, "What is not in the folder", "loop", [
        Mistake("The folder unet holds it: how it is built (config.json) and its weights w.", "network"),
        Mistake("The folder scheduler holds it: scheduler_config.json names β_1, β_T and T.", "schedule"),
        Mistake("Code is what it is; which of the three is it?", "code"),
    ]),
    Task("4.2", 3, "From velocity to noise", epsilon_from_v, VELOCITY_MISTAKES, velocity_cases),
    Task("4.3", 4, "How good a guess?", denoising_error, DENOISING_MISTAKES, denoising_cases, may_use=("diffuse",)),
    Task("4.4", 3, "Which times to visit", times, TIMES_MISTAKES, times_cases),
    Task("4.5", 3, "The variance of a jump", jump, JUMP_MISTAKES, jump_cases),
    Task("4.6", 4, "A step without fresh noise", ddim_step, DDIM_MISTAKES, ddim_cases),
    Task("4.7", 3, "What the network has in mind", guess, GUESS_MISTAKES, guess_cases),
    Task("4.8", 2, "Closest to the true image", "one step", [
        Mistake("Nothing was taken away yet: all of the noise counts as error.", "noisy"),
        Mistake("A blur averages neighbours, so that noise and edges go. It knows nothing of garments.", "blur"),
        Mistake("It draws one of the many images that fit this z_t. How far is one of them from another?", "loop"),
    ]),
    Task("4.9", 2, "How much detail?", roughness, ROUGHNESS_MISTAKES,
         lambda g: [(torch.tensor([[[[0, 0.5], [1, 0]]], [[[0, 0], [0, 1]]]]).double(),), (normal(g, 3, 1, 4, 4),),
                    (normal(g, 2, 1, 3, 6) + torch.arange(6),)]),
)  # fmt: skip
