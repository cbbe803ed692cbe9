"""Replayed steps give the bits of the layers' own code, whatever the layers are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from planted_bugs.custom import Gain

from tinynn import (
    ELU,
    GELU,
    SELU,
    SGD,
    Adam,
    Affine,
    AveragePool2D,
    BatchNorm,
    BinaryCrossEntropy,
    Clip,
    Conv2D,
    Dropout,
    ElementwiseLoss,
    Embedding,
    Flatten,
    GlobalAveragePool,
    GlobalMaxPool,
    GroupNorm,
    HardSigmoid,
    HardSwish,
    Huber,
    Identity,
    Layer,
    LayerNorm,
    LeakyReLU,
    LogSoftmax,
    Loss,
    MaxPool2D,
    MeanAbsoluteError,
    MeanSquaredError,
    Mish,
    Permute,
    PReLU,
    QuadraticCost,
    ReLU,
    Rescale,
    Reshape,
    Residual,
    RMSNorm,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    SoftmaxCrossEntropy,
    Softplus,
    Softsign,
    StateError,
    Tanh,
    Upsample2D,
    fit,
)
from tinynn.training.batches import Batches
from tinynn.training.step import Step

RNG = np.random.default_rng(7)
IMAGES = RNG.integers(0, 256, (45, 1, 8, 8)).astype(np.uint8)
ROWS = RNG.standard_normal((45, 12)).astype(np.float32)
LABELS = RNG.integers(0, 4, 45)
WORDS = np.random.default_rng(8).integers(0, 9, (45, 5))


class Moody(Layer):
    """y = x or 2 x, as the data have it: a branch that no record could hold."""

    def forward(self, x: Any) -> Any:
        factor = 2.0 if x.max() > 1.5 else 1.0
        return x * factor, factor

    def backward(self, dy: Any, factor: float) -> Any:
        return dy * factor


class LooksBack(Layer):
    """Keeps what it handed out, and reads what it handed out two steps ago."""

    def __init__(self) -> None:
        self.rooms: list[Any] = []

    def forward(self, x: Any) -> Any:
        before = self.rooms[0].sum() if self.rooms else 0.0
        y = (x + x.dtype.type(0.001 * np.tanh(before))).astype(x.dtype)
        self.rooms = [*self.rooms[-1:], y]
        return y, None

    def backward(self, dy: Any, cache: None) -> Any:
        return dy


class OwnLoss(Loss):
    """A loss that a user might write: it returns a number."""

    def forward(self, scores: Any, targets: Any) -> Any:
        d = scores - np.eye(scores.shape[1], dtype=scores.dtype)[targets]
        return (d * d).mean(), d

    def backward(self, dL: Any, d: Any) -> Any:
        return (2 * dL / d.size) * d, None


UNITS: list[Callable[[], Layer]] = [
    LeakyReLU,
    PReLU,
    ELU,
    SELU,
    GELU,
    lambda: GELU(approximate=True),
    SiLU,
    Softplus,
    Mish,
    Softsign,
    HardSigmoid,
    HardSwish,
    lambda: Clip(-1, 1),
]
"""Activations that are made of several calls."""


def units() -> list[Layer]:
    return [make() for make in UNITS]


NETWORKS: dict[str, tuple[Callable[[], Sequential], Any]] = {
    "sigmoid, quadratic": (lambda: Sequential(Affine(9), Sigmoid(), Affine(4), Sigmoid(), QuadraticCost()), ROWS),
    "relu, softmax": (lambda: Sequential(Affine(9), ReLU(), Affine(4), SoftmaxCrossEntropy()), ROWS),
    "tanh, float64 rows": (lambda: Sequential(Affine(9), Tanh(), Affine(4), SoftmaxCrossEntropy()), ROWS.astype("f8")),
    "uint8 images": (
        lambda: Sequential(Rescale(1 / 255), Flatten(), Affine(9), ReLU(), Affine(4), SoftmaxCrossEntropy()),
        IMAGES,
    ),
    "uint8 images, offset": (lambda: Sequential(Rescale(0.99 / 255, 0.01), Affine(4), SoftmaxCrossEntropy()), IMAGES),
    "uint8 converted by the network": (lambda: Sequential(Affine(4), SoftmaxCrossEntropy()), IMAGES),
    "convolution": (
        lambda: Sequential(
            Rescale(1 / 255), Conv2D(3, 3), ReLU(), MaxPool2D(2), Flatten(), Affine(4), SoftmaxCrossEntropy()
        ),
        IMAGES,
    ),
    "convolution, then Affine": (lambda: Sequential(Conv2D(3, 3), Tanh(), Affine(4), SoftmaxCrossEntropy()), IMAGES),
    "dropout and norms": (
        lambda: Sequential(
            Affine(9), BatchNorm(), ReLU(), Dropout(0.3), Affine(9), LayerNorm(), Affine(4), SoftmaxCrossEntropy()
        ),
        ROWS,
    ),
    "padded images": (
        lambda: Sequential(
            Reshape((1, 8, 8)),
            Conv2D(4, 3, padding=1),
            MaxPool2D(3, 2, padding=1),
            Conv2D(4, 2, padding="same"),
            AveragePool2D(2, 1, padding=(1, 0)),
            Flatten(),
            Affine(4),
            SoftmaxCrossEntropy(),
        ),
        IMAGES.reshape(45, 64),
    ),
    "other convolutions": (
        lambda: Sequential(
            Conv2D(4, 3, stride=2, padding=1),
            Conv2D(4, 2, dilation=2),
            Conv2D(4, 1, groups=2),
            Affine(4),
            QuadraticCost(),
        ),
        IMAGES,
    ),
    "norms of images": (
        lambda: Sequential(
            Conv2D(4, 3), BatchNorm(), GroupNorm(2), LayerNorm(0), RMSNorm(), GlobalAveragePool(), Huber()
        ),
        IMAGES,
    ),
    "units of rows": (
        lambda: Sequential(Affine(6), *units(), Affine(4), Softmax(), LogSoftmax(), MeanAbsoluteError()),
        ROWS,
    ),
    "units of images": (
        lambda: Sequential(Conv2D(2, 3), *units(), Affine(4), MeanSquaredError()),
        IMAGES,
    ),
    "binary": (lambda: Sequential(Affine(4), BinaryCrossEntropy()), ROWS),
    "shapes": (
        lambda: Sequential(Identity(), Reshape((3, 4)), Identity(), Affine(4), Flatten(), SoftmaxCrossEntropy()),
        ROWS,
    ),
    "images made larger": (
        lambda: Sequential(Permute(0, 2, 1), Upsample2D((2, 1)), Conv2D(4, 3), Upsample2D(2), GlobalMaxPool(), Huber()),
        IMAGES,
    ),
    "words": (lambda: Sequential(Embedding(9, 3), Flatten(), Affine(4), SoftmaxCrossEntropy()), WORDS),
    "nested": (lambda: Sequential(Sequential(Affine(6), Tanh()), Affine(4), SoftmaxCrossEntropy()), ROWS),
    "residual": (lambda: Sequential(Residual(Affine(12)), ReLU(), Affine(4), SoftmaxCrossEntropy()), ROWS),
    "a layer of one's own": (lambda: Sequential(Affine(9), Gain(), ReLU(), Affine(4), SoftmaxCrossEntropy()), ROWS),
    "own layer first": (lambda: Sequential(Gain(), Affine(4), SoftmaxCrossEntropy()), ROWS),
    "a branch in the data": (lambda: Sequential(Affine(9), Moody(), Affine(4), SoftmaxCrossEntropy()), ROWS),
    "looking back": (
        lambda: Sequential(Affine(9), LooksBack(), ReLU(), Affine(4), SoftmaxCrossEntropy()),
        ROWS,
    ),
    "a loss of one's own": (lambda: Sequential(Affine(4), OwnLoss()), ROWS),
    "loss alone": (lambda: Sequential(Gain(), SoftmaxCrossEntropy(label_smoothing=0.1)), ROWS),
}


def targets_of(net: Sequential) -> Any:
    """Labels, or the rows that they stand for where the loss compares numbers."""
    return np.eye(4, dtype=np.float32)[LABELS] if isinstance(net[-1], ElementwiseLoss) else LABELS


def run(net: Sequential, x: Any, targets: Any, capture: bool, batch_size: int = 10, **build: Any) -> tuple[Any, ...]:
    net.build(x.shape[1:], **build)
    more = {"validation": (x, targets), "epochs": 3, "batch_size": batch_size, "progress": False}
    history = fit(net, Adam(0.01), (x, targets), capture=capture, **more)
    storage = net.storage
    return storage.params.copy(), storage.state.copy(), storage.grads.copy(), history.loss, history.validation_loss


def assert_same(a: tuple[Any, ...], b: tuple[Any, ...]) -> None:
    for one, other in zip(a, b, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("needs_dx", [False, True])
def test_replayed_runs_have_the_bits_of_the_layers_own(name: str, dtype: str, needs_dx: bool) -> None:
    make, x = NETWORKS[name]
    options = {"dtype": dtype, "needs_dx": needs_dx}
    targets = targets_of(make())
    assert_same(run(make(), x, targets, True, **options), run(make(), x, targets, False, **options))


NORMS = [BatchNorm, LayerNorm, RMSNorm, lambda: GroupNorm(1), Softmax, LogSoftmax]
SIMPLE = [ReLU, Sigmoid, Tanh, Gain, Moody, lambda: Affine(5), lambda: Affine(1), lambda: Rescale(0.5)]
LAYERS = st.lists(st.one_of(st.sampled_from(SIMPLE), st.sampled_from(UNITS), st.sampled_from(NORMS)), max_size=6)
NUMBERS = [MeanSquaredError, MeanAbsoluteError, Huber, BinaryCrossEntropy]
LOSSES = st.sampled_from([SoftmaxCrossEntropy, QuadraticCost, *NUMBERS])


@settings(max_examples=60)
@given(LAYERS, LOSSES, st.integers(2, 45), st.integers(1, 50), st.booleans())
def test_any_chain(layers: list[Any], loss: Any, rows: int, batch_size: int, as_rows: bool) -> None:
    targets = np.eye(4, dtype=np.float32)[LABELS] if as_rows or loss in NUMBERS else LABELS

    def one(capture: bool) -> tuple[Any, ...]:
        net = Sequential(*(make() for make in layers), Affine(4), loss())
        return run(net, ROWS[:rows], targets[:rows], capture, batch_size)

    assert_same(one(True), one(False))


def replay_of(net: Sequential, x: Any, batch_size: int = 10) -> Any:
    net.build(x.shape[1:])
    step, batches = Step(net), Batches(net.ops, (x, targets_of(net)), batch_size)
    for batch in batches(np.arange(3 * batch_size)):
        step(batch)
    assert step.capture
    return step.replays[batch_size]


def whole(replay: Any) -> list[str]:
    """The layers that a replay calls as they are."""
    return [type(call.__self__.layer).__name__ for call in replay.calls if hasattr(call, "__self__")]


def test_only_what_must_be_is_called_as_it_is() -> None:
    for name in ("sigmoid, quadratic", "relu, softmax", "uint8 images", "convolution", "convolution, then Affine"):
        assert whole(replay_of(NETWORKS[name][0](), NETWORKS[name][1])) == [], name
    for name in (
        "shapes",
        "padded images",
        "other convolutions",
        "norms of images",
        "units of rows",
        "units of images",
        "binary",
        "dropout and norms",
        "images made larger",
        "words",
        "nested",
        "residual",
    ):
        assert whole(replay_of(NETWORKS[name][0](), NETWORKS[name][1])) == [], name
    assert whole(replay_of(NETWORKS["a layer of one's own"][0](), ROWS)) == ["Gain", "Gain"]


def names(replay: Any) -> list[str]:
    """The functions that a replay calls."""
    return [call.func.__name__ for call in replay.calls]


def test_a_verb_that_is_whole_is_one_call_with_its_arguments_in_their_order() -> None:
    net = Sequential(Affine(9), ReLU(), Affine(4), SoftmaxCrossEntropy())
    replay = replay_of(net, ROWS)
    forward, backward = (call for call in replay.calls if "cross_entropy" in call.func.__name__)
    assert forward.func == net.ops.softmax_cross_entropy and forward.func.__self__ is net.ops
    scores, labels, p, out = forward.args
    assert not forward.keywords and not backward.keywords
    assert (scores.shape, labels.shape, p.shape, out.shape) == ((10, 4), (10,), (10, 4), ())
    assert backward.args[0] is p and backward.args[1] is labels and backward.args[2] == 0.1
    assert names(replay_of(Sequential(Affine(4), QuadraticCost()), ROWS))[2:7] == [
        "take",
        "subtract",
        "dot",
        "divide",
        "multiply",
    ]


def test_a_loss_that_is_not_plain_is_called_as_it_is() -> None:
    for loss in (SoftmaxCrossEntropy(label_smoothing=0.1), SoftmaxCrossEntropy(ignore=-1), OwnLoss()):
        replay = replay_of(Sequential(Affine(4), loss), ROWS)
        assert replay.calls[2].__self__.layer is loss


def test_a_subclass_says_for_itself_whether_it_is_straight() -> None:
    class Doubled(ReLU):
        def forward(self, x: Any) -> Any:
            y, cache = super().forward(x)
            y *= 2
            return y, cache

    assert whole(replay_of(Sequential(Affine(9), Doubled(), Affine(4), SoftmaxCrossEntropy()), ROWS)) == ["Doubled"] * 2


class Wrong(Layer):
    """Says that it is straight, and computes `way` behind the recorder's back."""

    straight = True

    def __init__(self, way: str) -> None:
        self.way = way

    def forward(self, x: Any) -> Any:
        y = self.empty("y", x.shape)
        if self.way == "an operator":
            return self.xp.add(x * x, 0, out=y), x
        if self.way == "a number":
            return self.xp.multiply(x, 1 / (1 + self.xp.abs(x).max()), out=y), x
        if self.way == "a number of an array without axes":
            total = self.xp.sum(x, out=self.empty("total", ()))
            return self.xp.multiply(x, self.xp.tanh(total), out=y), x
        if self.way == "a sum":
            self.xp.sum(x * x, axis=1, out=self.empty("sums", (len(x),)))
            return self.xp.multiply(x, 1, out=y), x
        if self.way == "a verb":
            return self.ops.softmax(x * x, y, self.empty("work", x.shape, self.xp.float64)), x
        if self.way == "another function":
            return self.xp.add(self.xp.cumsum(x, axis=1), 0, out=y), x
        if self.way == "a cache":
            return self.xp.multiply(x, 1, out=y), (x, x > 0)
        return self.xp.exp(self.xp.multiply(x, 0.5)), x  # new arrays, but recorded: they keep their places

    def backward(self, dy: Any, cache: Any) -> Any:
        if self.way == "the way back":
            return self.xp.multiply(dy, 1, out=self.empty("dx", dy.shape)) * cache
        if self.way == "a cache":
            return self.xp.multiply(dy, cache[1], out=self.empty("dx", dy.shape))
        return self.xp.multiply(dy, cache, out=self.empty("dx", dy.shape))


