"""Models on disk: what was saved comes back bit for bit, and no file that is damaged or another's changes a network."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from misuse_helpers import T, X, assert_helpful, net

from tinynn import SGD, Affine, DataError, Layer, QuadraticCost, Sequential, ShapeError, TinynnError, fit
from tinynn.init import ones, zeros


class Counter(Layer):
    """y = g x, and the number of calls in its state."""

    def build(self, shape: Any) -> Any:
        self.param("g", (), ones)
        self.state("calls", (2,), zeros)
        return shape

    def forward(self, x: Any) -> Any:
        self.calls += 1
        return x * self.g, x

    def backward(self, dy: Any, x: Any) -> Any:
        self.dg[...] = (dy * x).sum()
        return dy * self.g


def test_what_was_saved_comes_back_with_state_and_all(tmp_path: Path) -> None:
    network = Sequential(Affine(3), Counter(), Sequential(Affine(3)), QuadraticCost()).build((4,), seed=3)
    fit(network, SGD(0.1), (X, T), epochs=2, batch_size=2, progress=False)
    network.save(tmp_path / "folder" / "model")  # the folder is made, the name taken as it is
    with np.load(tmp_path / "folder" / "model", allow_pickle=False) as archive:
        assert sorted(archive.files) == ["0.W", "0.b", "1.calls", "1.g", "2.0.W", "2.0.b"]
        np.testing.assert_array_equal(archive["1.calls"], [6, 6])
    other = Sequential(Affine(3), Counter(), Sequential(Affine(3)), QuadraticCost()).build((4,), seed=4)
    assert other.load(str(tmp_path / "folder" / "model")) is other
    assert other.storage.params.tobytes() == network.storage.params.tobytes()
    assert other.storage.state.tobytes() == network.storage.state.tobytes()
    assert other.predict(X).tobytes() == network.predict(X).tobytes()


def test_a_float64_model_loads_into_a_float32_network(tmp_path: Path) -> None:
    network = net(dtype="float64", seed=5)
    network.save(tmp_path / "model.npz")
    np.testing.assert_allclose(net().load(tmp_path / "model.npz").predict(X), network.predict(X), rtol=1e-5)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    net(seed=1).save(tmp_path / "model.npz")
    return tmp_path / "model.npz"


def assert_refused(network: Sequential, path: Path, kind: type[TinynnError]) -> None:
    before = network.storage.params.copy()
    assert_helpful((lambda: network.load(path), kind, str(path), "", ""))
    np.testing.assert_array_equal(network.storage.params, before)


def test_a_missing_file_a_folder_and_other_files_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "array.npy", X)
    (tmp_path / "empty.npz").touch()
    (tmp_path / "text.npz").write_text("weights: good")
    objects: dict[str, Any] = {"0.W": np.array([{}], dtype=object)}
    np.savez(tmp_path / "objects.npz", **objects)
    for name in ("missing.npz", ".", "array.npy", "empty.npz", "text.npz", "objects.npz"):
        assert_refused(net(), tmp_path / name, DataError)


def test_a_file_of_another_network_is_refused_and_nothing_is_half_loaded(tmp_path: Path) -> None:
    network = net()
    for other in (net(Affine(5), Affine(2)), net(Affine(5)), net(Affine(5), Affine(3), Affine(3))):
        other.save(tmp_path / "other.npz")
        assert_refused(network, tmp_path / "other.npz", ShapeError)
    for name, change in {"strings": lambda a: a.astype(str), "complex": lambda a: a * 1j}.items():
        arrays: dict[str, Any] = {key: array + 1 for key, array in network.storage.arrays().items()}
        np.savez(tmp_path / f"{name}.npz", **arrays | {"2.b": change(arrays["2.b"])})
        assert_refused(network, tmp_path / f"{name}.npz", DataError)


def test_a_damaged_file_is_refused_or_gives_exactly_what_was_saved(saved: Path) -> None:
    whole, draw = saved.read_bytes(), random.Random(0)
    right, refused = net(seed=1).storage.arrays(), 0
    network = net()
    for number in range(600):
        place = draw.randrange(len(whole))
        cut = whole[:place] if number % 3 == 0 else whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :]
        saved.write_bytes(cut)
        network.storage.params[...] = 0.5
        try:
            network.load(saved)
        except TinynnError:
            refused += 1
            assert (network.storage.params == 0.5).all()
        else:
            for name, array in network.storage.arrays().items():
                np.testing.assert_array_equal(array, right[name])
    assert 400 < refused < 600  # of the directory's bytes some, such as dates, mean nothing to a reader


def test_saving_where_nothing_can_be_written_is_refused(saved: Path) -> None:
    for path, place in ((saved.parent, saved.parent), (saved / "inside.npz", saved)):
        assert_helpful((lambda path=path: net().save(path), DataError, str(place), "", ""))
    net().load(saved)
    assert [file.name for file in saved.parent.iterdir()] == ["model.npz"]


def test_after_a_refusal_the_network_still_learns(saved: Path) -> None:
    network = net()
    saved.write_bytes(b"PK")
    assert_refused(network, saved, DataError)
    assert len(fit(network, SGD(0.1), (X, T), epochs=2, progress=False)) == 2
