"""device.py: what is picked, what is refused, what is said."""

import pytest
import torch

from labkit.device import describe_device, half_precision, pick_device


def test_none_picks_the_best_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device() == torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert pick_device() == torch.device("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert pick_device() == torch.device("cpu")


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu")], ids=repr)
def test_a_named_device_is_returned(device: str | torch.device) -> None:
    assert pick_device(device) == torch.device("cpu")


@pytest.mark.parametrize("device", ["moon", "", "cuda:999", "xpu"])
@pytest.mark.parametrize("f", [pick_device, describe_device])
def test_a_device_that_is_not_here_is_refused(f: object, device: str) -> None:
    with pytest.raises(ValueError, match=f"device='{device}' is not available here; use 'cpu', or None"):
        f(device)


def test_the_cpu_is_described_in_one_line() -> None:
    said = describe_device("cpu")
    assert said.startswith(f"CPU, {torch.get_num_threads()} threads")
    assert "\n" not in said


@pytest.mark.parametrize(
    ("capability", "lower"), [((7, 5), torch.float16), ((8, 0), torch.bfloat16), ((9, 0), torch.bfloat16)]
)
def test_a_gpu_computes_in_the_half_precision_that_it_has(monkeypatch, capability, lower):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert half_precision(torch.device("cuda")) is lower


@pytest.mark.parametrize(("has", "lower"), [(True, torch.bfloat16), (False, None)])
def test_a_cpu_without_bf16_in_hardware_stays_in_float32(monkeypatch, has, lower):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has, raising=False)
    assert half_precision(torch.device("cpu")) is lower
    assert half_precision(torch.device("mps")) is None
