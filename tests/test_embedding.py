"""Embedding: values by hand, ids that are refused, and a place in networks of several layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinynn import (
    SGD,
    Add,
    Affine,
    ConfigurationError,
    DataError,
    Embedding,
    Flatten,
    Graph,
    Sequential,
    SoftmaxCrossEntropy,
    fit,
    gradcheck,
)

IDS = np.array([[0, 2, 2], [1, 2, 0]])


def test_values_and_gradients_by_hand() -> None:
    net = Sequential(Embedding(4, 2, W=np.arange(8.0).reshape(4, 2))).build((3,), dtype="float64")
    y, cache = net.forward(IDS)
    np.testing.assert_array_equal(y[0], [[0, 1], [4, 5], [4, 5]])
    dy = np.arange(12.0).reshape(2, 3, 2)
    net.backward(dy, cache)
    right = [dy[0, 0] + dy[1, 2], dy[1, 0], dy[0, 1] + dy[0, 2] + dy[1, 1], [0, 0]]
    np.testing.assert_array_equal(net.storage.gradients["0.W"], right)


def test_it_learns_which_word_is_which() -> None:
    rng = np.random.default_rng(0)
    words = rng.integers(0, 20, (200, 2))
    t = (words[:, 0] % 2) ^ (words[:, 1] % 2)  # decided by the words, and not by their numbers' size
    net = Sequential(Embedding(20, 4), Flatten(), Affine(16), Affine(2), SoftmaxCrossEntropy()).build((2,))
    graph = Graph(
        a=(Embedding(20, 8), "first"),
        b=(Embedding(20, 8), "second"),
        both=(Add(), "a", "b"),
        scores=(Affine(2), "both"),
        loss=(SoftmaxCrossEntropy(), "scores", "t"),
    ).build((), ())
    gradcheck(net, inputs=[words[:3], t[:3]])
    gradcheck(graph, inputs=[words[:3, 0], words[:3, 1], t[:3]])
    easy = words[:, 0] % 2
    fit(graph, SGD(0.5), (words[:, 0], words[:, 1], easy), epochs=20, progress=False)
    assert graph.evaluate(words[:, 0], words[:, 1], easy).accuracy == 1.0


@pytest.mark.parametrize("wrong", [4, -1, 2**31])
def test_an_id_out_of_range_is_named(wrong: int) -> None:
    net = Sequential(Embedding(4, 2)).build((3,))
    ids = IDS.copy()
    ids[1, 2] = wrong
    for call in (net.predict, net.forward):
        with pytest.raises(DataError, match="no vector for this integer") as caught:
            call(ids)
        assert "row 1, element (2,)" in str(caught.value.where)
        assert caught.value.expected == "0 to 3"
        if wrong < 2**31:
            assert caught.value.got == wrong


def test_it_draws_integers_that_it_can_be_checked_on() -> None:
    gradcheck(Embedding(5, 2), (3,))
    gradcheck(Embedding(5, 2), ())
    (ids,) = Embedding(5, 2).example(np.random.default_rng(0), 200, (3,))
    assert ids.shape == (200, 3) and (ids.min(), ids.max()) == (0, 4)


def test_floats_are_refused_and_not_rounded() -> None:
    with pytest.raises(DataError, match="looks up integers") as caught:
        Sequential(Embedding(4, 2)).build((3,)).predict(IDS + 0.5)
    assert caught.value.fix is not None and "astype(int)" in caught.value.fix


def test_settings_that_cannot_be() -> None:
    sizes: Any = ((0, 2), (3, 0), (2.5, 2))
    for V, D in sizes:
        with pytest.raises(ConfigurationError):
            Embedding(V, D)
