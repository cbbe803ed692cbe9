"""The same numbers in another shape. ONNX's first axis is one like the others: all come with a batch axis in front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from onnx_cases.running import infer
from tinynn import Flatten, Identity, Permute, Reshape

__all__ = ["OPERATORS"]


def flatten(x: np.ndarray, *, axis: int = 1) -> np.ndarray:
    """Of all axes before `axis` ONNX makes one too: here they are the batch."""
    axis += x.ndim * (axis < 0)
    return infer(Flatten(), x.reshape(math.prod(x.shape[:axis]), *x.shape[axis:]))


def identity(x: Any) -> np.ndarray:
    assert isinstance(x, np.ndarray), "a sequence or nothing at all"
    return infer(Identity(), x[None])[0]


def reshape(x: np.ndarray, shape: np.ndarray, *, allowzero: int = 0) -> np.ndarray:
    """A 0 stands for the size that the axis has."""
    sizes = [n if n or allowzero else x.shape[i] for i, n in enumerate(shape.tolist())]
    return infer(Reshape(tuple(sizes)), x[None])[0]


# Opsets before 13 had the axes as an attribute.


def squeeze(x: np.ndarray, given: np.ndarray | None = None, *, axes: Sequence[int] = ()) -> np.ndarray:
    out = np.squeeze(x, axis=tuple(axes if given is None else given))
    return infer(Reshape(out.shape), x[None])[0]


def unsqueeze(x: np.ndarray, given: np.ndarray | None = None, *, axes: Sequence[int] = ()) -> np.ndarray:
    out = np.expand_dims(x, axis=tuple(axes if given is None else given))
    return infer(Reshape(out.shape), x[None])[0]


def transpose(x: np.ndarray, *, perm: Sequence[int] = ()) -> np.ndarray:
    return infer(Permute(*(perm or reversed(range(x.ndim)))), x[None])[0]


OPERATORS = {
    "Flatten": flatten,
    "Identity": identity,
    "Reshape": reshape,
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
