"""What all contenders of a job are given: the same rows, labels and weights to start from."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.jobs import Job
from tinynn import datasets
from tinynn.init import he, standard_normal, zeros
from tinynn.random import generator

__all__ = ["LENET", "Material", "load", "material", "save", "start"]

LENET = ((16, 1, 5, 5), (16,), (32, 16, 5, 5), (32,), (512, 128), (128,), (128, 10), (10,))
"""The parameters' shapes: convolution, max pooling 2, convolution, max pooling 2, two dense layers."""


@dataclass(frozen=True)
class Material:
    """Shapes: x (N, ...) float32, labels (N,) uint8; params: W and b of each layer in turn, float32."""

    x: np.ndarray
    labels: np.ndarray
    params: tuple[np.ndarray, ...]


def start(job: Job) -> tuple[np.ndarray, ...]:
    """The weights to start from: N(0, 1) for all under the quadratic loss, as Nielsen has it, or else He's rule."""
    shapes = LENET
    if job.hidden != "lenet":
        widths = job.widths
        shapes = [s for D, M in pairwise(widths) for s in ((D, M), (M,))]
    params = []
    for number, shape in enumerate(shapes):
        draw = standard_normal if job.loss == "quadratic" else zeros if len(shape) == 1 else he
        params.append(draw(generator(0, number), shape).astype(np.float32))
    return tuple(params)


def material(job: Job) -> Material:
    """Made anew; the same each time."""
    if job.made:
        rng = generator(0, "rows")
        x = rng.random((job.rows, *job.inputs), np.float32) * 2 - 1
        labels = rng.integers(0, job.classes, job.rows).astype(np.uint8)
        if job.name == "quadrant":
            labels = (2 * (x[:, 0] > 0) + (x[:, 1] > 0)).astype(np.uint8)
    else:
        train, _ = datasets.mnist()
        x = train.images[: job.rows].reshape(-1, *job.inputs).astype(np.float32) / np.float32(255)
        labels = train.labels[: job.rows]
    return Material(x, labels, start(job))


def save(what: Material, folder: Path) -> None:
    """Into a folder of its own; `load` reads it."""
    np.save(folder / "x.npy", what.x)
    np.save(folder / "labels.npy", what.labels)
    np.savez(folder / "params.npz", *what.params)


def load(folder: Path) -> Material:
    """The rows are mapped into memory, so that all processes share one copy until somebody writes."""
    x = np.asarray(np.load(folder / "x.npy", mmap_mode="c"))
    with np.load(folder / "params.npz") as params:
        return Material(x, np.load(folder / "labels.npy"), tuple(params.values()))
