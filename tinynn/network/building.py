"""What `build` is given: shapes, dtype and precision, or why they cannot be used."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.backend import Ops
from tinynn.errors import ConfigurationError, ShapeError
from tinynn.layer import Shape
from tinynn.site import as_shape

__all__ = ["check_precision", "usable_dtype", "usable_shapes"]

DTYPES = ("float32", "float64")


def usable_shapes(net: Any, shapes: tuple[Any, ...]) -> tuple[Shape, ...]:
    """The shapes of one example as tuples of positive integers.

    Errors: ShapeError.
    """
    usable = tuple(sizes for shape in shapes if (sizes := as_shape(shape)) is not None and 0 not in sizes)
    if not usable or len(usable) != len(shapes):
        raise ShapeError(
            "build needs the shape of one example",
            where=repr(net),
            expected="a tuple of positive integers, without the batch axis",
            got=", ".join(map(repr, shapes)) or "nothing",
            fix=f"net.build(({shapes[0]},))" if shapes and isinstance(shapes[0], int) else "net.build((784,))",
        )
    return usable


def usable_dtype(net: Any, dtype: Any) -> np.dtype:
    """Errors: ConfigurationError for anything but the two floats."""
    if str(np.dtype(dtype) if dtype in (np.float32, np.float64) else dtype) not in DTYPES:
        raise ConfigurationError(
            "unknown dtype",
            where=repr(net),
            expected=" or ".join(DTYPES),
            got=repr(dtype),
            fix='net.build(shape, dtype="float32")',
        )
    return np.dtype(dtype)


def check_precision(net: Any, dtype: np.dtype, ops: Ops) -> None:
    """Errors: ConfigurationError for a precision of float32 products in a float64 network."""
    if ops.precision != "float32" and dtype != np.float32:
        raise ConfigurationError(
            "matrices of float64 are multiplied as such",
            where=repr(net),
            expected=f'dtype="float32" with precision={ops.precision!r}',
            got=f'dtype="{dtype}"',
            fix='leave precision out, or build with dtype="float32"',
        )
