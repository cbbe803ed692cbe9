"""Files and objects that hardly ever come, and are refused all the same; what a file must not do to its reader."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from checkpoint_helpers import T, X, network, trained
from saving_helpers import AFFINE, model, npy, refused

import tinynn
from tinynn import Affine, ConfigurationError, DataError, Layer, ReLU, Sequential, StateError
from tinynn.backend import NumpyOps
from tinynn.data import archive
from tinynn.network import tensors_file


def test_a_file_that_shrinks_while_it_is_read_has_another_digest() -> None:
    assert archive.digest_of(io.BytesIO(b"abc"), 10) == hashlib.sha256(b"abc").hexdigest().encode()
    data = npy(np.arange(6.0))
    cut: Any = SimpleNamespace(open=lambda m: io.BytesIO(data[:-8]))
    member: Any = SimpleNamespace(filename="W.npy", file_size=len(data))
    with pytest.raises(EOFError, match=r"W\.npy' ends too early"):
        archive.read_array(cut, member)


def test_a_long_header_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(archive, "LONGEST", 1 << 24)
        path = model(tmp_path / "net.npz", more="x" * (1 << 21))
    assert "a header of 2,097," in str(refused(lambda: tinynn.load(path), path).got)


def test_safetensors_with_a_header_that_is_too_long_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, net = tmp_path / "net.safetensors", network()
    net.save(path)
    with monkeypatch.context() as patch:
        patch.setattr(tensors_file, "LONGEST", 10)
        assert "a header of" in str(refused(lambda: tinynn.load(path), path).got)
    with monkeypatch.context() as patch:
        patch.setattr(tensors_file, "to_json", lambda header: b"[1]")
        net.save(path)
    assert "no JSON object" in str(refused(lambda: tinynn.load(path), path).got)


def test_a_precision_that_the_network_cannot_have_is_no_fault_of_the_file(tmp_path: Path) -> None:
    class Rounds(NumpyOps):
        precision = "tf32"

    Sequential(Affine(2)).build((3,), dtype="float64").save(tmp_path / "net.npz")
    with pytest.raises(ConfigurationError, match="float64 are multiplied as such"):
        tinynn.load(tmp_path / "net.npz", backend=Rounds(), precision="tf32")
    Sequential(Affine(2)).build((3,)).save(tmp_path / "net.npz")
    assert tinynn.load(tmp_path / "net.npz", backend=Rounds(), precision="tf32").ops.precision == "tf32"


@tinynn.register(name="test.Greedy")
class Greedy(Layer):
    """A layer that finds no memory."""

    full = False

    def build(self, shape: Any) -> Any:
        if Greedy.full:
            raise MemoryError("no memory left")
        return shape

    def forward(self, x: Any) -> Any:
        return x, None


def test_a_lack_of_memory_is_no_fault_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Sequential(Greedy()).build((3,)).save(tmp_path / "net.npz")
    assert tinynn.load(tmp_path / "net.npz").predict(X[:, :3]).shape == (len(X), 3)
    monkeypatch.setattr(Greedy, "full", True)
    with pytest.raises(MemoryError, match="no memory left"):
        tinynn.load(tmp_path / "net.npz")


@tinynn.register(name="test.Other")
class Other(Layer):
    """A class whose objects are of another one."""

    def __new__(cls) -> Any:
        return ReLU()


def test_a_class_that_makes_objects_of_another_is_refused(tmp_path: Path) -> None:
    described = {**AFFINE, "args": [{"layer": "test.Other"}]}
    error = refused(lambda: tinynn.load(model(tmp_path / "net.npz", described)))
    assert "not known" in error.what and "test.Other" in str(error.where)


@tinynn.register(name="test.Ramp")
class Ramp:
    """An initialiser whose attributes are not what its constructor takes."""

    def __init__(self, slope: float) -> None:
        self.steep = slope

    def __call__(self, rng: Any, shape: Any) -> Any:
        return np.full(shape, self.steep)


def test_an_object_that_cannot_be_made_again_is_refused_when_it_is_loaded(tmp_path: Path) -> None:
    net = Sequential(Affine(2, W=Ramp(0.5))).build((3,))
    net.save(tmp_path / "net.npz")
    assert "without one of its arguments" in refused(lambda: tinynn.load(tmp_path / "net.npz")).what
    other = Sequential(Affine(2)).build((3,)).load(tmp_path / "net.npz")
    np.testing.assert_array_equal(other.storage.params, net.storage.params)


def test_an_optimizer_without_state_goes_back_as_far_as_it_can() -> None:
    class Bare:
        def step(self, net: Any) -> None:
            net.storage.params[...] = np.inf

    net = network()
    before = net.storage.params.copy()
    with pytest.raises(StateError, match="diverged"):
        trained(net, Bare(), data=(X, T))
    np.testing.assert_array_equal(net.storage.params, before)


def test_errors_of_files_are_data_errors() -> None:
    with pytest.raises(DataError):
        tinynn.load("no such file")
