"""What a file says a network is made of: arguments of every kind, settings that were changed, names."""

from __future__ import annotations

import functools
import json
import threading
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from misuse_helpers import T, X, net
from saving_helpers import AFFINE, ARRAYS, BUILD, Gain, again, refused, train

import tinynn
from tinynn import (
    Affine,
    ConfigurationError,
    Dropout,
    Layer,
    Residual,
    Sequential,
    SoftmaxCrossEntropy,
    StateError,
    Tanh,
)
from tinynn.data import archive
from tinynn.init import constant, he, lecun
from tinynn.network import Network
from tinynn.registry import find, name_of, register


def described(network: Any, folder: Path) -> Any:
    """What the file says of the network."""
    network.save(folder / "described.npz")
    return archive.read_header(folder / "described.npz")["network"]


# --- arguments

ARGUMENTS: dict[str, Any] = {
    "none": None,
    "truth": [True, False],
    "integers": [0, -1, 2**200],
    "floats": [0.1, -0.0, 1e-320, 1e308, 1.0],
    "infinities": (float("inf"), -float("inf"), float("nan")),
    "texts": ["", "name", 'quotes " \\ and \0', "Ünïcödé", "\ud800", "layer"],
    "tuples": ((1, 2), [(3,)], ()),
    "dictionaries": {"layer": "Affine", (1, 2): [3], None: {"args": 1}},
    "slices": [slice(None), slice(1, None, -2), slice(0.5, "a")],
    "numbers of NumPy": [
        np.float32(0.1),
        np.float64(0.1),
        np.int8(-3),
        np.uint64(2**64 - 1),
        np.bool_(True),
        np.float16(2),
    ],
    "functions": [he, lecun],
    "classes": Affine,
    "objects": constant(0.25),
    "arrays": [np.arange(6.0).reshape(2, 3), np.array(3, np.int8), np.zeros((0, 2), bool)],
    "big-endian and Fortran": [np.arange(3, dtype=">i4"), np.asfortranarray(np.eye(3))],
}


def same(a: Any, b: Any) -> bool:
    """Equal in type and in value, NaN too."""
    if isinstance(a, np.ndarray):
        return a.dtype.name == b.dtype.name and a.shape == b.shape and bool((a == b).all())
    if isinstance(a, tuple | list):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, constant):
        return type(b) is constant and same(a.value, b.value)
    return type(a) is type(b) and repr(a) == repr(b)


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_come_back(name: str, ending: str, tmp_path: Path) -> None:
    value = ARGUMENTS[name]
    first = Sequential(Gain(2.0, value), Gain(note=value)).build((4,))
    second = again(first, tmp_path, ending)
    assert same(second[0].note, value)
    assert same(second[1].note, value)
    assert second.predict(X).tobytes() == first.predict(X).tobytes()
    first.save(tmp_path / f"first.{ending}")
    second.save(tmp_path / f"second.{ending}")
    assert (tmp_path / f"first.{ending}").read_bytes() == (tmp_path / f"second.{ending}").read_bytes()


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**100), 2**100) | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
    ),
    max_leaves=10,
)


def test_arguments_of_all_kinds_come_back(tmp_path: Path) -> None:
    @settings(max_examples=150)
    @given(plain)
    def check(value: Any) -> None:
        assert same(again(Sequential(Gain(1.0, value)).build((2,)), tmp_path)[0].note, value)

    check()


def test_one_array_for_two_layers_is_written_once_and_is_one_again(tmp_path: Path) -> None:
    W = np.ones((4, 4))
    second = again(Sequential(Gain(1.0, W), Gain(1.0, W), Gain(1.0, W.copy())).build((4,)), tmp_path)
    assert second[0].note is second[1].note is not second[2].note
    with np.load(tmp_path / "net.npz") as file:
        assert [name for name in file.files if "#" in name] == ["#argument/0", "#argument/1"]


class Slotted:
    __slots__ = ("a",)


def endless() -> Any:
    inner: list[Any] = []
    inner.append(inner)
    return inner


