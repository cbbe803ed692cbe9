"""`net.explain`: its numbers are those of a step made by hand, and the network is afterwards what it was."""

from __future__ import annotations

import copy
import json
import math
import threading
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from checkpoint_helpers import T, X, network, optimizer, trained
from data_helpers import assert_complete
from devices import DEVICES, device_of
from explain_helpers import Locked, Odd, Reader
from hypothesis import given, settings

from tinynn import (
    SGD,
    Adam,
    AdamW,
    Add,
    Affine,
    BatchNorm,
    ConfigurationError,
    Conv2D,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePool,
    Graph,
    LabelError,
    Layer,
    MeanSquaredError,
    NotBuiltError,
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
    check_finite,
)
from tinynn.network.explanation import FINE, Explanation
from tinynn.testing import FakeDevice

RNG = np.random.default_rng(4)


def chain(*layers: Layer, shape: Any = (5,), **options: Any) -> Sequential:
    return Sequential(*layers).build(shape, **{"seed": 2, **options})


def step(explained: Explanation, path: str) -> Any:
    return next(layer for layer in explained.layers if layer.path == path)


# --- the numbers


def by_hand(x: np.ndarray, t: np.ndarray, W: Any, b: Any, V: Any, c: Any) -> dict[str, Any]:
    """A step of Affine, Tanh, Affine, SoftmaxCrossEntropy, from the formulas."""
    a = x @ W + b
    h = np.tanh(a)
    s = h @ V + c
    p = np.exp(s) / np.exp(s).sum(axis=1, keepdims=True)
    n = len(x)
    ds = (p - np.eye(p.shape[1])[t]) / n
    dh = ds @ V.T
    da = dh * (1 - h**2)
    found = {"a": a, "h": h, "s": s, "ds": ds, "dh": dh, "da": da, "loss": -np.log(p[range(n), t]).mean()}
    return found | {"dW": x.T @ da, "db": da.sum(0), "dV": h.T @ ds, "dc": ds.sum(0)}


def backend_of(name: str) -> Any:
    return name if name == "numpy" else device_of(name)


@pytest.mark.parametrize("backend", ["numpy", *DEVICES])
def test_the_numbers_are_those_of_the_formulas(backend: str) -> None:
    net = chain(Affine(4), Tanh(), Affine(3), SoftmaxCrossEntropy(), dtype="float64", backend=backend_of(backend))
    host = {name: net.ops.to_host(view).copy() for name, view in net.storage.parameters.items()}
    W, b, V, c = (host[name] for name in ("0.W", "0.b", "2.W", "2.b"))
    x = X[:10].astype(np.float64)
    told, made = net.explain(x, T[:10], optimizer=SGD(0.1, l2=0.01)), by_hand(x, T[:10], W, b, V, c)
    assert told.rows == 10
    assert told.loss == pytest.approx(made["loss"], rel=1e-10)
    assert told.optimizer == "SGD(lr=0.1, l2=0.01)"
    norm = np.linalg.norm
    outputs = {"0": ("a", "da", None), "1": ("h", "dh", "da"), "2": ("s", "ds", "dh")}
    for path, (y, dy, dx) in outputs.items():
        layer = step(told, path)
        assert layer.minimum == pytest.approx(made[y].min(), rel=1e-10)
        assert layer.mean == pytest.approx(made[y].mean(), rel=1e-10)
        assert layer.maximum == pytest.approx(made[y].max(), rel=1e-10)
        assert layer.dy == pytest.approx(norm(made[dy]), rel=1e-10)
        assert layer.dx == (None if dx is None else pytest.approx(norm(made[dx]), rel=1e-10))
    loss = step(told, "3")
    assert loss.minimum == loss.mean == loss.maximum == told.loss
    assert (loss.dy, loss.dx) == (1.0, pytest.approx(norm(made["ds"]), rel=1e-10))
    arrays = [part for layer in told.layers for part in layer.arrays]
    given = {"0.W": (W, "dW", 0.01), "0.b": (b, "db", 0), "2.W": (V, "dV", 0.01), "2.b": (c, "dc", 0)}
    assert [part.name for part in arrays] == [*given]
    for part in arrays:
        value, gradient, l2 = given[part.name]
        moved = 0.1 * norm(made[gradient] + l2 * value)
        assert part.shape == value.shape
        assert part.norm == pytest.approx(norm(value), rel=1e-10)
        assert part.gradient == pytest.approx(norm(made[gradient]), rel=1e-10)
        assert part.step == pytest.approx(moved, rel=1e-9)
        assert part.decay == bool(l2)
        assert part.ratio == (pytest.approx(moved / norm(value), rel=1e-9) if norm(value) else None)