@pytest.mark.parametrize(
    ("way", "times", "calls"),
    [
        ("an operator", 2, 2),
        ("a number", 2, 2),
        ("a number of an array without axes", 2, 2),
        ("a sum", 2, 2),
        ("a verb", 2, 2),
        ("another function", 2, 2),
        ("a cache", 2, 2),
        ("the way back", 1, 3),
        ("none", 0, 3),
    ],
)
def test_what_is_computed_behind_the_recorders_back_is_not_replayed(way: str, times: int, calls: int) -> None:
    def make() -> Sequential:
        return Sequential(Affine(9), Wrong(way), Affine(4), SoftmaxCrossEntropy())

    replay = replay_of(make(), ROWS)
    assert whole(replay) == ["Wrong"] * times
    without = replay_of(Sequential(Affine(9), Affine(4), SoftmaxCrossEntropy()), ROWS)
    assert len(replay.calls) == len(without.calls) + calls
    assert_same(run(make(), ROWS, LABELS, True), run(make(), ROWS, LABELS, False))


class Within(Layer):
    """What the layer in it gives, the way back computed behind the recorder's back; straight in name only."""

    straight = True

    def __init__(self, inner: Layer) -> None:
        self.inner = inner

    def build(self, shape: Any) -> Any:
        return self.sublayer("inner", self.inner, shape)

    def forward(self, x: Any) -> Any:
        return self.inner.forward(x)

    def backward(self, dy: Any, cache: Any) -> Any:
        return self.inner.backward(dy, cache) * 1


