"""What a reader is given, an operator with what it reads, and what it gives back: layers with their arrays.

A reader is a function (found) -> [Part, ...]: layers one behind the other, none where the values pass through.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn, TypeVar

import numpy as np

from tinynn.layer import Layer, Shape
from tinynn.onnx.flow import Flow, Step, single

__all__ = ["Found", "Operand", "Part", "Reader", "readers", "reads", "row_of"]

Reader = Callable[..., "list[Part]"]
F = TypeVar("F", bound=Reader)

readers: dict[str, Reader] = {}


def reads(*operators: str) -> Callable[[F], F]:
    """Registers the reader of these operators."""

    def register(reader: F) -> F:
        for operator in operators:
            readers[operator] = reader
        return reader

    return register


class Part(NamedTuple):
    """A layer, and the values of its parameters and states by their names in it."""

    layer: Layer
    arrays: Mapping[str, np.ndarray] = MappingProxyType({})


class Operand(NamedTuple):
    """What a node reads: a value of this shape (of one example), or an array."""

    shape: Shape = ()
    array: np.ndarray | None = None


@dataclass
class Found:
    """A node, its operands in ONNX's order, None for one that is left out, and its attributes."""

    flow: Flow
    step: Step
    operands: list[Operand | None]
    attributes: dict[str, Any] = field(default_factory=dict)

    def get(self, name: str, default: Any) -> Any:
        """The attribute, of the type that its default has.

        Errors: DataError.
        """
        value = self.attributes.pop(name, default)
        kinds = (int, float) if isinstance(default, float) else type(default)
        finite = not isinstance(value, float) or math.isfinite(value)
        whole = not isinstance(default, list) or (isinstance(value, list) and all(type(n) is int for n in value))
        if not isinstance(value, kinds) or not finite or not whole:
            self.wrong(f"the attribute {name} is of another type", type(default).__name__, value)
        return value

    def ignore(self, *names: str) -> None:
        """Attributes that say nothing here."""
        for name in names:
            self.attributes.pop(name, None)

    def operand(self, i: int) -> Operand | None:
        return self.operands[i] if i < len(self.operands) else None

    def data(self, i: int = 0) -> Shape:
        """The shape of operand i, which must be a value and no array. Errors: DataError."""
        given = self.operand(i)
        if given is None or given.array is not None:
            self.wrong(f"operand {i} is no value of the network", "what an input or a node gives", "an array")
        return given.shape

    def array(self, i: int, dims: int | None = None, what: str = "") -> np.ndarray:
        """Operand i, which must be an array, of so many axes. Errors: DataError."""
        given = self.operand(i)
        if given is None or given.array is None:
            got = "a value that the network computes" if given else "nothing"
            self.wrong(f"operand {i}{what and f', {what},'} is no array of the file", "an initialiser", got)
        if dims is not None and given.array.ndim != dims:
            self.wrong(f"operand {i} has another number of axes", f"{dims} axes", given.array.shape)
        return given.array

    def maybe(self, i: int) -> np.ndarray | None:
        """Operand i, an array, or None where it is left out."""
        return None if self.operand(i) is None else self.array(i)

    def number(self, i: int, default: float | None = None) -> float:
        """Operand i, an array of one number. Errors: DataError."""
        if self.operand(i) is None and default is not None:
            return default
        array = self.array(i)
        if array.size != 1:
            self.wrong(f"operand {i} is more than one number", "one number for all", array.shape)
        return single(array)

    def whole(self, i: int, name: str, default: list[int] | None = None) -> list[int]:
        """Whole numbers, as operand i or, in older opsets, as the attribute of that name. Errors: DataError."""
        if self.operand(i) is None:
            if name not in self.attributes and default is None:
                self.wrong(f"{name} is missing", "whole numbers", "nothing")
            return self.get(name, default or [])
        array = self.array(i, what=name)
        if array.dtype.kind not in "iu" or array.ndim > 1 or array.size > 64:
            self.wrong(f"{name} is no list of whole numbers", "64 of them at most", f"{array.dtype} {array.shape}")
        return array.reshape(-1).tolist()

    def wrong(self, what: str, expected: Any, got: Any) -> NoReturn:
        """Errors: DataError that names the node."""
        self.flow.not_read(self.step, what, expected, got)

    def uncovered(self, what: str, expected: Any, got: Any) -> NoReturn:
        self.wrong(f"{self.step.operator} is read, but not {what}", expected, got)


def row_of(found: Found, array: np.ndarray, length: int, what: str) -> np.ndarray:
    """The array as one row of that length: numbers that stand in a row already, or one for all.

    Errors: DataError.
    """
    if array.size not in (1, length) or max(array.shape, default=1) not in (1, length):
        found.wrong(f"{what} does not fit", f"{length} numbers, or one", array.shape)
    return np.broadcast_to(array.reshape(-1), (length,))
