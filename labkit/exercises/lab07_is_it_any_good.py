"""The tasks of lab 07: a distance between sets of images, its error, few samples, precision, memory, a comparison.

Features are rows (N, D). The memory uses the kernel N(sqrt(α_t) x, (1-α_t) I), slide "Diffusion kernel".
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from labkit.exercises.draws import normal
from labkit.exercises.task import Case, Mistake, Task


# 7.2 two Gaussians of numbers
def gap(mean_a: float, std_a: float, mean_b: float, std_b: float) -> float:
    """(m_a - m_b)² + (s_a - s_b)²."""
    return (mean_a - mean_b) ** 2 + (std_a - std_b) ** 2


def gap_cases(generator: torch.Generator) -> list[Case]:
    """Equal means, then equal spreads, then numbers at random."""
    means, stds = normal(generator, 3, 2).tolist(), (0.5 + normal(generator, 3, 2).abs()).tolist()
    return [(0.0, 1.0, 0.0, 3.0), (1.0, 2.0, 4.0, 2.0)] + [
        (m[0], s[0], m[1], s[1]) for m, s in zip(means, stds, strict=True)
    ]


GAP_MISTAKES = [
    Mistake("The second term is the difference of the *standard deviations*, squared; these are variances.",
            lambda m, s, n, r: (m - n) ** 2 + (s**2 - r**2) ** 2, 0.5),
    Mistake("That is its root. The field reports the squared distance.",
            lambda m, s, n, r: math.hypot(m - n, s - r), 0.5),
    Mistake("Two sets with one mean may still differ: where are the spreads?", lambda m, s, n, r: (m - n) ** 2),
]  # fmt: skip


# 7.3 the Fréchet distance of two sets of features
def _root(product: Tensor) -> Tensor:
    return torch.linalg.eigvals(product).real.clamp(min=0).sqrt().sum()


def frechet(a: Tensor, b: Tensor) -> Tensor:
    """|m_a - m_b|² + tr(C_a) + tr(C_b) - 2 tr((C_a C_b)^½)."""
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    return (a.mean(0) - b.mean(0)).square().sum() + cov_a.trace() + cov_b.trace() - 2 * _root(cov_a @ cov_b)


def frechet_cases(generator: torch.Generator) -> list[Case]:
    """Four rows of two numbers, moved and then stretched; then correlated rows at random."""
    square = torch.tensor([[1, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64)
    cases = [(square, square + 2), (square, 3 * square)]
    for n, m, d in ((12, 9, 3), (30, 40, 5)):
        bend = normal(generator, d, d)
        cases.append((normal(generator, n, d) @ bend, normal(generator, m, d) @ bend.T + 0.5 * normal(generator, d)))
    return cases


def _frechet(put: Callable) -> Callable:
    """The distance put(squared gap of the means, C_a, C_b)."""
    return lambda a, b: put((a.mean(0) - b.mean(0)).square().sum(), torch.cov(a.T), torch.cov(b.T))


FRECHET_MISTAKES = [
    Mistake("That is twice the last trace too much: -2 tr((C_a C_b)^½) has a factor of 2.",
            _frechet(lambda gap, c, d: gap + c.trace() + d.trace() - _root(c @ d)), 0.5),
    Mistake("The last term is subtracted: the distance of a set from itself must be 0.",
            _frechet(lambda gap, c, d: gap + c.trace() + d.trace() + 2 * _root(c @ d)), 0.5),
    Mistake("The means are missing.", _frechet(lambda gap, c, d: c.trace() + d.trace() - 2 * _root(c @ d)), 0.5),
    Mistake("That is the root of each entry. The root of a matrix is another thing: root_trace(C_a @ C_b).",
            _frechet(lambda gap, c, d: gap + c.trace() + d.trace() - 2 * (c @ d).sqrt().trace()), 0.5),
    Mistake("That is the root of the trace; the trace of the root is meant.",
            _frechet(lambda gap, c, d: gap + c.trace() + d.trace() - 2 * (c @ d).trace().sqrt()), 0.5),
    Mistake("The matrix product C_a C_b is meant (@), not the product of the entries (*).",
            _frechet(lambda gap, c, d: gap + c.trace() + d.trace() - 2 * _root(c * d)), 0.5),
    Mistake("That is its root. The field reports the squared distance.", lambda a, b: frechet(a, b).sqrt(), 0.5),
    Mistake("That takes the standard deviation of each feature alone. Features vary together: use the covariances.",
            lambda a, b: (a.mean(0) - b.mean(0)).square().sum() + (a.std(0) - b.std(0)).square().sum(), 0.5),
]  # fmt: skip


# 7.4 the error of any measure, by drawing anew from what was drawn
def spread(measure: Callable, rows: Tensor, picks: Tensor) -> Tensor:
    """The standard deviation of measure(rows[pick]) over the picks."""
    return torch.stack([measure(rows[pick]) for pick in picks]).std()


def mean_of_squares(rows: Tensor) -> Tensor:
    """A measure that can be followed by hand."""
    return rows.square().mean()


def largest_mean(rows: Tensor) -> Tensor:
    """Another: the largest of the columns' means."""
    return rows.mean(0).max()


