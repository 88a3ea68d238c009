"""Reads the files under data/ into tensors and checks them; knows nothing of diffusion.

Every file is listed with its SHA-256 in data/SHA256SUMS (the format of `sha256sum -c`). Nothing is
downloaded: a file that is missing or damaged is named together with the command that restores it.
"""

import hashlib
import lzma
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
CLASSES = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
STYLES = ("noto", "twemoji")
_PARTS = {"train": "train", "test": "t10k"}


class DataError(ValueError):
    """A file of the course is missing or damaged; the message says which, and how to restore it."""


def fashion_mnist(split: str = "train") -> tuple[Tensor, Tensor]:
    """Fashion-MNIST (Xiao et al. 2017): images (N, 1, 32, 32) float32 in [-1, 1] and labels (N,) int64.

    split: "train" (N = 60,000) or "test" (N = 10,000). The 28x28 pictures are padded by two black
    pixels on each side; `CLASSES[label]` is the name. Raises ValueError for another split and
    DataError for a missing or damaged file.
    """
    if split not in _PARTS:
        raise ValueError(f"split={split!r} is unknown; use 'train' or 'test'")
    part = _PARTS[split]
    images = _read_idx(f"fashion-mnist/{part}-images-idx3-ubyte.xz")
    labels = _read_idx(f"fashion-mnist/{part}-labels-idx1-ubyte.xz")
    padded = torch.full((len(images), 1, 32, 32), -1.0)
    padded[:, 0, 2:30, 2:30] = images.float().div_(127.5).sub_(1)
    return padded, labels.long()


def stored_steps() -> list[int]:
    """The numbers of ancestral steps for which `stored_samples` has images."""
    stored = [name[16:-4] for name in checksums() if name.startswith("samples/fashion-")]
    return sorted(int(word) for word in stored if word.isdigit())


def stored_samples(steps: int | str) -> Tensor:
    """Images (N, 1, 32, 32) float32 in [-1, 1] that the bundled model drew beforehand (data/make_samples.py).

    steps: N = 128 by that many ancestral steps, or "2M": N = 600 by 10 calls of 2M (lab 06); image i comes from the
    generator with seed i. Raises ValueError for what is not stored and DataError for a missing or damaged file.
    """
    from PIL import Image

    if steps not in [*stored_steps(), "2M"]:
        raise ValueError(f"steps={steps!r} is not stored; use one of {stored_steps()} or '2M'")
    grid = Image.open(verified(f"samples/fashion-{steps}.png"))
    raw = torch.frombuffer(bytearray(grid.tobytes()), dtype=torch.uint8).reshape(grid.height // 32, 32, -1, 32)
    return raw.transpose(1, 2).reshape(-1, 1, 32, 32).float() / 127.5 - 1


def emoji(split: str = "all") -> tuple[Tensor, list[str]]:
    """Emoji with names: images (N, 3, 64, 64) float32 in [-1, 1] on white, and captions such as "red apple, noto".

    split: "all" (1,636 names, first all in the style of Noto, then all in that of Twemoji: N = 3,272), "train",
    or "held-out": new combinations of known words, which the bundled model never saw. Raises ValueError
    for another split and DataError for a missing or damaged file.
    """
    from PIL import Image

    if split not in ("all", "train", "held-out"):
        raise ValueError(f"split={split!r} is unknown; use 'all', 'train' or 'held-out'")
    listed, images = emoji_names(), []
    rows = [i for i, (_, _, part) in enumerate(listed) if split in ("all", part)]
    for style in STYLES:
        picture = Image.open(verified(f"emoji/{style}.webp"))
        raw = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
        tiles = raw.reshape(-1, 64, picture.width // 64, 64, 3).permute(0, 2, 4, 1, 3).flatten(0, 1)
        images.append(tiles[rows].float().div_(127.5).sub_(1))
    return torch.cat(images), [f"{listed[i][0]}, {style}" for style in STYLES for i in rows]


def emoji_names() -> list[tuple[str, bool, str]]:
    """For each emoji, in order: its name, whether its mirror image bears it, too, and its split."""
    lines = verified("emoji/names.tsv").read_text("utf8").splitlines()[1:]
    return [(name, mirror == "mirrors", split) for _, name, mirror, split in (line.split("\t") for line in lines)]


def _read_idx(name: str) -> Tensor:
    """An IDX file (magic number, big-endian sizes, bytes), xz-compressed, as a uint8 tensor."""
    raw = bytearray(lzma.decompress(verified(name).read_bytes()))
    ndim = raw[3]
    shape = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(ndim)]
    return torch.frombuffer(raw, dtype=torch.uint8, offset=4 + 4 * ndim).reshape(shape)


@lru_cache
def checksums() -> dict[str, str]:
    """The expected SHA-256 of every file under data/, by its path relative to data/.

    Raises DataError where the list itself is missing or is no list.
    """
    restore = "restore it with: git checkout -- data/SHA256SUMS"
    try:
        lines = (ROOT / "data" / "SHA256SUMS").read_text("utf8").splitlines()
        listed = {name: digest for digest, name in (line.split(maxsplit=1) for line in lines if line.strip())}
        if any(len(digest) != 64 for digest in listed.values()):
            raise ValueError
        return listed
    except FileNotFoundError:
        raise DataError(f"data/SHA256SUMS is missing; {restore}") from None
    except ValueError:  # also where it is not UTF-8
        raise DataError(f"data/SHA256SUMS is damaged: give lines of a SHA-256 and a name; {restore}") from None


def verified(name: str) -> Path:
    """The path of data/`name`, after its SHA-256 was compared with data/SHA256SUMS.

    Raises DataError with the file, the expected and the found digest, and the restoring command.
    """
    expected, path = checksums().get(name), ROOT / "data" / name
    if expected is None:
        raise ValueError(f"data/{name} is not a file of the course; data/SHA256SUMS lists those that are")
    restore = f"restore it with: git checkout -- data/{name}"
    if not path.is_file():
        raise DataError(f"data/{name} is missing (expected SHA-256 {expected}); {restore}")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != expected:
        raise DataError(f"data/{name} is damaged: expected SHA-256 {expected}, found {found}; {restore}")
    return path
