"""Right answers to the tasks of lab 06, written in other ways than the reference; the checks must accept each."""

import math

import numpy as np
import torch


def flat_from_the_kernel(alpha, z_t, t):
    signal, noise = alpha[t] ** 0.5, (1 - alpha[t]) ** 0.5
    return z_t / signal, noise / signal


def flat_in_numpy(alpha, z_t, t):
    a = alpha.numpy()[t]
    return [z_t.numpy() * a**-0.5, np.sqrt((1 - a) / a)]


def flat_in_float32(alpha, z_t, t):
    a = alpha[t].float()
    return z_t.float() * torch.rsqrt(a), torch.tensor([math.sqrt(1 / a - 1)])


def euler_by_way_of_x(z_bar, sigma, sigma_next, epsilon_hat):
    x_hat = z_bar - sigma * epsilon_hat
    return x_hat + sigma_next * epsilon_hat


def euler_in_numpy(z_bar, sigma, sigma_next, epsilon_hat):
    return z_bar.numpy() - (sigma - sigma_next) * epsilon_hat.numpy()


def euler_in_float32(z_bar, sigma, sigma_next, epsilon_hat):
    return torch.add(z_bar.float(), epsilon_hat.float(), alpha=sigma_next - sigma)


def heun_by_two_euler_steps(epsilon_of, z_bar, sigma, sigma_next):
    """Half of Euler's step, and half of one with the slope at its end."""
    step = sigma_next - sigma
    arrived = z_bar + step * epsilon_of(z_bar, sigma)
    return (arrived + z_bar + step * epsilon_of(arrived, sigma_next)) / 2


def heun_in_numpy(epsilon_of, z_bar, sigma, sigma_next):
    first = epsilon_of(z_bar, sigma)
    second = epsilon_of(z_bar - (sigma - sigma_next) * first, sigma_next)
    return z_bar.numpy() + (sigma_next - sigma) * np.mean([first.numpy(), second.numpy()], axis=0)


def heun_in_runge_kutta_letters(epsilon_of, z_bar, sigma, sigma_next):
    h = sigma_next - sigma
    k1 = h * epsilon_of(z_bar, sigma)
    k2 = h * epsilon_of(z_bar + k1, sigma + h)
    return z_bar + 0.5 * k1 + 0.5 * k2


def drawn_out_as_a_weighted_sum(x_before, x_now, earlier, now, later):
    r = (later - now) / (now - earlier)
    return (1 + r / 2) * x_now - r / 2 * x_before


def drawn_out_by_slope(x_before, x_now, earlier, now, later):
    slope = (x_now - x_before).numpy() / (now - earlier)
    return x_now.numpy() + slope * ((now + later) / 2 - now)


def drawn_out_by_lerp(x_before, x_now, earlier, now, later):
    return torch.lerp(x_before, x_now, ((now + later) / 2 - earlier) / (now - earlier))


def order_by_polyfit(calls, errors):
    return -np.polyfit(np.log(calls.numpy()), np.log(errors.numpy()), 1)[0]


def order_by_covariance(calls, errors):
    both = torch.cov(torch.stack([calls.log2(), errors.log2()]))
    return -both[0, 1] / both[0, 0]


def order_by_lstsq(calls, errors):
    columns = torch.stack([calls.log10(), torch.ones_like(calls)], 1)
    return -torch.linalg.lstsq(columns, errors.log10()[:, None]).solution[0]


def times_by_a_table(clock, steps):
    places = torch.linspace(clock[-1], clock[1], steps, dtype=clock.dtype)
    return (clock[None, 1:] - places[:, None]).abs().argmin(1) + 1


def times_in_numpy(clock, steps):
    c = clock.numpy()
    return np.array([np.argmin(abs(c - place)) for place in np.linspace(c[-1], c[1], steps)])


def times_by_hand(clock, steps):
    T, found = len(clock) - 1, []
    for i in range(steps):
        place = clock[T] + (clock[1] - clock[T]) * i / (steps - 1)
        found.append(min(range(1, T + 1), key=lambda t, place=place: abs(clock[t] - place)))
    return tuple(found)


VARIANTS = {
    "6.1": [flat_from_the_kernel, flat_in_numpy, flat_in_float32],
    "6.2": [euler_by_way_of_x, euler_in_numpy, euler_in_float32],
    "6.3": [19, 19.0, "19"],
    "6.4": [heun_by_two_euler_steps, heun_in_numpy, heun_in_runge_kutta_letters],
    "6.5": [drawn_out_as_a_weighted_sum, drawn_out_by_slope, drawn_out_by_lerp],
    "6.6": ["heun", " Heun ", "HEUN"],
    "6.7": [order_by_polyfit, order_by_covariance, order_by_lstsq],
    "6.8": [times_by_a_table, times_in_numpy, times_by_hand],
}

# Mutants of a reference that no input can tell from it, with the reason.
EQUIVALENT = {}
