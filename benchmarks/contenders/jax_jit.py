"""JAX: one jitted step with donated parameters, called from a Python loop over the batches."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.contenders import one_hot
from benchmarks.jobs import Job
from benchmarks.material import Material
from benchmarks.reference import steps_to_check

__all__ = ["Contender", "cost", "scores", "step", "step_of_rows"]

LAYOUTS = {"NCHW": ("NCHW", "OIHW", "NCHW"), "NHWC": ("NHWC", "HWIO", "NHWC")}


def scores(job: Job, form: str, params: Any, x: Any) -> Any:
    """What the last layer gives: scores before a softmax, or sigmoids."""
    pairs = list(zip(params[::2], params[1::2], strict=True))
    activation = jax.nn.relu if job.activation == "relu" else jax.nn.sigmoid
    for number, (W, b) in enumerate(pairs):
        if W.ndim == 4:
            x = activation(convolution(form, x, W, b))
            size = (1, 1, 2, 2) if form == "NCHW" else (1, 2, 2, 1)
            x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, size, size, "VALID")
            continue
        if x.ndim == 4:
            x = (x if form == "NCHW" else x.transpose(0, 3, 1, 2)).reshape(len(x), -1)
        x = x @ W + b
        if number < len(pairs) - 1 or job.loss == "quadratic":
            x = activation(x)
    return x


def convolution(form: str, x: Any, W: Any, b: Any) -> Any:
    """W x + b, in the order that the form has its images in."""
    y = jax.lax.conv_general_dilated(x, W, (1, 1), "VALID", dimension_numbers=LAYOUTS[form])
    return y + (b.reshape(1, -1, 1, 1) if form == "NCHW" else b)


def cost(job: Job, form: str, params: Any, x: Any, t: Any) -> Any:
    """Mean of -log p at the label, or 1/(2n) sum |y - t|^2. t (N, C): one-hot rows."""
    y = scores(job, form, params, x)
    if job.loss == "softmax":
        return -jnp.sum(jax.nn.log_softmax(y) * t) / len(x)
    return jnp.sum((y - t) ** 2) / (2 * len(x))


def step(job: Job, form: str, params: Any, x: Any, t: Any) -> Any:
    """One step of gradient descent."""
    grads = jax.grad(cost, argnums=2)(job, form, params, x, t)
    return [p - job.lr * g for p, g in zip(params, grads, strict=True)]


def step_of_rows(job: Job, form: str, params: Any, x: Any, t: Any, rows: Any) -> Any:
    """The same, the batch gathered within the compiled step."""
    return step(job, form, params, x[rows], t[rows])


class Contender:
    """`form`: an epoch's batches gathered by NumPy, or inside the step from arrays on the device; or images' order."""

    def __init__(self, job: Job, what: Material, form: str) -> None:
        self.job, self.form, self.what = job, form, what
        self.x, self.t = self.prepare(what.x), one_hot(what.labels, job.classes)
        self.cost = jax.jit(partial(cost, job, form))
        self.probabilities = jax.jit(lambda params, x: jax.nn.softmax(scores(job, form, params, x)))
        self.step = jax.jit(partial(step, job, form), donate_argnums=0)
        self.step_of_rows = jax.jit(partial(step_of_rows, job, form), donate_argnums=0)
        if job.kind == "step":
            self.make_ready(*(a.reshape(job.steps, job.batch, *a.shape[1:]) for a in (self.x, self.t)))
        elif job.kind == "epoch" and "NumPy" not in form:
            self.on_device = jnp.asarray(self.x), jnp.asarray(self.t)
        self.reset()

    def make_ready(self, x: np.ndarray, t: np.ndarray) -> None:
        """Puts all batches (steps, batch, ...) on the device."""
        self.ready = [(jnp.array(a), jnp.array(b)) for a, b in zip(x, t, strict=True)]

    def prepare(self, a: np.ndarray) -> np.ndarray:
        """Images or filters in the form's order."""
        if a.ndim == 4 and self.form == "NHWC":
            a = a.transpose(0, 2, 3, 1) if a is self.what.x else a.transpose(2, 3, 1, 0)
        return np.ascontiguousarray(a)

    def reset(self) -> None:
        self.params = jax.block_until_ready([jnp.array(self.prepare(p)) for p in self.what.params])

    def train(self, steps: int) -> None:
        if self.job.kind == "epoch":
            self.epoch(np.arange(steps * self.job.batch))
            return
        params, step = self.params, self.step
        for x, t in self.ready[:steps]:
            params = step(params, x, t)
        self.params = jax.block_until_ready(params)

    def run(self, seed: int, steps: int) -> None:
        if self.job.kind == "step":
            self.train(steps)
        elif self.job.kind == "epoch":
            self.epoch(np.random.default_rng(seed).permutation(steps * self.job.batch))
        else:
            params, x, probabilities = self.params, self.x, self.probabilities
            for i in range(steps):
                probabilities(params, x[i : i + 1]).block_until_ready()

    def values(self) -> list[float]:
        if self.job.kind == "predict":
            rows = self.x[: steps_to_check(self.job)]
            return [float(p) for p in np.asarray(self.probabilities(self.params, rows)).reshape(-1)]
        B = self.job.batch
        return [float(self.cost(self.params, self.x[:B], self.t[:B]))]

    def versions(self) -> dict[str, str]:
        return {"jax": jax.__version__, "jaxlib": jax.lib.__version__}

    def epoch(self, order: np.ndarray) -> None:
        """One step for each batch of rows, in this order."""
        params = self.params
        if "NumPy" in self.form:
            for batch in order.reshape(-1, self.job.batch):
                params = self.step(params, self.x[batch], self.t[batch])
        else:
            x, t = self.on_device
            for batch in order.astype(np.int32).reshape(-1, self.job.batch):
                params = self.step_of_rows(params, x, t, batch)
        self.params = jax.block_until_ready(params)
