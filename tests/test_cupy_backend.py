"""The CuPy backend without a GPU: what it says when something is missing, and its code paths on a stand-in for CuPy.

The stand-in is NumPy under CuPy's name, without what CuPy lacks. It shows that the backend asks CuPy only for what CuPy
has; the arithmetic on a device it cannot show.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinynn import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Affine,
    ConfigurationError,
    MissingExtraError,
    Optimizer,
    ReLU,
    Rescale,
    RMSProp,
    Sequential,
    SoftmaxCrossEntropy,
    fit,
)


class CUDARuntimeError(RuntimeError):
    pass


# What the code under test may ask of CuPy; all of it is in CuPy 14.
ARRAYS = ("ndarray", "dtype", "float64", "int64", "uint32", "zeros", "ones", "empty", "asarray", "arange")
UFUNCS = ("add", "subtract", "multiply", "divide", "maximum", "minimum", "greater", "exp", "log1p", "isnan", "matmul")
SHARED = (*ARRAYS, *UFUNCS, "concatenate", "sqrt", "einsum", "sum")


def stand_in(devices: int | Exception) -> Any:
    """A module that answers like CuPy on a machine with so many GPUs."""

    def count() -> int:
        if isinstance(devices, Exception):
            raise devices
        return devices

    def take(a: np.ndarray, indices: np.ndarray, axis: int, out: np.ndarray) -> np.ndarray:  # no `mode`, unlike NumPy
        return np.take(a, indices, axis=axis, out=out)

    module = types.ModuleType("cupy")
    vars(module).update({name: getattr(np, name) for name in SHARED})
    runtime = types.SimpleNamespace(getDeviceCount=count, CUDARuntimeError=CUDARuntimeError)
    vars(module).update(take=take, asnumpy=np.asarray, cuda=types.SimpleNamespace(runtime=runtime))
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


OPTIMIZERS: dict[str, Callable[[], Optimizer]] = {
    "SGD": lambda: SGD(0.1, l2=0.01),
    "momentum": lambda: SGD(0.1, l2=0.01, momentum=0.9, nesterov=True, clip_norm=0.5),
    "Adam": lambda: Adam(l2=0.01, clip_value=0.1),
    "AdamW": AdamW,
    "RMSProp": RMSProp,
    "Adagrad": Adagrad,
}


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_training_takes_the_same_path_as_numpy(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", stand_in(1))
    rng = np.random.default_rng(0)
    x, t = rng.integers(0, 256, (70, 4), dtype=np.uint8), rng.integers(0, 3, 70)
    nets = [network().build((4,), backend=backend, seed=3) for backend in ("numpy", "cupy")]
    assert [net.ops.name for net in nets] == ["numpy", "cupy"]
    histories = [fit(net, make(), (x, t), epochs=2, validation=(x, t), progress=False) for net in nets]
    assert histories[0].loss == histories[1].loss
    assert np.array_equal(nets[0].predict(x), nets[1].predict(x))


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
