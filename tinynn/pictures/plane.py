"""Where a classifier of points in the plane decides what."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinynn.errors import ConfigurationError, ShapeError
from tinynn.network import Network
from tinynn.network.inputs import refuse_not_finite
from tinynn.pictures.figure import COLOURS, GRAY, MARKERS, PLAIN, new_figure, rgb, tidy, write
from tinynn.pictures.given import as_array, class_names, labels_of

__all__ = ["regions"]

GRID = 300  # points a side at which a classifier is asked


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

    Errors: ShapeError, ConfigurationError, MissingExtraError, DataError for points that are not finite, and when the
    file cannot be written.
    """
    x, labels = points(x, labels)
    named = None if names is None else class_names(names, int(labels.max()) + 1, "regions")
    left, right, bottom, top = around(x) if extent is None else corners(extent)
    shade = class_colours(net, np.linspace(left, right, GRID), np.linspace(top, bottom, GRID))

    figure = new_figure(6.0, 4.6, title)
    axes = figure.subplots()
    axes.imshow(shade, extent=(left, right, bottom, top), interpolation="bilinear", aspect="auto")
    for c in np.unique(labels).tolist():
        chosen = x[labels == c]
        look = {"color": COLOURS[c % len(COLOURS)], "marker": MARKERS[c % len(MARKERS)], "edgecolor": "black"}
        axes.scatter(*chosen.T, s=55, linewidths=0.8, label=named[c] if named else f"class {c}", zorder=2, **look)
    tidy(axes, "$x_1$", "$x_2$")
    axes.set(xlim=(left, right), ylim=(bottom, top))
    legend = axes.legend(frameon=False, fontsize=10, loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0)
    for text in legend.get_texts():
        text.set(**PLAIN)
    figure.supxlabel("background: the class that the network says, the paler the less sure", fontsize=9, color=GRAY)
    return write(figure, path)


def points(x: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """The points (N, 2) and their classes (N,). Errors: ShapeError, ConfigurationError, DataError."""
    expected = "x (N, 2) and labels (N,), N >= 1"
    x = as_array(x, "the points are", "regions", expected)
    labels = as_array(labels, "the labels are", "regions", expected)
    if x.dtype.kind not in "biuf" or x.ndim != 2 or x.shape[1] != 2 or labels.shape != x.shape[:1] or not len(x):
        raise ShapeError(
            "regions are drawn for points in the plane",
            where="regions",
            expected=expected,
            got=f"x of {x.dtype} {x.shape} and labels {labels.shape}",
            fix="choose two features, x[:, :2], and pass one label for each row",
        )
    x = x.astype(np.float64)
    refuse_not_finite(x, x, "x", "regions", x.dtype)
    return x, labels_of(labels, "labels", "regions", len(x))


def around(x: np.ndarray) -> list[float]:
    """The part of the plane in which the points lie, with a margin."""
    low, high = x.min(axis=0), x.max(axis=0)
    margin = 0.25 * np.maximum(high - low, 1e-9)
    return np.stack([low - margin, high + margin], axis=1).reshape(-1).tolist()


def corners(extent: Any) -> list[float]:
    """What the caller says that part is. Errors: ConfigurationError."""
    try:
        left, right, bottom, top = found = [float(number) for number in extent]
    except (TypeError, ValueError):
        left, right, bottom, top = found = [math.nan] * 4
    if not (all(map(math.isfinite, found)) and left < right and bottom < top):
        raise ConfigurationError(
            "this is no part of the plane",
            where="regions, extent",
            expected="(left, right, bottom, top), finite, with left < right and bottom < top",
            got=repr(extent),
            fix="extent=(-1, 1, -1, 1), or leave it out",
        )
    return found


def class_colours(net: Network, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """The colour of each point of the grid, (len(down), len(across), 3), from the network's probabilities."""
    grid = np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2)
    p = net.ops.to_host(net.predict(grid))
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
    colour = np.array([rgb(code) for code in COLOURS])[p.argmax(axis=1) % len(COLOURS)]
    # Never the full colour, so that the points stand out.
    return (1 - 0.55 * lead * (1 - colour)).reshape(len(down), len(across), 3)
