"""train.py: the loss by hand, batches from (seed, step), exact resume, the running average, bad input."""

import importlib
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from labkit.exact import GaussianMixture, exact_model
from labkit.forward import diffuse
from labkit.model import MLP, UNet, fashion_unet
from labkit.schedule import NoiseSchedule
from labkit.train import draw_batch, epsilon_loss, learning_rate, told, train, velocity_loss

room = importlib.import_module("labkit.train")  # the name labkit.train is the function
SCHEDULE = NoiseSchedule.linear(20, 0.02, 0.4)
WORLD = GaussianMixture(torch.tensor([0.5, 0.5]), torch.tensor([[-1.0, 0.0], [1.0, 0.5]]), torch.tensor([0.1, 0.1]))
X = WORLD.sample(256, torch.Generator().manual_seed(0)).float()


class Killed(Exception):
    """What stops a training run from outside."""


def network(hidden: int = 32, dim: int = 2) -> MLP:
    """A small network, always with the same weights."""
    torch.manual_seed(0)
    return MLP(dim, SCHEDULE.T, hidden)


def run(model: nn.Module | None = None, **options: object) -> tuple[nn.Module, list[float]]:
    """`train` on the toy world: 20 steps of 32 on the CPU, without a bar."""
    settings = {"steps": 20, "batch_size": 32, "progress": False, "device": "cpu", **options}
    return train(model or network(), SCHEDULE, settings.pop("x", X), **settings)


def killer(at: int) -> Callable[[int, nn.Module], None]:
    """A callback that stops the run after step `at`."""

    def callback(step: int, model: nn.Module) -> None:
        if step == at:
            raise Killed

    return callback


def weights(model: nn.Module) -> Tensor:
    """All parameters in one row."""
    return torch.cat([part.detach().flatten() for part in model.parameters()])


def test_epsilon_loss_by_hand() -> None:
    model = network()
    t, epsilon = torch.arange(1, 9), torch.randn(8, 2, generator=torch.Generator().manual_seed(1))
    total = 0.0
    for i in range(8):
        alpha = SCHEDULE.alpha[t[i]].item()
        z_t = math.sqrt(alpha) * X[i] + math.sqrt(1 - alpha) * epsilon[i]
        total += ((model(z_t[None], t[i].item())[0] - epsilon[i]) ** 2).sum().item()
    assert epsilon_loss(model, SCHEDULE, X[:8], t, epsilon).item() == pytest.approx(total / 16, rel=1e-5)


def test_epsilon_loss_is_zero_for_a_network_that_knows_and_has_gradients() -> None:
    epsilon = torch.randn(8, 2, generator=torch.Generator().manual_seed(1))
    t = torch.full((8,), 3)
    assert epsilon_loss(lambda z_t, t: epsilon, SCHEDULE, X[:8], t, epsilon) == 0
    model = network()
    epsilon_loss(model, SCHEDULE, X[:8], t, epsilon).backward()
    assert all(part.grad is not None for part in model.parameters())


