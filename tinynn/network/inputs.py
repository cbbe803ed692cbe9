"""What a network is given: turned into arrays of its backend, or refused with the reason."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import numpy as np

from tinynn.backend import Array
from tinynn.errors import DataError, ShapeError, StateError, TinynnError
from tinynn.layer import Shape
from tinynn.network.stumbled import batch_shape

__all__ = ["becoming_array", "find_nan", "receive", "receive_gradients", "refuse_not_finite"]


def receive(net: Any, xs: tuple[Any, ...], targets: bool = False) -> tuple[Array, ...]:
    """The inputs (and the targets behind them, where `targets` is True) as arrays, of the shapes that were built.

    Errors: ShapeError for a wrong number of inputs or a wrong shape, DataError for what is no number.
    """
    net._built()
    shapes = net.input_shapes
    most = len(shapes) + (len(net.target_names) if targets else 0)
    if not most - (net.optional_targets if targets else 0) <= len(xs) <= most:
        refuse_number(net, xs, targets)
    received = []
    for i, x in enumerate(xs):
        if i >= len(shapes):
            x = as_array(net, x, "the targets are", "one for each row of x")
        elif not is_ready(x, net, shapes[i]):
            x = as_input(net, x, i)
        received.append(x)
    n = len(received[0])
    for x in received:
        if x.ndim == 0 or len(x) != n:
            refuse_rows(net, received)
    return tuple(received)


def refuse_rows(net: Any, received: list[Array]) -> NoReturn:
    """Errors: ShapeError that names the first one that is longer or shorter than the input."""
    n, names = len(received[0]), (*net.input_names, *net.target_names)
    name, wrong = next((a, x) for a, x in zip(names, received, strict=False) if x.ndim == 0 or len(x) != n)
    raise ShapeError(
        "inputs and targets differ in number" if name in net.target_names else "the inputs differ in number",
        where=net.where,
        expected=f"{n} rows of {name}, one for each row of {names[0]}",
        got=f"{name} of shape {wrong.shape}",
        fix="give all of them the same length",
    )


def refuse_number(net: Any, xs: tuple[Any, ...], targets: bool) -> NoReturn:
    """Errors: ShapeError that lists what should have come."""
    named = zip(net.input_names, net.input_shapes, strict=True)
    wanted = [f"{name} of shape {batch_shape(shape)}" for name, shape in named]
    if targets:
        needed = len(net.target_names) - net.optional_targets
        wanted += net.target_names[:needed] + tuple(f"{name} if you like" for name in net.target_names[needed:])
    raise ShapeError(
        f"{len(wanted) - (net.optional_targets if targets else 0)} inputs expected, {len(xs)} given",
        where=net.where,
        expected=", ".join(wanted),
        got=", ".join(str(np.shape(x)) for x in xs) or "nothing",
        fix="net.forward(x, targets) trains, net.predict(x) infers",
    )


def is_ready(x: Any, net: Any, shape: Shape) -> bool:
    """Whether x can be taken as it is, like every batch of a training run."""
    fits = type(x) is net.xp.ndarray and x.dtype is net.dtype and x.shape[1:] == shape and x.ndim > len(shape)
    return fits and (x.flags.c_contiguous or is_inner(net))


def is_inner(net: Any) -> bool:
    """Whether it is a layer of another network: it gets layers' arrays, which records of their calls must know."""
    return bool(net._site.path)


def as_input(net: Any, x: Any, i: int) -> Array:
    """Input number i: of the network's dtype, unless the layers that read it take integers as they are."""
    name, shape = net.input_names[i], net.input_shapes[i]
    what = "the input" if len(net.input_shapes) == 1 else f"the input {name!r}"
    x = as_array(net, x, f"{what} is", f"rows of one length, {batch_shape(shape)}")
    if x.dtype != net.dtype and x.dtype.kind not in "biuf":
        raise DataError(
            f"{what} is not made of real numbers",
            where=net.where,
            expected=f"an array that converts to {net.dtype}",
            got=f"dtype {x.dtype}",
            fix="x.astype(float)",
        )
    if x.shape[1:] != shape or x.ndim == 0:
        if x.shape == shape:
            what, fix = f"{what} is one example without its batch axis", "add the batch axis: x[None]"
        else:
            what = f"{what} does not have the shape that was built"
            fix = "reshape x" + (f", or build the network for {x.shape[1:]}" if x.ndim > 1 else "")
        raise ShapeError(what, where=net.where, expected=batch_shape(shape), got=x.shape, fix=fix)
    if x.dtype == net.dtype or (x.dtype.kind in "iu" and net.reads_integers(name)):
        return x
    with np.errstate(over="ignore"):  # what is too large becomes Inf, and is then looked for like Inf
        return x.astype(net.dtype)


