"""What a backend is: an array module `xp` and a dozen verbs, each with its contract and its reference in terms of `xp`.

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
    """The verbs in terms of `xp`. A backend overrides those that its device does better, never what they mean."""

    name: str
    xp: Any

    def __init__(self) -> None:
        self._scalars: dict[tuple[float, Any], Array] = {}

    # --- memory

    @abstractmethod
    def asarray(self, x: Any, dtype: Any = None) -> Array:
        """x on this device, in `dtype` if one is named; no copy where none is needed."""

    @abstractmethod
    def to_host(self, x: Array) -> np.ndarray:
        """x as a NumPy array."""

    @abstractmethod
    def zeros(self, size: int, dtype: Any) -> Array:
        """A flat array of zeros whose first element begins a cache line."""

    @abstractmethod
    def take(self, x: Array, rows: Array, out: Array) -> Array:
        """out = x[rows]: gathers a batch. `rows` must lie within x; the caller has made sure."""

    def scalar(self, value: float, dtype: Any) -> Array:
        """`value` as an array without axes: a ufunc takes one of its own dtype in half the time of a Python number."""
        found = self._scalars.get((value, dtype))
        if found is None:
            found = self._scalars[value, dtype] = self.xp.asarray(value, dtype)
        return found

    # --- matrix products

    def matmul(self, a: Array, b: Array, out: Array) -> Array:
        """out = a @ b, all of them of one float dtype and two axes."""
        return self.xp.matmul(a, b, out=out)

    def affine(self, x: Array, W: Array, b: Array, out: Array) -> Array:
        """out = x @ W + b. Shapes: x (N, D), W (D, M), b (M,), out (N, M)."""
        self.matmul(x, W, out=out)
        return self.xp.add(out, b, out=out)

    # --- activations and their derivatives, element by element; of one shape throughout

    def relu_backward(self, dy: Array, y: Array, out: Array) -> Array:
        """out = dy where y > 0, else 0."""
        xp = self.xp
        # The mask is written as 0.0 and 1.0: one pass fewer than a boolean array, and no branch as in copyto(where=).
        xp.greater(y, self.scalar(0, y.dtype), out=out, casting="unsafe")
        return xp.multiply(out, dy, out=out)

    def sigmoid(self, x: Array, out: Array, work: Array) -> Array:
        """out = 1 / (1 + exp(-x)), right to a few ulp for every finite x. `work` is overwritten."""
        xp = self.xp
        # e / (1 + e) with e = exp(x) keeps the digits that 1 / (1 + exp(-x)) loses to overflow at x < -88.
        # From x = 40 on the quotient is 1 in float64 too, so larger x need not reach exp.
        xp.minimum(x, self.scalar(40, x.dtype), out=out)
        xp.exp(out, out=out)
        xp.add(out, self.scalar(1, x.dtype), out=work)
        return xp.divide(out, work, out=out)

    def sigmoid_backward(self, dy: Array, y: Array, out: Array) -> Array:
        """out = dy * y * (1 - y)."""
        xp = self.xp
        xp.subtract(self.scalar(1, y.dtype), y, out=out)
        xp.multiply(out, y, out=out)
        return xp.multiply(out, dy, out=out)

    def tanh_backward(self, dy: Array, y: Array, out: Array) -> Array:
        """out = dy * (1 - y**2)."""
        xp = self.xp
        xp.multiply(y, y, out=out)
        xp.subtract(self.scalar(1, y.dtype), out, out=out)
        return xp.multiply(out, dy, out=out)

    # --- softmax and its loss, along the last axis; shapes: x, scores, p, out (N, C)

    def softmax(self, x: Array, out: Array, work: Array) -> Array:
        """out = exp(x) / sum(exp(x)), right to a few ulp. `work` is float64 and overwritten."""
        xp = self.xp
        # In float64, because a rounding of x - max by half an ulp is an error of |x - max| / 2 ulp in its exponential.
        xp.subtract(x, x.max(axis=-1, keepdims=True), out=work, dtype=work.dtype)
        xp.exp(work, out=work)
        return xp.divide(work, work.sum(axis=-1, keepdims=True), out=out)

    def softmax_backward(self, dy: Array, y: Array, out: Array) -> Array:
        """out = y * (dy - sum(dy * y))."""
        xp = self.xp
        xp.multiply(dy, y, out=out)
        xp.subtract(dy, out.sum(axis=-1, keepdims=True), out=out)
        return xp.multiply(out, y, out=out)

    def softmax_cross_entropy(self, scores: Array, targets: Array, p: Array) -> Array:
        """The mean over the rows of -sum(t * log(softmax(scores))), a float64 scalar; p (float64) becomes the softmax.

        Targets are labels (N,), integers, or probability rows (N, C).
        Errors: IndexError for a label outside 0..C-1 where the device notices it.
        """
        xp = self.xp
        # With z = x - max, log(sum(exp(z))) = log1p(rest), rest being the sum without the largest term, which is 1.
        # So a loss of 1e-20 comes out as 1e-20, where log(1 + 1e-20) would be 0.
        rows = xp.arange(len(scores))
        top = scores.argmax(axis=1)
        z = xp.subtract(scores, scores[rows, top][:, None], out=p, dtype=p.dtype)
        if targets.ndim == 1:
            # A negative label would count from the end. As uint32 it is out of range; uintp would wrap back to it.
            score, weight = z[rows, targets.astype(xp.uint32)], 1.0
        else:
            score, weight = xp.einsum("nc,nc->n", targets, z), targets.sum(axis=1, dtype=p.dtype)
        xp.exp(z, out=p)
        p[rows, top] = 0
        rest = p.sum(axis=1)
        p[rows, top] = 1
        xp.divide(p, (1 + rest)[:, None], out=p)
        return (weight * xp.log1p(rest) - score).mean()

    def softmax_cross_entropy_backward(self, p: Array, targets: Array, scale: Any, out: Array) -> Array:
        """out = scale * (p * sum(t) - t): the gradient of the above for scale = dy / N. `p` is left as it was."""
        xp = self.xp
        # A row of the gradient sums to 0, so its element at the largest p is minus the sum of the others. Taken from
        # p itself it would be 1 - p, and of a p within 1e-12 of 1 that leaves four digits even in float64.
        if targets.ndim == 1:
            at = xp.arange(len(p)), targets
            xp.multiply(p, scale, out=out)
            out[at] = 0
            out[at] = -out.sum(axis=1)
            return out
        gradient = p * targets.sum(axis=1, dtype=p.dtype, keepdims=True)
        xp.subtract(gradient, targets, out=gradient)
        at = xp.arange(len(p)), p.argmax(axis=1)
        gradient[at] = 0
        gradient[at] = -gradient.sum(axis=1)
        return xp.multiply(gradient, scale, out=out)

    # --- the step

    def sgd_update(self, params: Array, grads: Array, lr: float, l2: float, decayed: int, work: Array) -> None:
        """params -= lr * (grads + l2 * params), in place, the l2 term in the first `decayed` elements only.

        All are flat. `work` is overwritten; its length is the length of the blocks in which the update may be done.
        """
        xp = self.xp
        for start in range(0, params.size, work.size):
            p, g = params[start : start + work.size], grads[start : start + work.size]
            update, d = work[: p.size], min(max(decayed - start, 0), p.size) if l2 else 0
            # Not p *= 1 - lr * l2, which saves a pass: in float32 that factor keeps one or two digits of lr * l2.
            if d:
                decay = xp.multiply(p[:d], l2, out=update[:d])
                xp.add(decay, g[:d], out=decay)
                xp.multiply(decay, lr, out=decay)
            if d < p.size:
                xp.multiply(g[d:], lr, out=update[d:])
            xp.subtract(p, update, out=p)
