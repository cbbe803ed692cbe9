"""JAX: all steps compiled into one call, a scan over the batches. No Python between the steps."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.contenders import jax_jit
from benchmarks.contenders.jax_jit import step, step_of_rows
from benchmarks.jobs import Job
from benchmarks.material import Material

__all__ = ["Contender"]


class Contender(jax_jit.Contender):
    """Shuffles on the host; the rest is one compiled call."""

    def __init__(self, job: Job, what: Material, form: str) -> None:
        super().__init__(job, what, form)
        self.cut: dict[int, list[Any]] = {}

        def over_rows(params: Any, x: Any, t: Any, rows: Any) -> Any:
            return jax.lax.scan(lambda p, batch: (step_of_rows(job, form, p, x, t, batch), None), params, rows)[0]

        def over_batches(params: Any, x: Any, t: Any) -> Any:
            return jax.lax.scan(lambda p, batch: (step(job, form, p, *batch), None), params, (x, t))[0]

        self.over_rows = jax.jit(over_rows, donate_argnums=0)
        self.over_batches = jax.jit(over_batches, donate_argnums=0)

    def make_ready(self, x: np.ndarray, t: np.ndarray) -> None:
        self.stacked = [jnp.array(x), jnp.array(t)]

    def train(self, steps: int) -> None:
        if self.job.kind == "epoch":
            self.epoch(np.arange(steps * self.job.batch))
            return
        if steps not in self.cut:
            self.cut[steps] = self.stacked if steps == self.job.steps else [a[:steps] for a in self.stacked]
        self.params = jax.block_until_ready(self.over_batches(self.params, *self.cut[steps]))

    def epoch(self, order: np.ndarray) -> None:
        rows = order.astype(np.int32).reshape(-1, self.job.batch)
        self.params = jax.block_until_ready(self.over_rows(self.params, *self.on_device, rows))
