"""The optimizers' updates: one loop over the flat vectors, with the formulas of the verbs, operation by operation.

The numbers of an update (learning rate, decay and so on) lie in an array, so that they may change from step to step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinynn.compiler.arithmetic import sqrt
from tinynn.compiler.code import Code
from tinynn.compiler.elementwise import usable
from tinynn.compiler.engine import call_of, processor
from tinynn.compiler.types import FLOATS, Type

__all__ = ["Update", "apply", "update_verb"]

MOST = 4  # updates whose machine code is kept for the next step


class Value:
    """A value in a register, with the operators of arithmetic."""

    def __init__(self, code: Code, type: Type, name: str) -> None:
        self.code, self.type, self.name = code, type, name

    def __add__(self, other: Value) -> Value:
        return self.of(f"fadd {self.type} {self.name}, {other.name}")

    def __sub__(self, other: Value) -> Value:
        return self.of(f"fsub {self.type} {self.name}, {other.name}")

    def __mul__(self, other: Value) -> Value:
        return self.of(f"fmul {self.type} {self.name}, {other.name}")

    def __truediv__(self, other: Value) -> Value:
        return self.of(f"fdiv {self.type} {self.name}, {other.name}")

    def of(self, instruction: str) -> Value:
        return Value(self.code, self.type, self.code(instruction))


def root(x: Value) -> Value:
    return Value(x.code, x.type, sqrt(x.code, x.type, x.name))


# Each takes p, g with the L2 in it, the optimizer's vectors, the numbers and a flag; returns the new p and vectors.


def sgd(p: Value, g: Value, _: Any, lr: Value, flag: bool) -> Any:
    return p - g * lr, ()


def momentum(p: Value, g: Value, vectors: Any, lr: Value, momentum: Value, nesterov: bool) -> Any:
    (v,) = vectors
    v = v * momentum + g
    return p - (v * momentum + g if nesterov else v) * lr, (v,)


def adam(
    p: Value, g: Value, vectors: Any, rate: Value, beta1: Value, beta2: Value, eps: Value,
    rest1: Value, rest2: Value, shrink: Value, shrinks: bool,
) -> Any:  # fmt: skip
    m, v = vectors
    m = m * beta1 + g * rest1
    v = v * beta2 + g * g * rest2
    w = m / (root(v) + eps) * rate
    return p - (w + p * shrink if shrinks else w), (m, v)


def scaled(p: Value, g: Value, vectors: Any, lr: Value, keep: Value, add: Value, eps: Value, flag: bool) -> Any:
    (s,) = vectors
    s = s * keep + g * g * add
    return p - g / (root(s) + eps) * lr, (s,)


@dataclass(frozen=True)
class Update:
    """An update of `params` by a formula; `l2`: whether the first of the numbers acts on the decayed elements."""

    formula: Callable[..., Any]
    params: np.ndarray
    grads: np.ndarray
    vectors: tuple[np.ndarray, ...]
    numbers: tuple[float, ...]
    decayed: int
    l2: bool
    flag: bool = False

    @property
    def key(self) -> tuple[Any, ...]:
        """The same for updates that differ in their numbers only."""
        arrays = (self.params, self.grads, *self.vectors)
        return self.formula, *(x.ctypes.data for x in arrays), self.params.size, self.decayed, self.l2, self.flag

    @property
    def element(self) -> Type:
        """What the numbers are."""
        return Type(self.params.dtype)

    @property
    def work(self) -> int:
        """Operations on elements."""
        return 8 * self.params.size

    def emit(self, code: Code, numbers: str) -> None:
        """`numbers`: a pointer to them."""
        size = self.params.size
        edge = min(self.decayed, size)
        for first, last, decays in ((0, edge, True), (edge, size, False)):
            if last > first:
                self.part(code, numbers, first, last - first, decays)
        code.barrier()

    def part(self, code: Code, numbers: str, first: int, size: int, decays: bool) -> None:
        """The elements from `first` on."""
        lanes = processor().vector // self.params.itemsize
        element = Type(self.params.dtype)
        arrays = [self.params, self.grads, *self.vectors]
        pointers = [code.at(code.array(x), first, element) for x in arrays]
        given = [code.load(numbers, i, element) for i in range(len(self.numbers))]
        full, rest = divmod(size, lanes)

        def body(i: Any, active: int) -> None:
            type = Type(self.params.dtype, lanes)
            p, g, *vectors = (Value(code, type, code.load(pointer, i, type, active)) for pointer in pointers)
            l2, *others = (Value(code, type, code.splat(x, type)) for x in given)
            if self.l2 and decays:
                g = p * l2 + g
            p, vectors = self.formula(
                p, g, vectors, *others, self.flag and decays if self.formula is adam else self.flag
            )
            for pointer, value in zip((pointers[0], *pointers[2:]), (p, *vectors), strict=True):
                code.store(pointer, i, value.name, type, active)

        if full:
            with code.shared(full * lanes, step=lanes) as i:
                body(i, lanes)
        if rest:
            with code.once():
                body(full * lanes, rest)


def update_verb(name: str, args: Sequence[Any]) -> Update | None:
    """A call of one of the verbs, by its arguments in order; None where it cannot be compiled."""
    params, grads, *rest = args
    if name == "sgd_update":
        lr, l2, decayed, _ = rest
        found = Update(sgd, params, grads, (), (l2, lr), decayed, bool(l2))
    elif name == "momentum_update":
        velocity, lr, factor, nesterov, l2, decayed, _ = rest
        found = Update(momentum, params, grads, (velocity,), (l2, lr, factor), decayed, bool(l2), nesterov)
    elif name == "adam_update":
        m, v, rate, beta1, beta2, eps, l2, shrink, decayed, _ = rest
        numbers = (l2, rate, beta1, beta2, eps, 1 - beta1, 1 - beta2, shrink)
        found = Update(adam, params, grads, (m, v), numbers, decayed, bool(l2), bool(shrink))
    elif name == "scaled_update":
        squares, lr, keep, add, eps, l2, decayed, _ = rest
        found = Update(scaled, params, grads, (squares,), (l2, lr, keep, add, eps), decayed, bool(l2))
    else:
        return None
    return found if usable(params, grads, *found.vectors) and params.dtype in FLOATS else None


def apply(update: Update, held: dict[Any, Any]) -> None:
    """Makes the update; `held` keeps the machine code for the next one of its kind."""
    found = held.get(update.key)
    if found is None:
        if len(held) == MOST:
            held.clear()  # they keep the vectors of optimizers that may be gone
        code = Code("ptr %numbers")
        update.emit(code, "%numbers")
        found = held[update.key] = call_of(code), np.empty(len(update.numbers), update.params.dtype)
    call, numbers = found
    numbers[...] = update.numbers
    call(numbers.ctypes.data)
