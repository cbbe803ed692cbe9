"""Calls that work element by element, several of them fused into one loop over their elements.

What one call writes and a later one reads is still in a register then; of an array that several write only the last
value goes to memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinynn.compiler.arithmetic import FUNCTIONS, convert
from tinynn.compiler.code import Code
from tinynn.compiler.engine import lanes_of
from tinynn.compiler.types import FLOATS, SCALARS, Type

__all__ = ["Elementwise", "Group", "Here", "elementwise", "over", "usable"]


@dataclass(frozen=True)
class Elementwise:
    """out = function(*inputs), computed in `dtype`; inputs are arrays that broadcast to out, or numbers."""

    function: Any
    inputs: tuple[Any, ...]
    out: np.ndarray
    dtype: np.dtype

    @property
    def work(self) -> int:
        """Operations on elements, about."""
        return 4 * self.out.size


def usable(*arrays: Any) -> bool:
    """Whether loops can walk through the arrays: they are aligned, not empty, and of a dtype that LLVM has too."""
    return all(
        isinstance(x, np.ndarray)
        and x.dtype in SCALARS
        and x.flags.aligned
        and x.size > 0
        and not any(stride % x.itemsize for stride in x.strides)
        for x in arrays
    )


def elementwise(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Elementwise | None:
    """A call of a ufunc, or of copyto, as one that can be compiled; None where it cannot."""
    options = dict(kwargs)
    if function is np.copyto and len(args) == 2:
        function, out, inputs = np.positive, args[0], args[1:]
        options.setdefault("dtype", getattr(out, "dtype", None))
        options["casting"] = "unsafe"
    elif function is np.clip and len(args) == 4:
        inputs, out = args[:3], args[3]
    elif function in FUNCTIONS:
        inputs, out = args[: function.nin], args[function.nin] if len(args) > function.nin else options.pop("out", None)
    else:
        return None
    numbers = [x for x in inputs if not isinstance(x, np.ndarray)]
    if set(options) - {"dtype", "casting"} or any(type(x) not in (int, float) for x in numbers):
        return None
    arrays = [x for x in inputs if isinstance(x, np.ndarray)]
    if not usable(out, *arrays) or out.dtype not in FLOATS:
        return None
    if any(np.may_share_memory(x, out) and place(x, out.shape) != place(out, out.shape) for x in arrays):
        return None  # an element would be read after it was written as another one
    if function is np.positive or (function is np.clip and {x.dtype for x in arrays} == {out.dtype}):
        return Elementwise(function, inputs, out, out.dtype)
    if function is np.clip:
        return None
    given = tuple(x.dtype if isinstance(x, np.ndarray) else type(x) for x in inputs)
    dtype = options.get("dtype")
    rules: dict[str, Any] = {"casting": options.get("casting", "same_kind")}
    if dtype is not None:
        rules["signature"] = (*[np.dtype(dtype)] * function.nin, None)
    *loop, _ = function.resolve_dtypes((*given, out.dtype), **rules)
    return Elementwise(function, inputs, out, loop[0]) if {*loop} == {loop[0]} and loop[0] in FLOATS else None


def place(x: np.ndarray, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """The same for arrays that, broadcast to a shape, show the same elements at the same places."""
    strides = np.broadcast_to(x, shape).strides
    return x.ctypes.data, x.dtype, *(stride for stride, size in zip(strides, shape, strict=True) if size > 1)


class Group:
    """Calls that one loop can do: their results have one shape, and what they share they see in the same way."""

    def __init__(self, first: Elementwise) -> None:
        self.calls = [first]
        self.shape = first.out.shape

    def accepts(self, call: Elementwise) -> bool:
        """Whether the call may join: no element that it touches is one of another place of the loop."""
        if call.out.shape != self.shape:
            return False
        for other in self.calls:
            for written, x in [(call.out, y) for y in (*other.inputs, other.out)] + [
                (other.out, y) for y in call.inputs
            ]:
                if isinstance(x, np.ndarray) and np.may_share_memory(written, x) and self.key(written) != self.key(x):
                    return False
        return True

    def key(self, x: np.ndarray) -> tuple[Any, ...]:
        return place(x, self.shape)

    def emit(self, code: Code) -> None:
        """The loop, or the nest of loops."""
        arrays: dict[Any, np.ndarray] = {}
        for call in self.calls:
            for x in (*call.inputs, call.out):
                if isinstance(x, np.ndarray):
                    arrays.setdefault(self.key(x), x)
        over(code, self.shape, arrays, self.calls[0].out, self.body, [call.dtype for call in self.calls])

    def body(self, here: Here) -> None:
        """All calls, for one vector of elements."""
        code, values, written = here.code, {}, {}

        def value(x: Any, wanted: Type) -> str:
            if not isinstance(x, np.ndarray):
                return wanted.all(x)
            key = self.key(x)
            if key not in values:
                values[key] = here.load(key)
            return convert(code, values[key], Type(x.dtype, here.lanes), wanted)

        for call in self.calls:
            type = Type(call.dtype, here.lanes)
            result = FUNCTIONS[call.function](code, type, *(value(x, type) for x in call.inputs))
            key = self.key(call.out)
            values[key] = convert(code, result, type, Type(call.out.dtype, here.lanes))
            written[key] = call.out
        for key in written:
            here.store(key, values[key])


@dataclass(frozen=True)
class Here:
    """A place of a loop: where each array is there, `at`; `lanes` of its elements side by side, of which some count."""

    code: Code
    arrays: dict[Any, np.ndarray]
    inner: dict[Any, int]  # the step of each array along the vector
    at: dict[Any, Any]
    lanes: int
    active: int

    def type(self, key: Any) -> Type:
        """What `load` gives."""
        return Type(self.arrays[key].dtype, self.lanes)

    def load(self, key: Any) -> str:
        """The elements of an array."""
        pointer, type = self.code.array(self.arrays[key]), self.type(key)
        if self.inner[key] == 0:
            return self.code.splat(self.code.load(pointer, self.at[key], Type(type.dtype)), type)
        return self.code.load(pointer, self.at[key], type, self.active)

    def store(self, key: Any, value: str) -> None:
        """Writes the elements of an array."""
        self.code.store(self.code.array(self.arrays[key]), self.at[key], value, self.type(key), self.active)


def over(
    code: Code,
    shape: tuple[int, ...],
    arrays: dict[Any, np.ndarray],
    out: np.ndarray,
    body: Callable[[Here], None],
    dtypes: Sequence[np.dtype] = (),
    alone: bool = False,
) -> None:
    """Loops over all places of arrays that broadcast to one shape, in the order in which `out` lies in memory.

    `dtypes`: of other values of the body than the arrays, since the widest decides how many go into a vector. `alone`:
    one thread does it all, where places are not independent of each other.
    """
    sizes, strides = axes(shape, [np.broadcast_to(x, shape) for x in arrays.values()], out)
    steps = dict(zip(arrays, strides, strict=True))
    inner = {key: step[-1] for key, step in steps.items()}
    widest = max(dtype.itemsize for dtype in [*(x.dtype for x in arrays.values()), *dtypes])
    scattered = any(step not in (0, 1) for step in inner.values())  # then one element after the other
    lanes = 1 if scattered else lanes_of(widest, sizes[-1])

    def nest(axis: int, at: dict[Any, Any]) -> None:
        def moved(i: Any) -> dict[Any, Any]:
            return {key: code.plus(at[key], code.times(i, steps[key][axis])) for key in at}

        loop, once = (code.shared, code.once) if axis == 0 and not alone else (code.loop, code.here)
        if axis < len(sizes) - 1:
            with loop(sizes[axis]) as i:
                nest(axis + 1, moved(i))
            return
        full, rest = divmod(sizes[axis], lanes)
        if full:
            with loop(full * lanes, step=lanes) as i:
                body(Here(code, arrays, inner, moved(i), lanes, lanes))
        if rest:
            with once():
                body(Here(code, arrays, inner, moved(full * lanes), lanes, rest))

    with code.only(0) if alone else code.here():
        nest(0, dict.fromkeys(arrays, 0))


def axes(shape: tuple[int, ...], arrays: list[np.ndarray], out: np.ndarray) -> tuple[list[int], list[list[int]]]:
    """The fewest axes that reach all elements, the last one the closest in memory: sizes, and the steps of each array.

    Steps are in elements; an axis along which an array repeats itself has step 0.
    """
    order = [axis for axis in sorted(range(len(shape)), key=lambda a: -abs(out.strides[a])) if shape[axis] > 1]
    sizes: list[int] = []
    steps: list[list[int]] = [[] for _ in arrays]
    for axis in order:
        here = [x.strides[axis] // x.itemsize for x in arrays]
        if sizes and all(step[-1] == s * shape[axis] for step, s in zip(steps, here, strict=True)):
            sizes[-1] *= shape[axis]
            for step, s in zip(steps, here, strict=True):
                step[-1] = s
        else:
            sizes.append(shape[axis])
            for step, s in zip(steps, here, strict=True):
                step.append(s)
    return (sizes, steps) if sizes else ([1], [[1] for _ in arrays])
