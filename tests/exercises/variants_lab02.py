"""Right answers to the tasks of lab 02, written in other ways than the reference; the checks must accept each."""

import itertools
import math
from fractions import Fraction

import numpy as np
import scipy.stats
import torch
from torch.distributions import MultivariateNormal, Normal


def joint_by_normal(beta, z):
    return Normal((1 - beta[1:]).sqrt() * z[:-1], beta[1:].sqrt()).log_prob(z[1:]).sum()


def joint_by_scipy(beta, z):
    b, z = beta.numpy()[1:], z.numpy()
    return np.array([scipy.stats.norm.logpdf(z[1:], np.sqrt(1 - b) * z[:-1], np.sqrt(b)).sum()])


def joint_in_float32(beta, z):
    beta, z, total = beta.float(), z.float(), 0
    for t in range(1, len(beta)):
        total = total + Normal((1 - beta[t]) ** 0.5 * z[t - 1], beta[t] ** 0.5).log_prob(z[t])
    return total


def joint_as_one_gaussian(beta, z):
    T = len(beta) - 1
    solve = torch.linalg.inv(torch.eye(T, dtype=torch.float64) - torch.diag((1 - beta[2:]).sqrt(), -1))
    mean = solve[:, 0] * (1 - beta[1]).sqrt() * z[0]
    return MultivariateNormal(mean, solve @ torch.diag(beta[1:]) @ solve.T).log_prob(z[1:])


def alpha_by_cumprod(beta):
    return torch.cumprod(1 - beta, dim=0)


def alpha_by_logs_in_float32(beta):
    return torch.log1p(-beta.float()).cumsum(0).exp()


def alpha_in_numpy(beta):
    return np.append(1, np.cumprod(1 - beta.numpy()[1:]))


def alpha_by_accumulate(beta):
    return itertools.accumulate(beta[1:].tolist(), lambda a, b: a - a * b, initial=1)


def jump_in_numpy(alpha, x, t, epsilon):
    a = alpha.numpy()[t]
    return np.sqrt(a) * x.numpy() + np.sqrt(1 - a) * epsilon.numpy()


def jump_in_float32(alpha, x, t, epsilon):
    a = alpha[t].float()
    return a.sqrt() * x.float() + (1 - a).sqrt() * epsilon.float()


def jump_by_loops(alpha, x, t, epsilon):
    signal, noise = float(alpha[t]) ** 0.5, (1 - float(alpha[t])) ** 0.5
    pairs = zip(x.flatten().tolist(), epsilon.flatten().tolist(), strict=True)
    return torch.tensor([signal * p + noise * e for p, e in pairs]).reshape(x.shape)


def batch_by_loops(alpha, x, t, epsilon):
    return torch.stack([alpha[s].sqrt() * p + (1 - alpha[s]).sqrt() * e for p, s, e in zip(x, t, epsilon, strict=True)])


def batch_with_none(alpha, x, t, epsilon):
    return alpha.sqrt()[t][:, None, None, None] * x + (1 - alpha).sqrt()[t][:, None, None, None] * epsilon


def batch_by_einsum_in_float32(alpha, x, t, epsilon):
    a, x, epsilon = alpha[t].float(), x.float(), epsilon.float()
    return torch.einsum("b,bchw->bchw", a.sqrt(), x) + torch.einsum("b,bchw->bchw", (1 - a).sqrt(), epsilon)


def batch_in_numpy_moved(alpha, x, t, epsilon):
    a, x, epsilon = alpha.numpy()[t.numpy()], x.numpy(), epsilon.numpy()
    return list(
        (np.sqrt(a) * x.transpose(1, 2, 3, 0) + np.sqrt(1 - a) * epsilon.transpose(1, 2, 3, 0)).transpose(3, 0, 1, 2)
    )


def kernel_with_one_number(alpha, x, t):
    return alpha[t].sqrt() * x, 1 - alpha[t]


def kernel_in_numpy(alpha, x, t):
    a = alpha.numpy()[t]
    return a**0.5 * x.numpy(), np.full(x.shape, 1 - a)