UNSAVED: dict[str, Any] = {
    "a lock": threading.Lock(),
    "an object": object(),
    "a lambda that is no initialiser": lambda x: x,
    "complex": 1j,
    "complex array": np.ones(2) * 1j,
    "texts in an array": np.array(["a"]),
    "objects in an array": np.array([None, {}], dtype=object),
    "a masked array": np.ma.masked_array([1.0, 2.0], [True, False]),
    "long double": np.longdouble(1),
    "bytes": b"abc",
    "a set": {1, 2},
    "a large integer": 2**300,
    "a list that holds itself": endless(),
    "an iterator": iter([1, 2]),
    "partial": functools.partial(he, shape=(1,)),
    "slots": Slotted(),
    "an enum of its own": type("Half", (float,), {})(0.5),
}


@pytest.mark.parametrize("name", UNSAVED)
def test_what_no_file_holds_is_saved_around_and_then_named(name: str, tmp_path: Path) -> None:
    def made(note: Any) -> Any:
        return Sequential(Affine(3), Residual(Gain(2.0, note=note)))

    first = made(UNSAVED[name]).build((4,), seed=1)
    first.save(tmp_path / "net.npz")
    first.save(tmp_path / "once more.npz")
    assert (tmp_path / "net.npz").read_bytes() == (tmp_path / "once more.npz").read_bytes()
    error = refused(lambda: tinynn.load(tmp_path / "net.npz"), tmp_path / "net.npz")
    assert "Sequential, argument 1: Residual, argument 0: 'tests.Gain', argument note" in str(error.where)
    assert "net.load(path)" in str(error.fix)
    assert " at 0x" not in str(error)
    second = made(None).build((4,), seed=2).load(tmp_path / "net.npz")
    assert second.predict(X).tobytes() == first.predict(X).tobytes()


def test_an_initialiser_that_is_not_registered_is_missed_when_the_network_is_built_again(tmp_path: Path) -> None:
    def narrow(rng: Any, shape: Any) -> Any:
        return rng.standard_normal(shape) / 100

    first = net(Affine(3, W=narrow), Affine(2, lambda rng, s: rng.random(s)), seed=1)
    second = again(first, tmp_path)
    assert second.predict(X).tobytes() == first.predict(X).tobytes()
    assert repr(second[0]) == repr(first[0]).replace("narrow", second[0].W_init.__name__)
    with pytest.raises(StateError, match="narrow was not saved") as caught:
        second.build((4,))
    assert "argument 0: Affine, argument W" in str(caught.value.where)
    assert second.predict(X).tobytes() == first.predict(X).tobytes()
    third = again(second, tmp_path)
    assert third.storage.params.tobytes() == first.storage.params.tobytes()


# --- settings that were changed


def test_settings_that_were_changed_come_back(tmp_path: Path) -> None:
    first = net(Affine(5), Dropout(0.5), Gain(), Affine(3), SoftmaxCrossEntropy())
    first[1].rate, first[2].factor, first[4].class_weights = 0.25, 3.0, [1.0, 2.0, 3.0]
    train(first, (X, T))
    second = again(first, tmp_path)
    assert (second[1].rate, second[2].factor, second[4].class_weights) == (0.25, 3.0, [1.0, 2.0, 3.0])
    assert train(first, (X, T)) == train(second, (X, T))
    for n in (first, second):
        n.build((4,), seed=3)
    assert train(first, (X, T)) == train(second, (X, T))
    third = again(first, tmp_path)
    assert train(first, (X, T)) == train(third, (X, T))


def test_a_size_that_was_changed_counts_from_the_next_build_on(tmp_path: Path) -> None:
    first = net(Affine(5), Affine(3))
    first[0].M = 7
    not_yet = again(first, tmp_path)
    assert (not_yet[0].M, not_yet[0].W.shape) == (7, (4, 5))
    assert not_yet.storage.params.tobytes() == first.storage.params.tobytes()
    first.build((4,))
    built = again(first, tmp_path)
    assert built.predict(X).tobytes() == first.predict(X).tobytes()
    assert built[0].W.shape == (4, 7)


def test_settings_are_told_apart_by_type(tmp_path: Path) -> None:
    first = Sequential(Gain(1.0, 0)).build((4,))
    for value in (False, 0.0, -0.0, None, (0,), [0], np.int8(0)):
        first[0].note = value
        assert same(again(first, tmp_path)[0].note, value)


