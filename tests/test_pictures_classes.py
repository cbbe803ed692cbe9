"""Pictures of what a classifier gets wrong: the confusion matrix, and the misread images with their scores."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_helpers import assert_complete
from matplotlib.colors import to_hex
from matplotlib.image import imread
from picture_helpers import boxes, inside, keep_figures, texts

from tinynn import (
    Add,
    Affine,
    ConfigurationError,
    Graph,
    Layer,
    MissingExtraError,
    NotBuiltError,
    Reshape,
    Sequential,
    ShapeError,
    SoftmaxCrossEntropy,
    pictures,
)
from tinynn.pictures import confusion_matrix, misread
from tinynn.pictures.figure import BLUE, VERMILION

RNG = np.random.default_rng(1)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    return keep_figures(monkeypatch, confusion_matrix, misread)


# --- confusion

#            0  1  2
COUNTS = [[8, 2, 0], [0, 4, 1], [0, 0, 0]]  # of class 2 there is none
LABELS = np.repeat([0, 0, 1, 1], [8, 2, 4, 1])
READ = np.repeat([0, 1, 1, 2], [8, 2, 4, 1])


def test_the_cells_are_the_counts(drawn: list[Any], tmp_path: Path) -> None:
    order = RNG.permutation(len(LABELS))
    path = pictures.confusion(LABELS[order].astype(np.uint8), READ[order], tmp_path / "c.png", title="A title")
    assert path == tmp_path / "c.png"
    (axes,) = drawn[0].axes
    cells = {(text.get_position()[1], text.get_position()[0]): text.get_text() for text in axes.texts}
    for i, row in enumerate(COUNTS):
        for j, count in enumerate(row):
            assert cells.get((i, j), "0") == str(count)
    assert axes.get_title(loc="left") == "A title\n12 of 15 right: 80.00 %"
    found = [cells[i, 3 - 0.05] for i in range(3)]
    assert found == ["80.0", "80.0", "-"]  # recall
    assert [cells[3 - 0.1, j] for j in range(3)] == ["100", "66.7", "0"]  # precision
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("read as", "true class")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("normalise", "expected"),
    [("true", {(0, 0): "80.0", (0, 1): "20.0", (1, 1): "80.0", (1, 2): "20.0"}),
     ("predicted", {(0, 0): "100", (0, 1): "33.3", (1, 1): "66.7", (1, 2): "100"})],
)  # fmt: skip
def test_percent_of_a_row_or_of_a_column(normalise: str, expected: Any, drawn: list[Any], tmp_path: Path) -> None:
    pictures.confusion(LABELS, READ, tmp_path / "c.png", normalise=normalise)
    (axes,) = drawn[0].axes
    found = {(t.get_position()[1], t.get_position()[0]): t.get_text() for t in axes.texts}
    assert {place: found[place] for place in expected} == expected
    assert len([place for place in found if place in np.ndindex(3, 3)]) == 4


def test_right_is_blue_wrong_is_red_and_the_worst_is_darkest(drawn: list[Any], tmp_path: Path) -> None:
    labels, read = np.repeat([0, 0, 0, 1, 1], [50, 1, 4, 50, 2]), np.repeat([0, 1, 2, 1, 0], [50, 1, 4, 50, 2])
    pictures.confusion(labels, read, tmp_path / "c.png")
    shade = np.asarray(drawn[0].axes[0].images[0].get_array())
    assert to_hex(shade[0, 2]).upper() == VERMILION  # the largest share of a row among the wrong ones
    assert shade[0, 0, 2] > shade[0, 0, 0]  # blue
    for place in ((0, 1), (1, 0)):
        assert shade[place][0] > shade[place][2]  # red
    assert shade[0, 1].sum() > shade[1, 0].sum() > shade[0, 2].sum()
    assert (shade[1, 2] == 1).all()  # white: it never happens
    assert (shade[2, 2] == 1).all()
    assert to_hex(BLUE).upper() != to_hex(shade[0, 0]).upper()  # never so dark that its number is not seen


def test_names_and_their_room(drawn: list[Any], tmp_path: Path) -> None:
    names = ["a class of a long name", "b", "c", "never seen"]
    pictures.confusion(LABELS, READ, tmp_path / "c.png", names)
    (axes,) = drawn[0].axes
    assert [label.get_text() for label in axes.get_xticklabels()] == names
    assert axes.images[0].get_array().shape == (4, 4, 3)
    assert axes.get_xticklabels()[0].get_rotation() == 90
    every = [*axes.get_xticklabels(), *axes.get_yticklabels(), *axes.texts, axes.title, axes.xaxis.label]
    assert inside(drawn[0], every)
    cells = [text for text in axes.texts if text.get_text()]
    for k, box in enumerate(found := boxes(drawn[0], cells)):
        assert not [other for other in found[k + 1 :] if box.overlaps(other)]


def test_many_classes_have_colours_and_no_numbers(drawn: list[Any], tmp_path: Path) -> None:
    labels = np.arange(70)
    pictures.confusion(labels, np.roll(labels, 1), tmp_path / "c.png")
    (axes,) = drawn[0].axes
    assert texts(axes) == []
    assert len(axes.get_xticks()) == 24
    assert inside(drawn[0], [*axes.get_xticklabels(), *axes.get_yticklabels()])


@pytest.mark.parametrize(
    ("labels", "predicted", "options", "kind", "says"),
    [
        (LABELS, READ[:3], {}, ShapeError, "one class for each row"),
        (LABELS, np.eye(3)[READ], {}, ShapeError, "argmax"),
        ([], [], {}, ShapeError, "one class for each row"),
        (LABELS.astype(float), READ, {}, ConfigurationError, "no classes"),
        (LABELS, READ - 1, {}, ConfigurationError, "no classes"),
        (LABELS, READ, {"normalise": "rows"}, ConfigurationError, "unknown way to normalise"),
        (LABELS, READ, {"names": ["a"]}, ConfigurationError, "a class without a name"),
        (LABELS + 300, READ, {}, ConfigurationError, "too many classes"),
        (LABELS, READ, {"names": ["a"] * 30_000}, ConfigurationError, "too many classes"),
        ([0, 2**63], [0, 1], {}, ConfigurationError, "no classes"),
        ([[0], [1, 2]], [0, 1], {}, ShapeError, "no array"),
    ],
)
def test_confusion_refuses_what_it_cannot_draw(
    labels: Any, predicted: Any, options: Any, kind: Any, says: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=says) as caught:
        pictures.confusion(labels, predicted, tmp_path / "c.png", **options)
    assert_complete(caught.value)
    assert not list(tmp_path.iterdir())


# --- misclassified


class Says(Layer):
    """y = the scores that the first pixels of the image are."""

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def build(self, shape: Any) -> Any:
        return (self.classes,)

    def forward(self, x: Any) -> Any:
        return x.reshape(len(x), -1)[:, : self.classes] * 1, None


def saying(shape: Any = (8, 9), classes: int = 3) -> Sequential:
    return Sequential(Says(classes)).build(shape)


def images_of(scores: Any, shape: Any = (8, 9)) -> np.ndarray:
    images = np.zeros((len(scores), *shape), np.float32)
    images.reshape(len(scores), -1)[:, : np.shape(scores)[1]] = scores
    return images


SCORES = np.array(
    [[0.1, 0.6, 0.3], [0.9, 0.05, 0.05], [0.0, 0.04, 0.96], [0.5, 0.3, 0.2], [0.2, 0.5, 0.3]], dtype=np.float32
)
TRUE = np.array([0, 0, 1, 2, 0])  # wrong: 0 by 0.5, 2 by 0.92, 3 by 0.3, 4 by 0.3


def test_the_misread_come_worst_first(drawn: list[Any], tmp_path: Path) -> None:
    pictures.misclassified(saying(), images_of(SCORES), TRUE, tmp_path / "m.png", names=["ant", "bee", "cow"])
    (axes,) = drawn[0].axes
    assert [np.asarray(image.get_array())[0, :3].tolist() for image in axes.images] == SCORES[[2, 0, 3, 4]].tolist()
    said = texts(axes)
    assert said[0] == "4 of 5 misread"
    assert said[1:8] == ["bee read as cow", "cow", "0.960", "bee", "0.040", "ant", "0.000"]
    assert said[8] == "ant read as bee"
    assert inside(drawn[0], axes.texts)
    for k, box in enumerate(found := boxes(drawn[0], [*axes.texts, *axes.images])):
        assert not [other for other in found[k + 1 :] if box.overlaps(other)]


def test_the_bars_are_as_long_as_the_scores_and_the_true_one_is_blue(drawn: list[Any], tmp_path: Path) -> None:
    pictures.misclassified(saying(), images_of(SCORES), TRUE, tmp_path / "m.png", count=1)
    (axes,) = drawn[0].axes
    bars = axes.collections
    assert [to_hex(bar.get_facecolor()[0]).upper() for bar in bars] == [VERMILION, BLUE, VERMILION]
    long, short, none = ((box.x1 - box.x0) for box in (bar.get_datalim(axes.transData) for bar in bars))
    assert (long - none) / (short - none) == pytest.approx(0.96 / 0.04, rel=1e-3)
    assert texts(axes)[0] == "4 of 5 misread, the worst 1"


def test_the_true_class_is_among_the_bars_though_it_is_last(drawn: list[Any], tmp_path: Path) -> None:
    scores = np.array([[0.4, 0.3, 0.2, 0.06, 0.04]])
    pictures.misclassified(saying(classes=5), images_of(scores), [4], tmp_path / "m.png", title="A title")
    said = texts(drawn[0].axes[0])
    assert said[:2] == ["A title", "1 of 1 misread"]
    assert said[3::2] == ["0", "1", "4"]


def test_scores_that_are_no_probabilities(drawn: list[Any], tmp_path: Path) -> None:
    pictures.misclassified(saying(), images_of([[-3.0, 7.5, 2.0]]), [2], tmp_path / "m.png")
    (axes,) = drawn[0].axes
    assert texts(axes)[2:] == ["1", "7.500", "2", "2.000", "0", "-3.000"]
    assert inside(drawn[0], [*axes.texts, *axes.collections])
    assert axes.images[0].get_clim() == (-3.0, 7.5)


def test_the_colours_of_the_bars_are_told_of(drawn: list[Any], tmp_path: Path) -> None:
    pictures.misclassified(saying(), images_of(SCORES), TRUE, tmp_path / "m.png", count=1)
    (axes,), (note,) = drawn[0].axes, drawn[0].texts
    assert note.get_text().endswith("that of the true class in blue")
    assert inside(drawn[0], [note])
    (box, *others) = boxes(drawn[0], [note, *axes.texts, *axes.images])
    assert not [other for other in others if box.overlaps(other)]


def test_there_is_an_end_to_how_many_are_drawn(drawn: list[Any], tmp_path: Path) -> None:
    scores = np.tile([[1.0, 0.0, 0.0]], (1003, 1))
    pictures.misclassified(saying(), images_of(scores), np.ones(1003, int), tmp_path / "m.png", count=10**6, columns=40)
    assert len(drawn[0].axes[0].images) == 1000
    assert texts(drawn[0].axes[0])[0] == "1,003 of 1,003 misread, the worst 1,000"


def test_where_nothing_is_misread_the_picture_says_so(drawn: list[Any], tmp_path: Path) -> None:
    pictures.misclassified(saying(), images_of(SCORES), SCORES.argmax(axis=1), tmp_path / "m.png")
    (axes,) = drawn[0].axes
    assert texts(axes) == ["0 of 5 misread"]
    assert [note.get_text() for note in drawn[0].texts] == [""]
    assert not axes.images


@pytest.mark.parametrize("shape", [(8, 8), (1, 8, 8), (64,)])
@pytest.mark.parametrize("given", [(8, 8), (1, 8, 8), (64,)])
def test_images_and_network_may_be_of_either_form(shape: Any, given: Any, tmp_path: Path) -> None:
    path = pictures.misclassified(saying(shape), images_of(SCORES, given), TRUE, tmp_path / "m.png")
    assert imread(path).shape[1] > 400


def test_integers_are_white_at_0_and_black_at_255(drawn: list[Any], tmp_path: Path) -> None:
    images = np.zeros((1, 8, 8), np.uint8)
    images[0, 0, 1] = 9
    for x, limits in ((images, (0, 255)), (images / 255, (0, 1))):
        pictures.misclassified(saying((8, 8)), x, [0], tmp_path / "m.png")
        assert drawn[-1].axes[0].images[0].get_clim() == limits


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        ({"images": np.zeros((5, 3, 8, 8))}, ShapeError, "not gray images"),
        ({"images": np.zeros((5, 50))}, ShapeError, "not gray images"),
        ({"images": np.zeros((0, 8, 9))}, ShapeError, "not gray images"),
        ({"images": 3}, ShapeError, "not gray images"),
        ({"images": np.full((5, 8, 9), "a")}, ShapeError, "not gray images"),
        ({"images": np.zeros((5, 8, 8))}, ShapeError, "do not fit the network"),
        ({"labels": TRUE[:2]}, ShapeError, "one class for each row"),
        ({"labels": TRUE + 1}, ConfigurationError, "no score for each class"),
        ({"count": 0}, ConfigurationError, "count"),
        ({"columns": 2.5}, ConfigurationError, "columns"),
        ({"names": ["a", "b"]}, ConfigurationError, "a class without a name"),
        ({"net": Sequential(Reshape((8, 9, 1))).build((8, 9))}, ConfigurationError, "no score for each class"),
        ({"net": Sequential(Affine(3), SoftmaxCrossEntropy())}, NotBuiltError, "before it was built"),
        ({"net": Graph(y=(Add(), "a", "b")).build((72,), (72,))}, ShapeError, "do not fit"),
    ],
)
def test_misclassified_refuses_what_it_cannot_draw(change: Any, kind: Any, says: str, tmp_path: Path) -> None:
    given = {"net": saying(), "images": images_of(SCORES), "labels": TRUE, "path": tmp_path / "m.png", **change}
    with pytest.raises(kind, match=says) as caught:
        pictures.misclassified(**given)
    assert_complete(caught.value)
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for draw in (
        lambda: pictures.confusion(LABELS, READ, tmp_path / "c.png"),
        lambda: pictures.misclassified(saying(), images_of(SCORES), TRUE, tmp_path / "m.png"),
        lambda: pictures.weights(np.ones((64, 2)), tmp_path / "w.png"),
        lambda: pictures.activations(saying(), images_of(SCORES)[0], tmp_path / "a.png"),
    ):
        with pytest.raises(MissingExtraError, match=r"tinynn-xp\[plot\]"):
            draw()
