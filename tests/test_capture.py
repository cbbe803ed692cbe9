"""Captured steps: the bits of the layers' own code, one launch a step, and a way back where that cannot be."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from devices import DEVICES, device_of

from tinynn import (
    SGD,
    Adam,
    Affine,
    ConfigurationError,
    Dropout,
    History,
    Layer,
    Loss,
    MeanSquaredError,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    StateError,
    fit,
)
from tinynn.init import ones
from tinynn.optim import Optimizer, step_decay

RNG = np.random.default_rng(3)
X = RNG.standard_normal((57, 6)).astype(np.float32)
T = RNG.integers(0, 3, 57)


class Free(Layer):
    """y = g x / |x|, and every array a new one."""

    def build(self, shape: Any) -> Any:
        self.param("g", shape, ones)
        return shape

    def forward(self, x: Any) -> Any:
        length = self.xp.sqrt((x * x).sum(axis=1, keepdims=True) + 1)
        return self.g * (x / length), (x, length)

    def backward(self, dy: Any, cache: Any) -> Any:
        x, length = cache
        unit = x / length
        self.dg[...] = (dy * unit).sum(axis=0)
        d = dy * self.g
        return (d - unit * (d * unit).sum(axis=1, keepdims=True)) / length


class Plain(Layer):
    """y = f(x), dx = dy: what is interesting is f."""

    def f(self, x: Any) -> Any:
        return x

    def forward(self, x: Any) -> Any:
        return self.f(x), None

    def backward(self, dy: Any, cache: None) -> Any:
        return dy


DEVICE: list[Any] = []


@pytest.fixture(autouse=True, params=DEVICES)
def device(request: pytest.FixtureRequest) -> Any:
    """The device of the test, to which `network` builds."""
    DEVICE[:] = [device_of(request.param)]
    return DEVICE[0]


def network(*middle: Layer, dtype: str = "float32") -> Sequential:
    net = Sequential(Affine(8), *(middle or (ReLU(), Dropout(0.3))), Affine(3), SoftmaxCrossEntropy())
    return net.build((6,), backend=DEVICE[0], seed=4, dtype=dtype)


def learn(net: Any, optimizer: Any = None, x: Any = X, t: Any = T, **options: Any) -> History:
    options = {"epochs": 2, "batch_size": 8, "progress": False} | options
    return fit(net, optimizer or SGD(0.05, momentum=0.9), (x, t), **options)


def left(net: Any, history: History) -> list[Any]:
    storage, host = net.storage, net.ops.to_host
    return [*map(host, (storage.params, storage.state, storage.grads)), history.loss, history.accuracy]


def assert_same(a: list[Any], b: list[Any]) -> None:
    for one, other in zip(a, b, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_ten_thousand_replays_of_a_layer_that_allocates_freely_are_those_of_its_own_code() -> None:
    runs = []
    for capture in (False, True):
        net = network(Free(), Dropout(0.1))
        runs.append(left(net, learn(net, Adam(1e-3), epochs=1250, batch_size=7, capture=capture)))
    assert_same(*runs)


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 15, 16, 17, 24, 57])
@pytest.mark.parametrize("batch_size", [1, 8, 57, 100])
def test_ragged_batches_and_few_steps(rows: int, batch_size: int) -> None:
    runs = []
    for capture in (False, True):
        net = network()
        history = learn(net, x=X[:rows], t=T[:rows], epochs=3, batch_size=batch_size, capture=capture)
        runs.append(left(net, history))
    assert_same(*runs)


def test_one_run_after_another_on_other_data_with_other_settings() -> None:
    runs = []
    for capture in (False, True):
        net, optimizer, histories = network(), SGD(0.1), []
        histories.append(learn(net, optimizer, capture=capture))
        optimizer.lr = 0.01
        histories.append(learn(net, optimizer, x=X[::-1] * 2, t=T[::-1], capture=capture))
        net.layers[2].rate = 0.6
        histories.append(learn(net, Adam(0.01), x=X[:20], t=T[:20], batch_size=5, capture=capture))
        net.predict(np.ones((500, 6)))  # larger arrays in the place of those that a step used
        histories.append(learn(net, optimizer, capture=capture))
        runs.append([*left(net, histories[-1]), *(h.loss for h in histories)])
    assert_same(*runs)


def test_a_graph_needs_nothing_of_the_thread_that_asked_for_it() -> None:
    net = network()

    class Nosy(Optimizer):
        """Between two steps the main thread's arrays grow, shrink and go away."""

        def update(self, ops: Any, storage: Any, lr: Any) -> None:
            net.forward(np.ones((64, 6), np.float32), np.zeros(64, int))
            net.predict(np.ones((3, 6)))
            gc.collect()
            ops.sgd_update(storage.params, storage.grads, lr, 0.0, storage.decayed, storage.work)

    # Forward moves the dropout's count: both runs do.
    first = left(net, learn(net, Nosy(0.1), capture=False))
    net = network()
    assert_same(first, left(net, learn(net, Nosy(0.1), capture=True)))


