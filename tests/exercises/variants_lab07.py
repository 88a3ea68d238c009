"""Right answers to the tasks of lab 07, written in other ways than the reference; the checks must accept each."""

import math
import statistics

import numpy as np
import torch


def gap_as_a_complex_number(mean_a, std_a, mean_b, std_b):
    return abs(complex(mean_a, std_a) - complex(mean_b, std_b)) ** 2


def gap_multiplied_out(mean_a, std_a, mean_b, std_b):
    return mean_a**2 - 2 * mean_a * mean_b + mean_b**2 + std_a**2 + std_b**2 - 2 * std_a * std_b


def gap_in_torch(mean_a, std_a, mean_b, std_b):
    return (torch.tensor([mean_a, std_a]) - torch.tensor([mean_b, std_b])).square().sum()


def frechet_in_numpy(a, b):
    from scipy.linalg import sqrtm

    a, b = a.numpy(), b.numpy()
    c, d = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    return ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(c + d - 2 * sqrtm(c @ d).real)


def frechet_by_a_symmetric_root(a, b):
    def root(matrix):
        values, vectors = torch.linalg.eigh(matrix)
        return vectors * values.clamp(min=0).sqrt() @ vectors.T

    c, d = torch.cov(a.T), torch.cov(b.T)
    cross = root(root(c) @ d @ root(c)).trace()
    return torch.dist(a.mean(0), b.mean(0)) ** 2 + c.trace() + d.trace() - 2 * cross


def frechet_by_singular_values(a, b):
    """The trace of the root is the sum of the singular values of the product of the centred sets."""
    p = (a - a.mean(0)) / (len(a) - 1) ** 0.5
    q = (b - b.mean(0)) / (len(b) - 1) ** 0.5
    return ((a.mean(0) - b.mean(0)) ** 2).sum() + (p**2).sum() + (q**2).sum() - 2 * torch.linalg.svdvals(p @ q.T).sum()


def spread_in_a_loop(measure, rows, picks):
    found = []
    for i in range(len(picks)):
        found.append(float(measure(rows[picks[i]])))
    return statistics.stdev(found)


def spread_in_numpy(measure, rows, picks):
    return np.std([measure(rows[pick]).item() for pick in picks], ddof=1)


def spread_by_hand(measure, rows, picks):
    found = torch.tensor([measure(rows[pick.tolist()]) for pick in picks], dtype=torch.float64)
    return math.sqrt(((found - found.mean()) ** 2).sum() / (len(found) - 1))


def endless_by_polyfit(count, distance):
    return np.polyfit(1 / count.numpy(), distance.numpy(), 1)[1]


def endless_by_lstsq(count, distance):
    columns = torch.stack([torch.ones_like(count), 1 / count], 1)
    return torch.linalg.lstsq(columns, distance[:, None]).solution[0]


def endless_by_covariance(count, distance):
    both = torch.cov(torch.stack([1 / count, distance]))
    return distance.mean() - both[0, 1] / both[0, 0] * (1 / count).mean()


def precision_in_loops(drawn, real, k):
    inside = 0
    reach = [sorted(math.dist(one, other) for other in real.tolist())[k] for one in real.tolist()]
    for point in drawn.tolist():
        inside += any(math.dist(point, one) <= far for one, far in zip(real.tolist(), reach, strict=True))
    return inside / len(drawn)


def precision_by_a_tree(drawn, real, k):
    from scipy.spatial import KDTree
    from scipy.spatial.distance import cdist

    reach = KDTree(real.numpy()).query(real.numpy(), k=k + 1)[0][:, k]
    return (cdist(drawn, real) <= reach).any(axis=1).mean()


def precision_sorted(drawn, real, k):
    off = (real[:, None] - real[None]).norm(dim=2).sort(dim=1).values[:, k]
    return ((drawn[:, None] - real[None]).norm(dim=2) - off).min(1).values.le(0).float().mean()


def memory_in_loops(z_t, alpha_t, training):
    guesses = []
    for z in z_t:
        weight = torch.exp(-((z - math.sqrt(alpha_t) * training) ** 2).sum(1) / (2 * (1 - alpha_t)))
        guesses.append((weight[:, None] * training).sum(0) / weight.sum())
    return torch.stack(guesses)


def memory_in_numpy(z_t, alpha_t, training):
    z, x = z_t.numpy(), training.numpy()
    off = ((z[:, None] - np.sqrt(alpha_t) * x[None]) ** 2).sum(2)
    weight = np.exp(-(off - off.min(1, keepdims=True)) / (2 * (1 - alpha_t)))
    return weight @ x / weight.sum(1, keepdims=True)


def memory_without_what_cancels(z_t, alpha_t, training):
    """|z_t|² is the same for all images, so softmax does not see it."""
    score = (alpha_t**0.5 * z_t @ training.T - alpha_t * (training**2).sum(1) / 2) / (1 - alpha_t)
    return torch.softmax(score, 1) @ training


def better_by_z(a, error_a, b, error_b):
    z = (a - b) / (error_a**2 + error_b**2) ** 0.5
    return "second" if z >= 2 else "first" if z <= -2 else "undecided"


def better_in_capitals(a, error_a, b, error_b):
    error = np.sqrt(error_a**2 + error_b**2)
    if a + 2 * error <= b:
        return "First"
    if b + 2 * error <= a:
        return "Second"
    return "Undecided"


def better_squared(a, error_a, b, error_b):
    if (a - b) ** 2 < 4 * (error_a**2 + error_b**2):
        return "undecided"
    return ["first", "second"][a > b]


VARIANTS = {
    "7.1": ["grey", "Grey", " grey "],
    "7.2": [gap_as_a_complex_number, gap_multiplied_out, gap_in_torch],
    "7.3": [frechet_in_numpy, frechet_by_a_symmetric_root, frechet_by_singular_values],
    "7.4": [spread_in_a_loop, spread_in_numpy, spread_by_hand],
    "7.5": [4, "4", 3.9],
    "7.6": [endless_by_polyfit, endless_by_lstsq, endless_by_covariance],
    "7.7": [precision_in_loops, precision_by_a_tree, precision_sorted],
    "7.8": [memory_in_loops, memory_in_numpy, memory_without_what_cancels],
    "7.9": [better_by_z, better_in_capitals, better_squared],
}

# Mutants of a reference that no input can tell from it, with the reason.
EQUIVALENT = {
    ("7.6", "1 -> 2"): "a line does not see the unit of 1/n",
    ("7.9", "abs(a - b) < 2 * math.hypot(error_a, error_b) -> abs(a - b) <= 2 * math.hypot(error_a, error_b)"): "a tie "
    "is a matter of rounding",
    ("7.9", "a < b -> a <= b"): "equal distances are undecided before",
}
