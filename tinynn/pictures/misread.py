"""The images that a classifier gets wrong."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinynn.checks import positive_integer
from tinynn.errors import ConfigurationError, ShapeError
from tinynn.network import Network
from tinynn.pictures.figure import BLUE, GRAY, PLAIN, VERMILION, place, sheet, write
from tinynn.pictures.given import class_names, gray_images, gray_range, labels_of

__all__ = ["how_many", "misclassified", "misclassified_figure", "worst_first"]

LETTER = 0.068  # inches of a letter of 8 points
LINE, BAR, SIDE = 0.16, 0.62, 0.8  # height of a line, longest bar, image
BARS, MOST = 3, 1000


def misclassified(
    net: Network,
    images: ArrayLike,
    labels: ArrayLike,
    path: str | os.PathLike[str],
    *,
    count: int = 20,
    columns: int = 5,
    names: Sequence[str] | None = None,
    title: str | None = None,
) -> Path:
    """Draws the images that the network misreads, worst first: the surer of a wrong class, the earlier.

    Each has its true class above it and what was read, and beside it the three highest scores as bars, the true class
    among them in blue.

    Shapes: images (N, H, W), (N, 1, H, W), or rows of square images; labels (N,), of classes. The network takes them in
    any of these forms. `count`: how many at most, up to 1000. `names`: of the classes.

    Errors: ShapeError, ConfigurationError, MissingExtraError, DataError when the file cannot be written.
    """
    count = min(positive_integer(count, "count", where="misclassified", fix="count=20"), MOST)
    columns = positive_integer(columns, "columns", where="misclassified", fix="columns=5")
    gray = gray_images(images, "misclassified")
    labels = labels_of(labels, "labels", "misclassified", len(gray))
    scores = scores_of(net, np.asarray(images), labels)
    wrong = worst_first(scores, labels)[:count]
    many = int((scores.argmax(axis=1) != labels).sum())
    heading = how_many(many, len(labels), len(wrong))
    return write(misclassified_figure(gray[wrong], labels[wrong], scores[wrong], heading, columns, names, title), path)


def how_many(misread: int, images: int, shown: int) -> str:
    """What stands above them."""
    return f"{misread:,} of {images:,} misread" + (f", the worst {shown:,}" if shown < misread else "")


def scores_of(net: Network, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """What the network says of the images, (N, C). Errors: ShapeError, ConfigurationError."""
    net._built()
    shapes = net.input_shapes
    if len(shapes) != 1 or images[0].size != np.prod(shapes[0]):
        raise ShapeError(
            "the images do not fit the network",
            where="misclassified",
            expected=f"{np.prod(shapes[0]):,} numbers each, {shapes[0]}" if len(shapes) == 1 else "a single input",
            got=f"{images[0].size:,} each, {images.shape[1:]}" if len(shapes) == 1 else f"{len(shapes)} inputs",
            fix="give the images that the network was trained on",
        )
    scores = net.ops.to_host(net.predict(images.reshape(len(images), *shapes[0])))
    if scores.ndim != 2 or scores.shape[1] <= labels.max():
        raise ConfigurationError(
            "the network has no score for each class",
            where="misclassified",
            expected=f"scores (N, C) with C >= {labels.max() + 1}, the labels being 0..C-1",
            got=f"{scores.shape} and labels up to {labels.max()}",
            fix="a network that ends in Affine(classes) and SoftmaxCrossEntropy()",
        )
    return scores


def worst_first(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The rows that are misread, those first in which another class leads the true one by most."""
    lead = scores.max(axis=1) - scores[range(len(labels)), labels]
    wrong = np.flatnonzero(scores.argmax(axis=1) != labels)
    return wrong[np.argsort(-lead[wrong], kind="stable")]


def misclassified_figure(
    images: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray,
    heading: str,
    columns: int = 5,
    names: Sequence[str] | None = None,
    title: str | None = None,
) -> Any:
    """The figure of `misclassified`: these images (N, H, W), their labels, their scores (N, C), in this order."""
    names = class_names(names, scores.shape[1], "misclassified")
    n, height, width = images.shape
    columns = max(1, min(columns, n))
    rows = max(1, -(-n // columns))
    name_room = LETTER * max(map(len, names)) + 0.1
    down, high = SIDE * height / width, LINE * (BARS + 0.5)
    step_x = max(SIDE + name_room + BAR + 0.75, LETTER * (2 * max(map(len, names)) + 14))
    step_y = max(down, high) + LINE + 0.22
    note = "bars: the highest scores, that of the true class in blue" if n else ""
    lines = [title, heading] if title else [heading]
    figure, axes = sheet(max(columns * step_x + 0.1, 3.6), rows * step_y + 0.05, lines, note)
    longest = float(scores.max(initial=1.0))
    white, black = gray_range(images)
    for i in range(n):
        left, upper = 0.1 + i % columns * step_x, i // columns * step_y
        says = f"{names[labels[i]]} read as {names[scores[i].argmax()]}"
        axes.text(left, upper + 0.08, says, fontsize=9, va="center", **PLAIN)
        y = upper + LINE + 0.04
        place(axes, images[i], left, y, SIDE, down, cmap="gray_r", vmin=white, vmax=black)
        for line, c in enumerate(highest(scores[i], int(labels[i]))):
            middle, start = y + LINE * (line + 0.75), left + SIDE + name_room
            colour = BLUE if c == labels[i] else VERMILION
            long = BAR * max(float(scores[i, c]), 0.0) / longest
            axes.text(start - 0.05, middle, names[c], fontsize=8, va="center", ha="right", **PLAIN)
            axes.fill_between([start, start + long + 0.01], middle - 0.05, middle + 0.05, color=colour, linewidth=0)
            axes.text(start + long + 0.05, middle, f"{scores[i, c]:.3f}", fontsize=8, va="center", color=GRAY)
    return figure


def highest(scores: np.ndarray, label: int) -> list[int]:
    """The classes with the highest scores, the true one among them in any case."""
    order = np.argsort(-scores, kind="stable").tolist()
    first = order[:BARS]
    return first if label in first else [*first[:-1], label]
