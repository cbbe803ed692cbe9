"""The device that is not there: it computes what NumPy does, and refuses what a GPU would refuse or do slowly."""

from __future__ import annotations

import copy
import gc
import math
import operator
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinynn import (
    SGD,
    Affine,
    ConfigurationError,
    DeviceError,
    Layer,
    Loss,
    QuadraticCost,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    fit,
    gradcheck,
)
from tinynn.testing import ComplianceError, FakeDevice, check_layer
from tinynn.testing.device_array import QUEUE

OPS = FakeDevice()
XP = OPS.xp
RNG = np.random.default_rng(0)
HOST = RNG.standard_normal((4, 6)).astype(np.float32)


def device(x: Any = HOST) -> Any:
    return OPS.asarray(x)


def captured(step: Callable[[], Any]) -> Any:
    return OPS.capture_step(step, lambda: None)


# --- what it computes

BINARY = [
    *(operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow),
    *(operator.lt, operator.le, operator.eq, operator.ne, operator.gt, operator.ge),
]
METHODS: dict[str, tuple[Any, ...]] = {
    "sum": (0,),
    "max": (1,),
    "argmax": (1,),
    "mean": (),
    "cumsum": (0,),
    "reshape": (-1,),
    "transpose": (1, 0),
    "ravel": (),
    "flatten": (),
    "squeeze": (),
    "astype": (np.float64,),
    "repeat": (2,),
    "clip": (-1, 1),
    "copy": (),
    "any": (),
    "take": ([0, 2],),
}
FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "where": lambda xp, x: xp.where(x > 0, x, 0),
    "concatenate": lambda xp, x: xp.concatenate([x, x], axis=1),
    "expand_dims": lambda xp, x: xp.expand_dims(x, 1),
    "matmul": lambda xp, x: xp.matmul(x, x.T),
    "einsum": lambda xp, x: xp.einsum("ij,kj->ik", x, x),
    "arange": lambda xp, x: xp.arange(3, 9),
    "zeros_like": lambda xp, x: xp.zeros_like(x),
    "add.at": lambda xp, x: added(xp, x.copy()),
    "put_along_axis": lambda xp, x: put(xp, x.copy()),
    "reduce": lambda xp, x: xp.add.reduce(x, axis=1),
    "outer": lambda xp, x: xp.multiply.outer(x[0], x[1]),
    "positional out": lambda xp, x: xp.exp(x, xp.empty_like(x)),
    "split": lambda xp, x: xp.concatenate(xp.split(x, 2)[::-1]),
    "sliding windows": lambda xp, x: xp.lib.stride_tricks.as_strided(x, (3, 2, 6), (24, 24, 4)),
    "linalg": lambda xp, x: xp.linalg.norm(x),
}


def added(xp: Any, x: Any) -> Any:
    xp.add.at(x, xp.asarray([0, 0, 3]), xp.ones((3, 6), x.dtype))
    return x


def put(xp: Any, x: Any) -> Any:
    xp.put_along_axis(x, xp.expand_dims(x.argmax(axis=1), 1), 0, axis=1)
    return x


@pytest.mark.parametrize("op", BINARY)
def test_operators(op: Any) -> None:
    with np.errstate(invalid="ignore", divide="ignore"):
        pairs: list[tuple[Any, Any]] = [(HOST, abs(HOST)), (HOST, 2), (2, HOST)]
        if op in BINARY[:7]:  # of a comparison NumPy makes an array of its scalar first
            pairs.append((np.float64(0.5), HOST))
        for a, b in pairs:
            on = [device(v) if isinstance(v, np.ndarray) else v for v in (a, b)]
            got = OPS.to_host(op(*on))
            np.testing.assert_array_equal(got, op(a, b), strict=True)


def test_operators_in_place_keep_the_array() -> None:
    x = held = device()
    x += 1
    x *= 2
    x -= held / 4
    assert x is held
    np.testing.assert_array_equal(OPS.to_host(x), (HOST + 1) * 2 * np.float32(0.75))


