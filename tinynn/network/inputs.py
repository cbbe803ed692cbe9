"""What a network is given: turned into arrays of its backend, or refused with the reason."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.backend import Array
from tinynn.errors import DataError, ShapeError, StateError
from tinynn.layer import Shape
from tinynn.network.explain import batch_shape

__all__ = ["find_nan", "receive", "refuse_not_finite"]


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
    received = [x if is_ready(x, net, shape) else as_input(net, x, shape) for x, shape in zip(xs, shapes, strict=False)]
    if targets:
        t = xs[-1]
        is_array = type(t) is net.xp.ndarray
        received.append(t if is_array else as_array(net, t, "the targets are", "one target for each row of x"))
        if received[-1].ndim == 0 or len(received[0]) != len(received[-1]):
            raise ShapeError(
                "inputs and targets differ in number",
                where=net.where,
                expected=f"{len(received[0])} targets, one for each row of x",
                got=f"targets of shape {received[-1].shape}",
                fix="give x and targets the same length",
            )
    return tuple(received)


def is_ready(x: Any, net: Any, shape: Shape) -> bool:
    """Whether x can be taken as it is, like every batch of a training run."""
    return type(x) is net.xp.ndarray and x.dtype is net.dtype and x.shape[1:] == shape and x.ndim > len(shape)


def as_input(net: Any, x: Any, shape: Shape) -> Array:
    """One input: of the network's dtype, unless its first layer reads integers as they are."""
    x = as_array(net, x, "the input is", f"rows of one length, {batch_shape(shape)}")
    if x.dtype != net.dtype and x.dtype.kind not in "biuf":
        raise DataError(
            "the input is not made of real numbers",
            where=net.where,
            expected=f"an array that converts to {net.dtype}",
            got=f"dtype {x.dtype}",
            fix="x.astype(float)",
        )
    if x.shape[1:] != shape or x.ndim == 0:
        if x.shape == shape:
            what, fix = "one example without its batch axis", "add the batch axis: x[None]"
        else:
            what = "the input does not have the shape that was built"
            fix = "reshape x" + (f", or build the network for {x.shape[1:]}" if x.ndim > 1 else "")
        raise ShapeError(what, where=net.where, expected=batch_shape(shape), got=x.shape, fix=fix)
    if x.dtype == net.dtype or (net.integer_inputs and x.dtype.kind in "iu"):
        return x
    with np.errstate(over="ignore"):  # what is too large becomes Inf, and is then looked for like Inf
        return x.astype(net.dtype)


def as_array(net: Any, values: Any, what: str, expected: str) -> Array:
    """The values on the network's device, of the dtype that they have.

    Errors: ShapeError for nested lists of different lengths.
    """
    try:
        return net.ops.asarray(values)
    except ValueError as error:
        raise ShapeError(
            f"{what} no array",
            where=net.where,
            expected=expected,
            got=str(error),
            fix="cut or pad the rows to one length",
        ) from error


def receive_gradient(net: Any, dy: Any, shape: Shape) -> Array:
    """The gradient with respect to an output of this shape, as an array of the network's dtype.

    Errors: ShapeError, DataError for what is no number.
    """
    given = as_array(net, dy, "dy is", f"an array of shape {shape}")
    if given.shape != shape:
        raise ShapeError(
            "dy does not have the shape of the output",
            where=net.where,
            expected=shape if shape else "one number: the output is the loss",
            got=given.shape,
            fix="dy is the derivative with respect to each element of y" if shape else "net.backward(1.0, cache)",
        )
    if given.dtype.kind not in "biuf":
        raise DataError(
            "dy is not made of real numbers",
            where=net.where,
            expected=f"numbers that convert to {net.dtype}",
            got=f"dtype {given.dtype}",
            fix="dy.astype(float)" if shape else "net.backward(1.0, cache)",
        )
    return given.astype(net.dtype, copy=False)


def find_nan(net: Any, xs: tuple[Array, ...]) -> None:
    """Says where a NaN in the output came from, if it came from the input or the parameters.

    Errors: DataError with row and element of the input; StateError with the parameter.
    """
    for x in xs:
        host = net.ops.to_host(x)
        refuse_not_finite(host, host, "the input", f"input of {net.where}", net.dtype)
    for name, view in net.storage.parameters.items():
        if np.isnan(net.ops.to_host(view)).any():
            raise StateError(
                f"the parameters contain NaN, first in {name}",
                where=net.storage.homes[name],
                expected="finite parameters",
                got="nan",
                fix="train again from the start with a smaller learning rate",
            )


def refuse_not_finite(
    x: np.ndarray, given: np.ndarray, what: str, where: str, dtype: np.dtype, first_row: int = 0
) -> None:
    """Raises for the first NaN or Inf in x, which is `given` in the network's dtype; rows count from `first_row`.

    Errors: DataError with row and element.
    """
    if not np.isfinite(x).all():  # asked first, because to look for the place takes ten times as long
        bad = np.argwhere(~np.isfinite(x))
        value, (row, *place) = given[tuple(bad[0])], bad[0].tolist()
        raise DataError(
            f"{value} in row {first_row + row} of {what}",
            where=f"{where}, row {first_row + row}, element {tuple(place)}",
            expected=f"finite numbers, within the range of {dtype}",
            got=value,
            fix="drop or repair the row: x[np.isfinite(x).reshape(len(x), -1).all(axis=1)]",
        )
