"""The judge: a small network that names garments, and how it is trained; it took no part in generation.

`evaluate` compares what it sees in images. It knows nothing of diffusion.
"""

import torch
from torch import Tensor, nn

from labkit.device import half_precision


class Classifier(nn.Module):
    """A small network that names the garment: images (B, 1, 32, 32) to scores (B, 10).

    Not a denoiser and so without t; `features` gives the 64 numbers from which it decides, which
    `evaluate` compares. 130 thousand parameters.
    """

    def __init__(self) -> None:
        super().__init__()
        widths, layers = (1, 32, 64, 96, 64), []
        for i, (before, after) in enumerate(zip(widths, widths[1:], strict=False)):
            layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if i < 2 else []
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(widths[-1], 10)

    def features(self, x: Tensor) -> Tensor:
        """Images (B, 1, 32, 32) to (B, 64); ValueError for what is no image."""
        check_images(x, 1)
        return self.body(x)

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, 1, 32, 32) to scores (B, 10)."""
        return self.head(self.features(x))


def check_images(x: Tensor, channels: int) -> None:
    """Raise ValueError unless x is (B, channels, H, W), floating-point, with B of 1 or more."""
    if x.ndim != 4 or x.shape[1] != channels or not len(x) or not x.is_floating_point():
        given = f"images are {x.dtype} of shape {tuple(x.shape)}"
        raise ValueError(f"{given}; give (B, {channels}, H, W), B of 1 or more, as floats in [-1, 1]")


def train_classifier(
    classifier: nn.Module, x: Tensor, labels: Tensor, *, epochs: int, seed: int = 0, peak_rate: float = 4e-3
) -> None:
    """Fit `classifier` in place to images x (N, 1, H, W) and labels (N,), with one-cycle AdamW.

    256 images a step, shifted together by at most one pixel each way; in bf16 or fp16 where that is quicker.
    """
    generator, per_epoch = torch.Generator().manual_seed(seed), len(x) // 256
    optimizer = torch.optim.AdamW(classifier.parameters(), weight_decay=0.02)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak_rate, total_steps=epochs * per_epoch)
    classifier.train()
    lower = half_precision(x.device)
    for _ in range(epochs):
        order = torch.randperm(len(x), generator=generator)
        for rows in order[: per_epoch * 256].split(256):
            shift = torch.randint(-1, 2, (2,), generator=generator).tolist()
            with torch.autocast(x.device.type, lower, enabled=lower is not None):
                scores = classifier(x[rows].roll(shift, (2, 3)))
            nn.functional.cross_entropy(scores.float(), labels[rows]).backward()
            optimizer.step()
            optimizer.zero_grad()
            rate.step()
    classifier.eval()