@pytest.mark.parametrize("name", METHODS)
def test_methods(name: str) -> None:
    got = OPS.to_host(getattr(device(), name)(*METHODS[name]))
    np.testing.assert_array_equal(got, getattr(HOST, name)(*METHODS[name]), strict=True)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    np.testing.assert_array_equal(OPS.to_host(FUNCTIONS[name](XP, device())), FUNCTIONS[name](np, HOST))


def test_views_share_their_memory_and_copies_do_not() -> None:
    x = device(np.zeros((2, 3)))
    for view in (x[0], x.T, x.reshape(3, 2), x[:, 1:], x.astype(x.dtype, copy=False), XP.expand_dims(x, 0), x[1, 2]):
        before = OPS.to_host(x.sum())
        view += 1
        assert OPS.to_host(x.sum()) == before + view.size
    others = x.copy(), x.astype(x.dtype), x[[0]], x.T.reshape(-1), x.flatten(), copy.copy(x), copy.deepcopy(x), +x
    for other in (*others, XP.array(x), XP.array(x, copy=True)):
        before = OPS.to_host(x.sum())
        other += 1
        assert OPS.to_host(x.sum()) == before


def test_an_array_is_written_where_it_lies() -> None:
    x = device(np.array([[3.0, 1.0], [2.0, 4.0]]))
    x[0].sort()
    np.testing.assert_array_equal(OPS.to_host(x), [[1, 3], [2, 4]])
    x[1].fill(7)
    np.testing.assert_array_equal(OPS.to_host(x), [[1, 3], [7, 7]])
    assert repr(x) == "DeviceArray(shape=(2, 2), dtype=float64)"
    row = x[0].base
    assert row is not None and row.shape == (2, 2) and XP.array(np.ones(2)).base is None


def test_empty_is_full_of_what_no_layer_would_compute() -> None:
    assert np.isnan(OPS.to_host(XP.empty((2, 3), np.float32))).all()
    assert np.isnan(OPS.to_host(XP.empty_like(device()))).all()
    assert (OPS.to_host(XP.empty(3, np.uint8)) == 0x55).all()


