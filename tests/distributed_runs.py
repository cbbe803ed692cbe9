"""Runs of training on several ranks, for tests: `mpiexec -n 2 python -m mpi4py tests/distributed_runs.py same`."""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from tinynn import SGD, Affine, BatchNorm, Dropout, History, Layer, ReLU, Sequential, SoftmaxCrossEntropy, fit
from tinynn.distributed import Ranks
from tinynn.training import replicas

ROWS, BATCH = 203, 32  # the last batch has 11 rows: with 4 ranks one of them has 8, one 3, and two have none
STEPS = 301  # in 43 epochs


def data(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, 20)).astype(dtype)
    return x, (x @ rng.standard_normal((20, 5))).argmax(axis=1)


def network(dtype: str, *more: Layer) -> Sequential:
    layers = (Affine(30), Dropout(0.3), *more, ReLU(), Affine(5), SoftmaxCrossEntropy())
    return Sequential(*layers).build((20,), dtype=dtype, seed=3)


def trained(net: Sequential, comm: Any, epochs: int, **options: Any) -> History:
    optimizer = SGD(0.05, momentum=0.9, l2=1e-3, clip_norm=5.0)
    rows = data(str(net.dtype))
    return fit(net, optimizer, rows, epochs=epochs, batch_size=BATCH, validation=rows, comm=comm, **options)


def same(ranks: Ranks, backend: str = "numpy") -> None:
    """How far the parameters and the history are from one process's, after 301 steps; replicas compared at each."""
    replicas.COMPARED = 1
    for dtype in ("float64", "float32"):
        together, alone = network(dtype), network(dtype)
        if backend != "numpy":
            together.build((20,), dtype=dtype, seed=3, backend=backend)
        history = trained(together, ranks, 43, progress=False)
        expected = trained(alone, None, 43, progress=False)
        apart = {
            "dtype": dtype,
            "steps": -(-ROWS // BATCH) * len(history),
            "params": float(abs(together.storage.params - alone.storage.params).max()),
            "loss": float(np.abs(np.subtract(history.loss, expected.loss)).max()),
            "validation": float(np.abs(np.subtract(history.validation_loss, expected.validation_loss)).max()),
            "accuracy": float(np.abs(np.subtract(history.accuracy, expected.accuracy)).max()),
            "state": bool(np.array_equal(together.storage.state, alone.storage.state)),
        }
        everybody = ranks.gather(apart)
        if ranks.first:
            print(json.dumps({"ranks": ranks.size, "alike": all(one == apart for one in everybody), **apart}))


def resume(ranks: Ranks, folder: str, out: str, normalised: str) -> None:
    """Four epochs with checkpoints, or what is left of them; rank 0 writes the network and says what it was told."""
    net = network("float64", *([BatchNorm()] if normalised == "normalised" else []))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        options = {"checkpoint": folder, "every": 3, "keep": 100, "resume": True, "progress": False}
        history = trained(net, ranks, 4, **options)
    if ranks.first:
        net.save(out)
        print(json.dumps({"told": [str(one.message) for one in told], "loss": history.loss}))


def interrupted(ranks: Ranks, folder: str) -> None:
    """A run without an end: each rank says its process after the first epoch, and at the end where it stopped."""
    net = network("float64")

    def say(history: History) -> None:
        if len(history) == 1:
            Path(folder, f"pid-{ranks.rank}").write_text(str(os.getpid()))
        time.sleep(0.001)

    history = trained(net, ranks, 10**6, progress=False, checkpoint=Path(folder, "kept"), callbacks=[say])
    everybody = ranks.gather([history.stopped, len(history), net.storage.params.tobytes().hex()])
    if ranks.first:
        print(json.dumps({"alike": all(one == everybody[0] for one in everybody), "stopped": history.stopped}))


if __name__ == "__main__":
    with Ranks(timeout=60) as all_of_them:
        {"same": same, "resume": resume, "interrupted": interrupted}[sys.argv[1]](all_of_them, *sys.argv[2:])
