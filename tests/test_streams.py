"""Data that need not lie in memory: a source trains like the arrays behind it, bit for bit."""

from __future__ import annotations

import gc
import mmap
import subprocess
import sys
import tracemalloc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from devices import DEVICES, device_of
from hypothesis import given
from hypothesis import strategies as st

from tinynn import (
    SGD,
    Affine,
    BatchNorm,
    Concat,
    DataError,
    Dropout,
    Flatten,
    Graph,
    History,
    QuadraticCost,
    ReLU,
    Rescale,
    Sequential,
    SoftmaxCrossEntropy,
    datasets,
    fit,
)
from tinynn.network.sources import Mapped, Source, is_mapped, is_source
from tinynn.training.order import Order
from tinynn.training.steps import Steps, steps_of
from tinynn.training.streams import Streamed
from tinynn.training.tally import Tally

RNG = np.random.default_rng(0)
X = RNG.standard_normal((53, 6)).astype(np.float32)
T = RNG.integers(0, 3, 53)
W = RNG.random(53)
IMAGES = RNG.integers(0, 256, (53, 2, 3)).astype(np.uint8)


class Rows:
    """A source: arrays, of which it remembers who asked for which rows."""

    def __init__(self, *arrays: np.ndarray) -> None:
        self.arrays, self.asked = arrays, []

    def __len__(self) -> int:
        return len(self.arrays[0])

    def take(self, rows: np.ndarray) -> tuple[np.ndarray, ...]:
        self.asked.append(rows.copy())
        return tuple(x[rows] for x in self.arrays)


def network(**options: Any) -> Sequential:
    net = Sequential(Affine(8), BatchNorm(), ReLU(), Dropout(0.3), Affine(3), SoftmaxCrossEntropy())
    return net.build((6,), seed=1, **options)


def pictures(**options: Any) -> Sequential:
    layers = Rescale(1 / 255), Flatten(), Affine(8), ReLU(), Affine(3), SoftmaxCrossEntropy()
    return Sequential(*layers).build((2, 3), seed=1, **options)


def two_inputs(*weights: str, **options: Any) -> Graph:
    nodes: dict[str, Any] = {
        "both": (Concat(), "x", "z"),
        "hidden": (Affine(5), "both"),
        "scores": (Affine(3), "hidden"),
        "loss": (SoftmaxCrossEntropy(), "scores", "t", *weights),
    }
    return Graph(("x", "z"), **nodes).build((6,), (6,), seed=1, **options)


def own_target(**options: Any) -> Graph:
    nodes: dict[str, Any] = {"code": (Affine(2), "x"), "back": (Affine(6), "code")}
    return Graph(**nodes, loss=(QuadraticCost(), "back", "x")).build((6,), seed=1, **options)


def quiet(net: Any, train: Any, optimizer: Any = None, **options: Any) -> History:
    options = {"epochs": 3, "batch_size": 10, "progress": False, "seed": 4, **options}
    return fit(net, optimizer or SGD(0.2, l2=0.01, momentum=0.5), train, **options)


