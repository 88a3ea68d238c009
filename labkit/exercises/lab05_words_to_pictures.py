"""The tasks of lab 05: captions as numbers, near captions, latents, guidance, attention, inpainting, mixed noise.

Slide "Reverse decoder" ("use a pretrained model to generate images") and the kernel of "Diffusion kernel", in latents.
`alpha` has length T+1 with alpha[0] = 1, the lecture's product.
"""

import math

import torch
from torch import Tensor

from labkit.exercises.draws import normal, variances
from labkit.exercises.task import Case, Mistake, Task

HAND = torch.tensor([1, 0.64, 0.36, 0.09], dtype=torch.float64)  # a table whose roots are 0.8, 0.6, 0.3
ONE = torch.ones(1, dtype=torch.float64)


# 5.1 captions of one length
def padded(ids: list[int], start: int, end: int, length: int) -> list[int]:
    """start, the caption's numbers as far as they fit, end, and then end again up to `length`."""
    kept = ids[: length - 2]
    return [start, *kept] + [end] * (length - 1 - len(kept))


def padded_cases(generator: torch.Generator) -> list[Case]:
    """A short caption, one that fits exactly, one that is too long, none at all, then random ones."""
    cases = [([7, 5], 0, 1, 6), ([7, 5, 9, 4], 0, 1, 6), ([7, 5, 9, 4, 8, 3], 0, 1, 6), ([], 2, 3, 4)]
    for size in (3, 12):
        ids = torch.randint(10, 99, (size,), generator=generator).tolist()
        start, end, length = (int(torch.randint(*b, (1,), generator=generator)) for b in ((0, 5), (5, 9), (8, 11)))
        cases.append((ids, start, end, length))
    return cases


PADDED_MISTAKES = [
    Mistake("The start is missing: every caption begins with it.",
            lambda ids, s, e, n: ids[: n - 1] + [e] * (n - len(ids[: n - 1]))),
    Mistake("The end is missing where the caption is cut: its place must be kept free.",
            lambda ids, s, e, n: ([s, *ids] + [e] * n)[:n], 0.5),
    Mistake("Nothing is filled up: all captions of a batch must have one length.",
            lambda ids, s, e, n: [s, *ids[: n - 2], e], 0.5),
    Mistake("This is filled up with 0. The model was trained on captions that are filled up with the end.",
            lambda ids, s, e, n: ([s, *ids[: n - 2], e] + [0] * n)[:n], 0.5),
    Mistake("This is filled up with the start: behind the caption stands the end, to the last place.",
            lambda ids, s, e, n: ([s, *ids[: n - 2], e] + [s] * n)[:n], 0.5),
]  # fmt: skip


# 5.2 nearest by the angle
def nearest(vectors: Tensor, query: Tensor, k: int) -> Tensor:
    """The k rows whose cosine with the query is largest, the largest first."""
    cosine = (vectors @ query) / (vectors.norm(dim=1) * query.norm())
    return cosine.argsort(descending=True)[:k]


def nearest_cases(generator: torch.Generator) -> list[Case]:
    """Four arrows in the plane, of different lengths; then random ones in more dimensions."""
    hand = torch.tensor([[3, 1], [0.5, 0.1], [1, 1.2], [-2, 0.1]], dtype=torch.float64)
    cases = [(hand, torch.tensor([1, 0.3], dtype=torch.float64), 2)]
    for n, k in ((8, 3), (30, 5), (30, 8)):
        length = 0.3 + 3 * torch.rand(n, 1, generator=generator, dtype=torch.float64)
        cases.append((normal(generator, n, 4) * length, normal(generator, 4), k))
    return cases


NEAREST_MISTAKES = [
    Mistake("Long vectors win here: a scalar product grows with the length. Divide by both lengths.",
            lambda v, q, k: (v @ q).argsort(descending=True)[:k], 0.5),
    Mistake("These are nearest by distance. The angle counts here, and not the length.",
            lambda v, q, k: (v - q).norm(dim=1).argsort()[:k], 0.5),
    Mistake("The farthest come first: the largest cosine belongs to the smallest angle.",
            lambda v, q, k: ((v @ q) / v.norm(dim=1)).argsort()[:k], 0.5),
    Mistake("These are the cosines. The rows are asked for, their numbers from 0.",
            lambda v, q, k: torch.nn.functional.cosine_similarity(v, q[None]).sort(descending=True).values[:k], 0.5),
    Mistake("These are all rows in their order; only the first k are asked for.",
            lambda v, q, k: nearest(v, q, len(v)), 0.5),
]  # fmt: skip


