"""fast.py: the same guesses, made in another way; what `how` says is what was done; the given model stays as it is."""

import copy
import importlib
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from labkit import load_painter, load_pretrained
from labkit.exact import GaussianMixture, exact_model
from labkit.fast import _compiled, fast
from labkit.model import MLP, UNet, fashion_unet
from labkit.sample import ddim, guided, sample
from labkit.schedule import NoiseSchedule
from labkit.text_to_image import LATENT, TOKENS, TextToImage, text_to_image

LAST = {"memory_format": torch.channels_last}
SCHEDULE = NoiseSchedule.linear(100)


def noise(*shape: int) -> Tensor:
    """Standard normal numbers, always the same."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def tiny() -> UNet:
    """A U-Net of the course's shape, only narrow, as torch lays it out."""
    torch.manual_seed(0)
    return fashion_unet((8, 16, 16)).eval()


@pytest.fixture(scope="module")
def words() -> TextToImage:
    """An untrained text encoder and U-Net."""
    torch.manual_seed(0)
    return text_to_image(20, SCHEDULE).eval()


@pytest.fixture(params=[None, torch.bfloat16], ids=["float32", "bf16"])
def lower(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> torch.dtype | None:
    """The 16-bit type of a machine without one, and of one with bf16 (every CPU can compute in it, if slowly)."""
    room = importlib.import_module("labkit.fast")  # labkit.fast itself is the function
    monkeypatch.setattr(room, "half_precision", lambda device: request.param)
    return request.param


def test_fast_computes_the_same(tiny: UNet, lower: torch.dtype | None) -> None:
    z_t = noise(2, 1, 32, 32)
    with torch.no_grad():
        slow, quick = tiny(z_t, 7), fast(tiny)(z_t, 7)
    assert (quick.shape, quick.dtype) == (slow.shape, slow.dtype)
    assert (quick - slow).abs().max() < (0.05 if lower else 1e-5) * slow.abs().max()


def test_fast_says_what_it_did(tiny: UNet, lower: torch.dtype | None) -> None:
    assert fast(tiny).how == ("channels_last, bfloat16" if lower else "channels_last")
    assert fast(tiny.to(**LAST)).how == ("bfloat16" if lower else "nothing to gain")
    assert fast(MLP(2, 10)).how == ("bfloat16" if lower else "nothing to gain")


def test_the_bundled_model_is_laid_out_already_and_is_not_copied() -> None:
    model = load_pretrained("fashion", "cpu")
    quick = fast(model)
    assert "channels_last" not in quick.how
    assert quick.model is model
    assert quick.schedule is model.schedule


def activations(model: nn.Module, *inputs: Tensor | int) -> dict[str, Tensor]:
    """What each 3x3 convolution gives in a call of the model."""
    seen = {}

    def keep(name: str) -> Callable:
        return lambda layer, given, output: seen.update({name: output})

    convolutions = [(n, one) for n, one in model.named_modules() if getattr(one, "kernel_size", 0) == (3, 3)]
    hooks = [one.register_forward_hook(keep(name)) for name, one in convolutions]
    with torch.no_grad():
        model(*inputs)
    for hook in hooks:
        hook.remove()
    return seen


def test_channels_last_is_what_convolutions_see(tiny: UNet) -> None:
    """Images of one channel look the same both ways: the layers inside tell."""
    quick, before = fast(tiny), activations(tiny, noise(2, 1, 32, 32), 7)
    inside = activations(quick, noise(2, 1, 32, 32), 7)
    assert len(inside) == len(before) > 20
    assert all(one.is_contiguous(**LAST) for one in inside.values())
    assert not all(one.is_contiguous(**LAST) for one in before.values())


def test_the_given_model_is_left_as_it_is(tiny: UNet) -> None:
    kept = copy.deepcopy(tiny.train())
    fast(tiny)(noise(2, 1, 32, 32), 7).sum().backward()
    assert all(one.training for one in tiny.modules())
    for before, after in zip(kept.parameters(), tiny.parameters(), strict=True):
        assert torch.equal(before, after)
        assert (before.stride(), after.grad) == (after.stride(), None)


def test_what_a_model_is_told_is_passed_on(words: TextToImage) -> None:
    """As in lab 05: guidance asks a model with tokens."""
    z_t, tokens = noise(2, *LATENT), torch.arange(2 * TOKENS).reshape(2, TOKENS) % 20
    quick = fast(words)
    guesses = [guided(net, tokens, torch.ones(TOKENS, dtype=torch.int64), 3.0)(z_t, 9) for net in (words, quick)]
    assert "channels_last" in quick.how
    assert (guesses[0] - guesses[1]).abs().max() < 0.05 * guesses[0].abs().max()


@pytest.mark.slow
def test_the_bundled_painters_model_draws_the_same() -> None:
    painter = load_painter("emoji", "cpu")
    told, empty = painter.tokens(["blue heart"]), painter.tokens("")[0]
    z = [
        sample(
            guided(net, told, empty, 4.0), painter.schedule, (1, *LATENT), solver=ddim, steps=4, device="cpu",
            generator=torch.Generator().manual_seed(1), progress=False,
        )
        for net in (painter.model, fast(painter.model))
    ]  # fmt: skip
    assert (z[0] - z[1]).square().mean().sqrt() < 0.05 * z[0].std()


@pytest.mark.parametrize("t", [7, torch.tensor(7), torch.arange(70) % 50 + 1])
def test_a_large_batch_is_computed_in_parts_on_a_cpu(tiny: UNet, t: int | Tensor, monkeypatch) -> None:
    monkeypatch.setattr(importlib.import_module("labkit.fast"), "half_precision", lambda device: None)
    sizes, quick, z_t = [], fast(tiny), noise(70, 1, 32, 32)
    quick.model.register_forward_pre_hook(lambda net, given: sizes.append(len(given[0])))
    with torch.no_grad():
        whole, parts = tiny(z_t, t.expand(70) if torch.is_tensor(t) else t), quick(z_t, t)
    assert sizes == [64, 6]
    assert torch.allclose(parts, whole, atol=1e-5)


def test_what_has_no_weights_is_called_as_it_is() -> None:
    world = GaussianMixture(torch.ones(2), torch.tensor([-1.0, 1.0]), torch.full((2,), 0.1))
    model = exact_model(world, SCHEDULE)
    quick, z_t = fast(model), noise(5)
    assert torch.equal(quick(z_t, 7), model(z_t, 7))
    assert quick.how == "left as it is: no weights are seen in it"


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(TypeError, match=r"model is NoiseSchedule; give a network or function, called model\(z_t, t\)"):
        fast(SCHEDULE)


# -- compiling, which needs a GPU: here with stand-ins


class Refuses(nn.Module):
    """Stands in for a compiled network on a machine that cannot compile."""

    def forward(self, z_t: Tensor, t: Tensor, return_dict: bool = True) -> tuple[Tensor]:
        """As diffusers calls it."""
        raise RuntimeError("Cannot find a working triton installation")


class Compiled(nn.Module):
    """Stands in for a compiled network, and counts its calls."""

    def __init__(self, network: nn.Module, mode: str) -> None:
        super().__init__()
        self.network, self.mode, self.calls = network, mode, 0

    def forward(self, *inputs: object, **options: object) -> tuple[Tensor]:
        """As the network."""
        self.calls += 1
        return self.network(*inputs, **options)


@pytest.mark.parametrize("kind", ["alone", "with words"])
def test_the_unet_alone_is_compiled_wherever_it_is(
    kind: str, tiny: UNet, words: TextToImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", Compiled)
    tokens = torch.ones(2, TOKENS, dtype=torch.int64)
    model, inputs = (tiny, (noise(2, 1, 32, 32), 7)) if kind == "alone" else (words, (noise(2, *LATENT), 7, tokens))
    twin = _compiled(model)
    with torch.no_grad():
        assert torch.equal(twin(*inputs), model(*inputs))
    counted = [one for one in twin.modules() if isinstance(one, Compiled)]
    assert [(one.calls, type(one.network).__name__[:4]) for one in counted] == [(1, "UNet")]
    assert not [one for one in model.modules() if isinstance(one, Compiled)]  # and the given model is as it was
    assert {id(one) for one in twin.parameters()} == {id(one) for one in model.parameters()}
    assert twin.schedule is model.schedule


def test_fast_goes_on_where_compiling_fails_and_says_so(tiny: UNet) -> None:
    quick, z_t = fast(tiny), noise(2, 1, 32, 32)
    quick.how, quick.quick = f"{quick.how}, compiled", UNet(Refuses())
    with torch.no_grad():
        torch.testing.assert_close(quick(z_t, 7), fast(tiny)(z_t, 7))
    assert quick.how.endswith(", not compiled (RuntimeError)")
    assert quick.quick is quick.model


def test_fast_does_not_blame_the_compiler_for_a_bad_input(tiny: UNet) -> None:
    quick = fast(tiny)
    quick.how, quick.quick = "compiled", UNet(Refuses())
    with pytest.raises(RuntimeError, match="channels"):
        quick(noise(2, 3, 32, 32), 7)
    assert quick.how == "compiled"
