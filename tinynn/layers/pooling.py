"""Pooling, which makes images smaller, and upsampling, which makes them larger."""

from __future__ import annotations

import math

from tinynn.backend import Array
from tinynn.errors import ConfigurationError
from tinynn.layer import Layer, Shape
from tinynn.layers.window import Axis, Padding, Pair, Window, as_images, image_shape, in_rows, pair

__all__ = ["AveragePool2D", "GlobalAveragePool", "GlobalMaxPool", "MaxPool2D", "Upsample2D"]


class MaxPool2D(Layer):
    """y[n, c, p, q] = the largest of x[n, c, stride p + dilation i, stride q + dilation j] over the window's i, j.

    Shapes:   x (N, C, H, W), y (N, C, H', W') with H' = (H + padding - dilation (size - 1) - 1) / stride + 1 rounded
              down, or up with `ceil_mode`, and W' alike. Sizes are a number, or a pair (vertical, horizontal); the
              stride is `size` unless given; padding may be ((top, bottom), (left, right)) or "same", and never wins.
    Backward: dx = the sum of dy over the windows in which x is the largest; of several that are equal, the first, row
              by row, gets all of dy.
    Errors:   ConfigurationError for sizes that cannot be, an input that is no image or smaller than the window, and
              for windows that see nothing but padding.
    Source:   Ranzato, Huang, Boureau, LeCun, "Unsupervised Learning of Invariant Feature Hierarchies", 2007.
    """

    straight = True

    def __init__(
        self,
        size: Pair,
        stride: Pair | None = None,
        padding: Padding = 0,
        dilation: Pair = 1,
        ceil_mode: bool = False,
    ) -> None:
        self.window = Window("MaxPool2D", size, size if stride is None else stride, padding, dilation, ceil_mode)

    def build(self, shape: Shape) -> Shape:
        self.rows, self.columns = self.window.fit(self, shape)
        self.taps = taps_in_the_image(self, self.rows, self.columns)
        return (shape[0], self.rows.outputs, self.columns.outputs)

    def forward(self, x: Array) -> tuple[Array, tuple[Array, Array]]:
        x = in_rows(self, "x", x, self.rows, self.columns, fill=-math.inf)
        shape = (self.rows.outputs, x.shape[1], self.columns.outputs, x.shape[3])
        y = self.ops.max_window(x, self.taps, out=self.empty("y", shape))
        return as_images(y), (x, y)

    def backward(self, dy: Array, cache: tuple[Array, Array]) -> Array:
        x, y = cache
        hits, work = self.empty("hits", (2, *y.shape), bool), self.empty("work", y.shape)
        dy, dx = in_rows(self, "dy", dy), self.empty("dx", x.shape)
        self.ops.max_window_backward(dy, y, x, self.taps, dx, hits, work)
        return as_images(dx[self.rows.inside, :, self.columns.inside])


class AveragePool2D(Layer):
    """y[n, c, p, q] = the mean of x[n, c, stride p + dilation i, stride q + dilation j] over the window's i, j.

    Shapes:   as of MaxPool2D. The mean is over the pixels that the window sees of the image; with `count_include_pad`
              the padding's zeros count as well.
    Backward: dx = the sum of dy / count over the windows that see x.
    Errors:   as of MaxPool2D.
    Source:   LeCun, Bottou, Bengio, Haffner, "Gradient-Based Learning Applied to Document Recognition", 1998.
    """

    straight = True

    def __init__(
        self,
        size: Pair,
        stride: Pair | None = None,
        padding: Padding = 0,
        dilation: Pair = 1,
        ceil_mode: bool = False,
        count_include_pad: bool = False,
    ) -> None:
        self.window = Window("AveragePool2D", size, size if stride is None else stride, padding, dilation, ceil_mode)
        self.count_include_pad = count_include_pad

    def build(self, shape: Shape) -> Shape:
        self.rows, self.columns = self.window.fit(self, shape)
        self.taps = taps_in_the_image(self, self.rows, self.columns)
        down, across = (axis.seen(padding=self.count_include_pad) for axis in (self.rows, self.columns))
        share = [[1 / (a * b) for b in across] for a in down]
        self.share = self.xp.asarray(share, self.dtype)[:, None, :, None]
        return (shape[0], self.rows.outputs, self.columns.outputs)

    def forward(self, x: Array) -> tuple[Array, None]:
        x = in_rows(self, "x", x, self.rows, self.columns)
        shape = (self.rows.outputs, x.shape[1], self.columns.outputs, x.shape[3])
        y = self.ops.sum_window(x, self.taps, out=self.empty("y", shape))
        self.xp.multiply(y, self.share, out=y)
        return as_images(y), None

    def backward(self, dy: Array, cache: None) -> Array:
        N, C = dy.shape[:2]
        shares = self.empty("shares", (self.rows.outputs, C, self.columns.outputs, N))
        self.xp.multiply(in_rows(self, "dy", dy), self.share, out=shares)
        dx = self.empty("dx", (self.rows.padded, C, self.columns.padded, N))
        self.ops.sum_window_backward(shares, self.taps, out=dx)
        return as_images(dx[self.rows.inside, :, self.columns.inside])