mean_of_squares.__name__, largest_mean.__name__ = "the mean of all squares", "the largest mean of a column"


def spread_cases(generator: torch.Generator) -> list[Case]:
    """Two rows and two picks, where the measure is 1 and 4; then rows and picks at random."""
    cases = [(mean_of_squares, torch.tensor([[1.0], [2.0]], dtype=torch.float64), torch.tensor([[0, 0], [1, 1]]))]
    for measure, n, d, rounds in ((mean_of_squares, 6, 2, 5), (largest_mean, 9, 3, 12), (largest_mean, 20, 4, 8)):
        cases.append((measure, normal(generator, n, d), torch.randint(n, (rounds, n), generator=generator)))
    return cases


def _again(measure: Callable, rows: Tensor, picks: Tensor) -> Tensor:
    return torch.stack([measure(rows[pick]) for pick in picks])


SPREAD_MISTAKES = [
    Mistake("That is a variance; an error has the unit of the measure itself. Take the root.",
            lambda f, x, picks: _again(f, x, picks).var(), 0.5),
    Mistake("Do not divide by the root of the number of rounds: that is their mean's error, and more rounds would "
            "make it any size.", lambda f, x, picks: _again(f, x, picks).std() / len(picks) ** 0.5, 0.5),
    Mistake("That is the mean of the values. How far they *spread* is asked for.",
            lambda f, x, picks: _again(f, x, picks).mean()),
    Mistake("These are the values, one a round. How far they spread is asked for: one number.", _again, 0.5),
    Mistake("This divides by the number of rounds. Their mean is estimated, too, so divide by one less: `.std()`.",
            lambda f, x, picks: _again(f, x, picks).std(correction=0), 0.5),
]  # fmt: skip


# 7.6 what endless images would give
def endless(count: Tensor, distance: Tensor) -> Tensor:
    """The value at 1/n = 0 of the least-squares line through distance against 1/n."""
    u = 1 / count
    slope = ((u - u.mean()) * distance).sum() / (u - u.mean()).square().sum()
    return distance.mean() - slope * u.mean()


def endless_cases(generator: torch.Generator) -> list[Case]:
    """Exactly 2 + 100 / n, then distances that scatter about such a line."""
    count = torch.tensor([50, 100, 200], dtype=torch.float64)
    cases = [(count, 2 + 100 / count)]
    for limit, slope, n in ((0.0, 60.0, 4), (1.5, 200.0, 5), (0.3, 35.0, 6)):
        count = 40.0 * 2 ** torch.arange(n, dtype=torch.float64)
        cases.append((count, limit + slope / count + 0.1 * normal(generator, n)))
    return cases


def _at_zero(u: Tensor, v: Tensor) -> Tensor:
    return v.mean() - ((u - u.mean()) * v).sum() / (u - u.mean()).square().sum() * u.mean()


ENDLESS_MISTAKES = [
    Mistake("That is where a line against n would meet n = 0: no images. The line is one against 1/n.", _at_zero),
    Mistake("That is the slope of the line: the bias of one image. The value at 1/n = 0 is asked for.",
            lambda n, d: ((1 / n - (1 / n).mean()) * d).sum() / (1 / n - (1 / n).mean()).square().sum(), 0.5),
    Mistake("That is the distance with the most images. Endless ones lie further along.", lambda n, d: d[-1]),
    Mistake("The line runs against 1/n; this one runs against 1/√n, as an error does. A bias falls faster.",
            lambda n, d: _at_zero(n**-0.5, d), 0.5),
    Mistake("That line goes through the first and the last point alone; the least-squares line uses all of them.",
            lambda n, d: d[-1] - (d[-1] - d[0]) / (1 / n[-1] - 1 / n[0]) / n[-1], 0.5),
]  # fmt: skip


# 7.7 precision
def precision(drawn: Tensor, real: Tensor, k: int) -> Tensor:
    """The share of drawn rows that lie within some real row's distance to its k-th neighbour."""
    reach = torch.cdist(real, real).topk(k + 1, largest=False).values[:, -1]
    return (torch.cdist(drawn, real) <= reach).any(1).double().mean()