def test_a_layer_of_layers_whose_way_back_cannot_be_recorded_is_not_replayed_at_all() -> None:
    def make() -> Sequential:
        return Sequential(Affine(9), Within(Affine(5)), Affine(4), SoftmaxCrossEntropy())

    class Keeps(Layer):
        """y = x, and a cache that no other pass of it has."""

        def forward(self, x: Any) -> Any:
            return x, "kept"

        def backward(self, dy: Any, cache: Any) -> Any:
            caches.append(cache)
            return dy

    with pytest.raises(AssertionError):
        replay_of(make(), ROWS)
    assert_same(run(make(), ROWS, LABELS, True), run(make(), ROWS, LABELS, False))
    caches: list[Any] = []
    run(Sequential(Affine(9), Within(Keeps()), Affine(4), SoftmaxCrossEntropy()), ROWS, LABELS, True)
    assert {*caches} == {"kept"}


class Counts(Layer):
    """y = x + the number of the step, a state; straight in name only."""

    straight = True

    def build(self, shape: Any) -> Any:
        self.state("steps", (1,), lambda rng, shape: np.zeros(shape))
        return shape

    def forward(self, x: Any) -> Any:
        self.xp.add(self.steps, 1, out=self.steps)
        return x + self.steps, None

    def backward(self, dy: Any, cache: None) -> Any:
        return dy


