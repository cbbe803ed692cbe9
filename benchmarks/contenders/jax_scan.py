"""JAX: the whole epoch compiled into one call, a scan over its batches. No Python between the steps."""

from __future__ import annotations

from typing import Any

import jax  # pyright: ignore[reportMissingImports]
import jax.numpy as jnp  # pyright: ignore[reportMissingImports]
import numpy as np

from benchmarks.contenders import BATCH, one_hot
from benchmarks.contenders.jax_jit import cost, step_of_rows

__all__ = ["Contender"]


def steps(params: Any, x: Any, t: Any, rows: Any) -> Any:
    """One step for each row of `rows` (K, batch)."""
    start = params, jnp.zeros(())
    return jax.lax.scan(lambda state, batch: (step_of_rows(state, x, t, batch), None), start, rows)[0]


class Contender:
    """Shuffles on the host; the rest is one compiled call."""

    def __init__(self, x: np.ndarray, labels: np.ndarray, params: list[np.ndarray], form: str) -> None:
        self.x, self.t = jnp.asarray(x), jnp.asarray(one_hot(labels))
        self.params = [jnp.array(p) for p in params]
        self.cost = jax.jit(cost)
        self.steps = jax.jit(steps, donate_argnums=0)

    def epoch(self, seed: int) -> float:
        order = np.random.default_rng(seed).permutation(len(self.x)).astype(np.int32)
        return self.train(order.reshape(-1, BATCH))

    def train(self, rows: np.ndarray) -> float:
        self.params, total = jax.block_until_ready(self.steps(self.params, self.x, self.t, rows))
        return float(total) / len(rows)

    def loss(self, rows: np.ndarray) -> float:
        return float(self.cost(self.params, self.x[rows], self.t[rows]))

    def versions(self) -> dict[str, str]:
        return {"jax": jax.__version__, "jaxlib": jax.lib.__version__}
