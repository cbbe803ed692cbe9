"""What the first layer looks for: its weights as images."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinynn.checks import positive_integer
from tinynn.errors import ConfigurationError, ShapeError
from tinynn.network import Network
from tinynn.pictures.figure import DIVERGING, GRAY, new_figure, write
from tinynn.pictures.gray import image_shape

__all__ = ["first_weights", "weights", "weights_figure"]

TILE, GAP = 0.72, 0.06  # inches
MOST = 1000


def weights(
    net: Network | ArrayLike,
    path: str | os.PathLike[str],
    shape: tuple[int, int] | None = None,
    *,
    count: int = 100,
    columns: int = 10,
    title: str | None = None,
) -> Path:
    """Draws the weights of each unit of the first layer as an image: red where they are positive, blue where negative.

    White is 0, and all images have one scale. `net`: a network, whose first weights W are taken; or W itself, (D, M) as
    of Affine, an image for each column, or (F, C, kh, kw) as of Conv2D, the C channels of a filter side by side.
    `shape`: (rows, columns) of the image that D numbers are; by default that of the network's input, or a square.
    `count`: how many units at most.

    Errors: ShapeError for weights that are no images, ConfigurationError, MissingExtraError, DataError when the file
    cannot be written.
    """
    count = min(positive_integer(count, "count", where="weights", fix="count=100"), MOST)
    columns = positive_integer(columns, "columns", where="weights", fix="columns=10")
    return write(weights_figure(first_weights(net, shape), count, columns, title), path)


def first_weights(net: Network | ArrayLike, shape: tuple[int, int] | None = None) -> np.ndarray:
    """The weights of each unit as an image, (units, rows, columns). Errors: ShapeError, ConfigurationError."""
    given = shape
    if isinstance(net, Network):
        net._built()
        layer = next((layer for _, layer in net.walk() if "W" in layer._built().declared), None)
        if layer is None:
            raise ConfigurationError(
                "the network has no weights",
                where="weights",
                expected="a layer with an array W, such as Affine or Conv2D",
                got=repr(net),
                fix="weights(W, path) draws an array",
            )
        W = np.asarray(layer.ops.to_host(layer.W))
        if shape is None and W.ndim == 2:  # numbers as they lie in the image that the layer, or the network, is given
            shapes = (*layer._built().shapes, *net.input_shapes)
            fitting = (size for one in shapes if math.prod(one) == len(W) and (size := image_of(one)))
            shape = next(fitting, None)
    else:
        W = np.asarray(net)
    if W.dtype.kind in "biuf" and W.ndim == 4 and given is None and W.size:
        return W.transpose(0, 2, 1, 3).reshape(len(W), W.shape[2], -1)
    if W.dtype.kind not in "biuf" or W.ndim != 2 or not W.size:
        raise ShapeError(
            "these weights are no images",
            where="weights",
            expected="W (D, M), or (F, C, rows, columns)" if given is None else "W (D, M) where a shape is given",
            got=f"{W.dtype} of shape {W.shape}",
            fix="weights(W, path), W having one column for each unit",
        )
    shape = image_of((len(W),)) if shape is None else shape
    if shape is None or len(shape) != 2 or math.prod(shape) != len(W):
        raise ShapeError(
            "these weights are not of that many pixels" if given else "these weights are no square image",
            where="weights",
            expected=f"the shape (rows, columns) of an image of {len(W):,} pixels",
            got=shape or "no shape",
            fix="shape=(rows, columns)",
        )
    return W.T.reshape(-1, *shape)


def image_of(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """The size of the image of one unit's weights; the channels of a coloured one stand one above the other."""
    if len(shape) == 3 and min(shape[1:]) > 1:
        return shape[0] * shape[1], shape[2]
    return image_shape(shape)


def weights_figure(tiles: np.ndarray, count: int = 100, columns: int = 10, title: str | None = None) -> Any:
    """The figure of `weights`, from images (units, rows, columns)."""
    units, shown = len(tiles), tiles[:count]
    n, height, width = shown.shape
    columns = min(columns, n)
    rows = -(-n // columns)
    down = TILE * height / width
    top = 0.62 if title else 0.4
    across = max(columns * (TILE + GAP) + 0.15, 2.6)
    figure = new_figure(across + 0.75, max(rows * (down + GAP) + top + 0.1, 1.4), None, layout=None)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    heading = (
        f"weights of {'the first ' if n < units else ''}{n} of {units} units" if n < units else f"weights of {n} units"
    )
    axes.text(0.1, 0.22, title if title else heading, fontsize=11, va="center")
    if title:
        axes.text(0.1, 0.44, heading, fontsize=9, va="center", color=GRAY)
    # One weight that is far larger than the rest would make all others white.
    largest = float(np.quantile(np.abs(shown[np.isfinite(shown)]), 0.999)) if np.isfinite(shown).any() else 0.0
    largest = largest or 1.0
    image: Any = None
    for i, tile in enumerate(shown):
        left, upper = 0.1 + i % columns * (TILE + GAP), top + i // columns * (down + GAP)
        box = (left, left + TILE, upper + down, upper)
        image = axes.imshow(tile, cmap=DIVERGING, vmin=-largest, vmax=largest, extent=box, interpolation="nearest")
    wide, high = figure.get_figwidth(), figure.get_figheight()
    axes.set(xlim=(0, wide), ylim=(high, 0), aspect="auto")
    bar_high = min(high - top - 0.1, 3.0)
    scale = figure.add_axes((across / wide, 1 - (top + bar_high) / high, 0.12 / wide, bar_high / high))
    figure.colorbar(image, cax=scale).ax.tick_params(labelsize=8)
    return figure
