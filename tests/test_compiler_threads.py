"""Several threads on one step: the bits of one thread; and processes and threads around them."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest
from test_window_verbs import outputs_of

from tinynn import (
    SGD,
    Adam,
    Affine,
    AveragePool2D,
    Conv2D,
    Dropout,
    Flatten,
    LayerNorm,
    MaxPool2D,
    ReLU,
    Rescale,
    Sequential,
    Sigmoid,
    Softmax,
    SoftmaxCrossEntropy,
    Tanh,
    fit,
)
from tinynn.backend import NumpyOps
from tinynn.compiler import run, team
from tinynn.compiler.code import Code
from tinynn.compiler.engine import call_of
from tinynn.compiler.program import emit, understood
from tinynn.compiler.run import whole_run
from tinynn.compiler.team import available, together
from tinynn.training.steps import Steps

RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.integers(0, 256, (60, 1, 12, 12)).astype(np.uint8), RNG.integers(0, 4, 60)
ROWS = RNG.standard_normal((60, 20))
THREADS = (1, 2, 3, 5)

NETWORKS: dict[str, Any] = {
    "dense": (lambda: (Affine(33), ReLU(), Dropout(0.3), Affine(17), LayerNorm(), Sigmoid(), Affine(4)), ROWS),
    "convolutional": (
        lambda: (Rescale(1 / 255), Conv2D(5, 3), ReLU(), MaxPool2D(2), Conv2D(6, 2), Tanh(), Flatten(), Affine(4)),
        IMAGES,
    ),
    "probabilities": (lambda: (Softmax(), Affine(17), ReLU(), Affine(4)), ROWS),
    "overlapping windows": (
        lambda: (
            *(Rescale(1 / 255), Conv2D(4, 3, padding=1), MaxPool2D(3, 2), AveragePool2D(3, 1)),
            *(Conv2D(4, 2, stride=2, groups=2), Affine(4)),
        ),
        IMAGES,
    ),
}


@pytest.fixture
def in_threads(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that trains a network by so many threads, and says what came of it."""

    def train(name: str, threads: int, optimizer: Any, **options: Any) -> tuple[Any, ...]:
        layers, x = NETWORKS[name]
        net = Sequential(*layers(), SoftmaxCrossEntropy()).build(
            x.shape[1:], backend="llvm", dtype=options.pop("dtype")
        )
        monkeypatch.setattr(run, "whole_run", partial(whole_run, threads=threads))
        history = fit(net, optimizer, (x, LABELS), epochs=2, progress=False, **options)
        made = net._scratch.__dict__[Steps].run
        assert made.call.threads == threads
        return net.storage.params.tobytes(), net.storage.state.tobytes(), history.loss, history.accuracy

    return train


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_bits_do_not_depend_on_the_number_of_threads(in_threads: Any, name: str, dtype: str) -> None:
    threads = THREADS if dtype == "float32" else (1, 3)
    one, *others = (in_threads(name, k, Adam(0.01, l2=1e-3), dtype=dtype, batch_size=13) for k in threads)
    assert all(other == one for other in others)


@pytest.mark.parametrize("name", ["dense", "convolutional"])
def test_more_threads_than_rows(in_threads: Any, name: str) -> None:
    for rows in (1, 2):
        results = [in_threads(name, k, SGD(0.1, momentum=0.5), dtype="float32", batch_size=rows) for k in (1, 5)]
        assert results[0] == results[1]


def in_parts(parts: int, calls: list[Any]) -> Any:
    """The calls as machine code that so many threads run."""
    code = Code(parts=parts)
    emit(code, [understood(call, ()) for call in calls])
    call = call_of(code)
    return call if parts == 1 else partial(together, parts, call, code.counter)


def test_no_thread_begins_before_the_others_are_ready_for_it() -> None:
    """Calls each of which reads what other threads wrote just before."""
    ops: Any = NumpyOps()
    a, b, c = (RNG.integers(-2, 3, (130, 130)).astype(np.float64) for _ in "abc")
    row, image, pooled = np.empty(130), np.empty((33, 3, 33, 8)), RNG.integers(-3, 4, (31, 3, 31, 8)).astype(float)
    both = [(slice(i, i + 31, 1), slice(j, j + 31, 1)) for i in range(3) for j in range(3)]
    assert outputs_of(33, [down for down, _ in both])[8] == [*range(2, 33)]
    y, hits, work = np.empty(pooled.shape), np.empty((2, *pooled.shape), bool), np.empty(pooled.shape)
    calls: list[Any] = [
        partial(np.minimum, a, 2, out=a),
        partial(np.dot, a, b, c),
        partial(np.remainder, c, 5.0, c),
        partial(np.dot, c.T, a, b),
        partial(np.remainder, b, 3.0, b),
        partial(np.add.reduce, b, 0, None, row),
        partial(np.subtract, b.T, row, a),
        partial(np.remainder, a, 3.0, a),
        partial(ops.sum_window_backward, pooled, both, image),
        partial(ops.max_window, image, both, y),
        partial(ops.max_window_backward, pooled, y, image, both, image.copy(), hits, work),
        partial(ops.sum_window, image, both, pooled),
        partial(np.remainder, pooled, 7.0, pooled),
    ]
    arrays = [a, b, c, row, image, y, pooled]
    before, found = [x.copy() for x in arrays], []
    for parts in (1, 2, 3, 5, 8):
        fast = in_parts(parts, calls)
        for x, old in zip(arrays, before, strict=True):
            x[...] = old
        for _ in range(10):
            fast()
        found.append([x.tobytes() for x in arrays])
    assert all(each == found[0] for each in found)