def as_array(net: Any, values: Any, what: str, expected: str) -> Array:
    """The values on the network's device, of the dtype that they have, one row behind the other.

    A copy of what is strided, column-major, or in foreign byte order: the same numbers must give the same bits however
    they lie in memory, and sums over strides are added up in another order.

    Errors: ShapeError for nested lists of different lengths, DataError for masked values and for what is no array.
    """
    if type(values) is not net.xp.ndarray:
        with becoming_array(values, what, net.where, expected):
            values = net.ops.asarray(values)
    elif not values.dtype.isnative:
        values = net.ops.asarray(values)
    return values if values.flags.c_contiguous or is_inner(net) else values.copy()


@contextlib.contextmanager
def becoming_array(values: Any, what: str, where: str, expected: str) -> Iterator[None]:
    """Around the call that makes an array of whatever was given.

    Errors: ShapeError for nested lists of different lengths, DataError for masked values and for what is no array.
    """
    refuse_masked(values, what, where)
    try:
        yield
    except TinynnError:
        raise
    except ValueError as error:
        raise ShapeError(
            f"{what} no array",
            where=where,
            expected=expected,
            got=str(error),
            fix="cut or pad the rows to one length",
        ) from error
    except Exception as error:  # whatever the values' own __array__, __len__ or __getitem__ raises
        raise DataError(
            f"{what} no array",
            where=where,
            expected=expected,
            got=f"a {type(values).__name__}, of which NumPy can make none: {type(error).__name__}: {error}",
            fix="pass a NumPy array, or lists of numbers",
        ) from error


def refuse_masked(values: Any, what: str, where: str) -> None:
    """A masked value is a missing one, and the number behind it may be anything. Errors: DataError with the row."""
    if not isinstance(values, np.ndarray) or type(values) is np.ndarray:
        return
    mask = np.asarray(getattr(values, "mask", False))
    if mask.dtype == bool and mask.any():
        row = int(np.argwhere(np.broadcast_to(mask, values.shape))[0][0]) if values.ndim else 0
        raise DataError(
            f"{what} masked in row {row}",
            where=f"{where}, row {row}",
            expected="a number in every place",
            got=f"a {type(values).__name__} with masked values",
            fix="fill them, x.filled(0), or leave their rows out",
        )


def receive_gradients(net: Any, dy: Any, shapes: Sequence[Shape]) -> Any:
    """The gradient with respect to the output, or a tuple of those with respect to several outputs of these shapes.

    Errors: ShapeError, DataError for what is no number.
    """
    if len(shapes) == 1:
        return receive_gradient(net, dy, shapes[0])
    if not isinstance(dy, tuple) or len(dy) != len(shapes):
        raise ShapeError(
            "the network has several outputs, and each needs its gradient",
            where=net.where,
            expected=f"a tuple of {len(shapes)} gradients, of the shapes {', '.join(map(str, shapes))}",
            got=f"{len(dy)} of them" if isinstance(dy, tuple) else f"a {type(dy).__name__}",
            fix="net.backward((dy0, dy1), cache); 0.0 for a loss that is not to count",
        )
    return tuple(receive_gradient(net, d, shape) for d, shape in zip(dy, shapes, strict=True))


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
    # The sum of squares is asked first, then whether all are finite: to look for the place takes ten times as long.
    if not (x.flags.c_contiguous and np.dot(x.reshape(-1), x.reshape(-1)) < np.inf) and not np.isfinite(x).all():
        bad = np.argwhere(~np.isfinite(x))
        value, (row, *place) = given[tuple(bad[0])], bad[0].tolist()
        raise DataError(
            f"{value} in row {first_row + row} of {what}",
            where=f"{where}, row {first_row + row}, element {tuple(place)}",
            expected=f"finite numbers, within the range of {dtype}",
            got=value,
            fix="drop or repair the row: x[np.isfinite(x).reshape(len(x), -1).all(axis=1)]",
        )
