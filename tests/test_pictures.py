"""The pictures show what they are given, readably, and go through no global state."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_helpers import assert_complete
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.image import imread
from picture_helpers import boxes, keep_figures

from tinynn import (
    Affine,
    ConfigurationError,
    DataError,
    History,
    Layer,
    MissingExtraError,
    Sequential,
    ShapeError,
    Sigmoid,
    SoftmaxCrossEntropy,
    pictures,
)
from tinynn.pictures import curves, images, plane
from tinynn.pictures.figure import COLOURS

HISTORY = History(
    loss=[2.0, 0.5, 0.1],
    accuracy=[0.5, 0.75, 0.875],
    validation_loss=[1.0, 0.5, 0.25],
    validation_accuracy=[0.25, 0.5, 0.75],
    seconds=[1.0, 1.0, 1.0],
)
IMAGES = np.random.default_rng(0).integers(0, 256, (7, 28, 20), dtype=np.uint8)


def sides() -> Sequential:
    """A classifier of the plane that knows its answer: class 0 left of x1 = 0, class 1 right of it."""
    W = np.array([[-4.0, 4.0], [0.0, 0.0]])
    return Sequential(Affine(2, W=W), SoftmaxCrossEntropy()).build((2,))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    return keep_figures(monkeypatch, curves, images, plane)


def test_the_learning_curve_shows_the_history(drawn: list[Any], tmp_path: Path) -> None:
    pictures.learning_curve(HISTORY, tmp_path / "curve.png", title="A title", validation="test")
    loss, accuracy = drawn[0].axes
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("epoch", "loss")
    assert (accuracy.get_xlabel(), accuracy.get_ylabel()) == ("epoch", "accuracy in %")
    for line in [*loss.lines, *accuracy.lines]:
        assert list(line.get_xdata()) == [1, 2, 3]
    assert [list(line.get_ydata()) for line in loss.lines] == [HISTORY.loss, HISTORY.validation_loss]
    assert [list(line.get_ydata()) for line in accuracy.lines] == [[50, 75, 87.5], [25, 50, 75]]
    (legend,) = drawn[0].legends
    assert [text.get_text() for text in legend.get_texts()] == ["training", "test"]
    assert drawn[0].get_suptitle() == "A title"


def test_the_legend_covers_no_curve(drawn: list[Any], tmp_path: Path) -> None:
    pictures.learning_curve(HISTORY, tmp_path / "curve.png", title="A title")
    artists = [*drawn[0].legends, *drawn[0].axes, *(axes.xaxis.label for axes in drawn[0].axes)]
    legend, *others = boxes(drawn[0], artists)
    assert len(others) == 4
    assert not [box for box in others if box.overlaps(legend)]


def test_a_loss_that_falls_far_gets_a_logarithmic_scale(drawn: list[Any], tmp_path: Path) -> None:
    for last, scale in ((0.19, "log"), (0.21, "linear"), (0.0, "linear")):
        pictures.learning_curve(History(loss=[2.0, last], accuracy=[math.nan] * 2), tmp_path / "curve.png")
        assert drawn[-1].axes[0].get_yscale() == scale


@pytest.mark.parametrize(
    ("losses", "numbers"),
    [
        ([2.0, 0.19], ["0.2", "0.5", "1", "2"]),
        ([2.0, 0.01], ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1", "2"]),
        ([1.0, 1e-3], ["0.001", "0.01", "0.1", "1"]),
    ],
)
def test_a_logarithmic_scale_has_plain_numbers(
    losses: list[float], numbers: list[str], drawn: list[Any], tmp_path: Path
) -> None:
    pictures.learning_curve(History(loss=losses, accuracy=[math.nan] * 2), tmp_path / "curve.png")
    axis = drawn[0].axes[0].yaxis
    bottom, top = drawn[0].axes[0].get_ylim()
    labels = [*axis.get_ticklabels(), *axis.get_ticklabels(minor=True)]
    assert boxes(drawn[0], labels)
    assert [t.get_text() for t in labels if t.get_text() and bottom <= t.get_position()[1] <= top] == numbers


def test_a_loss_that_falls_by_many_decades_has_numbers_too(drawn: list[Any], tmp_path: Path) -> None:
    losses = [10.0**-i for i in range(12)]
    pictures.learning_curve(History(loss=losses, accuracy=[math.nan] * 12), tmp_path / "curve.png")
    labels = drawn[0].axes[0].yaxis.get_ticklabels()
    found = boxes(drawn[0], labels)
    assert {"0.01", "0.0001"} <= {label.get_text() for label in labels}
    for k, box in enumerate(found):
        assert not [other for other in found[k + 1 :] if box.overlaps(other)]


@pytest.mark.parametrize("name", ["$x^$", "from $5 to $10", "a \\frac b"])
def test_what_callers_name_is_text_and_no_mathematics(name: str, tmp_path: Path) -> None:
    scores, labels = np.eye(64)[[0, 0, 1]], [0, 1, 1]
    names = [name] * 64
    net = Sequential(Affine(64, W=np.eye(64)), SoftmaxCrossEntropy()).build((64,))
    for draw in (
        lambda path: pictures.learning_curve(HISTORY, path, title=name, validation=name),
        lambda path: pictures.digits(IMAGES[:2], path, [name, name]),
        lambda path: pictures.regions(sides(), path, np.eye(2), [0, 1], names=names, title=name),
        lambda path: pictures.confusion(labels, labels, path, names[:2], title=name),
        lambda path: pictures.misclassified(net, scores, labels, path, names=names, title=name),
        lambda path: pictures.weights(net, path, title=name, count=2),
        lambda path: pictures.activations(net, scores[0], path, title=name),
        lambda path: pictures.activations(sides(), [0, 1], path, names=names[:2]),
    ):
        drawn = draw(tmp_path / "picture.svg").read_text()
        assert f"<!-- {name} -->" in drawn


def test_no_picture_takes_all_the_memory(tmp_path: Path) -> None:
    for draw in (
        lambda path: pictures.digits(np.zeros((2, 10**6, 2)), path),
        lambda path: pictures.confusion([0, 1], [0, 1], path, ["x" * 10**5] * 2),
    ):
        with pytest.raises(ConfigurationError, match="too large to be drawn") as caught:
            draw(tmp_path / "picture.png")
        assert_complete(caught.value)
    assert not list(tmp_path.iterdir())


def test_without_accuracy_and_validation_there_is_one_curve(drawn: list[Any], tmp_path: Path) -> None:
    pictures.learning_curve(History(loss=[1.0], accuracy=[math.nan]), tmp_path / "curve.png")
    (axes,) = drawn[0].axes
    assert len(axes.lines) == 1


def test_a_history_without_epochs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="at least one finished epoch") as caught:
        pictures.learning_curve(History(), tmp_path / "curve.png")
    assert_complete(caught.value)
    assert not list(tmp_path.iterdir())


def test_digits_are_the_images_under_their_titles(drawn: list[Any], tmp_path: Path) -> None:
    titles = [f"Ankle boot number {i}\nread as Sneaker" for i in range(len(IMAGES))]
    pictures.digits(IMAGES, tmp_path / "digits.png", titles, columns=3)
    (axes,) = drawn[0].axes
    for shown, image in zip(axes.images, IMAGES, strict=True):
        assert np.array_equal(shown.get_array(), image)
        assert shown.get_clim() == (0, 255)
    assert [text.get_text() for text in axes.texts] == titles
    pictured, titled = boxes(drawn[0], axes.images), boxes(drawn[0], axes.texts)
    page = drawn[0].bbox
    for i, (box, text) in enumerate(zip(pictured, titled, strict=True)):
        others = [other for j, other in enumerate(pictured + titled) if j % len(IMAGES) != i]
        assert not [other for other in others if box.overlaps(other) or text.overlaps(other)]
        assert page.contains(text.x0, text.y0)
        assert page.contains(text.x1, text.y1)
        assert text.y0 >= box.y1  # above its image, and centred
        assert text.x0 + text.x1 == pytest.approx(box.x0 + box.x1, abs=2)
        assert box.height / box.width == pytest.approx(28 / 20, rel=0.02)
    rows = [round(box.y0) for box in pictured]
    assert [rows.count(y) for y in sorted(set(rows), reverse=True)] == [3, 3, 1]


@pytest.mark.parametrize("shape", [(3, 1, 9, 9), (3, 81)])
def test_digits_may_be_of_any_form_that_networks_take(shape: Any, drawn: list[Any], tmp_path: Path) -> None:
    given = np.random.default_rng(1).random(shape)
    pictures.digits(given, tmp_path / "digits.png")
    shown = [np.ma.getdata(image.get_array()).tolist() for image in drawn[0].axes[0].images]
    assert shown == given.reshape(3, 9, 9).tolist()
    pictures.digits(given > 0.5, tmp_path / "digits.png")
    assert drawn[1].axes[0].images[0].get_clim() == (0, 1)


def test_ink_is_dark_on_light(tmp_path: Path) -> None:
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 10:18, 10:18] = 255
    for gray in (image, image / 255):
        picture = imread(pictures.digits(gray, tmp_path / "digits.png"))[..., :3]
        middle, corner = picture[picture.shape[0] // 2, picture.shape[1] // 2], picture[2, 2]
        assert middle.max() < 0.1
        assert corner.min() > 0.9


@pytest.mark.parametrize(
    ("images", "titles", "message"),
    [
        (np.zeros((28, 28)), None, "not gray images"),
        (np.zeros((0, 28, 28)), None, "not gray images"),
        (np.zeros((2, 0, 28)), None, "not gray images"),
        (np.full((2, 28, 28), "a"), None, "not gray images"),
        ([[1], [1, 2]], None, "no array"),
        (np.zeros((1001, 2, 2)), None, "too many images"),
        (np.zeros((2, 28, 28)), ["one"], "one title"),
    ],
)
def test_digits_refuses_what_it_cannot_draw(images: Any, titles: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match=message) as caught:
        pictures.digits(images, tmp_path / "digits.png", titles)
    assert_complete(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("columns", [0, -1, 2.5, "ten", None])
def test_digits_refuses_an_impossible_number_of_columns(columns: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="columns") as caught:
        pictures.digits(IMAGES, tmp_path / "digits.png", columns=columns)
    assert_complete(caught.value)
    assert caught.value.got == repr(columns)
    assert not list(tmp_path.iterdir())


def test_regions_have_the_colour_of_the_class_and_pale_at_the_border(drawn: list[Any], tmp_path: Path) -> None:
    x, labels = np.array([(-1.0, 0.0), (1.0, 0.5)]), np.array([0, 1])
    pictures.regions(sides(), tmp_path / "r.png", x, labels, extent=(-2, 2, -1, 1), names=["left", "right"])
    (axes,) = drawn[0].axes
    (shade,) = axes.images
    assert shade.get_extent() == [-2, 2, -1, 1]
    seen = np.asarray(shade.get_array())
    left, border, right = seen[150, 0], seen[150, 150], seen[150, -1]
    assert left[2] > left[0]  # blue
    assert right[0] > right[2]  # orange
    assert border.min() > 0.9
    assert [to_hex(points.get_facecolor()[0]).upper() for points in axes.collections] == list(COLOURS[:2])
    assert [points.get_offsets().tolist() for points in axes.collections] == x[:, None].tolist()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["left", "right"]
    field, legend = boxes(drawn[0], [axes.patch, axes.get_legend()])
    assert not field.overlaps(legend)


def test_regions_are_the_right_way_up(drawn: list[Any], tmp_path: Path) -> None:
    W = np.array([[0.0, 0.0], [-4.0, 4.0]])
    net = Sequential(Affine(2, W=W), SoftmaxCrossEntropy()).build((2,))
    pictures.regions(net, tmp_path / "r.png", [(0, -1), (0, 1)], [0, 1])
    canvas = FigureCanvasAgg(drawn[0])
    canvas.draw()
    picture = np.asarray(canvas.buffer_rgba()).astype(int)
    for y, blue in ((-1.2, True), (1.2, False)):
        across, up = drawn[0].axes[0].transData.transform((0.0, y)).astype(int)
        pixel = picture[len(picture) - up, across]
        assert (pixel[2] > pixel[0]) == blue


def test_one_output_is_the_probability_of_class_1(drawn: list[Any], tmp_path: Path) -> None:
    net = Sequential(Affine(1, W=np.array([[8.0], [0.0]])), Sigmoid()).build((2,))
    pictures.regions(net, tmp_path / "one.png", [(-1, 0), (1, 1)], [0, 1], extent=(-2, 2, -1, 1))
    pictures.regions(sides(), tmp_path / "two.png", [(-1, 0), (1, 1)], [0, 1], extent=(-2, 2, -1, 1))
    one, two = (np.asarray(figure.axes[0].images[0].get_array()) for figure in drawn)
    assert np.abs(one - two).max() < 1e-5


def test_regions_refuses_what_it_cannot_draw(tmp_path: Path) -> None:
    strange: tuple[Any, ...] = (
        ([(1, 2, 3)], [0]),
        ([(1, 2)], [0, 1]),
        (np.zeros((0, 2)), []),
        ([("a", "b")], [0]),
    )
    for x, labels in strange:
        with pytest.raises(ShapeError, match="points in the plane") as caught:
            pictures.regions(sides(), tmp_path / "r.png", x, labels)
        assert_complete(caught.value)
    with pytest.raises(ShapeError, match="the points are no array") as caught:
        pictures.regions(sides(), tmp_path / "r.png", [(1, 2), (3,)], [0, 1])
    assert_complete(caught.value)
    for value in (math.nan, math.inf):
        with pytest.raises(DataError, match=f"{value} in row 1 of x") as caught:
            pictures.regions(sides(), tmp_path / "r.png", [(1, 2), (3, value)], [0, 1])
        assert_complete(caught.value)


@pytest.mark.parametrize(
    "extent",
    [(0, 1, 0), (0, 1, 0, 1, 2), (1, 1, 0, 1), (0, 1, 2, 1), (0, math.nan, 0, 1), (-math.inf, 0, 0, 1), "ab", 3],
    ids=str,
)
def test_regions_refuses_what_is_no_part_of_the_plane(extent: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no part of the plane") as caught:
        pictures.regions(sides(), tmp_path / "r.png", np.eye(2), [0, 1], extent)
    assert_complete(caught.value)


def test_extent_and_names_may_be_arrays(drawn: list[Any], tmp_path: Path) -> None:
    extent: Any = np.array([-2, 2, -1, 1])
    names: Any = np.array(["left", "right"])
    pictures.regions(sides(), tmp_path / "r.png", np.eye(2), [0, 1], extent, names=names)
    (axes,) = drawn[0].axes
    assert axes.images[0].get_extent() == [-2, 2, -1, 1]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["left", "right"]


def test_regions_refuses_a_network_that_gives_no_probabilities(tmp_path: Path) -> None:
    class Columns(Layer):
        """y = x, one column for each feature."""

        def build(self, shape: Any) -> Any:
            return (*shape, 1)

        def predict(self, x: Any) -> Any:
            return x[..., None]

    grid = Sequential(Columns()).build((2,))
    with pytest.raises(ShapeError, match="row of probabilities") as caught:
        pictures.regions(grid, tmp_path / "r.png", [(0, 0), (1, 1)], [0, 1])
    assert_complete(caught.value)


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".PDF", b"%PDF")])
def test_the_suffix_decides_the_format(suffix: str, start: bytes, tmp_path: Path) -> None:
    path = pictures.learning_curve(HISTORY, tmp_path / "new" / f"curve{suffix}")
    assert path == tmp_path / "new" / f"curve{suffix}"
    assert path.read_bytes().startswith(start)
    if suffix == ".png":
        assert imread(path).shape[1] > imread(path).shape[0] > 400


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.png").mkdir()
    for name, kind, says in (
        ("curve.xyz", ConfigurationError, "unknown format"),
        ("curve", ConfigurationError, "unknown format"),
        ("file/curve.png", DataError, "a file has its name"),
        ("folder.png", DataError, "it is a folder"),
    ):
        with pytest.raises(kind, match=says) as caught:
            pictures.learning_curve(HISTORY, tmp_path / name)
        assert_complete(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.png"]


@pytest.mark.parametrize(
    ("labels", "names", "says"),
    [
        (np.array([0.0, 1.0]), None, "astype"),
        (np.array([0, -1]), None, "counted from 0"),
        (np.array([0, 1]), ["a"], "for all classes"),
        (np.array([0, 2**63], np.uint64), None, "counted from 0"),
        (np.array([0, 1]), 3, "for all classes"),
    ],
)
def test_regions_need_classes_and_their_names(labels: np.ndarray, names: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        pictures.regions(sides(), tmp_path / "r.png", np.eye(2), labels, names=names)
    assert_complete(caught.value)


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"tinynn-xp\[plot\]"):
        pictures.digits(IMAGES, tmp_path / "digits.png")


def test_no_global_state(tmp_path: Path) -> None:
    """Matplotlib is loaded only to draw; pyplot never, and its settings stay as they were."""
    script = f"""
import sys
from tinynn import History, pictures
assert "matplotlib" not in sys.modules
import matplotlib
settings = [name for name in matplotlib.rcParams if name != "backend"]  # to ask for that one loads pyplot
before = [matplotlib.rcParams[name] for name in settings]
pictures.learning_curve(History(loss=[1.0], accuracy=[0.5]), {str(tmp_path / "curve.png")!r})
assert "matplotlib.pyplot" not in sys.modules
assert [matplotlib.rcParams[name] for name in settings] == before
"""
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=120)
