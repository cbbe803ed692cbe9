"""Descriptions of networks, part by part: what is read back as what, where a wrong part is said to be, and bounds."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from saving_helpers import AFFINE, ARRAYS, BUILD, Gain, again, model, refused

import tinynn
from tinynn import Affine, ReLU, Sequential, StateError
from tinynn.data import archive
from tinynn.network.restoring import Reader, complaint
from tinynn.network.structure import Writer, text_of

GAIN = {"layer": "tests.Gain"}


def gain(note: Any) -> dict[str, Any]:
    return {**GAIN, "kwargs": {"note": note}}


def noted(note: Any, **arrays: np.ndarray) -> Any:
    """What an argument is read as."""
    return Reader({f"#argument/{name}": array for name, array in arrays.items()}).read(gain(note)).note


def where(given: Any, arrays: dict[str, np.ndarray] | None = None) -> str:
    """Where the first wrong part of a description is said to be."""
    return str(refused(lambda: Reader(arrays or {}).read(given)).where)


# --- what is read as what


def test_every_kind_of_value() -> None:
    for value in (None, True, 3, -(2**256) + 1, 0.5, "text", [1, [2.5, "x"]]):
        assert noted(value) == value and type(noted(value)) is type(value)
    assert noted({"tuple": [1, {"tuple": []}]}) == (1, ())
    assert noted({"slice": [1, None, 2]}) == slice(1, None, 2)
    assert noted({"dict": [["a", 1], [{"tuple": [1]}, {"float": "-inf"}]]}) == {"a": 1, (1,): -math.inf}
    assert noted({"float": "inf"}) == math.inf and math.isnan(noted({"float": "nan"}))
    assert noted({"function": "he"}) is tinynn.init.he
    for name, value in (("float32", 0.5), ("uint8", 255), ("bool", True), ("int64", -3)):
        read = noted({"scalar": [name, value]})
        assert read.dtype == name and read == value
    array = np.arange(3)
    assert noted({"array": "#argument/0"}, **{"0": array}) is array
    layer = noted({"layer": "Affine", "args": [3]})
    assert type(layer) is Affine and repr(layer) == "Affine(3)"
    forgotten = noted({"initialiser": "mine"})
    assert forgotten.__name__ == forgotten.__qualname__ == "mine"
    with pytest.raises(StateError, match="the initialiser mine was not saved") as caught:
        forgotten()
    assert caught.value.where == "'tests.Gain', argument note"


def test_layers_are_listed_inner_ones_first_with_their_descriptions() -> None:
    inner, outer = {"layer": "ReLU"}, {"layer": "Affine", "args": [3]}
    described = {"layer": "Sequential", "args": [inner, gain(outer)]}
    reader = Reader({})
    net = reader.read(described)
    assert [type(layer) for layer, _ in reader.layers] == [ReLU, Affine, Gain, Sequential]
    assert [given for _, given in reader.layers] == [inner, outer, gain(outer), described]
    assert reader.layers[-1][0] is net


# --- where a wrong part is

WRONG = {"odd": 1}
PLACES: dict[str, tuple[Any, str]] = {
    "the whole": (WRONG, "the network"),
    "an argument": ({"layer": "Affine", "args": [WRONG]}, "Affine, argument 0"),
    "by name": (gain(WRONG), "'tests.Gain', argument note"),
    "a list": (gain([0, [1, WRONG]]), "'tests.Gain', argument note[1][1]"),
    "a tuple": (gain({"tuple": [0, WRONG]}), "'tests.Gain', argument note[1]"),
    "a slice": (gain({"slice": [0, 1, WRONG]}), "'tests.Gain', argument note[2]"),
    "a scalar": (gain({"scalar": ["int8", WRONG]}), "'tests.Gain', argument note[1]"),
    "a layer": (
        {"layer": "Sequential", "args": [{"layer": "Affine", "args": [3, WRONG]}]},
        "Sequential, argument 0: Affine, argument 1",
    ),
    "an object": (
        gain({"object": "constant", "kwargs": {"value": WRONG}}),
        "'tests.Gain', argument note, argument value",
    ),
    "two ends of a slice": (gain({"slice": [0, 1]}), "'tests.Gain', argument note"),
    "a tuple of no list": (gain({"tuple": 3}), "'tests.Gain', argument note"),
    "a dict of no pairs": (gain({"dict": [1]}), "'tests.Gain', argument note"),
    "a dict of keys that cannot be": (gain({"dict": [[[1], 2]]}), "'tests.Gain', argument note"),
    "another float": (gain({"float": "1.5"}), "'tests.Gain', argument note"),
    "one part of a scalar": (gain({"scalar": ["int8"]}), "'tests.Gain', argument note"),
    "three parts of a scalar": (gain({"scalar": ["int8", 1, 2]}), "'tests.Gain', argument note"),
    "a scalar of another type": (gain({"scalar": ["object", 1]}), "'tests.Gain', argument note"),
    "a scalar that is a text": (gain({"scalar": ["int8", "1"]}), "'tests.Gain', argument note"),
    "a scalar that does not fit": (gain({"scalar": ["int8", 300]}), "'tests.Gain', argument note"),
    "an integer": (gain(2**256), "'tests.Gain', argument note"),
    "a negative integer": (gain(-(2**256)), "'tests.Gain', argument note"),
    "a float": (gain(math.inf), "'tests.Gain', argument note"),
    "two kinds in one": (gain({"tuple": [], "slice": [1, 2, 3]}), "'tests.Gain', argument note"),
    "an array that is not there": (gain({"array": "#argument/0"}), "'tests.Gain', argument note"),
    "an array by number": (gain({"array": 0}), "'tests.Gain', argument note"),
    "a function that nobody knows": (gain({"function": "os.system"}), "'tests.Gain', argument note"),
    "a function by number": (gain({"function": 3}), "'tests.Gain', argument note"),
    "an initialiser by number": (gain({"initialiser": 3}), "'tests.Gain', argument note"),
    "an unsaved one": (gain({"unsaved": "<lock>"}), "'tests.Gain', argument note"),
    "an object that is a layer": (gain({"object": "Affine", "args": [3]}), "'tests.Gain', argument note"),
    "an object that is a function": (gain({"object": "he"}), "'tests.Gain', argument note"),
    "a layer that is none": ({"layer": "constant", "args": [1.0]}, "constant"),
    "a layer that nobody knows": ({"layer": "Other"}, "Other"),
    "a layer with a name that is none": ({"layer": 3}, "3"),
    "a layer of another module": ({"layer": "Affine", "module": "mine", "args": [3]}, "Affine"),
    "arguments in no list": ({"layer": "Affine", "args": {}}, "Affine"),
    "named arguments in a list": ({"layer": "Affine", "kwargs": []}, "Affine"),
    "more than a layer has": ({"layer": "Affine", "args": [3], "note": 1}, "Affine"),
    "arguments that are refused": ({"layer": "Affine", "args": [-1]}, "Affine"),
    "too few arguments": ({"layer": "Affine"}, "Affine"),
}


@pytest.mark.parametrize("case", PLACES)
def test_the_place_of_what_is_wrong_is_named(case: str) -> None:
    given, place = PLACES[case]
    assert where(given) == place


def test_the_place_is_named_in_the_file_too(tmp_path: Path) -> None:
    net = {"layer": "Sequential", "args": [{"layer": "Affine", "args": [WRONG]}], "build": BUILD}
    error = refused(lambda: tinynn.load(model(tmp_path / "net.npz", net)), tmp_path / "net.npz")
    assert "Sequential, argument 0: Affine, argument 0" in str(error.where)


def test_an_array_of_the_network_is_no_argument() -> None:
    array = np.ones(3)
    assert "argument note" in where(gain({"array": "0.W"}), {"0.W": array, "#argument/0": array})
    assert "argument note" in where(gain({"array": "#best/0.W"}), {"#best/0.W": array})


# --- bounds


def nested(value: Any, levels: int) -> Any:
    for _ in range(levels):
        value = [value]
    return value


def test_how_deep_a_description_may_be() -> None:
    # 200 levels, of lists or of layers.
    value = Reader({}).read(nested(0, 200))
    for _ in range(200):
        (value,) = value
    assert value == 0
    error = refused(lambda: Reader({}).read(nested(0, 201)))
    assert str(error.where) == "[0]" * 201
    assert "nested too deep" in error.args[0]
    deep: Any = 0
    for _ in range(150):
        deep = {"tuple": [deep]}
    assert "nested too deep" in refused(lambda: Reader({}).read(deep)).args[0]
    for _ in range(150):
        deep = {"dict": [["a", deep]]}
    refused(lambda: Reader({}).read(deep))
    layer: Any = {"layer": "ReLU"}
    for _ in range(200):
        layer = gain(layer)
    assert type(Reader({}).read(layer)) is Gain
    layer = gain(layer)
    assert "nested too deep" in refused(lambda: Reader({}).read(layer)).args[0]


def test_a_long_place_is_cut_in_the_middle() -> None:
    given: Any = WRONG
    for _ in range(40):
        given = gain(given)
    short = "'tests.Gain', argument note: " * 40
    place = where(given)
    assert place == f"{short[:300]} ... {short[:-2][-600:]}"
    given = WRONG
    for _ in range(34):
        given = gain(given)
    assert where(given) == ("'tests.Gain', argument note: " * 34)[:-2]  # 984 letters: all of them


def test_large_arrays_may_be_given_to_few_layers() -> None:
    array = np.zeros(2**18)
    for times, taken in ((17, True), (18, False)):  # the first is free, then 2^21 elements and eight times the array
        given = {"layer": "Sequential", "args": [gain({"array": "#argument/0"}) for _ in range(times)]}
        reader = Reader({"#argument/0": array, "0.W": np.zeros(2**22)})
        if taken:
            assert len(reader.read(given).layers) == times
        else:
            assert where_large(reader, given) == "Sequential, argument 17: 'tests.Gain', argument note"
    others = {f"#argument/{i}": array for i in range(30)}
    given = {"layer": "Sequential", "args": [gain({"array": name}) for name in others]}
    assert len(Reader(others).read(given).layers) == 30  # each of them once


def where_large(reader: Reader, given: Any) -> str:
    error = refused(lambda: reader.read(given))
    assert "many layers" in error.args[0]
    return str(error.where)


def test_a_graph_may_have_so_many_nodes_times_what_they_read() -> None:
    graph: Any = {"layer": "Graph", "kwargs": {f"n{i}": {"tuple": [{"layer": "ReLU"}, "x"]} for i in range(50)}}
    assert type(Reader({}).read(graph)) is tinynn.Graph
    huge: Any = {
        "layer": "Graph",
        "kwargs": {f"n{i}": {"tuple": [{"layer": "ReLU"}, *["x"] * 4095]} for i in range(64)},
    }
    assert type(Reader({}).read(huge)) is tinynn.Graph  # 64 times 64 * 4096 is 2^24
    huge["kwargs"]["n0"]["tuple"].append("x")
    error = refused(lambda: Reader({}).read(huge))
    assert error.args[0].startswith("a graph is too large") and error.got == "64 nodes"


def test_words_for_what_is_wrong() -> None:
    class Silent:
        def __repr__(self) -> str:
            raise ValueError

    class Angry(ValueError):
        def __str__(self) -> str:
            raise RuntimeError

    assert complaint("x" * 198) == repr("x" * 198)
    assert complaint("x" * 199) == "'" + "x" * 196 + "..."
    assert complaint(ValueError("one\ntwo")) == "ValueError: one"
    assert complaint(Silent()) == "Silent" and complaint(Angry()) == "Angry"
    assert text_of("x" * 198) == repr("x" * 198)
    assert text_of("x" * 199) == "'" + "x" * 196 + "..."
    assert text_of(Silent()) == "Silent"
    assert text_of(test_words_for_what_is_wrong) == "test_words_for_what_is_wrong"
    assert text_of([1, 2]) == "[1, 2]"
    assert re.fullmatch(r"<object object>, <object object>", ", ".join(text_of(object()) for _ in range(2)))


# --- what is written


def test_values_as_they_are_written() -> None:
    writer = Writer(tinynn.backend.get_backend("numpy", "float32"), set())
    array = np.arange(3)
    for value, written in (
        (2**256 - 1, 2**256 - 1),
        (-(2**256) + 1, -(2**256) + 1),
        (2**256, {"unsaved": str(2**256)}),
        (math.inf, {"float": "inf"}),
        (0.5, 0.5),
        ((1, [2]), {"tuple": [1, [2]]}),
        ({"a": (1,)}, {"dict": [["a", {"tuple": [1]}]]}),
        (slice(1, None, 2), {"slice": [1, None, 2]}),
        (np.float32(0.5), {"scalar": ["float32", 0.5]}),
        (np.float64(math.nan), {"scalar": ["float64", {"float": "nan"}]}),
        (array, {"array": "#argument/0"}),
        (np.array(["a"]), {"unsaved": "array(['a'], dtype='<U1')"}),
        (array, {"array": "#argument/0"}),
        (array[:2], {"array": "#argument/1"}),
        (tinynn.init.he, {"function": "he"}),
        (len, {"unsaved": "len"}),
    ):
        assert writer.write(value) == written
    assert writer.arrays["#argument/0"] is not None and writer.arrays["#argument/1"].tolist() == [0, 1]
    assert list(writer.arrays) == ["#argument/0", "#argument/1"]
    drawn = Writer(tinynn.backend.get_backend("numpy", "float32"), {id(len)})
    assert drawn.write(len) == {"initialiser": "len"} and drawn.write(max) == {"unsaved": "max"}


def test_lists_are_written_to_a_hundred_levels() -> None:
    writer = Writer(tinynn.backend.get_backend("numpy", "float32"), set())
    assert writer.write(nested(0, 100)) == nested(0, 100)
    written = writer.write(nested(0, 101))
    assert written == nested({"unsaved": "[0]"}, 100)
    for levels, last in ((100, 0), (101, {"unsaved": "{'a': 0}"})):
        value: Any = 0
        expected: Any = last
        for _ in range(levels):
            value = {"a": value}
        for _ in range(100):
            expected = {"dict": [["a", expected]]}
        assert writer.write(value) == expected


# --- settings


def test_settings_in_a_file_are_numbers_of_the_layer(tmp_path: Path) -> None:
    def changed(settings: Any, after: Any = None) -> Any:
        layer = {"layer": "LeakyReLU", "args": [0.5], "settings": settings}
        described = {"layer": "Sequential", "args": [AFFINE["args"][0], layer], "build": BUILD}
        described |= {} if after is None else {"after": after}
        return lambda: tinynn.load(model(tmp_path / "net.npz", described, ARRAYS))

    assert changed({})().layers[1].slope == 0.5
    assert changed({"slope": 0.25})().layers[1].slope == 0.25
    assert changed({}, {"1": {"slope": 0.75}})().layers[1].slope == 0.75
    for settings in ([], {"slop": 1}, {"slope": {"layer": "ReLU"}}, {"forward": 1}, {"dtype": "float32"}):
        error = refused(changed(settings), tmp_path / "net.npz")
        assert "LeakyReLU" in str(error.where)
        error = refused(changed({}, {"1": settings}), tmp_path / "net.npz")
        assert "layer 1" in str(error.where)
    error = refused(changed({"slope": WRONG}), tmp_path / "net.npz")
    assert str(error.where).endswith("LeakyReLU(0.5), setting 'slope'")
    error = refused(changed({}, {"1": {"slope": WRONG}}), tmp_path / "net.npz")
    assert str(error.where).endswith("layer 1, setting 'slope'")
    for after in ([], {"2": {}}, {"x": {"slope": 0.5}}):
        error = refused(changed({}, after), tmp_path / "net.npz")
        assert "settings of layers that are not there" in error.args[0] and error.expected == ", 0, 1"
    error = refused(changed({}, {"": {"slope": 1}}), tmp_path / "net.npz")
    assert str(error.where).endswith("the network")


def test_settings_of_any_simple_kind_are_kept(tmp_path: Path) -> None:
    layer = Gain(1.0, (1, [2.0, "a"]))
    net: Any = Sequential(layer).build((3,))
    for value in ((1, [3.0, "b"]), None, "text", np.float32(0.5), True, [], 7):
        layer.note = value
        read = again(net, tmp_path).layers[0].note
        assert read == value and type(read) is type(value)
    layer.note = object()  # which no file holds: then what the layer was made with
    assert again(net, tmp_path).layers[0].note == (1, [2.0, "a"])
    layer.note = {"a": 1}
    assert again(net, tmp_path).layers[0].note == (1, [2.0, "a"])


class Unregistered(Gain):
    """A layer whose class no file names by more than its name and its module."""


def test_settings_of_a_layer_that_is_not_registered_are_written_too(tmp_path: Path) -> None:
    layer = Unregistered(2.0)
    net = Sequential(layer).build((3,))
    layer.factor = 3.0
    net.save(tmp_path / "net.npz")
    (described,) = archive.read_header(tmp_path / "net.npz")["network"]["args"]
    assert described == {
        "layer": "Unregistered",
        "module": __name__,
        "args": [2.0],
        "settings": {"factor": 3.0},
    }
