"""What one distance does not say: precision and recall, what few samples add to a distance, and what is copied.

Features are (N, D), from `evaluate.features` or any other; images (N, ...) count by their pixels. This file knows
nothing of networks or of diffusion.
"""

import torch
from torch import Tensor

from labkit.evaluate import check_rows, frechet_distance


def precision_recall(drawn: Tensor, real: Tensor, k: int = 3) -> tuple[float, float]:
    """Precision: the share of drawn features among the real ones; recall: the share of real ones among the drawn.

    A point is among a set if it is no further from some member than that member's k-th neighbour in the set is:
    Kynkäänniemi et al. (2019), equations 1 and 2. drawn: (N, D), real: (M, D); both shares depend on N and M, so
    compare at equal sizes. Raises ValueError for shapes that do not fit, no more than k rows, or a k below 1.
    """
    if k < 1:
        raise ValueError(f"k={k}; give 1 or more neighbours")
    check_rows(drawn, real, more_than=k)
    return _share_among(drawn, real, k), _share_among(real, drawn, k)


def frechet_by_parts(a: Tensor, b: Tensor, parts: int = 4) -> Tensor:
    """The Fréchet distance with 1, 1/2, ... 1/parts of the rows of a (N, D) and b (M, D): (parts,), float64.

    Both are cut in m parts, and entry m - 1 is the mean over pairs of parts. It rises in proportion to m, as the bias
    of a distance is inverse to the number of samples. The rows must stand in random order (shuffle images that are
    sorted by class). Raises ValueError where a part would have no more than D rows.
    """
    check_rows(a, b, more_than=a.shape[-1] * parts)
    means = []
    for m in range(1, parts + 1):
        pairs = zip(a.tensor_split(m), b.tensor_split(m), strict=True)
        means.append(sum(frechet_distance(*pair) for pair in pairs) / m)
    return torch.tensor(means, dtype=torch.float64)


def frechet_limit(a: Tensor, b: Tensor, parts: int = 4) -> tuple[float, float]:
    """The Fréchet distance that endless samples would have, and its standard error.

    The line through `frechet_by_parts` is drawn out to m = 0, where 1 / n = 0: Chong & Forsyth (2020), who
    cut the drawn set alone. The error is a jackknife's, from leaving out every tenth row ten times (a bootstrap
    repeats rows, which a distance takes for a smaller sample); near distance 0 it is some 40 % too large, and the
    limit may lie below 0. Rows in random order; raises ValueError below two parts, or where nine tenths of a part
    would be no more than D rows.
    """
    if parts < 2:
        raise ValueError(f"parts={parts}; a line needs 2 or more")
    check_rows(a, b, more_than=a.shape[-1] * parts * 10 // 9 + 1)  # a tenth is left out for the error
    m = torch.arange(1, parts + 1, dtype=torch.float64) - (parts + 1) / 2

    def limit(a: Tensor, b: Tensor) -> float:
        distance = frechet_by_parts(a, b, parts)
        slope = (m * distance).sum() / m.square().sum()
        return (distance.mean() - slope * (parts + 1) / 2).item()

    tenth_a, tenth_b = (torch.arange(len(rows)) % 10 for rows in (a, b))
    without = torch.tensor([limit(a[tenth_a != i], b[tenth_b != i]) for i in range(10)], dtype=torch.float64)
    return limit(a, b), (9 * without.var(unbiased=False)).sqrt().item()


def nearest_ratio(x: Tensor, reference: Tensor) -> Tensor:
    """For each of x (N, ...): its distance to the nearest of reference (M, ...) over that to the second nearest, (N,).

    Near 1 for an image that is like many others, near 0 for a copy of one; 1 where two are equally near, even at
    distance 0. ValueError below two references or for shapes that do not fit.
    """
    x, reference = x.flatten(1), reference.flatten(1)
    check_rows(x, reference, more_than=0)
    check_rows(reference, reference, more_than=1)
    parts = [torch.cdist(part, reference).topk(2, largest=False).values for part in x.split(250)]
    first, second = torch.cat(parts).T
    return torch.where(second > 0, first / second, 1.0)


def memorised(x: Tensor, held_out: Tensor, training: Tensor, below: float = 1 / 3) -> tuple[float, float]:
    """The share of x that are copies of one training image, and the same share of held-out images for comparison.

    A copy is nearer to one training image than a third of the way to the second: Yoon et al. (2023).
    Held-out images cannot be copied; a model that memorises has a share above theirs. Raises as `nearest_ratio`.
    """
    shares = [(nearest_ratio(images, training) < below).double().mean().item() for images in (x, held_out)]
    return shares[0], shares[1]


def _share_among(points: Tensor, members: Tensor, k: int) -> float:
    points, members = points.double(), members.double()
    reach = [torch.cdist(part, members).topk(k + 1, largest=False).values for part in members.split(1000)]
    reach = torch.cat(reach)[:, -1]  # k + 1, as each is its own nearest
    among = [(torch.cdist(part, members) <= reach).any(1) for part in points.split(1000)]
    return torch.cat(among).double().mean().item()
