"""Softmax, its cross-entropy with gradient, and the count of right answers: row by row, in float64 like the verbs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinynn.compiler.arithmetic import choose, convert, exp, log1p
from tinynn.compiler.code import Code
from tinynn.compiler.elementwise import usable
from tinynn.compiler.engine import lanes_of
from tinynn.compiler.rows import index
from tinynn.compiler.types import FLOATS, Type, number

__all__ = ["CrossEntropy", "CrossEntropyBackward", "Hits", "Softmax", "loss_verb"]

MOST = 128  # classes: a row is kept in registers
DOUBLE, FLAG = Type(np.float64), Type(np.bool_)


class Row:
    """The vectors of one row of C elements: where each begins, and how many of its lanes count."""

    def __init__(self, code: Code, classes: int) -> None:
        self.code = code
        lanes = lanes_of(8, classes)
        self.type = Type(np.float64, lanes)
        self.parts = [(first, min(lanes, classes - first)) for first in range(0, classes, lanes)]

    def load(self, pointer: str, dtype: Any) -> list[str]:
        """The row as doubles."""
        given = self.type.of(dtype)
        values = [self.code.load(pointer, first, given, active) for first, active in self.parts]
        return [convert(self.code, value, given, self.type) for value in values]

    def store(self, pointer: str, values: list[str], dtype: Any) -> None:
        wanted = self.type.of(dtype)
        for (first, active), value in zip(self.parts, values, strict=True):
            self.code.store(pointer, first, convert(self.code, value, self.type, wanted), wanted, active)

    def only(self, values: list[str], other: float) -> list[str]:
        """The values, with `other` in the lanes that do not count."""
        type, found = self.type, []
        for (_, active), value in zip(self.parts, values, strict=True):
            if active < type.lanes:
                mask = type.mask(active)
                value = self.code(f"select <{type.lanes} x i1> {mask}, {type} {value}, {type} {type.all(other)}")
            found.append(value)
        return found

    def each(self, instruction: str, values: list[str], other: list[str] | str) -> list[str]:
        """The values of an instruction with two operands."""
        others = [other] * len(values) if isinstance(other, str) else other
        return [self.code(f"{instruction} {self.type} {a}, {b}") for a, b in zip(values, others, strict=True)]

    def sum(self, values: list[str]) -> str:
        total = values[0]
        for value in values[1:]:
            total = self.code(f"fadd {self.type} {total}, {value}")
        return self.code.sum(total, self.type)

    def largest(self, values: list[str]) -> str:
        """The largest element; of NaN nothing is promised."""
        code, type, lanes = self.code, self.type, self.type.lanes
        top = values[0]
        for value in values[1:]:
            top = choose(code, type, code(f"fcmp ogt {type} {value}, {top}"), value, top)
        while lanes > 1:
            lanes //= 2
            order = ", ".join(f"i32 {(i + lanes) % type.lanes}" for i in range(type.lanes))
            moved = code(f"shufflevector {type} {top}, {type} poison, <{type.lanes} x i32> <{order}>")
            top = choose(code, type, code(f"fcmp ogt {type} {moved}, {top}"), moved, top)
        return top if type.lanes == 1 else code(f"extractelement {type} {top}, i32 0")

    def where(self, label: str) -> list[str]:
        """For each vector a mask that is true in the lane of that number."""
        code, whole = self.code, self.type.of(np.int64)
        wanted = code.splat(label, whole)
        masks = []
        for first, _ in self.parts:
            places = (
                whole.all(first)
                if whole.lanes == 1
                else f"<{', '.join(f'i64 {first + i}' for i in range(whole.lanes))}>"
            )
            masks.append(code(f"icmp eq {whole} {wanted}, {places}"))
        return masks

    def pick(self, masks: list[str], values: list[str], others: list[str]) -> list[str]:
        """The values where the masks are true, the others elsewhere."""
        return [choose(self.code, self.type, mask, a, b) for mask, a, b in zip(masks, values, others, strict=True)]

    def zeros(self) -> list[str]:
        return [self.type.all(0)] * len(self.parts)

    def terms(self, scores: list[str]) -> tuple[list[str], list[str], str]:
        """z = scores - max, e^z, and the sum of e^z without the largest term, which is 1."""
        code, type = self.code, self.type
        z = self.each("fsub", scores, code.splat(self.largest(self.only(scores, -np.inf)), type))
        e = [exp(code, type, value) for value in z]
        top = [code(f"fcmp oeq {type} {value}, {type.all(0)}") for value in z]
        small = self.sum(self.only(self.pick(top, self.zeros(), e), 0.0))
        ties = self.sum(self.only(self.pick(top, [type.all(1)] * len(z), self.zeros()), 0.0))
        return z, e, code(f"fadd double {small}, {code(f'fsub double {ties}, {DOUBLE.all(1)}')}")


@dataclass(frozen=True)
class CrossEntropy:
    """The verb softmax_cross_entropy, for labels."""

    scores: np.ndarray
    targets: np.ndarray
    p: np.ndarray
    out: np.ndarray

    @property
    def work(self) -> int:
        """Operations on elements, about."""
        return 40 * self.scores.size

    def emit(self, code: Code) -> None:
        N, C = self.scores.shape
        row = Row(code, C)
        scores, p = code.array(self.scores), code.array(self.p)
        losses = code.scratch(N, np.float64)
        with code.shared(N) as n:
            given = row.load(code.at(scores, code.times(n, C), Type(self.scores.dtype)), self.scores.dtype)
            z, e, rest = row.terms(given)
            masks = row.where(index(code, self.targets, n, C))
            score = row.sum(row.pick(masks, z, row.zeros()))
            whole = code(f"fadd double {rest}, {DOUBLE.all(1)}")
            row.store(
                code.at(p, code.times(n, C), DOUBLE), row.each("fdiv", e, code.splat(whole, row.type)), np.float64
            )
            code.store(losses, n, code(f"fsub double {log1p(code, DOUBLE, rest)}, {score}"), DOUBLE)
        code.barrier()
        with code.only(0):
            total = code.variable(DOUBLE, DOUBLE.all(0))
            with code.loop(N) as n:
                code.set(total, code(f"fadd double {code.get(total, DOUBLE)}, {code.load(losses, n, DOUBLE)}"), DOUBLE)
            mean = code(f"fdiv double {code.get(total, DOUBLE)}, {number(N, np.float64)}")
            wanted = Type(self.out.dtype)
            code.store(code.array(self.out), 0, convert(code, mean, DOUBLE, wanted), wanted)


@dataclass(frozen=True)
class CrossEntropyBackward:
    """The verb softmax_cross_entropy_backward, for labels."""

    p: np.ndarray
    targets: np.ndarray
    scale: float
    out: np.ndarray

    @property
    def work(self) -> int:
        """Operations on elements, about."""
        return 40 * self.out.size

    def emit(self, code: Code) -> None:
        N, C = self.p.shape
        row = Row(code, C)
        p, out = code.array(self.p), code.array(self.out)
        with code.shared(N) as n:
            g = row.each("fmul", row.load(code.at(p, code.times(n, C), DOUBLE), np.float64), row.type.all(self.scale))
            masks = row.where(index(code, self.targets, n, C))
            # A row of the gradient sums to 0: at the label minus the sum of the others, which are exact.
            others = code(f"fneg double {row.sum(row.only(row.pick(masks, row.zeros(), g), 0.0))}")
            g = row.pick(masks, [code.splat(others, row.type)] * len(g), g)
            row.store(code.at(out, code.times(n, C), Type(self.out.dtype)), g, self.out.dtype)


@dataclass(frozen=True)
class Softmax:
    """The verb softmax."""

    x: np.ndarray
    out: np.ndarray

    @property
    def work(self) -> int:
        """Operations on elements, about."""
        return 40 * self.out.size

    def emit(self, code: Code) -> None:
        C = self.x.shape[-1]
        row = Row(code, C)
        x, out = code.array(self.x), code.array(self.out)
        with code.shared(self.x.size // C) as n:
            at = code.times(n, C)
            _, e, rest = row.terms(row.load(code.at(x, at, Type(self.x.dtype)), self.x.dtype))
            whole = code(f"fadd double {rest}, {DOUBLE.all(1)}")
            y = row.each("fdiv", e, code.splat(whole, row.type))
            row.store(code.at(out, at, Type(self.out.dtype)), y, self.out.dtype)


@dataclass(frozen=True)
class Hits:
    """The verb count_hits."""

    scores: np.ndarray
    targets: np.ndarray
    hits: np.ndarray
    work = 0

    def emit(self, code: Code) -> None:
        N, C = self.scores.shape
        row, integer = Row(code, C), Type(np.int64)
        scores, hits = code.array(self.scores), code.array(self.hits)
        with code.only(0):
            count = code.variable(integer, code.load(hits, 0, integer))
            with code.loop(N) as n:
                at = code.at(scores, code.times(n, C), Type(self.scores.dtype))
                values = row.only(row.load(at, self.scores.dtype), -np.inf)
                top = code.splat(row.largest(values), row.type)
                place = str(C)
                for (first, _), value in reversed(list(zip(row.parts, values, strict=True))):
                    equal = code(f"fcmp oeq {row.type} {value}, {top}")
                    place = first_true(code, equal, row.type.lanes, first, place)
                right = code(f"icmp eq i64 {place}, {index(code, self.targets, n, C)}")
                right = code(f"zext i1 {right} to i64")
                code.set(count, code(f"add i64 {code.get(count, integer)}, {right}"), integer)
            code.store(hits, 0, code.get(count, integer), integer)


def first_true(code: Code, mask: str, lanes: int, first: int, other: str) -> str:
    """`first` and the number of the first lane in which the mask is true, or `other` where it is true in none."""
    bits = code(f"zext i{lanes} {code(f'bitcast <{lanes} x i1> {mask} to i{lanes}')} to i64")
    code.declare("i64 @llvm.cttz.i64(i64, i1)")
    lane = code(f"call i64 @llvm.cttz.i64(i64 {bits}, i1 false)")
    return code(f"select i1 {code(f'icmp ne i64 {bits}, 0')}, i64 {code(f'add i64 {lane}, {first}')}, i64 {other}")


def loss_verb(name: str, args: Sequence[Any]) -> Any:
    """A call of one of the verbs above, by its arguments in order; None where it cannot be compiled."""
    arrays = [x for x in args if isinstance(x, np.ndarray)]
    if not usable(*arrays) or not all(x.flags.c_contiguous for x in arrays) or not 2 <= arrays[0].shape[-1] <= MOST:
        return None
    if arrays[0].dtype not in FLOATS:
        return None
    labels = len(args) > 1 and isinstance(args[1], np.ndarray) and args[1].ndim == 1 and args[1].dtype.kind in "iu"
    if name == "softmax_cross_entropy" and labels and args[2].dtype == np.float64:
        return CrossEntropy(*args)
    if name == "softmax_cross_entropy_backward" and labels and type(args[2]) is float:
        return CrossEntropyBackward(*args)
    if name == "count_hits" and labels and args[0].ndim == 2:
        return Hits(*args)
    if name == "softmax":
        return Softmax(args[0], args[1])
    return None
