"""What a product of arrays comes to: calls of the library, or what has to happen before there can be any."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tinynn.cuda.gemm_layout import Matrix, Piece, matrix, stack_strides, stacks
from tinynn.cuda.gemm_plan import BIAS, PLAIN, Plan, Problem
from tinynn.cuda.kernels import Array
from tinynn.errors import ConfigurationError, ShapeError

__all__ = ["WIDEST", "Call", "Sketch", "check_arrays", "sketch"]

WIDEST = 16
"""The largest alignment in bytes that is told of: what the widest loads ask for. To tell of more would make the choice
of an algorithm, and so the last bits, depend on where an array happens to begin."""


class Call(NamedTuple):
    """A product as it is made whenever it is asked for.

    `steps`: plans, and the places they run at, bytes from the beginnings of a, b and out. `crosswise`: the library's A
    is b, see `gemm_plan`. `empty`: there is nothing to multiply. `copied`: which of a, b, out and the vector lie as
    the library cannot read them. `offered`: whether there is an algorithm that adds the vector.
    """

    steps: tuple[tuple[Plan, tuple[tuple[int, ...], ...]], ...] = ()
    crosswise: bool = True
    empty: bool = False
    copied: tuple[bool, ...] | None = None
    offered: bool = True


class Sketch(NamedTuple):
    """A `Call` before any algorithm is chosen: its problems, each with the places that it is solved at."""

    call: Call
    problems: tuple[tuple[Problem, tuple[tuple[int, ...], ...]], ...] = ()


def check_arrays(a: Array, b: Array, out: Array, vector: Array | None, stored: str) -> None:
    """Errors: ShapeError, ConfigurationError for arrays that do not fit each other."""
    fits = min(a.ndim, b.ndim, out.ndim) >= 2 and a.shape[-1] == b.shape[-2]
    if fits:
        try:
            lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        except ValueError:
            fits = False
        else:
            fits = out.shape == (*lead, a.shape[-2], b.shape[-1])
    if not fits or (vector is not None and vector.shape != out.shape[-1:]):
        last = "" if vector is None else f" and {vector.shape}"
        raise ShapeError(
            "these arrays have no product",
            where="a matrix product",
            expected="(..., N, K) by (..., K, M) into (..., N, M)" + (", with a vector (M,)" if last else ""),
            got=f"{a.shape} by {b.shape} into {out.shape}{last}",
            fix="arrays of shapes that fit",
        )
    dtypes = (a.dtype, b.dtype, out.dtype, *(() if vector is None else (vector.dtype,)))
    if out.dtype.char not in "fd" or dtypes != (np.dtype(stored),) * 2 + (out.dtype,) * (len(dtypes) - 2):
        raise ConfigurationError(
            "the GPU multiplies floats of one kind",
            where="a matrix product",
            expected="arrays of float32, or of float64",
            got=", ".join(map(str, dtypes)),
            fix="x.astype(out.dtype)",
        )


def sketch(precision: str, a: Array, b: Array, out: Array, vector: Array | None, low: int) -> Sketch:
    """The problems of out = a b, or a b + vector. `low`: all addresses put together by `or`, for their alignment."""
    if not (a.size and b.size and out.size):
        return Sketch(Call(empty=True))
    arrays = a, b, out
    seen = [matrix(x.shape, x.strides, x.itemsize) for x in arrays]
    whole = all(s % x.itemsize == 0 for x in arrays for s in x.strides) and not any(low % x.itemsize for x in arrays)
    scattered = vector is not None and vector.size > 1 and vector.strides[0] != vector.itemsize
    copied = (*(m is None or not whole for m in seen), scattered or (vector is not None and not whole))
    if any(copied):
        return Sketch(Call(copied=copied))
    matrices = [m for m in seen if m is not None]
    if vector is not None and not matrices[2].by_rows:
        # The library adds it to columns of its D, which are rows of `out` only where that lies by rows.
        return Sketch(Call(offered=False))
    epilogue = PLAIN if vector is None else BIAS
    lead = out.shape[:-2]
    pieces = stacks(lead, tuple(stack_strides(x.shape, x.strides, lead) for x in arrays))
    sizes = tuple(x.itemsize for x in arrays)
    problems = tuple(
        (problem(epilogue, precision, out.shape, a.shape[-1], matrices, piece, sizes, low), piece.offsets)
        for piece in pieces
    )
    return Sketch(Call(crosswise=matrices[2].by_rows), problems)


def problem(
    epilogue: int,
    precision: str,
    shape: tuple[int, ...],
    K: int,
    matrices: list[Matrix],
    piece: Piece,
    sizes: tuple[Any, ...],
    low: int,
) -> Problem:
    """The problem of one piece of a stack."""
    a, b, out = matrices
    steps = [step // size for step, size in zip(piece.steps, sizes, strict=True)]
    rows, columns = shape[-2:]
    bits = WIDEST | low
    for step in (*piece.steps, *(offset for place in piece.offsets for offset in place)):
        bits |= step
    if out.by_rows:
        A, B, M, N, batch_a, batch_b = b, a, columns, rows, steps[1], steps[0]
    else:
        A, B, M, N, batch_a, batch_b = a, b, rows, columns, steps[0], steps[1]
    return Problem(
        precision,
        epilogue,
        M,
        N,
        K,
        A.by_rows != out.by_rows,
        A.leading,
        B.by_rows != out.by_rows,
        B.leading,
        out.leading,
        piece.times,
        batch_a,
        batch_b,
        steps[2],
        bits & -bits,
    )
