"""Initialisers have the spread that their formulas say; random streams depend on seed and name, and on nothing else."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinynn import ConfigurationError, init
from tinynn.random import generator

SHAPES = st.lists(st.integers(1, 6), max_size=4).map(tuple)
RANDOM = [init.he, init.glorot, init.lecun, init.standard_normal]
NAMES = st.lists(st.text(max_size=5) | st.integers(0, 2**31), max_size=3).map(tuple)


@pytest.mark.parametrize("initialiser", [*RANDOM, init.zeros, init.ones])
@given(shape=SHAPES, seed=st.integers(0, 100))
def test_an_initialiser_gives_finite_float64_of_the_shape_and_the_same_again(
    initialiser: init.Init, shape: tuple[int, ...], seed: int
) -> None:
    array = initialiser(np.random.default_rng(seed), shape)
    assert np.shape(array) == shape
    assert np.asarray(array).dtype == np.float64
    assert np.isfinite(array).all()
    np.testing.assert_array_equal(array, initialiser(np.random.default_rng(seed), shape))


@pytest.mark.parametrize(
    ("initialiser", "variance"),
    [
        (init.he, lambda D, M: 2 / D),
        (init.glorot, lambda D, M: 2 / (D + M)),
        (init.lecun, lambda D, M: 1 / D),
        (init.standard_normal, lambda D, M: 1.0),
    ],
)
@pytest.mark.parametrize("shape", [(400, 300), (300, 400), (50, 2000)])
def test_the_variance_is_that_of_the_formula(
    initialiser: init.Init, variance: Callable[[int, int], float], shape: tuple[int, int]
) -> None:
    W = initialiser(np.random.default_rng(0), shape)
    expected = variance(*shape)
    assert W.var() == pytest.approx(expected, rel=0.02)  # four standard errors of 100,000 numbers
    assert abs(W.mean()) < 4 * math.sqrt(expected / W.size)


def test_fan_in_and_fan_out_of_a_convolution_count_the_taps_of_its_window() -> None:
    assert init.fan_in_out((8, 3, 5, 4)) == (3 * 5 * 4, 8 * 5 * 4)
    assert init.fan_in_out((8, 3)) == (8, 3)


def test_glorot_is_uniform_up_to_its_bound_and_the_others_are_normal() -> None:
    rng = np.random.default_rng(0)
    bound = math.sqrt(6 / (30 + 70))
    W = init.glorot(rng, (30, 70))
    assert 0.99 * bound < abs(W).max() <= bound
    for initialiser in (init.he, init.lecun, init.standard_normal):
        W = initialiser(rng, (400, 300))
        assert abs(W / W.std()).max() > 4  # a uniform distribution ends at 1.73
        assert np.mean(abs(W) < W.std()) == pytest.approx(0.6827, abs=0.005)


def test_zeros_and_ones() -> None:
    rng = np.random.default_rng(0)
    state = rng.bit_generator.state
    np.testing.assert_array_equal(init.zeros(rng, (2, 3)), np.zeros((2, 3)))
    np.testing.assert_array_equal(init.ones(rng, (2, 3)), np.ones((2, 3)))
    assert rng.bit_generator.state == state


# --- streams


@given(st.integers(0, 2**70), NAMES)
def test_the_same_seed_and_names_give_the_same_stream(seed: int, names: tuple[str | int, ...]) -> None:
    first, second = generator(seed, *names), generator(seed, *names)
    first.standard_normal(3)
    np.testing.assert_array_equal(generator(seed, *names).random(8), second.random(8))


@given(st.integers(0, 2**40), st.integers(0, 2**40), NAMES, NAMES)
def test_another_seed_or_another_name_gives_another_stream(
    seed: int, other: int, names: tuple[str | int, ...], others: tuple[str | int, ...]
) -> None:
    one = generator(seed, *names).random(4)
    if seed != other:
        assert not np.isclose(one, generator(other, *names).random(4)).all()
    if names != others:
        assert not np.isclose(one, generator(seed, *others).random(4)).all()


def test_the_streams_of_two_epochs_and_of_two_orders_differ() -> None:
    draws = [
        generator(1, "shuffle", 0),
        generator(1, "shuffle", 1),
        generator(1, 1, "shuffle"),
        generator(1, "shuffle"),
    ]
    assert len({tuple(draw.random(4)) for draw in draws}) == 4


def test_a_stream_is_philox_keyed_by_seed_and_checksum_so_that_it_is_the_same_in_every_process() -> None:
    key = np.random.SeedSequence(1, spawn_key=(zlib.crc32(b"shuffle"), 7))
    expected = np.random.Generator(np.random.Philox(key)).integers(0, 2**32, 8)
    np.testing.assert_array_equal(generator(1, "shuffle", 7).integers(0, 2**32, 8), expected)


def test_a_numpy_integer_is_a_seed() -> None:
    seed: Any = np.int64(7)
    assert generator(7, "x").random() == generator(seed, "x").random()


@pytest.mark.parametrize("seed", [-1, 1.0, "1", None, [1], np.float64(1)])
def test_what_is_no_seed_is_refused_and_shown(seed: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        generator(seed, "x")
    assert caught.value.got == repr(seed)
