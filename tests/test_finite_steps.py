"""born() finds the step of an epoch in which a NaN or Inf came up, and who made it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tinynn import (
    SGD,
    Adam,
    Affine,
    BatchNorm,
    Conv2D,
    Dropout,
    Flatten,
    Layer,
    MeanSquaredError,
    NonFiniteError,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    check_finite,
    fit,
)
from tinynn.losses import Loss
from tinynn.network import watched
from tinynn.testing import FakeDevice
from tinynn.training.batches import Batches
from tinynn.training.finite import born, not_finite

RNG = np.random.default_rng(0)
X = RNG.standard_normal((64, 4)).astype(np.float32)
T = RNG.integers(0, 3, 64)
ORDER = RNG.permutation(64)
SIZE = 10


def network(*layers: Any, shape: Any = (4,), **options: Any) -> Sequential:
    return Sequential(*(layers or (Affine(5), ReLU(), Affine(3), SoftmaxCrossEntropy()))).build(shape, **options)


def ask(net: Any, optimizer: Any, x: Any = X, t: Any = T) -> NonFiniteError | None:
    data = tuple(net.ops.asarray(array) for array in (x, t))
    return born(net, optimizer, Batches(net.ops, data, SIZE), ORDER)


def found(net: Any, optimizer: Any, x: Any = X, t: Any = T) -> NonFiniteError:
    error = ask(net, optimizer, x, t)
    assert error is not None
    assert not watched.HELD
    return error


BACKENDS = pytest.mark.parametrize("backend", ["numpy", "llvm", "fake"])


def backend_of(name: str) -> Any:
    return FakeDevice() if name == "fake" else name


@BACKENDS
def test_a_row_that_is_nan(backend: str) -> None:
    x = X.copy()
    place = 37
    x[ORDER[place], 2] = np.nan
    error = found(network(backend=backend_of(backend)), SGD(0.1), x)
    assert (error.layer, error.phase, error.array, error.index) == ("0", "input", "x", (place % SIZE, 2))
    assert f"step {place // SIZE + 1} of the epoch" in str(error.where)
    assert f"rows {ORDER[30]}, {ORDER[31]}, " in str(error.where)
    assert f"row {ORDER[place]} of the data" in str(error.where)
    assert "layer 0: Affine(5)" in str(error)


@BACKENDS
def test_an_update_that_overflows(backend: str) -> None:
    net = network(backend=backend_of(backend))
    net.storage.params[...] = net.storage.params * 1e3
    error = found(net, SGD(1e30), X * np.float32(1e9))
    assert (error.layer, error.phase, error.array) == ("0", "update", "W")
    assert not math.isfinite(error.value)
    assert len(error.index) == 2
    assert "step 1 of the epoch" in str(error.where)
    assert "of the data" not in str(error.where)
    largest = float(str(error.got).partition("the largest gradient is ")[2].partition(",")[0])
    assert math.isfinite(largest)
    assert largest * 1e30 > float(np.finfo(np.float32).max)
    assert "the learning rate 1e+30" in str(error.got)
    assert "learning rate" in str(error.fix)


def test_a_loss_that_overflows_in_a_later_step() -> None:
    class Grows(Loss):
        """L = mean exp(20 k), k counting the steps: too large for float32 in one step, at first fine."""

        def build(self, scores: Any, targets: Any = None, weights: Any = None) -> Any:
            self.state("k", (1,), lambda rng, shape: np.zeros(shape))
            return super().build(scores, targets, weights)

        def forward(self, scores: Any, targets: Any) -> Any:
            k: Any = self.k
            k += 1
            return np.exp(20 * k).mean(), scores

        def backward(self, dL: Any, scores: Any) -> Any:
            return np.zeros_like(scores), None

    loss = Grows()
    net = network(Affine(3), loss)
    error = found(net, SGD(0.1))
    assert (error.layer, error.phase, error.array, error.index, error.value) == ("1", "forward", "y", (), math.inf)
    assert "step 5 of the epoch" in str(error.where)  # exp(100): in float32 there is nothing above exp(88.7)
    assert float(loss.k[0]) == 5  # the step that was made twice has counted once


def test_a_step_that_diverges_names_the_layer_that_overflows() -> None:
    net = network(Affine(8), ReLU(), Affine(3), MeanSquaredError())
    error = found(net, SGD(1e6), X, RNG.standard_normal((64, 3)).astype(np.float32))
    assert error.phase in ("forward", "backward")
    step = int(str(error.where).partition("step ")[2].split()[0])
    assert 2 <= step <= 7


class DividesByZero(Layer):
    """y = x; dx = dy / 0 for the one row whose first number is 7."""

    def forward(self, x: Any) -> Any:
        return x, x

    def backward(self, dy: Any, x: Any) -> Any:
        dx = dy.copy()
        dx[x[:, 0] == 7] /= 0.0
        return dx


def test_a_backward_that_divides_by_zero() -> None:
    x, place = X.copy(), 52
    x[ORDER[place], 0] = 7
    flat = network(Affine(4, W=np.eye(4)), DividesByZero(), Affine(3), SoftmaxCrossEntropy())
    error = found(flat, SGD(1e-9), x)
    assert (error.layer, error.phase, error.array, error.index[0]) == ("1", "backward", "dx", 2)
    assert not math.isfinite(error.value)
    assert "step 6 of the epoch" in str(error.where)
    assert f"row {ORDER[place]} of the data" in str(error.where)


def test_nothing_is_found_where_no_step_goes_wrong() -> None:
    for optimizer, other in ((SGD(0.1, momentum=0.9), SGD(0.1, momentum=0.9)), (Adam(0.01), Adam(0.01))):
        net = network(Affine(5), BatchNorm(), Dropout(), ReLU(), Affine(3), SoftmaxCrossEntropy())
        twin = network(Affine(5), BatchNorm(), Dropout(), ReLU(), Affine(3), SoftmaxCrossEntropy())
        assert ask(net, optimizer) is None
        for rows in Batches(twin.ops, (X, T), SIZE)(ORDER):
            twin.backward(1.0, twin.forward(*rows)[1])
            other.step(twin)
        assert net.storage.params.tobytes() == twin.storage.params.tobytes()  # the same steps, to the bit
        assert net.storage.state.tobytes() == twin.storage.state.tobytes()
        assert optimizer.steps_taken == 7


def test_a_state_that_an_update_spoils() -> None:
    class Spoils:
        """Somebody's own optimizer, which has no learning rate and writes where it must not."""

        def step(self, net: Any) -> None:
            net.storage.states["1.var"][3] = np.inf

    net = network(Affine(5), BatchNorm(), Affine(3), SoftmaxCrossEntropy())
    error = found(net, Spoils())
    assert (error.layer, error.phase, error.array, error.index) == ("1", "update", "var", (3,))
    assert "the learning rate None" in str(error.got)


