"""What every contender must find for a dense network, in float64 and in the plainest words."""

from __future__ import annotations

import numpy as np

from benchmarks.jobs import Job
from benchmarks.material import Material

__all__ = ["check_values", "gradients", "loss", "probabilities", "steps_to_check"]

Params = list[np.ndarray]


def steps_to_check(job: Job) -> int:
    """How many steps all make before the timing."""
    return min(job.steps, 20, max(2, 2000 // job.batch))


def check_values(job: Job, what: Material) -> list[float]:
    """The loss of the first batch at the start, after one step, and after all steps of the check.

    For predictions: the probabilities of the first rows, one row after the other.
    """
    params = [p.astype(np.float64) for p in what.params]
    B = job.batch
    rows = slice(steps_to_check(job) * B)
    x, t = what.x[rows].astype(np.float64), np.eye(job.classes)[what.labels[rows]]
    if job.kind == "predict":
        return [float(p) for p in probabilities(job, params, x).reshape(-1)]
    found = [loss(job, params, x[:B], t[:B])]
    for number in range(steps_to_check(job)):
        batch = slice(number * B, (number + 1) * B)
        slopes = gradients(job, params, x[batch], t[batch])
        params = [p - job.lr * g for p, g in zip(params, slopes, strict=True)]
        if number == 0:
            found.append(loss(job, params, x[:B], t[:B]))
    return [*found, loss(job, params, x[:B], t[:B])]


def outputs(job: Job, params: Params, x: np.ndarray) -> list[np.ndarray]:
    """The input and the output of every layer; the last are scores before the softmax, or sigmoids."""
    found = [x]
    for layer in range(0, len(params), 2):
        z = found[-1] @ params[layer] + params[layer + 1]
        if layer + 2 == len(params):
            found.append(z if job.loss == "softmax" else sigmoid(z))
        else:
            found.append(np.maximum(z, 0) if job.activation == "relu" else sigmoid(z))
    return found


def probabilities(job: Job, params: Params, x: np.ndarray) -> np.ndarray:
    """The softmax of the scores, or the sigmoids as they are."""
    scores = outputs(job, params, x)[-1]
    return softmax(scores) if job.loss == "softmax" else scores


def loss(job: Job, params: Params, x: np.ndarray, t: np.ndarray) -> float:
    """Mean of -log p at the label, or 1/(2N) sum |y - t|^2. t (N, C): one-hot rows."""
    y = probabilities(job, params, x)
    if job.loss == "softmax":
        return float(-np.log((y * t).sum(axis=1)).mean())
    return float(((y - t) ** 2).sum()) / (2 * len(x))


def gradients(job: Job, params: Params, x: np.ndarray, t: np.ndarray) -> Params:
    """Of `loss` with respect to each parameter."""
    layers = outputs(job, params, x)
    y = layers[-1]
    dz = (softmax(y) - t if job.loss == "softmax" else (y - t) * y * (1 - y)) / len(x)
    found: Params = []
    for layer in reversed(range(len(params) // 2)):
        a = layers[layer]
        found[:0] = [a.T @ dz, dz.sum(axis=0)]
        dz = dz @ params[2 * layer].T * (a > 0 if job.activation == "relu" else a * (1 - a))
    return found


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
