"""What a device that is not there has to do: calls of NumPy's functions, made at once, or kept for a captured step."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NoReturn

import numpy as np

from tinynn.errors import DeviceError

__all__ = ["HOST", "DeviceQueue", "Memory", "Record", "erased", "refuse"]

HOST = "self.ops.to_host(x), outside the step; within it the number stays on the device"

BELOW = ("tinynn.testing.device", "tinynn.testing.fake", "tinynn.backend", "numpy")
"""Modules that a layer's own line calls."""

UNKNOWN = frozenset({"initial", "like", "subok", "where"})
"""Options of NumPy's that CuPy's functions have not."""


class Memory:
    """Memory on the device: given back when no array knows of it any more."""


class DeviceQueue(threading.local):
    """Calls of arrays on the device. `array`: makes one, of NumPy's array and its memory.

    While a step is captured nothing is computed, as on a real device: results are NaN until `replay` makes the calls. A
    replay goes to the memory that the record names, whoever has it by then; here it is refused if it was given back.
    `launches` counts calls and replays. All this is each thread's own, as streams are.
    """

    def __init__(self, array: Callable[[np.ndarray, Memory], Any]) -> None:
        self.array = array
        self.recorded: Record | None = None
        self.pool: list[Memory] | None = None
        self.launches = 0

    # --- calls

    def launch(self, function: Any, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        """The call, of arrays on the device; `out`, or a new array, also where NumPy returns a number."""
        if unknown := UNKNOWN.intersection(kwargs):
            raise TypeError(f"CuPy's {function.__name__} takes no {min(unknown)}")
        call = partial(function, *self.unwrapped(args), **self.unwrapped(kwargs))
        if out is not None:
            self.make(partial(call, out=self.unwrapped(out)), args, kwargs, out)
            return out
        if self.recorded is None:
            self.launches += 1
            return self.owned(call())
        with np.errstate(all="ignore"):
            result = call()  # only to learn its shape
        results = [erased(np.array(each)) for each in (result if isinstance(result, tuple | list) else (result,))]

        def again() -> None:
            now = call()
            for place, each in zip(results, now if isinstance(now, tuple | list) else (now,), strict=True):
                place[...] = each

        made = [self.owned(each) for each in results]
        self.make(again, args, kwargs, made)
        return type(result)(made) if isinstance(result, tuple | list) else made[0]

    def do(self, function: Any, *args: Any, **kwargs: Any) -> None:
        """A call that writes into one of its arguments and returns nothing."""
        self.make(partial(function, *self.unwrapped(args), **self.unwrapped(kwargs)), args, kwargs)

    def show(self, function: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Another view of the same memory; where there is none, a copy, which the device has to make."""
        own, options = self.unwrapped(x), self.unwrapped(kwargs)
        view = function(own, *self.unwrapped(args), **options)
        views = view if isinstance(view, tuple | list) else (view,)
        if not all(not each.size or np.may_share_memory(each, own) for each in views):
            return self.launch(function, x, *args, **kwargs)
        made = [self.array(each, x._memory) for each in views]
        return made if isinstance(view, tuple | list) else made[0]

    def make(self, call: Callable[[], Any], *arrays: Any) -> None:
        """Now, or when the step is replayed. `arrays`: whatever the call reads or writes."""
        if self.recorded is None:
            self.launches += 1
            call()
        else:
            self.recorded.add(call, arrays)

    def owned(self, x: Any) -> Any:
        """A result, or several, in memory of their own."""
        if isinstance(x, tuple | list):
            return type(x)([self.owned(each) for each in x])
        memory = Memory()
        if self.pool is not None:
            self.pool.append(memory)
        elif self.recorded is not None:
            self.refuse_capture("memory from the common pool", "a pool of the graph's own, as ops.capture_step has")
        return self.array(np.asarray(x), memory)

    def read(self, x: Any) -> np.ndarray:
        """A copy of x on the host."""
        self.refuse_capture("a copy to the host", HOST)
        return self.unwrapped(x).copy()

    def refuse_capture(self, what: str, fix: str) -> None:
        """Errors: DeviceError for what cannot be done while a step is captured: there are no numbers yet."""
        if self.recorded is not None:
            refuse(f"{what} while a step is captured", "what only launches kernels", fix)

    def unwrapped(self, value: Any) -> Any:
        """What NumPy knows an argument by.

        Errors: DeviceError for an array that lies on the host.
        """
        if isinstance(value, np.ndarray):
            refuse(
                f"an array on the host, {value.dtype} of shape {value.shape}, among those on the device",
                "all of them on the device",
                "self.ops.asarray(x) in build; constants as Python numbers",
            )
        if isinstance(value, tuple | list):
            return type(value)([self.unwrapped(each) for each in value])
        if isinstance(value, dict):
            return {name: self.unwrapped(each) for name, each in value.items()}
        return getattr(value, "_x", value)


class Record:
    """The calls of a captured step."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], Any]] = []
        self.memory: dict[int, weakref.ref[Memory]] = {}

    def add(self, call: Callable[[], Any], arrays: Any) -> None:
        """One more call, and the memory it will find its arrays in."""
        self.calls.append(call)
        for memory in memories(arrays):
            self.memory[id(memory)] = weakref.ref(memory)

    def replay(self) -> None:
        """All calls.

        Errors: DeviceError where the memory of an array was given back: a device would read and write what is there.
        """
        if any(known() is None for known in self.memory.values()):
            refuse(
                "a captured step uses the memory of an array that is gone",
                "arrays that live as long as the graph",
                "keep what the step reads, or let the step allocate it",
            )
        for call in self.calls:
            call()


def memories(value: Any) -> Iterator[Memory]:
    """The memory of all arrays in a value."""
    if isinstance(value, tuple | list):
        for each in value:
            yield from memories(each)
    elif isinstance(value, dict):
        yield from memories(list(value.values()))
    elif isinstance(memory := getattr(value, "_memory", None), Memory):
        yield memory


def erased(x: np.ndarray) -> np.ndarray:
    """The array with nothing in it that would pass for a result."""
    x[...] = np.nan if x.dtype.kind == "f" else 0x55
    return x


def refuse(what: str, expected: str, fix: str) -> NoReturn:
    """Errors: DeviceError that names the line which is to be changed."""
    frame: Any = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(BELOW):
        frame = frame.f_back
    where = f"{frame.f_code.co_filename}, line {frame.f_lineno}, in {frame.f_code.co_name}"
    raise DeviceError(what, where=where, expected=expected, fix=fix)