def test_layers_say_what_they_are() -> None:
    told = chain(Rescale(0.5), Affine(4), ReLU(), Affine(3), SoftmaxCrossEntropy()).explain(X[:4], T[:4])
    assert [(layer.path, layer.layer) for layer in told.layers] == [
        ("0", "Rescale(0.5)"),
        ("1", "Affine(4)"),
        ("2", "ReLU()"),
        ("3", "Affine(3)"),
        ("4", "SoftmaxCrossEntropy()"),
    ]
    assert [layer.formula for layer in told.layers[1:4]] == ["y = x W + b", "y = max(x, 0)", "y = x W + b"]
    affine = step(told, "1")
    assert (affine.inputs, affine.output, affine.parameters, affine.units) == (((5,),), (4,), 24, 4)
    assert (affine.dead, affine.saturated) == (None, None)
    assert told.optimizer is None
    assert all(part.step is part.ratio is None for layer in told.layers for part in layer.arrays)
    assert step(told, "0").dy is None  # nothing below the first weights is asked for a gradient


@pytest.mark.parametrize("make", [lambda: SGD(0.1, momentum=0.9, nesterov=True), lambda: Adam(0.01), lambda: AdamW()])
def test_the_step_is_the_one_that_would_come(make: Any) -> None:
    net, by = network(), make()
    for _ in range(3):  # so that the optimizer has a memory
        net.backward(1.0, net.forward(X[:20], T[:20])[1])
        by.step(net)
    told = net.explain(X[:20], T[:20], optimizer=by)
    before = net.storage.arrays()
    loss, cache = net.forward(X[:20], T[:20])
    net.backward(1.0, cache)
    by.step(net)
    after = net.storage.arrays()
    assert told.loss == float(loss)
    for layer in told.layers:
        for part in layer.arrays:
            moved = np.linalg.norm((after[part.name] - before[part.name]).astype(np.float64))
            assert part.step == pytest.approx(moved, rel=1e-10)
            assert part.gradient == pytest.approx(np.linalg.norm(net.storage.gradients[part.name].astype(np.float64)))


def test_the_gradient_is_told_before_it_is_clipped() -> None:
    net = network()
    plain, clipped = (net.explain(X, T, optimizer=SGD(1.0, clip_norm=norm)) for norm in (None, 1e-3))
    one, other = step(plain, "0").arrays[0], step(clipped, "0").arrays[0]
    assert one.gradient == other.gradient
    assert one.step == pytest.approx(one.gradient, rel=1e-5)
    assert other.step < 1.1e-3 < one.step


def test_small_gradients_do_not_vanish_in_their_squares() -> None:
    net = chain(Affine(3), MeanSquaredError())
    target = net.predict(X[:2]) + np.float32(1e-3)
    net.storage.params *= 0
    told = net.explain(X[:2] * np.float32(1e-30), target * 0 + np.float32(1e-10))
    assert 0 < step(told, "0").arrays[0].gradient < 1e-35


def test_a_graph_with_two_ways_and_a_network_within() -> None:
    net = Graph(
        h=(Sequential(Affine(4), Tanh()), "x"),
        r=(Residual(Affine(4)), "h"),
        sum=(Add(), "h", "r"),
        scores=(Affine(3), "sum"),
        loss=(SoftmaxCrossEntropy(), "scores", "t", "w"),
    ).build((5,), seed=1)
    weights = np.linspace(0.5, 2, 9)
    told = net.explain(X[:9], T[:9], weights, optimizer=SGD(0.1))
    assert [layer.path for layer in told.layers] == ["h.0", "h.1", "r", "r.layer", "sum", "scores", "loss"]
    added = step(told, "sum")
    assert added.inputs == ((4,), (4,))
    assert added.dx == pytest.approx(math.sqrt(2) * added.dy)  # dy goes both ways
    assert step(told, "r").dy == pytest.approx(added.dy)
    assert told.loss == pytest.approx(float(net.forward(X[:9], T[:9], weights)[0]))


