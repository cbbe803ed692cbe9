"""Graph: values and gradients by hand, several inputs and outputs, losses as nodes, networks within networks."""

from __future__ import annotations

import copy
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinynn import (
    SGD,
    Add,
    Affine,
    ConfigurationError,
    GradientError,
    Graph,
    Layer,
    Multiply,
    QuadraticCost,
    ReLU,
    Rescale,
    Residual,
    Sequential,
    ShapeError,
    Sigmoid,
    SoftmaxCrossEntropy,
    StateError,
    Tanh,
    fit,
    gradcheck,
)

RNG = np.random.default_rng(0)
X, T = RNG.standard_normal((20, 4)), RNG.integers(0, 3, 20)


def classifier() -> Graph:
    return Graph(
        h=(Affine(4), "x"),
        a=(Tanh(), "h"),
        sum=(Add(), "a", "x"),
        scores=(Affine(3), "sum"),
        loss=(SoftmaxCrossEntropy(), "scores", "t"),
    )


def test_forward_and_backward_by_hand() -> None:
    net = Graph(h=(Affine(4), "x"), a=(ReLU(), "h"), y=(Add(), "a", "x"))
    net.build((4,), dtype="float64", needs_dx=True)
    W, b = net.storage.parameters["h.W"], net.storage.parameters["h.b"]
    y, cache = net.forward(X)
    h = X @ W + b
    np.testing.assert_allclose(y, np.maximum(h, 0) + X, rtol=1e-14)
    dy = RNG.standard_normal(y.shape)
    dx = net.backward(dy, cache)
    dh = dy * (h > 0)
    np.testing.assert_allclose(net.storage.gradients["h.W"], X.T @ dh, rtol=1e-12)
    np.testing.assert_allclose(dx, dy + dh @ W.T, rtol=1e-12)
    np.testing.assert_array_equal(net.predict(X), y)


def test_a_chain_as_a_graph_is_the_chain_bit_for_bit() -> None:
    chain = Sequential(Affine(5), Sigmoid(), Affine(3), SoftmaxCrossEntropy()).build((4,))
    graph = Graph(
        a=(Affine(5), "x"), b=(Sigmoid(), "a"), c=(Affine(3), "b"), d=(SoftmaxCrossEntropy(), "c", "t")
    ).build((4,))
    for ours, theirs in zip(graph.storage.parameters.values(), chain.storage.parameters.values(), strict=True):
        ours[...] = theirs
    histories = [fit(net, SGD(0.5), (X, T), epochs=3, batch_size=8, progress=False) for net in (chain, graph)]
    assert histories[0].loss == histories[1].loss
    assert histories[0].accuracy == histories[1].accuracy
    np.testing.assert_array_equal(chain.storage.params, graph.storage.params)
    np.testing.assert_array_equal(chain.predict(X), graph.predict(X))
    assert chain.evaluate(X, T) == graph.evaluate(X, T)


def test_a_graph_with_a_loss_learns() -> None:
    net = classifier().build((4,), seed=1)
    labels = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
    history = fit(net, SGD(0.5), (X, labels), epochs=200, batch_size=5, validation=(X, labels), progress=False)
    assert history.accuracy[-1] == 1.0
    np.testing.assert_allclose(net.predict(X).sum(axis=1), 1, rtol=1e-6)
    gradcheck(net, (4,), ())


def test_a_node_read_three_times_and_twice_by_one() -> None:
    net = Graph(h=(Affine(2), "x"), s=(Multiply(), "h", "h"), t=(Tanh(), "h"), y=(Add(), "s", "t", "h"))
    gradcheck(net, (3,))
    net.build((3,), dtype="float64", needs_dx=True)
    _, cache = net.forward(X[:, :3])
    dx = net.backward(np.ones((20, 2)), cache)
    h = X[:, :3] @ net.storage.parameters["h.W"]
    dh = 2 * h + 1 - np.tanh(h) ** 2 + 1
    np.testing.assert_allclose(dx, dh @ net.storage.parameters["h.W"].T, rtol=1e-12)


