"""labkit: the diffusion lecture as a small package. The smallest program that draws:

    import labkit
    model = labkit.load_pretrained("fashion")
    x = labkit.sample(model, model.schedule, (9, 1, 32, 32), solver=labkit.ddim, steps=50)

Reading order, one room for each word of the lecture: `schedule` (β, α), `forward` (every q), `reverse`
(every p), `exact` (worlds in which everything is known), `model` and `train` (the network), `sample`
(the loop) and `solvers` (its steps), `pretrained`, `evaluate` and `fidelity`, `show`. Times are the lecture's
t = 1..T, and α is the cumulative product, on every page. `check` and `finish` belong to the graded tasks (`exercises`).
"""

from labkit import data, evaluate, fidelity, progress, show
from labkit.baseline import gaussian_samples
from labkit.device import describe_device, pick_device
from labkit.exact import GaussianMixture, exact_model, exact_reverse
from labkit.exercises import check, finish
from labkit.fast import fast
from labkit.forward import diffuse, diffusion_kernel, forward_step, posterior
from labkit.model import MLP, UNet, fashion_unet
from labkit.pretrained import ModelUnavailable, load_classifier, load_painter, load_pretrained
from labkit.reverse import predict_x, reverse_mean, reverse_step
from labkit.sample import ancestral, guided, sample, trajectory
from labkit.schedule import NoiseSchedule
from labkit.solvers import DPMSolver2M, Heun, ddim, ddim_eta, log_snr_times, quadratic_times
from labkit.train import epsilon_loss, train, velocity_loss

__all__ = [
    "DPMSolver2M", "GaussianMixture", "Heun", "MLP", "ModelUnavailable", "NoiseSchedule", "UNet", "ancestral", "check",
    "data", "ddim", "ddim_eta", "describe_device", "diffuse", "diffusion_kernel", "epsilon_loss", "evaluate",
    "exact_model", "exact_reverse", "fashion_unet", "fast", "fidelity", "finish", "forward_step", "gaussian_samples",
    "guided", "load_classifier", "load_painter", "load_pretrained", "log_snr_times", "pick_device", "posterior",
    "predict_x", "progress", "quadratic_times", "reverse_mean", "reverse_step", "sample", "show", "train", "trajectory",
    "velocity_loss",
]  # fmt: skip
