"""data.py: Fashion-MNIST as it should be, and what is said where a file is missing or damaged."""

import hashlib
import importlib
import inspect
import lzma
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from labkit import data

NAMES = {
    "train": ("fashion-mnist/train-images-idx3-ubyte.xz", "fashion-mnist/train-labels-idx1-ubyte.xz"),
    "test": ("fashion-mnist/t10k-images-idx3-ubyte.xz", "fashion-mnist/t10k-labels-idx1-ubyte.xz"),
}


@pytest.mark.parametrize(("split", "n"), [("train", 60_000), ("test", 10_000)])
def test_fashion_mnist_is_whole(split: str, n: int) -> None:
    x, labels = data.fashion_mnist(split)
    assert x.shape == (n, 1, 32, 32)
    assert x.dtype == torch.float32
    assert labels.dtype == torch.int64
    assert (x.amin(), x.amax()) == (-1, 1)
    assert torch.bincount(labels).tolist() == [n // 10] * 10
    border = torch.ones(32, 32, dtype=torch.bool)
    border[2:30, 2:30] = False
    assert (x[:, 0, border] == -1).all()


def test_pixels_are_the_files_bytes() -> None:
    raw = lzma.decompress((data.ROOT / "data" / NAMES["test"][0]).read_bytes())
    first = torch.tensor(list(raw[16 : 16 + 784])).reshape(28, 28)
    x, _ = data.fashion_mnist("test")
    assert torch.equal(((x[0, 0, 2:30, 2:30] + 1) * 127.5).round().long(), first)


def test_the_train_split_is_the_default_and_names_are_ten() -> None:
    assert inspect.signature(data.fashion_mnist).parameters["split"].default == "train"
    assert len(set(data.CLASSES)) == 10


@pytest.mark.parametrize("split", ["valid", "", None, 3])
def test_an_unknown_split_is_refused(split: object) -> None:
    with pytest.raises(ValueError, match=f"split={split!r} is unknown; use 'train' or 'test'"):
        data.fashion_mnist(split)


def idx(*shape: int) -> bytes:
    """An xz-compressed IDX file of zeros."""
    header = bytes([0, 0, 8, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)
    return lzma.compress(header + bytes(torch.Size(shape).numel()))


def forget() -> None:
    """The list of checksums is read once; make data.py read it anew."""
    getattr(data.checksums, "cache_clear", lambda: None)()


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A course of its own with three black pictures in the test split; returns its data/ folder."""
    folder = tmp_path / "data"
    (folder / "fashion-mnist").mkdir(parents=True)
    lines = []
    for name, content in zip(NAMES["test"], (idx(3, 28, 28), idx(3)), strict=True):
        (folder / name).write_bytes(content)
        lines.append(f"{hashlib.sha256(content).hexdigest()}  {name}\n")
    (folder / "SHA256SUMS").write_text("".join(lines), "utf8")
    monkeypatch.setattr(data, "ROOT", tmp_path)
    forget()
    yield folder
    forget()


def refusal(tmp_path: Path) -> str:
    """What data.py says; never with the path of this machine, and always with the way out."""
    with pytest.raises(data.DataError) as caught:
        data.fashion_mnist("test")
    message = str(caught.value)
    assert str(tmp_path) not in message
    assert "restore it with: git checkout -- data/" in message
    assert isinstance(caught.value, ValueError)
    return message


def test_the_small_copy_is_read(copy: Path) -> None:
    x, labels = data.fashion_mnist("test")
    assert x.shape == (3, 1, 32, 32)
    assert (x == -1).all()
    assert labels.tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", NAMES["test"])
def test_a_missing_file_is_named_with_its_checksum_and_command(copy: Path, tmp_path: Path, name: str) -> None:
    expected = hashlib.sha256((copy / name).read_bytes()).hexdigest()
    (copy / name).unlink()
    message = refusal(tmp_path)
    assert f"data/{name} is missing (expected SHA-256 {expected})" in message
    assert f"git checkout -- data/{name}" in message


@pytest.mark.parametrize("damage", [lambda raw: raw[:-1], lambda raw: b"", lambda raw: raw + b"x"])
def test_a_damaged_file_is_named_with_both_checksums(copy: Path, tmp_path: Path, damage: object) -> None:
    name = NAMES["test"][0]
    raw = (copy / name).read_bytes()
    (copy / name).write_bytes(damage(raw))
    message = refusal(tmp_path)
    found = hashlib.sha256(damage(raw)).hexdigest()
    assert f"data/{name} is damaged: expected SHA-256 {hashlib.sha256(raw).hexdigest()}, found {found}" in message
    assert f"git checkout -- data/{name}" in message


@pytest.mark.parametrize("content", [None, "no checksum here", "abc\n", b"\xff\xfe\x00damaged"], ids=repr)
def test_a_missing_or_damaged_list_of_checksums_says_so(
    copy: Path, tmp_path: Path, content: str | bytes | None
) -> None:
    listing = copy / "SHA256SUMS"
    listing.unlink()
    if content is not None:
        listing.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert f"data/SHA256SUMS is {'missing' if content is None else 'damaged'}" in refusal(tmp_path)


def test_a_file_that_is_not_listed_is_refused(copy: Path) -> None:
    (copy / "mine.xz").write_bytes(b"")
    with pytest.raises(ValueError, match=r"data/mine\.xz is not a file of the course; data/SHA256SUMS lists"):
        data.verified("mine.xz")


def test_every_listed_file_is_there_and_whole() -> None:
    names = data.checksums()
    assert {name for pair in NAMES.values() for name in pair} <= set(names)
    for name in names:
        assert data.verified(name) == data.ROOT / "data" / name


def test_emoji_come_in_two_styles_with_names() -> None:
    x, captions = data.emoji()
    assert x.shape == (3272, 3, 64, 64)
    assert (x.min(), x.max()) == (-1, 1)
    assert len(captions) == len(set(captions)) == 3272
    apples = {colour: x[captions.index(f"{colour} apple, noto")].mean((1, 2)) for colour in ("red", "green")}
    assert apples["red"].argmax() == 0
    assert apples["green"].argmax() == 1
    assert x[captions.index("black heart, twemoji")].mean() < x[captions.index("white heart, twemoji")].mean()
    assert all("heavy black" not in caption for caption in captions)


def test_held_out_names_are_new_combinations_of_known_words() -> None:
    seen, held_out = (set(data.emoji(split)[1]) for split in ("train", "held-out"))
    assert not seen & held_out
    assert len(seen | held_out) == 3272
    assert 0.04 < len(held_out) / 3272 < 0.06
    known = {word for caption in seen for word in caption.split()}
    assert {word for caption in held_out for word in caption.split()} <= known
    for word in ("apple", "book", "heart", "circle"):
        assert not [caption for caption in held_out if word in caption.replace(",", "").split()]


def test_only_names_without_sides_or_writing_may_be_mirrored() -> None:
    mirrors = {name: able for name, able, _ in data.emoji_names()}
    assert mirrors["red apple"]
    assert mirrors["dog"]
    for name in ("right arrow", "three o'clock", "keycap 3", "ok button", "man running facing right", "full moon"):
        assert mirrors[name] == (name == "full moon"), name
    for name in ("rightwards hand", "leftwards hand", "rightwards pushing hand", "leftwards pushing hand"):
        assert not mirrors[name], name
    for name in ("map of japan", "world map", "globe showing americas", "antenna bars", "convenience store", "taxi"):
        assert not mirrors[name], name


def test_the_list_of_names_is_what_the_script_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(data.ROOT / "data")
    fetch = importlib.import_module("fetch_emoji")
    _, *lines = (data.ROOT / "data/emoji/names.tsv").read_text("utf8").splitlines()
    unseen = fetch.held_out([name for name, _, _ in data.emoji_names()])
    assert lines == [fetch.line(*found.split("\t")[:2], unseen) for found in lines]


def test_an_unknown_part_of_the_emoji_is_refused() -> None:
    with pytest.raises(ValueError, match="use 'all', 'train' or 'held-out'"):
        data.emoji("test")
