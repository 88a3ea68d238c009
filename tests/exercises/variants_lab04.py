"""Right answers to the tasks of lab 04, written in other ways than the reference; the checks must accept each."""

import math

import numpy as np
import torch
import torch.nn.functional as F

import labkit


def epsilon_in_numpy(alpha, z_t, t, v):
    a = alpha.numpy()[t]
    return np.sqrt(a) * v.numpy() + np.sqrt(1 - a) * z_t.numpy()


def epsilon_by_way_of_x(alpha, z_t, t, v):
    x = alpha[t].sqrt() * z_t - (1 - alpha[t]).sqrt() * v
    return (z_t - alpha[t].sqrt() * x) / (1 - alpha[t]).sqrt()


def epsilon_in_float32(alpha, z_t, t, v):
    a = alpha[t].float()
    return a**0.5 * v.float() + (1 - a) ** 0.5 * z_t.float()


def error_with_diffuse(model, x, t, epsilon):
    with torch.no_grad():
        return F.mse_loss(model(labkit.diffuse(model.schedule, x, t, epsilon), t), epsilon)


def error_image_by_image(model, x, t, epsilon):
    errors = []
    for one, noise in zip(x.split(1), epsilon.split(1), strict=True):
        z_t = model.schedule.alpha[t].sqrt() * one + (1 - model.schedule.alpha[t]).sqrt() * noise
        errors.append(float(((model(z_t, t) - noise) ** 2).mean()))
    return sum(errors) / len(errors)


def error_with_times_of_a_batch(model, x, t, epsilon):
    times = torch.full((len(x),), t)
    a = model.schedule.alpha[times].reshape(-1, 1, 1, 1).float()
    gap = model(a.sqrt() * x + (1 - a).sqrt() * epsilon, times) - epsilon
    return gap.double().pow(2).sum() / gap.numel()


def times_by_linspace(T, steps):
    return np.linspace(T, 0, steps + 1)[:-1].round()


def times_turned_round(T, steps):
    return torch.tensor([round(T / steps * i) for i in range(1, steps + 1)]).flip(0)


def times_in_whole_numbers(T, steps):
    return tuple((2 * T * i + steps) // (2 * steps) for i in range(steps, 0, -1))


def jump_as_float(alpha, t, s):
    return 1 - float(alpha[t]) / float(alpha[s])


def jump_as_a_difference(alpha, t, s):
    return (alpha.numpy()[s] - alpha.numpy()[t]) / alpha.numpy()[s]


def jump_step_by_step(alpha, t, s):
    left = 1.0
    for u in range(s + 1, t + 1):
        left *= (alpha[u] / alpha[u - 1]).item()
    return torch.tensor([1 - left])


def ddim_sorted_by_state(alpha, z_t, t, s, epsilon_hat):
    keep = (alpha[s] / alpha[t]).sqrt()
    return keep * z_t + ((1 - alpha[s]).sqrt() - keep * (1 - alpha[t]).sqrt()) * epsilon_hat


def ddim_in_numpy(alpha, z_t, t, s, epsilon_hat):
    a, z, e = alpha.numpy(), z_t.numpy(), epsilon_hat.numpy()
    return a[s] ** 0.5 * (z - (1 - a[t]) ** 0.5 * e) / a[t] ** 0.5 + (1 - a[s]) ** 0.5 * e


def ddim_in_float32(alpha, z_t, t, s, epsilon_hat):
    a, z, e = alpha.float(), z_t.float(), epsilon_hat.float()
    x_hat = (z - torch.sqrt(1 - a[t]) * e) / torch.sqrt(a[t])
    return torch.sqrt(a[s]) * x_hat + torch.sqrt(1 - a[s]) * e


def guess_image_by_image(alpha, z_t, t, epsilon_hat):
    rows = zip(z_t, t.tolist(), epsilon_hat, strict=True)
    return torch.stack([(z - math.sqrt(1 - alpha[i]) * e) / math.sqrt(alpha[i]) for z, i, e in rows])


def guess_with_new_dimensions(alpha, z_t, t, epsilon_hat):
    a = alpha[t][:, None, None, None]
    return z_t / a.sqrt() - (1 / a - 1).sqrt() * epsilon_hat


def guess_in_numpy(alpha, z_t, t, epsilon_hat):
    a = alpha.numpy()[t.numpy()].astype(np.float32)
    moved = (z_t.numpy().T - np.sqrt(1 - a) * epsilon_hat.numpy().T) / np.sqrt(a)
    return moved.T


def roughness_by_diff(images):
    return images.diff(dim=-1).pow(2).mean().item()


def roughness_in_numpy(images):
    return np.mean(np.diff(images.numpy().astype(np.float32), axis=3) ** 2)


def roughness_by_loops(images):
    pairs = [(row[i], row[i + 1]) for row in images.flatten(0, 2).tolist() for i in range(len(row) - 1)]
    return [sum((b - a) ** 2 for a, b in pairs) / len(pairs)]


VARIANTS = {
    "4.1": ["loop", " Loop ", "LOOP"],
    "4.2": [epsilon_in_numpy, epsilon_by_way_of_x, epsilon_in_float32],
    "4.3": [error_with_diffuse, error_image_by_image, error_with_times_of_a_batch],
    "4.4": [times_by_linspace, times_turned_round, times_in_whole_numbers],
    "4.5": [jump_as_float, jump_as_a_difference, jump_step_by_step],
    "4.6": [ddim_sorted_by_state, ddim_in_numpy, ddim_in_float32],
    "4.7": [guess_image_by_image, guess_with_new_dimensions, guess_in_numpy],
    "4.8": ["one step", " One step", "ONE STEP"],
    "4.9": [roughness_by_diff, roughness_in_numpy, roughness_by_loops],
}

# Mutants of a reference that no input can tell from it, with the reason.
EQUIVALENT = {}
