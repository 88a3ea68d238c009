"""model.py: one way of calling every network, diffusers' time that counts from 0, sizes."""

import pytest
import torch
from torch import Tensor, nn

from labkit.forward import diffuse
from labkit.model import MLP, UNet, fashion_unet
from labkit.schedule import NoiseSchedule


class Recorder(nn.Module):
    """Stands in for a UNet2DModel and keeps the times that it is given."""

    def forward(self, z_t: Tensor, t: Tensor, return_dict: bool = True) -> tuple[Tensor]:
        """As diffusers calls it."""
        self.t = t
        return (2 * z_t,)


class Knows(nn.Module):
    """A network that has one answer."""

    def __init__(self, answer: Tensor) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, z_t: Tensor, t: Tensor, return_dict: bool = True) -> tuple[Tensor]:
        """As diffusers calls it."""
        return (self.answer,)


def noise(*shape: int) -> Tensor:
    """Standard normal numbers, always the same."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def tiny() -> UNet:
    """A U-Net of the course's shape, only narrow, with weights that are not all near zero."""
    torch.manual_seed(0)
    return fashion_unet((8, 16, 16)).eval()


@pytest.mark.parametrize(
    ("t", "theirs"), [(1, [0, 0, 0]), (1000, [999] * 3), (torch.tensor([1, 5, 1000]), [0, 4, 999])]
)
def test_unet_gives_diffusers_times_from_zero(t: int | Tensor, theirs: list[int]) -> None:
    inner = Recorder()
    z_t = noise(3, 1, 8, 8)
    assert torch.equal(UNet(inner)(z_t, t), 2 * z_t)
    assert inner.t.tolist() == theirs


@pytest.mark.parametrize("t", [1, 500, 1000, torch.tensor([1, 500, 1000])])
def test_a_network_of_v_gives_the_noise(t: int | Tensor) -> None:
    """Given the true v of diffusers, the adapter must return the true ε, and x̂ the true x."""
    from diffusers import DDPMScheduler

    schedule, x = NoiseSchedule.linear(), noise(3, 1, 8, 8)
    epsilon = noise(6, 1, 8, 8)[3:]
    at = torch.full((3,), t) if isinstance(t, int) else t
    v = DDPMScheduler(1000).get_velocity(x, epsilon, at - 1)
    z_t = diffuse(schedule, x, t, epsilon)
    model = UNet(Knows(v), schedule, velocity=True)
    torch.testing.assert_close(model(z_t, t), epsilon, atol=1e-5, rtol=0)
    assert model(z_t.to(torch.float16), t).dtype == torch.float32  # v came in float32


def test_unet_carries_its_schedule() -> None:
    schedule = NoiseSchedule.linear(10)
    assert UNet(Recorder(), schedule).schedule is schedule
    assert UNet(Recorder()).schedule is None


def test_tiny_unet_keeps_the_shape_and_sees_the_time(tiny: UNet) -> None:
    z_t = noise(2, 1, 32, 32)
    with torch.no_grad():
        early, late = tiny(z_t, 1), tiny(z_t, 1000)
        each = tiny(z_t, torch.tensor([1, 1000]))
    assert early.shape == z_t.shape
    assert (early - late).abs().max() > 1e-3
    torch.testing.assert_close(each, torch.stack([early[0], late[1]]), rtol=0, atol=1e-4)


def test_the_courses_unet_has_one_to_four_million_parameters() -> None:
    assert 1e6 < sum(part.numel() for part in fashion_unet().parameters()) < 4e6


@pytest.mark.parametrize("shape", [(5,), (5, 1)], ids=str)
def test_mlp_takes_numbers_both_ways(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    model = MLP(1, T=10)
    z = noise(5)
    assert model(z.reshape(shape), 3).shape == shape
    torch.testing.assert_close(model(z.reshape(shape), 3).flatten(), model(z, torch.full((5,), 3)))


def test_mlp_treats_points_alone_and_sees_the_time() -> None:
    torch.manual_seed(0)
    model, z = MLP(2, T=10), noise(4, 2)
    each = model(z, torch.tensor([1, 4, 7, 10]))
    for i, t in enumerate((1, 4, 7, 10)):
        torch.testing.assert_close(each[i : i + 1], model(z[i : i + 1], t))
    assert (model(z, 1) - model(z, 10)).abs().max() > 1e-3
