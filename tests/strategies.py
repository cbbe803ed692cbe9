"""What the hypothesis tests draw: shapes, arrays, and the ways in which an array may lie in memory."""

from __future__ import annotations

import math
from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
from hypothesis import settings

__all__ = [
    "LAYOUTS",
    "arrays",
    "batch_sizes",
    "dtypes",
    "examples",
    "floats",
    "label_rows",
    "laid_out",
    "layouts",
    "probability_rows",
    "shapes",
]

Shape = tuple[int, ...]

LAYOUTS = ("contiguous", "column-major", "strided", "reversed", "rows of a wider array", "read-only")


def examples(n: int) -> int:
    """For `max_examples`: n, or as much less as the profile asks for less than hypothesis does by itself, 100."""
    return -(-n * settings().max_examples // 100)


layouts = st.sampled_from(LAYOUTS)
batch_sizes = st.integers(1, 4)
dtypes = st.sampled_from(["float32", "float64"])


def shapes(min_dims: int = 1, max_dims: int = 3, max_elements: int = 6) -> st.SearchStrategy[Shape]:
    """Per-example shapes of a few elements, so that an array is checked whole within milliseconds."""
    sizes = st.lists(st.integers(1, max_elements), min_size=min_dims, max_size=max_dims)
    return sizes.map(tuple).filter(lambda shape: math.prod(shape) <= max_elements)


def floats(largest: float = 2.0) -> st.SearchStrategy[float]:
    """Numbers that float32 holds too."""
    return st.floats(-largest, largest, width=32)


def arrays(shape: Shape, elements: st.SearchStrategy[Any] | None = None) -> st.SearchStrategy[np.ndarray]:
    """Arrays of that shape in either precision, of numbers from -2 to 2 unless told otherwise."""
    return dtypes.flatmap(lambda dtype: hnp.arrays(dtype, shape, elements=floats() if elements is None else elements))


def label_rows(n: int, classes: int) -> st.SearchStrategy[np.ndarray]:
    """n labels, in any of the integer types that data sets store them in."""
    return st.sampled_from(["int64", "int32", "uint8"]).flatmap(
        lambda dtype: hnp.arrays(dtype, (n,), elements=st.integers(0, classes - 1))
    )


def probability_rows(n: int, classes: int) -> st.SearchStrategy[np.ndarray]:
    """n rows of probabilities, one-hot among them."""
    one_hot = hnp.arrays("int64", (n,), elements=st.integers(0, classes - 1)).map(lambda t: np.eye(classes)[t])
    counts = hnp.arrays("float64", (n, classes), elements=st.integers(1, 9).map(float))
    return st.one_of(one_hot, counts.map(lambda c: c / c.sum(axis=1, keepdims=True)))


def laid_out(x: np.ndarray, layout: str) -> np.ndarray:
    """The same numbers in an array of another arrangement in memory."""
    everywhere = (slice(None, None, -1),) * x.ndim
    every_other = (slice(None, None, 2),) * x.ndim
    if layout == "column-major":
        return np.asfortranarray(x)
    if layout == "reversed":
        return x[everywhere].copy()[everywhere]
    if layout == "strided":
        room = np.zeros([2 * size for size in x.shape], x.dtype)[every_other]
        room[...] = x
        return room
    if layout == "rows of a wider array":
        room = np.zeros((*x.shape[:-1], x.shape[-1] + 3), x.dtype)[..., 1:-2]
        room[...] = x
        return room
    x = x.copy()
    x.flags.writeable = layout != "read-only"
    return x