# 5.4 guidance
def guided(untold: Tensor, told: Tensor, scale: float) -> Tensor:
    """ε̂ = ε̂(untold) + scale (ε̂(told) - ε̂(untold))."""
    return untold + scale * (told - untold)


def guided_cases(generator: torch.Generator) -> list[Case]:
    """One number at scale 3, then latents at several scales, 0 and 1 among them."""
    shape = (2, 3, 2, 2)
    latents = [(normal(generator, *shape), normal(generator, *shape), scale) for scale in (0.0, 1.0, 2.5, 7.5)]
    return [(ONE, 2 * ONE, 3.0), *latents]


GUIDED_MISTAKES = [
    Mistake("This starts from the told guess. At scale 1 the told guess itself must come out.",
            lambda untold, told, s: told + s * (told - untold), 0.5),
    Mistake("The two have changed places: this goes away from what the caption says.",
            lambda untold, told, s: told + s * (untold - told), 0.5),
    Mistake("The way from the untold guess is missing here: scale times the difference is only the change.",
            lambda untold, told, s: s * (told - untold)),
    Mistake("The told guess alone is made longer, and with it everything that needs no caption.",
            lambda untold, told, s: s * told),
    Mistake("The difference is the told guess less the untold one: scale times the told guess is too much.",
            lambda untold, told, s: untold + s * told),
    Mistake("The sign: this walks away from the caption.", lambda untold, told, s: untold - s * (told - untold), 0.5),
]  # fmt: skip


# 5.6 attention
def attention(q: Tensor, k: Tensor) -> Tensor:
    """softmax over the words of q·k / sqrt(d): for each place shares that add up to 1."""
    return (q @ k.T / math.sqrt(q.shape[1])).softmax(dim=1)


def attention_cases(generator: torch.Generator) -> list[Case]:
    """Two places and two words with four numbers each, so that sqrt(d) = 2; then random ones."""
    hand = (torch.tensor([[2, 0, 0, 0], [0, 2, 0, 0]]).double(), torch.tensor([[1, 0, 0, 0], [0, 2, 0, 0]]).double())
    sizes = ((5, 3, 4), (4, 6, 9), (7, 2, 16))
    return [hand, *((2 * normal(generator, p, d), normal(generator, n, d)) for p, n, d in sizes)]


ATTENTION_MISTAKES = [
    Mistake("The shares add up over the places. For each place they must add up over the words.",
            lambda q, k: (q @ k.T / math.sqrt(q.shape[1])).softmax(0), 0.5),
    Mistake("Without √d the products grow with d, and one word takes everything.",
            lambda q, k: (q @ k.T).softmax(1), 0.5),
    Mistake("This divides by d. The spread of a sum of d products grows with the root of d.",
            lambda q, k: (q @ k.T / q.shape[1]).softmax(1), 0.5),
    Mistake("These are the scores. The softmax is missing: shares are positive and add up to 1.",
            lambda q, k: q @ k.T / math.sqrt(q.shape[1]), 0.5),
    Mistake("The table lies on its side: a row for each place, a column for each word.",
            lambda q, k: (q @ k.T / math.sqrt(q.shape[1])).softmax(1).T, 0.5),
]  # fmt: skip


# 5.7 inpainting
def inpainted(alpha: Tensor, z_t: Tensor, t: int, z: Tensor, mask: Tensor, epsilon: Tensor) -> Tensor:
    """Where mask is 1 the known latents at time t, sqrt(α_t) z + sqrt(1-α_t) ε; elsewhere z_t."""
    known = math.sqrt(alpha[t]) * z + math.sqrt(1 - alpha[t]) * epsilon
    return mask * known + (1 - mask) * z_t


def inpainted_cases(generator: torch.Generator) -> list[Case]:
    """Two numbers, the first known, then latents with a random mask; t = 0 as well, where the loop arrives."""
    alpha, shape = (1 - variances(generator, 6)).cumprod(0), (2, 3, 4, 4)
    two = torch.tensor([[0.5], [-0.5]], dtype=torch.float64)
    cases = [(HAND, two, 2, two + 0.5, torch.tensor([[1.0], [0.0]]).double(), 2 * two)]
    for t in (0, 2, 6):
        mask = (torch.rand(1, 1, 4, 4, generator=generator) < 0.5).double()
        z_t, z, epsilon = (normal(generator, *shape) for _ in range(3))
        cases.append((alpha, z_t, t, z, mask, epsilon))
    return cases


