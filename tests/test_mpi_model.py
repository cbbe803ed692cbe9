"""The model of what a sum over ranks costs: what it is made of comes out of it again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.mpi_model import Network, efficiency, fitted, pays_from, step_seconds

SIZES = [8.0, 1e3, 1e5, 1e6, 1e7]
alphas, betas, counts = st.floats(1e-7, 1e-3), st.floats(1e-12, 1e-7), st.integers(2, 4096)


@given(counts, alphas, betas)
def test_alpha_and_beta_are_found_again(n: int, alpha: float, beta: float) -> None:
    network = Network(alpha, beta)
    found = fitted(n, SIZES, [network.seconds(n, size) for size in SIZES])
    np.testing.assert_allclose(found, network, rtol=1e-6)


def test_neither_is_below_0() -> None:
    assert fitted(2, SIZES, [1.0, 1.0, 1.0, 0.9, 0.5]).beta == 0
    free = fitted(2, [1e6, 1e7], [1e-3, 2e-2])
    assert free.alpha == 0 and free.beta > 0
    for wrong in ((1, SIZES, SIZES), (2, [1.0], [1.0]), (2, SIZES, [1.0])):
        with pytest.raises(ValueError, match="two sums or more"):
            fitted(*wrong)


def test_one_rank_pays_nothing() -> None:
    assert Network(1.0, 1.0).seconds(1, 1e9) == 0
    assert efficiency(Network(1.0, 1.0), 1, 1e6, 32, 1e9) == 1


def test_two_ranks_by_hand() -> None:
    assert Network(3.0, 0.0).seconds(2, 100) == 6.0  # there and back
    assert Network(0.0, 0.5).seconds(2, 100) == 50.0  # half of it there, half back
    assert Network(1.0, 0.0).seconds(5, 0) == 6.0  # three rounds each way
    assert step_seconds(10, 4, 24) == 10.0


@given(counts, alphas, betas, st.integers(1, 1024), st.floats(1e9, 1e13))
def test_more_ranks_are_less_efficient_and_larger_networks_more(
    n: int, alpha: float, beta: float, rows: int, rate: float
) -> None:
    network = Network(alpha, beta)
    shares = [efficiency(network, ranks, 1e6, rows, rate) for ranks in (n, 2 * n)]
    assert 0 < shares[1] <= shares[0] < 1
    assert efficiency(network, n, 1e5, rows, rate) <= efficiency(network, n, 1e6, rows, rate)
    size = pays_from(network, n, rows, rate)
    if size is None:
        assert efficiency(network, n, 1e12, rows, rate) < 0.5
    elif size > 20:
        assert efficiency(network, n, size, rows, rate) == pytest.approx(0.5, rel=1e-6)
