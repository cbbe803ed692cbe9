"""The order of an epoch: every row once, the same however it is asked for, and like a shuffled pack of cards."""

from __future__ import annotations

import collections
import math
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinynn import ConfigurationError
from tinynn.random import generator
from tinynn.training import order
from tinynn.training.order import Feistel, Order

LARGE = 10**12


def cipher(n: int, seed: int = 0) -> Feistel:
    return Feistel(generator(seed, "shuffle", 0), n)


# --- up to 2^24 rows


@pytest.mark.parametrize("n", [1, 2, 53, 10_000])
def test_a_short_order_is_numpys_permutation(n: int) -> None:
    for seed, epoch in [(0, 0), (7, 3)]:
        rows = Order(seed, epoch, n)
        assert len(rows) == n
        np.testing.assert_array_equal(rows[:], generator(seed, "shuffle", epoch).permutation(n))
        assert rows[:].dtype == np.int64
        assert rows[:].flags.c_contiguous  # what is compiled reads it by its address
        assert np.shares_memory(rows[0:n], rows[:]), "made once, slices are views"


def test_the_longest_list_has_two_to_the_24_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert order.LISTED == 1 << 24
    monkeypatch.setattr(order, "LISTED", 100)
    assert Order(0, 0, 100).cipher is None
    assert Order(0, 0, 101).cipher is not None


def test_nobody_writes_into_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    for listed in (100, 10):
        monkeypatch.setattr(order, "LISTED", listed)
        with pytest.raises(ValueError, match="read-only"):
            Order(0, 0, 50)[0:5][0] = 1


def test_a_seed_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="seed"):
        Order(-1, 0, 10)


# --- beyond


@given(st.integers(1, 3000), st.integers(0, 99))
def test_the_cipher_is_a_bijection(n: int, seed: int) -> None:
    assert sorted(cipher(n, seed)(np.arange(n)).tolist()) == list(range(n))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 255, 256, 257, 65_535, 65_536, 65_537, 1_000_003])
def test_the_cipher_is_a_bijection_beside_powers_of_two(n: int) -> None:
    seen = np.zeros(n, bool)
    seen[cipher(n)(np.arange(n))] = True
    assert seen.all()


@pytest.mark.parametrize("n", [2**24 + 1, 10**9, LARGE, 2**62])
def test_what_is_computed_lies_within_and_does_not_repeat(n: int) -> None:
    rows = Order(5, 1, n)
    assert len(rows) == n
    for start in (0, n // 2, n - 70_000):
        part = rows[start : start + 70_000]
        assert part.dtype == np.int64
        assert 0 <= part.min() <= part.max() < n
        assert len(np.unique(part)) == len(part) == 70_000


@given(st.lists(st.integers(-20, 1020), min_size=2, max_size=30), st.booleans())
def test_the_order_does_not_depend_on_how_it_is_sliced(cuts: list[int], short: bool) -> None:
    before = order.LISTED, order.BLOCK
    try:
        order.LISTED, order.BLOCK = (2000 if short else 10), 64
        rows = Order(3, 0, 1000)
        whole = rows[:].copy()
        assert sorted(whole.tolist()) == list(range(1000))
        for a, b in pairwise(cuts):
            np.testing.assert_array_equal(rows[a:b], whole[a:b])
            np.testing.assert_array_equal(rows[a:b:3], whole[a:b:3])
            assert rows[a:b].dtype == np.int64
    finally:
        order.LISTED, order.BLOCK = before


@pytest.mark.parametrize("size", [1, 7, 13, 21, 63, 64, 65, 66])
def test_batches_one_behind_the_other_are_the_whole_order(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(order, "LISTED", 10)
    monkeypatch.setattr(order, "BLOCK", 64)
    rows, whole = Order(3, 0, 1000), Order(3, 0, 1000)[:]
    for start in range(0, 1000, size):
        np.testing.assert_array_equal(rows[start : start + size], whole[start : start + size])


def test_slices_stay_what_they_are() -> None:
    rows = Order(0, 0, LARGE)
    first = rows[0:100]
    held = first.copy()
    rows[10**9 : 10**9 + 100]
    np.testing.assert_array_equal(first, held)


@pytest.mark.parametrize("n", [1000, 10**9])
def test_other_seeds_and_epochs_have_other_orders(n: int) -> None:
    heads = [tuple(Order(seed, epoch, n)[0:20].tolist()) for seed in range(5) for epoch in range(5)]
    assert len(set(heads)) == 25
    assert heads[0] == tuple(Order(0, 0, n)[0:20].tolist())


def test_the_memory_does_not_grow_with_the_rows() -> None:
    Order(0, 0, LARGE)[0:10]
    tracemalloc.start()
    try:
        rows = Order(0, 0, LARGE)
        for start in range(0, LARGE, LARGE // 20):
            rows[start : start + 1000]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


# --- like a shuffle: each figure within five standard deviations of a random permutation's


@pytest.mark.parametrize("n", [20_000, 10**9 + 7, LARGE])
@pytest.mark.parametrize("seed", [0, 1])
def test_rows_are_far_from_their_places_as_after_a_shuffle(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    places = np.arange(n) if n <= 20_000 else rng.integers(0, n, 20_000)
    rows = cipher(n, seed)(places)
    moved = abs(rows - places) / n
    assert abs(moved.mean() - 1 / 3) < 5 * math.sqrt(1 / 18 / len(places))
    assert abs(np.corrcoef(places, rows)[0, 1]) < 5 / math.sqrt(len(places))
    assert (rows == places).sum() < 8  # one is expected


@pytest.mark.parametrize("n", [20_000, 10**9 + 7, LARGE])
@pytest.mark.parametrize("lag", [1, 2, 7, 64])
def test_neighbours_stand_in_either_order_and_tell_nothing_of_each_other(n: int, lag: int) -> None:
    rows = cipher(n, 2)(np.arange(20_000))
    before, after = rows[:-lag], rows[lag:]
    assert abs((before < after).mean() - 0.5) < 5 * math.sqrt(1 / 4 / len(before))
    assert abs(np.corrcoef(before, after)[0, 1]) < 5 / math.sqrt(len(before))
    assert (abs(after - before) <= 3).sum() < 30  # rows that stood together: 6 are expected at most


@pytest.mark.parametrize("n", [10**9 + 7, LARGE])
def test_rows_are_spread_evenly_in_their_high_and_low_digits(n: int) -> None:
    rows = cipher(n, 3)(np.arange(64_000))
    for digits in (rows * 64 // n, rows % 64, rows // 64 % 64):
        counts = np.bincount(digits, minlength=64)
        assert ((counts - 1000) ** 2 / 1000).sum() < 63 + 5 * math.sqrt(2 * 63)


def test_all_orders_of_four_rows_come_equally_often() -> None:
    counts = collections.Counter(tuple(cipher(4, seed)(np.arange(4)).tolist()) for seed in range(4800))
    assert len(counts) == 24
    assert sum((count - 200) ** 2 / 200 for count in counts.values()) < 23 + 5 * math.sqrt(2 * 23)
