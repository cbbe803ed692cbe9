"""Pictures of what layers hold and do: the first weights as images, one example on its way through a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_helpers import assert_complete
from devices import DEVICES, device_of
from matplotlib.image import imread
from picture_helpers import boxes, inside, keep_figures, texts

from tinynn import (
    SGD,
    Add,
    Affine,
    BatchNorm,
    ConfigurationError,
    Conv2D,
    DataError,
    Dropout,
    Embedding,
    Flatten,
    Graph,
    MaxPool2D,
    NotBuiltError,
    ReLU,
    Rescale,
    Reshape,
    Residual,
    Sequential,
    ShapeError,
    SoftmaxCrossEntropy,
    Tanh,
    fit,
    pictures,
)
from tinynn.network.observed import layer_outputs
from tinynn.pictures import first_weights, way
from tinynn.testing import FakeDevice

RNG = np.random.default_rng(2)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    return keep_figures(monkeypatch, first_weights, way)


def tiles(axes: Any) -> list[np.ndarray]:
    return [np.ma.getdata(image.get_array()) for image in axes.images]


# --- weights


def test_each_column_of_W_is_an_image(drawn: list[Any], tmp_path: Path) -> None:
    W = RNG.standard_normal((6 * 7, 5))
    pictures.weights(W, tmp_path / "w.png", (6, 7), columns=2, title="A title")
    axes, scale = drawn[0].axes
    for k, tile in enumerate(tiles(axes)):
        assert tile.tolist() == W[:, k].reshape(6, 7).tolist()
    assert len(axes.images) == 5
    assert texts(axes) == ["A title", "weights of 5 units"]
    found = boxes(drawn[0], axes.images)
    rows = [round(box.y0) for box in found]
    assert [rows.count(y) for y in sorted(set(rows), reverse=True)] == [2, 2, 1]
    assert found[0].height / found[0].width == pytest.approx(6 / 7, rel=0.03)
    for k, box in enumerate(found := [*found, *boxes(drawn[0], [*axes.texts, scale])]):
        assert not [other for other in found[k + 1 :] if box.overlaps(other)]
    assert inside(drawn[0], [*axes.images, *axes.texts])
    with_numbers = scale.get_tightbbox()
    assert with_numbers.x1 <= drawn[0].bbox.x1
    assert with_numbers.y0 >= 0


def test_white_is_0_and_all_have_one_scale(drawn: list[Any], tmp_path: Path) -> None:
    W = np.zeros((64, 3))
    W[:, 0], W[:, 1] = 2.0, -1.0
    pictures.weights(W, tmp_path / "w.png")
    shades = [image.to_rgba(image.get_array())[0, 0, :3] for image in drawn[0].axes[0].images]
    red, blue, white = shades
    assert red[0] > red[2] + 0.2
    assert blue[2] > blue[0] + 0.1
    assert white.min() > 0.95
    assert {image.get_clim() for image in drawn[0].axes[0].images} == {(-2.0, 2.0)}


@pytest.mark.parametrize("W", [np.zeros((64, 2)), np.full((64, 2), np.nan)])
def test_weights_that_say_nothing_are_drawn_too(W: np.ndarray, drawn: list[Any], tmp_path: Path) -> None:
    pictures.weights(W, tmp_path / "w.png")
    assert drawn[0].axes[0].images[0].get_clim() == (-1.0, 1.0)
    assert boxes(drawn[0], drawn[0].axes)


def test_one_wild_weight_does_not_pale_the_others(drawn: list[Any], tmp_path: Path) -> None:
    W = RNG.uniform(-1, 1, (64, 100))
    W[3, 4] = 1e6
    pictures.weights(W, tmp_path / "w.png")
    assert drawn[0].axes[0].images[0].get_clim()[1] <= 1.0


def test_the_first_units_of_many(drawn: list[Any], tmp_path: Path) -> None:
    pictures.weights(RNG.standard_normal((64, 30)), tmp_path / "w.png", count=7)
    assert len(drawn[0].axes[0].images) == 7
    assert texts(drawn[0].axes[0]) == ["weights of the first 7 of 30 units"]


@pytest.mark.parametrize(
    ("layers", "shape", "size"),
    [
        ((Rescale(0.5), Affine(4), ReLU()), (6, 7), (6, 7)),
        ((Reshape((1, 6, 7)), Affine(4)), (42,), (6, 7)),
        ((Flatten(), Affine(4)), (6, 7), (6, 7)),
        ((Flatten(), Affine(4)), (1, 6, 7), (6, 7)),
        ((Affine(4),), (64,), (8, 8)),
        ((Affine(4),), (3, 6, 7), (18, 7)),  # three colours, one above the other
        ((BatchNorm(), Affine(4)), (64,), (8, 8)),
    ],
)
def test_a_network_knows_the_shape_of_its_images(
    layers: Any, shape: Any, size: Any, drawn: list[Any], tmp_path: Path
) -> None:
    for backend in ("numpy", FakeDevice()):
        net = Sequential(*[type(layer)(*layer._arguments[0]) for layer in layers]).build(shape, backend=backend, seed=3)
        pictures.weights(net, tmp_path / "w.png")
        W = next(view for name, view in net.storage.arrays().items() if name.endswith(".W"))
        assert [tile.tolist() for tile in tiles(drawn[-1].axes[0])] == [w.reshape(size).tolist() for w in W.T]


def test_filters_have_their_channels_side_by_side(drawn: list[Any], tmp_path: Path) -> None:
    net = Sequential(Conv2D(4, (3, 2)), ReLU()).build((2, 8, 8), seed=1)
    pictures.weights(net, tmp_path / "w.png")
    W = net[0].W
    assert [t.tolist() for t in tiles(drawn[0].axes[0])] == [np.hstack([f[0], f[1]]).tolist() for f in W]


@pytest.mark.parametrize(
    ("net", "options", "kind", "says"),
    [
        (np.zeros((50, 3)), {}, ShapeError, "no square image"),
        (np.zeros((64, 3)), {"shape": (8, 9)}, ShapeError, "that many pixels"),
        (np.zeros((64, 3)), {"shape": (64,)}, ShapeError, "that many pixels"),
        (np.zeros((64, 3)), {"shape": 64}, ShapeError, "that many pixels"),
        (np.zeros((64, 3)), {"shape": (8.0, 8)}, ShapeError, "that many pixels"),
        (np.zeros((64, 3)), {"shape": (-8, -8)}, ShapeError, "that many pixels"),
        (np.ones((64, 3), bool), {}, ShapeError, "no images"),
        ([[1], [2, 3]], {}, ShapeError, "no array"),
        (np.zeros(64), {}, ShapeError, "no images"),
        (np.zeros((2, 3, 4)), {}, ShapeError, "no images"),
        (np.zeros((64, 0)), {}, ShapeError, "no images"),
        (np.zeros((4, 1, 3, 3)), {"shape": (3, 3)}, ShapeError, "where a shape is given"),
        (np.full((64, 3), "a"), {}, ShapeError, "no images"),
        (Sequential(ReLU()).build((64,)), {}, ConfigurationError, "no weights"),
        (Sequential(Affine(3)), {}, NotBuiltError, "before it was built"),
        (Sequential(Affine(3)).build((50,)), {}, ShapeError, "no square image"),
        (np.zeros((64, 3)), {"count": 0}, ConfigurationError, "count"),
        (np.zeros((64, 3)), {"columns": -1}, ConfigurationError, "columns"),
    ],
)
def test_weights_refuses_what_it_cannot_draw(net: Any, options: Any, kind: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(kind, match=says) as caught:
        pictures.weights(net, tmp_path / "w.png", **options)
    assert_complete(caught.value)
    assert not list(tmp_path.iterdir())


# --- activations


def reader(backend: Any = "numpy") -> Sequential:
    return Sequential(
        Reshape((1, 8, 8)),
        Rescale(1 / 255),
        Conv2D(3, 3),
        ReLU(),
        MaxPool2D(2),
        Dropout(0.5),
        Affine(30),
        Tanh(),
        Residual(Affine(30)),
        Affine(10),
        SoftmaxCrossEntropy(),
    ).build((8, 8), backend=backend, seed=1)


IMAGE = RNG.integers(0, 256, (8, 8)).astype(np.uint8)


@pytest.mark.parametrize("backend", ["numpy", *DEVICES])
def test_the_way_shows_what_each_layer_puts_out(backend: str, drawn: list[Any], tmp_path: Path) -> None:
    net = reader(backend if backend == "numpy" else device_of(backend))
    names = [f"class {c}" for c in range(10)]
    pictures.activations(net, IMAGE, tmp_path / "a.png", names=names, title="A title")
    (axes,) = drawn[0].axes
    said = texts(axes)
    assert said[0] == "A title"
    titled = [text for text in said if (text[:1].isdigit() and "  " in text) or text == "input"]
    assert titled == [  # without those that only scale or reshape, and without dropout, which does nothing here
        "input",
        "2  Conv2D(3, 3)",
        "3  ReLU()",
        "4  MaxPool2D(2)",
        "6  Affine(30)",
        "7  Tanh()",
        "8.layer  Affine(30)",
        "8  Residual(Affine(30))",
        "9  Affine(10)",
        "10  SoftmaxCrossEntropy()",
    ]
    y = {path: array[0] for path, _, array in layer_outputs(net, IMAGE[None])}
    shown = tiles(axes)
    assert shown[0].tolist() == IMAGE.tolist()
    assert [tile.tolist() for tile in shown[1:4]] == y["2"].tolist()
    assert [tile.tolist() for tile in shown[4:7]] == y["3"].tolist()
    assert [tile.tolist() for tile in shown[7:10]] == y["4"].tolist()
    for tile, path in zip(shown[10:], ("6", "7", "8.layer", "8"), strict=True):
        assert tile.reshape(-1)[:30].tolist() == y[path].tolist()
    p = np.asarray(net.ops.to_host(net.predict(IMAGE[None])))[0]
    values = [said[said.index(name) + 1] for name in names]
    assert values == [f"{value:.3f}" for value in p]
    assert f"(10,)  {p.min():.3g} to {p.max():.3g}" in said
    assert inside(drawn[0], [*axes.texts, *axes.images])
    layers = [text for text in axes.texts if text.get_text() in titled or text.get_text().startswith("(")]
    for k, box in enumerate(found := boxes(drawn[0], [*layers, *axes.images])):
        assert not [other for other in found[k + 1 :] if box.overlaps(other)]


def test_colours_say_whether_numbers_may_be_negative(drawn: list[Any], tmp_path: Path) -> None:
    net = reader()
    pictures.activations(net, IMAGE, tmp_path / "a.png")
    image, conv, *_ = drawn[0].axes[0].images
    relu, tanh = drawn[0].axes[0].images[4], drawn[0].axes[0].images[11]
    most = max(abs(y).max() for path, _, y in layer_outputs(net, IMAGE[None]) if path == "2")
    assert (image.get_cmap().name, image.get_clim()) == ("gray_r", (0, float(IMAGE.max())))
    assert (conv.get_cmap().name, conv.get_clim()) == ("RdBu_r", (-most, most))
    assert relu.get_cmap().name == "gray_r"
    assert tanh.get_cmap().name == "RdBu_r"


def test_bars_go_left_where_numbers_are_negative(drawn: list[Any], tmp_path: Path) -> None:
    W = np.array([[3.0, -1.0, 0.0]])
    net = Sequential(Affine(3, W=W)).build((1,))
    pictures.activations(net, [1.0], tmp_path / "a.png")
    (axes,) = drawn[0].axes
    boxed = [bar.get_datalim(axes.transData) for bar in axes.collections[-3:]]
    positive, negative, none = boxed
    zero = none.x0
    assert positive.x1 - zero == pytest.approx(3 * (zero - negative.x0), rel=1e-3)
    assert none.x1 == zero
    assert texts(axes)[-6:] == ["0", "3", "1", "-1", "2", "0"]
    assert inside(drawn[0], axes.texts)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_network_that_has_gone_wrong_is_drawn_where_it_went_wrong(
    value: float, drawn: list[Any], tmp_path: Path
) -> None:
    net = Sequential(Affine(30, W=np.ones((64, 30))), ReLU(), Affine(3)).build((8, 8), seed=1)
    net[0].W[5, 7] = value
    pictures.activations(net, np.ones((8, 8)), tmp_path / "a.png", title="A title")
    (axes,) = drawn[0].axes
    said = texts(axes)
    known = [text for text in said if " to " in text]
    assert [text.endswith(", NaN or Inf") for text in known] == [False, True, True, True]
    assert known[3] == "(3,)  0 to 0, NaN or Inf"
    assert {text.strip("-") for text in said[-5::2]} <= {"nan", "inf"}
    assert [bar.get_datalim(axes.transData).width for bar in axes.collections] == [0.0] * 3
    strip = axes.images[-1].get_array()
    assert np.flatnonzero(np.ma.getmaskarray(strip).reshape(-1)[:30]).tolist() == [7]
    assert inside(drawn[0], axes.texts)


def test_the_colours_of_activations_are_told_of(drawn: list[Any], tmp_path: Path) -> None:
    pictures.activations(reader(), IMAGE, tmp_path / "a.png")
    (axes,), (note,) = drawn[0].axes, drawn[0].texts
    assert "red: positive, blue: negative" in note.get_text()
    assert inside(drawn[0], [note])
    (box, *others) = boxes(drawn[0], [note, *axes.texts, *axes.images])
    assert not [other for other in others if box.overlaps(other)]


def test_words_graphs_and_long_layers(drawn: list[Any], tmp_path: Path) -> None:
    words = Sequential(Embedding(9, 6), Affine(1200), Tanh(), Affine(30)).build((4,))
    pictures.activations(words, [1, 5, 2, 8], tmp_path / "a.png")
    strips = tiles(drawn[0].axes[0])
    assert strips[0].shape == (4, 6)  # the words themselves are bars; their vectors one tile
    assert 1000 <= strips[1].size < 1100  # as many as there is room for
    graph = Graph(h=(Affine(4), "x"), a=(Tanh(), "h"), s=(Add(), "h", "a"), l=(SoftmaxCrossEntropy(), "s", "t"))
    pictures.activations(graph.build((3,)), [1, 2, 3], tmp_path / "a.png")
    titled = [text for text in texts(drawn[1].axes[0]) if "  " in text and "(" in text and text[0] != "("]
    assert titled == ["h  Affine(4)", "a  Tanh()", "s  Add()", "l  SoftmaxCrossEntropy()"]
    deep = Sequential(Conv2D(50, 1), ReLU(), Sequential(Conv2D(3, 1, padding="same", stride=1, dilation=1))).build(
        (1, 4, 4)
    )
    pictures.activations(deep, np.eye(4), tmp_path / "a.png")
    assert len(drawn[2].axes[0].images) == 1 + 40 + 40 + 3
    assert "2.0  Conv2D(3, 1, padding='same..." in texts(drawn[2].axes[0])


def test_looking_changes_nothing(tmp_path: Path) -> None:
    net, other = reader(), reader()
    images, labels = RNG.integers(0, 256, (20, 8, 8)).astype(np.uint8), RNG.integers(0, 10, 20)
    for each in (net, other):
        fit(each, SGD(0.1), (images, labels), epochs=1, batch_size=5, progress=False)
        if each is net:
            assert imread(pictures.activations(net, IMAGE, tmp_path / "a.png")).size
        fit(each, SGD(0.1), (images, labels), epochs=1, batch_size=5, progress=False)
    assert net.storage.params.tobytes() == other.storage.params.tobytes()
    assert net.predict(images).tobytes() == other.predict(images).tobytes()
    assert type(net[2]) is Conv2D


@pytest.mark.parametrize(
    ("net", "image", "options", "kind", "says"),
    [
        (Sequential(Affine(3)), np.zeros(4), {}, NotBuiltError, "before it was built"),
        (Sequential(Affine(3)).build((4,)), np.zeros((2, 4)), {}, ShapeError, "this shape"),
        (Sequential(Affine(3)).build((4,)), np.array(["a"] * 4), {}, DataError, "real numbers"),
        (Sequential(Affine(3)).build((4,)), np.zeros(4), {"names": ["a"]}, ConfigurationError, "without a name"),
        (Graph(y=(Add(), "a", "b")).build((4,), (4,)), np.zeros(4), {}, ConfigurationError, "several inputs"),
    ],
)
def test_activations_refuses_what_it_cannot_draw(
    net: Any, image: Any, options: Any, kind: Any, says: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=says) as caught:
        pictures.activations(net, image, tmp_path / "a.png", **options)
    assert_complete(caught.value)
    assert not list(tmp_path.iterdir())
