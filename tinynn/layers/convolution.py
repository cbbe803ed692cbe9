"""The convolution of images."""

from __future__ import annotations

import math

from tinynn.backend import Array
from tinynn.checks import positive_integer
from tinynn.errors import ConfigurationError
from tinynn.init import Init, he, zeros
from tinynn.layer import Layer, Shape
from tinynn.layers.shape import reshaped
from tinynn.layers.window import Axis, Padding, Pair, Window, as_images, in_rows

__all__ = ["Conv2D"]


class Conv2D(Layer):
    """y[n, f, p, q] = b[f] + sum over c, i, j of W[f, c, i, j] x[n, c, stride p + dilation i, stride q + dilation j].

    Shapes:   x (N, C, H, W), zeros around it where padded; W (F, C / groups, kh, kw); b (F,); y (N, F, H', W') with
              H' = (H + padding - dilation (kh - 1) - 1) // stride + 1, W' alike. Sizes are a number, or a pair
              (vertical, horizontal); padding may be ((top, bottom), (left, right)), or "same" for H' = H / stride
              rounded up. With groups, f sees the channels of its own group alone.
    Backward: dW[f, c, i, j] = sum over n, p, q of dy[n, f, p, q] x[n, c, stride p + dilation i, ...]; db = sum of dy;
              dx[n, c, h, w] = sum of dy[n, f, p, q] W[f, c, i, j] over all places that read x[n, c, h, w].
    Init:     W by He's rule with fan-in C / groups kh kw, b zero. L2 acts on W, not on b.
    Errors:   ConfigurationError for sizes that cannot be, an input that is no image or smaller than the window, and
              groups that do not divide C and F.
    Source:   LeCun, Bottou, Bengio, Haffner, "Gradient-Based Learning Applied to Document Recognition", 1998; the
              order of the work after Chellapilla, Puri, Simard, "High Performance Convolutional Neural Networks for
              Document Processing", 2006.
    """

    straight = True

    def __init__(
        self,
        F: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Padding = 0,
        dilation: Pair = 1,
        groups: int = 1,
        W: Init | Array = he,
        b: Init | Array = zeros,
    ) -> None:
        self.F = positive_integer(F, "the number of filters F", where="Conv2D", fix="Conv2D(16, 3)")
        self.window = Window("Conv2D", kernel_size, stride, padding, dilation)
        self.groups = positive_integer(groups, "groups", where="Conv2D", fix="groups=1")
        self.W_init, self.b_init = W, b

    def build(self, shape: Shape) -> Shape:
        self.rows, self.columns = self.window.fit(self, shape)
        C, G = shape[0], self.groups
        if C % G or self.F % G:
            raise ConfigurationError(
                "the groups of a convolution share out its channels and its filters evenly",
                where=self.where,
                expected=f"numbers of channels and of filters that {G} divides",
                got=f"{C} channels, {self.F} filters",
                fix="groups=1, or groups=C for a filter of each channel's own",
            )
        self.param("W", (self.F, C // G, self.rows.size, self.columns.size), self.W_init)
        self.param("b", (self.F,), self.b_init, decay=False)
        self.readers = [readers(self.rows, h) for h in range(self.rows.length)]
        return (self.F, self.rows.outputs, self.columns.outputs)

    # A row of outputs y[p] is one matrix product. The rows of x are unfolded along the width alone: then the kh rows
    # that y[p] reads, one after the other in memory, are the columns of its matrix, with nothing copied for the height.

    def forward(self, x: Array) -> tuple[Array, Array]:
        xp, G, (F, C, kh, kw) = self.xp, self.groups, self.W.shape
        x = in_rows(self, "x", x, self.rows, self.columns)
        H, N, P, Q = len(x), x.shape[3], self.rows.outputs, self.columns.outputs
        u = self.ops.unfold(x, self.columns.taps, out=self.empty("u", (H, G * C, kw, Q, N)))
        u = self.ops.stacked_rows(u.reshape(H, G, C * kw, Q * N), P, kh, self.rows.stride, self.rows.dilation)
        u = reshaped(self, "columns", u.swapaxes(1, 2), (P, G, kh * C * kw, Q * N))  # a copy where dilated or in groups
        W = self.empty("W", (F, kh, C, kw))
        xp.copyto(W, self.W.swapaxes(1, 2))
        W = W.reshape(G, F // G, kh * C * kw)
        y = self.ops.matmul_stack(W, u, out=self.empty("y", (P, G, F // G, Q * N))).reshape(P, F, Q, N)
        xp.add(y, self.b[:, None, None], out=y)
        return as_images(y), u

    def backward(self, dy: Array, u: Array) -> Array | None:
        xp, G, (F, C, kh, kw) = self.xp, self.groups, self.W.shape
        N, P, Q = len(dy), self.rows.outputs, self.columns.outputs
        dy = in_rows(self, "dy", dy).reshape(P, G, F // G, Q * N)
        dWs = self.ops.matmul_stack(dy, u.swapaxes(2, 3), out=self.empty("dWs", (P, G, F // G, kh * C * kw)))
        dW = self.ops.sum_rows(dWs.reshape(P, -1), out=self.empty("dW", (F * kh * C * kw,)))
        xp.copyto(self.dW, dW.reshape(F, kh, C, kw).swapaxes(1, 2))
        dbs = self.ops.sum_rows(dy.reshape(P, -1), out=self.empty("dbs", (F * Q * N,)))
        xp.sum(dbs.reshape(F, Q * N), axis=1, out=self.db)  # rows first: a third of the time of both at once
        if not self.needs_dx:
            return None

        # The kernel's rows last to first: so they meet the rows of dy that read row h of x, first to last.
        W = self.empty("W last to first", (G, kh, F // G, C, kw))
        xp.copyto(W, self.W[:, :, ::-1].reshape(G, F // G, C, kh, kw).transpose(0, 3, 1, 2, 4))
        W = W.reshape(G, kh, F // G, C * kw)
        H = self.rows.length
        du = self.empty("du", (H, G, C * kw, Q * N))
        for h, (kernel_rows, outputs) in enumerate(self.readers):
            w, d = W[:, kernel_rows], dy[outputs].swapaxes(0, 1)
            K = w.shape[1] * w.shape[2]
            w, d = reshaped(self, "w", w, (G, K, C * kw)), reshaped(self, "d", d, (G, K, Q * N))  # copies where strided
            self.ops.matmul_stack(w.swapaxes(1, 2), d, out=du[h])
        dx = self.empty("dx", (H, G * C, self.columns.padded, N))
        self.ops.fold(du.reshape(H, G * C, kw, Q, N), self.columns.taps, out=dx)
        return as_images(dx[:, :, self.columns.inside])


def readers(rows: Axis, h: int) -> tuple[slice, slice]:
    """With which rows of the kernel, counted from its last, row h of the image is read, and for which outputs."""
    at = h + rows.before
    first = max(-(-(at - (rows.size - 1) * rows.dilation) // rows.stride), 0)
    last = min(at // rows.stride, rows.outputs - 1)
    places = [p for p in range(first, last + 1) if (at - p * rows.stride) % rows.dilation == 0]
    if not places:
        return slice(0), slice(0)
    first, last = (rows.size - 1 - (at - p * rows.stride) // rows.dilation for p in (places[0], places[-1]))
    step = math.gcd(rows.stride, rows.dilation)
    return (
        slice(first, last + 1, rows.stride // step),
        slice(places[0], places[-1] + 1, rows.dilation // step),
    )
