"""Arrays as a GEMM sees them: which matrices need no copy, and which stacks of them are one call."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

__all__ = ["Matrix", "Piece", "matrix", "stack_strides", "stacks"]

MOST = 65535
"""Matrices in one call: a grid of CUDA has no more blocks along its last axis."""


class Matrix(NamedTuple):
    """Where the elements are: one behind the other along rows, or else along columns; `leading` elements to the next.

    Without `by_rows` it is the transposed view of a matrix that lies by rows.
    """

    by_rows: bool
    leading: int


def matrix(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> Matrix | None:
    """The last two axes as a GEMM reads them; None if it cannot: neighbours with gaps, overlaps, steps backwards."""
    rows, columns = shape[-2:]
    down, right = strides[-2:]
    # Along an axis of 1 nobody steps, whatever its stride.
    if right == itemsize or columns == 1:
        leading = down if rows > 1 else columns * itemsize
        if leading % itemsize == 0 and leading >= columns * itemsize:
            return Matrix(True, leading // itemsize)
    if (down == itemsize or rows == 1) and right % itemsize == 0 and right >= rows * itemsize:
        return Matrix(False, right // itemsize)
    return None


def stack_strides(shape: tuple[int, ...], strides: tuple[int, ...], lead: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of an array's leading axes over those of the product, 0 along axes that it lacks or has 1 of."""
    missing = len(lead) - (len(shape) - 2)
    own = tuple(0 if size == 1 else stride for size, stride in zip(shape[:-2], strides[:-2], strict=True))
    return (0,) * missing + own


class Piece(NamedTuple):
    """`times` products in one call: `steps` bytes from one matrix to the next, each call `offsets` bytes further on.

    Three numbers each: of a, b and out.
    """

    times: int
    steps: tuple[int, ...]
    offsets: tuple[tuple[int, ...], ...]


def stacks(lead: tuple[int, ...], strides: tuple[tuple[int, ...], ...], most: int = MOST) -> tuple[Piece, ...]:
    """The products over leading axes `lead`, whose strides in a, b and out are given, in as few calls as can be.

    Axes that all three arrays step over as over one are one; the longest goes into a call, the others around it.
    """
    axes = merged(lead, strides)
    once = (1, (0, 0, 0))
    # That the library steps backwards is not promised.
    inner = max((axis for axis in axes if min(axis[1]) >= 0), default=once)
    if inner is not once:
        axes.remove(inner)
    outer = list(offsets(axes))
    count, steps = inner
    pieces = []
    whole, rest = divmod(count, most)
    if whole:
        starts = [along(steps, i * most) for i in range(whole)]
        pieces.append(Piece(most, steps, tuple(add(at, start) for at in outer for start in starts)))
    if rest:
        start = along(steps, whole * most)
        pieces.append(Piece(rest, steps if rest > 1 else (0, 0, 0), tuple(add(at, start) for at in outer)))
    return tuple(pieces)


def merged(lead: tuple[int, ...], strides: tuple[tuple[int, ...], ...]) -> list[tuple[int, tuple[int, ...]]]:
    """The axes as (size, strides), without those of 1, neighbours that can be walked through in one step as one."""
    axes: list[tuple[int, tuple[int, ...]]] = []
    for size, steps in zip(lead, zip(*strides, strict=True), strict=True):
        if size == 1:
            continue
        if axes and axes[-1][1] == along(steps, size):
            axes[-1] = axes[-1][0] * size, steps
        else:
            axes.append((size, steps))
    return axes


def offsets(axes: list[tuple[int, tuple[int, ...]]]) -> Iterator[tuple[int, ...]]:
    """The offset of every place of these axes."""
    for place in product(*(range(size) for size, _ in axes)):
        at = (0, 0, 0)
        for i, (_, steps) in zip(place, axes, strict=True):
            at = add(at, along(steps, i))
        yield at


def along(steps: tuple[int, ...], i: int) -> tuple[int, ...]:
    """The offset after i steps."""
    return tuple(step * i for step in steps)


def add(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """Two offsets together."""
    return tuple(x + y for x, y in zip(a, b, strict=True))
