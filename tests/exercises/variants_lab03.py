"""Right answers to the tasks of lab 03, written in other ways than the reference; the checks must accept each."""

import math

import numpy as np
import scipy.integrate
import scipy.signal
import scipy.stats
import torch


def reverse_by_scipy(grid, prior, beta_t, z_t):
    joint = prior.numpy() * scipy.stats.norm.pdf(z_t, math.sqrt(1 - beta_t) * grid.numpy(), math.sqrt(beta_t))
    return joint / scipy.integrate.trapezoid(joint, grid.numpy())


def reverse_by_loops(grid, prior, beta_t, z_t):
    g, step = grid.tolist(), float(grid[1] - grid[0])
    joint = [
        p * math.exp(-((z_t - (1 - beta_t) ** 0.5 * z) ** 2) / 2 / beta_t)
        for z, p in zip(g, prior.tolist(), strict=True)
    ]
    return [value / (sum(joint) * step) for value in joint]


def reverse_in_float32(grid, prior, beta_t, z_t):
    grid, prior = grid.float(), prior.float()
    step = torch.distributions.Normal((1 - beta_t) ** 0.5 * grid, beta_t**0.5)
    joint = step.log_prob(torch.tensor(z_t)).exp() * prior
    return joint / torch.trapezoid(joint, grid)


def reverse_by_logarithms(grid, prior, beta_t, z_t):
    logs = prior.log() - (z_t - (1 - beta_t) ** 0.5 * grid) ** 2 / (2 * beta_t)
    return torch.softmax(logs, 0) / grid.diff().mean()


def modes_by_scipy(density):
    return len(scipy.signal.find_peaks(density.numpy(), height=0.01 * density.numpy().max())[0])


def modes_by_loops(density):
    d = density.tolist()
    return sum(d[i - 1] < d[i] > d[i + 1] and d[i] >= max(d) / 100 for i in range(1, len(d) - 1))


def modes_by_signs(density):
    turns = torch.diff(torch.sign(torch.diff(density / density.max())))
    return ((turns == -2) & (density[1:-1] / density.max() > 0.01)).sum()


def modes_in_numpy(density):
    d = np.asarray(density, dtype=np.float32)
    return np.count_nonzero((d[1:-1] > np.maximum(d[:-2], d[2:])) & (d[1:-1] > d.max() * 0.01))


def posterior_by_precisions(beta, alpha, x, z_t, t):
    from_z, from_x = (1 - beta[t]) / beta[t], 1 / (1 - alpha[t - 1])
    variance = 1 / (from_z + from_x)
    return variance * (from_z * z_t / (1 - beta[t]).sqrt() + from_x * alpha[t - 1].sqrt() * x), variance


def posterior_in_float32(beta, alpha, x, z_t, t):
    b, now, before = beta.float()[t], alpha.float()[t], alpha.float()[t - 1]
    variance = torch.full(x.shape, float(b * (1 - before) / (1 - now)))
    return before**0.5 * b / (1 - now) * x.float() + (1 - b) ** 0.5 * (1 - before) / (1 - now) * z_t.float(), variance


def posterior_as_a_list(beta, alpha, x, z_t, t):
    b, before = float(beta[t]), float(alpha[t - 1])
    now = (1 - b) * before
    mean = (np.sqrt(before) * b * x.numpy() + np.sqrt(1 - b) * (1 - before) * z_t.numpy()) / (1 - now)
    return [mean, np.full_like(mean, (b - b**2 / (1 - now)) / (1 - b))]


def posterior_by_the_guess(beta, alpha, x, z_t, t):
    epsilon = (z_t - alpha[t] ** 0.5 * x) / (1 - alpha[t]) ** 0.5
    variance = beta[t] * (1 - alpha[t - 1]) / (1 - alpha[t])
    return (z_t - beta[t] / (1 - alpha[t]) ** 0.5 * epsilon) / (1 - beta[t]) ** 0.5, variance[None]


