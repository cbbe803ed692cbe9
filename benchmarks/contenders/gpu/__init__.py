"""The contenders of the GPU benchmark: of the same form as those of the CPU, all work done when a call returns.

A contender's `form` says what it is to do besides the job: "tf32, resident" or "float32, copied, captured".
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from benchmarks.contenders import CATALOGUE, Entry
from benchmarks.jobs import Job

__all__ = [
    "AUTOTUNE",
    "AUTOTUNED",
    "CAPTURED",
    "COMPILED",
    "CPU",
    "CPU_LLVM",
    "EAGER",
    "GPU",
    "JAX",
    "OVERHEAD",
    "PRODUCTS",
    "TORCH",
    "Form",
    "listed",
]

CAPTURED, EAGER, TORCH, AUTOTUNED, JAX = "gpu_captured", "gpu_eager", "gpu_torch", "gpu_torch_autotuned", "gpu_jax"
OVERHEAD, AUTOTUNE, PRODUCTS = "gpu_compile_overhead", "gpu_compile_autotune", "gpu_products"
CPU, CPU_LLVM = "cpu_numpy", "cpu_llvm"

COMPILED = (OVERHEAD, AUTOTUNE)
"""Those that a goal against torch.compile is about: the faster of them counts."""


class Form(NamedTuple):
    """What a contender is to do besides the job.

    `precision`: of matrix products, "float32", "tf32" or "bfloat16". `copied`: whether every batch comes from the host.
    `extra`: words that only the contender knows.
    """

    precision: str
    copied: bool = False
    extra: str = ""

    @property
    def text(self) -> str:
        """As a contender is given it."""
        return ", ".join(filter(None, (self.precision, "copied" if self.copied else "resident", self.extra)))

    @classmethod
    def of(cls, text: str) -> Form:
        """What `text` was made of."""
        precision, place, *extra = text.split(", ")
        return cls(precision, place == "copied", ", ".join(extra))


def only(*extras: str) -> Callable[[Job], tuple[str, ...]]:
    """The same extra words for every job."""
    return lambda job: extras


def jax_forms(job: Job) -> tuple[str, ...]:
    return ("NCHW", "NHWC") if job.hidden == "lenet" else ("",)


GPU = {
    CAPTURED: Entry(
        "tinynn on CuPy, captured", "gpu.tinynn_cupy", "cupy", peer=False, forms=only("captured"), threads=(None,)
    ),
    EAGER: Entry("tinynn on CuPy, eager", "gpu.tinynn_cupy", "cupy", peer=False, forms=only("eager"), threads=(None,)),
    TORCH: Entry("PyTorch eager", "gpu.torch_eager", "torch", threads=(None,)),
    AUTOTUNED: Entry(
        "PyTorch eager, cudnn.benchmark", "gpu.torch_eager", "torch", forms=only("autotuned"), threads=(None,)
    ),
    OVERHEAD: Entry(
        "torch.compile, reduce-overhead", "gpu.torch_compile", "torch", forms=only("reduce-overhead"), threads=(None,)
    ),
    AUTOTUNE: Entry(
        "torch.compile, max-autotune", "gpu.torch_compile", "torch", forms=only("max-autotune"), threads=(None,)
    ),
    JAX: Entry("JAX jit, one call a step", "gpu.jax_jit", "jax", forms=jax_forms, threads=(None,)),
    PRODUCTS: Entry("matrix products alone", "gpu.products", "torch", peer=False, checked=False, threads=(None,)),
    CPU: Entry("tinynn on NumPy, CPU", "tinynn_fit", "tinynn", peer=False, threads=(1, None)),
    CPU_LLVM: Entry("tinynn, backend llvm, CPU", "tinynn_llvm", "llvmlite", peer=False, threads=(None,)),
}
"""By key. None may end the run: whoever fails is left out with its reason."""


@contextlib.contextmanager
def listed() -> Iterator[None]:
    """Has the harness know them too, which starts contenders by their key in `CATALOGUE`."""
    CATALOGUE.update(GPU)
    try:
        yield
    finally:
        for name in GPU:
            CATALOGUE.pop(name, None)
