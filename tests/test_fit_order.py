"""An order of the rows that the caller decides: `fit(order=)`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_helpers import T, X, network, outcome, trained

from tinynn import SGD, ConfigurationError, DataError
from tinynn.random import generator
from tinynn.testing import FakeDevice

N = len(X)


def permuted(epoch: int) -> np.ndarray:
    """What the seed of `trained` decides."""
    return generator(5, "shuffle", epoch).permutation(N)


def test_the_function_is_asked_for_each_epoch_and_decides_it() -> None:
    asked: list[int] = []

    def order(epoch: int) -> np.ndarray:
        asked.append(epoch)
        return permuted(epoch)

    net, usual = network(), network()
    history = trained(net, epochs=3, order=order, seed=99)
    assert outcome(net, history) == outcome(usual, trained(usual, epochs=3))
    assert asked == [0, 1, 2]


@pytest.mark.parametrize("backend", ["numpy", "device"])
def test_rows_as_they_are_given(backend: str) -> None:
    """The same as one step after another by hand."""
    made: list[Any] = []
    for by_hand in (False, True):
        net = network("numpy" if by_hand else FakeDevice() if backend == "device" else backend, "float64")
        sgd = SGD(0.1)
        if by_hand:
            for start in [*range(0, N, 7)] * 2:
                _, cache = net.forward(X[start : start + 7], T[start : start + 7])
                net.backward(1.0, cache)
                sgd.step(net)
        else:
            trained(net, sgd, epochs=2, order=lambda epoch: range(N))
        made.append(net.ops.to_host(net.storage.params))
    np.testing.assert_allclose(made[0], made[1], rtol=1e-12, atol=1e-12)


def test_a_row_may_come_twice() -> None:
    twice = np.repeat(np.arange(N // 2 + 1), 2)[:N]
    net, other = network(), network()
    trained(net, SGD(0.1), epochs=1, order=lambda epoch: twice)
    trained(other, SGD(0.1), (X[twice], T[twice]), epochs=1, order=lambda epoch: range(N))
    assert net.storage.params.tobytes() == other.storage.params.tobytes()


def test_a_run_with_an_order_of_its_own_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    def order(epoch: int) -> np.ndarray:
        return (np.arange(N) * 5 + epoch) % N

    whole, first, second = network(), network(), network()
    expected = trained(whole, epochs=4, order=order)
    more: dict[str, Any] = {"checkpoint": tmp_path / "run", "resume": True, "order": order}
    trained(first, epochs=2, **more)
    assert outcome(second, trained(second, epochs=4, **more)) == outcome(whole, expected)


@pytest.mark.parametrize(
    "wrong",
    [
        range(N - 1),
        range(1, N + 1),
        range(-1, N - 1),
        np.arange(N) * 1.0,
        None,
        [[0], [1, 2]],
        [[0]] * N,
        "abc",
    ],
    ids=str,
)
def test_what_is_no_order(wrong: Any) -> None:
    net = network()
    before = net.storage.params.copy()
    with pytest.raises(DataError, match="this is no order of the rows") as caught:
        trained(net, order=lambda epoch: wrong)
    assert caught.value.where == "fit, order(0)"
    np.testing.assert_array_equal(net.storage.params, before)


def test_what_is_no_function() -> None:
    with pytest.raises(ConfigurationError, match="a function of the epoch"):
        trained(network(), order=np.arange(N))
