"""Sampling and training on CUDA, in three precisions, against the CPU; skipped where there is no GPU."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from labkit.device import describe_device, pick_device
from labkit.fast import fast
from labkit.forward import diffuse
from labkit.model import UNet, fashion_unet
from labkit.pretrained import load_painter
from labkit.sample import ancestral, ddim, guided, sample, trajectory
from labkit.schedule import NoiseSchedule
from labkit.solvers import DPMSolver2M, Heun
from labkit.text_to_image import LATENT
from labkit.train import epsilon_loss, train

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
SCHEDULE = NoiseSchedule.linear(100)
PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@pytest.fixture
def exact_arithmetic() -> None:
    """TF32 off: the CPU has none."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def network() -> UNet:
    """A narrow U-Net, always with the same weights."""
    torch.manual_seed(0)
    return fashion_unet((8, 16, 16)).eval()


def test_the_gpu_is_picked_and_described() -> None:
    assert pick_device().type == "cuda"
    assert "GiB" in describe_device()


@pytest.mark.parametrize("solver", [ancestral, ddim], ids=["ancestral", "ddim"])
def test_the_same_noise_gives_the_same_image_as_on_the_cpu(exact_arithmetic: None, solver: object) -> None:
    images = []
    for device in ("cpu", "cuda"):
        noise = torch.Generator().manual_seed(1)
        x = sample(
            network().to(device), SCHEDULE, (2, 1, 32, 32), solver=solver, steps=20, generator=noise, device=device,
            progress=False,
        )  # fmt: skip
        assert x.device.type == device
        images.append(x.cpu())
    torch.testing.assert_close(*images, rtol=1e-3, atol=1e-3)