def test_a_device_gives_what_numpy_gives() -> None:
    def made(backend: Any) -> Sequential:
        layers = Affine(8), BatchNorm(), ReLU(), Dropout(0.3), Affine(3), SoftmaxCrossEntropy()
        return chain(*layers, backend=backend)

    here, there = made("numpy"), made(FakeDevice())
    one, other = (net.explain(X, T, optimizer=SGD(0.1, momentum=0.9)).as_dict() for net in (here, there))
    assert approximately(one) == other


def approximately(x: Any) -> Any:
    if isinstance(x, dict):
        return {name: approximately(part) for name, part in x.items()}
    if isinstance(x, list | tuple):
        return type(x)(map(approximately, x))
    return pytest.approx(x, rel=1e-4, abs=1e-6) if isinstance(x, float) else x


# --- it changes nothing


def everything(net: Any, by: Any = None) -> dict[str, bytes]:
    """All that a step changes, to the bit, gradients included."""
    storage, host = net.storage, net.ops.to_host
    held = {name: host(getattr(storage, name)).tobytes() for name in ("params", "grads", "state", "work")}
    for name, value in ({} if by is None else by.state()).items():
        held[name] = np.asarray(value).tobytes()
    return held


@pytest.mark.parametrize("backend", ["numpy", *DEVICES])
def test_nothing_is_changed(backend: str) -> None:
    net, by = network(backend_of(backend)), optimizer()
    fresh = everything(net, by)  # gradients that were never written are NaN, and stay so
    net.explain(X, T, optimizer=by)
    assert everything(net, by) == fresh
    assert by.steps_taken == 0
    trained(net, by, epochs=1)
    before, key = everything(net, by), net.ops.to_host(net[3].stream).copy()
    told = [str(net.explain(X[:30], T[:30], optimizer=by)) for _ in range(2)]
    assert told[0] == told[1]  # the same mask of dropout, the same running means
    assert everything(net, by) == before
    assert net.ops.to_host(net[3].stream).tolist() == key.tolist()


def test_a_backward_pass_may_come_after_it() -> None:
    net, other = network(), network()
    _, cache = net.forward(X[:20], T[:20])
    net.explain(X, T)
    net.backward(1.0, cache)
    other.backward(1.0, other.forward(X[:20], T[:20])[1])
    assert everything(net) == everything(other)


KINDS: dict[str, Any] = {
    "affine": lambda k: Affine(k),
    "relu": lambda k: ReLU(),
    "tanh": lambda k: Tanh(),
    "norm": lambda k: BatchNorm(),
    "dropout": lambda k: Dropout(0.1 * k),
    "residual": lambda k: Residual(Sequential(Affine(4), Sigmoid(), Dropout(0.4), Affine(4))),
}


