"""The measurement behind the emoji model's card: does a picture show what its caption says, and is it a copy?

It joins rooms (data, painter, pretrained, evaluate) for `labkit evaluate emoji` and knows no formula of its own.
"""

import time

import torch
from torch import Tensor

from labkit import data
from labkit.evaluate import bootstrap_error, features, frechet_distance, near_copies, nearest
from labkit.painter import Painter
from labkit.pretrained import load_painter, load_recogniser

SCALES = (1.0, 2.0, 4.0, 8.0)
TWIN = 1.0  # six held-out pictures lie within 0.09 of a training picture, the next one at 11


def found(seen: Tensor, rows: Tensor, reference: Tensor, top: int = 5) -> tuple[Tensor, Tensor]:
    """Whether the picture that was asked for is among the `top` nearest, and whether the nearest has its style.

    Both bool (B,). seen: (B, D), what the judge sees in drawn pictures; rows: (B,), which row of reference (N, D) was
    asked for, where the first half of reference is of one style and the second of the other.
    """
    order = torch.cdist(seen, reference).topk(top, largest=False).indices
    half = len(reference) // 2
    return (order == rows[:, None]).any(1), order[:, 0] // half == rows // half


def without_twins(held_out: Tensor, training: Tensor) -> Tensor:
    """The held-out pictures but those that equal a training picture up to rounding.

    Some families are drawn alike under several names. A held-out picture of that kind says nothing of how far apart two
    pictures lie that were made independently, which is what `near_copies` asks of them: six of 160 would bring its
    threshold, the 1 % quantile, to 0.05, below which not even a picture that went through the autoencoder lies.
    """
    return held_out[nearest(held_out, training)[0] > TWIN]


def measure(count: int, steps: int) -> dict:
    """Draw `count` training captions in each style and at each scale of `SCALES`, and all held-out ones at 4.

    Returns, ready for JSON: for each set the share found among the five nearest of all emoji by style, the share
    of right styles, the Fréchet distance from the other training pictures with its error, beside the floor (the
    real pictures of the same captions), the share of near copies (`without_twins`), and the seconds that drawing took.
    """
    painter, judge, generator = load_painter(), load_recogniser(), torch.Generator().manual_seed(0)
    x, captions = data.emoji("all")
    reference = features(judge, x)
    split = [part for _, _, part in data.emoji_names()]
    trained = torch.tensor([i for i, part in enumerate(split) if part == "train"])
    held_out = torch.tensor([i for i, part in enumerate(split) if part != "train"])
    picked = trained[torch.randperm(len(trained), generator=generator)[:count]]
    asked = {f"guidance {scale:g}": (scale, picked) for scale in SCALES} | {"held out, guidance 4": (4.0, held_out)}
    rest = torch.tensor(sorted({*trained.tolist()} - {*picked.tolist()}))
    real = reference[_both(rest, split)]
    training = x[_both(trained, split)]
    apart = without_twins(x[_both(held_out, split)], training)
    result = {"count": count, "steps": steps, "sets": {}, "floor": _distance(reference[_both(picked, split)], real)}
    for name, (scale, chosen) in asked.items():
        rows, started = _both(chosen, split), time.perf_counter()
        drawn = _draw(painter, [captions[i] for i in rows], scale, steps)
        seconds, seen = time.perf_counter() - started, features(judge, drawn)
        right, style = found(seen, rows, reference)
        result["sets"][name] = {
            "found": {one: part.double().mean().item() for one, part in zip(data.STYLES, right.chunk(2), strict=True)},
            "style": style.double().mean().item(),
            "distance": _distance(seen, real),
            "near_copies": near_copies(drawn, apart, training),
            "seconds": seconds,
        }
    return result


def _both(rows: Tensor, split: list[str]) -> Tensor:
    return torch.cat([rows, rows + len(split)])


def _distance(seen: Tensor, real: Tensor) -> list[float]:
    return [frechet_distance(seen, real), bootstrap_error(seen, real, torch.Generator().manual_seed(0), 10)]


def _draw(painter: Painter, captions: list[str], scale: float, steps: int) -> Tensor:
    generators = [torch.Generator().manual_seed(i) for i in range(len(captions))]
    parts = [slice(i, i + 50) for i in range(0, len(captions), 50)]
    settings = {"scale": scale, "steps": steps}
    return torch.cat([painter.draw(captions[part], generator=generators[part], **settings) for part in parts])


def report(result: dict) -> str:
    """The result of `measure` as text for people."""
    lines = [f"{result['count']} captions in each style, {result['steps']} DDIM steps"]
    lines += ["{:22}{:>7}{:>9}{:>8}{:>16}{:>8}".format("", *data.STYLES, "style", "Fréchet", "copies")]
    for name, each in result["sets"].items():
        shares = "".join(f"{share:8.1%}" for share in (*each["found"].values(), each["style"]))
        distance = "{:9.4f} ± {:.4f}".format(*each["distance"])
        lines.append(f"{name:22}{shares}{distance:>18}{each['near_copies']:8.1%}   {each['seconds']:.0f} s")
    return "\n".join([*lines, "floor: the real pictures of the same captions {:.4f} ± {:.4f}".format(*result["floor"])])
