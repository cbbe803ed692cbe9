"""A network watched in one thread is in every other what it was: its numbers, its records, its copies, its files."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from tinynn import (
    SGD,
    Affine,
    Dropout,
    Layer,
    NonFiniteError,
    ReLU,
    Residual,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    check_finite,
    fit,
)
from tinynn.network import watched
from tinynn.training.steps import Steps

RNG = np.random.default_rng(0)
X = RNG.standard_normal((30, 4)).astype(np.float32)
T = RNG.integers(0, 3, 30)
BAD = X.copy()
BAD[7, 2] = np.nan


class Waits(Layer):
    """y = x; a thread that was told to waits in the middle of its pass."""

    straight = True

    def __init__(self) -> None:
        self.name = "waits"

    def forward(self, x: Any) -> Any:
        here = MEETINGS.get(threading.get_ident())
        if here is not None:
            here.reached.set()
            assert here.go.wait(20)
        return self.xp.add(x, 0.0, out=self.empty("y", x.shape)), None

    def backward(self, dy: Any, cache: None) -> Any:
        return dy


class Meeting:
    def __init__(self) -> None:
        self.reached, self.go = threading.Event(), threading.Event()


MEETINGS: dict[int, Meeting] = {}


def network() -> Sequential:
    inner = Residual(Sequential(Affine(6), Tanh()))
    return Sequential(Affine(6), ReLU(), Waits(), inner, Dropout(0.2), Affine(3), SoftmaxCrossEntropy()).build((4,))


class Paused:
    """A call within check_finite in a thread of its own, stopped in the middle of a layer until `end` is called."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.meeting, self.result, self.error = Meeting(), None, None

        def run() -> None:
            MEETINGS[threading.get_ident()] = self.meeting
            try:
                with check_finite():
                    self.result = call()
            except NonFiniteError as error:
                self.error = error
            finally:
                del MEETINGS[threading.get_ident()]

        self.thread = threading.Thread(target=run)
        self.thread.start()
        assert self.meeting.reached.wait(20)

    def end(self) -> None:
        self.meeting.go.set()
        self.thread.join(20)
        assert not self.thread.is_alive()


@pytest.fixture(autouse=True)
def nobody_is_left() -> Iterator[None]:
    yield
    assert not watched.HELD
    assert not MEETINGS


def trained(net: Any) -> list[Any]:
    history = fit(net, SGD(0.1), (X, T), epochs=3, batch_size=6, progress=False)
    return [net.storage.params.tobytes(), history.loss, [net.predict(X[:5]).tobytes() for _ in range(4)]]


def calls(net: Any) -> list[int]:
    """How many calls were recorded of a step, for each size of a batch."""
    return [len(replay.recorded) for replay in net._scratch.__dict__[Steps].step.replays.values()]


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_what_another_thread_records_meanwhile_is_right(backend: str) -> None:
    def net() -> Sequential:
        return Sequential(*network().layers).build((4,), backend=backend)

    alone = net()
    expected, recorded = trained(alone), calls(alone)
    watched_net = net()
    pause = Paused(lambda: watched_net.predict(X))  # predict: its pass leaves the network as it was
    got, now = trained(watched_net), calls(watched_net)
    pause.end()
    assert got == expected
    assert now == recorded  # every layer's calls, none of them by way of the layer itself
    assert recorded
    assert trained(copy.deepcopy(watched_net)) == trained(copy.deepcopy(alone))


def test_a_run_within_it_is_the_same_and_the_next_one_records_as_ever() -> None:
    alone, within = network(), network()
    expected = trained(alone)
    with check_finite():
        assert trained(within) == expected
    assert trained(within) == trained(alone)
    assert calls(within) == calls(alone)


def test_copies_pickles_and_files_made_meanwhile_are_whole(tmp_path: Path) -> None:
    net = network()
    keys = [(type(layer), layer.__class__, repr(layer), set(layer.__dict__)) for _, layer in net.walk()]
    pause = Paused(lambda: net.predict(X))
    try:
        assert any(type(layer) is not layer.__class__ for _, layer in net.walk())  # they are watched
        now = [(layer.__class__, layer.__class__, repr(layer), set(layer.__dict__)) for _, layer in net.walk()]
        assert now == keys
        twins: list[Any] = [copy.deepcopy(net), pickle.loads(pickle.dumps(net)), copy.copy(net.layers[0])]
        twins += [pickle.loads(pickle.dumps(net.layers[0], protocol)) for protocol in range(2, 6)]
        net.save(tmp_path / "model.npz")
        assert network().load(tmp_path / "model.npz").storage.params.tobytes() == net.storage.params.tobytes()
    finally:
        pause.end()
    for twin in twins[:2]:
        assert [type(layer) for _, layer in twin.walk()] == [kind for kind, *_ in keys]
        assert twin.predict(X).tobytes() == net.predict(X).tobytes()
        with pytest.raises(NonFiniteError), check_finite():
            twin.predict(BAD)
    assert {type(twin) for twin in twins[2:]} == {Affine}
    assert [type(layer) for _, layer in net.walk()] == [kind for kind, *_ in keys]