@settings(max_examples=40)
@given(
    kinds=st.lists(st.tuples(st.sampled_from([*KINDS]), st.integers(1, 6)), max_size=5),
    seed=st.integers(0, 2**32),
    momentum=st.sampled_from([0.0, 0.9]),
    before=st.integers(0, 2),
    rows=st.integers(1, 67),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_the_next_run_goes_on_to_the_bit(
    kinds: list[tuple[str, int]], seed: int, momentum: float, before: int, rows: int, dtype: str
) -> None:
    def made() -> tuple[Any, Any]:
        layers = []
        for kind, k in kinds:
            layers += [Affine(4)] * 0 if kind != "residual" else [Affine(4)]
            layers.append(KINDS[kind](k))
        net = Sequential(*layers, Affine(3), SoftmaxCrossEntropy()).build((5,), seed=seed, dtype=dtype)
        by = SGD(0.05, l2=1e-3, momentum=momentum)
        if before:
            trained(net, by, epochs=before)
        return net, by

    (net, by), (plain, other) = made(), made()
    held = everything(net, by)
    net.explain(X[:rows], T[:rows], optimizer=by)
    assert everything(net, by) == held
    one, two = trained(net, by, epochs=2), trained(plain, other, epochs=2)
    assert one.loss == two.loss
    assert everything(net, by) == everything(plain, other)


def test_settings_that_were_changed_since_hold() -> None:
    net = chain(Affine(6), Dropout(0.0), Affine(3), SoftmaxCrossEntropy())
    plain = net.explain(X, T).loss
    net[1].rate = 0.5
    told = net.explain(X, T)
    assert told.loss == float(net.forward(X, T)[0]) != plain


def test_a_layer_that_counts_its_calls_does_not_count_these() -> None:
    class Counts(Layer):
        """y = x, counted."""

        def __init__(self) -> None:
            self.calls = 0

        def forward(self, x: Any) -> Any:
            self.calls += 1
            return x, None

        def backward(self, dy: Any, cache: None) -> Any:
            return dy

    net = chain(Affine(4), Counts(), Affine(3), SoftmaxCrossEntropy())
    net.explain(X, T)
    assert net[1].calls == 0


# --- dead and saturated units


def relu_net(b: Any, *before: Layer) -> Sequential:
    return chain(*before, Affine(4, b=np.array(b, float)), ReLU(), Affine(3), SoftmaxCrossEntropy())


def test_dead_units_are_counted() -> None:
    told = relu_net([0, -1e3, 0, -1e3]).explain(X, T)
    assert (step(told, "1").dead, step(told, "1").units) == (2, 4)
    assert step(told, "1").idle == "2 of 4"
    assert not told.advice
    assert step(relu_net([0] * 4).explain(X, T), "1").idle == ""


def test_where_all_are_dead_the_advice_says_so_once() -> None:
    told = relu_net([-1e3] * 4).explain(X, T, optimizer=SGD(0.1))
    assert step(told, "1").dead == 4
    (line,) = told.advice
    assert line.startswith("layer 1, ReLU(): each of its 4 units puts out 0 for every row")
    assert "smaller learning rate" in line
    lonely = chain(Affine(1, b=np.array([-1e3])), ReLU(), Affine(3), SoftmaxCrossEntropy()).explain(X, T)
    assert "its only unit puts out 0" in lonely.advice[0]


def test_what_passes_zeros_on_is_not_dead() -> None:
    x = X.copy()
    x[:, 1] = 0  # as the pixels at the edge of a digit
    told = relu_net([0] * 4, Rescale(0.5)).explain(x, T)
    assert (step(told, "0").dead, step(told, "0").units) == (0, 5)
    net = chain(Affine(4, W=np.eye(5, 4)), Rescale(2.0), Dropout(0.9), Affine(3), SoftmaxCrossEntropy())
    told = net.explain(x[:1], T[:1])
    assert step(told, "1").dead == 0  # a gradient goes through it
    assert step(told, "2").dead is None  # an output that dropout leaves out lives on in the next step


def test_a_unit_that_is_never_fed_is_dead_where_it_blocks_the_gradient() -> None:
    W = RNG.standard_normal((5, 4))
    W[:, 2] = 0
    told = chain(Affine(4, W=W), ReLU(), Affine(3), SoftmaxCrossEntropy()).explain(X, T)
    assert step(told, "1").dead == 1


def test_dead_units_below_the_first_weights_and_below_dead_ones() -> None:
    x = np.abs(X)
    x[:, 0] = -1
    assert step(chain(ReLU(), Affine(3), SoftmaxCrossEntropy()).explain(x, T), "0").dead == 1
    # No gradient reaches the first ReLU, since the second is dead: what it puts out tells all the same.
    net = chain(
        Affine(4, b=np.array([0, 0, 0, -1e3])), ReLU(), Affine(2, b=np.full(2, -1e4)), ReLU(), Affine(3),
        SoftmaxCrossEntropy(),
    )  # fmt: skip
    told = net.explain(X, T)
    assert (step(told, "1").dead, step(told, "3").dead) == (1, 2)


def test_a_unit_of_an_image_is_a_channel() -> None:
    x = RNG.standard_normal((6, 2, 5, 5))
    b = np.array([0.0, -1e3, 0.0])
    net = chain(Conv2D(3, 3, b=b), ReLU(), GlobalAveragePool(), SoftmaxCrossEntropy(), shape=(2, 5, 5))
    told = net.explain(x, np.arange(6) % 3)
    assert (step(told, "0").units, step(told, "1").dead, step(told, "1").units) == (3, 1, 3)


@pytest.mark.parametrize(("kind", "large"), [(Sigmoid, 6.0), (Tanh, 4.0)])
def test_saturated_units_are_counted(kind: Any, large: float) -> None:
    def explained(b: list[float]) -> Any:
        W = np.zeros((5, 3))
        return chain(Affine(3, W=W, b=np.array(b)), kind(), Affine(3), SoftmaxCrossEntropy()).explain(X, T)

    told = explained([large, 0.0, -large])
    assert (step(told, "1").saturated, step(told, "1").dead) == (2, 0)
    assert step(told, "1").idle == "2 flat of 3"
    assert not told.advice
    flat = explained([large, large, -large])
    assert step(flat, "1").saturated == 3
    assert flat.advice[0].startswith(f"layer 1, {kind.__name__}(): each of its 3 units is flat for every row")
    assert step(explained([2.0, 1.0, 0.0]), "1").saturated == 0


def test_one_row_that_is_not_flat_is_enough() -> None:
    net = chain(Affine(1, W=np.array([[50.0]]), b=np.zeros(1)), Sigmoid(), QuadraticCost(), shape=(1,))
    x, t = np.array([[1.0], [-1.0], [0.001]]), np.zeros((3, 1))
    assert step(net.explain(x, t), "1").saturated == 0
    assert step(net.explain(x[:2], t[:2]), "1").saturated == 1


# --- advice


def deep(*kinds: Any, scale: float = 1.0) -> Sequential:
    def draw(rng: Any, shape: Any) -> Any:
        return scale * rng.standard_normal(shape) / math.sqrt(shape[0])

    layers: list[Layer] = []
    for kind in kinds:
        layers += [Affine(8, W=draw), kind()]
    return chain(*layers, Affine(3, W=draw), SoftmaxCrossEntropy())


def test_a_vanishing_gradient_is_told_of_where_it_is_smallest() -> None:
    told = deep(*[Sigmoid] * 12).explain(X, T)
    (line,) = told.advice
    assert line.startswith("layer 0, Affine(8, W=draw): the gradient vanishes")
    assert not deep(Sigmoid, Sigmoid).explain(X, T).advice


def test_an_exploding_gradient_is_told_of() -> None:
    told = deep(*[ReLU] * 6, scale=10.0).explain(X, T)
    assert any(line.startswith("layer 0, Affine(8, W=draw): the gradient explodes") for line in told.advice)


def test_what_is_born_on_the_way_back_is_told_of_where_it_was_born() -> None:
    class Explodes(Layer):
        """y = x, and backward Inf."""

        def forward(self, x: Any) -> Any:
            return x * 1, None

        def backward(self, dy: Any, cache: None) -> Any:
            return dy * np.inf

    told = chain(Affine(4), Affine(4), Explodes(), Affine(3), SoftmaxCrossEntropy()).explain(X, T)
    assert told.advice[0].startswith("layer 2, Explodes(): NaN or Inf")

    class Forgets(Affine):
        """y = x W + b, without db."""

        def backward(self, dy: Any, x: Any) -> Any:
            self.dW[...] = x.T @ dy
            return dy @ self.W.T

    told = chain(Affine(4), Forgets(4), Affine(3), SoftmaxCrossEntropy()).explain(X, T)
    assert told.advice[0].startswith("layer 1, Forgets(4): NaN or Inf")


@pytest.mark.parametrize(
    ("lr", "words"), [(1e-2, ""), (1e3, "a smaller learning rate"), (1e-7, "a larger learning rate")]
)
def test_updates_far_from_what_is_usual_are_told_of(lr: float, words: str) -> None:
    told = deep(ReLU, ReLU, ReLU, ReLU).explain(X, T, optimizer=SGD(lr))
    assert len(told.advice) == bool(words)
    if words:
        (line,) = told.advice
        ratio = step(told, "0").arrays[0].ratio
        assert line.startswith(f"one step moves 0.W by {ratio:.1g}, 2.W by ")
        assert " times its length and 2 more, where 0.001 is usual: " in line
        assert words in line


def test_biases_are_not_judged() -> None:
    net = chain(Affine(3, b=np.full(3, 1e-6)), SoftmaxCrossEntropy())
    told = net.explain(X, T, optimizer=SGD(0.01))
    assert step(told, "0").arrays[1].ratio > 100
    assert not told.advice


def test_what_is_not_finite_is_all_that_is_told() -> None:
    net = deep(ReLU, ReLU)
    net[2].W[1, 1] = np.inf
    told = net.explain(X, T, optimizer=SGD(1e6))
    (line,) = told.advice
    assert line.startswith("layer 2, Affine(8, W=draw): NaN or Inf. with tinynn.check_finite():")
    with check_finite():
        assert str(net.explain(X, T, optimizer=SGD(1e6))) == str(told)


def test_a_loss_alone_may_be_infinite() -> None:
    class Broken(QuadraticCost):
        """L = Inf."""

        def forward(self, scores: Any, targets: Any, weights: Any = None) -> Any:
            loss, cache = super().forward(scores, targets, weights)
            return loss.dtype.type(math.inf), cache

    told = chain(Affine(3), Broken()).explain(X, RNG.standard_normal((67, 3)))
    assert told.advice[0].startswith("the loss: NaN or Inf")


def test_without_a_gradient_nothing_is_said_of_its_flow() -> None:
    assert not chain(Flatten(), SoftmaxCrossEntropy()).explain(X, T, optimizer=SGD(0.1)).advice
    net = chain(Affine(3), SoftmaxCrossEntropy())
    assert not net.explain(X, T, np.zeros(67), optimizer=SGD(0.1)).advice  # no row counts


# --- as text, as HTML, as a dictionary


def test_the_text_is_a_table() -> None:
    net = chain(Rescale(0.5), Affine(4), ReLU(), Residual(Sequential(Affine(30), Tanh(), Affine(4))), Affine(3),
                SoftmaxCrossEntropy())  # fmt: skip
    text = str(net.explain(X, T, optimizer=SGD(0.1)))
    lines = text.splitlines()
    assert lines[0].startswith("67 rows, loss ")
    assert lines[0].endswith(", a step of SGD(lr=0.1)")
    head = lines[2]
    assert head.split() == ["layer", "shapes", "parameters", "min", "mean", "max", "|dy|", "|dx|", "dead"]
    affine = next(line for line in lines if "Affine(4) " in line)
    assert affine[head.index("shapes") :].startswith("(5,) -> (4,)")
    assert affine[: head.index("min") + 3].rstrip().split()[5] == "24"
    formula = lines[lines.index(affine) + 1]
    assert formula.index("y = x W + b") == affine.index("Affine")
    assert max(map(len, lines)) <= 140
    arrays = lines[lines.index("", 3) + 1 :]
    assert arrays[0].split() == ["parameter", "shape", "|W|", "|dW|", "|step|", "|step|/|W|"]
    assert [line.split()[0] for line in arrays[1:9]] == [
        f"{p}.{a}" for p in ("1", "3.layer.0", "3.layer.2", "4") for a in "Wb"
    ]
    assert lines[-1] == FINE
    assert "! layer 1, ReLU()" in str(relu_net([-1e3] * 4).explain(X, T))
    assert str(chain(Flatten(), SoftmaxCrossEntropy()).explain(X[:1], T[:1])).startswith("1 row, loss")


def test_the_html_is_well_formed_and_escaped() -> None:
    net = chain(Affine(3), Odd("<img src=x>"), SoftmaxCrossEntropy())
    for by in (None, SGD(1e4)):
        told = net.explain(X, T, optimizer=by)
        reader = Reader(told._repr_html_())
        assert not {"script", "img"} & set(reader.tags)
        text = reader.text
        assert "Odd('<img src=x>')" in text
        assert "y = <script>alert(1)</script> & x" in text
        assert told.title in text
        assert ("a smaller learning rate" in text) is (by is not None)
        assert (FINE in text) is (by is None)
    told = chain(Flatten(), SoftmaxCrossEntropy()).explain(X, T)
    assert told._repr_html_().count("<table>") == 1


def test_the_dictionary_is_ready_for_json() -> None:
    told = network().explain(X, T, optimizer=SGD(0.1))
    held = json.loads(json.dumps(told.as_dict()))
    assert held["rows"] == 67
    assert held["layers"][0]["arrays"][0]["ratio"] == told.layers[0].arrays[0].ratio
    assert held["layers"][0]["output"] == [8]
    assert held["advice"] == list(told.advice)


def test_a_layer_without_a_docstring_of_its_own_has_no_formula() -> None:
    class Bare(Layer):
        def forward(self, x: Any) -> Any:
            return x * 1, None

        def backward(self, dy: Any, cache: None) -> Any:
            return dy

    net = chain(Affine(3), Bare(), SoftmaxCrossEntropy())
    assert step(net.explain(X, T), "1").formula == ""
    assert "the base of every layer" not in str(net.explain(X, T)).lower()


# --- other kinds of networks


def test_integers_in_and_numbers_of_ones_own() -> None:
    class OwnLoss(QuadraticCost):
        """L = the sum of squares, as a number of Python's."""

        def forward(self, scores: Any, targets: Any, weights: Any = None) -> Any:
            d = scores - targets
            return float((d * d).sum()), d

        def backward(self, dL: Any, cache: Any) -> Any:
            return 2 * dL * cache, None

    net = chain(Embedding(9, 4), Flatten(), Affine(2), OwnLoss(), shape=(3,))
    words, t = RNG.integers(0, 9, (6, 3)), RNG.standard_normal((6, 2)).astype(np.float32)
    told = net.explain(words, t)
    assert told.loss == pytest.approx(float(net.forward(words, t)[0]))
    assert step(told, "0").units == 12
    assert math.isnan(step(told, "3").mean)  # it is no array
    assert step(told, "0").dx is None


def test_inference_within_a_training_pass_is_not_what_is_told() -> None:
    class Asks(Layer):
        """y = f(x), and a look at what f says at inference."""

        def build(self, shape: Any) -> Any:
            self.inner = Dropout(0.9)
            return self.sublayer("inner", self.inner, shape)

        def forward(self, x: Any) -> Any:
            y, mask = self.inner.forward(x)
            y = y.copy()
            self.inner.predict(x)
            return y, mask

        def backward(self, dy: Any, cache: Any) -> Any:
            return self.inner.backward(dy, cache)

    told = chain(Affine(4), Asks(), Affine(3), SoftmaxCrossEntropy()).explain(X, T)
    assert step(told, "1.inner").maximum > 2 * step(told, "0").maximum


# --- what is refused


def refused(kind: Any, says: str, call: Any) -> Any:
    with pytest.raises(kind, match=says) as caught:
        call()
    assert_complete(caught.value)
    return caught.value


def test_what_cannot_be_explained_is_refused() -> None:
    net = network()
    before = everything(net)
    refused(NotBuiltError, "before it was built", lambda: Sequential(Affine(3), SoftmaxCrossEntropy()).explain(X, T))
    refused(StateError, "ends in a loss", lambda: chain(Affine(3)).explain(X))
    refused(ShapeError, "shape that was built", lambda: net.explain(X[:, :3], T))
    refused(ShapeError, "inputs", lambda: net.explain(X))
    refused(LabelError, "cannot be used", lambda: net.explain(X, T + 1))
    error = refused(ConfigurationError, "by its name", lambda: net.explain(X, T, SGD(0.1)))
    assert "optimizer=" in error.fix
    for wrong in (SGD, 3, "sgd"):
        refused(ConfigurationError, "no optimizer", lambda wrong=wrong: net.explain(X, T, optimizer=wrong))
    assert everything(net) == before


def test_a_network_or_an_optimizer_that_cannot_be_copied() -> None:
    net = chain(Affine(3), Locked(), SoftmaxCrossEntropy())
    refused(ConfigurationError, "cannot be copied", lambda: net.explain(X, T))

    class Held(SGD):
        """SGD, under a lock."""

        def __init__(self) -> None:
            super().__init__(0.1)
            self.lock = threading.Lock()

    refused(ConfigurationError, "cannot be copied", lambda: network().explain(X, T, optimizer=Held()))

    class Alone(SGD):
        """There is one of it."""

        def __deepcopy__(self, memo: Any) -> Any:
            raise ConfigurationError("not this one", where="a", expected="b", got="c", fix="d")

    refused(ConfigurationError, "not this one", lambda: network().explain(X, T, optimizer=Alone(0.1)))
    other = SGD(0.1, momentum=0.5)
    net = chain(Affine(2), SoftmaxCrossEntropy())
    net.backward(1.0, net.forward(X, T % 2)[1])
    other.step(net)
    refused(ShapeError, "does not fit the optimizer", lambda: network().explain(X, T, optimizer=other))


def test_an_error_of_a_layer_comes_through_and_leaves_it_unwatched() -> None:
    class Fails(Layer):
        """y = x, never."""

        def forward(self, x: Any) -> Any:
            raise ZeroDivisionError("on purpose")

    net = chain(Affine(3), Fails(), SoftmaxCrossEntropy())
    with pytest.raises(ZeroDivisionError, match="on purpose"):
        net.explain(X, T)
    assert type(net[0]) is Affine
    assert type(copy.deepcopy(net)[0]) is Affine
