"""The CuPy backend: what it says where something is missing, and on a GPU, that it computes what NumPy computes."""

from __future__ import annotations

import copy
import gc
import sys
import types
import warnings
from typing import Any

import numpy as np
import pytest
from cuda_emulator import EmulatedCupy, needs_a_compiler
from devices import gpu

from tinynn import (
    SGD,
    Affine,
    BatchNorm,
    ConfigurationError,
    Conv2D,
    Dropout,
    Embedding,
    Flatten,
    MaxPool2D,
    MissingExtraError,
    ReLU,
    Rescale,
    Sequential,
    SoftmaxCrossEntropy,
    fit,
)
from tinynn.backend import cupy_ops, get_backend
from tinynn.testing.device_array import QUEUE


class CUDARuntimeError(RuntimeError):
    pass


def stand_in(devices: int | Exception) -> Any:
    """A module that answers like CuPy on a machine with so many GPUs."""

    def count() -> int:
        if isinstance(devices, Exception):
            raise devices
        return devices

    module = types.ModuleType("cupy")
    runtime = types.SimpleNamespace(getDeviceCount=count, CUDARuntimeError=CUDARuntimeError)
    vars(module).update(cuda=types.SimpleNamespace(runtime=runtime))
    return module


def network() -> Sequential:
    return Sequential(Rescale(1 / 255), Affine(8), ReLU(), Affine(3), SoftmaxCrossEntropy())


def test_cupy_not_installed_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(MissingExtraError, match=r"tinynn-xp\[cuda12\]") as caught:
        network().build((4,), backend="cupy")
    assert caught.value.extra == "cuda12"


@pytest.mark.parametrize(
    "devices", [0, CUDARuntimeError("cudaErrorInsufficientDriver: driver version is insufficient")]
)
def test_no_gpu_is_said_at_build(monkeypatch: pytest.MonkeyPatch, devices: int | Exception) -> None:
    monkeypatch.setitem(sys.modules, "cupy", stand_in(devices))
    with pytest.raises(ConfigurationError, match="no GPU") as caught:
        network().build((4,), backend="cupy")
    assert caught.value.got in ("the driver finds none", str(devices))
    assert "nvidia-smi" in str(caught.value.fix)


class Products:
    """In the place of the door to cuBLASLt, which wants addresses of a GPU."""

    def __init__(self, xp: Any, precision: str) -> None:
        self.precision, self.calls = precision, set()

    def matmul(self, a: Any, b: Any, out: Any) -> Any:
        self.calls.add("matmul")
        return QUEUE.launch(np.matmul, a, b, out=out)

    def affine(self, x: Any, W: Any, b: Any, out: Any) -> Any:
        self.calls.add("affine")
        return QUEUE.launch(lambda x, W, b, out: np.add(x @ W, b, out=out), x, W, b, out=out)

    def matmul_stack(self, a: Any, b: Any, out: Any) -> Any:
        self.calls.add("matmul_stack")
        return QUEUE.launch(np.matmul, a, b, out=out)


@needs_a_compiler
@pytest.mark.parametrize("name", ["rows", "images", "words"])
def test_the_backend_is_kernels_the_door_to_the_products_and_graphs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = EmulatedCupy()
    module.cuda = type("Cuda", (module.cuda,), {"runtime": stand_in(1).cuda.runtime})
    monkeypatch.setitem(sys.modules, "cupy", module)
    monkeypatch.setattr(cupy_ops, "Gemm", Products)
    ops: Any = get_backend("cupy", "tf32")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for here, there in zip(trained(name, "numpy"), trained(name, ops), strict=True):
            np.testing.assert_allclose(there, here, rtol=1e-4, atol=1e-4 * max(1, np.abs(here).max(initial=0)))
    assert ops.gemm.calls >= {"rows": {"matmul", "affine"}, "images": {"matmul_stack"}, "words": {"affine"}}[name]
    assert {"rows": "relu", "images": "max_window", "words": "scatter_sums"}[name] in module.launched
    assert ops.gemm.precision == copy.deepcopy(ops).precision == "tf32"
    assert "products in tf32, cupy" in network().build((4,), backend="cupy", precision="tf32").summary()


