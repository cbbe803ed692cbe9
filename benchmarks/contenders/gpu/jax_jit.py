"""JAX on a GPU: one jitted step with donated parameters; of an epoch the order, too, lies on the device."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.contenders import jax_jit
from benchmarks.contenders.gpu import Form
from benchmarks.jobs import Job
from benchmarks.material import Material

__all__ = ["DEVICE", "PRECISIONS", "Contender"]

DEVICE = "gpu"
PRECISIONS = {"float32": "highest", "tf32": "TF32_TF32_F32", "bfloat16": "BF16_BF16_F32"}
"""What `jax.default_matmul_precision` calls them: what is multiplied, and in the last two what the sums are."""


class Contender(jax_jit.Contender):
    """`form`: a `Form`, for images with their order, NCHW or NHWC.

    Errors: RuntimeError where JAX has no GPU, where it would go on with the CPU.
    """

    def __init__(self, job: Job, what: Material, form: str) -> None:
        if jax.default_backend() != DEVICE:
            raise RuntimeError(f"JAX finds no GPU; its devices are {jax.devices()}")
        words = Form.of(form)
        jax.config.update("jax_default_matmul_precision", PRECISIONS[words.precision])
        self.copied = words.copied
        super().__init__(job, what, words.extra or ("gather inside jit" if job.kind == "epoch" else ""))
        self.next = jax.jit(partial(step_at, job, self.form), donate_argnums=(0, 1))

    def make_ready(self, x: np.ndarray, t: np.ndarray) -> None:
        if self.copied:  # an array of NumPy's is copied when the step is called with it
            self.ready = list(zip(x, t, strict=True))
        else:
            super().make_ready(x, t)

    def epoch(self, order: np.ndarray) -> None:
        params, number, (x, t) = self.params, jnp.zeros((), jnp.int32), self.on_device
        rows = jnp.asarray(order.astype(np.int32))
        for _ in range(len(order) // self.job.batch):
            params, number = self.next(params, number, x, t, rows)
        self.params = jax.block_until_ready(params)


def step_at(job: Job, form: str, params: Any, number: Any, x: Any, t: Any, order: Any) -> Any:
    """The step of that number in the order; and the next number, which so never leaves the device."""
    rows = jax.lax.dynamic_slice(order, (number * job.batch,), (job.batch,))
    return jax_jit.step_of_rows(job, form, params, x, t, rows), number + 1
