"""What fit promises, kept by backend="llvm": Ctrl-C, errors, divergence; data let go; copies and checks."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import signal
import sys
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from llvmlite import binding
from planted_bugs.custom import Gain
from test_llvm_backend import close, dense, kept, lenet, pair, quiet
from test_replay import IMAGES, LABELS, ROWS

from tinynn import (
    SGD,
    Adam,
    Affine,
    ConfigurationError,
    MissingExtraError,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
    StateError,
    gradcheck,
)
from tinynn.compiler import engine
from tinynn.testing import check_layer
from tinynn.training.run import counts_rows, names_the_largest


def test_the_data_are_let_go() -> None:
    net, x, t = dense().build((12,), backend="llvm"), ROWS.copy(), LABELS.copy()
    quiet(net, SGD(0.1), (x, t))
    assert kept(net).run is not None
    held = weakref.ref(x), weakref.ref(t)
    del x, t
    gc.collect()
    assert [each() for each in held] == [None, None]


def test_a_network_is_let_go_with_all_that_was_compiled_for_it() -> None:
    net = dense().build((12,), backend="llvm")
    quiet(net, SGD(0.1), (ROWS, LABELS))
    held = weakref.ref(net), weakref.ref(net.storage)
    del net
    gc.collect()
    assert [each() for each in held] == [None, None]


def test_optimizers_are_let_go() -> None:
    net, held = dense().build((12,), backend="llvm"), []
    for _ in range(8):
        optimizer = Adam(0.01)
        quiet(net, optimizer, (ROWS, LABELS))
        held.append(weakref.ref(optimizer.vector("m").base))
    gc.collect()
    assert [each() is not None for each in held[:4]] == [False] * 4


class Named(SGD):
    """Calls its verb with names."""

    straight = True

    def update(self, ops: Any, storage: Any, lr: float) -> None:
        ops.sgd_update(storage.params, storage.grads, lr, l2=0.0, decayed=0, work=storage.work)


class Twice(SGD):
    """Says that it is one call of a verb, and is two."""

    straight = True

    def update(self, ops: Any, storage: Any, lr: float) -> None:
        for _ in range(2):
            ops.sgd_update(storage.params, storage.grads, lr, 0.0, 0, storage.work)


@pytest.mark.parametrize("kind", [Named, Twice])
def test_optimizers_of_ones_own(kind: Any) -> None:
    nets = pair(dense, (12,))
    for net in nets:
        quiet(net, kind(0.1), (ROWS, LABELS))
    close(nets[1].storage.params, nets[0].storage.params)
    assert kept(nets[1]).run is None


@pytest.mark.parametrize("step", [1, 3, 9, 13, 40])
def test_ctrl_c_ends_a_run_after_whole_steps(step: int) -> None:
    def schedule(number: int) -> float:
        if number == step and not met:
            met.append(number)
            os.kill(os.getpid(), signal.SIGINT)
        return 0.1

    met: list[int] = []
    net, optimizer = dense().build((12,), backend="llvm", dtype="float64"), SGD(schedule, momentum=0.5)
    history = quiet(net, optimizer, (ROWS[:40], LABELS[:40]), epochs=20)
    made = optimizer.steps_taken
    assert history.stopped == "interrupted" and made < 80
    assert len(history) == (made - 1) // 4
    other = dense().build((12,), dtype="float64")

    class Stops(SGD):
        """Raises in the step after the last one that was made."""

        def step(self, net: Any) -> None:
            if self.steps_taken == made:
                raise EOFError
            super().step(net)

    with pytest.raises(EOFError):
        quiet(other, Stops(0.1, momentum=0.5), (ROWS[:40], LABELS[:40]), epochs=20)
    close(net.storage.params, other.storage.params)


@pytest.mark.parametrize("step", [0, 1, 2, 3, 11, 12, 30])
def test_a_schedule_that_raises_does_so_at_its_step(step: int) -> None:
    class Mine(Exception):
        pass

    def schedule(number: int) -> float:
        if number == step:
            raise Mine
        return 0.1

    nets = pair(dense, (12,))
    for net in nets:
        optimizer = SGD(schedule)
        with pytest.raises(Mine):
            quiet(net, optimizer, (ROWS, LABELS), epochs=9)
        assert optimizer.steps_taken == step
    close(nets[1].storage.params, nets[0].storage.params)


@pytest.mark.parametrize("make", [dense, lenet])
def test_a_run_that_diverges_raises_and_goes_back_to_the_epoch_before(make: Any) -> None:
    x = ROWS if make is dense else IMAGES
    told = []
    nets = pair(make, x.shape[1:], dtype="float32")
    for net in nets:
        with pytest.raises(StateError, match="diverged in epoch 3") as caught:
            quiet(net, SGD(lambda step: 0.01 if step < 8 else 1e38), (x[:40], LABELS[:40]), epochs=9)
        told.append(str(caught.value.where))
        assert np.isfinite(net.storage.params).all()
        quiet(net, SGD(0.01), (x[:40], LABELS[:40]))
    assert told[0] == told[1]
    close(nets[1].storage.params, nets[0].storage.params, 1e-3, 1e-5)


def test_copies_and_pickles_go_on_from_where_the_network_was() -> None:
    net = dense().build((12,), backend="llvm")
    quiet(net, SGD(0.1), (ROWS, LABELS))
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert other.ops.name == "llvm" and other.ops is not net.ops
        np.testing.assert_array_equal(other.storage.params, net.storage.params)
        quiet(other, SGD(0.1), (ROWS, LABELS))
        assert kept(other).run is not None
        assert not np.array_equal(other.storage.params, net.storage.params)


def test_layers_are_checked_on_it() -> None:
    gradcheck(Gain(), (4,), backend="llvm")
    gradcheck(lenet(), (1, 8, 8), backend="llvm")
    assert check_layer(Affine(3), (4,), backend="llvm").percent == 100
    assert check_layer(Sequential(Affine(9), Sigmoid(), Affine(4)), (12,), backend="llvm").percent == 100


def test_a_name_that_is_not_known_lists_it() -> None:
    with pytest.raises(ConfigurationError, match="unknown backend") as caught:
        dense().build((12,), backend="lvm")
    assert "'llvm'" in str(caught.value.expected)


def test_without_llvmlite_or_with_an_old_one_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(engine, "FOUND", [])
        patch.setattr(binding, "llvm_version_info", (15, 0, 7))
        with pytest.raises(MissingExtraError, match=r"llvmlite >= 0.45") as caught:
            dense().build((12,), backend="llvm")
        assert "tinynn-xp[llvm]" in str(caught.value.fix)
    with monkeypatch.context() as patch:
        patch.setattr(engine, "FOUND", [])
        patch.setitem(sys.modules, "llvmlite.binding", None)
        with pytest.raises(MissingExtraError, match="llvmlite, which is not installed") as caught:
            dense().build((12,), backend="llvm")
        assert caught.value.extra == "llvm"
    dense().build((12,), backend="llvm")


def test_threads_that_ask_at_once_get_one_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """It owns the machine code: a second one would take along, when it goes, what others are still calling."""

    class Slow(engine.Processor):
        def __init__(self) -> None:
            time.sleep(0.05)
            super().__init__()

    monkeypatch.setattr(engine, "FOUND", [])
    monkeypatch.setattr(engine, "Processor", Slow)
    with ThreadPoolExecutor(8) as pool:
        assert len({id(found) for found in pool.map(lambda _: engine.processor(), range(8))}) == 1


def test_which_losses_a_run_of_steps_can_count() -> None:
    """Those in which each row weighs 1, and is right where its largest score is at the label."""

    class Weighed(SoftmaxCrossEntropy):
        def total_weight(self, targets: Any, weights: Any = None) -> Any:
            return 2.0

    class Lenient(SoftmaxCrossEntropy):
        def verdict(self, scores: Any, targets: Any) -> Any:
            return targets >= 0

    plain, ignores, weighs = SoftmaxCrossEntropy(), SoftmaxCrossEntropy(ignore=3), SoftmaxCrossEntropy([1.0, 2.0])
    assert [counts_rows(loss) for loss in (plain, ignores, weighs, Weighed(), Lenient())] == [True, *[False] * 3, True]
    assert [names_the_largest(loss) for loss in (plain, ignores, weighs, Lenient())] == [True, False, True, False]
