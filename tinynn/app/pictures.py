"""Pictures: how training went, what digits look like, where a classifier decides what.

Each function draws with matplotlib (the extra `plot`), writes one file, whose format is that of its suffix (.png, .svg,
.pdf), and returns its path.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinynn.app.figure import BLUE, COLOURS, GRAY, MARKERS, VERMILION, new_figure, tidy, write
from tinynn.checks import positive_integer
from tinynn.errors import ConfigurationError, ShapeError
from tinynn.network import Network
from tinynn.training import History

__all__ = ["digits", "learning_curve", "regions"]

GRID = 300  # points a side at which a classifier is asked
PICTURES = 1000  # more in one file are no longer to be seen, and would take memory without bound


def learning_curve(
    history: History, path: str | os.PathLike[str], *, title: str | None = None, validation: str = "validation"
) -> Path:
    """Draws loss, and accuracy where there is one, against the epoch; for training and for validation data.

    `validation`: what the legend calls the validation data ("test", say). The loss has a logarithmic scale when it
    falls below a tenth of where it began.

    Errors: ConfigurationError for a history without epochs, MissingExtraError, DataError when the file cannot be
    written.
    """
    if not len(history):
        raise ConfigurationError(
            "a learning curve needs at least one finished epoch",
            where="learning_curve",
            expected="a history with epochs",
            got="none",
            fix="train for an epoch: history = fit(...)",
        )
    panels = [("loss", history.loss, history.validation_loss)]
    if not all(math.isnan(value) for value in history.accuracy):
        panels.append(("accuracy in %", percent(history.accuracy), percent(history.validation_accuracy)))
    figure = new_figure(4.4 * len(panels) + 0.4, 3.8, title)
    figure.get_layout_engine().set(wspace=0.06)
    axes: Any = None
    epochs = range(1, len(history) + 1)
    few = {"marker": "o", "markersize": 4} if len(history) <= 30 else {}
    for axes, (name, trained, validated) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        axes.plot(epochs, trained, color=BLUE, label="training", **few)
        if validated:
            axes.plot(epochs, validated, color=VERMILION, label=validation, **few)
        if name == "loss" and min(trained) > 0 and min(trained) < 0.1 * max(trained):
            axes.set_yscale("log")
        tidy(axes, "epoch", name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(color="#dddddd", linewidth=0.8)
    # Below the panels and once for both: within them, some curve sooner or later runs through it.
    curves, labels = axes.get_legend_handles_labels()
    figure.legend(curves, labels, frameon=False, fontsize=10, loc="outside lower center", ncols=2)
    return write(figure, path)


def digits(
    images: ArrayLike, path: str | os.PathLike[str], titles: Sequence[str] | None = None, columns: int = 10
) -> Path:
    """Draws gray images in rows of `columns`, dark on light, each with its title above it.

    Shapes: images (N, H, W), 1 <= N <= 1000; integers 0..255, or floats 0..1. A title may have several lines.

    Errors: ShapeError for another shape or number of titles, ConfigurationError for a bad number of columns,
    MissingExtraError, DataError when the file cannot be written.
    """
    images = np.asarray(images)
    if images.ndim != 3 or 0 in images.shape:
        raise ShapeError(
            "these are not gray images",
            where="digits",
            expected="(N, rows, columns), N >= 1",
            got=images.shape,
            fix="images.reshape(-1, 28, 28)",
        )
    if len(images) > PICTURES:
        raise ShapeError(
            "too many images for one picture",
            where="digits",
            expected=f"at most {PICTURES:,}",
            got=f"{len(images):,}",
            fix="images[:100]",
        )
    titles = [""] * len(images) if titles is None else [str(title) for title in titles]
    if len(titles) != len(images):
        raise ShapeError(
            "each image needs one title", where="digits", expected=len(images), got=len(titles), fix="titles=None"
        )
    columns = positive_integer(columns, "columns", where="digits", fix="columns=10")

    n, height, width = images.shape
    columns = min(columns, n)
    rows = -(-n // columns)
    lines = [line for title in titles for line in title.split("\n")]
    depth = max(title.count("\n") + 1 for title in titles) if any(titles) else 0
    # In inches; the letters of an 8 point font are about 0.062 wide and 0.14 high.
    picture = 0.72
    across = max(picture + 0.1, 0.062 * max(map(len, lines)) + 0.1)
    down = picture * height / width + 0.16 + 0.14 * depth
    figure = new_figure(columns * across + 0.1, rows * down + 0.1, None, layout=None)
    # One pair of axes in inches for all: a hundred pairs, one for each image, would take seconds to draw.
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    brightest = 255 if images.dtype.kind in "iu" else 1
    for i, (image, title) in enumerate(zip(images, titles, strict=True)):
        left = 0.05 + (i % columns) * across + (across - picture) / 2
        top = 0.05 + (i // columns) * down + 0.14 * depth + 0.05
        box = (left, left + picture, top + picture * height / width, top)
        axes.imshow(image, cmap="gray_r", vmin=0, vmax=brightest, extent=box, interpolation="nearest")
        axes.text(left + picture / 2, top - 0.03, title, fontsize=8, ha="center", va="bottom", color="black")
    axes.set(xlim=(0, figure.get_figwidth()), ylim=(figure.get_figheight(), 0), aspect="auto")
    return write(figure, path)


def regions(
    net: Network,
    path: str | os.PathLike[str],
    x: ArrayLike,
    labels: ArrayLike,
    extent: tuple[float, float, float, float] | None = None,
    *,
    names: Sequence[str] | None = None,
    title: str | None = None,
) -> Path:
    """Draws what a classifier of points (x1, x2) says in the plane, with the data points of their true classes.

    A place has the colour of its most probable class, the paler the smaller the lead over the second. A single output
    p, as of one sigmoid, counts as the classes 0 and 1 with the probabilities 1 - p and p.

    Shapes: x (N, 2), labels (N,) of classes. `extent`: (left, right, bottom, top), by default the points with a margin.
    `names`: of the classes, for the legend.

    Errors: ShapeError, ConfigurationError, MissingExtraError, DataError when the file cannot be written.
    """
    x, labels = np.asarray(x), np.asarray(labels)
    if x.ndim != 2 or x.shape[1] != 2 or labels.shape != x.shape[:1] or not len(x):
        raise ShapeError(
            "regions are drawn for points in the plane",
            where="regions",
            expected="x (N, 2) and labels (N,), N >= 1",
            got=f"x {x.shape} and labels {labels.shape}",
            fix="choose two features, x[:, :2], and pass one label for each row",
        )
    classes = int(labels.max()) + 1 if labels.dtype.kind in "iu" and labels.min() >= 0 else 0
    if not classes or (names is not None and len(names) < classes):
        raise ConfigurationError(
            "a class without a name" if classes else "these labels are no classes",
            where="regions",
            expected=f"{classes} names, one for each class" if classes else "integers from 0 on",
            got=repr(names) if classes else f"{labels.dtype}, such as {labels[labels.argmin()]}",
            fix="names=[...] for all classes, or leave it out" if classes else "labels.astype(int), counted from 0",
        )
    low, high = x.min(axis=0), x.max(axis=0)
    margin = 0.25 * np.maximum(high - low, 1e-9)
    left, right, bottom, top = extent or np.stack([low - margin, high + margin], axis=1).reshape(-1).tolist()
    shade = class_colours(net, np.linspace(left, right, GRID), np.linspace(top, bottom, GRID))

    figure = new_figure(6.0, 4.6, title)
    axes = figure.subplots()
    axes.imshow(shade, extent=(left, right, bottom, top), interpolation="bilinear", aspect="auto")
    for c in np.unique(labels).tolist():
        chosen = x[labels == c]
        look = {"color": COLOURS[c % len(COLOURS)], "marker": MARKERS[c % len(MARKERS)], "edgecolor": "black"}
        axes.scatter(*chosen.T, s=55, linewidths=0.8, label=names[c] if names else f"class {c}", zorder=2, **look)
    tidy(axes, "$x_1$", "$x_2$")
    axes.set(xlim=(left, right), ylim=(bottom, top))
    axes.legend(frameon=False, fontsize=10, loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0)
    figure.supxlabel("background: the class that the network says, the paler the less sure", fontsize=9, color=GRAY)
    return write(figure, path)


def class_colours(net: Network, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """The colour of each point of the grid, (len(down), len(across), 3), from the network's probabilities."""
    points = np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2)
    p = net.ops.to_host(net.predict(points))
    if p.ndim != 2:
        raise ShapeError(
            "regions need a row of probabilities for each point",
            where="regions",
            expected="(N, classes)",
            got=p.shape,
            fix="draw a network that ends in a loss such as SoftmaxCrossEntropy()",
        )
    if p.shape[1] == 1:
        p = np.hstack([1 - p, p])
    second, first = np.sort(p, axis=1)[:, -2:].T
    lead = np.clip(first - second, 0, 1)[:, None]
    colours = np.array([[int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)] for code in COLOURS])
    colour = colours[p.argmax(axis=1) % len(COLOURS)]
    # Never the full colour, so that the points stand out.
    return (1 - 0.55 * lead * (1 - colour)).reshape(len(down), len(across), 3)


def percent(shares: list[float]) -> list[float]:
    """0..1 as 0..100."""
    return [100 * share for share in shares]