INPAINTED_MISTAKES = [
    Mistake("The known part is put in without noise. At time t the network expects the noise of time t everywhere.",
            lambda alpha, z_t, t, z, mask, e: mask * z + (1 - mask) * z_t, 0.5),
    Mistake("The mask is the wrong way round: it is 1 where the picture is known and stays.",
            lambda alpha, z_t, t, z, mask, e: inpainted(alpha, z_t, t, z, 1 - mask, e), 0.5),
    Mistake("The roots are missing: √α_t and √(1-α_t) are the kernel's factors.",
            lambda alpha, z_t, t, z, mask, e: mask * (alpha[t] * z + (1 - alpha[t]) * e) + (1 - mask) * z_t, 0.5),
    Mistake("This uses α of the step before. The slide's α_t is alpha[t]: alpha[0] = 1 stands in front.",
            lambda alpha, z_t, t, z, mask, e: inpainted(alpha, z_t, t - 1, z, mask, e), 0.5),
    Mistake("The two parts are added everywhere: (1 - mask) must take z_t away where the picture is known.",
            lambda alpha, z_t, t, z, mask, e: mask * (alpha[t].sqrt() * z + (1 - alpha[t]).sqrt() * e) + z_t, 0.5),
    Mistake("This is the known picture with noise everywhere; where mask is 0, z_t goes on as it is.",
            lambda alpha, z_t, t, z, mask, e: alpha[t].sqrt() * z + (1 - alpha[t]).sqrt() * e),
]  # fmt: skip


# 5.8 noise between two noises
def mixed(a: Tensor, b: Tensor, u: float) -> Tensor:
    """sqrt(1-u) a + sqrt(u) b: from a at u = 0 to b at u = 1, of variance 1 all the way."""
    return math.sqrt(1 - u) * a + math.sqrt(u) * b


def mixed_cases(generator: torch.Generator) -> list[Case]:
    """Numbers whose roots are 0.8 and 0.6, then noise, with both ends."""
    noise = [(normal(generator, 3, 2, 2), normal(generator, 3, 2, 2), u) for u in (0.0, 0.3, 0.5, 1.0)]
    return [(ONE, -ONE, 0.36), *noise]


MIXED_MISTAKES = [
    Mistake("Halfway this has only half the variance: 0.25 + 0.25. Variances add, so the squares of the factors must "
            "add up to 1.", lambda a, b, u: (1 - u) * a + u * b, 0.5),
    Mistake("The two ends have changed places: at u = 0 it must be a.",
            lambda a, b, u: math.sqrt(u) * a + math.sqrt(1 - u) * b, 0.5),
    Mistake("Halfway this has twice the variance: a as it is, and noise on top. Make a smaller as b comes in.",
            lambda a, b, u: a + math.sqrt(u) * b, 0.5),
    Mistake("Only one factor has its root.", lambda a, b, u: (1 - u) * a + math.sqrt(u) * b, 0.5),
    Mistake("The factors are (1-u)² and u²; it is their roots' squares that must add up to 1.",
            lambda a, b, u: (1 - u) ** 2 * a + u**2 * b),
    Mistake("The variance is kept, but b's part must have variance u; here it is sin²(πu/2).",
            lambda a, b, u: math.cos(math.pi * u / 2) * a + math.sin(math.pi * u / 2) * b, 0.5),
]  # fmt: skip

TASKS = (
    Task("5.1", 2, "All captions of one length", padded, PADDED_MISTAKES, padded_cases),
    Task("5.2", 3, "Near captions", nearest, NEAREST_MISTAKES, nearest_cases),
    Task("5.3", 1, "How much smaller?", 16, [
        Mistake("That is the ratio of the places, 64 · 64 to 8 · 8. How many numbers stand at each place?", 64),
        Mistake("The other way round: how many times fewer are the latents?", 1 / 16),
        Mistake("That is the ratio of one side, 64 to 8. Count all numbers: height times width times channels.", 8),
        Mistake("That leaves the colours out: a picture has three numbers at each place.", 16 / 3),
    ]),
    Task("5.4", 3, "Guidance", guided, GUIDED_MISTAKES, guided_cases),
    Task("5.5", 1, "Guidance of 0", "anything", [
        Mistake("That is scale 1: then the told guess is left. Put 0 into your formula.", "caption"),
        Mistake("That is a negative scale: it goes away from the caption. Put 0 into your formula.", "opposite"),
        Mistake("The guess is not 0: one of the two guesses is left. Put 0 into your formula.", "noise"),
    ]),
    Task("5.6", 3, "Which word does a place look at?", attention, ATTENTION_MISTAKES, attention_cases),
    Task("5.7", 4, "Keep a part, draw the rest", inpainted, INPAINTED_MISTAKES, inpainted_cases),
    Task("5.8", 2, "Noise between two noises", mixed, MIXED_MISTAKES, mixed_cases),
)  # fmt: skip