def test_indices_beyond_the_end_begin_again_at_the_start() -> None:
    x = device(np.arange(5.0))
    at = OPS.asarray([4, 5, 11, -1])
    np.testing.assert_array_equal(OPS.to_host(x[at]), [4, 0, 1, 4])
    np.testing.assert_array_equal(OPS.to_host(XP.take(x, at)), [4, 0, 1, 4])
    x[OPS.asarray([7])] = 9.0
    XP.add.at(x, OPS.asarray([5]), 1.0)
    np.testing.assert_array_equal(OPS.to_host(x), [1, 1, 9, 3, 4])
    grid = device(np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(OPS.to_host(grid[:, OPS.asarray([3])]), [[0], [3]])
    np.testing.assert_array_equal(OPS.to_host(grid[..., OPS.asarray([4])]), [[1], [4]])


def test_masks_select_and_assign() -> None:
    x = device()
    np.testing.assert_array_equal(OPS.to_host(x[x > 0]), HOST[HOST > 0])
    x[x < 0] = 0
    np.testing.assert_array_equal(OPS.to_host(x), np.maximum(HOST, 0))


def test_shapes_may_be_asked_for_everywhere() -> None:
    assert np.shape(device()) == (4, 6)
    assert np.ndim(device()) == len(device().shape) == 2
    assert np.size(device()) == 24
    assert XP.result_type(np.float32, np.float64) == np.float64


def test_a_pickle_comes_back_to_the_device() -> None:
    np.testing.assert_array_equal(OPS.to_host(pickle.loads(pickle.dumps(device()))), HOST)


# --- what it refuses

REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "float(x)": (lambda x: float(x[0, 0]), "to_host"),
    "int(x)": (lambda x: int(x[0, 0]), "to_host"),
    "if x": (lambda x: 1 if x[0, 0] > 0 else 0, "xp.where"),
    "while": (lambda x: not x[0, 0], "xp.where"),
    "range(x)": (lambda x: range(x[0, 0].astype(np.int64)), "to_host"),
    "x.item()": (lambda x: x[0, 0].item(), "to_host"),
    "x.tolist()": (lambda x: x.tolist(), "to_host"),
    "math.exp": (lambda x: math.exp(x[0, 0]), "to_host"),
    "max(x)": (lambda x: max(x[0]), "xp.where"),
    "np.asarray": (lambda x: np.asarray(x), "to_host"),
    "np.array": (lambda x: np.array([x, x]), "to_host"),
    "np.exp": (lambda x: np.exp(x), "self.xp.f(x)"),
    "np.sum": (lambda x: np.sum(x), "self.xp.f(x)"),
    "np.concatenate": (lambda x: np.concatenate([x, x]), "self.xp.f(x)"),
    "np.add.reduce": (lambda x: np.add.reduce(x), "self.xp.f(x)"),
    "out of np": (lambda x: np.add(HOST, 1, out=x), "self.ops.asarray"),
    "x + host": (lambda x: x + HOST, "self.ops.asarray"),
    "host + x": (lambda x: HOST + x, "self.ops.asarray"),
    "x += host": (lambda x: operator.iadd(x, HOST), "self.ops.asarray"),
    "xp.add": (lambda x: XP.add(x, HOST), "self.ops.asarray"),
    "xp.where": (lambda x: XP.where(x > 0, x, HOST), "self.ops.asarray"),
    "xp.concatenate": (lambda x: XP.concatenate([x, HOST]), "self.ops.asarray"),
    "x @ host": (lambda x: x @ HOST.T, "self.ops.asarray"),
    "x[host]": (lambda x: x[np.array([0, 1])], "self.ops.asarray"),
    "x[...] = host": (lambda x: x.__setitem__(..., HOST), "self.ops.asarray"),
    "host[...] = x": (lambda x: HOST.copy().__setitem__(..., x), "to_host"),
    "a number without axes": (lambda x: x * np.array(2.0), "self.ops.asarray"),
    "xp.random": (lambda x: XP.random.random(3), "self.ops.uniform"),
    "ops.relu": (lambda x: OPS.relu(HOST, out=x), "self.ops.asarray"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_would_wait_or_mix_is_refused_with_the_line_and_a_way_out(what: str) -> None:
    call, fix = REFUSED[what]
    with pytest.raises(DeviceError) as caught:
        call(device())
    assert fix in str(caught.value.fix)
    assert "test_fake_device.py, line" in str(caught.value.where)


@pytest.mark.parametrize("name", ["block", "vecdot", "matrix", "insert", "nditer"])
def test_what_cupy_has_not(name: str) -> None:
    assert hasattr(np, name)
    with pytest.raises(AttributeError, match=f"'cupy' has no attribute '{name}'"):
        getattr(XP, name)


def test_options_that_cupy_has_not() -> None:
    with pytest.raises(TypeError, match="takes no initial"):
        device().max(initial=0.0)
    with pytest.raises(TypeError, match="takes no where"):
        XP.sum(device(), where=device() > 0)
    with pytest.raises(TypeError):
        XP.take(device(), OPS.asarray([0]), axis=0, mode="clip")
    with pytest.raises(AttributeError, match="no 'tobytes'"):
        device().tobytes()


# --- while a step is captured

REFUSED_IN_CAPTURE: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a copy from the host": (lambda x: OPS.asarray(HOST), "in build"),
    "a list": (lambda x: XP.asarray([1.0]), "in build"),
    "a copy to the host": (lambda x: OPS.to_host(x), "outside the step"),
    "x[mask]": (lambda x: x[x > 0], "xp.where"),
    "nonzero": (lambda x: XP.nonzero(x), "xp.where"),
    "where of one": (lambda x: XP.where(x > 0), "xp.where"),
    "unique": (lambda x: XP.unique(x), "xp.where"),
    "x @ x": (lambda x: x @ x.T, "self.ops.matmul"),
    "xp.dot": (lambda x: XP.dot(x, x.T), "self.ops.matmul"),
    "xp.einsum": (lambda x: XP.einsum("ij,ij->i", x, x), "self.ops.matmul"),
    "xp.linalg": (lambda x: XP.linalg.norm(x), "functions of xp itself"),
    "wait": (lambda x: XP.cuda.get_current_stream().synchronize(), "no wait"),
}


@pytest.mark.parametrize("what", REFUSED_IN_CAPTURE)
def test_what_only_a_captured_step_may_not_do(what: str) -> None:
    call, fix = REFUSED_IN_CAPTURE[what]
    x = device()
    call(x)  # by itself it may
    with pytest.raises(DeviceError, match="while a step is captured") as caught:
        captured(lambda: call(x))
    assert fix in f"{caught.value.expected} {caught.value.fix}"
    call(x)  # and afterwards too: the capture is over


def test_a_captured_step_computes_nothing_until_it_is_launched() -> None:
    x, seen = device(np.zeros(3)), []

    def step() -> None:
        y = XP.exp(x) + 1
        seen.append(y)
        XP.add(x, y, out=x)

    launches = QUEUE.launches
    graph = captured(step)
    assert QUEUE.launches == launches
    np.testing.assert_array_equal(OPS.to_host(x), [2, 2, 2])  # the first call made the step, the second did not
    assert np.isnan(OPS.to_host(seen[1])).all()
    graph.launch()
    np.testing.assert_array_equal(OPS.to_host(x), 2 + np.exp(np.full(3, 2.0)) + 1)
    assert QUEUE.launches == launches + 1


def test_results_keep_their_place_from_launch_to_launch() -> None:
    x = device(np.arange(3.0))
    kept: dict[str, Any] = {}

    def step() -> None:
        parts = XP.split(x * 2, 3)
        kept["y"], kept["half"], kept["top"] = parts[1], XP.modf(x / 2)[0], x.max()
        XP.add(x, 1, out=x)

    graph = captured(step)
    for i in range(1, 4):
        graph.launch()
        assert OPS.to_host(kept["y"]) == 2 * (i + 1)
        np.testing.assert_array_equal(OPS.to_host(kept["half"]), np.modf((np.arange(3.0) + i) / 2)[0])
        assert OPS.to_host(kept["top"]) == 2 + i


def test_memory_from_the_common_pool_is_refused_in_a_capture() -> None:
    stream, x = XP.cuda.Stream(), device()
    stream.begin_capture()
    try:
        with pytest.raises(DeviceError, match="memory from the common pool"):
            _ = x + 1
    finally:
        stream.end_capture()


def test_a_graph_whose_arrays_are_gone_is_not_launched() -> None:
    held = {"x": device(np.zeros(3))}
    graph = captured(lambda: XP.add(held["x"], 1, out=held["x"]))
    graph.launch()
    view = held.pop("x")[1:]
    graph.launch()  # a view keeps the memory
    del view
    gc.collect()
    with pytest.raises(DeviceError, match="an array that is gone"):
        graph.launch()


def test_what_a_step_allocates_lives_as_long_as_its_graph() -> None:
    x = device(np.zeros(3))
    graph = captured(lambda: XP.add(x, XP.ones(3) * 2, out=x))
    gc.collect()
    graph.launch()
    np.testing.assert_array_equal(OPS.to_host(x), [4, 4, 4])


# --- planted violations: code that runs on NumPy, and only there


class HostFunction(Layer):
    def forward(self, x: Any) -> Any:
        y = np.tanh(x)
        return y, y

    def backward(self, dy: Any, y: Any) -> Any:
        return dy * (1 - y * y)


class HostArray(Layer):
    def forward(self, x: Any) -> Any:
        return x + np.full(x.shape[1:], 0.5, x.dtype), None

    def backward(self, dy: Any, cache: None) -> Any:
        return dy


class ReadsANumber(Layer):
    def forward(self, x: Any) -> Any:
        return x * (1.0 if float(x.sum()) < 1e9 else 0.5), None

    def backward(self, dy: Any, cache: None) -> Any:
        return dy


class Branches(Layer):
    def forward(self, x: Any) -> Any:
        return (x if (x < 1e9).all() else x / 2), None

    def backward(self, dy: Any, cache: None) -> Any:
        return dy


class FloatOfTheLoss(Loss):
    def forward(self, scores: Any, targets: Any) -> Any:
        d = scores - targets
        return float((d * d).sum()) / len(d), d

    def backward(self, dL: Any, d: Any) -> Any:
        return (2 * dL / len(d)) * d, None


PLANTED: dict[str, tuple[type[Layer], str]] = {
    "a host function": (HostFunction, "np.tanh"),
    "a mixed-array add": (HostArray, "an array on the host"),
    "a number read in the step": (ReadsANumber, "float(x)"),
    "a branch": (Branches, "the truth"),
}


@pytest.mark.parametrize("what", PLANTED)
def test_planted_violations_are_caught_wherever_they_run(what: str) -> None:
    kind, says = PLANTED[what]
    gradcheck(kind(), (4,))  # right on NumPy
    with pytest.raises(DeviceError, match=says.replace("(", r"\(").replace(")", r"\)")) as caught:
        gradcheck(kind(), (4,), backend=FakeDevice())
    assert "test_fake_device.py, line" in str(caught.value.where)
    with pytest.raises(ComplianceError) as report:  # and on NumPy, by the check of the backends
        check_layer(kind(), (4,))
    assert report.value.report is not None
    assert [check.name for check in report.value.report.of("failed")] == ["backends"]
    net = Sequential(Affine(4), kind(), QuadraticCost()).build((3,), backend=FakeDevice())
    with pytest.raises(DeviceError) as caught:
        fit(net, SGD(0.1), (np.ones((8, 3)), np.ones((8, 4))), epochs=1, batch_size=2, progress=False)
    assert f"layer 1: {kind.__name__}()" in caught.value.__notes__[0]


def test_float_of_the_loss_in_the_step_is_caught() -> None:
    net = Sequential(Affine(4), FloatOfTheLoss()).build((3,), backend=FakeDevice())
    with pytest.raises(DeviceError, match=r"float\(x\)"):
        net.forward(np.ones((8, 3)), np.ones((8, 4)))
    by_hand = Sequential(Affine(4), QuadraticCost()).build((3,), backend=FakeDevice())
    loss, _ = by_hand.forward(np.ones((8, 3)), np.ones((8, 4)))
    with pytest.raises(DeviceError, match=r"float\(x\)"):
        float(loss)
    assert math.isfinite(OPS.to_host(loss))


# --- as a backend


def test_copies_and_pickles_of_a_network_stay_on_such_a_device() -> None:
    net = Sequential(Affine(4), ReLU(), Affine(3), SoftmaxCrossEntropy()).build((6,), backend=FakeDevice(), seed=2)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert other.ops.name == "fake"
        np.testing.assert_array_equal(OPS.to_host(other.predict(HOST)), OPS.to_host(net.predict(HOST)))


def test_data_that_lie_on_the_device_are_told_what_to_do_by_a_network_on_the_host() -> None:
    net = Sequential(Affine(3)).build((6,))
    with pytest.raises(DeviceError, match="where one on the host is wanted"):
        net.predict(device())


def test_data_that_lie_on_the_device_are_taken() -> None:
    x, t = device(), OPS.asarray([0, 1, 2, 0])
    net = Sequential(Affine(3), SoftmaxCrossEntropy()).build((6,), backend=FakeDevice())
    history = fit(net, SGD(0.1), (x, t), epochs=2, batch_size=2, validation=(x, t), progress=False)
    assert len(history) == 2
    assert net.predict(x).shape == (4, 3)


def test_it_is_no_name_of_a_backend() -> None:
    with pytest.raises(ConfigurationError, match="unknown backend"):
        Sequential(Affine(2)).build((3,), backend="fake")
