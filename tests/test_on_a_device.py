"""Every layer, loss, optimizer, graph and run of `fit` on a device: the same code, the same results.

What passes on the device that is not there uses only what CuPy has, waits for nothing, and mixes nothing with the host;
where there is a GPU, all of it runs there too.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from devices import DEVICES, assert_as_on_numpy, device_of
from hypothesis import given, settings
from strategies import examples
from table import ROWS, Case
from test_random_graphs import Builder
from test_replay import IMAGES, LABELS, NETWORKS, targets_of
from test_replay import ROWS as X
from test_replay_graphs import GRAPHS, shapes_of

from tinynn import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Affine,
    ConfigurationError,
    DeviceError,
    Dropout,
    Embedding,
    Graph,
    LabelError,
    QuadraticCost,
    ReLU,
    RMSProp,
    Sequential,
    SoftmaxCrossEntropy,
    StateError,
    fit,
    gradcheck,
)
from tinynn.optim import cosine, exponential, step_decay, warm_up
from tinynn.testing import FakeDevice, check_layer

HOST_CODE = ["a branch in the data", "looking back", "a loss of one's own"]
"""Networks with layers that branch, or use np, which no device can follow."""
HOST_GRAPHS = ["own layers", "what it read or something else", "a loss of one's own"]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> Any:
    return device_of(request.param)


@pytest.mark.parametrize("name", ROWS)
def test_every_layer_passes_gradcheck(name: str, device: Any) -> None:
    @settings(max_examples=examples(20))
    @given(ROWS[name].cases)
    def check(case: Case) -> None:
        gradcheck(case.layer, inputs=case.inputs, backend=device)

    check()


@pytest.mark.parametrize("name", ROWS)
def test_every_layer_gives_what_numpy_gives(name: str, device: Any) -> None:
    @settings(max_examples=examples(20))
    @given(ROWS[name].cases)
    def check(case: Case) -> None:
        assert_as_on_numpy(case, device)

    check()


@pytest.mark.parametrize("name", ROWS)
def test_every_layer_keeps_every_rule(name: str, device: Any) -> None:
    @settings(max_examples=1)
    @given(ROWS[name].cases)
    def check(case: Case) -> None:
        check_layer(case.layer, inputs=case.inputs, backend=device)

    check()


def trained(make: Callable[[], Any], data: Any, optimizer: Any, backend: Any, **options: Any) -> list[np.ndarray]:
    """Everything a run leaves behind, on the host."""
    net = make()
    build = {"dtype": options.pop("dtype", "float32"), "needs_dx": options.pop("needs_dx", False)}
    net.build(*shapes_of(net, data), backend=backend, seed=5, **build)
    more = {"epochs": 2, "batch_size": 10, "validation": data, "progress": False} | options
    history = fit(net, optimizer, data, **more)
    storage, host = net.storage, net.ops.to_host
    left = [np.array(host(x)) for x in (storage.params, storage.state, storage.grads)]
    predicted = net.predict(*data[: len(net.input_names)])
    outputs = [np.array(host(y)) for y in (predicted if isinstance(predicted, tuple) else (predicted,))]
    return [*left, *outputs, *(np.array(value) for name, value in history.as_dict().items() if name != "seconds")]


def assert_near(a: list[np.ndarray], b: list[np.ndarray], rtol: float) -> None:
    for one, other in zip(a, b, strict=True):
        if one.dtype.kind != "f":
            np.testing.assert_array_equal(one, other)
        else:
            atol = rtol * np.abs(one[np.isfinite(one)]).max(initial=0)
            np.testing.assert_allclose(one, other, rtol=rtol, atol=atol)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in HOST_CODE])
@pytest.mark.parametrize("needs_dx", [False, True])
def test_networks_train_as_on_numpy(name: str, needs_dx: bool, device: Any) -> None:
    make, x = NETWORKS[name]
    data, rate = (x, targets_of(make())), 1e-8 if x.dtype == np.uint8 else 0.01  # bytes make large gradients
    runs = [
        trained(make, data, SGD(rate, momentum=0.5), backend, dtype="float64", needs_dx=needs_dx, capture=capture)
        for backend, capture in (("numpy", False), (device, False), (device, True))
    ]
    assert_near(runs[0], runs[1], 1e-10)
    for eager, replayed in zip(runs[1], runs[2], strict=True):
        np.testing.assert_array_equal(eager, replayed)  # bit for bit


@pytest.mark.parametrize("name", [name for name in GRAPHS if name not in HOST_GRAPHS])
def test_graphs_train_as_on_numpy(name: str, device: Any) -> None:
    make, data = GRAPHS[name]
    runs = [
        trained(make, data, Adam(0.01), backend, dtype="float64", capture=capture)
        for backend, capture in (("numpy", False), (device, False), (device, True))
    ]
    assert_near(runs[0], runs[1], 1e-8)
    for eager, replayed in zip(runs[1], runs[2], strict=True):
        np.testing.assert_array_equal(eager, replayed)


@pytest.mark.parametrize("name", HOST_CODE)
def test_networks_of_host_code_are_refused(name: str) -> None:
    make, x = NETWORKS[name]
    with pytest.raises(DeviceError):
        trained(make, (x, targets_of(make())), SGD(0.05), FakeDevice(), capture=False)


@pytest.mark.parametrize("name", HOST_GRAPHS)
def test_graphs_of_host_code_are_refused(name: str) -> None:
    make, data = GRAPHS[name]
    with pytest.raises(DeviceError):
        trained(make, data, SGD(0.05), FakeDevice(), capture=False)


OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "SGD": lambda: SGD(0.1),
    "SGD, l2": lambda: SGD(0.1, l2=0.01),
    "momentum": lambda: SGD(0.1, l2=0.01, momentum=0.9),
    "nesterov, clip_norm": lambda: SGD(0.1, l2=0.01, momentum=0.9, nesterov=True, clip_norm=0.5),
    "SGD, both clips": lambda: SGD(0.1, clip_value=0.01, clip_norm=0.05),
    "Adam, clip_value": lambda: Adam(l2=0.01, clip_value=0.1),
    "AdamW": AdamW,
    "AdamW without decay": lambda: AdamW(weight_decay=0.0),
    "RMSProp": lambda: RMSProp(l2=0.01),
    "Adagrad": lambda: Adagrad(l2=0.01),
    "cosine to 0": lambda: AdamW(cosine(0.1, steps=6)),
    "warm-up": lambda: SGD(warm_up(0.1, steps=5), momentum=0.9),
    "step decay": lambda: SGD(step_decay(0.1, factor=0.5, every=3)),
    "exponential": lambda: RMSProp(exponential(0.01, rate=0.9)),
    "a schedule of one's own": lambda: Adam(lambda step: 0.1 if step % 3 else 0.0),
}


def mlp() -> Sequential:
    return Sequential(Affine(9), ReLU(), Dropout(0.2), Affine(4), SoftmaxCrossEntropy())


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_optimizers_step_as_on_numpy(name: str, dtype: str, device: Any) -> None:
    runs = [
        trained(mlp, (X, LABELS), OPTIMIZERS[name](), backend, dtype=dtype, capture=capture, epochs=4, batch_size=6)
        for backend, capture in (("numpy", False), (device, False), (device, True))
    ]
    assert_near(runs[0], runs[1], 1e-4 if dtype == "float32" else 1e-10)
    for eager, replayed in zip(runs[1], runs[2], strict=True):
        np.testing.assert_array_equal(eager, replayed)


def test_an_optimizers_state_goes_from_device_to_host_and_back(device: Any) -> None:
    states = []
    for backend in ("numpy", device):
        net, optimizer = mlp().build((12,), backend=backend, dtype="float64"), Adam(0.01)
        fit(net, optimizer, (X, LABELS), epochs=1, batch_size=10, progress=False)
        state = optimizer.state()
        again = Adam(0.01)
        again.load_state(state)
        fit(net, again, (X, LABELS), epochs=1, batch_size=10, progress=False)
        states.append((state, again.state()))
    for here, there in zip(*states, strict=True):
        assert here.keys() == there.keys()
        assert all(type(value) is np.ndarray for name, value in there.items() if name != "steps")
        assert here["steps"] == there["steps"]
        for name in here.keys() - {"steps"}:
            np.testing.assert_allclose(there[name], here[name], rtol=1e-9, atol=1e-12)


def test_random_graphs(device: Any) -> None:
    for seed in range(60):
        drawn, rng = Builder(seed), np.random.default_rng(seed)
        shapes = [(drawn.widths[name],) for name in drawn.inputs]
        xs = [rng.standard_normal((3, *shape)) for shape in shapes]
        found = []
        for backend in ("numpy", device):
            net = Graph(tuple(drawn.inputs), **Builder(seed).nodes)
            net.build(*shapes, backend=backend, dtype="float64", seed=seed, needs_dx=True)
            ys, cache = net.forward(*xs)
            several = isinstance(ys, tuple)
            hosts = [net.ops.to_host(y) for y in (ys if several else (ys,))]
            dys = tuple(np.cos(host) for host in hosts)
            dxs = net.backward(dys if several else dys[0], cache)
            dxs = [net.ops.to_host(dx) for dx in (dxs if isinstance(dxs, tuple) else (dxs,))]
            found.append([*hosts, *dxs, net.ops.to_host(net.storage.grads)])
        assert_near(found[0], found[1], 1e-10)


def test_files_go_from_one_backend_to_the_other(tmp_path: Any, device: Any) -> None:
    here, there = (mlp().build((12,), backend=b, seed=s) for b, s in (("numpy", 1), (device, 2)))
    here.save(tmp_path / "net.npz")
    there.load(tmp_path / "net.npz")
    np.testing.assert_allclose(there.ops.to_host(there.predict(X)), here.predict(X), rtol=1e-5, atol=1e-7)
    there.save(tmp_path / "back.npz")
    for name, array in here.storage.arrays().items():
        np.testing.assert_array_equal(np.load(tmp_path / "back.npz")[name], array)


def test_what_is_wrong_with_the_data_is_said_as_on_numpy(device: Any) -> None:
    for data in ((X, LABELS + 1), (X, -LABELS)):
        told = []
        for backend in ("numpy", device):
            with pytest.raises(LabelError) as caught:
                trained(mlp, data, SGD(0.1), backend)
            told.append(str(caught.value))
        assert told[0] == told[1]


def test_labels_and_ids_out_of_range_wrap_in_a_step_by_hand_and_are_looked_for_by_evaluate(device: Any) -> None:
    # Nobody looks at labels in a step on a device; fit, evaluate and check_targets do, before it.
    net = mlp().build((12,), backend=device)
    with pytest.raises(LabelError):
        net.evaluate(X, LABELS + 4)
    words = Sequential(Embedding(9, 3), Affine(2), QuadraticCost()).build((5,), backend=device)
    assert words.predict(np.full((2, 5), 3)).shape == (2, 2)


def test_a_run_that_diverges_goes_back(device: Any) -> None:
    net = mlp().build((12,), backend=device)
    before = net.ops.to_host(net.storage.params)
    with pytest.raises(StateError, match="diverged in epoch 1"):
        fit(net, SGD(1e30), (X, LABELS), epochs=3, batch_size=5, progress=False)
    np.testing.assert_array_equal(net.ops.to_host(net.storage.params), before)


def test_patience_goes_back_to_the_best(device: Any) -> None:
    runs = [
        trained(mlp, (X, LABELS), SGD(2.0), backend, dtype="float64", patience=2, epochs=12)
        for backend in ("numpy", device)
    ]
    assert_near(runs[0], runs[1], 1e-6)


def test_images_and_their_bytes_stay_as_they_are_on_the_device(device: Any) -> None:
    make, x = NETWORKS["convolution"]
    assert x.dtype == np.uint8
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained(make, (IMAGES, LABELS), SGD(0.1), device)


def test_a_backend_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="unknown backend"):
        mlp().build((12,), backend=FakeDevice)  # pyright: ignore[reportArgumentType]