def test_as_many_threads_as_the_environment_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)), raising=False)
    for name in team.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert available() == (1 if sys.platform == "win32" else 6)
    for omp, blas, expected in [
        ("2", "", 2),
        ("", "3", 3),
        ("4", "2", 4),
        ("9", "", 6),
        ("0", "", 1),
        ("four", "5", 5),
    ]:
        monkeypatch.setenv("OMP_NUM_THREADS", omp)
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", blas)
        assert available() == (1 if sys.platform == "win32" else expected), (omp, blas)
    monkeypatch.setattr(sys, "platform", "win32")
    assert available() == 1


@pytest.mark.parametrize(("enough", "threads"), [(10**9, 1), (1, 4)])
def test_a_thread_for_each_so_many_operations(enough: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "available", lambda: 4)
    monkeypatch.setattr(run, "ENOUGH", enough)
    net = Sequential(Affine(33), ReLU(), Affine(4), SoftmaxCrossEntropy()).build((20,), backend="llvm")
    fit(net, SGD(0.1), (ROWS[:48], LABELS[:48]), epochs=3, batch_size=24, progress=False)
    assert net._scratch.__dict__[Steps].run.call.threads == threads


# --- around them


def trained(threads: int) -> bytes:
    net = Sequential(Affine(33), ReLU(), Affine(4), SoftmaxCrossEntropy()).build((20,), backend="llvm", seed=1)
    original, run.whole_run = run.whole_run, partial(whole_run, threads=threads)
    try:
        fit(net, SGD(0.1), (ROWS, LABELS), epochs=3, batch_size=12, progress=False)
    finally:
        run.whole_run = original
    assert net._scratch.__dict__[Steps].run.call.threads == threads
    return net.storage.params.tobytes()


def in_child(queue: Any) -> None:
    queue.put([trained(1), trained(3)])


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_trains_too() -> None:
    here = trained(3)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=in_child, args=(queue,), daemon=True)
    child.start()
    assert queue.get(timeout=60) == [here, here]
    child.join(60)
    assert child.exitcode == 0


def test_several_runs_at_once() -> None:
    alone = trained(1)

    def one(seed: int) -> bytes:
        net = Sequential(Affine(33), ReLU(), Affine(4), SoftmaxCrossEntropy()).build((20,), backend="llvm", seed=1)
        fit(net, SGD(0.1), (ROWS, LABELS), epochs=3, batch_size=12, progress=False)
        return net.storage.params.tobytes()

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(one, range(12))) == {alone}


def test_an_exception_in_one_thread_leaves_none_waiting() -> None:
    """Ctrl-C may come between the start of the others and one's own part: they must not wait for it for ever."""
    code = Code(parts=3)
    x = np.ones(1000)
    emit(code, [understood(partial(np.add, x, 1, x), ())] * 3)
    call = call_of(code)

    def interrupted(part: int) -> None:
        if part == 0:
            raise KeyboardInterrupt
        call(part)

    with pytest.raises(KeyboardInterrupt):
        together(3, interrupted, code.counter)
    together(3, call, code.counter)


@pytest.mark.parametrize("name", NETWORKS)
def test_predictions_from_several_threads_at_once(name: str) -> None:
    layers, x = NETWORKS[name]
    net = Sequential(*layers(), SoftmaxCrossEntropy()).build(x.shape[1:], backend="llvm")
    parts = [x[i : i + n] for i, n in enumerate((1, 2, 3, 7, 20, 33))]
    expected = [[net.predict(part) for _ in range(4)][-1] for part in parts]
    start = threading.Barrier(len(parts))

    def repeat(number: int) -> int:
        start.wait()
        for _ in range(2):  # by the layers' own code in each thread, and recorded
            np.testing.assert_allclose(net.predict(parts[number]), expected[number], rtol=1e-5)
        return sum(not np.array_equal(net.predict(parts[number]), expected[number]) for _ in range(60))

    with ThreadPoolExecutor(len(parts)) as pool:
        assert list(pool.map(repeat, range(len(parts)))) == [0] * len(parts)
