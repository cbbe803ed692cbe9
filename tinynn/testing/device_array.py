"""An array in the memory of a device that is not there: NumPy's numbers, CuPy's rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np

from tinynn.testing.device_queue import HOST, DeviceQueue, Memory, refuse

__all__ = ["QUEUE", "DeviceArray", "refuse_blas"]

COPIES = (
    *("all", "any", "argmax", "argmin", "argpartition", "argsort", "choose", "clip", "compress", "conj", "conjugate"),
    *("copy", "cumprod", "cumsum", "dot", "flatten", "max", "mean", "min", "prod", "repeat", "round", "std", "sum"),
    *("trace", "var"),
)
VIEWS = ("diagonal", "ravel", "reshape", "squeeze", "swapaxes", "transpose", "view")
WRITES = ("fill", "partition", "put", "sort")
PROPERTIES = ("dtype", "flags", "itemsize", "nbytes", "ndim", "shape", "size", "strides")
OPERATORS = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.divide,
    "floordiv": np.floor_divide,
    "mod": np.remainder,
    "pow": np.power,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "lshift": np.left_shift,
    "rshift": np.right_shift,
}
COMPARISONS = {
    "lt": np.less,
    "le": np.less_equal,
    "eq": np.equal,
    "ne": np.not_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}
SINGLE = {"neg": np.negative, "pos": np.positive, "abs": np.absolute, "invert": np.invert}


class DeviceArray:
    """What `FakeDevice` hands out in the place of a `cupy.ndarray`.

    No subclass of NumPy's array: of one of those NumPy makes an ordinary array without asking.
    """

    __slots__ = ("__weakref__", "_memory", "_x")
    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __init__(self, x: np.ndarray, memory: Memory) -> None:
        self._x, self._memory = x, memory

    def __getattr__(self, name: str) -> Any:
        if name in PROPERTIES:
            return getattr(self._x, name)
        function = getattr(np.ndarray, name, None)
        if name in COPIES:
            return lambda *args, **kwargs: QUEUE.launch(function, self, *args, **kwargs)
        if name in VIEWS:
            return lambda *args, **kwargs: QUEUE.show(function, self, *args, **kwargs)
        if name in WRITES:
            return lambda *args, **kwargs: QUEUE.do(function, self, *args, **kwargs)
        raise AttributeError(f"an array on the device has no {name!r}")

    # --- what stays on the device

    @property
    def T(self) -> DeviceArray:
        return DeviceArray(self._x.T, self._memory)

    @property
    def base(self) -> DeviceArray | None:
        base = self._x.base
        return DeviceArray(base, self._memory) if isinstance(base, np.ndarray) else None

    def astype(
        self, dtype: Any, order: Any = "K", casting: Any = "unsafe", subok: Any = None, copy: bool = True
    ) -> Any:
        """As NumPy's."""
        ask = QUEUE.launch if copy else QUEUE.show
        return ask(np.ndarray.astype, self, dtype, order, casting, copy=copy)

    def take(self, indices: Any, axis: int | None = None, out: Any = None) -> DeviceArray:
        """As NumPy's, but that indices beyond the end begin again at the start."""
        return QUEUE.launch(np.take, self, indices, axis=axis, out=out, mode="wrap")

    def __len__(self) -> int:
        return len(self._x)

    def __iter__(self) -> Iterator[DeviceArray]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        place = index if isinstance(index, tuple) else (index,)
        if all(map(basic, place)):
            whole = place if any(each is Ellipsis for each in place) else (*place, ...)  # of one element, still a view
            return DeviceArray(self._x[whole], self._memory)
        if any(kind(each) == "b" for each in place):
            QUEUE.refuse_capture("x[mask], whose shape depends on numbers", "x * mask, or xp.where(mask, x, 0)")
        return QUEUE.launch(lambda x, *place: x[around(x, place)], self, *place)

    def __setitem__(self, index: Any, value: Any) -> None:
        place = index if isinstance(index, tuple) else (index,)

        def put(x: np.ndarray, value: Any, *place: Any) -> None:
            x[around(x, place)] = value

        QUEUE.do(put, self, value, *place)

    def __matmul__(self, other: Any) -> DeviceArray:
        refuse_blas("x @ y")
        return QUEUE.launch(np.matmul, self, other)

    def __copy__(self) -> DeviceArray:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> DeviceArray:
        return self.copy()

    def __reduce__(self) -> tuple[Any, ...]:
        return on_device, (self.get(),)

    def __repr__(self) -> str:
        return f"DeviceArray(shape={self.shape}, dtype={self.dtype})"

    # --- what would wait for the device, or mix it with the host

    def get(self) -> np.ndarray:
        """A copy on the host: the one way there."""
        return QUEUE.read(self)

    def _wait(self, what: str, fix: str = HOST) -> NoReturn:
        refuse(f"{what} of an array on the device: it waits until all that was asked for is done", "no wait", fix)

    def __float__(self) -> float:
        self._wait("float(x)")

    def __int__(self) -> int:
        self._wait("int(x)")

    def __index__(self) -> int:
        self._wait("a Python integer")

    def __bool__(self) -> bool:
        self._wait("the truth", "xp.where(x > 0, a, b), or a number of the host's")

    def item(self, *args: Any) -> NoReturn:
        """Refused, as is all below."""
        self._wait("x.item()")

    def tolist(self) -> NoReturn:
        """Refused."""
        self._wait("x.tolist()")

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        refuse("an array on the device where one on the host is wanted", "self.xp and self.ops, not np", HOST)

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        QUEUE.unwrapped([x for x in args if isinstance(x, np.ndarray)])  # which it refuses
        if method == "__call__" and not kwargs and any(isinstance(x, np.generic) for x in args):
            return QUEUE.launch(ufunc, *args)  # np.float64(2) * x
        return self._host_function(ufunc.__name__)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function.__name__ in ("shape", "ndim", "size"):  # they need no numbers
            return getattr(self, function.__name__)
        return self._host_function(function.__name__)

    def _host_function(self, name: str) -> NoReturn:
        refuse(f"np.{name} of an array on the device", f"self.xp.{name}", "self.xp.f(x) in the place of np.f(x)")


