"""Array calls recorded as they are made, so that they can be made again without the code that made them.

In a steady step every array keeps its place in memory: parameters, gradients, the batch, and what `Layer.empty` gave.
So of `xp.add(y, b, out=y)` nothing need be kept but the function and its arrays, and a step of a network is a list of
such calls, without the layers' Python. It is what a CUDA graph is to the kernels of a GPU.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

__all__ = ["Recorder", "Unrecordable", "owner"]

FUNCTIONS = {"copyto": 2, "dot": 2, "clip": 3}
"""What may be recorded beside ufuncs: functions that do nothing but write an array, the same way each time. The number
is that of the arguments before `out`, or in front of the options."""

KEYWORD_OUT = (np.maximum, np.minimum)
"""Ufuncs that are about to lose `out` as a third argument; for the others it saves a third of the call."""


NO_STATE = np.empty(0)
NUMBERS = (bool, int, float)  # np.float64 is a float too, but may have been computed


class Unrecordable(Exception):
    """A call that must be made anew each time, or an array that nobody recorded."""


class Recorder:
    """A list of calls, and the arrays that are known to be where they are each time.

    `xp` and `ops` stand in for those of a layer: they do what is asked of them and keep it in `calls`. An array that
    is in no known place raises Unrecordable: it was computed behind the recorder's back. So do Python's numbers, unless
    `settings` says that they stay what they are: a layer's setting may be changed between two calls. `state`: what
    layers change as they run, if they do.
    """

    def __init__(
        self, ops: Any, known: Iterable[np.ndarray], state: np.ndarray = NO_STATE, settings: bool = True
    ) -> None:
        self.settings, self.state = settings, state
        self.calls: list[Callable[[], Any]] = []
        self._known: dict[int, np.ndarray] = {}
        for array in (*known, state):
            self.know(array)
        self.xp = Functions(self)
        self.ops = copy.copy(ops)  # with the constants it holds
        self.ops.xp = self.xp
        for name in dir(type(ops)):
            verb = getattr(type(ops), name)
            if name.startswith("_") or not callable(verb) or hasattr(verb, "straight"):
                continue
            itself = getattr(ops, name)
            recorded = partial(self.whole, itself) if hasattr(verb, "whole") else refuse(name)
            setattr(self.ops, name, itself if hasattr(verb, "view") else recorded)
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
        # A slice says where in an array; it comes from shapes alone. A bare object is a token, and holds nothing.
        settled = isinstance(value, str | slice | np.dtype | type) or type(value) is object
        return value is None or settled or (self.settings and type(value) in NUMBERS)

    def mark(self) -> tuple[int, np.ndarray]:
        """Where the record stands; `back_to(mark)` undoes what was recorded since, and what that did to the state."""
        return len(self.calls), self.state.copy()

    def back_to(self, mark: tuple[int, np.ndarray]) -> None:
        """Calls that cannot be kept are to be made another way."""
        length, self.state[...] = mark
        del self.calls[length:]

    def call(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Makes the call and keeps it; where it returns a new array, every later call will write into that one."""
        if not (self.knows(args) and self.knows(list(kwargs.values()))):
            raise Unrecordable(f"{function.__name__} of an array from elsewhere")
        result = function(*args, **kwargs)
        if function is np.copyto:
            self.calls.append(partial(function, *args, **kwargs))
            return None
        if isinstance(out := kwargs.get("out"), np.ndarray):
            result = out  # np.dot returns a number instead, where `out` is an array without axes
        if not isinstance(result, np.ndarray):
            raise Unrecordable(f"{function.__name__} returns a number")
        self.know(result)
        inputs = function.nin if isinstance(function, np.ufunc) else FUNCTIONS[function.__name__]
        positional = [*args[:inputs], result]
        rest = {name: value for name, value in kwargs.items() if name != "out"}
        if function in KEYWORD_OUT:
            self.calls.append(partial(function, *positional[:-1], out=result, **rest))
        else:
            self.calls.append(partial(function, *positional, **rest))
        return result

    def sum(
        self, x: np.ndarray, axis: Any = None, dtype: Any = None, *, out: np.ndarray, keepdims: bool = False
    ) -> np.ndarray:
        """np.sum, by the reduction that it comes to."""
        if not self.knows((x, out)):
            raise Unrecordable("sum of an array from elsewhere")
        reduce: Any = np.add.reduce
        over = axis[0] if isinstance(axis, tuple) and len(axis) == 1 else axis
        self.calls.append(partial(reduce, x, over, dtype, out, *((True,) if keepdims else ())))
        return self.calls[-1]()

    def whole(self, verb: Any, *args: Any, **kwargs: Any) -> Any:
        """Calls the verb and keeps that as one call, its arguments in the order in which the verb names them."""
        given = inspect.signature(verb).bind(*args, **kwargs).args
        if not self.knows(given):
            raise Unrecordable(f"{verb.__name__} of an array from elsewhere")
        self.calls.append(partial(verb, *given))
        return verb(*given)


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
    base: Any = array
    while base is not None:
        if isinstance(base, np.ndarray):
            array = base
        base = getattr(base, "base", None)  # as_strided puts an object of its own between a view and its array
    return array
