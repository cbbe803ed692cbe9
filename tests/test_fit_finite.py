"""A run that diverges says where: the step, the layer, the array, the element; and leaves what can be gone on with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_helpers import T, X, checkpoints, network, trained

from tinynn import (
    SGD,
    Affine,
    ConfigurationError,
    Layer,
    NonFiniteError,
    Sequential,
    SoftmaxCrossEntropy,
    StateError,
    check_finite,
)


class Root(Layer):
    """y = sqrt(x + c), which is NaN once x < -c."""

    def __init__(self, c: float) -> None:
        self.c = c

    def forward(self, x: Any) -> Any:
        y = self.xp.sqrt(x + self.c)
        return y, y

    def backward(self, dy: Any, y: Any) -> Any:
        return dy / (2 * y)


def rooted(c: float = 8.0) -> Any:
    return Sequential(Affine(6), Root(c), Affine(3), SoftmaxCrossEntropy()).build((5,), seed=2)


def unstable(net: Any, **options: Any) -> Any:
    """Its parameters grow from step to step, until the root has no argument."""
    return trained(net, SGD(2.0, momentum=0.9), **options)


def test_the_layer_is_named_and_all_is_as_before_the_epoch() -> None:
    net, sgd = rooted(), SGD(2.0, momentum=0.9)
    with pytest.raises(NonFiniteError, match=r"the run diverged in epoch \d+: nan in y") as caught:
        trained(net, sgd)
    error = caught.value
    assert (error.layer, error.phase, error.array) == ("1", "forward", "y")
    for part in ("layer 1: Root(8.0), forward, y[", "of the epoch (rows ", "as they were before the epoch"):
        assert part in str(error.where)
    epochs = int(error.what.split("epoch ")[1].split(":")[0]) - 1
    again, other = rooted(), SGD(2.0, momentum=0.9)
    if epochs:
        trained(again, other, epochs=epochs)
    np.testing.assert_array_equal(net.storage.params, again.storage.params)
    assert sgd.steps_taken == other.steps_taken == 10 * epochs


def test_step_by_step_all_is_as_before_the_step() -> None:
    net, sgd = rooted(), SGD(2.0, momentum=0.9)
    with pytest.raises(NonFiniteError, match=r"nan in y") as caught:
        trained(net, sgd, finite="step")
    assert (caught.value.layer, caught.value.phase) == ("1", "forward")
    again, other = rooted(), SGD(2.0, momentum=0.9)

    class Enough(Exception):
        pass

    class Counting(SGD):
        def step(self, net: Any) -> None:
            super().step(net)
            if self.steps_taken == sgd.steps_taken:
                raise Enough

    other = Counting(2.0, momentum=0.9)
    with pytest.raises(Enough):
        trained(again, other)
    np.testing.assert_array_equal(net.storage.params, again.storage.params)
    assert np.isfinite(net.storage.params).all() and sgd.steps_taken > 0


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_looking_at_every_step_changes_no_bit(backend: str) -> None:
    one, other = network(), network()
    trained(one)
    trained(other, finite="step")
    np.testing.assert_array_equal(one.storage.params, other.storage.params)
    if backend == "llvm":
        net = network("llvm")
        trained(net, finite="step")
        np.testing.assert_allclose(net.storage.params, one.storage.params, rtol=1e-3, atol=1e-5)


def test_after_a_run_that_looked_the_next_one_does_not() -> None:
    net = network()
    trained(net, finite="step", epochs=3)
    trained(net, epochs=3)
    other = network()
    trained(other, epochs=3)
    trained(other, epochs=3)
    np.testing.assert_array_equal(net.storage.params, other.storage.params)


def test_an_epoch_that_takes_long_is_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinynn.training.epoch.PATIENCE", 0.0)
    net = rooted()
    with pytest.raises(StateError, match="the run diverged") as caught:
        unstable(net)
    assert not isinstance(caught.value, NonFiniteError) and 'finite="step"' in str(caught.value.fix)


def test_what_does_not_happen_again_is_a_state_error() -> None:
    class Once(SGD):
        done = False

        def step(self, net: Any) -> None:
            super().step(net)
            if not self.done:
                net.storage.params[0] = np.nan
            Once.done = True

    net = network()
    before = net.storage.params.copy()
    with pytest.raises(StateError, match="the run diverged in epoch 1") as caught:
        trained(net, Once(0.1))
    assert "a largest parameter of nan" in str(caught.value.got)
    np.testing.assert_array_equal(net.storage.params, before)


def test_no_checkpoint_is_made_of_it_and_an_older_one_goes_on(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteError):
        unstable(rooted(), checkpoint=tmp_path, every=1)
    there = checkpoints(tmp_path)
    net = rooted()
    with pytest.raises(NonFiniteError):
        unstable(net, checkpoint=tmp_path, resume=True)
    assert checkpoints(tmp_path) == there and np.isfinite(net.storage.params).all()


def test_within_check_finite_every_step_of_a_run_is_looked_at() -> None:
    net = rooted()
    with pytest.raises(NonFiniteError, match=r"^nan in y, made of finite numbers") as caught, check_finite():
        unstable(net)
    assert caught.value.layer == "1" and np.isfinite(net.storage.params).all()


def test_a_step_that_is_right_when_it_is_made_again_is_told_of() -> None:
    class Flaky(Layer):
        calls = 0

        def forward(self, x: Any) -> Any:
            self.calls += 1
            return (x * np.nan if self.calls == 5 else x), None

        def backward(self, dy: Any, cache: Any) -> Any:
            return dy

    net = Sequential(Affine(6), Flaky(), Affine(3), SoftmaxCrossEntropy()).build((5,))
    with pytest.raises(StateError, match="when the step is made again") as caught:
        trained(net, SGD(0.1), finite="step")
    assert not isinstance(caught.value, NonFiniteError) and "nan" in str(caught.value.got)


def test_another_word_for_when_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="looks for NaN"):
        trained(network(), finite="always")


def test_a_loss_that_is_nan_from_the_first_step() -> None:
    with pytest.raises(NonFiniteError, match="nan in y") as caught:
        trained(rooted(-100.0), data=(X, T))
    assert caught.value.index == (0, 0) and caught.value.array == "y"