def test_the_first_to_leave_takes_nothing_from_the_other() -> None:
    net = network()
    late = Paused(lambda: net.predict(X))
    early = Paused(lambda: net.predict(X))
    early.end()
    net.layers[5].W[0, 0] = np.inf
    late.end()
    assert early.error is None
    assert late.error is not None
    assert (late.error.layer, late.error.array, late.error.index) == ("5", "W", (0, 0))


def test_only_the_thread_that_checks_is_told() -> None:
    net = network()
    pause = Paused(lambda: net.predict(X))
    net.forward(BAD, T)  # the layers are watched, but not for this thread
    pause.end()
    assert pause.error is None
    with pytest.raises(NonFiniteError) as caught, check_finite():
        net.forward(BAD, T)
    assert caught.value.index == (7, 2)


def test_eight_threads_that_come_and_go() -> None:
    net = network()
    expected = net.predict(X).tobytes()
    kinds = [type(layer) for _, layer in net.walk()]
    start = threading.Barrier(8)

    def repeat(number: int) -> int:
        start.wait()
        wrong = 0
        for turn in range(60):
            if number % 2:
                wrong += net.predict(X).tobytes() != expected
                continue
            with check_finite():
                if turn % 3:
                    wrong += net.predict(X).tobytes() != expected
                    continue
                try:
                    net.predict(BAD)
                    wrong += 1
                except NonFiniteError as error:
                    wrong += (error.layer, error.index) != ("0", (7, 2))
        return wrong

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(repeat, range(8))) == [0] * 8
    assert [type(layer) for _, layer in net.walk()] == kinds


# --- classes of layers that are not like others


def test_a_class_that_keeps_a_list_of_its_subclasses_does_not_hear_of_it() -> None:
    class Listed(Affine):
        kinds: ClassVar[list[type]] = []

        def __init_subclass__(cls, *, name: str) -> None:
            cls.kinds.append(cls)

    net: Any = Sequential(Listed(3)).build((4,))
    with check_finite():
        net.predict(X)
    net.layers[0].W[1, 2] = np.nan
    with pytest.raises(NonFiniteError), check_finite():
        net.predict(X)
    assert Listed.kinds == []


def test_a_class_with_slots_and_methods_of_the_instance() -> None:
    class Slotted(Affine):
        __slots__ = ("own",)

    layer: Any = Slotted(3)
    layer.__dict__["forward"] = lambda x: (Affine.forward(layer, x)[0] * np.float32(np.inf), None)
    net = Sequential(layer).build((4,))
    with pytest.raises(NonFiniteError) as caught, check_finite():
        net.forward(X)
    assert (caught.value.layer, caught.value.phase, caught.value.index) == ("0", "forward", (0, 0))
    assert type(layer) is Slotted
    assert callable(layer.__dict__["forward"])


class Only(Affine):
    """One layer for all: a copy is found by its name."""

    def __reduce__(self) -> str:
        return "ONLY"


ONLY = Only(6)


def test_a_layer_that_is_copied_by_its_name_is_so_meanwhile() -> None:
    net = Sequential(ONLY, Waits()).build((4,))
    pause = Paused(lambda: net.predict(X))
    try:
        assert type(ONLY) is not Only
        assert copy.copy(ONLY) is ONLY
    finally:
        pause.end()


def test_a_method_that_is_changed_meanwhile_is_the_layers_own() -> None:
    net = network()
    layer: Any = net.layers[0]
    pause = Paused(lambda: net.predict(X))
    layer.forward = plain = lambda x: (np.zeros((len(x), 6), np.float32), None)
    assert layer.forward is plain
    del layer.forward
    object.__setattr__(layer, "forward", plain)
    assert layer.forward is plain and layer.__dict__["forward"] is plain
    del layer.forward
    assert type(layer) is not Affine and type(layer).forward is Affine.forward
    with pytest.raises(AttributeError):
        del layer.forward
    assert "forward" not in layer.__dict__
    pause.end()
    assert layer.forward.__func__ is Affine.forward
