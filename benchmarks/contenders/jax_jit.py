"""JAX: one jitted step with donated parameters, called from a Python loop over the batches."""

from __future__ import annotations

from typing import Any

import jax  # pyright: ignore[reportMissingImports]
import jax.numpy as jnp  # pyright: ignore[reportMissingImports]
import numpy as np

from benchmarks.contenders import BATCH, ETA, one_hot

__all__ = ["Contender", "cost", "step"]


def cost(params: Any, x: Any, t: Any) -> Any:
    """1/(2n) sum |y - t|^2."""
    W1, b1, W2, b2 = params
    y = jax.nn.sigmoid(jax.nn.sigmoid(x @ W1 + b1) @ W2 + b2)
    return jnp.sum((y - t) ** 2) / (2 * len(x))


def step(state: Any, x: Any, t: Any) -> Any:
    """One step of gradient descent. State: the parameters, and the sum of the losses so far."""
    params, total = state
    value, grads = jax.value_and_grad(cost)(params, x, t)
    return [p - ETA * g for p, g in zip(params, grads, strict=True)], total + value


def step_of_rows(state: Any, x: Any, t: Any, rows: Any) -> Any:
    """The same, the batch gathered within the compiled step."""
    return step(state, x[rows], t[rows])


class Contender:
    """`form`: batches gathered by NumPy and handed over, or gathered inside the step from arrays on the device."""

    def __init__(self, x: np.ndarray, labels: np.ndarray, params: list[np.ndarray], form: str) -> None:
        self.by_numpy = "NumPy" in form
        self.x, self.t = x, one_hot(labels)
        if not self.by_numpy:
            self.x, self.t = jnp.asarray(self.x), jnp.asarray(self.t)
        self.params = [jnp.array(p) for p in params]
        self.cost = jax.jit(cost)
        self.step = jax.jit(step if self.by_numpy else step_of_rows, donate_argnums=0)

    def epoch(self, seed: int) -> float:
        order = np.random.default_rng(seed).permutation(len(self.x)).astype(np.int32)
        return self.train(order.reshape(-1, BATCH))

    def train(self, rows: np.ndarray) -> float:
        x, t, step = self.x, self.t, self.step
        state = self.params, jnp.zeros(())
        if self.by_numpy:
            for batch in rows:
                state = step(state, x[batch], t[batch])
        else:
            for batch in rows:
                state = step(state, x, t, batch)
        self.params, total = jax.block_until_ready(state)
        return float(total) / len(rows)

    def loss(self, rows: np.ndarray) -> float:
        return float(self.cost(self.params, self.x[rows], self.t[rows]))

    def versions(self) -> dict[str, str]:
        return {"jax": jax.__version__, "jaxlib": jax.lib.__version__}