class OwnStep:
    """An optimizer that fit knows nothing of."""

    def __init__(self) -> None:
        self.steps = 0

    def step(self, net: Any) -> None:
        self.steps += 1
        net.storage.params -= net.storage.grads * (0.1 / self.steps)


class OwnUpdate(Optimizer):
    """One of the family, with a Python number that changes."""

    def update(self, ops: Any, storage: Any, lr: Any) -> None:
        storage.params -= storage.grads * (lr / (1 + self.steps_taken))


@pytest.mark.parametrize("make", [OwnStep, lambda: OwnUpdate(0.1)])
def test_with_an_optimizer_of_ones_own_forward_and_backward_are_replayed(make: Any) -> None:
    runs = []
    for capture in (False, True):
        net = network()
        runs.append(left(net, learn(net, make(), epochs=6, capture=capture)))
    assert_same(*runs)


def test_the_first_epoch_counts_every_step_once() -> None:
    net, optimizer = network(), Adam(0.01)
    learn(net, optimizer, epochs=3)
    assert optimizer.steps_taken == 3 * 8
    assert net.ops.to_host(net.layers[2].stream)[1] == 3 * 8  # what dropout counts


# --- where a step cannot be captured


class CopiesFromTheHost(Plain):
    def f(self, x: Any) -> Any:
        return x + self.xp.asarray([1.0], dtype=x.dtype)


class CallsCublas(Plain):
    def f(self, x: Any) -> Any:
        return x @ self.xp.eye(x.shape[1], dtype=x.dtype)


class CountsItsCalls(Plain):
    def __init__(self) -> None:
        self.calls = 0

    def f(self, x: Any) -> Any:
        self.calls += 1
        return x * (1 / self.calls)


class DrawsOnTheHost(Plain):
    def __init__(self) -> None:
        self.rng = np.random.default_rng(1)

    def f(self, x: Any) -> Any:
        return x * float(self.rng.random())


class Selects(Plain):
    def f(self, x: Any) -> Any:
        positive = x[x > 0]
        return x + positive.sum() * 0.001


BLOCKED: dict[str, tuple[Callable[[], Layer], str]] = {
    "a copy from the host": (CopiesFromTheHost, "a copy from the host|captur|numbers"),
    "a product by CuPy's cuBLAS": (CallsCublas, "cuBLAS"),
    "a shape that depends on numbers": (Selects, r"x\[mask\]|captur"),
    "a count of Python's": (CountsItsCalls, "other numbers"),
    "random numbers of the host": (DrawsOnTheHost, "other numbers"),
}


@pytest.mark.parametrize("what", BLOCKED)
def test_a_step_that_cannot_be_captured_is_made_by_its_own_code_with_one_warning(what: str) -> None:
    make, says = BLOCKED[what]
    net = network(make())
    with pytest.warns(RuntimeWarning, match=says) as told:
        history = learn(net, epochs=3)
    assert len(told) == 1
    assert told[0].filename == __file__
    assert "capture=False" in str(told[0].message)
    assert len(history) == 3
    if what not in ("a count of Python's", "random numbers of the host"):  # those went on twice meanwhile
        other = network(make())
        assert_same(left(net, history), left(other, learn(other, epochs=3, capture=False)))


