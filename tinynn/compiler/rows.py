"""Rows of a table, by their numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinynn.compiler.code import Code
from tinynn.compiler.elementwise import usable
from tinynn.compiler.engine import lanes_of
from tinynn.compiler.types import Type

__all__ = ["Take", "index", "take"]


def index(code: Code, numbers: np.ndarray | tuple[str, Type], n: Any, end: int | str) -> str:
    """numbers[n] as an index below `end`; one that is not becomes the last: nothing outside is ever read."""
    pointer, type = numbers if isinstance(numbers, tuple) else (code.array(numbers), Type(numbers.dtype))
    value = code.load(pointer, n, type)
    if type.size < 8:
        value = code(f"{'sext' if type.dtype.kind == 'i' else 'zext'} {type} {value} to i64")
    return code(f"select i1 {code(f'icmp ult i64 {value}, {end}')}, i64 {value}, i64 {code.minus(end, 1)}")


@dataclass(frozen=True)
class Take:
    """out[n] = x[rows[n]]; `rows`: an array of integers, or where they begin and what they are; x likewise.

    `later`: rows that will be wanted next, likewise; they are asked for, so that they are in the cache by then.
    """

    x: Any
    rows: Any
    out: np.ndarray
    later: Any = None

    @property
    def work(self) -> int:
        """Elements moved."""
        return self.out.size

    def emit(self, code: Code) -> None:
        K, dtype = math.prod(self.out.shape[1:]), self.out.dtype
        lanes = lanes_of(dtype.itemsize, K)
        type, element = Type(dtype, lanes), Type(dtype)
        x, end = self.x if isinstance(self.x, tuple) else (code.array(self.x), len(self.x))
        out = code.array(self.out)
        full, rest = divmod(K, lanes)
        with code.shared(len(self.out)) as n:
            source = code.at(x, code.times(index(code, self.rows, n, end), K), element)
            place = code.at(out, code.times(n, K), element)
            ahead = code.at(x, code.times(index(code, self.later, n, end), K), element) if self.later else None
            if full:
                with code.loop(full * lanes, step=lanes) as k:
                    if ahead:
                        code.ask_for(code.at(ahead, k, element))
                    code.store(place, k, code.load(source, k, type), type)
            if rest:
                code.store(place, full * lanes, code.load(source, full * lanes, type, rest), type, rest)


def take(name: str, args: tuple[Any, ...]) -> Take | None:
    """A call of the verb take, or None where it cannot be compiled."""
    if name != "take" or not usable(*args) or not (args[0].flags.c_contiguous and args[2].flags.c_contiguous):
        return None
    x, rows, out = args
    if rows.dtype.kind not in "iu" or rows.ndim != 1 or not rows.flags.c_contiguous or x.dtype != out.dtype:
        return None
    return Take(x, rows, out)
