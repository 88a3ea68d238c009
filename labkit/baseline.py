"""The oldest generative models of images, LDA and QDA: what a diffusion model must beat. Knows nothing of diffusion."""

import torch
from torch import Tensor

from labkit.progress import over


def gaussian_samples(
    x: Tensor, labels: Tensor, n: int, generator: torch.Generator, pooled: bool = False, progress: bool = True
) -> Tensor:
    """n samples of QDA fitted to images x: a Gaussian a class, own covariance (`pooled`: LDA, a common one).

    The baseline that a diffusion model must beat; slide "Diffusion model". Classes are drawn by their
    shares; returns (n, ...), clamped to [-1, 1]. Raises ValueError for images, labels or an n that cannot be, and for
    a class of one image (two in all for `pooled`), as one has no covariance.
    """
    if n < 1:
        raise ValueError(f"n={n}; draw 1 or more")
    if not x.is_floating_point():
        raise TypeError(f"x is {x.dtype}; give floating-point images in [-1, 1]")
    if x.ndim < 2 or labels.shape != x.shape[:1] or labels.dtype != torch.int64 or (labels < 0).any():
        given = f"labels are {labels.dtype} of shape {tuple(labels.shape)} for images of shape {tuple(x.shape)}"
        raise ValueError(f"{given}; give one int64 label, 0 or more, for each image")
    sizes = [len(x)] if pooled else labels.unique(return_counts=True)[1].tolist()
    if min(sizes, default=0) < 2:
        raise ValueError(f"{len(x)} images in {len(sizes)} classes; give 2 or more of each class")
    flat, drawn = x.flatten(1).double(), torch.empty(n, x[0].numel(), dtype=torch.float64)
    counts = torch.bincount(labels)
    classes = torch.multinomial(counts.double(), n, replacement=True, generator=generator)
    means = torch.stack([flat[labels == c].mean(0) for c in range(len(counts))])
    common = torch.linalg.eigh(torch.cov((flat - means[labels]).T)) if pooled else None
    for c in over(classes.unique().tolist(), "Gaussians", progress):
        values, vectors = common if pooled else torch.linalg.eigh(torch.cov(flat[labels == c].T))
        rows = classes == c
        noise = torch.randn(int(rows.sum()), flat.shape[1], dtype=torch.float64, generator=generator)
        drawn[rows] = means[c] + (noise * values.clamp(min=0).sqrt()) @ vectors.T
    return drawn.clamp(-1, 1).to(x.dtype).reshape(n, *x.shape[1:])
