"""Sums over some axes of an array, and the product of two vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinynn.compiler.arithmetic import convert
from tinynn.compiler.code import Code
from tinynn.compiler.elementwise import usable
from tinynn.compiler.engine import lanes_of
from tinynn.compiler.types import FLOATS, Type

__all__ = ["Dot", "Sum", "inner_product", "sums"]

MOST = 8  # vectors whose sums are kept in registers at a time


@dataclass(frozen=True)
class Sum:
    """out = x.sum(axis), added up in `dtype`; out has as many axes as x, those that were summed of length 1.

    The order of a sum does not depend on the number of threads: each of them makes whole sums.
    """

    x: np.ndarray
    out: np.ndarray
    dtype: np.dtype

    @property
    def work(self) -> int:
        """Additions."""
        return self.x.size

    def emit(self, code: Code) -> None:
        x, out = self.x, self.out
        kept = [(x.shape[a], step(x, a), step(out, a)) for a in range(x.ndim) if out.shape[a] > 1]
        summed = [(x.shape[a], step(x, a)) for a in range(x.ndim) if out.shape[a] == 1 and x.shape[a] > 1]
        kept = merged(sorted(kept, key=lambda axis: -abs(axis[1])))
        summed = merged(sorted(summed, key=lambda axis: -abs(axis[1])))
        size, along, lanes = max(x.itemsize, self.dtype.itemsize), 0, 1
        if kept and kept[-1][1:] == (1, 1):
            along = kept.pop()[0]
            lanes = lanes_of(size, along)
        elif summed and summed[-1][1] == 1:
            lanes = lanes_of(size, summed[-1][0])
        self.outer(code, kept, summed, along, lanes, 0, 0, code.shared, code.once)

    def outer(
        self, code: Code, kept: Any, summed: Any, along: int, lanes: int, at: Any, to: Any, loop: Any, once: Any
    ) -> None:
        """Loops over the sums; `at`, `to`: where they begin in x and in out."""
        if kept:
            (size, x_step, out_step), *others = kept
            with loop(size) as i:
                to = code.plus(to, code.times(i, out_step))
                at = code.plus(at, code.times(i, x_step))
                self.outer(code, others, summed, along, lanes, at, to, code.loop, code.here)
            return
        if not along:
            with once():
                self.one(code, summed, lanes, at, to, [0])
            return
        together = min(MOST, max(1, along // lanes // code.parts))
        wide = along // (together * lanes) * together * lanes
        if wide:
            with loop(wide, step=together * lanes) as i:
                self.one(code, summed, lanes, code.plus(at, i), code.plus(to, i), [lanes] * together)
        if along > wide:
            with once():
                rest = [min(lanes, along - c) for c in range(wide, along, lanes)]
                self.one(code, summed, lanes, code.plus(at, wide), code.plus(to, wide), rest)

    def one(self, code: Code, summed: Any, lanes: int, at: Any, to: Any, columns: list[int]) -> None:
        """Sums side by side, of which each vector has so many; or with [0] one sum, along which the vectors lie."""
        given, total = Type(self.x.dtype, lanes), Type(self.dtype, lanes)
        across = columns == [0]
        x, out = code.array(self.x), code.array(self.out)
        sums = [code.variable(total, total.all(0)) for _ in columns]

        def add(at: Any, active: list[int]) -> None:
            for v, (sum, n) in enumerate(zip(sums, active, strict=True)):
                value = convert(code, code.load(x, code.plus(at, v * lanes), given, n), given, total)
                code.set(sum, code(f"fadd {total} {code.get(sum, total)}, {value}"), total)

        def walk(axes: Any, at: Any) -> None:
            if len(axes) > (1 if across and lanes > 1 else 0):
                (size, x_step), *others = axes
                with code.loop(size) as i:
                    walk(others, code.plus(at, code.times(i, x_step)))
            elif across and lanes > 1:
                full, rest = divmod(axes[0][0], lanes)
                if full:
                    with code.loop(full * lanes, step=lanes) as i:
                        add(code.plus(at, i), [lanes])
                if rest:
                    add(code.plus(at, full * lanes), [rest])
            else:
                add(at, [1] if across else columns)

        walk(summed, at)
        for v, (sum, n) in enumerate(zip(sums, columns, strict=True)):
            value, type = code.get(sum, total), total
            if across:
                value, type, n = code.sum(value, total), Type(self.dtype), 1
            wanted = type.of(self.out.dtype)
            code.store(out, code.plus(to, v * lanes), convert(code, value, type, wanted), wanted, n)


def step(x: np.ndarray, axis: int) -> int:
    return x.strides[axis] // x.itemsize


def merged(axes: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """The axes, (size, steps...), those in one where each step of the outer is as long as the whole inner."""
    found: list[tuple[int, ...]] = []
    for size, *steps in axes:
        if found and all(outer == size * inner for outer, inner in zip(found[-1][1:], steps, strict=True)):
            found[-1] = (found[-1][0] * size, *steps)
        else:
            found.append((size, *steps))
    return found


@dataclass(frozen=True)
class Dot:
    """out = the sum of the products of two vectors' elements."""

    a: np.ndarray
    b: np.ndarray
    out: np.ndarray
    work = 0

    def emit(self, code: Code) -> None:
        n, element = self.a.size, Type(self.a.dtype)
        lanes = lanes_of(element.size, n)
        type = Type(element.dtype, lanes)
        a, b = code.array(self.a), code.array(self.b)
        full, rest = divmod(n, lanes)
        with code.only(0):
            total = code.variable(type, type.all(0))

            def add(i: Any, active: int) -> None:
                x, y = code.load(a, i, type, active), code.load(b, i, type, active)
                code.set(total, code.intrinsic("fmuladd", type, x, y, code.get(total, type)), type)

            if full:
                with code.loop(full * lanes, step=lanes) as i:
                    add(i, lanes)
            if rest:
                add(full * lanes, rest)
            code.store(code.array(self.out), 0, code.sum(code.get(total, type), type), element)


def sums(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sum | None:
    """A call of add.reduce as one that can be compiled, or None."""
    if function != np.add.reduce or kwargs or not 4 <= len(args) <= 5:
        return None
    x, axis, dtype, out, *_ = args
    if not usable(x, out) or np.may_share_memory(x, out) or not {x.dtype, out.dtype} <= FLOATS.keys():
        return None
    axes = {a % x.ndim for a in (range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,))}
    whole = np.dtype(out.dtype if dtype is None else dtype)
    if whole not in FLOATS or x.ndim == 0:
        return None
    kept = iter(zip(out.shape, out.strides, strict=True)) if out.ndim < x.ndim else None
    shape, strides = [], []
    for a in range(x.ndim):
        size, stride = (1, 0) if kept and a in axes else next(kept) if kept else (out.shape[a], out.strides[a])
        shape.append(size)
        strides.append(stride)
    return Sum(x, np.lib.stride_tricks.as_strided(out, shape, strides), whole)


def inner_product(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Dot | None:
    """A call of dot of two vectors as one that can be compiled, or None."""
    if function is not np.dot or kwargs or len(args) != 3 or not usable(*args):
        return None
    a, b, out = args
    if (a.ndim, b.ndim, out.ndim) != (1, 1, 0) or {a.dtype, b.dtype} != {out.dtype} or out.dtype not in FLOATS:
        return None
    return Dot(a, b, out) if a.flags.c_contiguous and b.flags.c_contiguous else None
