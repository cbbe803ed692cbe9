"""Array calls recorded as they are made, so that they can be made again without the code that made them.

In a steady step every array keeps its place in memory: parameters, gradients, the batch, and what `Layer.empty` gave.
So of `xp.add(y, b, out=y)` nothing need be kept but the function and its arrays, and a step of a network is a list of
such calls, without the layers' Python. It is what a CUDA graph is to the kernels of a GPU.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

__all__ = ["Recorder", "Unrecordable", "owner"]

FUNCTIONS = ("copyto", "dot", "matmul")
"""What may be recorded beside ufuncs: functions that do nothing but write arrays, the same way each time."""

KEYWORD_OUT = (np.maximum, np.minimum)
"""Ufuncs that are about to lose `out` as a third argument; for the others it saves a third of the call."""


NUMBERS = (bool, int, float)  # np.float64 is a float too, but may have been computed


class Unrecordable(Exception):
    """A call that must be made anew each time, or an array that nobody recorded."""


class Recorder:
    """A list of calls, and the arrays that are known to be where they are each time.

    `xp` and `ops` stand in for those of a layer: they do what is asked of them and keep it in `calls`. An array that
    is in no known place raises Unrecordable: it was computed behind the recorder's back. So do Python's numbers, unless
    `numbers` says that they stay what they are: a layer's setting may be changed between two calls.
    """

    def __init__(self, ops: Any, known: Iterable[np.ndarray], numbers: bool = True) -> None:
        self.numbers = numbers
        self.calls: list[Callable[[], Any]] = []
        self._known: dict[int, np.ndarray] = {}
        for array in known:
            self.know(array)
        self.xp = Functions(self)
        self.ops = copy.copy(ops)  # with the constants it holds
        self.ops.xp = self.xp
        for name in dir(type(ops)):
            verb = getattr(type(ops), name)
            if not name.startswith("_") and callable(verb) and not getattr(verb, "straight", False):
                setattr(self.ops, name, refuse(name))
        self._constants = ops._scalars

    def know(self, array: np.ndarray) -> None:
        """The array's memory is the same each time."""
        self._known[id(owner(array))] = owner(array)

    def knows(self, value: Any) -> bool:
        """Whether a cache or an argument holds only what is the same each time: known arrays, Python's numbers."""
        if isinstance(value, np.ndarray):
            return id(owner(value)) in self._known or any(value is constant for constant in self._constants.values())
        if isinstance(value, tuple | list):
            return all(map(self.knows, value))
        return value is None or isinstance(value, str | np.dtype | type) or (self.numbers and type(value) in NUMBERS)

    def call(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Makes the call and keeps it; where it returns a new array, every later call will write into that one."""
        if not (self.knows(args) and self.knows(list(kwargs.values()))):
            raise Unrecordable(f"{function.__name__} of an array from elsewhere")
        result = function(*args, **kwargs)
        if function is np.copyto:
            self.calls.append(partial(function, *args, **kwargs))
            return None
        if not isinstance(result, np.ndarray):
            raise Unrecordable(f"{function.__name__} returns a number")
        self.know(result)
        positional = [*args[: function.nin], result] if isinstance(function, np.ufunc) else [*args[:2], result]
        rest = {name: value for name, value in kwargs.items() if name != "out"}
        if function in KEYWORD_OUT:
            self.calls.append(partial(function, *positional[:-1], out=result, **rest))
        else:
            self.calls.append(partial(function, *positional, **rest))
        return result

    def sum(self, x: np.ndarray, axis: Any = None, *, out: np.ndarray) -> np.ndarray:
        """np.sum, by the reduction that it comes to."""
        if not self.knows((x, out)):
            raise Unrecordable("sum of an array from elsewhere")
        reduce: Any = np.add.reduce
        self.calls.append(partial(reduce, x, axis, None, out))
        return reduce(x, axis, None, out)


class Functions:
    """The array module as a recorder shows it to a layer."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def __getattr__(self, name: str) -> Any:
        if name == "sum":
            return self._recorder.sum
        function = getattr(np, name)
        if isinstance(function, type):
            return function
        if name in FUNCTIONS or (isinstance(function, np.ufunc) and function.nout == 1):
            return partial(self._recorder.call, function)
        return refuse(name)


def refuse(name: str) -> Callable[..., Any]:
    """A function that cannot be recorded."""

    def refused(*args: Any, **kwargs: Any) -> Any:
        raise Unrecordable(name)

    return refused


def owner(array: np.ndarray) -> np.ndarray:
    """The array that owns the memory of a view."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
