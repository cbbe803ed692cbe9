"""The verbs as CUDA kernels: what NumPy does in several passes, a device does in one.

A kernel takes arrays of float32 or float64 that lie one element behind the other; for any others, and for what has no
kernel, the verbs are those of `DeviceOps`, which mean the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from tinynn.backend.base import Array
from tinynn.backend.device_ops import DeviceOps
from tinynn.backend.normal_verbs import FAR, SIXTEENTHS, TAIL
from tinynn.backend.random_verbs import GOLDEN
from tinynn.backend.update_verbs import acts
from tinynn.backend.window_verbs import Taps
from tinynn.cuda import cross_entropy, elementwise, pixels, rows, softmax, sums, turns, uniform, updates, windows
from tinynn.cuda.kernels import Kernels

__all__ = ["CudaOps"]


class CudaOps(DeviceOps):
    """The verbs of `Ops` with `xp` CuPy, or a module that stands in for it and compiles CUDA as CuPy does."""

    @cached_property
    def kernels(self) -> Kernels:
        """The compiled kernels."""
        return Kernels(self.xp)

    # --- rows

    def take(self, x: Array, rows: Array, out: Array) -> Array:
        where = self.xp.asarray(rows)
        return out if gathered(self.kernels, x, where, out) else super().take(x, where, out)

    def look_up(self, x: Array, rows: Array, out: Array) -> Array:
        return out if gathered(self.kernels, x, rows, out) else super().look_up(x, rows, out)

    def look_up_backward(self, dy: Array, rows: Array, out: Array) -> Array:
        return out if scattered(self.kernels, dy, rows, out) else super().look_up_backward(dy, rows, out)

    def take_turns(self, xs: Sequence[Array], order: Array, turn: Array, outs: Sequence[Array]) -> None:
        left = turns.gather(self.kernels, xs, order, turn, outs)
        super().take_turns([xs[i] for i in left], order, turn, [outs[i] for i in left])

    def tally(self, loss: Array, scores: Array, labels: Array | None, sums: Array, counts: Array) -> None:
        if not turns.add_up(self.kernels, loss, scores, labels, sums, counts):
            super().tally(loss, scores, labels, sums, counts)

    # --- activations

    def relu(self, x: Array, out: Array) -> Array:
        return out if elementwise.each(self.kernels, "relu", x, out) else super().relu(x, out)

    def relu_backward(self, dy: Array, y: Array, out: Array) -> Array:
        done = elementwise.each(self.kernels, "relu_backward", dy, y, out)
        return out if done else super().relu_backward(dy, y, out)

    def sigmoid(self, x: Array, out: Array, work: Array) -> Array:
        return out if elementwise.each(self.kernels, "sigmoid", x, out) else super().sigmoid(x, out, work)

    def sigmoid_backward(self, dy: Array, y: Array, out: Array) -> Array:
        done = elementwise.each(self.kernels, "sigmoid_backward", dy, y, out)
        return out if done else super().sigmoid_backward(dy, y, out)

    def tanh_backward(self, dy: Array, y: Array, out: Array) -> Array:
        done = elementwise.each(self.kernels, "tanh_backward", dy, y, out)
        return out if done else super().tanh_backward(dy, y, out)

    def normal_cdf(self, x: Array, out: Array) -> Array:
        done = elementwise.normal(self.kernels, "normal_cdf", TAIL, SIXTEENTHS, FAR, x, out)
        return out if done else super().normal_cdf(x, out)

    def normal_pdf(self, x: Array, out: Array) -> Array:
        done = elementwise.normal(self.kernels, "normal_pdf", TAIL, SIXTEENTHS, FAR, x, out)
        return out if done else super().normal_pdf(x, out)

    # --- random numbers

    def uniform(self, stream: Array, out: Array, bits: Array, first: int = 0) -> Array:
        done = uniform.uniform(self.kernels, GOLDEN, stream, out, first)
        return out if done else super().uniform(stream, out, bits, first)

    # --- softmax

    def softmax(self, x: Array, out: Array, work: Array) -> Array:
        return out if softmax.rows(self.kernels, "softmax", x, out, work) else super().softmax(x, out, work)

    def softmax_backward(self, dy: Array, y: Array, out: Array) -> Array:
        done = softmax.rows_backward(self.kernels, "softmax_backward", dy, y, out)
        return out if done else super().softmax_backward(dy, y, out)

    def log_softmax(self, x: Array, out: Array, work: Array) -> Array:
        return out if softmax.rows(self.kernels, "log_softmax", x, out, work) else super().log_softmax(x, out, work)

    def log_softmax_backward(self, dy: Array, y: Array, out: Array) -> Array:
        done = softmax.rows_backward(self.kernels, "log_softmax_backward", dy, y, out)
        return out if done else super().log_softmax_backward(dy, y, out)

    def softmax_cross_entropy(self, scores: Array, targets: Array, p: Array, out: Array) -> Array:
        done = cross_entropy.loss(self.kernels, scores, targets, p, out)
        return out if done else super().softmax_cross_entropy(scores, targets, p, out)

    def softmax_cross_entropy_backward(self, p: Array, targets: Array, scale: Any, out: Array) -> Array:
        done = cross_entropy.gradient(self.kernels, p, targets, scale, out)
        return out if done else super().softmax_cross_entropy_backward(p, targets, scale, out)

    def row_maxima(self, x: Array) -> Array:
        return x.max(axis=-1, keepdims=True)  # one kernel of CuPy's, where finding the places first takes four

    # --- sums

    def sum_rows(self, x: Array, out: Array) -> Array:
        return out if sums.sum_rows(self.kernels, x, out) else super().sum_rows(x, out)

    # --- updates

    def sgd_update(self, params: Array, grads: Array, lr: float, l2: float, decayed: int, work: Array) -> None:
        args = (lr, l2, edge(l2, decayed))
        if not updates.update(self.kernels, "sgd", (params, grads), args):
            super().sgd_update(params, grads, lr, l2, decayed, work)

    def momentum_update(
        self,
        params: Array,
        grads: Array,
        velocity: Array,
        lr: float,
        momentum: float,
        nesterov: bool,
        l2: float,
        decayed: int,
        work: Array,
    ) -> None:
        args = (lr, momentum, np.int32(nesterov), l2, edge(l2, decayed))
        if not updates.update(self.kernels, "momentum", (params, grads, velocity), args):
            super().momentum_update(params, grads, velocity, lr, momentum, nesterov, l2, decayed, work)

    def adam_update(
        self,
        params: Array,
        grads: Array,
        m: Array,
        v: Array,
        rate: float,
        beta1: float,
        beta2: float,
        eps: float,
        l2: float,
        shrink: float,
        decayed: int,
        work: Array,
    ) -> None:
        args = (rate, (beta1,), (beta2,), eps, l2, edge(l2, decayed), shrink, edge(shrink, decayed))
        if not updates.update(self.kernels, "adam", (params, grads, m, v), args):
            super().adam_update(params, grads, m, v, rate, beta1, beta2, eps, l2, shrink, decayed, work)

    def scaled_update(
        self,
        params: Array,
        grads: Array,
        squares: Array,
        lr: float,
        keep: float,
        add: float,
        eps: float,
        l2: float,
        decayed: int,
        work: Array,
    ) -> None:
        args = (lr, keep, add, eps, l2, edge(l2, decayed))
        if not updates.update(self.kernels, "scaled", (params, grads, squares), args):
            super().scaled_update(params, grads, squares, lr, keep, add, eps, l2, decayed, work)

    # --- windows

    def unfold(self, x: Array, taps: Sequence[slice], out: Array) -> Array:
        return out if windows.unfold(self.kernels, x, taps, out) else super().unfold(x, taps, out)

    def fold(self, dy: Array, taps: Sequence[slice], out: Array) -> Array:
        return out if windows.fold(self.kernels, dy, taps, out) else super().fold(dy, taps, out)

    def max_window(self, x: Array, taps: Taps, out: Array) -> Array:
        return out if windows.pool(self.kernels, "max_window", x, taps, out) else super().max_window(x, taps, out)

    def max_window_backward(
        self, dy: Array, y: Array, x: Array, taps: Taps, out: Array, hits: Array, work: Array
    ) -> Array:
        done = windows.pool_backward(self.kernels, "max_window_backward", taps, out, dy, y, x)
        return out if done else super().max_window_backward(dy, y, x, taps, out, hits, work)

    def sum_window(self, x: Array, taps: Taps, out: Array) -> Array:
        return out if windows.pool(self.kernels, "sum_window", x, taps, out) else super().sum_window(x, taps, out)

    def sum_window_backward(self, dy: Array, taps: Taps, out: Array) -> Array:
        done = windows.pool_backward(self.kernels, "sum_window_backward", taps, out, dy)
        return out if done else super().sum_window_backward(dy, taps, out)

    def max_pixel(self, x: Array, out: Array, first: Array) -> Array:
        return out if pixels.max_pixel(self.kernels, x, out, first) else super().max_pixel(x, out, first)

    def max_pixel_backward(self, dy: Array, first: Array, out: Array) -> Array:
        done = pixels.max_pixel_backward(self.kernels, dy, first, out)
        return out if done else super().max_pixel_backward(dy, first, out)


gathered, scattered = rows.gather, rows.scatter_sums  # `rows` is a parameter of the verbs


def edge(decay: Any, decayed: int) -> np.int64:
    """Up to where the decay acts."""
    return np.int64(decayed if acts(decay) else 0)
