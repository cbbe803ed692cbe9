"""The matrix products of the job and nothing else: what the BLAS of NumPy alone takes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from benchmarks.jobs import Job
from benchmarks.material import Material

__all__ = ["Contender", "sizes"]


def sizes(job: Job) -> list[tuple[int, int, int]]:
    """(rows, D, M) of each layer's forward product. A convolution's is that of its unfolded windows (im2col)."""
    B = job.batch
    if job.hidden == "lenet":
        return [(B * 24 * 24, 25, 16), (B * 8 * 8, 400, 32), (B, 512, 128), (B, 128, 10)]
    return [(B, D, M) for D, M in pairwise(job.widths)]


class Contender:
    """Forward, dW, and dx of all layers but the first; for predictions forward alone. The numbers mean nothing."""

    def __init__(self, job: Job, what: Material, form: str) -> None:
        rng = np.random.default_rng(0)
        self.calls: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        backward: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for layer, (rows, D, M) in enumerate(sizes(job)):
            x, W, dy = (rng.random(shape, np.float32) for shape in ((rows, D), (D, M), (rows, M)))
            self.calls.append((x, W, np.empty_like(dy)))
            backward.append((x.T, dy, np.empty_like(W)))
            if layer:
                backward.append((dy, W.T, np.empty_like(x)))
        if job.kind != "predict":
            self.calls += backward

    def reset(self) -> None:
        """There is nothing to go back to."""

    def train(self, steps: int) -> None:
        dot, calls = np.dot, self.calls
        for _ in range(steps):
            for a, b, out in calls:
                dot(a, b, out)

    def run(self, seed: int, steps: int) -> None:
        self.train(steps)

    def values(self) -> list[float]:
        """None: it computes no loss."""
        return []

    def versions(self) -> dict[str, str]:
        return {"numpy": np.__version__}