def test_epsilon_loss_stays_in_float64() -> None:
    """A guess that is off by 1e-9 has the loss 1e-18; through float32 it would be rounding error."""
    epsilon = torch.randn(8, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    value = epsilon_loss(lambda z_t, t: epsilon + 1e-9, SCHEDULE, X[:8].double(), torch.full((8,), 3), epsilon)
    assert value.dtype == torch.float64
    assert value.item() == pytest.approx(1e-18, rel=1e-5)


def test_velocity_loss_is_the_squared_error_of_diffusers_velocity() -> None:
    from diffusers import DDPMScheduler

    torch.manual_seed(0)
    schedule = NoiseSchedule.linear()
    model = UNet(fashion_unet((8, 8)).unet, schedule, velocity=True)
    generator = torch.Generator().manual_seed(1)
    x, epsilon = (torch.randn(5, 1, 32, 32, generator=generator) for _ in range(2))
    t = torch.tensor([1, 10, 300, 700, 1000])
    v = DDPMScheduler(1000).get_velocity(x, epsilon, t - 1)
    with torch.no_grad():
        expected = (model.unet(diffuse(schedule, x, t, epsilon), t - 1).sample - v).square().mean()
        assert velocity_loss(model, schedule, x, t, epsilon).item() == pytest.approx(expected.item(), rel=1e-4)


def test_each_epoch_covers_each_image_once_in_a_new_order() -> None:
    x = torch.arange(24.0)[:, None]
    epochs = [torch.cat([draw_batch(x, 20, 8, 0, 3 * epoch + i)[0] for i in range(3)]).flatten() for epoch in range(2)]
    for order in epochs:
        assert sorted(order.tolist()) == list(range(24))
    assert not torch.equal(*epochs)


def test_an_epoch_that_does_not_divide_repeats_no_image() -> None:
    x = torch.arange(10.0)[:, None]
    seen = torch.cat([draw_batch(x, 20, 4, 0, step)[0] for step in range(2)]).flatten().tolist()
    assert len(seen) == len(set(seen)) == 8


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    def same(a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> list[bool]:
        return [torch.equal(one, other) for one, other in zip(a, b, strict=True)]

    first = draw_batch(X, 1000, 32, 5, 7)
    torch.randn(3)
    assert all(same(first, draw_batch(X, 1000, 32, 5, 7)))
    assert not any(same(first, draw_batch(X, 1000, 32, 5, 8)))
    assert not any(same(first, draw_batch(X, 1000, 32, 6, 7)))


def test_times_are_uniform_on_1_to_T_and_noise_is_standard() -> None:
    times, noises = zip(*(draw_batch(X, 5, 256, 0, step)[1:] for step in range(40)), strict=True)
    times, noises = torch.cat(times), torch.cat(noises)
    count = torch.bincount(times, minlength=6)
    n = len(times)
    assert count[0] == 0
    assert len(count) == 6
    assert ((count[1:] - n / 5).abs() < 4 * math.sqrt(n * 0.2 * 0.8)).all()
    assert noises.shape == (n, 2)
    assert abs(noises.mean()) < 4 / math.sqrt(2 * n)
    assert abs(noises.var() - 1) < 4 * math.sqrt(2 / (2 * n))


def test_early_times_are_drawn_more_often_and_every_batch_holds_all_kinds() -> None:
    drawn = torch.stack([draw_batch(X, 1000, 64, 0, step, early=2.0)[1] for step in range(4)])
    assert drawn.min() >= 1
    assert drawn.max() <= 1000
    for t in drawn:  # the quartiles of u² are 1/16, 1/4 and 9/16, and the batch is spread evenly
        assert [int((t <= edge).sum()) for edge in (62.5, 250, 562.5)] == [16, 32, 48]


def test_the_rate_warms_up_holds_and_falls_to_zero() -> None:
    rates = [learning_rate(step, 1000, 0.1) for step in range(1000)]
    assert rates[0] == pytest.approx(0.1 / 20)
    assert rates[19:700] == [0.1] * 681
    assert rates[850] == pytest.approx(0.05)
    assert 0 < rates[-1] < 1e-3
    assert all(learning_rate(step, 1, 0.1) > 0 for step in range(1))


def test_training_comes_near_the_exact_model() -> None:
    """The loss falls from that of a guess of 0 at least two thirds of the way to the best there is."""
    model, losses = run(network(64), steps=400, batch_size=128, peak_rate=3e-3, ema=0.95)
    t = torch.randint(1, 21, (256,), generator=torch.Generator().manual_seed(3))
    epsilon = torch.randn(256, 2, generator=torch.Generator().manual_seed(4))
    best = epsilon_loss(exact_model(WORLD, SCHEDULE), SCHEDULE, X, t, epsilon).item()
    with torch.no_grad():
        reached = epsilon_loss(model, SCHEDULE, X, t, epsilon).item()
    assert reached < best + (1 - best) / 3
    assert sum(losses[-50:]) < sum(losses[:50])
    assert not model.training


def test_losses_are_those_of_the_batches() -> None:
    """Step 0 sees the untouched network and batch (seed, 0)."""
    x, t, epsilon = draw_batch(X, 20, 32, 9, 0)
    expected = (network()(diffuse(SCHEDULE, x, t, epsilon), t) - epsilon).square().mean().item()
    _, losses = run(seed=9, steps=1)
    assert losses == [pytest.approx(expected, rel=1e-5)]


def test_a_killed_run_goes_on_exactly(tmp_path: Path) -> None:
    whole, losses = run()
    with pytest.raises(Killed):
        run(checkpoint=tmp_path / "run.pt", every=10, callback=killer(10))
    resumed, joined = run(network(), checkpoint=tmp_path / "run.pt", every=10)
    assert joined == losses
    assert len(losses) == 20
    assert torch.equal(weights(resumed), weights(whole))


def test_a_killed_unet_in_bf16_goes_on_exactly(tmp_path: Path) -> None:
    x = torch.rand(16, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1

    def unet(**options: object) -> tuple[nn.Module, list[float]]:
        torch.manual_seed(0)
        settings = {"x": x, "steps": 6, "batch_size": 4, "every": 3, "mixed_precision": "bf16", **options}
        return run(fashion_unet((8, 16, 16)), **settings)

    whole, losses = unet()
    with pytest.raises(Killed):
        unet(checkpoint=tmp_path / "run.pt", callback=killer(3))
    resumed, joined = unet(checkpoint=tmp_path / "run.pt")
    assert joined == losses
    assert len(losses) == 6
    assert torch.equal(weights(resumed), weights(whole))


def test_a_kill_between_checkpoints_repeats_the_lost_steps(tmp_path: Path) -> None:
    whole, losses = run()
    calls = []

    def dying(model: nn.Module, *batch: object) -> Tensor:
        calls.append(1)
        if len(calls) == 18:
            raise Killed
        return epsilon_loss(model, *batch)

    with pytest.raises(Killed):
        run(checkpoint=tmp_path / "run.pt", every=5, loss=dying)
    resumed, joined = run(checkpoint=tmp_path / "run.pt", every=5)
    assert joined == losses
    assert torch.equal(weights(resumed), weights(whole))


def test_a_finished_run_is_not_repeated(tmp_path: Path) -> None:
    first, losses = run(checkpoint=tmp_path / "run.pt")
    again, same = run(checkpoint=tmp_path / "run.pt", loss=killer(0))
    assert same == losses
    assert torch.equal(weights(first), weights(again))


def test_minutes_stop_in_time_and_the_run_goes_on(tmp_path: Path) -> None:
    _, losses = run(steps=100_000, minutes=0.005, checkpoint=tmp_path / "run.pt")
    assert 0 < len(losses) < 100_000
    _, more = run(steps=100_000, minutes=0.005, checkpoint=tmp_path / "run.pt")
    assert len(more) > len(losses)
    assert more[: len(losses)] == losses


def test_the_shortest_time_is_one_step_and_a_run_in_such_steps_is_the_same(tmp_path: Path) -> None:
    whole, losses = run(steps=3)
    for done in (1, 2, 3):
        model, some = run(steps=3, minutes=1e-9, checkpoint=tmp_path / "run.pt")
        assert some == losses[:done]
    assert torch.equal(weights(model), weights(whole))


@pytest.mark.parametrize("decay", [0.0, 0.15, 0.9])
def test_the_average_follows_its_formula(decay: float) -> None:
    """avg <- d avg + (1-d) w with d = min(decay, k/(9+k)) after k updates; so the first is a copy."""
    model, seen = network(), []
    run(model, steps=6, ema=decay, every=1, callback=lambda k, avg: seen.append((weights(model), weights(avg))))
    expected = seen[0][0]
    for k, (now, average) in enumerate(seen):
        if k:
            d = min(decay, k / (9 + k))
            expected = d * expected + (1 - d) * now
        torch.testing.assert_close(average, expected)
    assert len(seen) == 6


def test_callback_comes_every_so_often_and_at_the_end() -> None:
    steps = []
    run(steps=20, every=8, callback=lambda step, model: steps.append(step))
    assert steps == [8, 16, 20]


def test_a_half_written_checkpoint_is_never_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.pt"
    with pytest.raises(Killed):
        run(checkpoint=path, every=5, callback=killer(5))
    before = path.read_bytes()

    def torn(state: object, target: Path) -> None:
        Path(target).write_bytes(b"half a")
        raise Killed

    monkeypatch.setattr(room.torch, "save", torn)
    with pytest.raises(Killed):
        run(checkpoint=path, every=5)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert run(checkpoint=path)[1] == run()[1]


def test_folders_of_a_checkpoint_are_made_and_nothing_else_is_left(tmp_path: Path) -> None:
    run(checkpoint=tmp_path / "a" / "b" / "run.pt", steps=2)
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["run.pt"]


@pytest.mark.parametrize("content", ["another model", "damaged", "another file"])
def test_a_checkpoint_that_does_not_belong_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "run.pt"
    if content == "another model":
        run(network(hidden=16), checkpoint=path, steps=2)
    elif content == "damaged":
        run(checkpoint=path, steps=2)
        path.write_bytes(path.read_bytes()[:1000])
    else:
        torch.save({"weights": torch.zeros(3)}, path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"run\.pt does not belong to this model.*remove it or name another"):
        run(checkpoint=path)
    assert path.read_bytes() == before


def test_a_tiny_unet_trains_two_steps() -> None:
    torch.manual_seed(0)
    model = fashion_unet((8, 16, 16))
    before = weights(model).clone()
    x = torch.rand(8, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    _, losses = run(model, x=x, steps=2, batch_size=4)
    assert len(losses) == 2
    assert all(math.isfinite(value) for value in losses)
    assert (weights(model) - before).abs().max() > 0


def test_another_precision_in_the_same_process() -> None:
    """A student who first trains in float32 and then in bf16 need not restart the kernel."""
    _, plain = run(steps=3, mixed_precision="no")
    _, brief = run(steps=3, mixed_precision="bf16")
    _, again = run(steps=3, mixed_precision="no")
    assert again == plain
    assert brief != plain
    assert brief == pytest.approx(plain, rel=0.05)


@pytest.mark.parametrize("name", ["steps", "batch_size", "every"])
@pytest.mark.parametrize("value", [0, -4])
def test_impossible_numbers_are_refused(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{name}={value}; give 1 or more"):
        run(**{name: value})


@pytest.mark.parametrize("name", ["peak_rate", "early", "minutes"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_numbers_that_must_be_above_0_are(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name}={value}; give a number above 0"):
        run(**{name: value})


@pytest.mark.parametrize("value", [-1.0, 2.0, math.nan])
def test_a_decay_that_is_none_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=f"ema={value}; give a number from 0 to 1"):
        run(ema=value)


def test_no_data_is_refused() -> None:
    with pytest.raises(ValueError, match=r"len\(x\)=0; give 1 or more"):
        run(x=X[:0])


def test_integer_images_are_refused() -> None:
    with pytest.raises(TypeError, match=r"x is torch\.uint8; give a floating-point tensor"):
        run(x=torch.zeros(8, 2, dtype=torch.uint8))


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(ValueError, match="device='moon'.*use 'cpu'"):
        run(device="moon")


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ValueError, match="mixed_precision.*fp7"):
        run(mixed_precision="fp7")


class Told(torch.nn.Module):
    """A network that also hears a number."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.heard = torch.nn.Parameter(torch.zeros(())), []

    def forward(self, z_t: torch.Tensor, t: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        self.heard.append((z_t.detach().clone(), t.clone(), given.clone()))
        return self.weight * z_t


def test_each_image_comes_with_what_is_told_about_it() -> None:
    x = torch.arange(64.0).reshape(64, 1, 1, 1).expand(64, 1, 2, 2) * 1000  # so large that z_t names its image
    model = Told()
    train(model, SCHEDULE, x, given=torch.arange(64), steps=4, batch_size=16, device="cpu", progress=False)
    for z_t, t, given in model.heard:
        torch.testing.assert_close(
            z_t.mean((1, 2, 3)) / 1000, SCHEDULE.alpha[t].sqrt().float() * given, atol=0.01, rtol=0
        )
    assert sorted(torch.cat([given for *_, given in model.heard]).tolist()) == list(range(64))


def test_one_in_ten_is_told_nothing_and_the_same_ones_again() -> None:
    given, empty = torch.arange(1, 5001), torch.tensor(0)
    words = [told(given, empty, 500, 3, step)[0] for step in range(10)]
    assert 400 < sum(int((part == 0).sum()) for part in words) < 600  # 500 ± 21
    again = [told(given, empty, 500, 3, step)[0] for step in range(10)]
    assert all(torch.equal(a, b) for a, b in zip(words, again, strict=True))
    assert given[0] == 1  # the caller's captions are left alone
    assert told(None, None, 500, 3, 0) == []


def test_a_caption_for_each_image() -> None:
    with pytest.raises(ValueError, match="given has 3 rows for 8 images"):
        train(Told(), SCHEDULE, torch.zeros(8, 1, 2, 2), given=torch.zeros(3), steps=1, device="cpu", progress=False)
