"""Matrix products whose operands both lie contiguous along the sum: vectors along K, added up across at the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tinynn.compiler.code import Code
from tinynn.compiler.engine import processor
from tinynn.compiler.types import Type

__all__ = ["Inner"]


@dataclass(frozen=True)
class Inner:
    """out[n, m] = the sum over k of a[n, k] b[m, k]; pointers, and the steps in elements from row to row."""

    code: Code
    type: Type
    shape: tuple[int, int, int]  # N, K, M
    a: str
    b: str
    out: str
    steps: tuple[int, int, int]
    alone: bool  # whether one thread does all of it

    def emit(self) -> None:
        """Tiles of 4 x 6 results, or 3 x 3 where registers are few."""
        code, (N, _, M) = self.code, self.shape
        height, width = (4, 6) if processor().registers == 32 else (3, 3)
        height, width = min(height, N), min(width, M)
        loop = code.loop if self.alone else code.shared
        full = N // height * height
        with loop(full, step=height) as n:
            self.columns(n, height, width)
        if full < N:
            with code.only(0) if not self.alone else code.here():
                self.columns(full, N - full, width)

    def columns(self, n: Any, height: int, width: int) -> None:
        """The rows from n on, all columns."""
        M = self.shape[2]
        full = M // width * width
        with self.code.loop(full, step=width) as m:
            self.tile(n, height, m, width)
        if full < M:
            self.tile(n, height, full, M - full)

    def tile(self, n: Any, height: int, m: Any, width: int) -> None:
        code, type, K = self.code, self.type, self.shape[1]
        element = Type(type.dtype)
        a_step, b_step, out_step = self.steps
        a = code.at(self.a, code.times(n, a_step), element)
        b = code.at(self.b, code.times(m, b_step), element)
        out = code.at(self.out, code.plus(code.times(n, out_step), m), element)
        sums = [[code.variable(type, type.all(0)) for _ in range(width)] for _ in range(height)]

        def add(k: Any, active: int) -> None:
            xs = [code.load(code.at(a, code.plus(k, i * a_step), element), 0, type, active) for i in range(height)]
            for j in range(width):
                y = code.load(code.at(b, code.plus(k, j * b_step), element), 0, type, active)
                for i, x in enumerate(xs):
                    code.set(sums[i][j], code.intrinsic("fmuladd", type, x, y, code.get(sums[i][j], type)), type)

        full, rest = divmod(K, type.lanes)
        if full:
            with code.loop(full * type.lanes, step=type.lanes) as k:
                add(k, type.lanes)
        if rest:
            add(full * type.lanes, rest)
        for i in range(height):
            for j in range(width):
                code.store(out, i * out_step + j, code.sum(code.get(sums[i][j], type), type), element)