def mapped(folder: Path, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    found = []
    for i, x in enumerate(arrays):
        np.save(folder / f"{i}.npy", x)
        found.append(np.load(folder / f"{i}.npy", mmap_mode="r"))
    return tuple(found)


def sharded(folder: Path, *arrays: np.ndarray) -> Any:
    return datasets.write_shards(folder / "shards", [[x[a:b] for x in arrays] for a, b in ((0, 7), (7, 8), (8, 53))])


def numbers(history: History) -> list[list[float]]:
    return [history.loss, history.accuracy, history.validation_loss, history.validation_accuracy]


def assert_same(one: Any, other: Any) -> None:
    assert one.storage.params.tobytes() == other.storage.params.tobytes()
    assert one.storage.state.tobytes() == other.storage.state.tobytes()


# --- a source trains like its arrays

FORMS: dict[str, Callable[..., Any]] = {
    "a source": lambda folder, *arrays: Rows(*arrays),
    "mapped": mapped,
    "inputs mapped": lambda folder, *arrays: (*mapped(folder, arrays[0]), *arrays[1:]),
    "targets mapped": lambda folder, *arrays: (*arrays[:-1], *mapped(folder, arrays[-1])),
    "shards": sharded,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("capture", [True, False], ids=["replayed", "own code"])
@pytest.mark.parametrize("batch_size", [1, 10, 53, 64])
def test_the_same_numbers_as_from_arrays(tmp_path: Path, form: str, capture: bool, batch_size: int) -> None:
    nets, told = [], []
    for data in ((X, T), FORMS[form](tmp_path, X, T)):
        net = network()
        epochs = 2 if batch_size == 1 else 4
        history = quiet(net, data, validation=data, capture=capture, batch_size=batch_size, epochs=epochs)
        nets.append(net)
        told.append(numbers(history))
    assert_same(*nets)
    assert told[0] == told[1]
    assert len(told[0][2]) == len(told[0][0])


DATA: dict[str, tuple[Callable[..., Any], tuple[np.ndarray, ...]]] = {
    "float64 inputs": (network, (X.astype(np.float64), T)),
    "float16 inputs": (network, (X.astype(np.float16), T)),
    "whole numbers": (network, ((X * 10).astype(np.int32), T)),
    "bytes": (pictures, (IMAGES, T.astype(np.uint8))),
    "other order of bytes": (network, (X.astype(">f4"), T.astype(">i4"))),
    "rows as targets": (network, (X, np.eye(3)[T])),
    "weights": (network, (X, T, W)),
    "two inputs": (two_inputs, (X, X[::-1].copy(), T)),
    "two inputs, weights": (lambda **options: two_inputs("w", **options), (X, X[::-1].copy(), T, W)),
    "a target from within": (own_target, (X / 10,)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", DATA)
def test_any_kind_of_data(tmp_path: Path, name: str, dtype: str) -> None:
    make, arrays = DATA[name]
    nets, told = [], []
    for data in (arrays, Rows(*arrays), mapped(tmp_path, *arrays)):
        net = make(dtype=dtype)
        history = quiet(net, data, validation=data)
        nets.append(net)
        told.append([*numbers(history), [*(net.evaluate(*data) if isinstance(data, tuple) else net.evaluate(data))]])
    for net, each in zip(nets, told, strict=True):
        assert_same(net, nets[0])
        for one, other in zip(told[0], each, strict=True):
            np.testing.assert_array_equal(other, one)


@given(st.integers(1, 53), st.integers(1, 60), st.integers(0, 9))
def test_any_number_of_rows(rows: int, batch_size: int, seed: int) -> None:
    nets = []
    for data in ((X[:rows], T[:rows]), Rows(X[:rows], T[:rows])):
        net = Sequential(Affine(5), ReLU(), Dropout(0.5), Affine(3), SoftmaxCrossEntropy()).build((6,))
        quiet(net, data, batch_size=batch_size, seed=seed, epochs=2)
        nets.append(net)
    assert_same(*nets)


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("form", FORMS)
def test_the_same_numbers_on_a_device(tmp_path: Path, name: str, form: str) -> None:
    nets, told = [], []
    for data in ((X, T), FORMS[form](tmp_path, X, T)):
        net = network(backend=device_of(name), dtype="float64")
        history = quiet(net, data, validation=data)
        nets.append(net)
        result = net.evaluate(*data) if isinstance(data, tuple) else net.evaluate(data)
        told.append([*numbers(history), [*result]])
    a, b = (net.ops.to_host(net.storage.params) for net in nets)
    np.testing.assert_allclose(b, a, rtol=1e-9)
    for one, other in zip(*told, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-9)


@pytest.mark.parametrize("name", DEVICES)
def test_a_source_may_give_arrays_that_are_on_the_device(name: str) -> None:
    device = device_of(name)
    nets = []
    for there in (False, True):

        class Source(Rows):
            there: bool

            def take(self, rows: np.ndarray) -> tuple[Any, ...]:
                x, t = super().take(rows)
                return (device.asarray(x), device.asarray(t)) if self.there else (x, t)

        source = Source(X, T)
        source.there = there
        net = network(backend=device, dtype="float64")
        quiet(net, source)
        nets.append(net)
    a, b = (net.ops.to_host(net.storage.params) for net in nets)
    np.testing.assert_array_equal(a, b)


def test_compiled_steps_are_made_one_by_one() -> None:
    nets = []
    for data in ((X, T), Rows(X, T)):
        net = network(backend="llvm", dtype="float64")
        quiet(net, data)
        nets.append(net)
    arrays, source = (net._scratch.__dict__[Steps] for net in nets)
    assert arrays.run is not None
    assert source.run is None
    assert source.step.replays
    np.testing.assert_allclose(nets[1].storage.params, nets[0].storage.params, rtol=1e-7, atol=1e-9)


# --- what is asked of a source


def test_every_row_is_asked_for_once_an_epoch_in_the_order_of_the_seed() -> None:
    source = Rows(X, T)
    quiet(network(), source, epochs=2, batch_size=20)
    first, *batches = source.asked
    assert first.tolist() == [0]  # what the rows are like
    assert [len(rows) for rows in batches] == [20, 20, 13] * 2
    assert all(rows.dtype == np.int64 for rows in batches)
    for epoch in (0, 1):
        np.testing.assert_array_equal(np.concatenate(batches[3 * epoch : 3 * epoch + 3]), Order(4, epoch, 53)[:])


def test_a_source_may_do_as_it_likes_with_what_it_is_given_and_gives() -> None:
    """It sorts the row numbers it was given, and gives one buffer each time, which it writes over afterwards."""

    class Wild(Rows):
        def take(self, rows: np.ndarray) -> Any:
            x, t = np.empty((60, 6), np.float32), np.empty(60, int)
            x[: len(rows)], t[: len(rows)] = X[rows], T[rows]
            rows.sort()
            for before in self.given:
                before[...] = 0
            self.given = x, t
            return [x[: len(rows)], t[: len(rows)]]

        given: tuple[np.ndarray, ...] = ()

    wild, tame = network(), network()
    quiet(wild, Wild(X, T))
    quiet(tame, (X, T))
    assert_same(wild, tame)


def test_rows_that_may_not_be_written_to_are_not() -> None:
    class Shown(Rows):
        def take(self, rows: np.ndarray) -> Any:
            parts = super().take(rows)
            for part in parts:
                part.flags.writeable = False
            return parts

    shown, plain = network(), network()
    quiet(shown, Shown(X, T), validation=Shown(X, T))
    quiet(plain, (X, T))
    assert_same(shown, plain)


def test_batches_of_one_length_are_the_same_tuple_of_the_same_arrays() -> None:
    net = network()
    batches = Streamed(net.ops, Source(net, Rows(X, T), "fit, train"), 10)
    one = batches.gather(np.arange(10))
    parts = list(one)
    short = batches.gather(np.arange(3))
    again = batches.gather(np.arange(20, 30))
    assert again is one
    assert all(a is b for a, b in zip(again, parts, strict=True))
    assert len(short[0]) == len(short[1]) == 3
    assert batches.arrays == ()
    assert not batches.whole
    np.testing.assert_array_equal(again[0], X[20:30])
    np.testing.assert_array_equal([len(x) for x, _ in batches(np.arange(53))], [10] * 5 + [3])


def test_batches_have_the_order_of_bytes_of_the_machine() -> None:
    net = network()
    batches = Streamed(net.ops, Source(net, Rows(X.astype(">f4"), T.astype("<i2")), "fit, train"), 10)
    assert [x.dtype for x in batches.gather(np.arange(3))] == [np.dtype("=f4"), np.dtype("=i2")]


# --- what is kept from run to run


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_a_second_run_uses_what_was_recorded_and_no_run_keeps_its_source(backend: str) -> None:
    net, twin = network(backend=backend), network(backend=backend)
    optimizer, other = SGD(0.1), SGD(0.1)
    source = Rows(X, T)
    quiet(net, source, optimizer)
    kept = net._scratch.__dict__[Steps]
    gone = weakref.ref(source)
    del source
    gc.collect()
    assert gone() is None
    quiet(net, Rows(X[::-1].copy(), T), optimizer)
    assert net._scratch.__dict__[Steps] is kept
    quiet(twin, Rows(X, T), other, capture=False)
    quiet(twin, Rows(X[::-1].copy(), T), other, capture=False)
    rtol, atol = (0, 0) if backend == "numpy" else (1e-5, 1e-6)
    np.testing.assert_allclose(net.storage.params, twin.storage.params, rtol, atol)


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_arrays_and_sources_of_one_kind_by_turns(backend: str) -> None:
    net, twin = network(backend=backend, dtype="float64"), network(dtype="float64")
    optimizer, other = SGD(0.1), SGD(0.1)
    for data in ((X, T), Rows(X, T), Rows(X, T), (X, T), (X, T), Rows(X, T)):
        quiet(net, data, optimizer, epochs=2)
        quiet(twin, (X, T), other, epochs=2, capture=False)
    np.testing.assert_allclose(net.storage.params, twin.storage.params, rtol=1e-7, atol=1e-10)


def test_an_order_is_not_asked_for_more_than_a_call_uses() -> None:

    class Asked(Order):
        def __getitem__(self, places: slice) -> np.ndarray:
            rows = super().__getitem__(places)
            asked.append((len(rows), steps.run.count if steps.run else 1))
            return rows

    asked: list[tuple[int, int]] = []
    net = network(backend="llvm")
    x, t = np.repeat(X, 100, axis=0), np.repeat(T, 100)
    with steps_of(net, SGD(0.1), (x, t), 2, True) as steps:
        for _ in steps(Asked(0, 0, len(x)), Tally(net)):
            pass
        assert steps.run is not None
    assert all(rows <= 2 * count for rows, count in asked)
    assert max(count for _, count in asked) > 1


# --- evaluation


@pytest.mark.parametrize("batch_size", [1, 7, 53, 1024])
@pytest.mark.parametrize("form", FORMS)
def test_evaluation_is_that_of_the_arrays(tmp_path: Path, form: str, batch_size: int) -> None:
    net = network()
    quiet(net, (X, T), epochs=1)
    data = FORMS[form](tmp_path, X, T)
    given = data if isinstance(data, tuple) else (data,)
    assert net.evaluate(*given, batch_size=batch_size) == net.evaluate(X, T, batch_size=batch_size)
    assert net.loss(*given) == net.loss(X, T)


def test_evaluation_asks_for_the_rows_in_their_order_and_for_a_batch_at_a_time() -> None:
    source = Rows(X, T)
    network().evaluate(source, batch_size=20)
    assert [rows.tolist() for rows in source.asked] == [[*range(20)], [*range(20, 40)], [*range(40, 53)]]


def test_what_does_not_make_the_loss_nan_is_evaluated_as_from_arrays() -> None:
    net = Sequential(ReLU(), Affine(3), SoftmaxCrossEntropy()).build((6,))
    x = X.copy()
    x[40, 2] = -np.inf
    assert net.evaluate(Rows(x, T), batch_size=10) == net.evaluate(x, T, batch_size=10)
    x[40, 2] = np.nan
    for data in ((x, T), (Rows(x, T),)):
        with pytest.raises(DataError, match="nan in row 40 of the input") as caught:
            net.evaluate(*data, batch_size=10)
        assert "row 40, element (2,)" in str(caught.value.where)


# --- memory


def peak_of(call: Callable[[], Any]) -> int:
    call()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_neither_training_nor_evaluation_holds_what_lies_in_a_file(tmp_path: Path) -> None:
    x, t = np.zeros((20_000, 2, 300), np.uint8), np.zeros(20_000, np.uint8)
    data = mapped(tmp_path, x, t)
    net = Sequential(Rescale(1 / 255), Flatten(), Affine(3), SoftmaxCrossEntropy()).build((2, 300))
    assert x.nbytes == 12_000_000
    assert peak_of(lambda: quiet(net, data, epochs=1, batch_size=100)) < 3_000_000
    assert peak_of(lambda: net.evaluate(*data, batch_size=100)) < 3_000_000
    assert peak_of(lambda: net.evaluate(Mapped(data), batch_size=100)) < 3_000_000


ENDLESS = """
import signal
import numpy as np
from tinynn import SGD, Affine, Flatten, Sequential, SoftmaxCrossEntropy, fit

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

class Endless:
    '''10^8 pictures, each a function of its number: 78 GB as bytes.'''
    calls, start, most = 0, 0, 0

    def __len__(self):
        return 100_000_000

    def take(self, rows):
        self.calls += 1
        if self.calls == 1000:
            self.start = resident()
        if self.calls > 1000 and self.calls % 100 == 0:
            self.most = max(self.most, resident() - self.start)
        if self.calls == 11_000:
            signal.raise_signal(signal.SIGINT)
        pixels = (rows[:, None] * 2654435761 + np.arange(784) * 40503) >> 7
        return pixels.astype(np.uint8).reshape(-1, 28, 28), rows % 10

net = Sequential(Flatten(), Affine(10), SoftmaxCrossEntropy()).build((28, 28))
source = Endless()
history = fit(net, SGD(1e-6), source, epochs=1, batch_size=8, progress=False)
print(source.calls, history.stopped, source.most)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the resident memory where Linux tells it")
def test_ten_thousand_steps_over_a_hundred_million_pictures_take_no_more_memory() -> None:
    result = subprocess.run([sys.executable, "-c", ENDLESS], capture_output=True, text=True, check=True)
    calls, stopped, grown = result.stdout.split()
    assert (int(calls), stopped) == (11_000, "interrupted")
    assert int(grown) < 8 << 20


# --- what is a source, and what lies in a file


def test_what_a_source_is() -> None:
    class Frame:
        """As pandas' tables: it has take and len, and can be turned into an array."""

        def __len__(self) -> int:
            return 3

        def take(self, rows: Any) -> Any:
            return self

        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            return np.zeros((3, 6))

    assert is_source(Rows(X, T))
    for thing in (
        X,
        (X, T),
        [X, T],
        Frame(),
        Rows,
        None,
        3,
        iter([X]),
        {"take": 1},
        "take",
        device_of("fake").asarray(X),
    ):
        assert not is_source(thing)


def test_what_lies_in_a_file(tmp_path: Path) -> None:
    (x,) = mapped(tmp_path, X)
    for view in (x, np.asarray(x), x[3:], x.T, np.asarray(x).reshape(-1)[::2], x[:, 0]):
        assert is_mapped(view)
    with (tmp_path / "0.npy").open("rb") as file:
        memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    assert is_mapped(np.frombuffer(memory, np.uint8))
    for copy in (X, X[1:], x + 1, x[[1, 2]], x.copy(), np.array(x), X.tolist(), None):
        assert not is_mapped(copy)
