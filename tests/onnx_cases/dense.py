"""Matrix products: Affine."""

from __future__ import annotations

import numpy as np

from onnx_cases.running import infer
from tinynn import Affine

__all__ = ["OPERATORS"]


def gemm(
    a: np.ndarray,
    b: np.ndarray,
    c: np.ndarray | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
    broadcast: int = 1,  # opset 6 had to be told what later is always done
) -> np.ndarray:
    x = a.T if transA else a
    W = alpha * (b.T if transB else b)
    biases = np.zeros((1, W.shape[1]), x.dtype) if c is None else np.atleast_2d(beta * c)
    if len(biases) == 1:
        return affine(x, W, np.broadcast_to(biases[0], W.shape[1:]))
    # A bias for each row: a layer for each row.
    return np.concatenate([affine(row[None], W, bias) for row, bias in zip(x, biases, strict=True)])


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """One matrix after the other, as np.matmul pairs them."""
    x = a[None] if a.ndim == 1 else a
    W = b[:, None] if b.ndim == 1 else b
    stack = np.broadcast_shapes(x.shape[:-2], W.shape[:-2])
    xs = np.broadcast_to(x, stack + x.shape[-2:]).reshape(-1, *x.shape[-2:])
    Ws = np.broadcast_to(W, stack + W.shape[-2:]).reshape(-1, *W.shape[-2:])
    ys = [affine(x_i, W_i, np.zeros(W.shape[-1], W.dtype)) for x_i, W_i in zip(xs, Ws, strict=True)]
    rows, columns = (x.shape[-2],) * (a.ndim > 1), (W.shape[-1],) * (b.ndim > 1)
    return np.stack(ys).reshape(stack + rows + columns)


def affine(x: np.ndarray, W: np.ndarray, b: np.ndarray) -> np.ndarray:
    return infer(Affine(W.shape[1], W=W, b=b), x)


OPERATORS = {"Gemm": gemm, "MatMul": matmul}
