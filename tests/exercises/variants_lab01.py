"""Right answers to the tasks of lab 01, written in other ways than the reference; the checks must accept each."""

import itertools
import math
from fractions import Fraction

import numpy as np
import scipy.stats
import torch


def step_in_numpy(beta, z_prev, t, epsilon):
    b = beta.numpy()[t]
    return np.sqrt(1 - b) * z_prev.numpy() + np.sqrt(b) * epsilon.numpy()


def step_in_float32(beta, z_prev, t, epsilon):
    b = beta[t].float()
    return (1 - b) ** 0.5 * z_prev.float() + b**0.5 * epsilon.float()


def step_by_loops(beta, z_prev, t, epsilon):
    b = float(beta[t])
    pairs = zip(z_prev.flatten().tolist(), epsilon.flatten().tolist(), strict=True)
    flat = [math.sqrt(1 - b) * z + math.sqrt(b) * e for z, e in pairs]
    return np.array(flat).reshape(z_prev.shape)


def noise_pixel_by_pixel(x, beta_1, generator):
    z = torch.empty_like(x)
    for i in range(len(x)):  # one image after the other
        z[i] = (1 - beta_1) ** 0.5 * x[i] + beta_1**0.5 * torch.randn(x[i].shape, generator=generator)
    return z


def noise_by_normal(x, beta_1, generator):
    return torch.normal(math.sqrt(1 - beta_1) * x, math.sqrt(beta_1), generator=generator)


def noise_in_double(x, beta_1, generator):
    epsilon = torch.empty(x.shape, dtype=torch.float64).normal_(generator=generator)
    return (1 - beta_1) ** 0.5 * x.double() + beta_1**0.5 * epsilon


def chain_stacked(beta, x, noise):
    z = torch.empty_like(noise)
    z[0] = x
    for t in range(1, len(z)):
        z[t] = (1 - beta[t]).sqrt() * z[t - 1] + beta[t].sqrt() * noise[t]
    return z


def chain_as_a_generator(beta, x, noise):
    yield x
    for b, e in zip(beta[1:], noise[1:], strict=True):
        x = (1 - b).sqrt() * x + b.sqrt() * e
        yield x


def chain_by_accumulate(beta, x, noise):
    pairs = zip(beta[1:].tolist(), noise[1:].numpy(), strict=True)
    return list(
        itertools.accumulate(pairs, lambda z, be: np.sqrt(1 - be[0]) * z + np.sqrt(be[0]) * be[1], initial=x.numpy())
    )


def moments_closed(beta, mean, variance):
    alpha = torch.cumprod(1 - beta, 0)
    return alpha.sqrt() * mean, alpha * variance + 1 - alpha


def moments_as_array(beta, mean, variance):
    rows = [(mean, variance)]
    for b in beta.numpy()[1:]:
        rows.append((rows[-1][0] * (1 - b) ** 0.5, rows[-1][1] * (1 - b) + b))
    return np.array(rows).T


def moments_in_float32(beta, mean, variance):
    b = beta.float()
    alpha = torch.exp(torch.cumsum(torch.log1p(-b), 0))
    return list(alpha**0.5 * mean), list(alpha * variance + 1 - alpha)


def ks_by_scipy(z):
    return scipy.stats.kstest(z.flatten().numpy(), "norm").statistic


def ks_by_loops(z):
    values = sorted(z.flatten().tolist())
    n, largest = len(values), 0.0
    for i, value in enumerate(values):
        gaussian = 0.5 * (1 + math.erf(value / math.sqrt(2)))
        largest = max(largest, (i + 1) / n - gaussian, gaussian - i / n)
    return largest


def ks_in_float32(z):
    z = z.float().flatten().sort()[0]
    g = torch.distributions.Normal(0.0, 1.0).cdf(z)
    i = torch.arange(len(z))
    return torch.cat([(i + 1) / len(z) - g, g - i / len(z)]).max().reshape(1)


def needed_by_cumprod(beta, share):
    return (torch.cumprod(1 - beta, 0) < share).nonzero()[0]


def needed_by_logs(beta, share):
    t, left = 0, 0.0
    while left >= math.log(share):
        t += 1
        left += math.log1p(-float(beta[t]))
    return t


def needed_in_numpy(beta, share):
    return np.argmax(np.cumprod(1 - beta.numpy()) < share)


VARIANTS = {
    "1.1": [-0.2, torch.tensor(-0.2), np.float32(-0.2), Fraction(-1, 5)],
    "1.2": [0.6, 0.36**0.5, torch.tensor([0.6])],
    "1.3": [step_in_numpy, step_in_float32, step_by_loops],
    "1.4": [chain_stacked, chain_as_a_generator, chain_by_accumulate],
    "1.5": [noise_pixel_by_pixel, noise_by_normal, noise_in_double],
    "1.6": [moments_closed, moments_as_array, moments_in_float32],
    "1.7": ["half", " Half ", "HALF"],
    "1.8": [ks_by_scipy, ks_by_loops, ks_in_float32],
    "1.9": [needed_by_cumprod, needed_by_logs, needed_in_numpy],
}

# Mutants of a reference that no input can tell from it, with the reason.
EQUIVALENT = {
    (
        "1.5",
        "math.sqrt(1 - beta_1) * x + math.sqrt(beta_1) * epsilon"
        " -> math.sqrt(1 - beta_1) * x - math.sqrt(beta_1) * epsilon",
    ): "-ε has the same distribution as ε",
    ("1.9", "1 -> 0"): "the loop begins with beta[0] = 0, which takes nothing away",
    ("1.9", "left < share -> left <= share"): "what is left is never exactly the share that was drawn",
}