QUEUE = DeviceQueue(DeviceArray)
"""There is one device."""


def on_device(x: np.ndarray) -> DeviceArray:
    """A copy of a host array on the device."""
    return QUEUE.owned(x.copy())


def methods_of(ufunc: Any) -> tuple[Callable[..., Any], ...]:
    """x + y, y + x, and x += y, for one of NumPy's functions."""

    def plain(self: DeviceArray, other: Any) -> Any:
        return QUEUE.launch(ufunc, self, other)

    def turned(self: DeviceArray, other: Any) -> Any:
        return QUEUE.launch(ufunc, other, self)

    def in_place(self: DeviceArray, other: Any) -> Any:
        return QUEUE.launch(ufunc, self, other, out=self)

    return plain, turned, in_place


def single(ufunc: Any) -> Callable[[DeviceArray], Any]:
    """-x and the like."""
    return lambda self: QUEUE.launch(ufunc, self)


for _name, _ufunc in OPERATORS.items():
    for _prefix, _method in zip(("", "r", "i"), methods_of(_ufunc), strict=True):
        setattr(DeviceArray, f"__{_prefix}{_name}__", _method)
for _name, _ufunc in COMPARISONS.items():
    setattr(DeviceArray, f"__{_name}__", methods_of(_ufunc)[0])
for _name, _ufunc in SINGLE.items():
    setattr(DeviceArray, f"__{_name}__", single(_ufunc))


def refuse_blas(what: str) -> None:
    """Errors: DeviceError while a step is captured: CuPy then refuses cuBLAS."""
    QUEUE.refuse_capture(f"{what}, a matrix product by CuPy's own cuBLAS", "self.ops.matmul(a, b, out=...)")


def basic(index: Any) -> bool:
    """Whether an index only shows another part of the same memory."""
    if index is None or index is Ellipsis or isinstance(index, slice):
        return True
    return isinstance(index, int | np.integer) and not isinstance(index, bool)


def around(x: np.ndarray, place: tuple[Any, ...]) -> tuple[Any, ...]:
    """Indices with those beyond the end begun again at the start, as on a device, which cannot raise an error."""
    axis, found = 0, []
    for i, each in enumerate(place):
        if each is Ellipsis:
            axis = x.ndim - sum(axes(one) for one in place[i + 1 :])
        elif isinstance(each, np.ndarray) and kind(each) in "iu":
            each = each.astype(np.int64) % max(1, x.shape[axis])
        found.append(each)
        axis += axes(each)
    return tuple(found)


def kind(index: Any) -> str:
    """The kind of an index that is an array, "" for others."""
    return index.dtype.kind if hasattr(index, "dtype") else ""


def axes(index: Any) -> int:
    """How many axes an index speaks of."""
    if index is None or index is Ellipsis:
        return 0
    return index.ndim if kind(index) == "b" else 1
