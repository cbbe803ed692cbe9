"""The CuPy backend: what it says where something is missing, and on a GPU, that it computes what NumPy computes."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest

from tinynn import (
    SGD,
    Affine,
    ConfigurationError,
    MissingExtraError,
    ReLU,
    Rescale,
    Sequential,
    SoftmaxCrossEntropy,
    fit,
)


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


def test_real_cupy_without_a_gpu() -> None:
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed: its own messages cannot be tried")
    if cupy.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ConfigurationError, match="no GPU"):
        network().build((4,), backend="cupy")


@pytest.mark.gpu
def test_a_gpu_computes_what_numpy_computes() -> None:
    cupy = pytest.importorskip("cupy", reason="needs CuPy and a GPU: CuPy is not installed")
    if not cupy.cuda.is_available():
        pytest.skip("needs a GPU: CuPy finds none")
    rng = np.random.default_rng(0)
    x, t = rng.integers(0, 256, (70, 4), dtype=np.uint8), rng.integers(0, 3, 70)
    cpu, gpu = (network().build((4,), backend=name, dtype="float64", seed=3) for name in ("numpy", "cupy"))
    for net in (cpu, gpu):
        fit(net, SGD(0.1, l2=0.01), (x, t), epochs=2, progress=False)
    np.testing.assert_allclose(gpu.ops.to_host(gpu.predict(x)), cpu.predict(x), rtol=1e-10)