@pytest.fixture
def no_waiting() -> Iterator[None]:
    """Whatever makes the CPU wait for the GPU is an error."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    yield
    torch.cuda.set_sync_debug_mode("default")


def test_the_check_for_waiting_sees_noise_that_is_moved_from_ordinary_memory(no_waiting: None) -> None:
    with pytest.raises(RuntimeError, match="synchronizing"):
        torch.randn(4, 1, 32, 32).to("cuda")


@pytest.fixture(scope="module")
def warm() -> UNet:
    """A network on the GPU that has been called: what happens once may wait."""
    model = UNet(network().unet.to("cuda"), SCHEDULE, velocity=True)
    sample(model, SCHEDULE, (4, 1, 32, 32), steps=3, device="cuda", progress=False)
    return model


@pytest.mark.parametrize("solver", [ancestral, ddim, Heun, DPMSolver2M], ids=["ancestral", "ddim", "Heun", "2M"])
@pytest.mark.parametrize("count", ["one generator", "one each"])
def test_the_loop_never_waits_for_the_gpu(warm: UNet, solver: object, count: str, request) -> None:
    noise = [torch.Generator().manual_seed(seed) for seed in range(4)]
    path = trajectory(
        warm, SCHEDULE, (4, 1, 32, 32), solver=solver, steps=5, device="cuda",
        generator=noise if count == "one each" else noise[0],
    )  # fmt: skip
    request.getfixturevalue("no_waiting")  # once the network is warm
    x = [z_t for _, z_t in path][-1]
    torch.cuda.set_sync_debug_mode("default")
    assert x.isfinite().all()


@pytest.mark.parametrize("name", PRECISIONS)
def test_sampling_in_three_precisions(name: str) -> None:
    model, noise = network().to("cuda"), torch.Generator().manual_seed(1)
    with torch.autocast("cuda", PRECISIONS[name], enabled=name != "fp32"):
        x = sample(model, SCHEDULE, (2, 1, 32, 32), steps=10, generator=noise, device="cuda", progress=False)
    assert x.dtype == torch.float32
    assert x.isfinite().all()


@pytest.mark.parametrize("name", PRECISIONS)
def test_training_in_three_precisions(name: str) -> None:
    x = torch.rand(16, 1, 32, 32, generator=torch.Generator().manual_seed(2)) * 2 - 1
    mixed = "no" if name == "fp32" else name
    model, losses = train(
        network(), SCHEDULE, x, steps=6, batch_size=8, mixed_precision=mixed, device="cuda", progress=False
    )
    assert len(losses) == 6
    assert all(math.isfinite(value) for value in losses)
    assert all(part.device.type == "cuda" and part.isfinite().all() for part in model.parameters())


def test_a_killed_run_in_fp16_goes_on_with_its_scale(tmp_path: Path) -> None:
    """The scale falls in the first steps, where gradients overflow; started again at 65,536 it would skip steps."""
    x = torch.rand(16, 1, 32, 32, generator=torch.Generator().manual_seed(2)) * 2 - 1
    how = {"steps": 6, "batch_size": 8, "mixed_precision": "fp16", "device": "cuda", "progress": False}
    _, losses = train(network(), SCHEDULE, x, loss=_huge, **how)
    _, first = train(network(), SCHEDULE, x, loss=_huge, minutes=1e-9, checkpoint=tmp_path / "run.pt", **how)
    assert torch.load(tmp_path / "run.pt", weights_only=True)["scaler"]["scale"] < 2**16
    _, joined = train(network(), SCHEDULE, x, loss=_huge, checkpoint=tmp_path / "run.pt", **how)
    assert len(first) == 1
    assert joined == pytest.approx(losses, rel=1e-3)


def _huge(*batch: object) -> torch.Tensor:
    return 1e4 * epsilon_loss(*batch)


def test_a_table_lookup_meets_tensors_on_the_gpu() -> None:
    x, t = torch.randn(3, 4), torch.tensor([1, 50, 100])
    expected = diffuse(SCHEDULE, x, t, x)
    for where in ("cpu", "cuda"):
        torch.testing.assert_close(diffuse(SCHEDULE, x.cuda(), t.to(where), x.cuda()).cpu(), expected)


@pytest.mark.parametrize("solver", [ancestral, Heun, DPMSolver2M], ids=["ancestral", "Heun", "2M"])
def test_the_compiled_network_draws_the_same_but_for_rounding(solver: object) -> None:
    """Heun and 2M keep an earlier guess while the next is made: it must not be written over."""
    model = UNet(network().unet.to("cuda"), SCHEDULE)
    quick, images = fast(model), []
    for net in (model, quick, quick):
        noise = torch.Generator().manual_seed(1)
        how = {"solver": solver, "steps": 10, "generator": noise, "device": "cuda", "progress": False}
        images.append(sample(net, SCHEDULE, (2, 1, 32, 32), **how))
    assert quick.how.endswith(", compiled"), quick.how
    for other in images[1:]:
        assert (other - images[0]).square().mean().sqrt() < 0.05 * images[0].std()


def test_the_compiled_painter_draws_the_same_but_for_rounding() -> None:
    """The U-Net inside is compiled, the text encoder before it is not."""
    painter = load_painter("emoji", "cuda")
    quick, z = fast(painter.model), []
    told, empty = painter.tokens(["blue heart", "dog"]), painter.tokens("")[0]
    for net in (painter.model, quick, quick):
        how = {"solver": ddim, "steps": 10, "generator": torch.Generator().manual_seed(1), "device": "cuda"}
        z.append(sample(guided(net, told, empty, 4.0), painter.schedule, (2, *LATENT), progress=False, **how))
    assert quick.how.endswith(", compiled"), quick.how
    for other in z[1:]:
        assert (other - z[0]).square().mean().sqrt() < 0.05 * z[0].std()


def test_guidance_on_the_gpu_is_that_of_the_cpu(exact_arithmetic: None) -> None:
    """Also where the captions' numbers are still on the CPU."""
    z, captions, guesses = torch.randn(2, 12, 8, 8), ["red apple, noto", "dog face, twemoji"], []
    for device in ("cpu", "cuda"):
        painter = load_painter(device=device)
        tokens, empty = painter.tokens(captions), painter.tokens("")[0]
        assert tokens.device.type == device
        for where in {"cpu", device}:
            model = guided(painter.model, tokens.to(where), empty.to(where), 4.0)
            with torch.no_grad():
                guesses.append(model(z.to(device), 500).cpu())
    for other in guesses[1:]:
        torch.testing.assert_close(other, guesses[0], rtol=1e-3, atol=1e-3)


def test_a_painter_draws_on_the_gpu_what_it_draws_on_the_cpu(exact_arithmetic: None) -> None:
    captions, drawn = ["red apple, noto", "dog face, twemoji"], []
    for device in ("cpu", "cuda"):
        noise = [torch.Generator().manual_seed(i) for i in range(2)]
        drawn.append(load_painter(device=device).draw(captions, steps=10, generator=noise, progress=False))
        assert drawn[-1].device.type == "cpu"
    assert (drawn[0] - drawn[1]).abs().mean() < 0.01


def test_a_painters_pictures_go_to_latents_and_back_on_the_gpu() -> None:
    painter, x = load_painter(device="cuda"), torch.ones(2, 3, 64, 64)
    z = painter.encode(x)
    assert z.device.type == "cuda"
    assert (painter.decode(z).cpu() - x).abs().mean() < 0.1
