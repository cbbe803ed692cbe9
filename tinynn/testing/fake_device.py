"""A GPU that is not there: what backend="cupy" does, on NumPy, with the rules of CuPy and of a captured step."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tinynn.backend import Array
from tinynn.backend.device_ops import DeviceOps
from tinynn.testing.device_array import QUEUE, DeviceArray, refuse_blas
from tinynn.testing.device_queue import erased, refuse
from tinynn.testing.fake_cuda import FakeCuda

__all__ = ["FakeDevice"]

VIEWS = (
    *("array_split", "ascontiguousarray", "asfortranarray", "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_to"),
    *("diagonal", "dsplit", "expand_dims", "flip", "fliplr", "flipud", "hsplit", "moveaxis", "ravel", "reshape"),
    *("rollaxis", "rot90", "split", "squeeze", "swapaxes", "transpose", "vsplit"),
)
WRITES = ("copyto", "fill_diagonal", "place", "put", "put_along_axis", "putmask")
COUNTS = ("argwhere", "extract", "flatnonzero", "nonzero", "trim_zeros", "unique")
"""Functions whose results have a shape that depends on numbers: the host waits for them."""
PRODUCTS = ("dot", "einsum", "inner", "kron", "matmul", "outer", "tensordot", "vdot")
ON_THE_HOST = ("can_cast", "common_type", "finfo", "iinfo", "isscalar", "ndim", "promote_types", "result_type", "shape")
"""Functions that look at dtypes and shapes alone."""
MISSING = (
    *("apply_over_axes", "asmatrix", "block", "bmat", "einsum_path", "errstate", "frompyfunc", "geomspace", "insert"),
    *("isnat", "ma", "matrix", "matvec", "memmap", "nanpercentile", "nanquantile", "ndenumerate", "nditer", "spacing"),
    *("polyder", "polydiv", "polyint", "recarray", "strings", "unstack", "vecdot", "vecmat"),
)
"""What NumPy has and CuPy 14.2 has not."""


class FakeDevice(DeviceOps):
    """A backend for people without a GPU who write layers: `net.build(shape, backend=FakeDevice())`.

    It computes what NumPy computes, on arrays that are none of NumPy's, and refuses what a GPU would refuse or do
    slowly behind your back: host functions and host arrays among those of the device, float(x), an array as a
    condition; and in a step that is captured, whatever copies to or from the host, or waits. Indices beyond the end
    begin again at the start, as CuPy's do, and `xp.empty` is full of NaN.

    Errors: DeviceError that names the line and says what to write instead.
    """

    name = "fake"

    def __init__(self) -> None:
        super().__init__()
        self.xp = FakeCupy()

    def __reduce__(self) -> tuple[Any, ...]:
        return FakeDevice, ()

    # The door to the matrix products is the backend's own, as on a GPU: it may be captured.

    def matmul(self, a: Array, b: Array, out: Array) -> Array:
        return QUEUE.launch(np.matmul, a, b, out=out)

    def matmul_stack(self, a: Array, b: Array, out: Array) -> Array:
        return QUEUE.launch(np.matmul, a, b, out=out)


class FakeCupy:
    """What the backend and the layers ask of the module `cupy`: NumPy's functions, where CuPy has one of that name."""

    ndarray = DeviceArray
    cuda = FakeCuda

    def __init__(self) -> None:
        self.lib, self.linalg, self.fft = Part(np.lib), Part(np.linalg), Part(np.fft)

    def asarray(self, x: Any, dtype: Any = None) -> DeviceArray:
        """An array on the device as it is; anything else is copied there."""
        if isinstance(x, DeviceArray):
            return x.astype(dtype or x.dtype, copy=False)
        QUEUE.refuse_capture("a copy from the host", "arrays that were brought to the device before, in build")
        return QUEUE.owned(np.array(x, dtype))

    def array(self, x: Any, dtype: Any = None, copy: bool = True) -> DeviceArray:
        """A copy on the device."""
        return x.astype(dtype or x.dtype, copy=copy) if isinstance(x, DeviceArray) else self.asarray(x, dtype)

    def asnumpy(self, x: Any) -> np.ndarray:
        """A copy on the host."""
        return x.get() if isinstance(x, DeviceArray) else np.asarray(x)

    def empty(self, shape: Any, dtype: Any = float) -> DeviceArray:
        """An array with nothing in it that would pass for a result."""
        return QUEUE.launch(lambda: erased(np.empty(shape, dtype)))

    def empty_like(self, x: Any, dtype: Any = None) -> DeviceArray:
        """As `empty`, of x's shape."""
        return QUEUE.launch(lambda x: erased(np.empty_like(x, dtype)), x)

    def take(self, x: DeviceArray, indices: Any, axis: int | None = None, out: Any = None) -> DeviceArray:
        """As NumPy's, but that indices beyond the end begin again at the start."""
        return x.take(indices, axis, out)

    def where(self, condition: Any, *values: Any) -> Any:
        """As NumPy's."""
        if not values:
            return self.__getattr__("nonzero")(condition)
        return QUEUE.launch(np.where, condition, *values)

    def __getattr__(self, name: str) -> Any:
        if name == "random":
            refuse("xp.random, whose numbers depend on the device", "the same numbers on every one", "self.ops.uniform")
        if name.startswith("_") or name in MISSING:
            raise AttributeError(f"module 'cupy' has no attribute {name!r}")
        return wrapped(name, getattr(np, name))


class Part:
    """A part of the module, such as `linalg`."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        thing = getattr(self._module, name)
        if not callable(thing) and not name.startswith("_"):
            return Part(thing)
        if name != "as_strided":
            QUEUE.refuse_capture(f"{name}, by one of the libraries that CuPy calls", "functions of xp itself")
            return partial(QUEUE.launch, thing)
        return partial(QUEUE.show, thing)


def wrapped(name: str, thing: Any) -> Any:
    """A function of NumPy's as one of the device's."""
    if isinstance(thing, type) or not callable(thing) or name in ON_THE_HOST:
        return thing
    if name in PRODUCTS:
        refuse_blas(f"xp.{name}")
    if name in COUNTS:
        QUEUE.refuse_capture(f"xp.{name}, whose result's shape depends on numbers", "xp.where(condition, a, b)")
    if isinstance(thing, np.ufunc):
        return Function(thing)
    return partial(QUEUE.show if name in VIEWS else QUEUE.do if name in WRITES else QUEUE.launch, thing)


class Function:
    """A function of CuPy's that works element by element."""

    def __init__(self, ufunc: np.ufunc) -> None:
        self.ufunc = ufunc
        self.nin, self.nout, self.__name__ = ufunc.nin, ufunc.nout, ufunc.__name__

    def __call__(self, *args: Any, out: Any = None, dtype: Any = None, casting: Any = "same_kind") -> Any:
        if len(args) > self.nin:
            out = args[self.nin]
        options = {} if dtype is None else {"dtype": dtype}
        return QUEUE.launch(self.ufunc, *args[: self.nin], out=out, casting=casting, **options)

    def at(self, x: DeviceArray, indices: Any, *values: Any) -> None:
        """As NumPy's."""
        QUEUE.do(lambda x, *rest: self.ufunc.at(x, *rest), x, indices % len(x), *values)

    def reduce(self, x: DeviceArray, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        """As NumPy's."""
        return QUEUE.launch(self.ufunc.reduce, x, axis=axis, dtype=dtype, out=out, keepdims=keepdims)

    def outer(self, a: DeviceArray, b: DeviceArray) -> Any:
        """As NumPy's."""
        return QUEUE.launch(self.ufunc.outer, a, b)
