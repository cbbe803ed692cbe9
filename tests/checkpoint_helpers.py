"""A run with all that a step can change, and how two of them are compared."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from tinynn import (
    SGD,
    Affine,
    BatchNorm,
    Dropout,
    History,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    cosine,
    fit,
)

RNG = np.random.default_rng(3)
X = RNG.standard_normal((67, 5)).astype(np.float32)
T = RNG.integers(0, 3, 67)
SCHEDULE = cosine(0.1, steps=200)
EPOCHS, BATCH = 20, 7  # ten steps an epoch, the last of four rows


def network(backend: Any = "numpy", dtype: str = "float32") -> Sequential:
    layers = Affine(8), BatchNorm(), ReLU(), Dropout(0.3), Affine(3), SoftmaxCrossEntropy()
    return Sequential(*layers).build((5,), backend=backend, dtype=dtype, seed=1)


def optimizer() -> SGD:
    return SGD(SCHEDULE, l2=1e-3, momentum=0.9)


def trained(net: Any, by: Any = None, data: Any = (X, T), **options: Any) -> History:
    given: dict[str, Any] = {"epochs": EPOCHS, "batch_size": BATCH, "seed": 5, "progress": False}
    return fit(net, optimizer() if by is None else by, data, **(given | options))


def outcome(net: Any, history: History) -> str:
    """What a run has come to, in one line: parameters, states, and the log of losses but not of seconds."""
    sha = hashlib.sha256()
    for array in net.storage.arrays().values():
        sha.update(array.tobytes())
    for name in ("loss", "accuracy", "validation_loss", "validation_accuracy"):
        sha.update(np.array(getattr(history, name)).tobytes())
    return f"{sha.hexdigest()} {len(history)} {history.stopped}"


def checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.npz"))