def test_what_was_done_to_the_state_before_a_call_that_cannot_be_recorded_is_undone() -> None:
    def make() -> Sequential:
        return Sequential(Affine(9), Counts(), Affine(4), SoftmaxCrossEntropy())

    assert whole(replay_of(make(), ROWS)) == ["Counts", "Counts"]
    assert_same(run(make(), ROWS, LABELS, True), run(make(), ROWS, LABELS, False))


def test_dropout_goes_on_with_its_masks_from_call_to_call() -> None:
    def made(capture: bool) -> tuple[Any, ...]:
        net = Sequential(Dropout(0.2), Affine(9), ReLU(), Dropout(), Affine(4), SoftmaxCrossEntropy()).build((12,))
        losses = []
        for epochs, batch_size in ((2, 10), (1, 10), (3, 7), (2, 10)):
            more = {"epochs": epochs, "batch_size": batch_size, "progress": False, "capture": capture}
            losses += fit(net, Adam(0.01), (ROWS, LABELS), **more).loss
            net.predict(ROWS[:3])
        return net.storage.params.copy(), net.storage.state.copy(), losses

    assert_same(made(True), made(False))


def test_a_step_that_cannot_be_recorded_changes_the_state_once() -> None:
    class Fails(ReLU):
        """Fails where it is recorded, and nowhere else."""

        straight = True

        def forward(self, x: Any) -> Any:
            if self.xp is not np:
                raise RuntimeError
            return super().forward(x)

    def make() -> Sequential:
        return Sequential(Dropout(), Affine(9), Fails(), Affine(4), SoftmaxCrossEntropy())

    assert_same(run(make(), ROWS, LABELS, True), run(make(), ROWS, LABELS, False))


