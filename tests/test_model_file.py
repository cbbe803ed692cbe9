"""Networks on disk: what was saved comes back bit for bit and trains on to the bit, with every kind of layer in it."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from misuse_helpers import T, X, assert_helpful, net
from saving_helpers import AFFINE, BUILD, Gain, again, model, refused, train
from table import ROWS, Case
from test_random_graphs import Builder

import tinynn
from tinynn import (
    SGD,
    Affine,
    BatchNorm,
    ConfigurationError,
    DataError,
    Dropout,
    Graph,
    Loss,
    PReLU,
    QuadraticCost,
    ReLU,
    Residual,
    Sequential,
    ShapeError,
    SoftmaxCrossEntropy,
    StateError,
    Tanh,
    TinynnError,
    fit,
)
from tinynn.init import constant, glorot
from tinynn.testing import FakeDevice

EXAMPLES = 15  # of each row of the table


@pytest.mark.parametrize("name", ROWS)
def test_every_layer_and_loss_comes_back_and_trains_on_to_the_bit(name: str, tmp_path_factory: Any) -> None:
    folder = tmp_path_factory.mktemp("models")

    @settings(max_examples=EXAMPLES)
    @given(ROWS[name].cases)
    def check(case: Case) -> None:
        reads = [f"x{i}" for i in range(len(case.inputs))]
        first = Graph(y=(copy.deepcopy(case.layer), *reads))
        shapes = [x.shape[1:] for x in case.inputs[: 1 if isinstance(case.layer, Loss) else None]]
        first.build(*shapes, dtype="float64" if case.inputs[0].dtype == np.float64 else "float32", seed=3)
        train(first, case.inputs, 2)
        second = again(first, folder)
        assert repr(second) == repr(first)
        xs = case.inputs[: len(shapes)]
        assert first.predict(*xs).tobytes() == second.predict(*xs).tobytes()
        assert train(first, case.inputs) == train(second, case.inputs)

    check()


NETWORKS: dict[str, Any] = {
    "a chain": lambda: Sequential(Affine(5, glorot), BatchNorm(), ReLU(), Dropout(0.3), Affine(3)),
    "a chain with a loss": lambda: Sequential(Affine(3), Tanh(), SoftmaxCrossEntropy([1.0, 2.0, 0.5], 0.1, ignore=2)),
    "chains within": lambda: Sequential(Sequential(Affine(3), Sequential(Tanh())), Residual(Sequential(Gain(2.0)))),
    "a graph": lambda: Graph(h=(Affine(4), "x"), y=(tinynn.Add(), "h", "x"), L=(SoftmaxCrossEntropy(), "y", "t")),
    "a graph within": lambda: Sequential(
        Graph(("x",), ("b",), a=(Affine(2), "x"), b=(Affine(3), "a")), PReLU(constant(0.3))
    ),
    "several outputs": lambda: Graph((), ("a", "b"), a=(Affine(2), "x"), b=(Affine(3), "a")),
    "one list for two": lambda: Sequential(Affine(4, W=SHARED), Affine(4, W=SHARED)),
}
SHARED = np.sin(np.arange(16.0)).reshape(4, 4)


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_container_comes_back_and_trains_on_to_the_bit(name: str, ending: str, tmp_path: Path) -> None:
    first = NETWORKS[name]().build((4,), seed=7, needs_dx=name == "a graph")
    xs = (X, T) if first.target_names else (X,)
    train(first, xs)
    second = again(first, tmp_path, ending)
    assert repr(second) == repr(first)
    assert second.needs_dx == first.needs_dx
    for x in (X, X[:0]):
        one, other = (n.predict(x) for n in (first, second))
        for a, b in zip(*((y if isinstance(y, tuple) else (y,)) for y in (one, other)), strict=True):
            assert a.tobytes() == b.tobytes()
    assert train(first, xs) == train(second, xs)
    anew = [network.build((4,), seed=8).storage.params.tobytes() for network in (NETWORKS[name](), second)]
    assert anew[0] == anew[1]


def test_random_graphs_come_back(tmp_path: Path) -> None:
    for seed in range(100):
        drawn, rng = Builder(seed), np.random.default_rng(seed)
        shapes = [(drawn.widths[name],) for name in drawn.inputs]
        first = Graph(tuple(drawn.inputs), **drawn.nodes).build(*shapes, seed=seed, needs_dx=bool(seed % 2))
        xs = tuple(rng.standard_normal((3, *shape)).astype(np.float32) for shape in shapes)
        second = again(first, tmp_path)
        assert train(first, xs) == train(second, xs)


def test_fit_goes_on_with_a_network_from_a_file_as_with_the_first(tmp_path: Path) -> None:
    first = net(Affine(8), BatchNorm(), ReLU(), Dropout(0.5), Affine(3), SoftmaxCrossEntropy(), seed=2)
    fit(first, SGD(0.1), (X, T), epochs=3, batch_size=2, progress=False)
    second = again(first, tmp_path)
    losses = [fit(n, SGD(0.1), (X, T), epochs=3, batch_size=2, progress=False).loss for n in (first, second)]
    assert losses[0] == losses[1]
    assert first.storage.params.tobytes() == second.storage.params.tobytes()


def test_another_process_loads_it_without_the_code_that_made_it(tmp_path: Path) -> None:
    first = net(seed=1)
    first.save(tmp_path / "folder" / "model")  # the folder is made, the name taken as it is
    np.save(tmp_path / "x.npy", X)
    program = (
        "import numpy as np, tinynn\nprint(tinynn.load('folder/model').predict(np.load('x.npy')).tobytes().hex())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.strip() == first.predict(X).tobytes().hex()


def test_the_same_network_makes_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    program = (
        "import hashlib, sys, tinynn\n"
        "from tinynn import *\n"
        "for path in sys.argv[1:]:\n"
        "    layers = Affine(3, W=lambda rng, s: rng.standard_normal(s)), ReLU(), Affine(2)\n"
        "    Sequential(*layers).build((4,), seed=1).save(path)\n"
        "    print(hashlib.sha256(open(path, 'rb').read()).hexdigest())\n"
    )
    paths = [tmp_path / "a.npz", tmp_path / "b.npz", tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    printed = {
        subprocess.run([sys.executable, "-c", program, *paths], capture_output=True, text=True, check=True).stdout
        for _ in range(3)
    }
    (digests,) = (text.split() for text in printed)
    assert digests[0] == digests[1] != digests[2] == digests[3]
    assert tinynn.load(paths[0]).storage.params.tobytes() == tinynn.load(paths[2]).storage.params.tobytes()


def test_numpy_alone_reads_the_arrays(tmp_path: Path) -> None:
    network = Sequential(Affine(3), Gain(), Sequential(Affine(3)), QuadraticCost()).build((4,), seed=3)
    fit(network, SGD(0.1), (X, T), epochs=2, batch_size=2, progress=False)
    network.save(tmp_path / "net.npz")
    with np.load(tmp_path / "net.npz", allow_pickle=False) as file:
        assert sorted(file.files) == ["0.W", "0.b", "1.calls", "1.g", "2.0.W", "2.0.b", "tinynn.json"]
        assert file["1.calls"] == 6
        np.testing.assert_array_equal(file["0.W"], network.storage.parameters["0.W"])


def test_a_network_moves_to_a_device_and_back(tmp_path: Path) -> None:
    first = net(seed=1)
    on_device = again(first, tmp_path)
    first.save(tmp_path / "net.npz")
    on_device = tinynn.load(tmp_path / "net.npz", backend=FakeDevice())
    predicted = on_device.ops.to_host(on_device.predict(on_device.ops.asarray(X)))
    np.testing.assert_allclose(predicted, first.predict(X), rtol=1e-6)
    assert again(on_device, tmp_path).storage.params.tobytes() == first.storage.params.tobytes()


def test_a_copy_is_saved_like_the_first(tmp_path: Path) -> None:
    first = net(seed=1)
    copy.deepcopy(first).save(tmp_path / "copy.npz")
    first.save(tmp_path / "first.npz")
    assert (tmp_path / "copy.npz").read_bytes() == (tmp_path / "first.npz").read_bytes()


def test_nothing_is_drawn_and_no_initialiser_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = net(Affine(5), Dropout(0.5), PReLU(constant(0.5)))
    first.save(tmp_path / "net.npz")

    def refuse(*args: Any) -> Any:
        raise AssertionError("a number was drawn")

    monkeypatch.setattr("tinynn.network.values.generator", refuse)
    monkeypatch.setattr(constant, "__call__", refuse)
    assert tinynn.load(tmp_path / "net.npz").storage.params.tobytes() == first.storage.params.tobytes()


# --- into a network that was built in code


def test_arrays_are_read_into_a_network_that_was_built(tmp_path: Path) -> None:
    first, other = net(seed=5), net(seed=6)
    first.save(tmp_path / "model.npz")
    assert other.load(str(tmp_path / "model.npz")) is other
    assert other.storage.params.tobytes() == first.storage.params.tobytes()
    assert other.predict(X).tobytes() == first.predict(X).tobytes()


def test_a_float64_model_loads_into_a_float32_network(tmp_path: Path) -> None:
    network = net(dtype="float64", seed=5)
    network.save(tmp_path / "model.npz")
    np.testing.assert_allclose(net().load(tmp_path / "model.npz").predict(X), network.predict(X), rtol=1e-5)
    network.storage.parameters["2.W"][0, 0] = 1e300
    network.save(tmp_path / "model.npz")
    assert_refused(net(), tmp_path / "model.npz", DataError)


def assert_refused(network: Sequential, path: Path, kind: type[TinynnError]) -> None:
    before = network.storage.params.copy()
    assert_helpful((lambda: network.load(path), kind, str(path), "", ""))
    np.testing.assert_array_equal(network.storage.params, before)


def test_a_file_of_another_network_is_refused_and_nothing_is_half_loaded(tmp_path: Path) -> None:
    network = net()
    for other in (net(Affine(5), Affine(2)), net(Affine(5)), net(Affine(5), Affine(3), Affine(3))):
        other.save(tmp_path / "other.npz")
        assert_refused(network, tmp_path / "other.npz", ShapeError)


def test_a_missing_file_a_folder_and_other_files_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "array.npy", X)
    (tmp_path / "empty.npz").touch()
    (tmp_path / "text.npz").write_text("weights: good")
    arrays: dict[str, Any] = net().storage.arrays()
    np.savez(tmp_path / "bare.npz", **arrays)
    for name in ("missing.npz", ".", "array.npy", "empty.npz", "text.npz", "bare.npz", "missing.safetensors"):
        assert_refused(net(), tmp_path / name, DataError)
        refused(lambda name=name: tinynn.load(tmp_path / name), tmp_path / name)


def test_a_file_of_a_newer_version_is_refused_and_says_upgrade(tmp_path: Path) -> None:
    for number in (2, 10**30):
        model(tmp_path / "new.npz", format=number, tinynn="9.1")
        for call in (lambda: tinynn.load(tmp_path / "new.npz"), lambda: net(Affine(3)).load(tmp_path / "new.npz")):
            error = refused(call, tmp_path / "new.npz")
            assert "upgrade tinynn" in str(error.fix)
            assert "9.1" in str(error.got)
    for wrong in (None, "1", 0, True, 1.0, [1]):
        model(tmp_path / "new.npz", format=wrong)
        refused(lambda: net(Affine(3)).load(tmp_path / "new.npz"), tmp_path / "new.npz")


def test_what_else_is_in_a_checkpoint_is_passed_over(tmp_path: Path) -> None:
    first = net(Affine(3), seed=4)
    first.save(tmp_path / "net.npz")
    extra = {"#optimizer/velocity.0.W": np.ones((2, 2)), "#lowest": np.array(np.inf)}
    network = AFFINE | {"args": [{"layer": "Affine", "args": [3]}]}
    model(tmp_path / "checkpoint.npz", network, {**first.storage.arrays(), **extra}, run={"epochs": 3})
    assert tinynn.load(tmp_path / "checkpoint.npz").predict(X).tobytes() == first.predict(X).tobytes()
    assert net(Affine(3)).load(tmp_path / "checkpoint.npz").predict(X).tobytes() == first.predict(X).tobytes()


# --- wrong calls


def test_saving_where_nothing_can_be_written_is_refused(tmp_path: Path) -> None:
    saved = tmp_path / "model.npz"
    net(seed=1).save(saved)
    for path, place in ((tmp_path, tmp_path), (saved / "inside.npz", saved)):
        assert_helpful((lambda path=path: net().save(path), DataError, str(place), "", ""))
    net().load(saved)
    assert [file.name for file in tmp_path.iterdir()] == ["model.npz"]


def test_after_a_refusal_the_network_still_learns(tmp_path: Path) -> None:
    network = net()
    (tmp_path / "model.npz").write_bytes(b"PK")
    assert_refused(network, tmp_path / "model.npz", DataError)
    assert len(fit(network, SGD(0.1), (X, T), epochs=2, progress=False)) == 2


def test_a_network_inside_another_is_saved_with_that(tmp_path: Path) -> None:
    inner = Sequential(Affine(3))
    Sequential(inner, Tanh()).build((4,))
    with pytest.raises(StateError, match="saved with that"):
        inner.save(tmp_path / "inner.npz")
    with pytest.raises(StateError):
        Sequential(Affine(3)).save(tmp_path / "inner.npz")
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_backend_or_precision_is_no_fault_of_the_file(tmp_path: Path) -> None:
    path = model(tmp_path / "net.npz")
    wrong: list[dict[str, Any]] = [
        {"backend": "torch"},
        {"precision": "tf32"},
        {"precision": "float16"},
        {"backend": None},
    ]
    for options in wrong:
        with pytest.raises(ConfigurationError):
            tinynn.load(path, **options)
    build = BUILD | {"precision": "tf32", "backend": "cupy"}
    assert tinynn.load(model(tmp_path / "gpu.npz", AFFINE | {"build": build})).ops.precision == "float32"
