"""CUDA kernels by their source: compiled for the types they are asked for, kept, and launched."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import numpy as np

__all__ = ["FLOATS", "NULL", "THREADS", "Array", "Kernels", "dense", "flat", "heading", "types"]

Array = Any
"""An array on the device."""

THREADS = 256
FLOATS = (np.dtype("float32"), np.dtype("float64"))
NULL = np.intp(0)
"""A pointer to nothing. CuPy takes None for an argument that is not there."""

OPTIONS = ("--fmad=false",)
"""So that a * b + c is rounded twice, as NumPy rounds it: what needs no exp has the same bits on both."""

NAMES = {
    np.dtype(kind).char: name
    for kind, name in {
        "bool": "bool",
        "int8": "signed char",
        "uint8": "unsigned char",
        "int16": "short",
        "uint16": "unsigned short",
        "int32": "int",
        "uint32": "unsigned int",
        "int64": "long long",
        "uint64": "unsigned long long",
        "float32": "float",
        "float64": "double",
        "longlong": "long long",
        "ulonglong": "unsigned long long",
        "intc": "int",
        "uintc": "unsigned int",
    }.items()
}
"""What C calls the dtypes, each by its own letter: NumPy has more letters than kinds of integers."""

COMMON = f"""
#define THREADS {THREADS}
// Elements i < n, however many threads there are.
#define EACH(i, n) \\
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n; i += gridDim.x * (long long)blockDim.x)
"""


class Kernels:
    """`launch(source, head, name, blocks, *args)` starts a kernel of a source that begins with these lines.

    `xp`: CuPy. Every source is compiled once for each head; nothing is copied, allocated or waited for after that.
    `most`: the largest number of blocks; with more elements than threads, threads take several. `wide`: the number of
    elements from which on places are counted in 64 bits.
    """

    def __init__(self, xp: Any) -> None:
        self.xp = xp
        self.most, self.wide = 4096, 2**30
        self._modules: dict[tuple[str, str], Any] = {}
        self._functions: dict[tuple[str, str, str], Any] = {}

    def launch(self, source: str, head: str, name: str, blocks: int, *args: Any) -> None:
        """`args`: arrays, NumPy's numbers of the parameters' types, or Python's for a `long long` or a `double`."""
        function = self._functions.get((source, head, name))
        if function is None:
            module = self._modules.get((source, head))
            if module is None:
                module = self._modules[source, head] = self.xp.RawModule(code=head + COMMON + source, options=OPTIONS)
            function = self._functions[source, head, name] = module.get_function(name)
        numbers = tuple(NUMBERS[type(x)](x) if type(x) in NUMBERS else x for x in args)
        function((min(max(1, blocks), self.most),), (THREADS,), numbers)

    def over(self, source: str, head: str, name: str, size: int, *args: Any) -> None:
        """A kernel with a thread for each of `size` elements."""
        self.launch(source, head, name, -(-size // THREADS), *args)

    def own(self, *arrays: Any) -> bool:
        """Whether they are arrays on the device."""
        return all(isinstance(x, self.xp.ndarray) for x in arrays)

    def index(self, *arrays: Array) -> Any:
        """The type that counts the elements of arrays: divisions by 32 bits take a fraction of the time."""
        return np.int32 if max(x.size for x in arrays) < self.wide else np.int64


NUMBERS: dict[type, Any] = {int: np.int64, float: np.float64}


@cache
def types(**dtypes: Any) -> str | None:
    """`using T = float;` for T=float32, and so on; None where C has no such type."""
    lines = []
    for alias, dtype in dtypes.items():
        if (name := NAMES.get(np.dtype(dtype).char)) is None:
            return None
        lines.append(f"using {alias} = {name};\n")
    return "".join(lines)


def heading(dtype: Any, **dtypes: Any) -> str:
    """The types of a source whose numbers are floats."""
    found = types(T=dtype, **dtypes)
    assert found is not None
    return found


def flat(*arrays: Array) -> bool:
    """Whether all are of one float dtype, their elements one behind the other in the order of the axes."""
    dtype = arrays[0].dtype
    return dtype in FLOATS and all(x.dtype == dtype and x.flags.c_contiguous for x in arrays)


def dense(*arrays: Array) -> bool:
    """Whether all are of one float dtype and shape, and lie in memory in one order of the axes, without gaps."""
    first = arrays[0]
    dtype, shape = first.dtype, first.shape
    if dtype not in FLOATS or any(x.dtype != dtype or x.shape != shape for x in arrays):
        return False
    if all(x.flags.c_contiguous for x in arrays):
        return True
    return all(x.strides == first.strides for x in arrays) and gapless(shape, first.strides, first.itemsize)


@lru_cache(maxsize=1024)
def gapless(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> bool:
    """Whether the axes, in some order, are those of an array without gaps."""
    expected = itemsize
    for stride, size in sorted((stride, size) for size, stride in zip(shape, strides, strict=True) if size != 1):
        if stride != expected:
            return False
        expected *= size
    return True
