"""fit is the loop that anybody would write: the same numbers bit for bit, and it learns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tinynn import (
    SGD,
    Affine,
    DataError,
    History,
    QuadraticCost,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    StateError,
    Tanh,
    fit,
)
from tinynn.random import generator

RNG = np.random.default_rng(0)
X = RNG.standard_normal((53, 6)).astype(np.float32)
T = RNG.integers(0, 3, 53)
VALIDATION = RNG.standard_normal((20, 6)), RNG.integers(0, 3, 20)


def network(dtype: str = "float32") -> Sequential:
    return Sequential(Affine(8), Tanh(), Affine(3), SoftmaxCrossEntropy()).build((6,), dtype=dtype)


def quiet(net: Sequential, optimizer: Any, train: Any, **options: Any) -> History:
    return fit(net, optimizer, train, **{"epochs": 3, "batch_size": 10, "progress": False, **options})


def by_hand(net: Sequential, epochs: int, batch_size: int, seed: int) -> list[tuple[float, float]]:
    """The loop without fit; the loss and accuracy of each epoch, as its batches were met."""
    optimizer, measured = SGD(0.2, l2=0.01), []
    for epoch in range(epochs):
        order = generator(seed, "shuffle", epoch).permutation(len(X))
        total = right = 0.0
        for start in range(0, len(X), batch_size):
            rows = order[start : start + batch_size]
            loss, cache = net.forward(X[rows], T[rows])
            total += float(loss) * len(rows)
            right += (cache.scores.argmax(axis=1) == T[rows]).sum()
            net.backward(1.0, cache)
            optimizer.step(net)
        measured.append((total / len(X), right / len(X)))
    return measured


@pytest.mark.parametrize("batch_size", [1, 10, 53, 64, 200])
def test_fit_is_the_loop_written_by_hand_bit_for_bit(batch_size: int) -> None:
    net, hand = network(), network()
    history = quiet(net, SGD(0.2, l2=0.01), (X, T), batch_size=batch_size, seed=4)
    expected = by_hand(hand, 3, batch_size, seed=4)
    assert net.storage.params.tobytes() == hand.storage.params.tobytes()
    np.testing.assert_allclose(history.loss, [loss for loss, _ in expected], rtol=1e-12)
    np.testing.assert_allclose(history.accuracy, [accuracy for _, accuracy in expected], rtol=1e-12)
    assert len(history) == len(history.seconds) == 3
    assert all(seconds > 0 for seconds in history.seconds)
    assert (history.validation_loss, history.validation_accuracy, history.stopped) == ([], [], "finished")


def test_fit_learns_xor() -> None:
    x, t = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    net = Sequential(Affine(8), Tanh(), Affine(2), SoftmaxCrossEntropy()).build((2,))
    history = quiet(net, SGD(0.5), (x, t), epochs=300, batch_size=4)
    assert net.predict(x).argmax(axis=1).tolist() == [0, 1, 1, 0]
    assert history.accuracy[-1] == 1
    assert history.loss[-1] < 0.05 < history.loss[0]


def test_fit_learns_handwritten_digits() -> None:
    digits: Any = load_digits()
    x, t = digits.data / 16, digits.target
    net = Sequential(Affine(64), ReLU(), Affine(10), SoftmaxCrossEntropy()).build((64,))
    quiet(net, SGD(0.2, l2=1e-4), (x[:1200], t[:1200]), epochs=30, batch_size=20)
    half = net.evaluate(x[1200:], t[1200:]).accuracy  # other writers than in the first rows
    shuffled = RNG.permutation(len(x))
    x, t = x[shuffled], t[shuffled]
    net.build((64,))
    quiet(net, SGD(0.2, l2=1e-4), (x[:1200], t[:1200]), epochs=30, batch_size=20)
    assert net.evaluate(x[1200:], t[1200:]).accuracy > 0.95
    assert half > 0.9


def test_the_order_of_the_rows_is_the_seeds_and_another_in_each_epoch() -> None:
    class Recorder:
        """An optimizer that learns nothing and writes down what it meets."""

        def __init__(self) -> None:
            self.losses: list[float] = []

        def step(self, net: Any) -> None:
            self.losses.append(float(net.storage.gradients["0.b"][0]))

    def orders(seed: int) -> list[tuple[float, ...]]:
        recorder = Recorder()
        quiet(network(), recorder, (X, T), batch_size=1, seed=seed)
        return [tuple(recorder.losses[i : i + 53]) for i in (0, 53, 106)]

    first = orders(1)
    assert first == orders(1)
    assert len({*first, *orders(2)}) == 6
    assert len({tuple(sorted(epoch)) for epoch in [*first, *orders(2)]}) == 1  # every row once


def test_what_fit_is_given_stays_as_it_is() -> None:
    x, t = X.copy(), T.copy()
    x.flags.writeable = t.flags.writeable = False
    quiet(network(), SGD(0.1), (x, t), validation=(x, t))
    lists, bytes_ = network(), network()
    quiet(lists, SGD(0.1), (X.tolist(), T.tolist()))
    quiet(bytes_, SGD(0.1), (X, T.astype(np.uint8)))
    assert lists.storage.params.tobytes() == bytes_.storage.params.tobytes()


# --- validation and patience


def test_validation_is_measured_after_each_epoch() -> None:
    net, hand = network("float64"), network("float64")
    history = quiet(net, SGD(0.2, l2=0.01), (X, T), validation=VALIDATION)
    for epochs in (1, 2, 3):
        hand.build((6,), dtype="float64")
        by_hand(hand, epochs, 10, seed=0)
        result = hand.evaluate(*VALIDATION)
        assert history.validation_loss[epochs - 1] == pytest.approx(result.loss, rel=1e-12)
        assert history.validation_accuracy[epochs - 1] == result.accuracy


def test_patience_stops_and_goes_back_to_the_best_parameters() -> None:
    net = network("float64")
    history = quiet(net, SGD(1.0), (X, T), validation=VALIDATION, epochs=200, patience=3)
    best = int(np.argmin(history.validation_loss))
    assert history.stopped == "early"
    assert len(history) == best + 4 < 200
    assert net.loss(*VALIDATION) == pytest.approx(history.validation_loss[best], rel=1e-12)
    again = network("float64")
    quiet(again, SGD(1.0), (X, T), epochs=best + 1)
    assert again.storage.params.tobytes() == net.storage.params.tobytes()


def test_a_run_that_ends_before_its_patience_has_the_best_parameters_too() -> None:
    net = network("float64")
    history = quiet(net, SGD(1.0), (X, T), validation=VALIDATION, epochs=20, patience=50)
    assert history.stopped == "finished"
    assert int(np.argmin(history.validation_loss)) < 19
    assert net.loss(*VALIDATION) == pytest.approx(min(history.validation_loss), rel=1e-12)


def test_rows_as_targets_have_accuracy_only_where_they_are_probabilities() -> None:
    rows = np.eye(3)[T]
    by_rows, by_labels = network("float64"), network("float64")
    one, other = quiet(by_rows, SGD(0.1), (X, rows)), quiet(by_labels, SGD(0.1), (X, T))
    np.testing.assert_allclose(one.loss, other.loss, rtol=1e-12)
    assert one.accuracy == other.accuracy
    net = Sequential(Affine(3), QuadraticCost()).build((6,))
    assert all(math.isnan(accuracy) for accuracy in quiet(net, SGD(0.1), (X, rows)).accuracy)


# --- divergence


@pytest.mark.parametrize("lr", [1e12, 1e38])
def test_a_diverging_run_raises_and_goes_back_to_the_epoch_before(lr: float) -> None:
    class Slow(SGD):
        """Harmless in its first epoch, and far too fast from then on."""

        def step(self, net: Any) -> None:
            self.steps = getattr(self, "steps", 0) + 1
            self.lr = 0.01 if self.steps <= 6 else lr
            super().step(net)

    net = Sequential(Affine(5), ReLU(), Affine(3), QuadraticCost()).build((6,))
    with pytest.raises(StateError, match="diverged in epoch 2"):
        quiet(net, Slow(0.01), (X, T), epochs=10)
    calm = Sequential(Affine(5), ReLU(), Affine(3), QuadraticCost()).build((6,))
    quiet(calm, SGD(0.01), (X, T), epochs=1)
    assert net.storage.params.tobytes() == calm.storage.params.tobytes()


def test_a_last_step_that_ruins_the_parameters_is_noticed() -> None:
    class Ruin(SGD):
        def step(self, net: Any) -> None:
            net.storage.params[0] = np.inf

    net = network()
    before = net.storage.params.copy()
    with pytest.raises(StateError, match="diverged in epoch 1: inf in W"):
        quiet(net, Ruin(0.1), (X, T), epochs=1, batch_size=53)
    np.testing.assert_array_equal(net.storage.params, before)


def test_history_is_numbers_ready_for_json() -> None:
    history = quiet(network(), SGD(0.1), (X, T), validation=VALIDATION, epochs=2)
    values = history.as_dict()
    assert set(values) == {"loss", "accuracy", "validation_loss", "validation_accuracy", "seconds", "stopped"}
    assert {type(number) for name, numbers in values.items() if name != "stopped" for number in numbers} == {float}


def test_data_may_come_from_a_generator() -> None:
    x, t = np.random.default_rng(3).standard_normal((20, 2)), np.arange(20) % 2
    histories = []
    for lazy in (False, True):
        net = Sequential(Affine(2), SoftmaxCrossEntropy()).build((2,))
        data = (array for array in (x, t)) if lazy else (x, t)
        histories.append(quiet(net, SGD(0.1), data, epochs=2))
    assert histories[0].loss == histories[1].loss


def test_large_data_are_looked_through_by_two_threads_and_the_first_bad_row_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tinynn.training.examples.LARGE", 0)
    monkeypatch.setattr("tinynn.training.examples.BLOCK", 8)
    quiet(network(), SGD(0.1), (X, T), epochs=1)
    bad = X.astype(np.float32)
    bad[37], bad[50] = np.nan, np.inf
    with pytest.raises(DataError, match="row 37"):
        quiet(network(), SGD(0.1), (bad, T), epochs=1)


def test_a_history_prints_as_it_is_made() -> None:
    history = History([0.5], [0.25], seconds=[1.0], stopped="early")
    said = "loss=[0.5], accuracy=[0.25], validation_loss=[], validation_accuracy=[], seconds=[1.0], stopped='early'"
    assert repr(history) == f"History({said})"
