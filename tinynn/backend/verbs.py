"""What the verbs of a backend are written in: its array module, and constants that are arrays of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Array", "Verbs", "straight", "view", "whole"]

Array = Any
"""An array of the backend's own type: `numpy.ndarray` on the CPU."""


def straight(verb: Any) -> Callable[..., Any]:
    """Marks a verb that consists of calls of `xp` that write into `out`, the same calls each time.

    Such a verb can be recorded by its calls, and replayed without its Python.
    """
    verb.straight = True
    return verb


def whole(verb: Any) -> Callable[..., Any]:
    """Marks a verb that depends on nothing but its arguments, and writes all its results into arrays among them.

    Such a verb can be recorded as one call, whatever it does within.
    """
    verb.whole = True
    return verb


def view(verb: Any) -> Callable[..., Any]:
    """Marks a verb that only shows an array in another way: there is nothing to record."""
    verb.view = True
    return verb


class Verbs:
    """The base of every group of verbs.

    A verb exists for a matrix product (one door to the BLAS), or where a device can fuse what NumPy does in several
    passes. What a single ufunc does stays `xp.f(...)` in the layer. Every `out` is an array that the caller owns, is
    written in full, and may not overlap an input unless the verb says so; verbs return it. N rows, D inputs, M outputs,
    C classes.
    """

    name: str
    xp: Any
    precision = "float32"
    """What the elements of float32 matrices are rounded to before they are multiplied; sums are float32 at least."""

    def __init__(self) -> None:
        self._scalars: dict[tuple[float, Any], Array] = {}

    @straight
    def scalar(self, value: float, dtype: Any) -> Array:
        """`value` as an array without axes: a ufunc takes one of its own dtype in half the time of a Python number."""
        found = self._scalars.get((value, dtype))
        if found is None:
            found = self._scalars[value, dtype] = self.xp.asarray(value, dtype)
        return found
