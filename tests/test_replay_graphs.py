"""Replayed steps and predictions of graphs and of networks within networks have the bits of the layers' own code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from planted_bugs.custom import Gain
from test_random_graphs import Builder
from test_replay import IMAGES, LABELS, NETWORKS, ROWS, WORDS, Breaks, Moody, OwnLoss, assert_same, whole

import tinynn
from tinynn import (
    SGD,
    Adam,
    Add,
    Affine,
    BatchNorm,
    Concat,
    Conv2D,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePool,
    GlobalMaxPool,
    Graph,
    Layer,
    Multiply,
    QuadraticCost,
    Rescale,
    Residual,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
    Tanh,
    Upsample2D,
    fit,
)
from tinynn.training.batches import Batches
from tinynn.training.step import Step

WEIGHTS = np.random.default_rng(9).random(45).astype(np.float32)
OTHERS = ROWS[:, :5].copy()


class Difference(Layer):
    """y = a - b, by operators: nothing that a recorder sees. The gradients are views and new arrays."""

    def forward(self, a: Any, b: Any) -> Any:
        return a - b, None

    def backward(self, dy: Any, cache: None) -> Any:
        return dy, -dy


class Gate(Layer):
    """y = x itself, or in some batches 2 x."""

    def forward(self, x: Any) -> Any:
        twice = x[0, 0] > 0
        return (x * 2 if twice else x), twice

    def backward(self, dy: Any, twice: Any) -> Any:
        return dy * 2 if twice else dy


class OwnChain(Sequential):
    """A network that a user might derive: it may do more than its layers."""

    def forward(self, *xs: Any) -> Any:
        y, cache = super().forward(*xs)
        return y * 2, cache

    def backward(self, dy: Any, cache: Any) -> Any:
        return super().backward(dy * 2, cache)


class Twice(Layer):
    """y = 2 f(x): a container that a user might write."""

    straight = True

    def __init__(self, layer: Layer) -> None:
        self.inner = [layer]

    def build(self, shape: Any) -> Any:
        return self.sublayer("f", self.inner[0], shape)

    def forward(self, x: Any) -> Any:
        f, cache = self.inner[0].forward(x)
        return self.xp.multiply(f, 2, out=self.empty_like("y", f)), cache

    def backward(self, dy: Any, cache: Any) -> Any:
        return self.inner[0].backward(self.xp.multiply(dy, 2, out=self.empty_like("dy", dy)), cache)


def ended(**nodes: Any) -> Graph:
    return Graph(**nodes, loss=(SoftmaxCrossEntropy(), "scores", "t"))


def fan_out() -> Graph:
    return ended(
        h=(Affine(4), "x"),
        a=(Tanh(), "h"),
        b=(Sigmoid(), "h"),
        m=(Multiply(), "a", "b", "h"),
        square=(Multiply(), "a", "a"),
        scores=(Add(), "m", "h", "square", "a"),
    )


def nested() -> Graph:
    inner = Graph(h=(Affine(6), "x"), a=(Tanh(), "h"), y=(Concat(), "a", "h", "x"))
    way = Sequential(Affine(8), Residual(Sequential(Dropout(0.2), Affine(8), Tanh())), Affine(8))
    return ended(
        h=(inner, "x"), way=(way, "h"), short=(Affine(8), "x"), s=(Add(), "way", "short"), scores=(Affine(4), "s")
    )


def pictures() -> Graph:
    return ended(
        x01=(Rescale(1 / 255), "x"),
        a=(Conv2D(4, 3, padding=1), "x01"),
        b=(Conv2D(2, 3, stride=2, padding=1), "x01"),
        larger=(Upsample2D(2), "b"),
        both=(Concat(), "a", "larger"),
        normal=(BatchNorm(), "both"),
        mean=(GlobalAveragePool(), "normal"),
        top=(GlobalMaxPool(), "normal"),
        sum=(Add(), "mean", "top"),
        scores=(Affine(4), "sum"),
    )


def two_inputs() -> Graph:
    return ended(
        a=(Affine(6), "x"),
        b=(Affine(6), "z"),
        ab=(Multiply(), "a", "b"),
        c=(Concat(), "ab", "z"),
        scores=(Affine(4), "c"),
    )


def weighted() -> Graph:
    return Graph(scores=(Affine(4), "x"), loss=(SoftmaxCrossEntropy(), "scores", "t", "w"))


def autoencoder() -> Graph:
    return Graph(
        x01=(Rescale(0.5, 0.1), "x"),
        code=(Affine(2), "x01"),
        back=(Affine(12), "code"),
        loss=(QuadraticCost(), "back", "x01"),
    )


def words() -> Graph:
    return ended(
        a=(Sequential(Embedding(9, 4), Flatten()), "x"),
        b=(Embedding(9, 20), "y"),
        c=(Add(), "a", "b"),
        scores=(Affine(4), "c"),
    )


GRAPHS: dict[str, tuple[Callable[[], Any], tuple[Any, ...]]] = {
    "fan-out": (fan_out, (ROWS, LABELS)),
    "nested": (nested, (ROWS, LABELS)),
    "pictures": (pictures, (IMAGES, LABELS)),
    "two inputs": (two_inputs, (ROWS, OTHERS, LABELS)),
    "two inputs of other dtypes": (two_inputs, (ROWS.astype("f8"), (OTHERS * 9).astype(np.int8), LABELS)),
    "a target from within": (autoencoder, (ROWS,)),
    "words": (words, (WORDS, WORDS[:, 0], LABELS)),
    "a graph in a chain": (
        lambda: Sequential(
            Graph(a=(Affine(4), "x"), b=(Tanh(), "a"), c=(Add(), "a", "b")), Affine(4), SoftmaxCrossEntropy()
        ),
        (ROWS, LABELS),
    ),
    "chains in chains": (
        lambda: Sequential(
            Sequential(Sequential(Affine(6), Dropout()), Tanh()), Residual(Residual(Affine(6))), QuadraticCost()
        ),
        (ROWS, np.ones((45, 6), np.float32)),
    ),
    "weighted rows": (weighted, (ROWS, LABELS, WEIGHTS)),
    "a container of one's own": (
        lambda: Sequential(Twice(Sequential(Affine(4), Twice(Tanh()))), SoftmaxCrossEntropy()),
        (ROWS, LABELS),
    ),
    "own layers": (
        lambda: ended(
            h=(Gain(), "x"),
            a=(Moody(), "h"),
            b=(Residual(Gain()), "h"),
            d=(Difference(), "a", "b"),
            e=(Sequential(Gain(), Affine(12)), "d"),
            sum=(Add(), "e", "h", "d"),
            scores=(Affine(4), "sum"),
        ),
        (ROWS, LABELS),
    ),
    "what it read or something else": (
        lambda: ended(
            h=(Affine(9), "x"), g=(Gate(), "h"), v=(Tanh(), "h"), s=(Multiply(), "g", "v", "h"), scores=(Affine(4), "s")
        ),
        (ROWS, LABELS),
    ),
    "a derived network": (
        lambda: ended(h=(OwnChain(Affine(9), Tanh()), "x"), scores=(Affine(4), "h")),
        (ROWS, LABELS),
    ),
    "a loss of one's own": (
        lambda: Graph(h=(Affine(4), "x"), a=(Tanh(), "h"), s=(Add(), "a", "h"), loss=(OwnLoss(), "s", "t")),
        (ROWS, LABELS),
    ),
}


def shapes_of(net: Any, data: tuple[Any, ...]) -> list[tuple[int, ...]]:
    count = len(net.wiring.inputs) if isinstance(net, Graph) else 1
    return [x.shape[1:] for x in data[:count]]


def run(net: Any, data: tuple[Any, ...], capture: bool, batch_size: int = 10, **build: Any) -> tuple[Any, ...]:
    net.build(*shapes_of(net, data), **build)
    more = {"validation": data, "batch_size": batch_size, "progress": False, "capture": capture}
    history = [fit(net, Adam(0.01), data, epochs=epochs, **more) for epochs in (2, 1)]  # the second goes on
    storage = net.storage
    told = [[each.loss, each.accuracy, each.validation_loss] for each in history]
    return storage.params.copy(), storage.state.copy(), storage.grads.copy(), *(x for each in told for x in each)


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("needs_dx", [False, True])
def test_replayed_runs_have_the_bits_of_the_layers_own(name: str, dtype: str, needs_dx: bool) -> None:
    make, data = GRAPHS[name]
    options = {"dtype": dtype, "needs_dx": needs_dx}
    assert_same(run(make(), data, True, **options), run(make(), data, False, **options))


def replay_of(net: Any, data: tuple[Any, ...], batch_size: int = 10) -> Any:
    net.build(*shapes_of(net, data))
    step, batches = Step(net), Batches(net.ops, data, batch_size)
    for batch in batches(np.arange(3 * batch_size)):
        step(batch)
    assert step.capture
    return step.replays[batch_size]


WHOLE = {
    "weighted rows": ["SoftmaxCrossEntropy"] * 2,
    "own layers": ["Gain", "Moody", "Gain", "Difference", "Gain", "Gain", "Difference", "Gain", "Moody", "Gain"],
    "what it read or something else": ["Gate"] * 2,
    "a derived network": ["OwnChain"] * 2,
    "a loss of one's own": ["OwnLoss"] * 2,
}


@pytest.mark.parametrize("name", GRAPHS)
def test_only_what_must_be_is_called_as_it_is(name: str) -> None:
    make, data = GRAPHS[name]
    assert whole(replay_of(make(), data)) == WHOLE.get(name, [])


def test_every_straight_layer_is_in_a_network_here_or_in_the_file_before() -> None:
    layers = [value for value in vars(tinynn).values() if isinstance(value, type) and issubclass(value, Layer)]
    straight = {layer for layer in layers if vars(layer).get("straight")}
    nets = [make().build(x.shape[1:]) for make, x in NETWORKS.values()]
    for make, data in GRAPHS.values():
        net = make()
        nets.append(net.build(*shapes_of(net, data)))
    assert straight <= {type(layer) for net in nets for _, layer in net.walk()}


def test_a_nested_chain_is_recorded_as_if_its_layers_stood_in_the_outer_one() -> None:
    flat = Sequential(Affine(9), Tanh(), Affine(4), SoftmaxCrossEntropy())
    deep = Sequential(Sequential(Affine(9), Sequential(Tanh())), Affine(4), SoftmaxCrossEntropy())
    graph = ended(a=(Affine(9), "x"), b=(Tanh(), "a"), scores=(Affine(4), "b"))
    one, *others = ([call.func for call in replay_of(net, (ROWS, LABELS)).recorded] for net in (flat, deep, graph))
    for other in others:
        assert [call.__name__ for call in other] == [call.__name__ for call in one]


def test_sums_of_gradients_are_recorded_calls() -> None:
    net = ended(h=(Affine(4), "x"), a=(Tanh(), "h"), scores=(Add(), "a", "h", "h"))
    replay = replay_of(net, (ROWS, LABELS))
    (total,) = (held for name, held in net._scratch.__dict__.items() if name == "dh")
    assert [call.func for call in replay.recorded if call.args[-1] is total] == [np.add, np.add]


class Whole(Builder):
    """A random graph with layers of one's own in it, whose outputs are joined and end in a loss."""

    def add(self, name: str) -> None:
        super().add(name)
        kind = self.rng.choice(["as it is"] * 5 + ["gain", "moody", "gate", "difference"])
        layer, *reads = self.nodes[name]
        if isinstance(layer, Tanh | Sigmoid) and kind != "as it is":
            made = {"gain": Gain, "moody": Moody, "gate": Gate, "difference": Difference}[kind]()
            self.nodes[name] = (made, *(reads * 2 if kind == "difference" else reads))

    def net(self) -> Graph:
        nodes = dict(self.nodes)
        if len(self.outputs) > 1:
            nodes["joined"] = (Concat(), *self.outputs)
        nodes["scores"] = (Affine(4), "joined" if len(self.outputs) > 1 else self.outputs[0])
        return Graph(tuple(self.inputs), **nodes, loss=(SoftmaxCrossEntropy(), "scores", "t"))