def mean_in_numpy(beta, alpha, z_t, t, epsilon_hat):
    b, a = beta.numpy()[t], alpha.numpy()[t]
    return (z_t.numpy() - b / np.sqrt(1 - a) * epsilon_hat.numpy()) / np.sqrt(1 - b)


def mean_by_way_of_x(beta, alpha, z_t, t, epsilon_hat):
    x = (z_t - (1 - alpha[t]).sqrt() * epsilon_hat) / alpha[t].sqrt()
    of_x = alpha[t - 1].sqrt() * beta[t] / (1 - alpha[t])
    return of_x * x + (1 - beta[t]).sqrt() * (1 - alpha[t - 1]) / (1 - alpha[t]) * z_t


def mean_in_float32(beta, alpha, z_t, t, epsilon_hat):
    b, a = beta[t].float(), alpha[t].float()
    return z_t.float() / (1 - b) ** 0.5 - b * epsilon_hat.float() / ((1 - a) * (1 - b)) ** 0.5


def decode_backwards(model, beta, z_T, noise):
    alpha, T = [1.0], len(beta) - 1
    for b in beta[1:].tolist():
        alpha.append(alpha[-1] * (1 - b))
    z = z_T.clone()
    for t in reversed(range(1, T + 1)):
        b = float(beta[t])
        z = (z - b / math.sqrt(1 - alpha[t]) * model(z, torch.tensor(t))) / math.sqrt(1 - b)
        if t > 1:
            z += math.sqrt(b) * noise[t]
    return z


def decode_with_a_batch_of_times(model, beta, z_T, noise):
    alpha, z = torch.cumprod(1 - beta, 0), z_T
    for t in range(len(beta) - 1, 0, -1):
        epsilon_hat = model(z, torch.full((len(z),), t))
        z = z / (1 - beta[t]) ** 0.5 - beta[t] / ((1 - alpha[t]) * (1 - beta[t])) ** 0.5 * epsilon_hat
        z = z + (t != 1) * beta[t] ** 0.5 * noise[t]
    return z


def decode_in_float32(model, beta, z_T, noise):
    b, z = beta.float(), z_T.float()
    a, std = torch.cumprod(1 - b, 0), b.sqrt()
    std[1] = 0
    for t in range(len(b) - 1, 0, -1):
        z = (z - b[t] / (1 - a[t]).sqrt() * model(z, t).float()) / (1 - b[t]).sqrt() + std[t] * noise[t].float()
    return z


def decode_by_recursion(model, beta, z_T, noise):
    t, a = len(beta) - 1, torch.prod(1 - beta)
    if t == 0:
        return z_T
    z = (z_T - beta[t] / (1 - a).sqrt() * model(z_T, t)) / (1 - beta[t]).sqrt()
    return decode_by_recursion(model, beta[:t], z + beta[t].sqrt() * noise[t] if t > 1 else z, noise)


def epsilon_in_numpy(alpha, z_t, t, x):
    return (z_t.numpy() - np.sqrt(alpha.numpy()[t]) * x.numpy()) / np.sqrt(1 - alpha.numpy()[t])


def epsilon_with_alpha_in_float64(alpha, z_t, t, x):
    a = float(alpha[t])
    return z_t / math.sqrt(1 - a) - math.sqrt(a / (1 - a)) * x


def epsilon_by_powers(alpha, z_t, t, x):
    return [(1 - alpha[t]) ** -0.5 * (z - alpha[t] ** 0.5 * one) for z, one in zip(z_t, x, strict=True)]


def x_by_way_of_epsilon(beta, alpha, z_t, t, mu):
    epsilon = (z_t - (1 - beta[t]).sqrt() * mu) * (1 - alpha[t]).sqrt() / beta[t]
    return (z_t - (1 - alpha[t]).sqrt() * epsilon) / alpha[t].sqrt()


def x_in_one_fraction(beta, alpha, z_t, t, mu):
    b, now, before = beta[t].item(), alpha[t].item(), alpha[t - 1].item()
    return ((1 - now) * mu - (1 - b) ** 0.5 * (1 - before) * z_t) / (before**0.5 * b)


