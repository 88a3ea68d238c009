"""What public functions say of input that cannot be: one sentence with what came and what is allowed."""

import pytest
import torch

from labkit import MLP, evaluate, fashion_unet, gaussian_samples
from labkit.classifier import Classifier
from labkit.recogniser import Recogniser

IMAGES, LABELS = torch.zeros(8, 1, 32, 32), torch.arange(8) % 2
WHOLE = torch.zeros(2, 1, 32, 32, dtype=torch.uint8)


def draw(x: torch.Tensor = IMAGES, labels: torch.Tensor = LABELS, n: int = 5, **options: bool) -> torch.Tensor:
    return gaussian_samples(x, labels, n, torch.Generator().manual_seed(0), progress=False, **options)


def spread(a: torch.Tensor, rounds: int = 30) -> float:
    return evaluate.bootstrap_error(a, torch.zeros(9, 2), torch.Generator().manual_seed(0), rounds)


CASES = {
    "no samples": (lambda: draw(n=0), r"n=0; draw 1 or more"),
    "fewer than none": (lambda: draw(n=-1), r"n=-1; draw 1 or more"),
    "a label too few": (lambda: draw(labels=LABELS[:7]), r"labels are .* of shape \(7,\) for images of shape \(8"),
    "labels that are no classes": (lambda: draw(labels=LABELS / 2), r"labels are torch.float32.*give one int64"),
    "a label below 0": (lambda: draw(labels=LABELS - 1), r"give one int64 label, 0 or more, for each image"),
    "one image a class": (lambda: draw(labels=torch.arange(8)), r"8 images in 8 classes; give 2 or more of each"),
    "one image": (lambda: draw(IMAGES[:1], LABELS[:1], pooled=True), r"1 images in 1 classes; give 2 or more"),
    "no images to fit": (lambda: draw(IMAGES[:0], LABELS[:0]), r"0 images in 0 classes; give 2 or more"),
    "integer images to fit": (lambda: draw(torch.zeros(8, 1, 2, 2).int()), r"x is torch.int32; give floating-point"),
    "images of another size": (
        lambda: evaluate.nearest(IMAGES, torch.zeros(3, 1, 8, 8)),
        r"shapes \(8, 1024\) and \(3, 64\).*give \(N, D\) and \(M, D\)",
    ),
    "integer images to compare": (lambda: evaluate.nearest(WHOLE, IMAGES), r"torch.uint8 and torch.float32; give"),
    "none to compare with": (lambda: evaluate.nearest(IMAGES, IMAGES[:0]), r"\(0, 1024\).*N and M above 0"),
    "none held out": (lambda: evaluate.near_copies(IMAGES, IMAGES[:0], IMAGES), r"\(0, 1024\).*N and M above 0"),
    "colours": (lambda: evaluate.features(Classifier(), torch.zeros(2, 3, 32, 32)), r"\(2, 3, 32, 32\); give \(B, 1"),
    "no colours": (lambda: evaluate.features(Recogniser(), IMAGES), r"\(8, 1, 32, 32\); give \(B, 3, H, W\)"),
    "one image without its batch": (lambda: evaluate.features(Classifier(), IMAGES[0]), r"\(1, 32, 32\); give \(B, 1"),
    "integer images": (lambda: evaluate.features(Classifier(), WHOLE), r"images are torch.uint8 .*as floats"),
    "no images": (lambda: evaluate.class_shares(Classifier(), IMAGES[:0]), r"\(0, 1, 32, 32\); give .*B of 1 or more"),
    "one round": (lambda: spread(torch.zeros(9, 2), rounds=1), r"rounds=1; a spread needs 2 or more"),
    "no rows": (lambda: spread(torch.zeros(0, 2)), r"\(0, 2\) and \(9, 2\).*N and M above 1"),
    "no width": (lambda: fashion_unet(()), r"channels=\(\); give one to five multiples of 8"),
    "a width that groups do not divide": (lambda: fashion_unet((8, 12)), r"channels=\(8, 12\); give"),
    "a width of 0": (lambda: fashion_unet((0,)), r"channels=\(0,\); give"),
    "more halvings than there are pixels": (lambda: fashion_unet((8,) * 6), r"channels=.*; give one to five"),
    "no dimension": (lambda: MLP(0, 10), r"dim=0, T=10, hidden=128; give 1 or more each"),
    "no time": (lambda: MLP(2, 0), r"dim=2, T=0, hidden=128; give 1 or more each"),
    "points of another dimension": (lambda: MLP(2, 10)(torch.zeros(4, 3), 1), r"shape \(4, 3\); give \(B, 2\)$"),
    "numbers for points": (lambda: MLP(2, 10)(torch.zeros(4), 1), r"z_t has shape \(4,\); give \(B, 2\)$"),
    "points for numbers": (lambda: MLP(1, 10)(torch.zeros(4, 3), 1), r"\(4, 3\); give \(B, 1\), or \(B,\)$"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_one_sentence(name: str):
    call, said = CASES[name]
    with pytest.raises((ValueError, TypeError), match=said) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_what_is_allowed_at_the_edge_works():
    assert draw(IMAGES[:2], torch.tensor([0, 3]), pooled=True).shape == (5, 1, 32, 32)
    assert draw(labels=LABELS * 3).isfinite().all()  # no image is of class 1 or 2
    assert MLP(1, 10)(torch.zeros(4), 1).shape == (4,)
    assert MLP(1, 10)(torch.zeros(4, 1), 1).shape == (4, 1)
    assert spread(torch.randn(9, 2), rounds=2) >= 0


@pytest.mark.parametrize("channels", [(8,), (8, 16, 16, 64), (8, 8, 40), (8, 8, 8, 8, 8)])
def test_any_multiples_of_8_make_a_unet(channels: tuple[int, ...]):
    """(8, 16, 16, 64) once had no head at 8x8 pixels: a head was as wide as the last level wanted."""
    assert fashion_unet(channels)(torch.zeros(1, 1, 32, 32), 5).shape == (1, 1, 32, 32)