@settings(max_examples=100)
@given(st.integers(0, 2**20), st.integers(2, 45), st.integers(1, 50), st.booleans())
def test_any_graph(seed: int, rows: int, batch_size: int, needs_dx: bool) -> None:
    drawn = Whole(seed)
    data = (*(ROWS[:rows, : drawn.widths[name]].copy() for name in drawn.inputs), LABELS[:rows])
    one, other = (run(Whole(seed).net(), data, capture, batch_size, needs_dx=needs_dx) for capture in (True, False))
    assert_same(one, other)


@pytest.mark.parametrize("at", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [False, True])
def test_an_error_within_a_replay_is_told_as_any_other(at: int, shape: bool) -> None:
    def told(capture: bool) -> tuple[type, str]:
        breaks = Sequential(Breaks(at, shape), Tanh())
        net = ended(h=(Affine(9), "x"), b=(breaks, "h"), s=(Add(), "b", "h"), scores=(Affine(4), "s")).build((12,))
        with pytest.raises(Exception, match=r".") as caught:
            fit(net, SGD(0.1), (ROWS, LABELS), epochs=2, batch_size=9, progress=False, capture=capture)
        return caught.type, str(caught.value) + "".join(getattr(caught.value, "__notes__", ()))

    assert told(True) == told(False)


