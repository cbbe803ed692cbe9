"""Descriptions of networks that nobody wrote: each is refused with the place, without much work, or is a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from misuse_helpers import X, net
from saving_helpers import BUILD, again, model, refused

import tinynn
from tinynn import Affine, Conv2D, DataError, Dropout, PReLU, ReLU, Residual, Sequential, Tanh
from tinynn.data import archive
from tinynn.init import constant
from tinynn.network import Network


def a_layer(name: Any, *args: Any, **more: Any) -> Any:
    return {"layer": name, "args": list(args), **more}


def chain(*layers: Any, **more: Any) -> Any:
    return {"layer": "Sequential", "args": list(layers), "build": BUILD, **more}


def nested(depth: int) -> Any:
    inner: Any = a_layer("Tanh")
    for _ in range(depth):
        inner = a_layer("Residual", inner)
    return chain(inner)


WRONG: dict[str, Any] = {
    "no object": [1],
    "nothing": None,
    "a number": 3,
    "no layer": {"build": BUILD},
    "a layer that is no network": a_layer("Affine", 3, build=BUILD),
    "an initialiser in its place": {"function": "he", "build": BUILD},
    "not built": {"layer": "Sequential", "args": [a_layer("Affine", 3)]},
    "built wrongly": chain(a_layer("Affine", 3), build={"shapes": [[4]]}),
    "os.system": a_layer("os.system", "touch /tmp/x", build=BUILD),
    "a builtin": chain(a_layer("eval", "1")),
    "a module of tinynn's": chain(a_layer("tinynn.layers.affine.Affine", 3)),
    "a method": chain(a_layer("Affine.__init__", 3)),
    "a name that is none": chain(a_layer(["Affine"], 3)),
    "the base of all": chain(a_layer("Layer")),
    "a function for a layer": chain(a_layer("he")),
    "a layer for an object": chain(a_layer("PReLU", {"object": "Affine", "kwargs": {"M": 3}})),
    "an object for a layer": chain(a_layer("constant", 0.5)),
    "another module": chain(a_layer("Affine", 3, module="os")),
    "a module that is none": chain(a_layer("Affine", 3, module=["tinynn"])),
    "too many arguments": chain(a_layer("Affine", 3, 4, 5, 6)),
    "unknown arguments": chain({"layer": "Affine", "kwargs": {"M": 3, "self": 1, "file": 2}}),
    "arguments that are none": chain({"layer": "Affine", "args": 3}),
    "arguments by no name": chain({"layer": "Affine", "kwargs": [["M", 3]]}),
    "unknown keys": chain(a_layer("Affine", 3, code="import os")),
    "two kinds at once": chain(a_layer("Affine", {"tuple": [3], "list": [3]})),
    "an unknown kind": chain(a_layer("Affine", {"pickle": "gASV"})),
    "a text for a size": chain(a_layer("Affine", "3")),
    "a size below 1": chain(a_layer("Affine", -3)),
    "a rate that is a text": chain(a_layer("Affine", 3), a_layer("Dropout", "half")),
    "a rate that is NaN": chain(a_layer("Affine", 3), a_layer("Dropout", {"float": "nan"})),
    "a float that is none": chain(a_layer("Dropout", {"float": "1e5"})),
    "a huge float": chain(a_layer("Dropout", 10**400)),
    "a huge integer": chain(a_layer("Affine", 2**257)),
    "a slice of four": chain(a_layer("tests.Gain", 1.0, {"slice": [1, 2, 3, 4]})),
    "a dictionary of lists": chain(a_layer("tests.Gain", 1.0, {"dict": [[[1], 2]]})),
    "a dictionary of no pairs": chain(a_layer("tests.Gain", 1.0, {"dict": [1, 2]})),
    "a number of another dtype": chain(a_layer("tests.Gain", 1.0, {"scalar": ["object", 2]})),
    "a number out of range": chain(a_layer("tests.Gain", 1.0, {"scalar": ["uint8", 256]})),
    "an array that is not there": chain(a_layer("Affine", 3, {"array": "#argument/0"})),
    "a parameter for an argument": chain(a_layer("Affine", 3, {"array": "0.W"})),
    "an array of no name": chain(a_layer("Affine", 3, {"array": ["0.W"]})),
    "an initialiser of no name": chain(a_layer("Affine", 3, {"initialiser": 3})),
    "a layer as a size": chain(a_layer("Affine", a_layer("Affine", 3))),
    "deep": nested(220),
    "deeper than one can build": nested(190),
    "parameters beyond all memory": chain(a_layer("Affine", 10**12)),
    "parameters of other shapes": chain(a_layer("Affine", 4)),
    "parameters that are missing": chain(a_layer("Affine", 3), a_layer("Affine", 3)),
    "parameters too many": chain(a_layer("Tanh")),
    "an embedding of everything": chain(a_layer("Embedding", 10**15, 10**15)),
    "inputs beyond all memory": chain(a_layer("Affine", 3), build=BUILD | {"shapes": [[10**12]]}),
    "inputs of many axes": chain(a_layer("Affine", 3), build=BUILD | {"shapes": [[2] * 64]}),
    "inputs of huge axes": chain(a_layer("Affine", 3), build=BUILD | {"shapes": [[2**64]]}),
    "no inputs": chain(a_layer("Affine", 3), build=BUILD | {"shapes": []}),
    "inputs of size 0": chain(a_layer("Affine", 3), build=BUILD | {"shapes": [[0]]}),
    "inputs of truth": chain(a_layer("Affine", 3), build=BUILD | {"shapes": [[True, True]]}),
    "float16": chain(a_layer("Affine", 3), build=BUILD | {"dtype": "float16"}),
    "a dtype of objects": chain(a_layer("Affine", 3), build=BUILD | {"dtype": "O"}),
    "a dtype that is none": chain(a_layer("Affine", 3), build=BUILD | {"dtype": ["float32"]}),
    "another precision": chain(a_layer("Affine", 3), build=BUILD | {"precision": "fp8"}),
    "a precision that is none": chain(a_layer("Affine", 3), build=BUILD | {"precision": ["float32"]}),
    "a seed below 0": chain(a_layer("Affine", 3), build=BUILD | {"seed": -1}),
    "a seed of truth": chain(a_layer("Affine", 3), build=BUILD | {"seed": True}),
    "needs_dx of any kind": chain(a_layer("Affine", 3), build=BUILD | {"needs_dx": 1}),
    "a setting that is not there": chain(a_layer("Affine", 3, settings={"forward": 1})),
    "a setting of the machinery": chain(a_layer("Affine", 3, settings={"_site": None})),
    "the class as a setting": chain(a_layer("Affine", 3, settings={"__class__": "Tanh"})),
    "a setting of another kind": chain(a_layer("Affine", 3, settings={"M": {"function": "he"}})),
    "a setting that does not fit": chain(a_layer("Affine", 3, settings={"M": 10**12})),
    "a setting of a wrong type": chain(a_layer("Affine", 3, settings={"M": "three"})),
    "layers in a setting": chain(a_layer("Affine", 3), settings={"layers": {"tuple": []}}),
    "settings that are none": chain(a_layer("Affine", 3, settings=[1])),
    "settings of other layers": chain(a_layer("Affine", 3), after={"5": {"M": 3}}),
    "settings of nothing": chain(a_layer("Affine", 3), after=[]),
    "a loss in the middle": chain(a_layer("SoftmaxCrossEntropy"), a_layer("Affine", 3)),
    "no layers": chain(),
    "a loop of nodes": {"layer": "Graph", "kwargs": {"a": [a_layer("Affine", 3), "a"]}, "build": BUILD},
    "a graph of many nodes": {
        "layer": "Graph",
        "kwargs": {f"n{i}": [a_layer("Add"), *["x"] * 90] for i in range(2000)},
        "build": BUILD,
    },
    "a window of all there is": chain(
        a_layer("MaxPool2D", 10**9, None, 5 * 10**8), build=BUILD | {"shapes": [[1, 4, 4]]}
    ),
    "a window of many places": chain(a_layer("AveragePool2D", 10**4, 1, 5000), build=BUILD | {"shapes": [[1, 4, 4]]}),
    "images of many rows": chain(a_layer("Conv2D", 1, 1), build=BUILD | {"shapes": [[1, 10**9, 1]]}),
    "images that grow": chain(
        a_layer("Upsample2D", 10**6), a_layer("AveragePool2D", 1), build=BUILD | {"shapes": [[1, 9, 9]]}
    ),
    "padding without end": chain(a_layer("AveragePool2D", 3, 1, 10**10), build=BUILD | {"shapes": [[1, 4, 4]]}),
}


GUARDED = {
    "deep": "nested too deep",
    "a graph of many nodes": "a graph is too large",
    "a huge integer": "an integer is too large",
    "images of many rows": "larger than a file may ask for",
    "parameters beyond all memory": "does not fit the network",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_description_that_nobody_wrote_is_refused(name: str, tmp_path: Path) -> None:
    path = model(tmp_path / "net.npz", WRONG[name])
    error = refused(lambda: tinynn.load(path), path)
    assert GUARDED.get(name, "") in error.what


def test_the_description_that_they_are_made_of_is_right(tmp_path: Path) -> None:
    assert tinynn.load(model(tmp_path / "net.npz")).predict(X).shape == (6, 3)
    images = chain(a_layer("MaxPool2D", 2), build=BUILD | {"shapes": [[1, 4, 4]]})
    assert tinynn.load(model(tmp_path / "net.npz", images, {})).predict(np.ones((2, 1, 4, 4))).shape == (2, 1, 2, 2)
    assert tinynn.load(model(tmp_path / "net.npz", nested(60), {})).predict(X).shape == X.shape


def test_large_images_are_within_the_bounds(tmp_path: Path) -> None:
    layers = [Conv2D(1, 3, padding="same") for _ in range(60)]
    first = Sequential(*layers, tinynn.AveragePool2D(2), tinynn.MaxPool2D(8)).build((1, 1024, 1024))
    assert again(first, tmp_path).storage.params.tobytes() == first.storage.params.tobytes()


def test_one_large_array_for_very_many_layers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinynn.network.restoring.AGAIN", 5000)  # 2 million, which would take this test a while
    weights = {"#argument/0": np.zeros(1000, np.uint8)}
    losses = [a_layer("SoftmaxCrossEntropy", {"array": "#argument/0"}) for _ in range(15)]
    path = model(tmp_path / "net.npz", chain(*losses), weights)
    assert "large arrays" in refused(lambda: tinynn.load(path), path).what


NAMES = st.sampled_from(
    ["Affine", "Sequential", "Residual", "Graph", "Dropout", "PReLU", "Conv2D", "Tanh", "he", "os", ""]
)
KEYS = st.sampled_from(
    [
        "layer",
        "args",
        "kwargs",
        "settings",
        "module",
        "after",
        "build",
        "array",
        "dict",
        "float",
        "function",
        "initialiser",
        "object",
        "scalar",
        "slice",
        "tuple",
        "unsaved",
        "M",
        "shapes",
        "dtype",
    ]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text() | NAMES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(KEYS | st.text(), inner, max_size=4)
        | st.fixed_dictionaries({"layer": NAMES, "args": st.lists(inner, max_size=3)})
        | st.fixed_dictionaries({"layer": NAMES, "kwargs": st.dictionaries(st.text(), inner, max_size=3)})
    ),
    max_leaves=12,
)
edits = st.lists(st.tuples(st.integers(0, 200), json_values), max_size=3)


def changed(value: Any, places: dict[int, Any], counter: list[int]) -> Any:
    """The value with others in some places, counted in the order of the text."""
    counter[0] += 1
    if counter[0] in places:
        return places[counter[0]]
    if isinstance(value, list):
        return [changed(part, places, counter) for part in value]
    if isinstance(value, dict):
        return {key: changed(part, places, counter) for key, part in value.items()}
    return value


def test_whatever_json_describes_is_refused_or_is_a_network(tmp_path: Path) -> None:
    rich = net(Affine(3, W=np.ones((4, 3))), Dropout(0.5), PReLU(constant(0.5)), Sequential(ReLU(), Residual(Tanh())))
    rich[1].rate = 0.25
    rich.save(tmp_path / "rich.npz")
    header, arrays = archive.read(tmp_path / "rich.npz")
    path, made = tmp_path / "net.npz", [0, 0]

    @settings(max_examples=400)
    @given(json_values, edits, st.booleans())
    def check(value: Any, places: Any, whole: bool) -> None:
        network = value if whole else changed(header["network"], dict(places), [0])
        model(path, network, arrays)
        try:
            loaded = tinynn.load(path)
        except DataError as error:
            made[0] += 1
            assert error.path == str(path)
        else:
            made[1] += 1
            assert isinstance(loaded, Network)

    check()
    assert min(made) > 20


def test_nothing_is_imported_because_a_file_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("evil", "evil.Affine", "evil:Affine"):
        path = model(tmp_path / "net.npz", chain(a_layer(name, 3, module="evil")))
        refused(lambda path=path: tinynn.load(path), path)
