"""What the first layer looks for: its weights as images."""

from __future__ import annotations

import math
import operator
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinynn.checks import positive_integer
from tinynn.errors import ConfigurationError, ShapeError
from tinynn.network import Network
from tinynn.pictures.figure import DIVERGING, place, sheet, write
from tinynn.pictures.given import as_array, image_shape

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
        W = as_array(net, "the weights are", "weights", "W (D, M), or (F, C, rows, columns)")
    if W.dtype.kind in "iuf" and W.ndim == 4 and given is None and W.size:
        return W.transpose(0, 2, 1, 3).reshape(len(W), W.shape[2], -1)
    if W.dtype.kind not in "iuf" or W.ndim != 2 or not W.size:
        raise ShapeError(
            "these weights are no images",
            where="weights",
            expected="W (D, M), or (F, C, rows, columns)" if given is None else "W (D, M) where a shape is given",
            got=f"{W.dtype} of shape {W.shape}",
            fix="weights(W, path), W having one column for each unit",
        )
    size = image_of((len(W),)) if shape is None else as_size(shape)
    if size is None or math.prod(size) != len(W):
        raise ShapeError(
            "these weights are no square image" if given is None else "these weights are not of that many pixels",
            where="weights",
            expected=f"the shape (rows, columns) of an image of {len(W):,} pixels",
            got="no shape" if given is None else repr(given),
            fix="shape=(rows, columns)",
        )
    return W.T.reshape(-1, *size)


def as_size(shape: Any) -> tuple[int, int] | None:
    """(rows, columns), if the shape is one of an image."""
    try:
        rows, columns = map(operator.index, shape)
    except (TypeError, ValueError):
        return None
    return (rows, columns) if min(rows, columns) > 0 else None


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
    across, high = max(columns * (TILE + GAP) + 0.15, 2.6), max(rows * (down + GAP) + 0.1, 1.0)
    drawn = f"weights of the first {n} of {units} units" if n < units else f"weights of {n} units"
    figure, axes = sheet(across + 0.75, high, [title, drawn] if title else [drawn])
    # One weight that is far larger than the rest would make all others white.
    largest = float(np.quantile(np.abs(shown[np.isfinite(shown)]), 0.999)) if np.isfinite(shown).any() else 0.0
    largest = largest or 1.0
    image: Any = None
    for i, tile in enumerate(shown):
        left, upper = 0.1 + i % columns * (TILE + GAP), i // columns * (down + GAP)
        image = place(axes, tile, left, upper, TILE, down, cmap=DIVERGING, vmin=-largest, vmax=largest)
    bar, (wide, whole) = min(high - 0.1, 3.0), figure.get_size_inches()
    scale = figure.add_axes((across / wide, (high - bar) / whole, 0.12 / wide, bar / whole))
    figure.colorbar(image, cax=scale).ax.tick_params(labelsize=8)
    return figure
