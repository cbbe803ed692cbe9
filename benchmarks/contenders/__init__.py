"""The contenders: one small module each, all of the same form, every one run in a process of its own.

The task is the first epoch of Nielsen's book: 784-30-10 with sigmoids, quadratic cost 1/(2n) sum |y - t|^2, gradient
descent at eta = 3 on batches of 10, in float32. A module defines a class `Contender`:

    Contender(x, labels, params, form)   x (N, 784) float32 and labels (N,) uint8 on the host; params: W1 b1 W2 b2
    epoch(seed) -> float                 shuffles, then one step per batch over all rows; the mean loss as it was met
    train(rows) -> float                 the same for given rows (K, 10), in this order, K steps
    loss(rows) -> float                  the loss of one batch, without a step
    versions() -> dict                   the packages that did the work

Preparing the data once (one-hot rows, device arrays) is not timed; shuffling and gathering batches is. A call returns
when its work is done, so that nothing is left running in the background.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

__all__ = ["BATCH", "CATALOGUE", "ETA", "Contender", "Entry", "one_hot", "thread_environment"]

BATCH = 10
ETA = 3.0


class Contender(Protocol):
    """What the worker asks of a contender."""

    def epoch(self, seed: int) -> float: ...

    def train(self, rows: np.ndarray) -> float: ...

    def loss(self, rows: np.ndarray) -> float: ...

    def versions(self) -> dict[str, str]: ...


@dataclass(frozen=True)
class Entry:
    """A contender in the catalogue.

    `forms`: equally idiomatic ways to write it; calibration takes the fastest. `calibrated`: False leaves the number of
    threads to the library, as it comes out of the box. `environment`: further variables that its process is given.
    """

    label: str
    module: str
    package: str
    forms: tuple[str, ...] = ("",)
    calibrated: bool = True
    environment: dict[str, str] = field(default_factory=dict)


# With AVX-512 processors that OpenBLAS does not know, such as some of AMD, it falls back on AVX2; this tells it better.
AVX512 = {"OPENBLAS_CORETYPE": "SkylakeX"}

CATALOGUE = {
    "tinynn": Entry("tinynn `fit`", "tinynn_fit", "tinynn"),
    "torch": Entry("PyTorch eager", "pytorch", "torch", ("SGD", "SGD(fused=True)")),
    "jax_jit": Entry("JAX jit, one call a step", "jax_jit", "jax", ("gather by NumPy", "gather inside jit")),
    "jax_scan": Entry("JAX jit, scan over the epoch", "jax_scan", "jax"),
    "numpy": Entry("bare NumPy", "bare_numpy", "numpy"),
    "jax_default": Entry(
        "JAX jit, one call a step, out of the box",
        "jax_jit",
        "jax",
        ("gather by NumPy", "gather inside jit"),
        calibrated=False,
    ),
    "tinynn_avx512": Entry("tinynn `fit`, AVX-512 kernels", "tinynn_fit", "tinynn", environment=AVX512),
    "numpy_avx512": Entry("bare NumPy, AVX-512 kernels", "bare_numpy", "numpy", environment=AVX512),
}
"""By name, in the order in which they take turns."""


def one_hot(labels: np.ndarray) -> np.ndarray:
    """Labels (N,) as float32 rows (N, 10)."""
    return np.eye(10, dtype=np.float32)[labels]


def thread_environment(threads: int) -> dict[str, str]:
    """Environment variables, to be set before the process starts, that hold every library to so many threads."""
    libraries = ("OPENBLAS_NUM", "OMP_NUM", "MKL_NUM", "BLIS_NUM", "VECLIB_MAXIMUM")
    variables = {f"{library}_THREADS": str(threads) for library in libraries}
    # XLA sizes its pools on the CPU by NPROC; Eigen's own threads are switched off separately.
    variables["NPROC"] = str(threads)
    if threads == 1:
        flags = (os.environ.get("XLA_FLAGS", ""), "--xla_cpu_multi_thread_eigen=false")
        variables["XLA_FLAGS"] = " ".join(filter(None, flags))
    return variables
