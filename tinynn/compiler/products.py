"""Matrix products, in tiles of the result that stay in registers.

For each part of the way along K, and each tile of columns, all tiles of rows pass over the same part of b, which stays
in the first-level cache; where b is wide, that part is copied first, so that its rows lie side by side, and turned
where b's columns are contiguous, as those of a W^T.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinynn.compiler.code import Code
from tinynn.compiler.elementwise import Elementwise, usable
from tinynn.compiler.engine import lanes_of, processor
from tinynn.compiler.inner import Inner
from tinynn.compiler.transposition import rows_of, turn
from tinynn.compiler.types import FLOATS, Type

__all__ = ["Product", "product"]

WIDTH = 4  # vectors of a tile
CACHED = 32 * 1024  # bytes of b that all tiles of rows pass over before the next ones
DEPTH = 256  # of them along K at most
NEAR = 1024 * 1024  # bytes
MANY = 12  # tiles of rows: for fewer a copy of b does not pay
SETS, WAYS = 4096, 8  # bytes over all sets of the first-level cache, and how many lines a set holds


@dataclass(frozen=True)
class Product:
    """out = a @ b; shapes (N, K), (K, M), (N, M); of a stack of matrices, these are the first of each.

    `stack`: for each of its axes how many there are, and the steps of a, b and out, in elements, from one to the next.
    """

    a: np.ndarray
    b: np.ndarray
    out: np.ndarray
    stack: tuple[tuple[int, ...], ...] = ()

    @property
    def work(self) -> int:
        """Multiplications."""
        return math.prod(count for count, *_ in self.stack) * self.out.size * self.a.shape[1]

    @property
    def along_k(self) -> bool:
        """Whether both operands lie contiguous along the sum, and b is small enough for the nearer caches."""
        a, b = self.a, self.b
        long = (self.stack or a.shape[1] >= 512) and b.nbytes < NEAR
        return bool(long) and a.strides[1] == a.itemsize and b.strides[0] == b.itemsize != b.strides[1]

    def emit(self, code: Code) -> None:
        pointers = code.array(self.a), code.array(self.b), code.array(self.out)
        self.nest(code, self.stack, pointers, code.shared)

    def nest(self, code: Code, stack: Any, pointers: Any, loop: Any) -> None:
        """Loops through the stack."""
        if not stack:
            self.one(code, *pointers, alone=bool(self.stack))
            return
        (count, *steps), *others = stack
        with loop(count) as i:
            element = Type(self.out.dtype)
            moved = [code.at(p, code.times(i, step), element) for p, step in zip(pointers, steps, strict=True)]
            self.nest(code, others, moved, code.loop)

    def one(self, code: Code, a: str, b: str, out: str, alone: bool) -> None:
        """One product, by all threads together or by one alone."""
        (N, K), M = self.a.shape, self.b.shape[1]
        widest = processor().vector // self.out.itemsize
        if self.along_k:
            a_step, b_step, out_step = (
                stride // self.out.itemsize for stride in (self.a.strides[0], self.b.strides[1], self.out.strides[0])
            )
            steps = a_step, b_step, out_step
            Inner(code, Type(self.out.dtype, widest), (N, K, M), a, b, out, steps, alone).emit()
            return
        lanes = lanes_of(self.out.itemsize, M)
        type = Type(self.out.dtype, lanes)
        vectors = -(-M // lanes)
        width = -(-vectors // -(-vectors // max(WIDTH, (processor().registers - 4) // N)))
        height = min(N, max(1, (processor().registers - width - 2) // width), rows_at_once(self.a.strides))
        height = -(-N // -(-N // height))
        few = 2 * height >= N
        depth = K if few else min(K, DEPTH, max(16, CACHED // (width * type.size * lanes)))
        depth = -(-K // -(-K // depth))
        copied = vectors > width and MANY * height <= N
        if turns := copied and self.b.strides[0] == self.b.itemsize and lanes == widest <= K:
            depth = -(-depth // lanes) * lanes
            b_step = self.b.strides[1] // self.b.itemsize
        else:
            b, b_step = rows_of(code, self.b, b)
        tile = Tile(self, code, type, a, b, b_step, out, height, depth, copied, turns, alone)
        full = M // (width * lanes)
        with code.loop(K, step=depth) as start:
            end = K if depth == K else code.least(code.plus(start, depth), K)
            if full:
                with code.loop(full * width * lanes, step=width * lanes) as column:
                    tile.emit(column, [lanes] * width, start, end)
            if full * width * lanes < M:
                first = full * width * lanes
                tile.emit(first, [min(lanes, M - c) for c in range(first, M, lanes)], start, end)


@dataclass(frozen=True)
class Tile:
    """What is the same for all tiles of a product."""

    of: Product
    code: Code
    type: Type
    a: str
    b: str
    b_step: int
    out: str
    height: int
    depth: int
    copied: bool
    turns: bool  # whether the columns of b are contiguous, and the copy has its rows so
    alone: bool

    def emit(self, column: Any, columns: list[int], start: Any, end: Any) -> None:
        """All rows of the columns from `column` on, along K from `start` to `end`; `columns`: the lanes that count."""
        code, N = self.code, len(self.of.out)
        element = Type(self.type.dtype)
        row_step, column_step = (1, self.b_step) if self.turns else (self.b_step, 1)
        place = code.at(self.b, code.plus(code.times(start, row_step), code.times(column, column_step)), element)
        step = self.b_step
        if self.copied:
            place, step = self.copy(place, columns, start, end)
        full = N // self.height * self.height
        with (code.loop if self.alone else code.shared)(full, step=self.height) as row:
            self.rows(row, self.height, column, columns, start, end, place, step)
        if full < N:
            with code.here() if self.alone else code.once():
                self.rows(full, N - full, column, columns, start, end, place, step)

    def copy(self, place: str, columns: list[int], start: Any, end: Any) -> tuple[str, int]:
        """The part of b with its rows side by side; each thread has its own."""
        code, type = self.code, self.type
        step = len(columns) * type.lanes
        room = code.scratch(self.depth * step * code.parts, type.dtype)
        if code.parts > 1:
            room = code.at(room, code(f"mul i64 %part, {self.depth * step}"), Type(type.dtype))
        if self.turns:
            turn(code, place, self.b_step, room, columns, type, (start, end, len(self.of.b)))
            return room, step
        with code.loop(code.minus(end, start)) as k:
            source = code.at(place, code.times(k, self.b_step), Type(type.dtype))
            target = code.at(room, code.times(k, step), Type(type.dtype))
            for v, active in enumerate(columns):
                code.store(target, v * type.lanes, code.load(source, v * type.lanes, type, active), type)
        return room, step

    def rows(
        self, row: Any, height: int, column: Any, columns: list[int], start: Any, end: Any, b: str, b_step: int
    ) -> None:
        """One tile: `height` rows from `row` on."""
        code, type, element = self.code, self.type, Type(self.type.dtype)
        a_row, a_k = (stride // element.size for stride in self.of.a.strides)
        out_row = self.of.out.strides[0] // element.size
        a = code.at(self.a, code.plus(code.times(row, a_row), code.times(start, a_k)), element)
        place = code.at(self.out, code.plus(code.times(row, out_row), column), element)

        def begun(r: int, v: int, active: int) -> str:
            if isinstance(start, int):
                return type.all(0)
            sums = code.load(place, r * out_row + v * type.lanes, type, active)
            first = code(f"icmp eq i64 {start}, 0")
            return code(f"select i1 {first}, {type} {type.all(0)}, {type} {sums}")

        sums = [[code.variable(type, begun(r, v, n)) for v, n in enumerate(columns)] for r in range(height)]
        with code.loop(code.minus(end, start)) as k:
            b_row = code.at(b, code.times(k, b_step), element)
            ys = [code.load(b_row, v * type.lanes, type, None if self.copied else n) for v, n in enumerate(columns)]
            a_at = code.at(a, code.times(k, a_k), element)
            for r in range(height):
                x = code.splat(code.load(a_at, r * a_row, element), type)
                for total, y in zip(sums[r], ys, strict=True):
                    code.set(total, code.intrinsic("fmuladd", type, x, y, code.get(total, type)), type)
        for r in range(height):
            for v, active in enumerate(columns):
                code.store(place, r * out_row + v * type.lanes, code.get(sums[r][v], type), type, active)


def rows_at_once(strides: tuple[int, ...]) -> int:
    """How many rows of these steps the first-level cache holds at once: those a power of two apart share its sets."""
    row, element = map(abs, strides)
    return WAYS * (SETS // math.gcd(row, SETS)) if row > element else SETS


def product(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Product | Elementwise | None:
    """A call of dot or matmul as one that can be compiled; None where it cannot."""
    if function not in (np.dot, np.matmul) or kwargs or len(args) != 3:
        return None
    out = args[2]
    if usable(out) and out.dtype in FLOATS and 0 in args[0].shape:  # no terms
        return Elementwise(np.positive, (0.0,), out, out.dtype)
    if not usable(*args):
        return None
    if args[2].ndim == 2:
        return checked(Product(*args))
    return stack(args) if function is np.matmul and args[2].ndim > 2 else None


def stack(args: tuple[np.ndarray, ...]) -> Product | None:
    """The products of a stack of matrices."""
    out = args[2]
    shape = out.shape[:-2]
    a, b = (np.broadcast_to(x, (*shape, *x.shape[-2:])) for x in args[:2])
    steps = [(n, *(x.strides[k] // x.itemsize for x in (a, b, out))) for k, n in enumerate(shape) if n > 1]
    first = (0,) * len(shape)
    found = checked(Product(a[first], b[first], out[first], tuple(steps)))
    if found is None or not steps or found.along_k or found.b.strides[1] == found.b.itemsize:
        return found
    return None  # each would need a copy of its own b


def checked(found: Product) -> Product | None:
    """The product, if its matrices are such as the loops can walk through."""
    a, b, out = found.a, found.b, found.out
    if {a.ndim, b.ndim, out.ndim} != {2} or {a.dtype, b.dtype} != {out.dtype} or out.dtype not in FLOATS:
        return None
    if out.strides[1] != out.itemsize and out.shape[1] > 1:
        return None
    return None if np.may_share_memory(a, out) or np.may_share_memory(b, out) else found
