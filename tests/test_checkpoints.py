"""A run that goes on from a checkpoint comes to what it would have come to, to the bit."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_helpers import BATCH, EPOCHS, T, X, checkpoints, network, outcome, trained

import tinynn
from tinynn import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Affine,
    BatchNorm,
    ConfigurationError,
    DataError,
    Dropout,
    Embedding,
    Flatten,
    Graph,
    Layer,
    Optimizer,
    ReLU,
    RMSProp,
    Sequential,
    ShapeError,
    SoftmaxCrossEntropy,
    Tanh,
    fit,
    one_cycle,
)
from tinynn.testing import FakeDevice

STEPS = EPOCHS * -(-len(X) // BATCH)


def whole(backend: Any = "numpy", **options: Any) -> str:
    net = network(backend)
    return outcome(net, trained(net, **options))


def resumed(path: Path, folder: Path, make: Callable[[], Any], train: Callable[..., Any]) -> str:
    """What comes of going on from a copy of one checkpoint, without a warning."""
    folder.mkdir()
    shutil.copy(path, folder)
    net = make()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return outcome(net, train(net, checkpoint=folder, resume=True))


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_from_each_of_200_steps_a_run_goes_on_to_the_bit(backend: str, tmp_path: Path) -> None:
    expected = whole(backend)
    assert whole(backend, checkpoint=tmp_path / "all", every=1, keep=STEPS) == expected
    paths = checkpoints(tmp_path / "all")
    assert [int(path.stem[5:]) for path in paths] == list(range(1, STEPS + 1))
    for path in paths:
        assert resumed(path, tmp_path / path.stem, lambda: network(backend), trained) == expected, path.name


OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "SGD": lambda: SGD(0.1),
    "nesterov, one cycle": lambda: SGD(one_cycle(0.1, steps=60), momentum=0.9, nesterov=True, clip_norm=1.0),
    "Adam": lambda: Adam(l2=0.01),
    "AdamW": lambda: AdamW(clip_value=0.5),
    "RMSProp": RMSProp,
    "Adagrad": Adagrad,
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("backend", ["numpy", "fake device"])
def test_every_optimizer_goes_on_with_patience_and_what_was_best(name: str, backend: str, tmp_path: Path) -> None:
    def make() -> Any:
        return network(FakeDevice() if backend == "fake device" else backend)

    def train(net: Any, **options: Any) -> Any:
        validation = X[:20], T[::-1][:20]  # what is learned does not hold for it, so it gets worse before long
        return trained(net, OPTIMIZERS[name](), epochs=6, validation=validation, patience=2, **options)

    net = make()
    expected = outcome(net, train(net))
    net = make()
    assert outcome(net, train(net, checkpoint=tmp_path / "all", every=7, keep=99)) == expected
    paths = checkpoints(tmp_path / "all")
    assert len(paths) > 3
    for path in paths:
        assert resumed(path, tmp_path / path.stem, make, train) == expected, path.name


def test_graphs_images_of_bytes_and_weighted_rows_go_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data = rng.integers(0, 9, (40, 6)), rng.integers(0, 3, 40), rng.random(40)

    def make() -> Any:
        graph = Graph(
            e=(Embedding(9, 4), "x"),
            f=(Flatten(), "e"),
            h=(Affine(8), "f"),
            a=(ReLU(), "h"),
            d=(Dropout(0.5), "a"),
            s=(Affine(3), "d"),
            loss=(SoftmaxCrossEntropy(), "s", "t", "w"),
        )
        return graph.build((6,), dtype="float64")

    def train(net: Any, **options: Any) -> Any:
        return fit(net, Adam(), data, epochs=4, batch_size=16, progress=False, **options)

    net = make()
    expected = outcome(net, train(net))
    train(make(), checkpoint=tmp_path / "all", every=1, keep=99)
    for path in checkpoints(tmp_path / "all"):
        assert resumed(path, tmp_path / path.stem, make, train) == expected, path.name


def test_a_run_can_be_made_longer(tmp_path: Path) -> None:
    net = network()
    trained(net, epochs=5, checkpoint=tmp_path)
    again = network()
    assert len(trained(again, epochs=5, checkpoint=tmp_path, resume=True)) == 5  # it is over: nothing is trained
    assert outcome(again, trained(again, checkpoint=tmp_path, resume=True)) == whole()


def test_without_a_checkpoint_yet_the_run_begins(tmp_path: Path) -> None:
    assert whole(checkpoint=tmp_path / "a" / "b", resume=True) == whole()
    assert [path.name for path in checkpoints(tmp_path / "a" / "b")] == [f"step-{n:09d}.npz" for n in (180, 190, 200)]


def test_the_last_ones_are_kept(tmp_path: Path) -> None:
    trained(network(), epochs=3, checkpoint=tmp_path, every=4, keep=2)
    assert [int(path.stem[5:]) for path in checkpoints(tmp_path)] == [28, 30]
    (tmp_path / "step-000000099.txt").write_text("mine")
    (tmp_path / "notes").mkdir()
    trained(network(), epochs=4, checkpoint=tmp_path, every=4, keep=2, resume=True)
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".npz") == ["notes", "step-000000099.txt"]


def test_the_network_of_a_checkpoint_is_read_like_a_saved_one(tmp_path: Path) -> None:
    net = network()
    trained(net, checkpoint=tmp_path, epochs=2)
    path = checkpoints(tmp_path)[-1]
    again = tinynn.load(path)
    np.testing.assert_array_equal(again.predict(X), net.predict(X))
    np.testing.assert_array_equal(network().load(path).predict(X), net.predict(X))
    with np.load(path) as file:
        np.testing.assert_array_equal(file["0.W"], net.storage.parameters["0.W"])


def test_a_saved_network_is_no_checkpoint(tmp_path: Path) -> None:
    network().save(tmp_path / "step-000000003.npz")
    with pytest.raises(DataError, match="no checkpoint of a run"):
        trained(network(), checkpoint=tmp_path, resume=True)


def test_a_finished_run_is_not_written_over(tmp_path: Path) -> None:
    trained(network(), epochs=2, checkpoint=tmp_path)
    before = [path.read_bytes() for path in checkpoints(tmp_path)]
    net = network()
    params = net.storage.params.copy()
    with pytest.raises(ConfigurationError, match="another run"):
        trained(net, epochs=2, checkpoint=tmp_path)
    assert [path.read_bytes() for path in checkpoints(tmp_path)] == before
    np.testing.assert_array_equal(net.storage.params, params)


# --- what is not as it was


def test_the_previous_one_is_used_where_the_newest_is_damaged(tmp_path: Path) -> None:
    trained(network(), epochs=4, checkpoint=tmp_path)
    *_, previous, newest = checkpoints(tmp_path)
    damaged = bytearray(newest.read_bytes())
    damaged[len(damaged) // 2] ^= 4
    newest.write_bytes(damaged)
    net = network()
    with pytest.warns(RuntimeWarning, match=f"goes on from {previous.name}") as caught:
        assert outcome(net, trained(net, checkpoint=tmp_path, resume=True)) == whole()
    assert "digest" in str(caught[0].message) and newest.name in str(caught[0].message)


def test_where_all_are_damaged_nothing_is_begun_anew(tmp_path: Path) -> None:
    trained(network(), epochs=2, checkpoint=tmp_path)
    for path in checkpoints(tmp_path):
        path.write_bytes(path.read_bytes()[:-1])
    net = network()
    params = net.storage.params.copy()
    with pytest.raises(DataError, match=checkpoints(tmp_path)[-1].name):
        trained(net, checkpoint=tmp_path, resume=True)
    np.testing.assert_array_equal(net.storage.params, params)


def fresh() -> list[Any]:
    """The layers of `network`, but for one that has no parameters."""
    return [Affine(8), BatchNorm(), Tanh(), Dropout(0.3), Affine(3), SoftmaxCrossEntropy()]


OTHERS: dict[str, tuple[str, Callable[[], Any], dict[str, Any]]] = {
    "rows": ("rows", network, {"data": (X[:-1], T[:-1])}),
    "data": ("data", network, {"data": (X + 1, T)}),
    "labels": ("data", network, {"data": (X, T[::-1].copy())}),
    "batch_size": ("batch size", network, {"batch_size": 8}),
    "seed": ("seed", network, {"seed": 6}),
    "activation": ("network", lambda: Sequential(*fresh()).build((5,)), {}),
    "width": ("network", lambda: Sequential(Affine(9), Affine(3), SoftmaxCrossEntropy()).build((5,)), {}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_run_is_refused(name: str, tmp_path: Path) -> None:
    what, make, options = OTHERS[name]
    trained(network(), epochs=2, checkpoint=tmp_path)
    net = make()
    params = net.storage.params.copy()
    with pytest.raises((ConfigurationError, ShapeError), match=f"its {what} is not this one's"):
        trained(net, checkpoint=tmp_path, resume=True, **options)
    np.testing.assert_array_equal(net.storage.params, params)


def test_another_optimizer_is_refused_whole(tmp_path: Path) -> None:
    trained(network(), epochs=2, checkpoint=tmp_path)
    net, adam = network(), Adam()
    params = net.storage.params.copy()
    with pytest.raises(ShapeError, match="velocity"):
        trained(net, adam, checkpoint=tmp_path, resume=True)
    np.testing.assert_array_equal(net.storage.params, params)
    assert adam.steps_taken == 0


def test_other_surroundings_and_settings_are_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Zen")
    trained(network(), epochs=2, checkpoint=tmp_path)
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setattr("tinynn.training.surroundings.threads", lambda: 99)
    with pytest.warns(RuntimeWarning, match="perhaps not to the bit") as caught:
        history = trained(network(), SGD(0.01, momentum=0.9), checkpoint=tmp_path, resume=True)
    assert len(history) == EPOCHS and len(caught) == 1
    for part in ("BLAS threads: ", "99 now", "BLAS kernels: Zen before, Haswell now", "optimizer: SGD(lr="):
        assert part in str(caught[0].message)


def test_the_same_bits_go_to_another_backend_with_a_warning(tmp_path: Path) -> None:
    trained(network(), epochs=2, checkpoint=tmp_path)
    net = network(FakeDevice())
    with pytest.warns(RuntimeWarning, match="backend: numpy before, fake now"):
        history = trained(net, checkpoint=tmp_path, resume=True)
    assert len(history) == EPOCHS


def test_a_layer_that_changes_itself_is_told_of(tmp_path: Path) -> None:
    class Counting(Layer):
        calls = 0

        def __init__(self) -> None:
            self.calls = 0

        def forward(self, x: Any) -> Any:
            self.calls += 1
            return x, None

        def backward(self, dy: Any, cache: Any) -> Any:
            return dy

    def make() -> Any:
        return Sequential(Affine(3), Counting(), SoftmaxCrossEntropy()).build((5,), seed=1)

    trained(make(), SGD(0.1), epochs=2, checkpoint=tmp_path)
    with pytest.warns(RuntimeWarning, match="what layers hold besides their arrays was changed"):
        assert len(trained(make(), SGD(0.1), checkpoint=tmp_path, resume=True)) == EPOCHS


# --- optimizers of one's own


class Own(Optimizer):
    """SGD with a count and a text that change."""

    def __init__(self) -> None:
        super().__init__(0.1)
        self.mood = "good"

    def update(self, ops: Any, storage: Any, lr: float) -> None:
        storage.params[...] -= lr * (1 if self.mood == "good" else 0.5) * storage.grads
        self.mood = "bad" if self.steps_taken % 3 == 0 else "good"

    def state(self) -> dict[str, Any]:
        return {**super().state(), "mood": self.mood, "half": 0.5, "array": np.arange(3)}

    def load_state(self, state: Any) -> None:
        state = dict(state)
        self.mood = state.pop("mood")
        assert state.pop("half") == 0.5 and state.pop("array").tolist() == [0, 1, 2]
        super().load_state(state)


def test_an_optimizer_of_ones_own_goes_on(tmp_path: Path) -> None:
    def train(net: Any, **options: Any) -> Any:
        return trained(net, Own(), epochs=3, **options)

    net = network()
    expected = outcome(net, train(net))
    train(network(), checkpoint=tmp_path / "all", every=1, keep=99)
    for path in checkpoints(tmp_path / "all"):
        assert resumed(path, tmp_path / path.stem, network, train) == expected


def test_state_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    class Odd(Own):
        def state(self) -> dict[str, Any]:
            return {**super().state(), "mood": object()}

    odd = Odd()
    with pytest.raises(ConfigurationError, match="'mood' cannot be written"):
        trained(network(), odd, checkpoint=tmp_path)
    assert odd.steps_taken == 0 and not list(tmp_path.iterdir())

    class Bare:
        def step(self, net: Any) -> None: ...

    with pytest.raises(ConfigurationError, match="state cannot be kept") as caught:
        trained(network(), Bare(), checkpoint=tmp_path)
    assert "load_state" in str(caught.value.expected)


@pytest.mark.parametrize("options", [{"every": 5}, {"resume": True}, {"checkpoint": "x", "every": 0}, {"keep": 0}])
def test_arguments_that_cannot_work(options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=r"every|resume|keep"):
        trained(network(), **options)
    assert not list(tmp_path.iterdir())
