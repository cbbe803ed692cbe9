"""The order of the rows in an epoch: a permutation that is a function of (seed, epoch), of any length.

Up to 2^24 rows it is NumPy's permutation. Beyond that the list itself would need gigabytes: there every place's row is
computed when it is asked for, by a cipher whose messages are the row numbers.

Source: Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002 (cycle walking over a Feistel network);
the mixing of bits after Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinynn.errors import DataError
from tinynn.random import generator

__all__ = ["Feistel", "Order", "order_of"]

LISTED = 1 << 24  # rows up to which the order is a list: 128 MiB, made in half a second
BLOCK = 1 << 16  # places beyond that are computed together: a NumPy call takes a microsecond however few they are
ROUNDS = 8
FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


class Order:
    """`order[a:b]`: the rows at the places a to b of the epoch, as int64; every row of 0..n-1 has one place.

    The same (seed, epoch, n) give the same order, however it is sliced. The slices are not to be written to.
    """

    def __init__(self, seed: int, epoch: int, n: int) -> None:
        self.n = n
        stream = generator(seed, "shuffle", epoch)
        self.cipher = Feistel(stream, n) if n > LISTED else None
        self.first = 0  # the place of the first row in `rows`
        self.rows = np.empty(0, np.int64) if self.cipher else stream.permutation(n).astype(np.int64, copy=False)
        self.rows.flags.writeable = False

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, places: slice) -> np.ndarray:
        start, stop, step = places.indices(self.n)
        if self.cipher is None:
            return self.rows[places]
        if step != 1:
            return self.cipher(np.arange(start, stop, step))
        stop = max(start, stop)
        if stop - start > BLOCK:
            return self.cipher(np.arange(start, stop))
        if not self.first <= start <= stop <= self.first + len(self.rows):
            self.first = start
            self.rows = self.cipher(np.arange(start, min(start + BLOCK, self.n)))
            self.rows.flags.writeable = False  # the next block is a new array: slices of this one stay what they are
        return self.rows[start - self.first : stop - self.first]


def order_of(seed: int, epoch: int, n: int, own: Callable[[int], Any] | None = None) -> np.ndarray | Order:
    """The order of an epoch: as an array where it is one, which is sliced without a call of Python's.

    `own`: the caller's function, which decides it instead of the seed. Errors: DataError for what is no order.
    """
    if own is not None:
        return looked_at(own(epoch), epoch, n)
    order = Order(seed, epoch, n)
    return order if order.cipher else order.rows


def looked_at(given: Any, epoch: int, n: int) -> np.ndarray:
    """What a function of the caller's says the order is, as int64. Errors: DataError; a device would look at none."""
    try:
        rows = np.asarray(given)
    except ValueError:  # lists of several lengths
        rows = np.empty(0, object)
    if rows.shape == (n,) and rows.dtype.kind in "iu":
        if rows.min() >= 0 and rows.max() < n:
            return rows.astype(np.int64)
        got = f"{rows.min()} to {rows.max()}"
    else:
        got = f"{type(given).__name__} of {rows.dtype}, shape {rows.shape}"
    raise DataError(
        "this is no order of the rows",
        where=f"fit, order({epoch})",
        expected=f"{n} integers, each the number of a row: 0 to {n - 1}",
        got=got,
        fix="return an array such as rng.permutation(n)",
    )


class Feistel:
    """`cipher(places)`: a bijection of 0..n-1 to itself, with a key drawn from the stream; in constant memory.

    A round: (L, R) -> (R, L xor F(R)), a bijection whatever F is, on the pairs of numbers of h bits. 4^h >= n is the
    least such power, and a place that comes out at n or above goes in again until it comes out below: as it started
    below, its cycle leads back there, after four turns at most on average.
    """

    def __init__(self, stream: np.random.Generator, n: int) -> None:
        self.n = n
        half = max(1, -(-(n - 1).bit_length() // 2))
        self.half, self.mask = np.uint64(half), np.uint64((1 << half) - 1)
        self.keys = stream.integers(0, 1 << 64, ROUNDS, dtype=np.uint64)

    def __call__(self, places: np.ndarray) -> np.ndarray:
        values = self.turn(np.asarray(places).astype(np.uint64))
        while (beyond := np.flatnonzero(values >= self.n)).size:
            values[beyond] = self.turn(values[beyond])
        return values.astype(np.int64)

    def turn(self, values: np.ndarray) -> np.ndarray:
        """All rounds, once."""
        left, right = values >> self.half, values & self.mask
        for key in self.keys:
            left, right = right, left ^ self.mixed(right + key)
        return left << self.half | right

    def mixed(self, x: np.ndarray) -> np.ndarray:
        """The upper h bits of a hash of 64 bits."""
        x = (x ^ x >> np.uint64(30)) * FACTORS[0]
        return (x ^ x >> np.uint64(27)) * FACTORS[1] >> np.uint64(64) - self.half
