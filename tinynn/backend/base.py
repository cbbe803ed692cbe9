"""The contract of a backend: an array module `xp` and a dozen verbs.

A verb exists for a matrix product (one door to the BLAS), or where a device can fuse what NumPy does in several passes.
What a single ufunc does stays `xp.f(...)` in the layer. Every `out` is an array that the caller owns, is written in
full, and may not overlap an input unless the verb says so; verbs return it. N rows, D inputs, M outputs, C classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

__all__ = ["Array", "Ops"]

Array = Any
"""An array of the backend's own type: `numpy.ndarray` on the CPU."""


class Ops(ABC):
    """The verbs. `NumpyOps` is the reference that every other backend is compared with."""

    name: str
    xp: Any

    # --- memory

    @abstractmethod
    def asarray(self, x: Any, dtype: Any = None) -> Array:
        """X on this device, in `dtype` if one is named; no copy where none is needed."""

    @abstractmethod
    def to_host(self, x: Array) -> np.ndarray:
        """X as a NumPy array."""

    @abstractmethod
    def take(self, x: Array, rows: Array, out: Array) -> Array:
        """Out = x[rows]: gathers a batch. `rows` must lie within x; the caller has made sure."""

    # --- matrix products

    @abstractmethod
    def matmul(self, a: Array, b: Array, out: Array) -> Array:
        """Out = a @ b."""

    @abstractmethod
    def affine(self, x: Array, W: Array, b: Array, out: Array) -> Array:
        """Out = x @ W + b. Shapes: x (N, D), W (D, M), b (M,), out (N, M)."""

    # --- activations and their derivatives, element by element; of one shape throughout

    @abstractmethod
    def relu_backward(self, dy: Array, y: Array, out: Array) -> Array:
        """Out = dy where y > 0, else 0."""

    @abstractmethod
    def sigmoid(self, x: Array, out: Array, work: Array) -> Array:
        """Out = 1 / (1 + exp(-x)), right to a few ulp for every finite x. `work` is overwritten."""

    @abstractmethod
    def sigmoid_backward(self, dy: Array, y: Array, out: Array) -> Array:
        """Out = dy * y * (1 - y)."""

    @abstractmethod
    def tanh_backward(self, dy: Array, y: Array, out: Array) -> Array:
        """Out = dy * (1 - y**2)."""

    # --- softmax and its loss, along the last axis; shapes: x, scores, p, out (N, C)

    @abstractmethod
    def softmax(self, x: Array, out: Array, work: Array) -> Array:
        """Out = exp(x) / sum(exp(x)), right to a few ulp. `work` is float64 and overwritten."""

    @abstractmethod
    def softmax_backward(self, dy: Array, y: Array, out: Array) -> Array:
        """Out = y * (dy - sum(dy * y))."""

    @abstractmethod
    def softmax_cross_entropy(self, scores: Array, targets: Array, p: Array) -> Array:
        """The mean over the rows of -sum(t * log(softmax(scores))), a float64 scalar; p (float64) becomes the softmax.

        Targets are labels (N,), integers, or probability rows (N, C).
        Errors: IndexError for a label outside 0..C-1 where the device notices it.
        """

    @abstractmethod
    def softmax_cross_entropy_backward(self, p: Array, targets: Array, scale: Any, out: Array) -> Array:
        """Out = scale * (p * sum(t) - t): the gradient of the above for scale = dy / N. `p` is left as it was."""

    @abstractmethod
    def add_at_labels(self, x: Array, labels: Array, value: float) -> Array:
        """x[n, labels[n]] += value for every row n, in place. Errors as in `softmax_cross_entropy`."""

    # --- the step

    @abstractmethod
    def sgd_update(self, params: Array, grads: Array, lr: float, l2: float, decayed: int, work: Array) -> None:
        """Params -= lr * (grads + l2 * params), in place, the l2 term in the first `decayed` elements only.

        All are flat. `work` is overwritten; its length is the length of the blocks in which the update may be done.
        """
