"""NaN or Inf in an array: found by one reduction, of which the answer alone leaves the device, and told with its place.

Nothing but `first_bad` runs where all goes well.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from tinynn.backend import Ops
from tinynn.errors import NonFiniteError

__all__ = ["Bad", "first_bad", "limits", "made"]

BORN = "{value} in {array}, made of finite numbers: it was born in {phase}"
CAME = "{value} in {array}, which the network was given"
WHAT = {
    "input": CAME,
    "parameter": "{value} in {array}, before the layer has run",
    "forward": BORN,
    "backward": BORN,
    "update": BORN,
}
FIX = {
    "input": "drop or repair the rows: np.argwhere(~np.isfinite({array})) names them",
    "parameter": "start again from finite parameters; if an update made this, with a smaller learning rate",
    "forward": "where the numbers have grown, a smaller learning rate or inputs of smaller size (Rescale); "
    "else look in forward for a division by 0, a logarithm, a root, an exponential",
    "backward": "look in backward for a division by 0, a logarithm, a root, a gradient that is not written in full; "
    "where the numbers have grown, a smaller learning rate",
    "update": "a smaller learning rate, or clip_norm=1.0",
}


class Bad(NamedTuple):
    """The first element of an array that is not finite, and how many there are among how many."""

    place: tuple[int, ...]
    value: float
    many: int
    size: int


def first_bad(ops: Ops, x: Any) -> Bad | None:
    """None if x is finite, or neither a float nor an array of them."""
    if isinstance(x, float):
        return None if math.isfinite(x) else Bad((), float(x), 1, 1)
    if not isinstance(x, ops.xp.ndarray | np.generic) or x.dtype.kind != "f":
        return None
    finite = ops.xp.isfinite(x)
    if ops.to_host(finite.all()):
        return None
    bad = ops.xp.logical_not(finite)
    first = np.unravel_index(int(ops.to_host(bad.reshape(-1).argmax())), x.shape)
    place = tuple(int(i) for i in first)
    return Bad(place, float(ops.to_host(x[place])), int(ops.to_host(bad.sum())), x.size)


def limits(ops: Ops, arrays: dict[str, Any]) -> str:
    """The smallest and the largest finite number of each array, in words."""
    return "; ".join(f"{name} {spread(ops, x)}" for name, x in arrays.items())


def spread(ops: Ops, x: Any) -> str:
    """The smallest and the largest finite number of an array, in words."""
    if not isinstance(x, ops.xp.ndarray | np.generic):
        return f"= {x}" if isinstance(x, int | float) else f"a {type(x).__name__}"
    low = high = x
    if x.dtype.kind == "f":
        finite = ops.xp.isfinite(x)
        if not ops.to_host(finite.any()):
            return "without a finite number"
        low, high = (ops.xp.where(finite, x, bound) for bound in (math.inf, -math.inf))
    elif x.size == 0:
        return "empty"
    return f"from {float(ops.to_host(low.min())):.6g} to {float(ops.to_host(high.max())):.6g}"


def made(
    phase: str,
    array: str,
    bad: Bad,
    *,
    layer: str,
    where: str,
    given: str,
    note: str = "",
    first_row: int = 0,
    came: bool = False,
) -> NonFiniteError:
    """The error for an element of an array.

    `layer`, `where`: the layer's path and description. `given`: what it had been given. `note`: what else there is to
    say of the phase. `first_row`: what is added to the row. `came`: whether the network's caller gave the array.
    """
    index = (bad.place[0] + first_row, *bad.place[1:]) if bad.place else ()
    element = f"{array}{list(index)}" if index else array
    error = NonFiniteError(
        (CAME if came else WHAT[phase]).format(value=bad.value, array=array, phase=phase),
        where=f"{where}, {phase}{note}, {element}",
        expected="finite numbers",
        got=f"{bad.value} in {element}, {bad.many} such of {bad.size}; {given}",
        fix="find out how it got there: backward wants the derivative of a finite number" * came
        or FIX[phase].format(array=array),
    )
    error.layer, error.phase, error.array, error.index, error.value = layer, phase, array, index, bad.value
    return error
