"""Where a classifier of points in the plane decides what."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from tinynn.errors import ConfigurationError, ShapeError
from tinynn.network import Network
from tinynn.pictures.figure import COLOURS, GRAY, MARKERS, new_figure, tidy, write

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