class Breaks(Layer):
    """Fails at a given call of its forward pass, or returns a shape that it did not promise."""

    def __init__(self, at: int, shape: bool) -> None:
        self.at, self.shape, self.calls = at, shape, 0

    def forward(self, x: Any) -> Any:
        self.calls += 1
        if self.calls < self.at:
            return x, None
        if self.shape:
            return x[:1], None
        raise RuntimeError("no more")

    def backward(self, dy: Any, cache: None) -> Any:
        return dy


@pytest.mark.parametrize("at", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [False, True])
def test_an_error_within_a_replay_is_told_as_any_other(at: int, shape: bool) -> None:
    def told(capture: bool) -> tuple[type, str]:
        net = Sequential(Affine(9), Breaks(at, shape), Affine(4), SoftmaxCrossEntropy()).build((12,))
        with pytest.raises(Exception, match=r".") as caught:
            fit(net, SGD(0.1), (ROWS, LABELS), epochs=2, batch_size=9, progress=False, capture=capture)
        return caught.type, str(caught.value) + "".join(getattr(caught.value, "__notes__", ()))

    assert told(True) == told(False)


def test_a_cache_from_before_is_stale_after_a_replay() -> None:
    net = Sequential(Affine(4), SoftmaxCrossEntropy()).build((12,))
    step, batches = Step(net), Batches(net.ops, (ROWS, LABELS), 10)
    first, second, third = batches(np.arange(30))
    step(first)
    _, cache = net.forward(ROWS, LABELS)
    step(second)
    step(third)
    with pytest.raises(StateError, match="stale"):
        net.backward(1.0, cache)