def test_an_infinity_on_the_way_that_only_the_update_shows_is_where_it_was_born() -> None:
    class Hides(Affine):
        """y = x W + b, with a last column that is infinite; nobody below reads it."""

        def forward(self, x: Any) -> Any:
            y, cache = super().forward(x)
            y[:, -1] = np.inf
            return y, cache

    class Cuts(Layer):
        """y = x without its last column."""

        def build(self, shape: Any) -> Any:
            return (shape[0] - 1,)

        def forward(self, x: Any) -> Any:
            return x[:, :-1], x.shape

        def backward(self, dy: Any, shape: Any) -> Any:
            return np.concatenate([dy, np.zeros((len(dy), 1), dy.dtype)], axis=1)

    net = network(Hides(4), Cuts(), SoftmaxCrossEntropy())
    assert ask(net, SGD(0.1)) is None
    error = found(net, SGD(1e38), X * np.float32(1e4))
    assert (error.layer, error.phase, error.array, error.index) == ("0", "forward", "y", (0, 3))


def test_it_may_be_asked_within_check_finite() -> None:
    x = X.copy()
    x[ORDER[20], 1] = np.inf
    with check_finite():
        error = found(network(), SGD(0.1), x)
    assert (error.phase, error.index) == ("input", (0, 1))
    assert "step 3 of the epoch" in str(error.where)


def test_images_and_the_smaller_last_batch() -> None:
    x = RNG.standard_normal((64, 1, 6, 6)).astype(np.float32)
    x[ORDER[63], 0, 2, 3] = -np.inf
    error = found(network(Conv2D(2, 3), Flatten(), Affine(3), SoftmaxCrossEntropy(), shape=(1, 6, 6)), SGD(0.1), x)
    assert (error.index, error.value) == ((3, 0, 2, 3), -math.inf)
    few = ", ".join(map(str, ORDER[60:]))
    assert f"step 7 of the epoch (rows {few}), row {ORDER[63]} of the data" in str(error.where)


@BACKENDS
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_the_check_of_every_step(backend: str, value: float) -> None:
    net = network(backend=backend_of(backend))
    loss, cache = net.forward(X, T)
    net.backward(1.0, cache)
    assert not not_finite(net, loss)
    for number in (value, net.ops.asarray(np.float32(value))):
        assert not_finite(net, number)
    for name, gradient in net.storage.gradients.items():
        kept = gradient.copy()
        gradient[(-1,) * gradient.ndim] = value
        assert not_finite(net, loss), name
        gradient[...] = kept
    net.storage.grads[...] = 3e38  # whose squares no float32 holds
    assert not not_finite(net, loss)
    net.storage.grads[0] = value
    assert not_finite(net, loss)


def test_a_network_without_parameters() -> None:
    net = network(ReLU(), MeanSquaredError())
    loss, cache = net.forward(X, X)
    net.backward(1.0, cache)
    assert not not_finite(net, loss)
    assert ask(net, SGD(0.1), X, X) is None


@BACKENDS
def test_a_network_that_diverged_can_be_trained_again(backend: str) -> None:
    """clip_norm measures the whole vector of gradients: its padding is no NaN any more, wherever it came from."""
    net = network(Affine(5), BatchNorm(), Affine(3), SoftmaxCrossEntropy(), backend=backend_of(backend))
    before = net.storage.arrays()
    for _ in range(2):
        with pytest.raises(NonFiniteError, match="diverged"):
            fit(net, SGD(1e30, clip_norm=1.0, momentum=0.9), (X, T), epochs=3, batch_size=SIZE, progress=False)
        for vector in (net.storage.params, net.storage.grads):
            padding = np.ones(vector.size, dtype=bool)
            for view in net.storage.views(padding).values():
                view[...] = False
            assert not net.ops.to_host(vector)[padding].any()
    for name, array in net.storage.arrays().items():
        np.testing.assert_array_equal(array, before[name])
    history = fit(net, SGD(0.01, clip_norm=1.0), (X, T), epochs=2, batch_size=SIZE, progress=False)
    assert np.isfinite(history.loss).all()