# --- inference


def several() -> Graph:
    return Graph(
        ("x", "z"),
        ("b", "y", "loss"),
        a=(Affine(5), "x"),
        b=(Dropout(), "a"),
        y=(Add(), "b", "z"),
        scores=(Residual(Sequential(Affine(5), Tanh())), "y"),
        loss=(SoftmaxCrossEntropy(), "scores", "t"),
    )


@pytest.mark.parametrize("name", [*GRAPHS, "several outputs"])
@pytest.mark.parametrize("rows", [1, 2, 70])
def test_predictions_replayed_are_those_of_the_layers(name: str, rows: int) -> None:
    make, data = GRAPHS.get(name, (several, (ROWS, OTHERS)))
    net = make()
    net.build(*(shapes := shapes_of(net, data)))
    draw = np.random.default_rng(rows)
    for _ in range(5):
        taken = draw.integers(0, 45, rows)
        xs = [x[taken] for x in data[: len(shapes)]]
        before = [x.copy() for x in xs]
        ys = net.predict(*xs)
        ready = tuple(
            x if x.dtype.kind in "iu" and net.reads_integers(n) else x.astype("f4")
            for n, x in zip(net.input_names, xs, strict=True)
        )
        right = net.run_predict(ready)
        for one, other in zip(*(y if isinstance(y, tuple) else (y,) for y in (ys, right)), strict=True):
            np.testing.assert_array_equal(one, other)
            one[...] = 0  # the caller's own
        assert_same(tuple(xs), tuple(before))
        net.storage.params[...] *= 0.9


def test_an_error_within_a_replayed_prediction_is_told_as_any_other() -> None:
    net = Graph(h=(Affine(9), "x"), b=(Breaks(4, shape=False), "h"), y=(Add(), "b", "h")).build((12,))
    for _ in range(3):
        net.predict(ROWS[:2])
    with pytest.raises(RuntimeError, match="no more") as caught:
        net.predict(ROWS[:2])
    assert "layer b: Breaks" in str(caught.value.__notes__)