@tinynn.register(name="tests.Tower")
class Tower(Network):
    """A container of one's own, with layers that are no arguments of it."""

    def __init__(self, width: int, *, last: Layer) -> None:
        self.first, self.last, self.width = Affine(width), last, width

    def wire(self, shape: Any) -> Any:
        self.between = Dropout(0.5)
        self.input_names, self.input_shapes = ("x",), (shape,)
        for name in ("first", "between", "last"):
            shape = self.sublayer(name, getattr(self, name), shape)
        return shape

    def run_forward(self, xs: Any) -> Any:
        y, caches = xs[0], []
        for layer in (self.first, self.between, self.last):
            y, cache = layer.forward(y)
            caches.append(cache)
        return y, caches, (y,)

    def run_backward(self, dy: Any, caches: Any) -> Any:
        for layer, cache in zip((self.last, self.between, self.first), reversed(caches), strict=True):
            dy = layer.backward(dy, cache)
        return None

    def run_predict(self, xs: Any) -> Any:
        return self.last.predict(self.between.predict(self.first.predict(xs[0])))


def test_a_container_of_ones_own_comes_back_with_layers_made_within_it(tmp_path: Path) -> None:
    first: Any = Tower(3, last=Sequential(Tanh(), Affine(2))).build((4,), seed=1)
    first.between.rate = 0.75
    first.last[1].M = 2
    train(first, (X,))
    second = again(first, tmp_path)
    assert second.between.rate == 0.75
    assert train(first, (X,)) == train(second, (X,))


# --- names


def test_a_layer_that_is_not_registered_is_saved_and_loaded_once_it_is(tmp_path: Path) -> None:
    class Own(Gain):
        """A layer of nobody's."""

    first = Sequential(Own(2.0)).build((4,))
    first.save(tmp_path / "net.npz")
    error = refused(lambda: tinynn.load(tmp_path / "net.npz"), tmp_path / "net.npz")
    assert "'Own'" in str(error.got)
    assert "Sequential, argument 0: Own" in str(error.where)
    assert "@tinynn.register above it" in str(error.fix)
    assert Sequential(Gain()).build((4,)).load(tmp_path / "net.npz")[0].calls == 0
    register(Own)
    assert tinynn.load(tmp_path / "net.npz").predict(X).tobytes() == first.predict(X).tobytes()


def test_a_layer_with_the_name_of_another_is_never_taken_for_it(tmp_path: Path) -> None:
    mine = type("Affine", (Affine,), {"__module__": "mine"})
    Sequential(mine(3)).build((4,)).save(tmp_path / "net.npz")
    error = refused(lambda: tinynn.load(tmp_path / "net.npz"), tmp_path / "net.npz")
    assert "of 'mine'" in error.what
    with pytest.raises(ConfigurationError, match="belongs to something else"):
        register(mine)
    register(name="tests.mine")(mine)
    assert type(again(Sequential(mine(3)).build((4,)), tmp_path)[0]) is mine


def test_registering() -> None:
    def again_defined(factor: float) -> Any:
        @register(name="tests.again")
        def initialiser(rng: Any, shape: Any) -> Any:
            return factor * np.ones(shape)

        return initialiser

    first, second = again_defined(1.0), again_defined(2.0)  # as in a notebook: the same one, defined again
    assert find("tests.again") is second
    assert name_of(first) == name_of(second) == "tests.again"
    assert register(Gain) is Gain  # and again, under another name
    register(name="tests.Gain")(Gain)
    assert name_of(Gain) == "tests.Gain"
    for wrong in (lambda: register("Gain"), lambda: register(Gain()), lambda: register(None, name=3)(Gain)):  # pyright: ignore[reportArgumentType, reportCallIssue]
        with pytest.raises(ConfigurationError):
            wrong()
    for name in ("", "a\nb", "x" * 201):
        with pytest.raises(ConfigurationError):
            register(name=name)(Gain)
    for name in (*tinynn.layers.__all__, *tinynn.losses.__all__, "Sequential", "Graph", "he", "constant"):
        with pytest.raises(ConfigurationError, match="belongs to something else"):
            register(name=name)(Gain)


def test_the_description_is_readable(tmp_path: Path) -> None:
    found = described(net(Affine(3)), tmp_path)
    assert json.dumps(found) == json.dumps(
        {"layer": "Sequential", "args": [{"layer": "Affine", "args": [3]}], "build": BUILD}
    )
    assert ARRAYS.keys() == {"0.W", "0.b"}
    assert found == AFFINE
