"""Arrays of other libraries, by DLPack: in without a copy where that is possible, and out again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from devices import gpu

from tinynn import SGD, Affine, DataError, DeviceError, Embedding, ReLU, Rescale, Sequential, SoftmaxCrossEntropy, fit
from tinynn.backend import NumpyOps
from tinynn.testing import FakeDevice

RNG = np.random.default_rng(3)
X = RNG.standard_normal((20, 5)).astype(np.float32)
T = RNG.integers(0, 3, 20)


class Exporter:
    """An array of a library that NumPy knows nothing of: it has DLPack and nothing else."""

    def __init__(self, array: np.ndarray, device: tuple[int, int] = (1, 0), requires_grad: bool = False) -> None:
        self.array, self.device, self.requires_grad = array, device, requires_grad

    def __len__(self) -> int:
        return len(self.array)

    def take(self, rows: Any) -> Any:
        raise AssertionError("taken for a source")

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(self, **how: Any) -> Any:
        return self.array.__dlpack__(**how)


class Refusing(Exporter):
    """One that raises when it is asked for its numbers; `__array__`, where it has that, works."""

    def __dlpack__(self, **how: Any) -> Any:
        raise BufferError("no such dtype in DLPack")


class Fallback(Refusing):
    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.array


class Neither(Refusing):
    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise TypeError("and no array either")


class Objects(Refusing):
    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array([None, None])


class Lost(Exporter):
    def __dlpack_device__(self) -> tuple[int, int]:
        raise ValueError("unknown device type meta")


def network(**how: Any) -> Sequential:
    return Sequential(Affine(4), ReLU(), Affine(3), SoftmaxCrossEntropy()).build((5,), **how)


@pytest.mark.parametrize("kind", [1, 3, 11, 13])
def test_predict_evaluate_and_forward_take_them(kind: int) -> None:
    net, x, t = network(), Exporter(X, (kind, 0)), Exporter(T)
    np.testing.assert_array_equal(net.predict(x), net.predict(X))
    assert net.evaluate(x, t) == net.evaluate(X, T)
    assert net.forward(x, t)[0] == net.forward(X, T)[0]


def test_fit_takes_them() -> None:
    nets = [network(), network()]
    for net, (x, t) in zip(nets, [(X, T), (Exporter(X), Exporter(T))], strict=True):
        fit(net, SGD(lr=0.1), (x, t), epochs=2, validation=(x, t), progress=False)
    np.testing.assert_array_equal(nets[0].storage.params, nets[1].storage.params)


def test_nothing_is_copied_that_need_not_be() -> None:
    seen = []

    class Look(Rescale):
        def forward(self, x: Any) -> Any:
            seen.append(x)
            return super().forward(x)

    net = Sequential(Look(1.0), Affine(2)).build((5,))
    net.predict(Exporter(X))
    assert np.shares_memory(seen[0], X)
    assert np.shares_memory(NumpyOps().asarray(Exporter(X)), X)


@pytest.mark.parametrize("layout", ["strided", "reversed", "column-major", "read-only"])
def test_however_they_lie_in_memory(layout: str) -> None:
    wide = np.repeat(np.repeat(X, 2, axis=0), 2, axis=1)
    x = {"strided": wide[::2, ::2], "reversed": X[::-1].copy()[::-1], "column-major": np.asfortranarray(X)}.get(
        layout, X
    )
    if layout == "read-only":
        x = X.copy()
        x.flags.writeable = False
        if np.lib.NumpyVersion(np.__version__) < "2.1.0":  # DLPack could not yet say that nobody may write
            with pytest.raises(DataError, match=r"(?s)cannot be handed over.*readonly"):
                network().predict(Exporter(x))
            return
    np.testing.assert_array_equal(network().predict(Exporter(x)), network().predict(X))


@pytest.mark.parametrize("dtype", ["uint8", "int32", "bool", "float64", "float16"])
def test_whatever_their_dtype(dtype: str) -> None:
    x = (X > 0).astype(dtype)
    np.testing.assert_array_equal(network().predict(Exporter(x)), network().predict(x))
    ids = RNG.integers(0, 7, (4, 3))
    net = Sequential(Embedding(7, 2), Affine(2)).build((3,))
    np.testing.assert_array_equal(net.predict(Exporter(ids)), net.predict(ids))


def test_another_device_is_named() -> None:
    net = network()
    for call in (
        net.predict,
        lambda x: net.evaluate(x, T),
        lambda x: fit(net, SGD(0.1), (x, T), epochs=1, progress=False),
    ):
        with pytest.raises(DeviceError, match=r"(?s)another device.*CUDA 1.*x\.cpu\(\)"):
            call(Exporter(X, (2, 1)))
    with pytest.raises(DeviceError, match="a device of kind 99"):
        net.predict(Exporter(X, (99, 0)))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (Exporter(X, requires_grad=True), r"(?s)wants a gradient.*x\.detach\(\)"),
        (Refusing(X), "(?s)cannot be handed over.*no such dtype in DLPack"),
        (Neither(X), "(?s)cannot be handed over.*and no array either"),
        (Objects(X), "(?s)cannot be handed over.*no such dtype in DLPack"),
        (Lost(X), "(?s)does not say where it lies.*unknown device type meta"),
    ],
)
def test_what_cannot_be_handed_over(x: Any, message: str) -> None:
    net = network()
    for call in (net.predict, lambda x: fit(net, SGD(0.1), (x, T), epochs=1, progress=False)):
        with pytest.raises(DataError, match=message):
            call(x)


def test_what_dlpack_cannot_say_goes_by_way_of_array() -> None:
    np.testing.assert_array_equal(network().predict(Fallback(X)), network().predict(X))


def test_numpy_reads_what_comes_out() -> None:
    net = network()
    for array in (net.predict(X), net[0].W, net.storage.params):
        assert np.shares_memory(np.from_dlpack(array), array)


# --- a device


class OnDevice(Exporter):
    """What lies on the fake device, in a library that is not CuPy."""

    def __init__(self, array: Any, number: int = 0, requires_grad: bool = False) -> None:
        super().__init__(array, (2, number), requires_grad)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Any:
    ops = FakeDevice()
    taken: list[Any] = []

    def from_dlpack(x: Any) -> Any:
        taken.append(x)
        return x.array

    monkeypatch.setattr(ops.xp, "from_dlpack", from_dlpack, raising=False)
    return ops, taken


def test_on_a_device_they_stay_there(device: Any) -> None:
    ops, taken = device
    net = network(backend=ops)
    x = OnDevice(ops.asarray(X))
    got = ops.to_host(net.predict(x))
    assert taken == [x]
    np.testing.assert_array_equal(got, ops.to_host(net.predict(X)))
    np.testing.assert_array_equal(got, ops.to_host(net.predict(Exporter(X))))  # from the host's memory
    fit(net, SGD(lr=0.1), (x, OnDevice(ops.asarray(T))), epochs=1, progress=False)
    assert net.evaluate(x, Exporter(T)).loss < 2


def test_the_device_of_another_number_is_named(device: Any) -> None:
    ops, _ = device
    with pytest.raises(DeviceError, match=r"(?s)on CUDA 0, where the network computes.*one on CUDA 3"):
        network(backend=ops).predict(OnDevice(ops.asarray(X), 3))
    with pytest.raises(DataError, match="wants a gradient"):
        network(backend=ops).predict(OnDevice(ops.asarray(X), requires_grad=True))


# --- real libraries, where they are


def test_torch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: make test-peers")
    net, x = network(), torch.from_numpy(X.copy())
    np.testing.assert_array_equal(net.predict(x), net.predict(X))
    np.testing.assert_array_equal(net.predict(x.T.contiguous().T), net.predict(X))
    fit(net, SGD(lr=0.1), (x, torch.from_numpy(T)), epochs=1, progress=False)
    assert torch.from_dlpack(net.predict(x)).shape == (20, 3)
    with pytest.raises(DataError, match="wants a gradient"):
        net.predict(x.clone().requires_grad_())
    with pytest.raises(DataError, match="cannot be handed over"):
        net.predict(x.bfloat16())
    with pytest.raises(DataError, match="cannot be handed over"):
        net.predict(x.to_sparse())


def test_jax() -> None:
    numpy = pytest.importorskip("jax.numpy", reason="JAX is not installed: make test-peers")
    net, x = network(), numpy.asarray(X)
    np.testing.assert_array_equal(net.predict(x), net.predict(X))
    fit(net, SGD(lr=0.1), (x, numpy.asarray(T)), epochs=1, progress=False)
    with pytest.raises(DataError, match="cannot be handed over"):
        net.predict(x.astype("bfloat16"))


@pytest.mark.gpu
def test_cupy() -> None:
    net = network(backend=gpu())
    import cupy  # pyright: ignore[reportMissingImports]

    x = cupy.asarray(X)
    np.testing.assert_allclose(cupy.asnumpy(net.predict(Exporter(X))), cupy.asnumpy(net.predict(x)))
    with pytest.raises(DeviceError, match="another device"):
        network().predict(x)
