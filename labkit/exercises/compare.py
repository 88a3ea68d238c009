"""From whatever an answer is (torch, NumPy, lists, numbers, words) to values that can be compared, shown and stored.

A value is a word, a float64 tensor, or a list of values; a reference that returns a tuple has parts, each compared by
itself. This file knows nothing of tasks.
"""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?")  # a number in quotes is meant as one
LARGEST = 100_000  # numbers in one value; no task needs more, and a flood of them must not fill a notebook


class NotAValue(ValueError):
    """Something came that is neither a number, nor an array, nor a word, nor a list of these; the message says what."""


def values(result: Any) -> Any:
    """`result` as values: a word (lower case), a float64 tensor on the CPU, or for a tuple the list of its parts.

    A list (or an iterator, or an array of objects) of numbers and arrays of one shape is one tensor. Raises NotAValue.
    """
    if isinstance(result, str):
        word = result.strip().lower()
        return _bounded(_tensor(float(word))) if NUMBER.fullmatch(word) else word
    if isinstance(result, Iterator):
        result = list(itertools.islice(result, LARGEST))
    if isinstance(result, tuple):
        return [values(part) for part in result]
    if isinstance(result, list):
        parts = [values(part) for part in result]
        if parts and all(isinstance(part, Tensor) and part.shape == parts[0].shape for part in parts):
            return _bounded(torch.stack(parts))
        return parts
    return _bounded(_tensor(result))


def _tensor(result: Any) -> Tensor:
    if isinstance(result, Tensor):
        array = result.detach().cpu()
        if array.is_complex():
            raise NotAValue("complex numbers came; everything here is real")
        return array.double().clone()
    if callable(result):
        raise NotAValue("a function came where its result belongs: is a pair of brackets missing?")
    try:
        array = np.asarray(result)
        if array.dtype.kind not in "biuf":  # SymPy, Fraction, Decimal have a float; other things have none
            array = np.asarray(float(result))
    except Exception:
        raise NotAValue(f"{type(result).__name__} came; give a number, an array or a tensor") from None
    return torch.tensor(array, dtype=torch.float64)


def _bounded(value: Tensor) -> Tensor:
    if value.numel() > LARGEST:
        raise NotAValue(f"{value.numel():,} numbers came, of shape {tuple(value.shape)}; far fewer belong here")
    return value


def same(found: Any, wanted: Any, rtol: float, atol: float) -> bool:
    """Do two values agree? Dimensions of length 1 do not matter; one number may stand for many equal ones."""
    pairs = aligned(found, wanted)
    return pairs is not None and all(
        one == other if isinstance(one, str) else torch.isclose(one, other, rtol=rtol, atol=atol, equal_nan=True).all()
        for one, other in pairs
    )


def aligned(found: Any, wanted: Any) -> list[tuple[Any, Any]] | None:
    """The pairs of words or of tensors of one shape that `same` compares; None where the two are not alike."""
    if isinstance(wanted, str) or isinstance(found, str):
        return [(found, wanted)] if isinstance(wanted, str) and isinstance(found, str) else None
    if isinstance(wanted, list):
        if isinstance(found, Tensor):
            found = list(found) if found.ndim else [found]
        if len(found) != len(wanted):
            return None
        pairs = [aligned(one, other) for one, other in zip(found, wanted, strict=True)]
        return None if None in pairs else sum(pairs, [])
    if isinstance(found, list):  # a tuple of numbers is as good as a list of them
        if not found or not all(isinstance(part, Tensor) and part.shape == found[0].shape for part in found):
            return None
        found = torch.stack(found)
    fitted = fit(found, wanted)
    return None if fitted is None else [(fitted, wanted)]


def fit(found: Tensor, wanted: Tensor) -> Tensor | None:
    """`found` in the shape of `wanted` where that changes nothing, else None."""
    if found.shape == wanted.shape:
        return found
    if found.squeeze().shape == wanted.squeeze().shape:
        return found.reshape(wanted.shape)
    try:
        return found.expand(wanted.shape)
    except RuntimeError:
        return None


def shape(value: Any) -> str:
    """What kind of value it is, in words: for a sentence about a wrong shape."""
    if isinstance(value, str):
        return "a word"
    if isinstance(value, list):
        return f"{len(value)} parts"
    return f"shape {tuple(value.shape)}" if value.ndim else "one number"


def brief(thing: Any, most: int = 6) -> str:
    """An argument or a value in a few characters, for messages; numbers with four digits."""
    if isinstance(thing, Tensor):
        if thing.numel() <= most:
            return _numbers(thing.tolist())
        first = ", ".join(_number(value) for value in thing.flatten()[:3].tolist())
        return f"{tuple(thing.shape)} numbers, the first {first}"
    if isinstance(thing, float):
        return _number(thing)
    if isinstance(thing, list | tuple):
        parts = [brief(part, most) for part in thing[:most]]
        return "(" + ", ".join(parts + ["..."] * (len(thing) > most)) + ")"
    if callable(thing):
        return getattr(thing, "__name__", "a function")
    if isinstance(thing, torch.Generator):
        return "a generator"
    return repr(thing)[:60]


def _numbers(nested: Any) -> str:
    return "[" + ", ".join(map(_numbers, nested)) + "]" if isinstance(nested, list) else _number(nested)


def _number(value: float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def encode(value: Any) -> Any:
    """A value for JSON: words as they are, tensors as their shape and one line of numbers."""
    if isinstance(value, list):
        return [encode(part) for part in value]
    if isinstance(value, str):
        return value[:1000]
    return {"shape": list(value.shape), "numbers": " ".join(f"{number:.15g}" for number in value.flatten().tolist())}


def decode(stored: Any) -> Any:
    """The value that `encode` stored. Raises NotAValue for anything else."""
    if isinstance(stored, list):
        return [decode(part) for part in stored]
    if isinstance(stored, str):
        return stored
    try:
        numbers = torch.tensor([float(number) for number in stored["numbers"].split()], dtype=torch.float64)
        return _bounded(numbers).reshape(tuple(stored["shape"]))
    except (TypeError, KeyError, ValueError, RuntimeError, AttributeError):
        raise NotAValue("this is no stored value") from None


def copy_of(thing: Any) -> Any:
    """A copy of an argument that can be changed freely; models and functions stay themselves."""
    if isinstance(thing, Tensor):
        return thing.clone()
    if isinstance(thing, torch.Generator):
        twin = torch.Generator()
        twin.set_state(thing.get_state())
        return twin
    if isinstance(thing, list | tuple):
        return type(thing)(copy_of(part) for part in thing)
    return thing


def left_of(thing: Any) -> Any:
    """What can be stored of an argument: its numbers. Of generators, which are meant to move on, and models nothing."""
    if isinstance(thing, list | tuple):
        return [left_of(part) for part in thing]
    if isinstance(thing, Tensor):
        return thing.detach().cpu().double() if thing.numel() <= LARGEST else torch.zeros(0)
    return torch.tensor(thing, dtype=torch.float64) if isinstance(thing, int | float) else ""


def unchanged(before: Any, after: Any) -> bool:
    """Is an argument what it was? after: what is left of it, perhaps stored and read again."""
    before = left_of(before)
    if isinstance(before, list):
        return isinstance(after, list) and len(before) == len(after) and all(map(unchanged, before, after))
    if isinstance(before, str) or not isinstance(after, Tensor):
        return isinstance(before, str) and before == after
    return before.shape == after.shape and torch.allclose(before, after, rtol=1e-9, atol=1e-12, equal_nan=True)
