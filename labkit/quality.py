"""The measurement behind the model card: the bundled model beside real images, QDA and noise.

It joins rooms (data, sample, pretrained, evaluate, fidelity) for `labkit evaluate` and knows no formula of its own.
"""

import json
import time
from pathlib import Path

import torch

from labkit.baseline import gaussian_samples
from labkit.data import CLASSES, fashion_mnist
from labkit.evaluate import bootstrap_error, class_shares, features, frechet_distance, near_copies
from labkit.fast import fast
from labkit.fidelity import frechet_limit, memorised, precision_recall
from labkit.pretrained import load_classifier, load_pretrained
from labkit.sample import ddim, sample

ENOUGH = 300  # images for a limit: a quarter of nine tenths of them must be more than the 64 features


def measure(count: int, steps: int) -> dict:
    """Draw `count` images in `steps` DDIM steps and compare them with as many test images.

    Returns, ready for JSON: for each set its Fréchet distance and bootstrap error, precision and recall, and the limit
    of the distance for endless images with its error (None below ENOUGH images); for the model the class shares, the
    share of near copies (1 % where nothing is copied), the share of memorised images beside that of held-out ones, and
    the seconds that drawing took.
    """
    model, classifier = load_pretrained("fashion"), load_classifier()
    quick = fast(model)  # once, as a GPU compiles it
    (train, labels), (test, _) = fashion_mnist("train"), fashion_mnist("test")
    generator, started = torch.Generator().manual_seed(0), time.perf_counter()
    sizes = [min(250, count - first) for first in range(0, count, 250)]
    drawn = [
        sample(quick, model.schedule, (size, 1, 32, 32), solver=ddim, steps=steps, generator=generator)
        for size in sizes
    ]
    seconds, drawn = time.perf_counter() - started, torch.cat(drawn).cpu().clamp(-1, 1)
    sets = {
        "floor": train[torch.randperm(len(train), generator=generator)[:count]],
        "model": drawn,
        "QDA": gaussian_samples(train, labels, count, generator),
        "noise": torch.randn(drawn.shape, generator=generator).clamp(-1, 1),
    }
    real, held_out = features(classifier, test[:count]), test[-2000:]
    distance, limit, fidelity = {}, {}, {}
    for name, images in sets.items():
        seen = features(classifier, images)
        distance[name] = [frechet_distance(seen, real), bootstrap_error(seen, real, generator)]
        limit[name] = [*frechet_limit(seen, real)] if count >= ENOUGH else None
        fidelity[name] = [*precision_recall(seen, real)] if count > 3 else None
    return {
        "count": count,
        "steps": steps,
        "seconds": seconds,
        "distance": distance,
        "limit": limit,
        "precision_recall": fidelity,
        "class_shares": dict(zip(CLASSES, class_shares(classifier, drawn).tolist(), strict=True)),
        "near_copies": near_copies(drawn, held_out, train),
        "memorised": [*memorised(drawn, held_out, train)],
    }


def save(result: dict, out: Path) -> None:
    """Write the result of `measure` as JSON, at once or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".tmp").write_text(json.dumps(result, indent=2) + "\n", "utf8")
    out.with_suffix(".tmp").replace(out)


def report(result: dict) -> str:
    """The result of `measure` as text for people."""
    floor, model, qda = (result["distance"][name][0] for name in ("floor", "model", "QDA"))
    lines = [f"{result['count']} images in {result['steps']} DDIM steps, {result['seconds']:.0f} s"]
    lines += ["set    Fréchet distance   for endless images   precision   recall"]
    for name, (value, error) in result["distance"].items():
        limit, among = result["limit"][name], result["precision_recall"][name]
        lines.append(
            f"{name:6} {value:8.2f} ± {error:5.2f}  "
            + ("{:11.2f} ± {:5.2f}".format(*limit) if limit else f"{'too few':>19}")
            + ("{:12.1%}{:9.1%}".format(*among) if among else "")
        )
    lines += [f"(model - floor) / (QDA - floor) = {(model - floor) / (qda - floor):.1%}"]
    lines += [f"{name:10} {share:6.1%}" for name, share in result["class_shares"].items()]
    lines += [f"near copies {result['near_copies']:.1%} (1 % where nothing is copied)"]
    return "\n".join([*lines, "memorised {:.1%} (of held-out images {:.1%})".format(*result["memorised"])])