def x_in_float32(beta, alpha, z_t, t, mu):
    b, a = beta.float(), alpha.float()
    of_z = (1 - b[t]) ** 0.5 * (1 - a[t - 1]) / (1 - a[t])
    return (mu.float() - of_z * z_t.float()) * (1 - a[t]) / (a[t - 1] ** 0.5 * b[t])


def weight_in_halves(beta, alpha, t):
    return 0.5 * beta[t] / (1 - beta[t]) / (1 - alpha[t])


def weight_by_the_square(beta, alpha, t):
    b, a = beta.numpy()[t], alpha.numpy()[t]
    return (b / (np.sqrt(1 - b) * np.sqrt(1 - a))) ** 2 / (2 * b)


def weight_as_a_float(beta, alpha, t):
    b = float(beta[t])
    return [b / (2 - 2 * b) / float(1 - alpha[t])]


def loss_by_mse(model, alpha, x, t, epsilon):
    a = alpha[t].view(-1, *(1 for _ in x.shape[1:]))
    return torch.nn.functional.mse_loss(model(a**0.5 * x + (1 - a) ** 0.5 * epsilon, t), epsilon)


def loss_by_loops(model, alpha, x, t, epsilon):
    squares = []
    for i in range(len(x)):  # one x after the other
        z_t = math.sqrt(alpha[t[i]]) * x[i : i + 1] + math.sqrt(1 - alpha[t[i]]) * epsilon[i : i + 1]
        squares.append((model(z_t, t[i : i + 1]) - epsilon[i : i + 1]) ** 2)
    return torch.cat(squares).mean()


def loss_transposed(model, alpha, x, t, epsilon):
    z_t = alpha[t].sqrt() * x.movedim(0, -1) + (1 - alpha[t]).sqrt() * epsilon.movedim(0, -1)
    return torch.mean((epsilon - model(z_t.movedim(-1, 0), t)) ** 2)


def loss_in_float32(model, alpha, x, t, epsilon):
    a = alpha.float()[t].reshape(len(t), *[1] * (x.ndim - 1)).expand_as(x)
    error = model(a.sqrt() * x.float() + (1 - a).sqrt() * epsilon.float(), t) - epsilon
    return error.flatten().float().dot(error.flatten().float()) / error.numel()


VARIANTS = {
    "3.1": [reverse_by_scipy, reverse_by_loops, reverse_in_float32, reverse_by_logarithms],
    "3.2": [(1, 3), [1, 3], torch.tensor([1.0, 3.0]), np.array([1, 3])],
    "3.3": [modes_by_scipy, modes_by_loops, modes_by_signs, modes_in_numpy],
    "3.4": [posterior_by_precisions, posterior_in_float32, posterior_as_a_list, posterior_by_the_guess],
    "3.5": [mean_in_numpy, mean_by_way_of_x, mean_in_float32],
    "3.6": [decode_backwards, decode_with_a_batch_of_times, decode_in_float32, decode_by_recursion],
    "3.7": [epsilon_in_numpy, epsilon_with_alpha_in_float64, epsilon_by_powers],
    "3.8": [x_by_way_of_epsilon, x_in_one_fraction, x_in_float32],
    "3.9": [weight_in_halves, weight_by_the_square, weight_as_a_float],
    "3.10": [loss_by_mse, loss_by_loops, loss_transposed, loss_in_float32],
    "3.11": ["small", " Small ", "SMALL"],
}

# Mutants of a reference that no input can tell from it, with the reason.
EQUIVALENT = {
    ("3.3", "inside > density[:-2] -> inside >= density[:-2]"): "no two neighbours of the inputs are equal, but at 0",
    ("3.3", "inside > density[2:] -> inside >= density[2:]"): "no two neighbours of the inputs are equal, but at 0",
    ("3.3", "inside > 0.01 * density.max() -> inside >= 0.01 * density.max()"): "no mode is exactly at the limit",
    ("3.6", "0 -> -1"): "the product runs over the only dimension of beta (as the end of the range it is noticed)",
}