class GlobalAveragePool(Layer):
    """y[n, c] = the mean of x[n, c, h, w] over all h and w.

    Shapes:   x (N, C, H, W), y (N, C).
    Backward: dx = dy / (H W).
    Errors:   ConfigurationError for an input that is no image.
    Source:   Lin, Chen, Yan, "Network in Network", 2014.
    """

    straight = True

    def build(self, shape: Shape) -> Shape:
        C, H, W = image_shape(self, shape)
        self.share = 1 / (H * W)
        return (C,)

    def forward(self, x: Array) -> tuple[Array, Array]:
        y = self.xp.sum(x, axis=(2, 3), out=self.empty("y", x.shape[:2]))
        return self.xp.multiply(y, self.share, out=y), x

    def backward(self, dy: Array, x: Array) -> Array:
        return self.xp.multiply(dy[:, :, None, None], self.share, out=self.empty_like("dx", x))


class GlobalMaxPool(Layer):
    """y[n, c] = the largest of x[n, c, h, w].

    Shapes:   x (N, C, H, W), y (N, C).
    Backward: dx = dy where x is the largest, else 0; of several that are equal, the first, row by row, gets it.
    Errors:   ConfigurationError for an input that is no image.
    Source:   Oquab, Bottou, Laptev, Sivic, "Is Object Localization for Free?", 2015.
    """

    straight = True

    def build(self, shape: Shape) -> Shape:
        return image_shape(self, shape)[:1]

    def forward(self, x: Array) -> tuple[Array, tuple[Array, Array]]:
        y, first = self.empty("y", x.shape[:2]), self.empty("first", x.shape[:2], self.xp.int64)
        return self.ops.max_pixel(x, y, first), (x, first)

    def backward(self, dy: Array, cache: tuple[Array, Array]) -> Array:
        x, first = cache
        return self.ops.max_pixel_backward(dy, first, out=self.empty_like("dx", x))


class Upsample2D(Layer):
    """y[n, c, h, w] = x[n, c, h // scale, w // scale]: every pixel becomes a block of equal ones.

    Shapes:   x (N, C, H, W), y (N, C, scale H, scale W); `scale` is a number, or a pair (vertical, horizontal).
    Backward: dx = the sum of dy over the block.
    Errors:   ConfigurationError for a scale that is no positive integer, an input that is no image.
    Source:   Odena, Dumoulin, Olah, "Deconvolution and Checkerboard Artifacts", 2016.
    """

    straight = True

    def __init__(self, scale: Pair) -> None:
        self.down, self.across = pair("the scale", scale, "Upsample2D")

    def build(self, shape: Shape) -> Shape:
        C, H, W = image_shape(self, shape)
        return (C, H * self.down, W * self.across)

    def forward(self, x: Array) -> tuple[Array, None]:
        x = in_rows(self, "x", x)
        H, C, W, N = x.shape
        y = self.empty("y", (H, self.down, C, W, self.across, N))
        self.xp.copyto(y, x[:, None, :, :, None])
        return as_images(y.reshape(H * self.down, C, W * self.across, N)), None

    def backward(self, dy: Array, cache: None) -> Array:
        dy = in_rows(self, "dy", dy)
        H, W = dy.shape[0] // self.down, dy.shape[2] // self.across
        blocks = dy.reshape(H, self.down, dy.shape[1], W, self.across, dy.shape[3])
        dx = self.empty("dx", (H, dy.shape[1], W, dy.shape[3]))
        return as_images(self.xp.sum(blocks, axis=(1, 4), out=dx))


def taps_in_the_image(layer: Layer, rows: Axis, columns: Axis) -> list[tuple[slice, slice]]:
    """The places of the window, row by row: what each of them sees.

    Errors: ConfigurationError for a window that sees padding alone, of which there is no largest and no mean.
    """
    if 0 in rows.seen(padding=False) or 0 in columns.seen(padding=False):
        raise ConfigurationError(
            "a window would see nothing but padding",
            where=layer.where,
            expected="padding smaller than the window",
            got=f"{rows.before} rows above, {rows.after} below, {columns.before} columns left, {columns.after} right",
            fix="padding=0, or half the window's size",
        )
    return [(down, across) for down in rows.taps for across in columns.taps]
