"""The numbers that parameters and states begin with, or are given: real, and in their shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.backend import Ops
from tinynn.errors import ConfigurationError, ShapeError
from tinynn.layer import Layer, Shape
from tinynn.random import generator
from tinynn.site import Declaration

__all__ = ["check_fit", "converted", "initial_value"]


def initial_value(declaration: Declaration, layer: Layer, name: str, seed: int) -> Any:
    """What the initialiser gives, with its shape checked: each array from a random stream of its own."""
    init, shape = declaration.init, declaration.shape
    where = f"{layer.where}, initial value of {declaration.name}"
    rng = generator(seed, name)
    try:
        value = real_numbers(layer.ops, init(rng, shape) if callable(init) else init)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"the initial value of {declaration.name} cannot be had",
            where=where,
            expected="an array of real numbers, or a function (rng, shape) -> array",
            got=str(error),
            fix="pass init.he or another initialiser, without quotes, or an array",
        ) from error
    if value.shape != shape:
        raise ShapeError(
            f"the initial value of {declaration.name} has the wrong shape",
            where=where,
            expected=shape,
            got=value.shape,
            fix="pass an array of the expected shape, or a function (rng, shape) -> array",
        )
    if declaration.trained and not np.isfinite(value).all():
        raise ConfigurationError(
            f"the initial value of {declaration.name} is not finite",
            where=where,
            expected="finite numbers",
            got=value[~np.isfinite(value)][0],
            fix="start from finite numbers: nothing can be learned from NaN or infinity",
        )
    return value


def check_fit(shapes: dict[str, Shape], arrays: dict[str, Any], where: str) -> None:
    """Errors: ShapeError for the first array, by name, that is missing, too many, or of another shape."""
    for name in sorted({*shapes, *arrays}):
        expected = shapes.get(name, "no such array")
        got = np.shape(arrays[name]) if name in arrays else "nothing of that name"
        if expected != got:
            raise ShapeError(
                f"array {name!r} does not fit the network",
                where=where,
                expected=expected,
                got=got,
                fix="build the network with the layers and the shape that it was saved with",
            )


def converted(ops: Ops, values: Any, dtype: np.dtype) -> np.ndarray:
    """The values on the host, in this dtype.

    Errors: TypeError for anything but real numbers, OverflowError for finite ones that are infinite in it.
    """
    given = real_numbers(ops, values)
    with np.errstate(over="ignore"):
        array = given.astype(dtype, copy=False)
    if given.dtype.itemsize > dtype.itemsize and (lost := np.isinf(array) & np.isfinite(given)).any():
        raise OverflowError(str(given[lost][0]))
    return array


def real_numbers(ops: Ops, values: Any) -> np.ndarray:
    """The values as an array on the host.

    Errors: TypeError that says what came, for anything but real numbers.
    """
    try:
        array = ops.to_host(values)
    except ValueError as error:
        raise TypeError(str(error)) from error
    if array.dtype.kind not in "biuf":
        raise TypeError(repr(values) if array.ndim == 0 else f"an array of dtype {array.dtype}")
    return array