# --- inference


def chained(net: Sequential, x: Any) -> Any:
    """Inference by the layers' own code."""
    y = x
    for layer in net:
        y = layer.predict(y)
    return y.copy()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("rows", [1, 2, 45, 70])
def test_predictions_replayed_are_those_of_the_layers(name: str, rows: int) -> None:
    make, x = NETWORKS[name]
    net = make().build(x.shape[1:])
    moving = name == "looking back"  # what it gives depends on what it gave
    draw = np.random.default_rng(rows)
    for _ in range(5):
        some = x[draw.integers(0, len(x), rows)]
        before = some.copy()
        y = net.predict(some)
        np.testing.assert_array_equal(some, before)
        first = x[:3].copy()
        if not moving:
            floats = some if some.dtype == np.float32 or net.integer_inputs else some.astype(np.float32)
            np.testing.assert_array_equal(y, chained(net, floats))
        y[...] = 0  # the caller's own
        np.testing.assert_array_equal(x[:3], first)


def test_predictions_follow_what_changes() -> None:
    x = RNG.standard_normal((2, 12)).astype(np.float32)
    net = Sequential(Rescale(2.0), Affine(5), ReLU(), Affine(4), SoftmaxCrossEntropy()).build((12,))

    def check() -> None:
        for rows in (x, x[:1], x[::-1], x.astype(np.float64), x):
            np.testing.assert_array_equal(net.predict(rows), chained(net, rows.astype(np.float32)))

    for _ in range(3):
        check()
    net.storage.params[...] *= 1.5
    check()
    net[0].scale = -1.0
    check()
    fit(net, SGD(0.1), (ROWS, LABELS), epochs=1, batch_size=2, progress=False)
    check()
    net.build((12,), seed=5)
    check()
    net.build((12,), dtype="float64")
    np.testing.assert_array_equal(net.predict(x), chained(net, x.astype(np.float64)))


def test_an_error_within_a_replayed_prediction_is_told_as_any_other() -> None:
    net = Sequential(Affine(9), Breaks(4, shape=False), Affine(4)).build((12,))
    for _ in range(3):
        net.predict(ROWS[:2])
    with pytest.raises(RuntimeError, match="no more") as caught:
        net.predict(ROWS[:2])
    assert "layer 1: Breaks" in str(caught.value.__notes__)