@pytest.mark.parametrize("what", BLOCKED)
def test_without_capture_nobody_is_warned(what: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learn(network(BLOCKED[what][0]()), capture=False)


def test_a_capture_that_fails_leaves_the_network_and_the_optimizer_as_they_were() -> None:
    class Fails(Plain):
        def __init__(self) -> None:
            self.calls = 0

        def f(self, x: Any) -> Any:
            self.calls += 1
            if self.calls == 3:  # in the record, after a first step that was made
                raise ZeroDivisionError
            return x

    runs = []
    for layer in (Fails(), Plain()):
        net, optimizer = network(layer, Dropout(0.2)), Adam(0.01)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            history = learn(net, optimizer, capture=type(layer) is Fails)
        assert [str(w.message).count("ZeroDivisionError") for w in told] == [1] * (type(layer) is Fails)
        runs.append([*left(net, history), *optimizer.state().values()])
    assert_same(*runs)


def test_a_schedule_that_fails_says_so_at_its_step() -> None:
    def lr(step: int) -> float:
        return 0.1 if step < 11 else -1.0

    told = []
    for capture in (False, True):
        net, optimizer = network(), SGD(lr)
        with pytest.raises(ConfigurationError, match="learning rate") as caught:
            learn(net, optimizer, epochs=9, capture=capture)
        told.append([str(caught.value).replace(hex(id(lr)), ""), net.ops.to_host(net.storage.params)])
        assert optimizer.steps_taken == 11
    assert_same(*told)


def test_a_run_that_diverges_goes_back_to_the_epoch_before() -> None:
    left_over = []
    for capture in (False, True):
        net = network()
        with pytest.raises(StateError, match="diverged in epoch 2") as caught:
            learn(net, SGD(lambda step: 0.1 if step < 8 else 1e30), epochs=9, capture=capture)
        left_over.append([net.ops.to_host(net.storage.params), str(caught.value)])
    assert_same(*left_over)


def test_settings_that_move_are_read_from_the_device_and_the_others_are_what_they_were() -> None:
    def own(step: int) -> float:
        return 0.1 / (1 + step)

    for make in (lambda: SGD(own, l2=0.01), lambda: Adam(own, l2=0.01), lambda: SGD(step_decay(0.1, 0.5, 5), 0.0, 0.9)):
        runs = []
        for capture in (False, True):
            net = network(dtype="float64")
            runs.append(left(net, learn(net, make(), epochs=4, capture=capture)))
        assert_same(*runs)


class Rows(Loss):
    """A loss without labels, whose rows count by what is in them."""

    def forward(self, scores: Any, targets: Any) -> Any:
        d = scores - targets
        return (d * d).mean(), d

    def backward(self, dL: Any, d: Any) -> Any:
        return (2 * dL / d.size) * d, None

    def total_weight(self, targets: Any, weights: Any = None) -> Any:
        return targets.sum(dtype=self.xp.float64)

    def verdict(self, scores: Any, targets: Any) -> Any:
        return self.xp.where(targets[:, 0] > 0.5, (scores[:, 0] > 0.5) * 1, -1)


def test_a_loss_that_counts_in_its_own_way() -> None:
    runs = []
    t = RNG.random((57, 3)).astype(np.float32)
    for capture in (False, True):
        net = Sequential(Affine(3), Rows()).build((6,), backend=DEVICE[0])
        runs.append(left(net, learn(net, t=t, capture=capture)))
    assert_same(*runs)
    assert np.isfinite(runs[0][4]).all()


@pytest.mark.parametrize("settings", [{"class_weights": [1.0, 2.0, 5.0]}, {"ignore": 1}, {"label_smoothing": 0.2}])
def test_rows_that_weigh_differently_are_counted_so(settings: dict[str, Any]) -> None:
    runs = []
    for capture in (False, True):
        net = Sequential(Affine(3), SoftmaxCrossEntropy(**settings)).build((6,), backend=DEVICE[0], seed=4)
        runs.append(left(net, learn(net, capture=capture)))
    assert_same(*runs)


class Generous(SoftmaxCrossEntropy):
    """Right is whoever gives the label more than a third."""

    def verdict(self, scores: Any, targets: Any) -> Any:
        p = self.xp.exp(scores)
        rows = self.xp.arange(len(targets))
        return p[rows, targets] > p.sum(axis=1) / 3


def test_a_loss_says_itself_which_rows_are_right() -> None:
    runs = []
    for capture in (False, True):
        net = Sequential(Affine(3), Generous()).build((6,), backend=DEVICE[0], seed=4)
        runs.append(left(net, learn(net, capture=capture)))
    assert_same(*runs)
    plain = Sequential(Affine(3), SoftmaxCrossEntropy()).build((6,), backend=DEVICE[0], seed=4)
    assert learn(plain).accuracy != runs[0][4]


def test_rows_that_weigh_differently_without_labels() -> None:
    runs = []
    t, weights = RNG.random((57, 3)).astype(np.float32), RNG.random(57)
    for capture in (False, True):
        net = Sequential(Affine(3), MeanSquaredError()).build((6,), backend=DEVICE[0], seed=4)
        history = fit(net, SGD(0.1), (X, t, weights), epochs=4, batch_size=8, progress=False, capture=capture)
        runs.append(left(net, history))
    assert_same(*runs)


def test_an_update_that_is_no_longer_what_was_captured_is_made_by_its_own_code() -> None:
    for capture in (False, True):
        net, sgd = network(), SGD(0.1)

        def turning(step: int, sgd: SGD = sgd) -> float:
            if step == 20:
                sgd.l2 = 100.0  # weights are as good as gone from then on
            return 0.1 if step < 20 else 1e-3

        sgd.lr = turning
        history = learn(net, sgd, epochs=30, capture=capture)
        assert len(history) == 30 and sgd.steps_taken == 30 * 8
        assert float(abs(net.ops.to_host(net.storage.parameters["0.W"])).max()) < 0.05
