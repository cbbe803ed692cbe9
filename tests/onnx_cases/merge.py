"""Several inputs: Add, Multiply, Concat. ONNX broadcasts, tinynn does not: the inputs come broadcast."""

from __future__ import annotations

import numpy as np

from onnx_cases.running import infer
from tinynn import Add, Concat, Multiply

__all__ = ["OPERATORS"]


# Opset 6 had to be told to broadcast, and from which axis on; all its cases mean what NumPy does anyway.


def add(a: np.ndarray, b: np.ndarray, *, broadcast: int = 1, axis: int = 0) -> np.ndarray:
    return infer(Add(), *batched(*np.broadcast_arrays(a, b)))[0]


def multiply(a: np.ndarray, b: np.ndarray, *, broadcast: int = 1, axis: int = 0) -> np.ndarray:
    return infer(Multiply(), *batched(*np.broadcast_arrays(a, b)))[0]


def add_all(*xs: np.ndarray) -> np.ndarray:
    return infer(Add(), *batched(*np.broadcast_arrays(*xs)))[0]


def concat(*xs: np.ndarray, axis: int) -> np.ndarray:
    return infer(Concat(axis), *batched(*xs))[0]


def batched(*xs: np.ndarray) -> list[np.ndarray]:
    """With a batch axis in front: ONNX's own first axis need not be one."""
    return [x[None] for x in xs]


OPERATORS = {"Add": add, "Concat": concat, "Mul": multiply, "Sum": add_all}
