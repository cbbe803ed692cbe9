"""A matrix with its rows contiguous, made from one whose columns are."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.compiler.code import Code
from tinynn.compiler.engine import processor
from tinynn.compiler.types import Type

__all__ = ["rows_of", "turn"]


def rows_of(code: Code, b: np.ndarray, pointer: str) -> tuple[str, int]:
    """A matrix whose rows are contiguous: its pointer and the step from row to row; a copy where b is none."""
    row, column = (stride // b.itemsize for stride in b.strides)
    if column == 1 or b.shape[1] == 1:
        return pointer, row
    K, M = b.shape
    copy = code.scratch(b.size, b.dtype)
    transpose(code, pointer, (row, column), copy, (K, M), Type(b.dtype))
    code.barrier()
    return copy, M


def transpose(code: Code, given: str, steps: tuple[int, int], copy: str, shape: tuple[int, int], element: Type) -> None:
    """Writes a matrix of these steps as one whose rows are contiguous: square blocks, turned in registers."""
    (row, column), (K, M) = steps, shape
    L = processor().vector // element.size
    type = Type(element.dtype, L)
    blocks = K // L * L if row == 1 and M >= L else 0

    def scalar(rows: tuple[Any, Any], columns: tuple[Any, Any]) -> None:
        if rows[0] == rows[1] or columns[0] == columns[1]:
            return
        with code.loop(rows[1], first=rows[0]) as k, code.loop(columns[1], first=columns[0]) as m:
            value = code.load(given, code.plus(code.times(k, row), code.times(m, column)), element)
            code.store(copy, code.plus(code.times(k, M), m), value, element)

    if blocks:
        with code.shared(M // L * L, step=L) as m, code.loop(blocks, step=L) as k:
            source = code.at(given, code.plus(code.times(m, column), k), element)
            lines = [code.load(source, i * column, type) for i in range(L)]
            target = code.at(copy, code.plus(code.times(k, M), m), element)
            for i, line in enumerate(turned(code, type, lines)):
                code.store(target, i * M, line, type)
    with code.once():
        scalar((0, blocks), (M // L * L, M))
        scalar((blocks, K), (0, M))


def turn(
    code: Code, given: str, step: int, copy: str, columns: list[int], type: Type, stretch: tuple[Any, Any, int]
) -> None:
    """Some columns, `step` apart in memory, of the rows `first` to `end` out of K, as rows side by side.

    `columns`: for each vector of a row of the copy how many of its lanes count; `stretch`: first, end, and K. All but
    the last stretch along K are as long as some vectors.
    """
    (first, end, K), element, L = stretch, Type(type.dtype), type.lanes
    whole = K // L * L

    def block(k: Any, rows: int) -> None:
        for v, active in enumerate(columns):
            source = code.at(given, code.plus(k, v * L * step), element)
            lines = [code.load(source, i * step, type, rows) if i < active else type.all(0) for i in range(L)]
            target = code.at(copy, code.plus(code.times(k, len(columns) * L), v * L), element)
            for i, line in enumerate(turned(code, type, lines)[:rows]):
                code.store(target, i * len(columns) * L, line, type)

    if isinstance(first, int):  # all of K at once
        with code.loop(whole, step=L) as k:
            block(k, L)
        if whole < K:
            block(whole, K - whole)
        return
    last = code.minus(code.least(end, whole), first)
    with code.when(code(f"icmp sgt i64 {last}, 0")), code.loop(last, step=L) as k:
        block(k, L)
    if whole < K:
        with code.when(code(f"icmp eq i64 {end}, {K}")):
            block(code.minus(whole, first), K - whole)


def turned(code: Code, type: Type, lines: list[str]) -> list[str]:
    """The columns of a square block of as many vectors as they have lanes: ever smaller blocks change places."""
    lines, L, d = list(lines), type.lanes, type.lanes // 2
    while d:
        upper = ", ".join(f"i32 {j if not j & d else L + j - d}" for j in range(L))
        lower = ", ".join(f"i32 {j + d if not j & d else L + j}" for j in range(L))
        for i in (i for i in range(L) if not i & d):
            a, b = lines[i], lines[i + d]
            pair = f"{type} {a}, {type} {b}"
            lines[i] = code(f"shufflevector {pair}, <{L} x i32> <{upper}>")
            lines[i + d] = code(f"shufflevector {pair}, <{L} x i32> <{lower}>")
        d //= 2
    return lines
