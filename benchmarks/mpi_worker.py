"""What one rank measures: `mpiexec -n 2 python -m benchmarks.mpi_worker step 784-300-10 256 20`.

    step SIZES ROWS STEPS    seconds of a step of fit on so many rows in all, and of the sum of its gradient alone
    sums BYTES...            seconds of a sum of so many bytes
    products                 operations a second in matrix products, of each rank while all compute: no communication

Rank 0 prints JSON.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from statistics import median
from typing import Any

import numpy as np

from tinynn import SGD, Affine, ReLU, Sequential, SoftmaxCrossEntropy, fit
from tinynn.distributed import Ranks

ROUNDS = 5


def step(ranks: Ranks, sizes: str, rows: str, steps: str) -> dict[str, Any]:
    """The median epoch of some, by its steps. One rank: `fit` without `comm`, as one would call it then."""
    numbers = [int(size) for size in sizes.split("-")]
    inner = [layer for size in numbers[1:-1] for layer in (Affine(size), ReLU())]
    net = Sequential(*inner, Affine(numbers[-1]), SoftmaxCrossEntropy()).build((numbers[0],), seed=0)
    rng = np.random.default_rng(0)
    n = int(rows) * int(steps)
    x, t = rng.standard_normal((n, numbers[0])).astype(np.float32), rng.integers(0, numbers[-1], n)
    comm = ranks if ranks.size > 1 else None
    history = fit(net, SGD(1e-3), (x, t), epochs=ROUNDS + 1, batch_size=int(rows), progress=False, comm=comm)
    vector = np.zeros(net.storage.grads.size + 2, np.float32)
    return {
        "parameters": sum(a.size for a in net.storage.parameters.values()),
        "step": median(history.seconds[1:]) / int(steps),
        "sum": summed(ranks, vector) if comm else 0.0,
    }


def sums(ranks: Ranks, *sizes: str) -> list[float]:
    """Of float32, as many as make so many bytes."""
    return [summed(ranks, np.zeros(max(1, int(size) // 4), np.float32)) for size in sizes]


def products(ranks: Ranks) -> list[float]:
    """Of 1024 x 1024 matrices, which all ranks multiply at once, each its own."""
    a, b, c = (np.full((1024, 1024), 0.5, np.float32) for _ in range(3))
    np.matmul(a, b, out=c)
    ranks.any(False)  # all begin together
    started = time.perf_counter()
    for _ in range(50):
        np.matmul(a, b, out=c)
    return ranks.gather(50 * 2 * 1024**3 / (time.perf_counter() - started))


def summed(ranks: Ranks, vector: np.ndarray) -> float:
    """The median of rounds of 20 sums or more, and of 20 ms or more."""
    ranks.sum(vector)
    count = 20
    for _ in itertools.count():
        started = time.perf_counter()
        for _ in range(count):
            ranks.sum(vector)
        seconds = np.array([time.perf_counter() - started])
        if ranks.sum(seconds, "MAX")[0] > 0.02:  # the same on all ranks
            break
        count *= 2
    found = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(count):
            ranks.sum(vector)
        found.append((time.perf_counter() - started) / count)
    return median(found)


if __name__ == "__main__":
    with Ranks(timeout=120) as all_of_them:
        measured = {"step": step, "sums": sums, "products": products}[sys.argv[1]](all_of_them, *sys.argv[2:])
        if all_of_them.first:
            print(json.dumps(measured))
