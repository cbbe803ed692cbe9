"""Looking up: Embedding. ONNX looks up along any axis, and not only vectors."""

from __future__ import annotations

import math

import numpy as np

from onnx_cases.running import dtype_for, infer
from tinynn import Embedding

__all__ = ["OPERATORS"]


def gather(data: np.ndarray, indices: np.ndarray, *, axis: int = 0) -> np.ndarray:
    W = np.moveaxis(data, axis, 0)
    V, *inner = W.shape
    D = math.prod(inner)
    y = infer(Embedding(V, D, W=W.reshape(V, D)), indices, dtype=dtype_for(data)).reshape(*indices.shape, *inner)
    k = indices.ndim
    return np.moveaxis(y, range(k), range(axis, axis + k))


OPERATORS = {"Gather": gather}