def test_several_inputs_and_outputs() -> None:
    net = Graph(("z", "x"), ("h", "y"), h=(Affine(2), "x"), y=(Multiply(), "h", "z"))
    net.build((2,), (3,), dtype="float64", needs_dx=True)
    z, x = RNG.standard_normal((5, 2)), RNG.standard_normal((5, 3))
    (h, y), cache = net.forward(z, x)
    h, y = h.copy(), y.copy()  # they are borrowed
    np.testing.assert_allclose(y, h * z, rtol=1e-14)
    dh, dy = RNG.standard_normal((2, 5, 2))
    dz, dx = net.backward((dh, dy), cache)
    np.testing.assert_allclose(dz, dy * h, rtol=1e-14)
    np.testing.assert_allclose(dx, (dh + dy * z) @ net.storage.parameters["h.W"].T, rtol=1e-12)
    ph, py = net.predict(z, x, batch_size=2)
    np.testing.assert_allclose(ph, h, rtol=1e-14)
    np.testing.assert_allclose(py, y, rtol=1e-14)
    with pytest.raises(ShapeError, match="several outputs"):
        net.backward(dh, net.forward(z, x)[1])
    with pytest.raises(ShapeError, match="differ in number"):
        net.predict(z[:3], x)
    with pytest.raises(ShapeError, match=r"2 inputs expected, 1 given") as caught:
        net.predict(z)
    assert "z of shape (N, 2), x of shape (N, 3)" in str(caught.value)


def test_several_losses_are_weighed_in_backward() -> None:
    def heads() -> Graph:
        return Graph(
            h=(Affine(5), "x"),
            digit=(Affine(3), "h"),
            size=(Affine(1), "h"),
            right=(SoftmaxCrossEntropy(), "digit", "t"),
            near=(QuadraticCost(), "size", "s"),
        ).build((4,), dtype="float64", seed=3)

    net, s = heads(), RNG.standard_normal((20, 1))
    (right, near), cache = net.forward(X, T, s)
    assert right > 0 and near > 0
    net.backward((1.0, 0.25), cache)
    weighed = net.storage.grads.copy()
    parts = []
    for weights in ((1.0, 0.0), (0.0, 1.0)):
        net.backward(weights, net.forward(X, T, s)[1])
        parts.append(net.storage.grads.copy())
    np.testing.assert_allclose(weighed, parts[0] + 0.25 * parts[1], rtol=1e-12)
    p, size = net.predict(X)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert size.shape == (20, 1)
    with pytest.raises(StateError, match="does not end in a loss"):
        net.evaluate(X, T)


def test_a_target_from_within() -> None:
    """An autoencoder's target is its own input, scaled: no gradient flows there, and `fit` needs no targets."""
    net = Graph(
        x01=(Rescale(0.5, 0.1), "x"),
        code=(Affine(2), "x01"),
        back=(Affine(4), "code"),
        loss=(QuadraticCost(), "back", "x01"),
    ).build((4,), dtype="float64")
    loss, cache = net.forward(X)
    net.backward(1.0, cache)
    x01 = 0.5 * X + 0.1
    P = net.storage.parameters
    back = (x01 @ P["code.W"]) @ P["back.W"]
    assert float(loss) == pytest.approx(((back - x01) ** 2).sum() / 40, rel=1e-12)
    np.testing.assert_allclose(net.storage.gradients["back.b"], (back - x01).sum(axis=0) / 20, rtol=1e-9)
    history = fit(net, SGD(0.5), (X,), epochs=50, batch_size=5, validation=(X,), progress=False)
    assert history.loss[-1] < 0.5 * history.loss[0]
    assert net.evaluate(X).loss == pytest.approx(history.validation_loss[-1])
    np.testing.assert_allclose(net.predict(X[:2]), net.predict(X)[:2])


def test_networks_within_networks() -> None:
    inner = Graph(h=(Affine(4), "x"), y=(Add(), "h", "x"))
    outer = Graph(
        a=(Sequential(inner, Tanh()), "x"), b=(Residual(Sequential(Affine(4), Tanh())), "a"), y=(Add(), "a", "b")
    )
    chain = Sequential(outer, Affine(3), SoftmaxCrossEntropy())
    gradcheck(chain, (4,), ())
    chain.build((4,))
    assert [*chain.storage.parameters][:2] == ["0.a.0.h.W", "0.b.layer.0.W"]
    fit(chain, SGD(0.1), (X, T), epochs=1, progress=False)


def test_only_what_learns_goes_backwards() -> None:
    calls: list[str] = []

    class Watched(Tanh):
        def backward(self, dy: Any, y: Any) -> Any:
            calls.append(self.where)
            return super().backward(dy, y)

    net = Graph(a=(Watched(), "x"), b=(Affine(4), "a"), c=(Watched(), "b"), y=(Add(), "a", "c")).build((4,))
    assert net["b"].needs_dx is False
    net.backward(np.ones((20, 4)), net.forward(X)[1])
    assert calls == ["layer c: Watched()"]


