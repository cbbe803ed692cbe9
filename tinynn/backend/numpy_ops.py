"""NumPy: the reference for every verb; the contracts stand in `base`."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.backend.base import Ops

__all__ = ["NumpyOps"]


class NumpyOps(Ops):
    """Arrays in the host's memory, matrix products in the BLAS that NumPy was built with."""

    name = "numpy"
    xp = np

    def asarray(self, x: Any, dtype: Any = None) -> np.ndarray:
        return np.asarray(x, dtype=dtype)

    def to_host(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(x)

    def take(self, x: np.ndarray, rows: np.ndarray, out: np.ndarray) -> np.ndarray:
        # With mode="raise" NumPy gathers into a buffer of its own first; the caller has checked the rows.
        return x.take(rows, axis=0, out=out, mode="clip")

    def matmul(self, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> np.ndarray:
        return np.matmul(a, b, out=out)

    def affine(self, x: np.ndarray, W: np.ndarray, b: np.ndarray, out: np.ndarray) -> np.ndarray:
        np.matmul(x, W, out=out)
        return np.add(out, b, out=out)

    def relu_backward(self, dy: np.ndarray, y: np.ndarray, out: np.ndarray) -> np.ndarray:
        # The mask is written as 0.0 and 1.0: one pass fewer than a boolean array, and no branch as in copyto(where=).
        np.greater(y, 0, out=out, casting="unsafe")
        return np.multiply(out, dy, out=out)

    def sigmoid(self, x: np.ndarray, out: np.ndarray, work: np.ndarray) -> np.ndarray:
        # e / (1 + e) with e = exp(x) keeps the digits that 1 / (1 + exp(-x)) loses to overflow at x < -88.
        # From x = 40 on the quotient is 1 in float64 too, so larger x need not reach exp.
        np.minimum(x, 40, out=out)
        np.exp(out, out=out)
        np.add(out, 1, out=work)
        return np.divide(out, work, out=out)

    def sigmoid_backward(self, dy: np.ndarray, y: np.ndarray, out: np.ndarray) -> np.ndarray:
        np.subtract(1, y, out=out)
        np.multiply(out, y, out=out)
        return np.multiply(out, dy, out=out)

    def tanh_backward(self, dy: np.ndarray, y: np.ndarray, out: np.ndarray) -> np.ndarray:
        np.multiply(y, y, out=out)
        np.subtract(1, out, out=out)
        return np.multiply(out, dy, out=out)

    def softmax(self, x: np.ndarray, out: np.ndarray, work: np.ndarray) -> np.ndarray:
        # In float64, because a rounding of x - max by half an ulp is an error of |x - max| / 2 ulp in its exponential.
        np.subtract(x, x.max(axis=-1, keepdims=True), out=work, dtype=work.dtype)
        np.exp(work, out=work)
        return np.divide(work, work.sum(axis=-1, keepdims=True), out=out)

    def softmax_backward(self, dy: np.ndarray, y: np.ndarray, out: np.ndarray) -> np.ndarray:
        np.multiply(dy, y, out=out)
        np.subtract(dy, out.sum(axis=-1, keepdims=True), out=out)
        return np.multiply(out, y, out=out)

    def softmax_cross_entropy(self, scores: np.ndarray, targets: np.ndarray, p: np.ndarray) -> np.float64:
        # With z = x - max, log(sum(exp(z))) = log1p(rest), rest being the sum without the largest term, which is 1.
        # So a loss of 1e-20 comes out as 1e-20, where log(1 + 1e-20) would be 0.
        rows = np.arange(len(scores))
        top = scores.argmax(axis=1)
        z = np.subtract(scores, scores[rows, top][:, None], out=p, dtype=p.dtype)
        if targets.ndim == 1:
            # A negative label would count from the end; as an unsigned number it is out of range and raises.
            score, weight = z[rows, targets.astype(np.uintp)], 1.0
        else:
            score, weight = np.einsum("nc,nc->n", targets, z), targets.sum(axis=1)
        np.exp(z, out=p)
        p[rows, top] = 0
        rest = p.sum(axis=1)
        p[rows, top] = 1
        np.divide(p, (1 + rest)[:, None], out=p)
        return (weight * np.log1p(rest) - score).mean()

    def softmax_cross_entropy_backward(
        self, p: np.ndarray, targets: np.ndarray, scale: Any, out: np.ndarray
    ) -> np.ndarray:
        if targets.ndim == 1:
            rows = np.arange(len(p))
            np.multiply(p, scale, out=out)
            # p - 1 while still in float64: of a p near 1, float32 would leave nothing.
            out[rows, targets] = (p[rows, targets] - 1) * scale
            return out
        gradient = p * targets.sum(axis=1, keepdims=True)
        np.subtract(gradient, targets, out=gradient)
        return np.multiply(gradient, scale, out=out)

    def add_at_labels(self, x: np.ndarray, labels: np.ndarray, value: float) -> np.ndarray:
        x[np.arange(len(x)), labels.astype(np.uintp)] += value
        return x

    def sgd_update(
        self, params: np.ndarray, grads: np.ndarray, lr: float, l2: float, decayed: int, work: np.ndarray
    ) -> None:
        for start in range(0, params.size, work.size):
            p, g = params[start : start + work.size], grads[start : start + work.size]
            if l2 and start < decayed:
                shrunk = p[: decayed - start]
                np.multiply(shrunk, 1 - lr * l2, out=shrunk)
            update = np.multiply(g, lr, out=work[: p.size])
            np.subtract(p, update, out=p)
