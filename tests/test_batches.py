"""Rows in, batches out: every row once, in the order given, in batches of the size asked for."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinynn.backend import NumpyOps
from tinynn.training.batches import Batches

DTYPES = st.sampled_from(["u1", "i4", "f4", "f8"])


@given(
    rows=st.integers(1, 300),
    shape=st.lists(st.integers(1, 4), max_size=3).map(tuple),
    batch_size=st.integers(1, 310),
    kinds=st.tuples(DTYPES, DTYPES),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_batches_are_the_rows_in_order(
    rows: int, shape: tuple[int, ...], batch_size: int, kinds: tuple[str, str], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x, t = rng.integers(0, 200, (rows, *shape)).astype(kinds[0]), np.arange(rows).astype(kinds[1])
    before = x.copy()
    order = rng.permutation(rows)[: rng.integers(1, rows + 1)]
    xs, ts = [], []
    for a, b in Batches(NumpyOps(), (x, t), batch_size)(order):
        assert len(a) == len(b)
        assert (a.dtype, b.dtype) == (x.dtype, t.dtype)
        assert a.flags.c_contiguous
        assert not np.shares_memory(a, x)
        xs.append(a.copy())
        ts.append(b.copy())
    assert [len(batch) for batch in xs[:-1]] == [batch_size] * (len(xs) - 1)
    assert len(xs) == -(-len(order) // batch_size)
    np.testing.assert_array_equal(np.concatenate(xs), x[order])
    np.testing.assert_array_equal(np.concatenate(ts), t[order])
    np.testing.assert_array_equal(x, before)


@given(st.integers(1, 200), st.integers(1, 200))
def test_the_memory_is_that_of_one_batch(batch_size: int, rows: int) -> None:
    x, t = np.zeros((rows, 3), np.uint8), np.zeros((rows, 2))
    bases = {id(a.base): a.base for a, _ in Batches(NumpyOps(), (x, t), batch_size)(np.arange(rows))}
    assert len(bases) == 1
    (room,) = bases.values()
    assert len(room) == min(rows, batch_size)


def test_of_a_shared_batch_there_is_room_for_the_share() -> None:
    x = np.arange(24).reshape(12, 2)
    batches = Batches(NumpyOps(), (x, x[:, 0]), 10, share=4)
    assert [len(room) for room in batches.rooms] == [4, 4]
    assert batches.gather(np.arange(4)) is batches.gather(np.arange(4, 8))
    whole, first = batches.gather(np.arange(9)), batches.gather(np.arange(1))
    np.testing.assert_array_equal(whole[0], x[:9])  # others may look at more, and it stays theirs
    np.testing.assert_array_equal(first[0], x[:1])
    assert batches.kind != Batches(NumpyOps(), (x, x[:, 0]), 10, share=5).kind


def test_rows_may_come_twice() -> None:
    x = np.arange(12).reshape(6, 2)
    (batch,) = Batches(NumpyOps(), (x, x[:, 0]), 8)(np.array([5, 5, 0]))
    np.testing.assert_array_equal(batch[0], [[10, 11], [10, 11], [0, 1]])
    np.testing.assert_array_equal(batch[1], [10, 10, 0])


def test_no_rows_no_batches() -> None:
    x = np.zeros((3, 2))
    assert list(Batches(NumpyOps(), (x, x[:, 0]), 4)(np.array([], int))) == []
