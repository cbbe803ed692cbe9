"""Windows that slide over images, and the order in which images lie in memory.

To everybody outside images are (N, C, H, W). In memory the layers of this family keep them "in rows", (H, C, W, N): one
row of the image after the other, the batch innermost. So a window reads long runs of neighbouring numbers, and the rows
under it, which a convolution multiplies its weights with, lie one after the other already.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tinynn.backend import Array
from tinynn.checks import positive_integer, whole_number
from tinynn.errors import ConfigurationError
from tinynn.layer import Layer, Shape

__all__ = ["Axis", "Padding", "Pair", "Window", "as_images", "image_shape", "in_rows", "pair"]

Pair = int | tuple[int, int]
"""One number for both directions, or (vertical, horizontal)."""

Padding = str | int | tuple[Any, Any]
"""A Pair, or ((top, bottom), (left, right)), or "same"."""


class Axis(NamedTuple):
    """A window along one axis of an image: it stops at `outputs` places, and has `size` taps at each."""

    length: int
    size: int
    stride: int
    dilation: int
    before: int
    after: int
    beyond: int
    outputs: int

    @property
    def padded(self) -> int:
        """The length of the image with its padding, and with what the last window sees beyond it."""
        return self.before + self.length + self.after + self.beyond

    @property
    def inside(self) -> slice:
        """Where the image itself is in the padded one."""
        return slice(self.before, self.before + self.length)

    @property
    def taps(self) -> list[slice]:
        """For each tap, what it sees in the padded image at all outputs together."""
        starts = [i * self.dilation for i in range(self.size)]
        return [slice(start, start + (self.outputs - 1) * self.stride + 1, self.stride) for start in starts]

    def seen(self, padding: bool) -> list[int]:
        """For each output, how many taps see the image, or the image and its padding."""
        low, high = (0, self.before + self.length + self.after) if padding else (self.inside.start, self.inside.stop)
        starts = range(0, self.outputs * self.stride, self.stride)
        return [self.before_place(high - start) - self.before_place(low - start) for start in starts]

    def before_place(self, place: int) -> int:
        """How many taps of a window at the beginning come before this place."""
        return min(max(-(-place // self.dilation), 0), self.size)


class Window:
    """The settings of a sliding window; `fit` lays it over images of one shape.

    Errors: ConfigurationError for sizes, strides and dilations that are no positive integers, for paddings below 0.
    """

    def __init__(
        self, where: str, size: Pair, stride: Pair, padding: Padding, dilation: Pair, ceil: bool = False
    ) -> None:
        self.where, self.ceil = where, ceil
        self.size = pair("the size of a window", size, where)
        self.stride = pair("the stride of a window", stride, where)
        self.dilation = pair("the dilation of a window", dilation, where)
        self.padding = None if padding == "same" else self.amounts(padding)

    def amounts(self, padding: Any) -> list[tuple[int, int]]:
        """((top, bottom), (left, right))."""
        both = padding if isinstance(padding, tuple | list) and len(padding) == 2 else (padding, padding)
        fix = '0, 2, (1, 2), ((top, bottom), (left, right)) or "same"'
        found = []
        for side in both:
            ends = side if isinstance(side, tuple | list) and len(side) == 2 else (side, side)
            before, after = (whole_number(end, "padding", where=self.where, fix=fix) for end in ends)
            if min(before, after) < 0:
                raise ConfigurationError(
                    "padding cannot be negative", where=self.where, expected="integers >= 0", got=repr(padding), fix=fix
                )
            found.append((before, after))
        return found

    def fit(self, layer: Layer, shape: Shape) -> tuple[Axis, Axis]:
        """The window along the rows and along the columns of images of this shape.

        Errors: ConfigurationError for an input that is no image, and for images smaller than the window.
        """
        image_shape(layer, shape)
        rows, columns = (self.axis(layer, shape, k) for k in (0, 1))
        return rows, columns

    def axis(self, layer: Layer, shape: Shape, k: int) -> Axis:
        length, size, stride, dilation = shape[1 + k], self.size[k], self.stride[k], self.dilation[k]
        span = (size - 1) * dilation + 1
        if self.padding is None:
            missing = max((-(-length // stride) - 1) * stride + span - length, 0)
            before, after = missing // 2, missing - missing // 2  # an odd one goes to the end
        else:
            before, after = self.padding[k]
        room = before + length + after - span
        if room < 0:
            raise ConfigurationError(
                "the window is larger than the image with its padding",
                where=layer.where,
                expected=f"at least {span} {('rows', 'columns')[k]}",
                got=f"{before + length + after} of them, in images {shape}",
                fix='a smaller window, padding="same", or less pooling before it',
            )
        outputs, beyond = room // stride + 1, 0
        if self.ceil and room % stride and outputs * stride < before + length:
            outputs, beyond = outputs + 1, stride - room % stride  # one more, which begins in the image
        return Axis(length, size, stride, dilation, before, after, beyond, outputs)


def pair(what: str, value: Any, where: str) -> tuple[int, int]:
    """(vertical, horizontal), from one number for both or a pair.

    Errors: ConfigurationError.
    """
    values = value if isinstance(value, tuple | list) and len(value) == 2 else (value, value)
    fix = "one number, 2, or two, (2, 3): vertical and horizontal"
    down, across = (positive_integer(v, what, where=where, fix=fix) for v in values)
    return down, across


def image_shape(layer: Layer, shape: Shape) -> Shape:
    """The shape, if it is that of images.

    Errors: ConfigurationError.
    """
    if len(shape) != 3:
        raise ConfigurationError(
            f"{type(layer).__name__} works on images",
            where=layer.where,
            expected="an input of shape (channels, height, width)",
            got=shape,
            fix="put Reshape((1, 28, 28)) before it, or whatever the size of your images is",
        )
    return shape


def in_rows(
    layer: Layer, name: str, x: Array, rows: Axis | None = None, columns: Axis | None = None, fill: float = 0.0
) -> Array:
    """Images (N, C, H, W) in rows, (H, C, W, N), padded for these axes; x itself where it is all that, else a copy."""
    x = x.transpose(2, 1, 3, 0)
    H, C, W, N = x.shape
    shape = (rows.padded if rows else H, C, columns.padded if columns else W, N)
    if shape == x.shape and x.flags.c_contiguous:
        return x
    padded = layer.empty(name, shape)
    if shape != x.shape:
        layer.xp.copyto(padded, layer.ops.scalar(fill, padded.dtype))
    inside = padded[rows.inside if rows else slice(None), :, columns.inside if columns else slice(None)]
    layer.xp.copyto(inside, x)
    return padded


def as_images(x: Array) -> Array:
    """What lies in rows, (H, C, W, N), as images (N, C, H, W)."""
    return x.transpose(3, 1, 0, 2)
