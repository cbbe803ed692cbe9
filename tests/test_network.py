"""A network as its user sees it: forward, backward, predict, loss, evaluate, summary."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinynn import (
    Affine,
    Graph,
    Layer,
    QuadraticCost,
    ReLU,
    Rescale,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
    StateError,
)
from tinynn.network import Cache, Evaluation

RNG = np.random.default_rng(0)
X = RNG.standard_normal((50, 6)).astype(np.float32)
T = RNG.integers(0, 3, 50)


def network(**options: Any) -> Sequential:
    return Sequential(Affine(8), Sigmoid(), Affine(3), SoftmaxCrossEntropy()).build((6,), **options)


def by_hand(net: Sequential, x: np.ndarray) -> np.ndarray:
    """The scores of `network()`, from its parameters and the formulas."""
    p = {name: array.astype(np.float64) for name, array in net.storage.arrays().items()}
    hidden = 1 / (1 + np.exp(-(x @ p["0.W"] + p["0.b"])))
    return hidden @ p["2.W"] + p["2.b"]


def softmax(scores: np.ndarray) -> np.ndarray:
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def test_forward_predict_loss_and_evaluate_are_the_formulas() -> None:
    net = network(dtype="float64")
    p = softmax(by_hand(net, X))
    expected = -np.log(p[np.arange(50), T]).mean()
    loss, cache = net.forward(X, T)
    assert isinstance(cache, Cache)
    assert float(loss) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(cache.scores, by_hand(net, X), rtol=1e-12)
    np.testing.assert_allclose(net.predict(X), p, rtol=1e-12)
    assert net.loss(X, T) == pytest.approx(expected, rel=1e-12)
    accuracy = (p.argmax(axis=1) == T).mean()
    for targets in (T, np.eye(3)[T]):
        result = net.evaluate(X, targets)
        assert isinstance(result, Evaluation)
        assert result.loss == pytest.approx(expected, rel=1e-12)
        assert result.accuracy == accuracy


def test_evaluate_in_blocks_weights_the_last_block_right() -> None:
    net = network(dtype="float64")
    at_once, in_blocks = net.evaluate(X, T), net.evaluate(X, T, batch_size=7)
    assert in_blocks.loss == pytest.approx(at_once.loss, rel=1e-12)
    assert in_blocks.accuracy == at_once.accuracy


def test_rows_that_say_no_class_have_no_accuracy() -> None:
    net = Sequential(Affine(2), QuadraticCost()).build((6,))
    result = net.evaluate(X, RNG.standard_normal((50, 2)))
    assert math.isnan(result.accuracy)
    assert math.isfinite(result.loss)


def test_a_network_without_a_loss_gives_its_output_and_takes_any_gradient() -> None:
    net = Sequential(Affine(3)).build((6,), dtype="float64", needs_dx=True)
    y, cache = net.forward(X)
    np.testing.assert_allclose(y, X @ net.storage.parameters["0.W"], rtol=1e-12)
    dy = RNG.standard_normal(y.shape)
    dx = net.backward(dy.tolist(), cache)
    np.testing.assert_allclose(dx, dy @ net.storage.parameters["0.W"].T, rtol=1e-12)
    np.testing.assert_allclose(net.storage.gradients["0.W"], X.T @ dy, rtol=1e-6)


def test_summary() -> None:
    net = Sequential(Rescale(1 / 5), Sequential(Affine(1200), ReLU()), Affine(10), SoftmaxCrossEntropy())
    assert net.build((28, 28)).summary() == (
        "layer                         output    parameters\n"
        "0      Rescale(0.2)           (28, 28)           0\n"
        "1.0    Affine(1200)           (1200,)      942,000\n"
        "1.1    ReLU()                 (1200,)            0\n"
        "2      Affine(10)             (10,)         12,010\n"
        "3      SoftmaxCrossEntropy()  ()                 0\n"
        "954,010 parameters, float32, numpy, input (28, 28)"
    )


def test_a_sequential_is_a_sequence_of_its_layers() -> None:
    net = network()
    assert len(net) == 4
    assert list(net) == [net[0], net[1], net[2], net[3]]
    assert net[-1] is net.final_loss


# --- predict


@pytest.mark.parametrize("batch_size", [1, 7, 49, 50, 51])
def test_predict_in_blocks_is_predict_at_once(batch_size: int) -> None:
    net = network()
    np.testing.assert_allclose(net.predict(X, batch_size=batch_size), net.predict(X), rtol=0, atol=1e-6)


@pytest.mark.parametrize("batch_size", [10, 1024])
def test_what_predict_returns_is_the_callers_own(batch_size: int) -> None:
    net = network()
    first = net.predict(X, batch_size=batch_size)
    kept = first.copy()
    net.predict(X[::-1], batch_size=batch_size)
    net.forward(X[::-1], T)
    np.testing.assert_array_equal(first, kept)
    first[...] = 0  # and writing into it changes nothing
    np.testing.assert_array_equal(net.predict(X, batch_size=batch_size), kept)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_loss_that_forward_returns_is_the_callers_own(dtype: str) -> None:
    chain = Sequential(Affine(3), SoftmaxCrossEntropy()).build((6,), dtype=dtype)
    graph = Graph(y=(Affine(3), "x"), a=(QuadraticCost(), "y", "t"), b=(SoftmaxCrossEntropy(), "y", "t"))
    graph.build((6,), dtype=dtype)
    kept = [(chain.forward(x, t)[0], *graph.forward(x, t)[0]) for x, t in ((X[:5], T[:5]), (X[5:9], T[5:9]))]
    assert all(type(loss) is np.dtype(dtype).type for losses in kept for loss in losses)
    assert len(np.unique(kept)) == 6


class Same(Layer):
    """y = x, the very array."""

    def forward(self, x: Any) -> Any:
        return x, None


def test_predict_does_not_hand_out_the_input_itself() -> None:
    net = Sequential(Same()).build((6,))
    assert not np.shares_memory(net.predict(X), X)
    assert not np.shares_memory(net.predict(X, batch_size=7), X)


def test_predict_takes_images_of_bytes_through_rescale() -> None:
    images = RNG.integers(0, 256, (9, 4, 4), dtype=np.uint8)
    net = Sequential(Rescale(1 / 255), Affine(3)).build((4, 4))
    by_float = Sequential(Affine(3)).build((16,))
    by_float.storage.assign({"0.W": net.storage.parameters["1.W"], "0.b": net.storage.parameters["1.b"]}, "here")
    np.testing.assert_allclose(net.predict(images), by_float.predict(images.reshape(9, 16) / 255), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(net.predict(images), net.predict(images.astype(np.int64)))
    np.testing.assert_allclose(net.predict(images), net.predict(images.astype(np.float64)), rtol=1e-6, atol=1e-7)


def test_predict_takes_whatever_is_rows_of_numbers(tmp_path: Path) -> None:
    net = network()
    expected = net.predict(X)
    np.testing.assert_array_equal(net.predict(X.tolist()), expected)
    np.testing.assert_array_equal(net.predict(X.astype(np.float64)), expected)
    np.testing.assert_allclose(net.predict(np.asfortranarray(X)), expected, rtol=1e-5)
    np.testing.assert_allclose(net.predict(np.repeat(X, 2, axis=0)[::2]), expected, rtol=1e-5)
    np.testing.assert_allclose(net.predict(X[::-1]), expected[::-1], rtol=1e-5)
    frozen = X.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(net.predict(frozen), expected)
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    np.testing.assert_array_equal(net.predict(mapped), expected)
    assert type(net.predict(mapped)) is np.ndarray
    assert net.forward(frozen, T)[0] == net.forward(X, T)[0]
    np.testing.assert_array_equal(net.predict(np.ones((2, 6), bool)), net.predict(np.ones((2, 6))))


def test_predict_of_no_rows_is_no_rows() -> None:
    for result in (network().predict(X[:0]), network().predict(X[:0], batch_size=3)):
        assert (result.shape, result.dtype) == ((0, 3), np.float32)


def test_a_float32_network_stays_float32_and_a_float64_network_float64() -> None:
    for dtype in ("float32", "float64"):
        net = network(dtype=dtype, needs_dx=True)
        for x in (X, X.astype(np.float64), (X * 10).astype(int)):
            loss, cache = net.forward(x, T)
            assert loss.dtype == net.backward(1.0, cache).dtype == net.predict(x).dtype == dtype
        assert {array.dtype for array in net.storage.arrays().values()} == {np.dtype(dtype)}


def test_nan_in_the_parameters_is_told_with_the_layer() -> None:
    net = network()
    net.storage.parameters["2.W"][1, 1] = np.nan
    with pytest.raises(StateError, match=r"2\.W") as caught:
        net.predict(X)
    assert caught.value.where == "layer 2: Affine(3)"
    with pytest.raises(StateError, match=r"2\.W") as evaluated:
        net.evaluate(X, T)
    assert evaluated.value.where == caught.value.where


def test_nan_that_a_layer_makes_of_finite_numbers_is_given_back() -> None:
    class Ratio(Layer):
        """y = x / x."""

        def forward(self, x: Any) -> Any:
            with np.errstate(invalid="ignore"):
                return x / x, None

        def backward(self, dy: Any, cache: None) -> Any:
            return 0 * dy

    net = Sequential(Ratio(), Affine(3), SoftmaxCrossEntropy()).build((6,))
    x = np.concatenate([X[:2], 0 * X[:1]])
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(np.isnan(net.predict(x)).any(axis=1), [False, False, True])
        assert math.isnan(net.evaluate(x, T[:3]).loss)


# --- dx


def test_dx_equals_the_difference_quotient_where_it_is_asked_for() -> None:
    net = network(dtype="float64", needs_dx=True)
    x = X[:5].astype(np.float64)
    dx = net.backward(1.0, net.forward(x, T[:5])[1]).copy()
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = 1e-5
        quotient = (net.loss(x + step, T[:5]) - net.loss(x - step, T[:5])) / 2e-5
        assert dx[index] == pytest.approx(quotient, rel=1e-6, abs=1e-9)


class Watched(Layer):
    """y = x; counts how often backward is called."""

    def __init__(self) -> None:
        self.calls = 0

    def forward(self, x: Any) -> Any:
        return x, None

    def backward(self, dy: Any, cache: Any) -> Any:
        self.calls += 1
        return dy


def test_nobody_walks_backward_below_the_lowest_parameters() -> None:
    below, above = Watched(), Watched()
    net = Sequential(below, Affine(3), above, QuadraticCost()).build((6,))
    assert net.backward(1.0, net.forward(X, T)[1]) is None
    assert (below.calls, above.calls) == (0, 1)
    assert [layer.needs_dx for layer in net] == [False, False, True, True]
    net.build((6,), needs_dx=True)
    assert net.backward(1.0, net.forward(X, T)[1]).shape == X.shape
    assert (below.calls, above.calls) == (1, 2)
    assert all(layer.needs_dx for layer in net)