def kernel_in_float32(alpha, x, t):
    return alpha[t].sqrt().float() * x.float(), (1 - alpha[t]).float().expand(x.shape)


def kernel_by_logs(alpha, x, t):
    log = torch.log(alpha[t])
    return [torch.exp(log / 2) * x, -torch.expm1(log) + 0 * x]


def step_by_normal(q_prev, grid, beta_t):
    step = Normal((1 - beta_t) ** 0.5 * grid, beta_t**0.5).log_prob(grid[:, None]).exp()
    return step @ q_prev * (grid[1] - grid[0])


def step_by_loops(q_prev, grid, beta_t):
    z, q, q_new = grid.tolist(), q_prev.tolist(), []
    for here in z:
        parts = [math.exp(-((here - math.sqrt(1 - beta_t) * z[i]) ** 2) / (2 * beta_t)) * q[i] for i in range(len(z))]
        q_new.append(sum(parts) * (z[1] - z[0]) / math.sqrt(2 * math.pi * beta_t))
    return q_new


def step_by_trapezoids(q_prev, grid, beta_t):
    z = grid.numpy()
    step = scipy.stats.norm.pdf(z[:, None], np.sqrt(1 - beta_t) * z[None, :], np.sqrt(beta_t))
    return np.trapezoid(step * q_prev.numpy(), z, axis=1)


def step_normalised(q_prev, grid, beta_t):
    """No factor in front, and the integral set to 1 at the end."""
    off = grid[None] - math.sqrt(1 - beta_t) * grid[:, None]  # row: z_{t-1}
    q = q_prev[None] @ torch.exp(-0.5 * off**2 / beta_t)
    return q / (q.sum() * (grid[1] - grid[0]))


def step_in_float32(q_prev, grid, beta_t):
    return step_by_normal(q_prev.float(), grid.float(), beta_t)


def snr_in_torch(alpha):
    return alpha / (1 - alpha)


def snr_other_form(alpha):
    return 1 / (1 / alpha - 1)


def snr_in_numpy(alpha):
    with np.errstate(divide="ignore"):
        return (alpha.numpy() / (1 - alpha.numpy()))[:, None]


def snr_rounded_at_the_end(alpha):
    return torch.exp(torch.log(alpha) - torch.log(-torch.expm1(torch.log(alpha)))).float()


def crossing_by_nonzero(alpha):
    return (alpha / (1 - alpha) < 1).nonzero()[0]


def crossing_by_count(alpha):
    return (alpha.float() > 0.5).sum()


def crossing_by_while(alpha):
    t = 1
    while alpha[t] >= 1 - alpha[t]:
        t += 1
    return t


def crossing_in_numpy(alpha):
    return np.argmax(alpha.numpy() < 0.5)


VARIANTS = {
    "2.1": [joint_by_normal, joint_by_scipy, joint_in_float32, joint_as_one_gaussian],
    "2.2": [0.5, 0.25**0.5, Fraction(1, 2), torch.tensor([0.5])],
    "2.3": [alpha_by_cumprod, alpha_by_logs_in_float32, alpha_in_numpy, alpha_by_accumulate],
    "2.4": [jump_in_numpy, jump_in_float32, jump_by_loops],
    "2.5": [batch_by_loops, batch_with_none, batch_by_einsum_in_float32, batch_in_numpy_moved],
    "2.6": [kernel_with_one_number, kernel_in_numpy, kernel_in_float32, kernel_by_logs],
    "2.7": [step_by_normal, step_by_loops, step_by_trapezoids, step_normalised, step_in_float32],
    "2.8": [snr_in_torch, snr_other_form, snr_in_numpy, snr_rounded_at_the_end],
    "2.9": [crossing_by_nonzero, crossing_by_count, crossing_by_while, crossing_in_numpy],
    "2.10": [259, 259.0, np.int64(259), torch.tensor(259)],
}

# Mutants of a reference that no input can tell from it, with the reason.
EQUIVALENT = {
    ("2.9", "share < 1 - share -> share <= 1 - share"): "an SNR of exactly 1 is never drawn",
}
