"""The emoji's judge: a small network that tells emoji apart, and how it is trained; it took no part in generation.

Its features say which emoji a drawn picture is nearest to. It knows nothing of diffusion.
"""

import torch
from torch import Tensor, nn

from labkit.classifier import check_images
from labkit.device import half_precision

SIZE = 128  # numbers in a feature


class Recogniser(nn.Module):
    """Pictures (B, 3, 64, 64) to features (B, 128) of length 1; 0.7 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        widths, layers = (3, 24, 48, 96, 128), []
        for before, after in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
            layers += [nn.Conv2d(after, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * 16, SIZE))

    def features(self, x: Tensor) -> Tensor:
        """Pictures (B, 3, 64, 64) in [-1, 1] to (B, 128), each of length 1; ValueError for what is no picture."""
        check_images(x, 3)
        return nn.functional.normalize(self.body(x).float(), dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """The same as `features`."""
        return self.features(x)


def varied(x: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures x (B, C, H, W) on white, turned, moved, scaled, recoloured, blurred and roughened a little each."""

    def draw(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(len(x), *shape, generator=generator) * (high - low) + low

    angle, size = draw(-0.15, 0.15), draw(0.9, 1.15)
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).reshape(-1, 2, 2) * size[:, None, None]
    place = torch.cat([turn, draw(-0.1, 0.1, 2, 1)], 2)
    grid = nn.functional.affine_grid(place, list(x.shape), align_corners=False)
    ink = nn.functional.grid_sample(x - 1, grid, align_corners=False)  # white is 0, and so is what lies outside
    ink = ink * draw(0.85, 1.1, x.shape[1], 1, 1)
    soft = nn.functional.avg_pool2d(ink, 3, stride=1, padding=1)
    ink = torch.lerp(ink, soft, draw(0, 1, 1, 1, 1))
    return ink + 1 + draw(0, 0.15, 1, 1, 1) * torch.randn(x.shape, generator=generator)


def train_recogniser(model: Recogniser, x: Tensor, *, epochs: int, seed: int = 0, peak_rate: float = 2e-3) -> None:
    """Fit `model` in place, so that the features of varied copies of each picture x (N, 3, 64, 64) lie close together.

    Each picture is a class of its own: cross-entropy of 16 times the cosine between a feature and each class's vector
    (Wang et al. 2017, "NormFace"), 64 a step, one-cycle AdamW; the classes' vectors are thrown away.
    """
    generator, per_epoch = torch.Generator().manual_seed(seed), len(x) // 64
    classes = nn.Parameter(torch.randn(len(x), SIZE, generator=generator) / SIZE**0.5)
    optimizer = torch.optim.AdamW([*model.parameters(), classes], weight_decay=0.02, fused=True)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak_rate, total_steps=epochs * per_epoch)
    lower = half_precision(x.device)
    model.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=generator)[: per_epoch * 64].split(64):
            with torch.autocast(x.device.type, lower, enabled=lower is not None):
                seen = model(varied(x[rows], generator))
            scores = 16 * seen @ nn.functional.normalize(classes, dim=1).T
            nn.functional.cross_entropy(scores, rows.to(x.device)).backward()
            optimizer.step()
            optimizer.zero_grad()
            rate.step()
    model.eval()
