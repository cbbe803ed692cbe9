"""Ctrl-C and what is shown: an interrupted run ends after a whole step, and says no more than it should."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from tinynn import SGD, Affine, History, QuadraticCost, Sequential, SoftmaxCrossEntropy, Tanh, fit
from tinynn.random import generator
from tinynn.training.interrupt import Interruptible

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 6)).astype(np.float32)
T = RNG.integers(0, 3, 40)


def network() -> Sequential:
    return Sequential(Affine(8), Tanh(), Affine(3), SoftmaxCrossEntropy()).build((6,))


class Interrupted(SGD):
    """SGD that meets Ctrl-C in the middle of some of its steps."""

    def __init__(self, *steps: int) -> None:
        super().__init__(0.1)
        self.steps, self.taken = steps, 0

    def step(self, net: Any) -> None:
        self.taken += 1
        for _ in range(self.steps.count(self.taken)):
            os.kill(os.getpid(), signal.SIGINT)
        super().step(net)


def after_steps(steps: int) -> bytes:
    """The parameters after so many whole steps of batches of 10."""
    net, optimizer = network(), SGD(0.1)
    for step in range(steps):
        order = generator(0, "shuffle", step // 4).permutation(40)
        rows = order[step % 4 * 10 :][:10]
        net.backward(1.0, net.forward(X[rows], T[rows])[1])
        optimizer.step(net)
    return net.storage.params.tobytes()


@pytest.mark.parametrize("step", [1, 3, 4, 5, 10, 20])
def test_ctrl_c_ends_the_run_after_a_whole_step_with_the_history_so_far(step: int) -> None:
    net, handler = network(), signal.getsignal(signal.SIGINT)
    history = fit(net, Interrupted(step), (X, T), epochs=5, batch_size=10, progress=False)
    assert isinstance(history, History)
    assert history.stopped == "interrupted"
    assert len(history) == (step - 1) // 4  # an epoch that was not finished does not count
    assert net.storage.params.tobytes() == after_steps(step)
    assert signal.getsignal(signal.SIGINT) is handler
    assert len(fit(net, SGD(0.1), (X, T), epochs=2, progress=False)) == 2


def test_a_second_ctrl_c_is_a_keyboard_interrupt() -> None:
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(network(), Interrupted(2, 2), (X, T), epochs=5, batch_size=10, progress=False)
    assert signal.getsignal(signal.SIGINT) is handler


def test_the_handler_of_before_comes_back_whatever_happens() -> None:
    met: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: met.append(number))
    try:
        with pytest.raises(RuntimeError, match="mine"), Interruptible():
            raise RuntimeError("mine")
        signal.raise_signal(signal.SIGINT)
        assert met == [signal.SIGINT]
        with Interruptible() as run:
            signal.raise_signal(signal.SIGINT)
            assert run.asked
        assert met == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)


def test_fit_works_outside_the_main_thread_where_signals_cannot_be_handled() -> None:
    net, histories = network(), []
    thread = threading.Thread(
        target=lambda: histories.append(fit(net, SGD(0.1), (X, T), epochs=2, batch_size=10, progress=False))
    )
    thread.start()
    thread.join()
    assert len(histories[0]) == 2
    assert net.storage.params.tobytes() == after_steps(8)


def test_patience_and_ctrl_c_leave_the_best_parameters_so_far() -> None:
    net = network()
    options = {"epochs": 5, "batch_size": 10, "validation": (X, T), "patience": 2, "progress": False}
    history = fit(net, Interrupted(10), (X, T), **options)
    assert (history.stopped, len(history)) == ("interrupted", 2)
    assert net.storage.params.tobytes() == after_steps(8)


# --- what is shown


class Terminal:
    """Standard error that says it is a terminal."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return True


def show(**options: Any) -> None:
    fit(network(), SGD(0.1), (X, T), **{"epochs": 2, "batch_size": 10, "validation": (X, T), **options})


RESULT = r"loss \d\.\d{{4}}  accuracy \d\.\d{{4}}"  # with its braces doubled for str.format
LINE = rf"epoch {{}}/2  {RESULT}  validation {RESULT}  \d+\.\d\d s\n"


@pytest.mark.parametrize("progress", [None, True])
def test_elsewhere_than_on_a_terminal_a_line_an_epoch(capsys: Any, progress: bool | None) -> None:
    show(progress=progress)
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(LINE.format(1) + LINE.format(2), err)


def test_without_labels_a_line_has_no_accuracy(capsys: Any) -> None:
    net = Sequential(Affine(2), QuadraticCost()).build((6,))
    fit(net, SGD(0.01), (X, X[:, :2]), epochs=10)
    assert re.match(r"epoch  1/10  loss \d+\.\d{4}  \d+\.\d\d s\n", capsys.readouterr().err)


def test_with_progress_false_nothing(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    show(progress=False)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys, "stderr", terminal)
    show(progress=False)
    assert terminal.text == ""


def test_on_a_terminal_a_bar_and_the_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    show()
    assert re.search(r"\repoch 1/2: .* 0/4 \[", terminal.text)
    assert re.search(LINE.format(2), terminal.text)


class Bar:
    """What fit uses of tqdm, written down."""

    made: ClassVar[list[Bar]] = []

    def __init__(self, total: int, initial: int, desc: str, unit: str, leave: bool) -> None:
        assert initial == 0
        self.total, self.desc, self.updates, self.closed = total, desc, [], False
        self.made.append(self)

    def update(self, steps: int) -> None:
        self.updates.append(steps)

    def close(self) -> None:
        self.closed = True


def test_the_bar_is_touched_a_hundred_times_an_epoch_at_most_and_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setitem(sys.modules, "tqdm", SimpleNamespace(tqdm=Bar))
    monkeypatch.setattr(Bar, "made", [])
    show()
    fit(network(), SGD(0.1), (np.repeat(X, 6, axis=0), np.repeat(T, 6)), epochs=1, batch_size=1)
    assert [(bar.desc, bar.total, sum(bar.updates), bar.closed) for bar in Bar.made] == [
        ("epoch 1/2", 4, 4, True),
        ("epoch 2/2", 4, 4, True),
        ("epoch 1/1", 240, 240, True),
    ]
    assert len(Bar.made[2].updates) <= 120


def test_on_a_terminal_without_tqdm_the_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setitem(sys.modules, "tqdm", None)  # import tqdm now raises ImportError
    show()
    assert re.fullmatch(LINE.format(1) + LINE.format(2), terminal.text)


def test_an_interrupted_epoch_closes_its_bar_and_prints_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    fit(network(), Interrupted(6), (X, T), epochs=2, batch_size=10)
    assert re.search(r"epoch 1/2  loss", terminal.text)
    assert not re.search(r"epoch 2/2  loss", terminal.text)


def test_a_handler_that_is_not_pythons_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "getsignal", lambda number: None)  # one that a C library has set
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with Interruptible(terminable=True):
            assert signal.signal(signal.SIGINT, signal.default_int_handler) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
