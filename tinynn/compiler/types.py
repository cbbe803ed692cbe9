"""The types of values, and constants, as LLVM reads them."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

__all__ = ["FLOATS", "INDEX", "SCALARS", "Type", "number"]

FLOATS = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}
SCALARS = {
    **FLOATS,
    np.dtype(np.bool_): "i8",
    **{np.dtype(f"{kind}{size}"): f"i{8 * size}" for kind in "iu" for size in (1, 2, 4, 8)},
}


class Type:
    """A vector of so many lanes, or with 1 lane a number, of a NumPy dtype."""

    def __init__(self, dtype: Any, lanes: int = 1) -> None:
        self.dtype, self.lanes = np.dtype(dtype), lanes
        self.element = SCALARS[self.dtype]
        self.size = self.dtype.itemsize
        self.bits = f"i{8 * self.size}"
        self.text = self.element if lanes == 1 else f"<{lanes} x {self.element}>"
        suffix = f"{'f' if self.dtype.kind == 'f' else 'i'}{8 * self.size}"
        self.suffix = suffix if lanes == 1 else f"v{lanes}{suffix}"

    def __str__(self) -> str:
        return self.text

    def of(self, dtype: Any) -> Type:
        """As many lanes of another dtype."""
        return Type(dtype, self.lanes)

    def integers(self) -> Type:
        """As many lanes of integers that are as wide."""
        return Type(f"i{self.size}", self.lanes)

    def all(self, value: Any) -> str:
        """The constant that has this value in every lane."""
        one = number(value, self.dtype)
        return one if self.lanes == 1 else f"<{', '.join([f'{self.element} {one}'] * self.lanes)}>"

    def mask(self, lanes: int) -> str:
        """A constant: true in the first so many lanes."""
        return f"<{', '.join(['i1 true'] * lanes + ['i1 false'] * (self.lanes - lanes))}>"


def number(value: Any, dtype: Any) -> str:
    """A constant as LLVM reads it: of floats the bits, as a double has them."""
    if np.dtype(dtype).kind != "f":
        return str(int(value))
    with np.errstate(over="ignore"):
        bits = struct.unpack("<Q", struct.pack("<d", float(np.dtype(dtype).type(value))))[0]
    return f"0x{bits:016X}"


INDEX = Type(np.int64)
