"""Captured steps, seen from the device: what it is asked, in which order, and how often.

A GPU does not say; the device that is not there does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from test_capture import DEVICE, OwnStep, OwnUpdate, Plain, learn, network

from tinynn import DeviceError
from tinynn.cuda.graph import CudaGraph
from tinynn.testing import FakeDevice
from tinynn.testing.device_array import QUEUE


@pytest.fixture(autouse=True)
def device() -> None:
    """To which `network` builds."""
    DEVICE[:] = [FakeDevice()]


def test_a_replayed_step_is_one_launch() -> None:
    launches: list[int] = []
    for epochs in (2, 12):
        net, before = network(), QUEUE.launches
        learn(net, epochs=epochs, batch_size=3)  # 19 steps an epoch
        launches.append(QUEUE.launches - before)
    eager = network()
    before = QUEUE.launches
    learn(eager, epochs=12, batch_size=3, capture=False)
    assert launches[1] - launches[0] < 10 * 19 + 10 * 60  # the steps, and what an epoch costs
    assert QUEUE.launches - before > 20 * 12 * 19


@pytest.mark.parametrize("make", [OwnStep, lambda: OwnUpdate(0.1)])
def test_with_an_optimizer_of_ones_own_the_rest_is_one_launch(make: Callable[[], Any]) -> None:
    launches = []
    for capture in (False, True):
        net, before = network(), QUEUE.launches
        learn(net, make(), epochs=6, capture=capture)
        launches.append(QUEUE.launches - before)
    assert launches[1] < launches[0] / 2


def test_an_error_in_a_later_step_is_told_with_its_layer() -> None:
    class Late(Plain):
        def f(self, x: Any) -> Any:
            return self.xp.tanh(x) if len(x) == 8 else np.tanh(x)

    with pytest.raises(DeviceError, match=r"np\.tanh") as caught:
        learn(network(Late()))  # the last batch of an epoch has one row
    assert "layer 1: Late()" in caught.value.__notes__[0]


def spied(xp: Any, log: list[str]) -> Any:
    """The module, whose streams and graphs write down what they are asked."""
    cuda = type("Cuda", (xp.cuda,), {})

    class Stream(xp.cuda.Stream):
        def synchronize(self) -> None:
            log.append("wait")
            super().synchronize()

        def begin_capture(self) -> None:
            log.append("begin")
            super().begin_capture()

        def end_capture(self) -> Any:
            log.append("end")
            return super().end_capture()

    cuda.Stream = cuda.get_current_stream = Stream
    other = type(xp)()
    other.cuda = cuda
    return other


def test_a_capture_waits_for_what_came_before_and_is_ended_whatever_happens() -> None:
    log: list[str] = []
    xp = spied(FakeDevice().xp, log)
    CudaGraph(xp, lambda: log.append("step"), lambda: log.append("between"))
    assert log == ["wait", "step", "between", "wait", "begin", "step", "end"]
    del log[:]
    CudaGraph(xp, lambda: log.append("step"), lambda: None, 3)
    assert log[-8:] == ["begin", "step", "end", "begin", "step", "step", "step", "end"]
    del log[:]

    def fails() -> None:
        log.append("step")
        if "begin" in log:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        CudaGraph(xp, fails, lambda: None)
    assert log[-3:] == ["begin", "step", "end"]


def test_a_call_of_many_steps_returns_when_they_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    net = network()
    monkeypatch.setattr(net.ops, "xp", spied(net.ops.xp, log))
    monkeypatch.setitem(net.__dict__, "xp", net.ops.xp)
    learn(net, epochs=3)
    assert log[:6] == ["wait", "wait", "begin", "end", "begin", "end"]
    assert 3 <= log.count("wait") - 2 <= 3 * 8
