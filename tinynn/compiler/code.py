"""The text of a function in LLVM's intermediate representation, written line by line.

    code = Code()
    x, y = code.array(x), code.array(y)
    with code.loop(1000, step=16) as i:
        code.store(y, i, code(f"fadd {v} {code.load(x, i, v)}, {code.load(x, i, v)}"), v)

Values are names such as %v7, or constants. Arrays come in a table of addresses, so that the text, and the machine code,
is the same for all arrays of the same shapes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.compiler.flow import Flow
from tinynn.compiler.types import Type, number

__all__ = ["Code"]


class Code(Flow):
    """A function that is being written. `kept`: arrays that must live as long as it; `addresses`: where they begin."""

    def __init__(self, *arguments: str, parts: int = 1) -> None:
        super().__init__(*arguments, parts=parts)
        self.addresses: list[int] = []
        self.kept: list[np.ndarray] = []
        self.slots: dict[int, str] = {}

    def intrinsic(self, name: str, type: Type, *values: str) -> str:
        """The value of llvm.`name`, a function of vectors of one type."""
        full = f"{type} @llvm.{name}.{type.suffix}"
        self.declare(f"{full}({', '.join([str(type)] * len(values))})")
        return self(f"call {full}({', '.join(f'{type} {value}' for value in values)})")

    def text(self) -> str:
        """The whole module."""
        body = [
            f"define void @run({', '.join(self.arguments)}) nounwind {{",
            "entry:",
            *self.entry,
            "  br label %start",
        ]
        return "\n".join([*sorted(self.declared), *body, "start:", *self.lines, "  ret void", "}", ""])

    # --- arrays

    def array(self, array: np.ndarray) -> str:
        """The pointer to the first element of an array."""
        address = array.ctypes.data
        if address not in self.slots:
            place, slot = self.name(), self.name()
            self.entry.append(f"  {place} = getelementptr ptr, ptr %table, i64 {len(self.addresses)}")
            self.entry.append(f"  {slot} = load ptr, ptr {place}, align 8")
            self.slots[address] = slot
            self.addresses.append(address)
            self.kept.append(array)
        return self.slots[address]

    def scratch(self, size: int, dtype: Any) -> str:
        """The pointer to an array of this function's own."""
        return self.array(np.empty(max(size, 1), dtype))

    def at(self, pointer: str, index: str | int, type: Type) -> str:
        """The pointer to an element."""
        return pointer if index in (0, "0") else self(f"getelementptr {type.element}, ptr {pointer}, i64 {index}")

    def load(self, pointer: str, index: str | int, type: Type, lanes: int | None = None) -> str:
        """The elements from `index` on; with `lanes` only so many of them, the others are 0."""
        place = self.at(pointer, index, type)
        if lanes is None or lanes == type.lanes:
            return self(f"load {type}, ptr {place}, align {type.size}")
        bits = f"<{type.lanes} x i1>"
        self.declare(f"{type} @llvm.masked.load.{type.suffix}.p0(ptr, i32, {bits}, {type})")
        return self(
            f"call {type} @llvm.masked.load.{type.suffix}.p0(ptr {place}, i32 {type.size}, {bits} {type.mask(lanes)}, "
            f"{type} zeroinitializer)"
        )

    def store(self, pointer: str, index: str | int, value: str, type: Type, lanes: int | None = None) -> None:
        """Writes the elements from `index` on; with `lanes` only so many of them."""
        place = self.at(pointer, index, type)
        if lanes is None or lanes == type.lanes:
            self.do(f"store {type} {value}, ptr {place}, align {type.size}")
            return
        bits = f"<{type.lanes} x i1>"
        self.declare(f"void @llvm.masked.store.{type.suffix}.p0({type}, ptr, i32, {bits})")
        self.do(
            f"call void @llvm.masked.store.{type.suffix}.p0({type} {value}, ptr {place}, i32 {type.size}, "
            f"{bits} {type.mask(lanes)})"
        )

    def ask_for(self, pointer: str) -> None:
        """Has a cache line brought into the second-level cache, without waiting for it."""
        self.declare("void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        self.do(f"call void @llvm.prefetch.p0(ptr {pointer}, i32 0, i32 2, i32 1)")

    # --- vectors

    def splat(self, value: str, type: Type) -> str:
        """A vector with the number in every lane."""
        if type.lanes == 1:
            return value
        first = self(f"insertelement {type} poison, {type.element} {value}, i32 0")
        return self(f"shufflevector {type} {first}, {type} poison, <{type.lanes} x i32> zeroinitializer")

    def sum(self, value: str, type: Type) -> str:
        """The sum of the lanes."""
        if type.lanes == 1:
            return value
        name = f"{type.element} @llvm.vector.reduce.fadd.{type.suffix}"
        self.declare(f"{name}({type.element}, {type})")
        return self(f"call reassoc {name}({type.element} {number(0.0, type.dtype)}, {type} {value})")
