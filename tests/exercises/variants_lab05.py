"""Right answers to the tasks of lab 05, written in other ways than the reference; the checks must accept each."""

import numpy as np
import torch
import torch.nn.functional as F


def padded_in_place(ids, start, end, length):
    row = [end] * length
    row[0] = start
    for i, token in enumerate(ids[: length - 2]):
        row[i + 1] = token
    return row


def padded_by_cutting(ids, start, end, length):
    return torch.tensor(([start] + ids + [end] * length)[: length - 1] + [end])


def padded_in_numpy(ids, start, end, length):
    row = np.full(length, end)
    row[0] = start
    row[1 : 1 + len(ids[: length - 2])] = ids[: length - 2]
    return row


def nearest_by_topk(vectors, query, k):
    return F.cosine_similarity(vectors, query[None], dim=1).topk(k).indices.tolist()


def nearest_of_unit_vectors(vectors, query, k):
    unit, to = F.normalize(vectors, dim=1), F.normalize(query, dim=0)
    return (unit - to).norm(dim=1).argsort()[:k]  # at equal lengths the distance orders as the angle does


def nearest_in_numpy(vectors, query, k):
    v, q = vectors.numpy(), query.numpy()
    return np.argsort(-(v @ q) / np.linalg.norm(v, axis=1))[:k]


def guided_as_a_mean(untold, told, scale):
    return (1 - scale) * untold + scale * told


def guided_by_lerp(untold, told, scale):
    return torch.lerp(untold, told, scale)


def guided_in_float32(untold, told, scale):
    return untold.float() + np.float32(scale) * (told - untold).float()


def attention_by_exp(q, k):
    weight = torch.exp(q @ k.T / q.shape[-1] ** 0.5)
    return weight / weight.sum(1, keepdim=True)


def attention_in_numpy(q, k):
    scores = np.einsum("pd,nd->pn", q.numpy(), k.numpy()) / np.sqrt(q.shape[1])
    scores = np.exp(scores - scores.max(1, keepdims=True))
    return scores / scores.sum(1, keepdims=True)


def attention_by_torch(q, k):
    """What the words would pass on if each passed on its own number."""
    return F.scaled_dot_product_attention(q[None], k[None], torch.eye(len(k), dtype=q.dtype)[None])[0]


def inpainted_by_where(alpha, z_t, t, z, mask, epsilon):
    known = alpha[t].sqrt() * z + (1 - alpha[t]).sqrt() * epsilon
    return torch.where(mask.bool().expand_as(z_t), known, z_t)


def inpainted_by_lerp(alpha, z_t, t, z, mask, epsilon):
    return torch.lerp(z_t, alpha[t] ** 0.5 * z + (1 - alpha[t]) ** 0.5 * epsilon, mask)


def inpainted_in_float32(alpha, z_t, t, z, mask, epsilon):
    a = alpha[t].float()
    return z_t.float() + mask.float() * (a.sqrt() * z.float() + (1 - a).sqrt() * epsilon.float() - z_t.float())


def mixed_on_a_circle(a, b, u):
    angle = np.arcsin(np.sqrt(u))
    return np.cos(angle) * a + np.sin(angle) * b


def mixed_in_numpy(a, b, u):
    return (1 - u) ** 0.5 * a.numpy() + u**0.5 * b.numpy()


def mixed_in_float32(a, b, u):
    return a.float() * (1 - u) ** 0.5 + b.float() * u**0.5


VARIANTS = {
    "5.1": [padded_in_place, padded_by_cutting, padded_in_numpy],
    "5.2": [nearest_by_topk, nearest_of_unit_vectors, nearest_in_numpy],
    "5.3": [16, 16.0, "16"],
    "5.4": [guided_as_a_mean, guided_by_lerp, guided_in_float32],
    "5.5": ["anything", " Anything ", "ANYTHING"],
    "5.6": [attention_by_exp, attention_in_numpy, attention_by_torch],
    "5.7": [inpainted_by_where, inpainted_by_lerp, inpainted_in_float32],
    "5.8": [mixed_on_a_circle, mixed_in_numpy, mixed_in_float32],
}

# Mutants of a reference that no input can tell from it, with the reason.
EQUIVALENT = {
    (
        "5.2",
        "vectors.norm(dim=1) * query.norm() -> vectors.norm(dim=1) / query.norm()",
    ): "one query: its length orders nothing",
}
