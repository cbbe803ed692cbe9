"""tinynn on a GPU by its public interface: `fit` with captured steps, or with `capture=False`.

`fit` brings all rows to the device at its start, captures, and then makes its epochs. So of captured steps the time is
that of the loop, which waits for the device, by the history of the epochs after the first; of an epoch, and of eager
steps, what one more epoch adds to the whole call. "copied" adds the copy of all rows to the device, as if each epoch
made it.
"""

from __future__ import annotations

import math
import time
import warnings
from importlib import metadata
from statistics import median
from typing import Any

import numpy as np

import tinynn
from benchmarks.contenders import tinynn_fit
from benchmarks.contenders.gpu import Form
from benchmarks.jobs import Job
from benchmarks.material import Material
from tinynn import SGD, History, Sequential, fit

__all__ = ["Contender"]

FIRST, MOST = 3, 300  # epochs of one run
SECONDS = 0.15  # that a run should take, for the clock and the host to weigh little
LONG = 0.5  # seconds of an eager epoch beside which what a call does once is nothing


class Contender(tinynn_fit.Contender):
    """`form`: a `Form`, whose extra word is "captured" or "eager".

    Errors: a warning that a step cannot be captured is one; and whatever the backend says where there is no GPU.
    """

    backend: Any = "cupy"

    def __init__(self, job: Job, what: Material, form: str) -> None:
        words = Form.of(form)
        self.job, self.x, self.labels = job, what.x, what.labels
        self.capture, self.copied = words.extra == "captured", words.copied
        net = Sequential(*tinynn_fit.layers(job, what.params))
        self.net = net.build(job.inputs, backend=self.backend, dtype="float32", precision=words.precision)
        self.sgd = SGD(job.lr)
        self.start = self.net.storage.params.copy()
        self.passes: dict[int, int] = {}
        self.seconds: float | None = None

    def run(self, seed: int, steps: int) -> None:
        rows = steps * self.job.batch
        data = self.x[:rows], self.labels[:rows]
        passes = self.passes.get(steps, FIRST)
        if self.capture and self.job.kind == "step":
            history, _ = self.timed(data, seed, 1 + passes)
            each = median(history.seconds[1:])
        else:
            _, once = self.timed(data, seed, 1)
            each = once
            if self.capture or once < LONG:
                _, more = self.timed(data, seed, 1 + passes)
                each = (more - once) / passes if more > once else more / (1 + passes)
        self.passes[steps] = min(math.ceil(SECONDS / each), MOST)
        self.seconds = each + (self.copying(data) if self.copied else 0.0)

    def versions(self) -> dict[str, str]:
        found = {"tinynn": tinynn.__version__, "numpy": np.__version__}
        names = (name for one in metadata.distributions() if (name := one.metadata["Name"]).startswith("cupy"))
        return found | {name: metadata.version(name) for name in names}

    def timed(self, data: tuple[np.ndarray, np.ndarray], seed: int, epochs: int) -> tuple[History, float]:
        """A call of `fit` from the first weights, and its seconds."""
        self.reset()
        self.wait()
        started = time.perf_counter()
        history = self.fitted(data, seed, epochs)
        self.wait()
        return history, time.perf_counter() - started

    def copying(self, data: tuple[np.ndarray, np.ndarray]) -> float:
        """Seconds that it takes to bring the rows to the device."""
        self.wait()
        started = time.perf_counter()
        there = [self.net.ops.asarray(part) for part in data]
        self.wait()
        del there
        return time.perf_counter() - started

    def wait(self) -> None:
        """Until the device has done what it was asked."""
        self.net.xp.cuda.get_current_stream().synchronize()

    def fitted(self, data: Any, seed: int, epochs: int) -> History:
        """As a user calls it."""
        with warnings.catch_warnings():
            # Without a graph it would not be what is measured here.
            warnings.simplefilter("error", RuntimeWarning)
            options: Any = {"epochs": epochs, "batch_size": self.job.batch, "seed": seed, "progress": False}
            return fit(self.net, self.sgd, data, capture=self.capture, **options)

    def _fit(self, x: np.ndarray, labels: np.ndarray, seed: int) -> float:
        return self.fitted((x, labels), seed, 1).seconds[0]
