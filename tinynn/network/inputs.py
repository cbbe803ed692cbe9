"""What a network is given: turned into arrays of its backend, or refused with the reason."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.backend import Array
from tinynn.errors import DataError, ShapeError, StateError
from tinynn.layer import Shape

__all__ = ["batch_shape", "find_nan", "receive"]


def receive(net: Any, xs: tuple[Any, ...], targets: bool = False) -> tuple[Array, ...]:
    """The inputs (and the targets behind them, where `targets` is True) as arrays, of the shapes that were built.

    Errors: ShapeError for a wrong number of inputs or a wrong shape, DataError for what is no number.
    """
    net._built()
    shapes = net.input_shapes
    if len(xs) != len(shapes) + targets:
        names = [f"x of shape {batch_shape(shape)}" for shape in shapes]
        raise ShapeError(
            f"{len(shapes) + targets} inputs expected, {len(xs)} given",
            where=net.where,
            expected=", ".join([*names, *(["targets"] if targets else [])]),
            got=", ".join(str(np.shape(x)) for x in xs) or "nothing",
            fix="net.forward(x, targets) trains, net.predict(x) infers",
        )
    received = [as_input(net, x, shape) for x, shape in zip(xs, shapes, strict=False)]
    if targets:
        received.append(net.ops.asarray(xs[-1]))
        if received[-1].ndim == 0 or len(received[0]) != len(received[-1]):
            raise ShapeError(
                "inputs and targets differ in number",
                where=net.where,
                expected=f"{len(received[0])} targets, one for each row of x",
                got=f"targets of shape {received[-1].shape}",
                fix="give x and targets the same length",
            )
    return tuple(received)


def as_input(net: Any, x: Any, shape: Shape) -> Array:
    """One input: of the network's dtype, unless its first layer reads integers as they are."""
    try:
        x = net.ops.asarray(x)
    except ValueError as error:
        raise ShapeError(
            "the input is no array",
            where=net.where,
            expected=f"rows of one length, {batch_shape(shape)}",
            got=str(error),
            fix="cut or pad the rows to one length",
        ) from error
    if x.shape[1:] != shape or x.ndim == 0:
        single = x.shape == shape
        raise ShapeError(
            "one example without its batch axis" if single else "the input does not have the shape that was built",
            where=net.where,
            expected=batch_shape(shape),
            got=x.shape,
            fix="add the batch axis: x[None]" if single else f"reshape x, or build the network with {x.shape[1:]}",
        )
    if x.dtype == net.dtype:
        return x
    if x.dtype.kind not in "biuf":
        raise DataError(
            "the input is not made of real numbers",
            where=net.where,
            expected=f"an array that converts to {net.dtype}",
            got=f"dtype {x.dtype}",
            fix="x.astype(float)",
        )
    return x if net.integer_inputs and x.dtype.kind in "iu" else x.astype(net.dtype)


def find_nan(net: Any, xs: tuple[Array, ...]) -> None:
    """Says where a NaN in the output came from, if it came from the input or the parameters.

    Errors: DataError with row and element of the input; StateError with the parameter.
    """
    for x in xs:
        bad = np.argwhere(np.isnan(net.ops.to_host(x)))
        if len(bad):
            row, *place = bad[0].tolist()
            raise DataError(
                f"NaN in row {row} of the input",
                where=f"input of {type(net).__name__}, row {row}, element {tuple(place)}",
                expected="finite numbers",
                got="nan",
                fix="drop or repair the row: x[np.isfinite(x).reshape(len(x), -1).all(axis=1)]",
            )
    for name, view in net.storage.parameters.items():
        if np.isnan(net.ops.to_host(view)).any():
            raise StateError(
                f"the parameters contain NaN, first in {name}",
                where=net.storage.homes[name],
                expected="finite parameters",
                got="nan",
                fix="train again from the start with a smaller learning rate",
            )


def batch_shape(shape: Shape) -> str:
    """(784,) -> "(N, 784)": how a batch of such examples is written in errors."""
    return f"(N, {', '.join(map(str, shape))})" if shape else "(N,)"
