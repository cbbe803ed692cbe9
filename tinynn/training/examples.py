"""The data that `fit` is given: looked through before anything is learned from it, as far as they lie in memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.backend.dlpack import is_foreign
from tinynn.errors import ConfigurationError, DataError, LabelError, ShapeError, StateError
from tinynn.layer import Shape
from tinynn.network import Network
from tinynn.network.inputs import becoming_array, refuse_not_finite
from tinynn.network.sources import Mapped, Source, check_targets, is_mapped, is_source
from tinynn.network.stumbled import batch_shape

__all__ = ["checked"]

BLOCK = 4096  # rows looked at in one go, so that the check needs little memory beside the data
LARGE = 32_000_000  # bytes from which on two threads read memory faster than one


def checked(net: Network, data: Any, name: str) -> tuple[Any, ...]:
    """`data`, inputs and targets, as arrays on the network's device, every value of which can be learned from.

    Of a source, and of arrays some of which lie in files, only the first row is looked at: all that comes back is one
    `Source`, which looks at every row when it is asked for it.
    Errors: ConfigurationError, ShapeError, DataError, LabelError; `name` ("train", "validation") and the row are in
    them.
    """
    if not isinstance(net, Network):
        raise ConfigurationError(
            "fit trains networks",
            where="fit",
            expected="a network, such as Sequential(...)",
            got=repr(net),
            fix="Sequential(layer, SoftmaxCrossEntropy()).build(shape)",
        )
    net._built()
    if net.final_loss is None:
        raise StateError(
            "fit needs a network that ends in a loss",
            where=repr(net),
            expected="a loss as the last layer, or as a graph's only output",
            got="a network without one",
            fix="add SoftmaxCrossEntropy() or QuadraticCost() at the end; the calls that fit makes, forward, backward "
            "and step, you can make yourself",
        )
    if is_source(data):
        source = Source(net, data, f"fit, {name}")
        source.take(np.zeros(1, np.int64))
        return (source,)
    try:
        given = list(data)
    except TypeError:
        given = []
    given = [taken_over(net, x, f"fit, {name}") if is_foreign(x) else x for x in given]
    arrays = named(net, data, given, name)
    for which, x, shape in zip(net.input_names, arrays, net.input_shapes, strict=False):
        which = "inputs" if len(net.input_names) == 1 else f"inputs {which!r}"
        check_input(in_memory(x), shape, net.dtype, name, which)
    n = len(arrays[0])
    for x in arrays[1:]:
        if x.ndim == 0 or len(x) != n:
            raise ShapeError(
                f"{name} inputs and targets differ in number",
                where=f"fit, {name}",
                expected=f"{n} targets",
                got=x.shape,
                fix="give each row its target",
            )
    try:
        check_targets(net, [in_memory(x) for x in arrays[len(net.input_names) :]])
    except LabelError as error:
        raise LabelError(
            error.what, where=f"fit, {name}: {error.where}", expected=error.expected, got=error.got, fix=error.fix
        ) from None
    if any(map(is_mapped, arrays)):
        return (Source(net, Mapped(arrays), f"fit, {name}"),)
    there = (x if isinstance(x, net.xp.ndarray) else host for x, host in zip(given, arrays, strict=True))
    return tuple(net.ops.asarray(x) for x in there)


def named(net: Network, data: Any, given: list[Any], name: str) -> list[np.ndarray]:
    """Inputs and targets as arrays on the host; `given`: what `data` holds.

    Errors: ConfigurationError for too few or too many, ShapeError for what is no array.
    """
    names = [*net.input_names, *net.target_names]
    least = len(names) - net.optional_targets
    if any(map(is_source, given)):
        raise ConfigurationError(
            f"a source among the parts of {name}",
            where=f"fit, {name}",
            expected=f"arrays, or one source that gives them all: take(rows) -> ({', '.join(names[:least])})",
            got=", ".join(type(x).__name__ for x in given),
            fix=f"{name}=source",
        )
    if isinstance(data, np.ndarray) or not least <= len(given) <= len(names):
        wanted = f"({', '.join(names[:least])})"
        raise ConfigurationError(
            f"{name} must be {'a pair' if least == 2 else f'a tuple of {least}'}",
            where=f"fit, {name}",
            expected=f"{wanted}, arrays of one length, or an object with len() and take(rows) -> {wanted}",
            got=f"a {type(data).__name__}" + (f" of {len(given)}" if isinstance(data, tuple | list) else ""),
            fix=f"{name}={wanted}",
        )
    kinds = ["inputs"] * len(net.input_names) + ["targets"] * len(net.target_names)
    arrays = []
    for kind, x in zip(kinds, given, strict=False):
        with becoming_array(x, f"the {name} {kind} are", f"fit, {name}, {kind}", "rows of one length"):
            arrays.append(net.ops.to_host(x))
    return arrays


def taken_over(net: Network, x: Any, where: str) -> Any:
    """Another library's array on the network's device. Errors: DataError, DeviceError."""
    with becoming_array(x, "the data are", where, "rows of one length"):
        return net.ops.asarray(x)


def in_memory(x: np.ndarray) -> np.ndarray:
    """x, or of what lies in a file its first row."""
    return x[:1] if is_mapped(x) and x.ndim else x


def check_input(x: np.ndarray, shape: Shape, dtype: np.dtype, name: str, which: str) -> None:
    """Errors: ShapeError, DataError."""
    if x.ndim and not len(x):
        raise ShapeError(
            f"there are no {name} rows",
            where=f"fit, {name}",
            expected=f"{batch_shape(shape)} with N >= 1",
            got=x.shape,
            fix="give at least one row",
        )
    if x.shape[1:] != shape or not x.ndim:
        raise ShapeError(
            f"the {name} {which} do not fit the network",
            where=f"fit, {name}",
            expected=batch_shape(shape),
            got=x.shape,
            fix=f"{name}=(x, targets), x.reshape({', '.join(map(str, (-1, *shape)))}) if these are its numbers",
        )
    if x.dtype.kind not in "biuf":
        raise DataError(
            f"the {name} {which} are not real numbers",
            where=f"fit, {name}",
            expected="a dtype that converts to float",
            got=x.dtype,
            fix="x.astype(float)",
        )
    check_finite(x, dtype, name)


def check_finite(x: np.ndarray, dtype: np.dtype, name: str) -> None:
    """Errors: DataError with the first row that holds NaN, Inf, or a number that is Inf in the network's dtype."""
    if x.dtype.kind != "f":
        return

    def look(start: int) -> None:
        given = x[start : start + BLOCK]
        with np.errstate(over="ignore", invalid="ignore"):
            block = given.astype(dtype, copy=False)
            refuse_not_finite(block, given, f"the {name} inputs", f"fit, {name}", dtype, start)

    starts = range(0, len(x), BLOCK)
    if x.nbytes < LARGE:
        for start in starts:
            look(start)
    else:
        from concurrent.futures import ThreadPoolExecutor  # not at the top: it takes 4 ms to import

        with ThreadPoolExecutor(2) as pool:
            for _ in pool.map(look, starts):  # in their order: the first bad row is the one that is named
                pass