def test_real_cupy_without_a_gpu() -> None:
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed: its own messages cannot be tried")
    if cupy.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ConfigurationError, match="no GPU"):
        network().build((4,), backend="cupy")


def images() -> Sequential:
    layers = Conv2D(4, 3), BatchNorm(), ReLU(), MaxPool2D(2), Flatten(), Dropout(0.2), Affine(3), SoftmaxCrossEntropy()
    return Sequential(Rescale(1 / 255), *layers)


def words() -> Sequential:
    return Sequential(Embedding(9, 5), Flatten(), Affine(3), SoftmaxCrossEntropy())


RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 3, 70)
NETWORKS: dict[str, tuple[Any, np.ndarray]] = {
    "rows": (network, RNG.integers(0, 256, (70, 4), dtype=np.uint8)),
    "images": (images, RNG.integers(0, 256, (70, 1, 8, 8), dtype=np.uint8)),
    "words": (words, RNG.integers(0, 9, (70, 6))),
}


def trained(name: str, ops: Any, capture: bool = True, dtype: str = "float32") -> list[np.ndarray]:
    """What a run leaves behind."""
    make, x = NETWORKS[name]
    net = make().build(x.shape[1:], backend=ops, seed=3, dtype=dtype)
    history = fit(net, SGD(0.1, l2=0.01, momentum=0.9), (x, LABELS), epochs=3, progress=False, capture=capture)
    host = net.ops.to_host
    return [np.array(history.loss), host(net.storage.params), host(net.storage.state), host(net.predict(x))]


@pytest.mark.gpu
@pytest.mark.parametrize("name", NETWORKS)
def test_a_gpu_computes_what_numpy_computes(name: str) -> None:
    for dtype, tolerance in (("float64", 1e-10), ("float32", 1e-4)):
        for here, there in zip(trained(name, "numpy", dtype=dtype), trained(name, gpu(), dtype=dtype), strict=True):
            np.testing.assert_allclose(
                there, here, rtol=tolerance, atol=tolerance * max(1, np.abs(here).max(initial=0))
            )


@pytest.mark.gpu
@pytest.mark.parametrize("name", NETWORKS)
def test_ten_runs_have_the_same_bits_captured_or_not(name: str) -> None:
    first = [array.tobytes() for array in trained(name, gpu())]
    for i in range(9):
        assert [array.tobytes() for array in trained(name, gpu(), capture=i % 2 == 0)] == first


@pytest.mark.gpu
def test_a_step_of_these_networks_is_captured() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the warning that says why not
        for name in NETWORKS:
            trained(name, gpu())


@pytest.mark.gpu
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("tf32", 2e-3), ("bfloat16", 2e-2)])
def test_precisions_round_the_inputs_of_products_and_no_more(precision: str, tolerance: float) -> None:
    x = RNG.standard_normal((64, 256)).astype(np.float32)
    nets = [Sequential(Affine(128)).build((256,), backend=ops, seed=1) for ops in ("numpy", gpu(precision=precision))]
    here, there = (net.ops.to_host(net.predict(x)) for net in nets)
    error = np.abs(here - there).max() / np.abs(here).max()
    assert error < tolerance
    assert precision == "float32" or error > 1e-6  # that it is what was asked for


@pytest.mark.gpu
def test_the_state_of_the_device_memory_after_many_runs() -> None:
    """A graph's pool goes with the graph."""
    ops, used = gpu(), []
    for _ in range(6):
        trained("rows", ops)
        gc.collect()
        ops.xp.get_default_memory_pool().free_all_blocks()
        free, total = ops.xp.cuda.runtime.memGetInfo()
        used.append(total - free)
    assert used[-1] <= used[2] + (1 << 20)