def precision_cases(generator: torch.Generator) -> list[Case]:
    """Numbers on a line, by hand; then points, with more drawn than real and the other way round."""
    line = torch.tensor([[0.0], [1.0], [10.0], [12.0]], dtype=torch.float64)
    drawn = torch.tensor([[0.5], [5.0], [14.0], [-3.0], [20.0]], dtype=torch.float64)
    cases = [(drawn, line, 1), (drawn, line, 2)]
    for n, m, d, k in ((30, 18, 2, 3), (14, 40, 2, 2), (25, 25, 3, 4)):
        cases.append((1.3 * normal(generator, n, d) + 0.4, normal(generator, m, d), k))
    return cases


def _among(points: Tensor, members: Tensor, k: int) -> Tensor:
    """(points, members) bool: within each member's distance to the k-th nearest member, itself included."""
    return torch.cdist(points, members) <= torch.cdist(members, members).topk(k, largest=False).values[:, -1]


PRECISION_MISTAKES = [
    Mistake("That is the recall: the share of *real* rows among the drawn ones. Precision asks it the other way round.",
            lambda a, b, k: precision(b, a, k), 0.5),
    Mistake("Each row is its own nearest, at distance 0. Its k-th neighbour is number k + 1 in the sorted row.",
            lambda a, b, k: _among(a, b, k).any(1).double().mean(), 0.5),
    Mistake("That is the share of pairs. One real row that is near enough is enough: any over the real rows.",
            lambda a, b, k: _among(a, b, k + 1).double().mean(), 0.5),
    Mistake("That counts the real rows that have a drawn one within reach. Count the drawn ones.",
            lambda a, b, k: _among(a, b, k + 1).any(0).double().mean(), 0.5),
    Mistake("The reach must be that of the real rows: how far it is from each to its k-th *real* neighbour.",
            lambda a, b, k: (torch.cdist(a, b) <= torch.cdist(a, a).topk(k + 1, largest=False).values[:, -1:])
            .any(1).double().mean()),
    Mistake("No further than the reach: the edge belongs to the ball (<=).",
            lambda a, b, k: (torch.cdist(a, b) < torch.cdist(b, b).topk(k + 1, largest=False).values[:, -1])
            .any(1).double().mean(), 0.5),
    Mistake("Any ball will do: that of a real row further away may be larger than the nearest one's.",
            lambda a, b, k: _among(a, b, k + 1).gather(1, torch.cdist(a, b).argmin(1, True)).double().mean(), 0.5),
]  # fmt: skip


# 7.8 the best network for a finite training set
def memory(z_t: Tensor, alpha_t: float, training: Tensor) -> Tensor:
    """x̂ = Σ_i w_i x_i with w = softmax(-|z_t - sqrt(α_t) x_i|² / (2 (1 - α_t)))."""
    squares = torch.cdist(z_t, math.sqrt(alpha_t) * training).square()
    return (-squares / (2 * (1 - alpha_t))).softmax(1) @ training


def memory_cases(generator: torch.Generator) -> list[Case]:
    """One number between two training numbers, then rows, at little noise and at much."""
    two = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    cases = [(torch.tensor([[0.3]], dtype=torch.float64), 0.64, two)]
    for alpha_t, n, m, d in ((0.9, 3, 5, 2), (0.5, 4, 7, 3), (0.05, 6, 4, 3)):
        x = normal(generator, m, d)
        z = math.sqrt(alpha_t) * x[torch.randint(m, (n,), generator=generator)]
        cases.append((z + math.sqrt(1 - alpha_t) * normal(generator, n, d), alpha_t, x))
    return cases


def _memory(weigh: Callable) -> Callable:
    """x̂ from the logarithms weigh(off, α_t) of the weights, where off(f) are the squares |z - f x_i|²."""
    return lambda z, a, x: weigh(lambda f: torch.cdist(z, f * x).square(), a).softmax(1) @ x


MEMORY_MISTAKES = [
    Mistake("The kernel shrinks the image: its mean is √α_t x_i, not x_i.",
            _memory(lambda off, a: -off(1) / (2 * (1 - a))), 0.5),
    Mistake("The density of a Gaussian has 2 σ² below the square, and σ² is 1 - α_t: here the 2 is missing.",
            _memory(lambda off, a: -off(a**0.5) / (1 - a)), 0.5),
    Mistake("The variance of the kernel is 1 - α_t; this divides by its root.",
            _memory(lambda off, a: -off(a**0.5) / (2 * (1 - a) ** 0.5)), 0.5),
    Mistake("The sign: the nearest image must weigh most.", _memory(lambda off, a: off(a**0.5) / (2 * (1 - a))), 0.5),
    Mistake("The weights must add up to 1 over the training images; here they do over the batch.",
            lambda z, a, x: (-torch.cdist(z, a**0.5 * x).square() / (2 * (1 - a))).softmax(0) @ x, 0.5),
    Mistake("The weights must add up to 1: divide by their sum (softmax does).",
            lambda z, a, x: (-torch.cdist(z, a**0.5 * x).square() / (2 * (1 - a))).exp() @ x, 0.5),
    Mistake("That is the one nearest image. The mean of all, each with its weight, is the best guess.",
            lambda z, a, x: x[torch.cdist(z, a**0.5 * x).argmin(1)], 0.5),
    Mistake("That is ε̂; x̂, the guess of the image, is asked for.",
            lambda z, a, x: (z - a**0.5 * memory(z, a, x)) / (1 - a) ** 0.5, 0.5),
]  # fmt: skip


