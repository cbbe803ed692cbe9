"""The contenders: one module each, all of the same form, every one run in processes of its own.

A module defines a class `Contender`, which does any job that `left_out` does not keep from it:

    Contender(job, what, form)     what: the rows, labels and first weights, see `benchmarks.material`
    reset()                        back to the first weights
    train(steps)                   one step on each of the first batches, in the order in which the rows lie
    run(seed, steps)               the job, or its first steps: what is timed
    values() -> list[float]        the loss of the first batch; for predictions the probabilities of the first rows
    versions() -> dict             of the packages that did the work

Preparing the data once (one-hot rows, device arrays, batches that lie ready) is not timed; an epoch's shuffling and
gathering are. A call returns when its work is done, so that nothing is left running in the background.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from benchmarks.jobs import Job
from benchmarks.machine import FORCING

__all__ = [
    "CATALOGUE",
    "JUDGED",
    "LLVM",
    "OURS",
    "Contender",
    "Entry",
    "one_hot",
    "thread_environment",
    "threads_given",
]

OURS, LLVM = "tinynn", "tinynn_llvm"
JUDGED = {OURS: "NumPy", LLVM: "llvm"}
"""The contenders that all others are compared with, and their short names in a table's head."""

THREAD_VARIABLES = tuple(
    f"{library}_THREADS" for library in ("OPENBLAS_NUM", "OMP_NUM", "MKL_NUM", "BLIS_NUM", "VECLIB_MAXIMUM")
)


class Contender(Protocol):
    """What the worker asks of a contender."""

    def reset(self) -> None: ...

    def train(self, steps: int) -> None: ...

    def run(self, seed: int, steps: int) -> None: ...

    def values(self) -> list[float]: ...

    def versions(self) -> dict[str, str]: ...


def one_form(job: Job) -> tuple[str, ...]:
    return ("",)


def numpy_forms(job: Job) -> tuple[str, ...]:
    return ("a gather a batch", "a gather for several batches") if job.kind == "epoch" else ("",)


def torch_forms(job: Job) -> tuple[str, ...]:
    if job.kind == "predict":
        return ("",)
    forms = ("SGD", "SGD(fused=True)")
    return (*forms, *(f"{form}, channels_last" for form in forms)) if job.hidden == "lenet" else forms


def compile_forms(job: Job) -> tuple[str, ...]:
    return ("", "channels_last") if job.hidden == "lenet" else ("",)


def jit_forms(job: Job) -> tuple[str, ...]:
    if job.hidden == "lenet":
        return ("NCHW", "NHWC")
    return ("gather by NumPy", "gather inside jit") if job.kind == "epoch" else ("",)


def scan_forms(job: Job) -> tuple[str, ...]:
    return jit_forms(job) if job.hidden == "lenet" else ("",)


@dataclass(frozen=True)
class Entry:
    """A contender in the catalogue.

    `peer`: whether it counts for the goal of the best peer. `kinds`: of jobs that it does. `reason`: why it does not do
    a job of these kinds; "" when it does. `forms`: equally idiomatic ways to write the job; calibration takes the
    fastest. `threads`: numbers to be tried; None leaves the number to the library. `may_fail`: whether the run goes on
    without it. `slow`: whether a quick run leaves it out.
    """

    label: str
    module: str
    package: str
    peer: bool = True
    kinds: tuple[str, ...] = ("step", "epoch")
    reason: Callable[[Job], str] = lambda job: ""
    forms: Callable[[Job], tuple[str, ...]] = one_form
    threads: tuple[int | None, ...] = (1, 2)
    checked: bool = True
    may_fail: bool = False
    slow: bool = False

    def left_out(self, job: Job) -> str:
        """Why this contender does not do the job; "" when it does."""
        if job.kind not in self.kinds:
            return f"takes part where the job is of the kind {' or '.join(self.kinds)}"
        return self.reason(job)


def dense_only(job: Job) -> str:
    return "is written for dense networks" if job.hidden == "lenet" else ""


def of_sklearn(job: Job) -> str:
    if job.hidden == "lenet":
        return "has no convolutions"
    return "has no sigmoid outputs with the quadratic cost" if job.loss == "quadratic" else ""


def of_network_py(job: Job) -> str:
    return "" if job.name == "nielsen" else "is the program of Nielsen's book alone"


EVERY = ("step", "epoch", "predict")

CATALOGUE = {
    OURS: Entry("tinynn", "tinynn_fit", "tinynn", peer=False, kinds=EVERY, threads=(None,)),
    LLVM: Entry(
        "tinynn, backend llvm", "tinynn_llvm", "llvmlite", peer=False, kinds=EVERY, threads=(None,), may_fail=True
    ),
    "tinynn_set": Entry("tinynn, threads set", "tinynn_fit", "tinynn", peer=False, kinds=EVERY),
    "torch": Entry("PyTorch eager", "pytorch", "torch", kinds=EVERY, forms=torch_forms),
    "torch_loader": Entry("PyTorch eager, DataLoader", "torch_loader", "torch", kinds=("epoch",), forms=torch_forms),
    "torch_compile": Entry(
        "torch.compile, fused SGD", "torch_compile", "torch", forms=compile_forms, may_fail=True, slow=True
    ),
    "jax_jit": Entry("JAX jit, one call a step", "jax_jit", "jax", kinds=EVERY, forms=jit_forms),
    "jax_scan": Entry("JAX jit, scan over the batches", "jax_scan", "jax", forms=scan_forms),
    "sklearn": Entry("scikit-learn MLPClassifier", "scikit_learn", "sklearn", kinds=EVERY, reason=of_sklearn),
    "onnxruntime": Entry("ONNX Runtime", "onnx_runtime", "onnxruntime", kinds=("predict",)),
    "network_py": Entry(
        "network.py's algorithm",
        "network_py",
        "numpy",
        peer=False,
        kinds=("epoch",),
        reason=of_network_py,
        threads=(1,),
    ),
    "bare_numpy": Entry(
        "bare NumPy", "bare_numpy", "numpy", peer=False, kinds=EVERY, reason=dense_only, forms=numpy_forms
    ),
    "gemm_floor": Entry("matrix products alone", "gemm_floor", "numpy", peer=False, kinds=EVERY, checked=False),
}
"""By key, in the order in which they take turns."""


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    """Labels (N,) as float32 rows (N, classes)."""
    return np.eye(classes, dtype=np.float32)[labels]


def thread_environment(threads: int | None) -> dict[str, str | None]:
    """Variables for a process, to be set before it starts, that hold every library to so many threads.

    None as a value takes the variable away, so that the library decides, whatever the shell had set; so it does which
    code suits the processor.
    """
    variables: dict[str, str | None] = dict.fromkeys(FORCING)
    if threads is None:
        return variables | dict.fromkeys((*THREAD_VARIABLES, "NPROC"))
    variables |= dict.fromkeys(THREAD_VARIABLES, str(threads))
    # XLA sizes its pools on the CPU by NPROC; Eigen's own threads are switched off separately.
    variables["NPROC"] = str(threads)
    if threads == 1:
        flags = (os.environ.get("XLA_FLAGS", ""), "--xla_cpu_multi_thread_eigen=false")
        variables["XLA_FLAGS"] = " ".join(filter(None, flags))
    return variables


def threads_given() -> int | None:
    """The number that `thread_environment` gave this process."""
    return int(os.environ["OMP_NUM_THREADS"]) if "OMP_NUM_THREADS" in os.environ else None