def test_the_same_layer_twice_is_refused_with_the_reason() -> None:
    shared = Affine(4)
    with pytest.raises(ConfigurationError, match="two places") as caught:
        Graph(a=(shared, "x"), b=(shared, "a")).build((4,))
    assert "layer b" in str(caught.value.where) and "layer a" in str(caught.value.got)
    assert "deepcopy" in str(caught.value.fix)
    Graph(a=(shared, "x"), b=(copy.deepcopy(shared), "a")).build((4,))


def test_copies_pickles_and_files(tmp_path: Path) -> None:
    net = classifier().build((4,), seed=5)
    expected = net.predict(X)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(other.predict(X), expected)
        assert not np.shares_memory(other.storage.params, net.storage.params)
    net.save(tmp_path / "net.npz")
    with np.load(tmp_path / "net.npz") as file:
        assert sorted(file.files) == ["h.W", "h.b", "scores.W", "scores.b", "tinynn.json"]
    np.testing.assert_array_equal(classifier().build((4,)).load(tmp_path / "net.npz").predict(X), expected)


def test_stale_caches_and_threads() -> None:
    net = classifier().build((4,))
    _, cache = net.forward(X, T)
    net.predict(X)
    with pytest.raises(StateError, match="stale"):
        net.backward(1.0, cache)
    expected, got = net.predict(X), {}
    threads = [threading.Thread(target=lambda i=i: got.update({i: net.predict(X)})) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((y == expected).all() for y in got.values()) and len(got) == 8


def test_gradcheck_names_the_inputs_of_a_graph() -> None:
    class Wrong(Multiply):
        def backward(self, dy: Any, xs: Any) -> Any:
            dx, dz = super().backward(dy, xs)
            return dx, 2 * dz

    net = Graph(m=(Wrong(), "x", "z"), s=(Affine(3), "m"), loss=(SoftmaxCrossEntropy(), "s", "t"))
    with pytest.raises(GradientError, match="the gradient dz is wrong") as caught:
        gradcheck(net, (2,), (2,), ())
    assert caught.value.array == "dz"
    assert "twice the right one" in str(caught.value)


def test_integers_reach_those_who_read_them_alone() -> None:
    class Ids(Layer):
        """y = x as it came, whose dtype is looked at."""

        integer_inputs = True

        def forward(self, x: Any) -> Any:
            seen.append(x.dtype.kind)
            return x * 1.0, None

        def backward(self, dy: Any, cache: Any) -> None:
            return None

    seen: list[str] = []
    ids = np.arange(8).reshape(2, 4)
    Graph(y=(Ids(), "x")).build((4,)).predict(ids)
    Graph(y=(Ids(), "x"), z=(Rescale(0.5), "x")).build((4,)).predict(ids)
    Graph(y=(Ids(), "x"), z=(Affine(2), "x")).build((4,)).predict(ids)
    assert seen == ["i", "i", "f"]
    for other in (Rescale(0.5), Affine(4)):  # the graph stands first in a chain
        Sequential(Graph(y=(Ids(), "x"), z=(other, "x"), sum=(Add(), "y", "z"))).build((4,)).predict(ids)
    assert seen[3:] == ["i", "f"]


def test_a_graph_is_a_collection_of_its_layers_by_name() -> None:
    h, y = Affine(4), Affine(2)
    graph = Graph(h=(h, "x"), y=(y, "h"))
    assert len(graph) == 2 and [*graph] == [h, y] and graph["y"] is y


def test_the_summary_says_who_reads_what() -> None:
    lines = classifier().build((4,)).summary().splitlines()
    assert [line.split()[0] for line in lines[1:6]] == ["h", "a", "sum", "scores", "loss"]
    assert lines[0].split() == ["layer", "reads", "output", "parameters"]
    assert lines[3].split() == ["sum", "Add()", "a,", "x", "(4,)", "0"]
    assert lines[-1] == "35 parameters, float32, numpy, input (4,)"
    two = Graph(y=(Add(), "x", "z")).build((4,), (4,))
    assert two.summary().splitlines()[-1].endswith("inputs x (4,), z (4,)")
    nested = Sequential(classifier_without_loss(), SoftmaxCrossEntropy()).build((4,)).summary()
    assert "0.sum" in nested and "a, x" in nested


def classifier_without_loss() -> Graph:
    return Graph(a=(Affine(4), "x"), sum=(Add(), "a", "x"))