# 7.9 which model is better?
def better(a: float, error_a: float, b: float, error_b: float) -> str:
    """ "first" or "second", whichever distance is smaller by two errors of the difference; else "undecided"."""
    if abs(a - b) < 2 * math.hypot(error_a, error_b):
        return "undecided"
    return "first" if a < b else "second"


def better_cases(generator: torch.Generator) -> list[Case]:
    """Clear cases both ways, then gaps that fool each other rule: sums, the larger, squares, one error; random ones."""
    equal = ((1.0, 2.0), (2.0, 1.0), (1.2, 1.0), (1.0, 1.4), (1.5, 1.0), (1.0, 1.7))
    cases = [(a, 0.3, b, 0.3) for a, b in equal] + [(1.0, 0.4, 1.6, 0.1), (1.81, 0.1, 1.0, 0.4)]
    for _ in range(6):
        a, b, c, d = torch.rand(4, generator=generator, dtype=torch.float64).tolist()
        cases.append((1 + a, 0.05 + 0.3 * b, 1 + 3 * c, 0.05 + 0.3 * d))
    return cases


def _better(enough: Callable) -> Callable:
    return lambda a, c, b, d: ("first" if a < b else "second") if enough(abs(a - b), c, d) else "undecided"


BETTER_MISTAKES = [
    Mistake("A distance is better the *smaller* it is.",
            lambda a, c, b, d: {"first": "second", "second": "first"}.get(better(a, c, b, d), "undecided"), 0.5),
    Mistake("Where are the errors? A difference that chance makes is none.", _better(lambda gap, c, d: gap > 0)),
    Mistake("One error of the difference is passed by chance one time in three; two are asked for.",
            _better(lambda gap, c, d: gap >= math.hypot(c, d)), 0.5),
    Mistake("Errors do not add; their squares do. With the sum you miss differences that are there.",
            _better(lambda gap, c, d: gap >= 2 * (c + d)), 0.5),
    Mistake("Bars that touch prove nothing: this adds the two errors. The difference has an error of its own.",
            _better(lambda gap, c, d: gap >= c + d), 0.5),
    Mistake("Both numbers are uncertain, not only the one with the larger error.",
            _better(lambda gap, c, d: gap >= 2 * max(c, d)), 0.5),
    Mistake("The squares of the errors add up to the square of the difference's: the root is missing.",
            _better(lambda gap, c, d: gap >= 2 * (c**2 + d**2)), 0.5),
]  # fmt: skip
TASKS = (
    Task("7.1", 1, "Near in pixels", "grey", [
        Mistake("So says the eye. But along every edge dark now lies on bright.", "moved"),
        Mistake("Two coats may be cut alike and differ in every fold: pixels see the folds.", "other"),
        Mistake("They are near each other, but one is nearer, by more than three standard errors: see below.", "equal"),
    ]),
    Task("7.2", 2, "Two heaps of numbers", gap, GAP_MISTAKES, gap_cases),
    Task("7.3", 4, "Two clouds of features", frechet, FRECHET_MISTAKES, frechet_cases),
    Task("7.4", 3, "Drawn again", spread, SPREAD_MISTAKES, spread_cases),
    Task("7.5", 1, "A quarter of the images", 4, [
        Mistake("An *error* falls like 1/√n. What few images add to the distance falls like 1/n.", 2),
        Mistake("The images are as good as before, but the distance sees clouds: few points fill a cloud badly.", 1),
        Mistake("Fewer images make it larger: two small samples differ more than two large ones.", 0.25),
    ], rtol=0.1),
    Task("7.6", 3, "Endless images", endless, ENDLESS_MISTAKES, endless_cases),
    Task("7.7", 4, "Precision", precision, PRECISION_MISTAKES, precision_cases),
    Task("7.8", 4, "The perfect memory", memory, MEMORY_MISTAKES, memory_cases),
    Task("7.9", 2, "Which is better?", better, BETTER_MISTAKES, better_cases),
)  # fmt: skip
