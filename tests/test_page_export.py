"""The page as one file: what it holds, and which networks it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.page_helpers import reader
from tinynn import (
    GELU,
    Affine,
    BatchNorm,
    ConfigurationError,
    Conv2D,
    DataError,
    Dropout,
    Embedding,
    Flatten,
    Graph,
    NotBuiltError,
    ReLU,
    Rescale,
    Reshape,
    Sequential,
    SoftmaxCrossEntropy,
)
from tinynn.app.page import document as module
from tinynn.app.page import export_html
from tinynn.app.page.document import document
from tinynn.app.page.export import chain
from tinynn.app.page.reader import check, named, read
from tinynn.testing import FakeDevice


def data_in(text: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_the_file_is_whole_and_asks_for_nothing(tmp_path: Path) -> None:
    path = export_html(reader(), tmp_path / "new" / "reader.html")
    assert path == tmp_path / "new" / "reader.html"
    text = path.read_text(encoding="utf-8")
    assert "connect-src 'none'" in text
    assert "<title>reader reads your handwriting</title>" in text
    said = data_in(text)
    assert (said["name"], said["classes"]) == ("reader", [*"0123456789"])
    assert [layer["kind"] for layer in said["layers"]] == ["rescale", "affine", "relu", "affine", "softmax"]
    assert [layer.get("name") for layer in said["layers"]] == [None, None, "2 ReLU", None, None]
    assert len(text) < 500_000
    export_html(reader(), path)  # an old one is replaced
    assert [entry.name for entry in path.parent.iterdir()] == ["reader.html"]


def test_no_name_gets_out_of_its_place() -> None:
    for name in ("</script><script>alert(1)</script>", "<!--", "$title ${x} $$", "\"&'>", "\u2028</SCRIPT ", "x" * 500):
        text = document(name, ["0", name], keeps=False)
        assert text.lower().count("<script") == 2
        assert text.lower().count("</script>") == 2
        assert "<!--" not in text
        assert data_in(text)["classes"] == ["0", name]
        shown = data_in(text)["name"]
        assert shown == name if len(name) <= 80 else shown == name[:80] + "..."


def test_the_hashes_are_those_of_what_stands_there() -> None:
    text = document("a", ["0", "1"], keeps=False)
    script = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    style = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    assert [module.digest(part) for part in (*script, *style)] == re.findall(r"'sha256-[^']+'", text)[:2]
    assert not re.search(r"\son\w+=|style=|javascript:", text.partition("<script type")[0])


class Scaled(ReLU):
    """A layer of the user's own, which JavaScript cannot know."""


@pytest.mark.parametrize(
    ("layer", "name"),
    [(GELU(), "layer 1: GELU()"), (Scaled(), "layer 1: Scaled()"), (Sequential(GELU()), "layer 1.0: GELU()")],
)
def test_a_layer_that_javascript_does_not_have_is_named(layer: Any, name: str, tmp_path: Path) -> None:
    net = Sequential(Affine(20), layer, Affine(10)).build((28, 28))
    with pytest.raises(ConfigurationError, match="not written in JavaScript") as caught:
        export_html(net, tmp_path / "net.html")
    assert caught.value.where == name
    assert "Affine" in str(caught.value.expected)
    assert not list(tmp_path.iterdir())


def test_networks_that_cannot_be_a_page_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.html"
    with pytest.raises(ConfigurationError, match="only a chain"):
        export_html(Graph(y=(Affine(10), "x")).build((784,)), path)
    with pytest.raises(ConfigurationError, match="networks that read digits"):
        export_html(Sequential(Affine(10)).build((4,)), path)
    with pytest.raises(NotBuiltError):
        export_html(Sequential(Affine(10)), path)
    broken = Sequential(Affine(10)).build((784,))
    broken[0].b[...] = np.inf
    with pytest.raises(DataError, match="not finite"):
        export_html(broken, path)
    with pytest.raises(DataError, match="cannot"):
        (tmp_path / "file").write_bytes(b"")
        export_html(reader(), tmp_path / "file" / "net.html")
    assert not path.exists()


def test_classes_have_the_names_that_the_network_knows() -> None:
    net = Sequential(Affine(2), SoftmaxCrossEntropy()).build((784,))
    for metadata, names in (
        ({"classes": ["sandal", "boot"]}, ("sandal", "boot")),
        ({"classes": ["a", "b", "c"]}, ("0", "1")),
        ({"classes": [1, 2]}, ("0", "1")),
        ({"classes": "ab"}, ("0", "1")),
        ({}, ("0", "1")),
    ):
        net.metadata = metadata
        assert check(net) == names


# --- which layers are shown


def test_shown_are_hidden_layers_after_their_activation() -> None:
    net = Sequential(
        *(Rescale(1 / 255), Reshape((1, 28, 28)), Conv2D(4, 3), BatchNorm(), ReLU(), Dropout(0.1)),
        *(Sequential(Flatten(), Affine(12), Affine(11), ReLU()), Affine(10), SoftmaxCrossEntropy()),
    ).build((28, 28))
    assert [name for name in named(chain(net)) if name] == ["4 ReLU", "6.1 Affine", "6.3 ReLU"]
    layers = read(net, np.full((28, 28), 200, np.uint8)).layers
    assert [one.values.shape for one in layers] == [(4, 26, 26), (12,), (11,)]
    assert all(one.values.dtype == np.float32 for one in layers)


def test_networks_without_anything_to_show(monkeypatch: pytest.MonkeyPatch) -> None:
    digit = np.zeros((28, 28), np.uint8)
    monkeypatch.setattr("tinynn.app.page.reader.MOST_SHOWN", 784)
    large = Sequential(Affine(785), ReLU(), Affine(2))
    for net in (Sequential(Flatten(), Affine(10)), Sequential(Affine(10), ReLU()), large):
        assert read(net.build((28, 28)), digit).layers == []
    own = Sequential(Reshape((2, 392)), Flatten(), Embedding(256, 1), Flatten(), Scaled(), Flatten(), Affine(3))
    assert [name for name in named(chain(own.build((28, 28)))) if name] == ["2 Embedding", "4 Scaled"]
    no_scores = Sequential(Reshape((784,)), Scaled()).build((28, 28))
    assert named(chain(no_scores)) == ["", ""]


def test_a_network_of_any_backend_and_layout_is_read() -> None:
    digit = np.random.default_rng(0).integers(0, 256, (28, 28)).astype(np.uint8)
    for shape in ((784,), (28, 28), (1, 28, 28), (1, 784)):
        net = Sequential(Rescale(1 / 255), Affine(8), ReLU(), Affine(4), SoftmaxCrossEntropy())
        on_host = read(net.build(shape, seed=1), digit)
        assert check(net) == ("0", "1", "2", "3")
        device = Sequential(Rescale(1 / 255), Affine(8), ReLU(), Affine(4), SoftmaxCrossEntropy())
        on_device = read(device.build(shape, seed=1, backend=FakeDevice()), digit)
        np.testing.assert_allclose(on_device.outputs, on_host.outputs, atol=1e-6)
        np.testing.assert_allclose(on_device.layers[0].values, on_host.layers[0].values, atol=1e-5)
