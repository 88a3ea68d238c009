"""Measures drawing and training beside what others ship, in turns: `bench.py` runs it in a process of its own.

    python benchmarks/peers.py draw|train [ROUNDS]        # prints JSON: the seconds of each contestant in each round

All draw with the same weights, steps and batch. The peers are diffusers' DDPMPipeline, smalldiffusion's `samples`
(where it is installed: `pip install --no-deps -r benchmarks/peers.txt`, as it wants torchvision and its loop does
not), and for training the loop of diffusers' example for unconditional models, written out with accelerate.
"""

import importlib.util
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch

import labkit
from labkit import data
from labkit.recipes import fashion_model, precision

STEPS, BATCH, WARM, TIMED = 50, 64, 3, 12
FOLDER = data.ROOT / "data" / "pretrained" / "fashion"


def smalldiffusion() -> ModuleType | None:
    """Its file with the sampling loop, without the rest of the package; None where it is not installed."""
    found = importlib.util.find_spec("smalldiffusion")
    if found is None:
        return None
    path = Path(found.submodule_search_locations[0]) / "diffusion.py"
    spec = importlib.util.spec_from_file_location("smalldiffusion_loop", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class InSigma(torch.nn.Module):
    """The course's network as smalldiffusion calls one: z̄ = z_t / sqrt(α_t) and σ in, ε̂ out."""

    def __init__(self, model: torch.nn.Module, batch: int, times: list[int], device: torch.device) -> None:
        super().__init__()
        self.model, self.device, self.shape = model, device, (1, 32, 32)
        alpha = model.schedule.alpha[times]
        self.known = {round(s, 6): (t, a) for s, t, a in zip(sigmas(alpha), times, alpha.sqrt().tolist(), strict=True)}

    def rand_input(self, batch: int) -> torch.Tensor:
        """Standard normal noise."""
        return torch.randn(batch, *self.shape, device=self.device)

    def predict_eps_cfg(self, z_bar: torch.Tensor, sigma: torch.Tensor, given: None, scale: float) -> torch.Tensor:
        """The guess ε̂; the time is looked up."""
        t, root = self.known[round(sigma.item(), 6)]
        return self.model(z_bar * root, t)


def sigmas(alpha: torch.Tensor) -> list[float]:
    """σ = sqrt(1/α - 1), as float32 holds it."""
    return (1 / alpha - 1).sqrt().float().tolist()


def contestants(device: torch.device, batch: int) -> dict[str, Callable[[], object]]:
    """Functions that draw `batch` images in STEPS steps each; "network" makes the bare calls alone."""
    from diffusers import DDPMPipeline

    model = labkit.load_pretrained("fashion", device)
    quick, schedule, shape = labkit.fast(model), model.schedule, (batch, 1, 32, 32)
    times = schedule.times(STEPS)
    pipeline = DDPMPipeline.from_pretrained(FOLDER).to(device)
    pipeline.set_progress_bar_config(disable=True)

    def bare(net: torch.nn.Module) -> None:
        z = torch.randn(shape).to(device)
        with torch.no_grad():
            for t in times:
                net(z, t)

    def ours(net: torch.nn.Module, solver: Callable) -> None:
        labkit.sample(net, schedule, shape, solver=solver, steps=STEPS, device=device, progress=True)

    calls = {
        "network": lambda: bare(model),
        "sample": lambda: ours(model, labkit.ancestral),
        "sample, ddim": lambda: ours(model, labkit.ddim),
        "network, fast": lambda: bare(quick),
        "sample, fast": lambda: ours(quick, labkit.ancestral),
        "DDPMPipeline": lambda: pipeline(batch, num_inference_steps=STEPS, output_type="np"),
    }
    their = smalldiffusion()
    if their:
        net = InSigma(model, batch, times, device)
        levels = torch.tensor([*sigmas(schedule.alpha[times]), 0.0])
        calls["smalldiffusion"] = lambda: [*their.samples(net, levels, batchsize=batch)]
    return calls


def draw(rounds: int) -> dict[str, dict[str, list[float]]]:
    """For each batch size and contestant the seconds of each round; all contestants in turn, one round to warm up.

    At batch 1 a call takes a second or less, so that a few rounds would measure noise: there are five times as many.
    Every other round goes backwards, as a machine that grows slower would always slow the same ones down.
    """
    device = labkit.pick_device()
    result = {}
    for batch in (1, 16) if device.type == "cpu" else (1, 16, 256):
        calls = contestants(device, batch)
        seconds = {name: [] for name in calls}
        for turn in range((max(15, 5 * rounds) if batch == 1 else rounds) + 1):
            for name in [*calls][:: -1 if turn % 2 else 1]:
                started = time.perf_counter()
                calls[name]()
                if device.type == "cuda":
                    torch.cuda.synchronize()
                seconds[name].append(time.perf_counter() - started)
        result[str(batch)] = {name: taken[1:] for name, taken in seconds.items()}
    return result


def our_training(x: torch.Tensor, precision: str) -> float:
    """Seconds of TIMED steps of `labkit.train`, as `labkit train fashion` calls it."""
    schedule, marks = labkit.NoiseSchedule.linear(), []
    labkit.train(
        fashion_model(schedule), schedule, x, steps=WARM + TIMED, batch_size=BATCH, loss=labkit.velocity_loss,
        early=2.0, progress=False, mixed_precision=precision, every=WARM,
        callback=lambda step, averaged: marks.append(time.perf_counter()),
    )  # fmt: skip
    return marks[-1] - marks[0]


def plain_training(x: torch.Tensor, precision: str) -> float:
    """Seconds of TIMED steps of a plain loop: DataLoader, add_noise, mse, AdamW, accelerate, EMAModel."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from diffusers import DDPMScheduler, UNet2DModel
    from diffusers.optimization import get_cosine_schedule_with_warmup
    from diffusers.training_utils import EMAModel

    if AcceleratorState._shared_state:  # another precision in one process
        AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(mixed_precision=precision)
    unet = UNet2DModel.from_config(UNet2DModel.load_config(FOLDER / "unet"))
    scheduler = DDPMScheduler(1000, prediction_type="v_prediction")
    optimizer = torch.optim.AdamW(unet.parameters(), lr=1e-4)
    rate = get_cosine_schedule_with_warmup(optimizer, 500, 6000)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x), batch_size=BATCH, shuffle=True)
    unet, optimizer, loader, rate = accelerator.prepare(unet, optimizer, loader, rate)
    average = EMAModel(unet.parameters(), use_ema_warmup=True)
    average.to(accelerator.device)
    unet.train()
    for step, (clean,) in enumerate(loader):
        if step == WARM:
            started = time.perf_counter()
        if step == WARM + TIMED:
            return time.perf_counter() - started
        noise = torch.randn_like(clean)
        t = torch.randint(0, 1000, (len(clean),), device=clean.device)
        guess = unet(scheduler.add_noise(clean, noise, t), t, return_dict=False)[0]
        loss = torch.nn.functional.mse_loss(guess.float(), scheduler.get_velocity(clean, noise, t))
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        rate.step()
        optimizer.zero_grad()
        average.step(unet.parameters())
        loss.detach().item()  # their example logs it at each step
    raise AssertionError("too few images for so many steps")


def train(rounds: int) -> dict[str, list[float]]:
    """Seconds of TIMED steps each, in turn: ours, and the plain loop in float32 (its default) and in our precision."""
    x, ours = data.fashion_mnist("train")[0], precision()
    calls = {"labkit train": lambda: our_training(x, ours), "plain": lambda: plain_training(x, "no")}
    if ours != "no":
        calls[f"plain, {ours}"] = lambda: plain_training(x, ours)
    seconds = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            seconds[name].append(call())
    return seconds


if __name__ == "__main__":
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    print(json.dumps({"draw": draw, "train": train}[sys.argv[1]](count)))
