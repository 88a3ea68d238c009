"""Picks the device to compute on and describes it in words; knows nothing of models or data."""

import platform

import torch


def pick_device(device: torch.device | str | None = None) -> torch.device:
    """Return `device` as a torch.device; `None` picks CUDA, else Apple's MPS, else the CPU.

    Raises ValueError where the named device does not exist on this machine.
    """
    if device is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError):
        instead = "use 'cpu', or None to pick the best there is"
        raise ValueError(f"device={device!r} is not available here; {instead}") from None
    return chosen


def describe_device(device: torch.device | str | None = None) -> str:
    """One line for people: the name of the device, its cores or its memory."""
    chosen = pick_device(device)
    if chosen.type == "cuda":
        card = torch.cuda.get_device_properties(chosen)
        return f"{card.name}, {card.total_memory / 2**30:.0f} GiB"
    if chosen.type == "mps":
        return f"Apple GPU ({platform.machine()})"
    return f"CPU, {torch.get_num_threads()} threads ({platform.machine()})"


def half_precision(device: torch.device) -> torch.dtype | None:
    """The 16-bit type in which this device computes faster than in float32, or None where there is none.

    bfloat16 on GPUs and CPUs that have it in hardware, float16 on older GPUs (Colab's T4).
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16
    has_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)  # torch has no public name for it
    return torch.bfloat16 if device.type == "cpu" and has_bf16() else None
