"""One image on its way through a network."""

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
from tinynn.network.observed import layer_outputs
from tinynn.pictures.figure import BLUE, DIVERGING, GRAY, PLAIN, place, sheet, write
from tinynn.pictures.given import as_array, class_names, image_shape

__all__ = ["activations"]

LEFT, WIDE = 2.6, 7.6  # inches: the names of the layers, and what they put out
TILE, CELL, BAR, GAP = 0.7, 0.076, 0.17, 0.07
TALL = 1.5  # the height of a number in a strip, beside its width
CHANNELS, CELLS = 40, 1000  # at most, of one layer
LETTERS = 34  # of a layer's name
FEW = 20  # numbers up to which they are bars with names


def activations(
    net: Network,
    image: ArrayLike,
    path: str | os.PathLike[str],
    *,
    names: Sequence[str] | None = None,
    title: str | None = None,
) -> Path:
    """Draws one example on its way through the network, layer by layer, as at inference.

    Images (C, H, W) are a tile for each channel; rows of numbers a strip, or bars where they are few. Where all numbers
    of a layer are >= 0, white is 0 and black its largest; else white is 0, red positive and blue negative. Layers that
    only scale or reshape what they are given are left out.

    Shapes: image, one example of the shape that was built, or of as many numbers. `names`: of the classes, for the bars
    of the last layer.

    Errors: ShapeError, ConfigurationError, MissingExtraError, DataError when the file cannot be written.
    """
    return write(activations_figure(net, image, names, title), path)


def activations_figure(net: Network, image: ArrayLike, names: Sequence[str] | None, title: str | None) -> Any:
    """The figure of `activations`."""
    panels = way(net, as_array(image, "the image is", "activations", "one example"))
    classes = panels[-1][1].size
    named = class_names(names, classes, "activations") if classes <= FEW else []
    heights = [max(height_of(y), 0.42) for _, y in panels]
    note = "black: the largest number, white: 0; in layers with negative ones red: positive, blue: negative, white: 0"
    lines = [title] if title else []
    figure, axes = sheet(LEFT + WIDE + 0.1, 0.1 + sum(heights) + 0.16 * len(panels), lines, note)
    upper = 0.1
    for k, ((label, y), height) in enumerate(zip(panels, heights, strict=True)):
        known = np.isfinite(y)
        low, high = (float(y[known].min()), float(y[known].max())) if known.any() else (0.0, 0.0)
        about = f"{y.shape}  {low:.3g} to {high:.3g}{'' if known.all() else ', NaN or Inf'}"
        axes.text(0.1, upper + 0.12, label, fontsize=9, va="center", **PLAIN)
        axes.text(0.1, upper + 0.30, about, fontsize=8, va="center", color=GRAY)
        last = k == len(panels) - 1
        if y.ndim == 1 and y.size <= FEW:
            draw_bars(axes, y, upper, low, high, named if last else [str(i) for i in range(y.size)])
        else:
            draw_tiles(axes, tiles_of(y), upper, low, high, TILE if y.ndim > 1 else CELL)
        upper += height + 0.16
    return figure


def way(net: Network, image: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """The image and what each layer makes of it, without the batch axis, each with a label."""
    net._built()
    if len(net.input_shapes) != 1:
        raise ConfigurationError(
            "a way through a network with several inputs",
            where="activations",
            expected="a network with one input",
            got=f"{len(net.input_shapes)}: {', '.join(net.input_names)}",
            fix="net.explain(...) has numbers for all layers",
        )
    (shape,) = net.input_shapes
    if image.size != np.prod(shape):
        raise ShapeError(
            "one example does not have this shape",
            where="activations",
            expected=f"{shape}, as the network was built",
            got=image.shape,
            fix="activations(net, images[0], path)",
        )
    x = image.reshape(1, *shape)
    size = image_shape(shape)
    before = x[0].reshape(size) if size is not None else x[0]
    panels = [("input", before)]
    for path, layer, y in layer_outputs(net, x):
        if isinstance(layer, Network) or y.ndim < 2 or y.size == 0:
            continue
        if not same(before, y[0]):
            label = f"{path}  {layer!r}"
            panels.append((label if len(label) <= LETTERS else f"{label[: LETTERS - 3]}...", y[0]))
        before = y[0]
    return panels


def same(before: np.ndarray, y: np.ndarray) -> bool:
    """Whether a layer has changed nothing but size and shape; where there is a NaN, nobody could tell."""
    if before.size != y.size:
        return False
    a, b = (np.ravel(part).astype(float) for part in (before, y))
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return False
    return bool(np.allclose(a / (np.abs(a).max() or 1.0), b / (np.abs(b).max() or 1.0), atol=1e-6))


def tiles_of(y: np.ndarray) -> np.ndarray:
    """What there is room for, as tiles (n, rows, columns)."""
    if y.ndim == 1:
        return y[:CELLS].reshape(-1, 1, 1)
    return (y[None] if y.ndim == 2 else y.reshape(-1, *y.shape[-2:]))[:CHANNELS]


def a_line(n: int, side: float) -> int:
    """How many tiles stand in one line."""
    return min(n, int(WIDE / (side + (GAP if side == TILE else 0))))


def height_of(y: np.ndarray) -> float:
    """The height of a layer's panel, in inches."""
    if y.ndim == 1 and y.size <= FEW:
        return BAR * y.size
    tiles, side = tiles_of(y), TILE if y.ndim > 1 else CELL
    lines = -(-len(tiles) // a_line(len(tiles), side))
    return lines * (side * tiles.shape[1] / tiles.shape[2] + GAP if side == TILE else side * TALL)


def draw_tiles(axes: Any, tiles: np.ndarray, upper: float, low: float, high: float, side: float) -> None:
    """Tiles in lines: of a row of numbers one for each."""
    most = max(abs(low), abs(high)) or 1.0
    look: dict[str, Any] = {"cmap": DIVERGING, "vmin": -most, "vmax": most}
    if low >= 0:
        look.update(cmap="gray_r", vmin=0)
    n, height, width = tiles.shape
    many, down = a_line(n, side), side * height / width
    if side == CELL:  # one image of all lines, NaN where the last is not full
        strip = np.full(-(-n // many) * many, np.nan)
        strip[:n] = tiles[:, 0, 0]
        box = (LEFT, upper, many * side, len(strip) // many * side * TALL)
        place(axes, strip.reshape(-1, many), *box, **look)
        frame(axes, *box)
        return
    for i, tile in enumerate(tiles):
        box = (LEFT + i % many * (side + GAP), upper + i // many * (down + GAP), side, down)
        place(axes, tile, *box, **look)
        frame(axes, *box)


def frame(axes: Any, left: float, upper: float, width: float, height: float) -> None:
    """A thin line around a tile: many are white at the edge."""
    right, lower = left + width, upper + height
    axes.plot([left, right, right, left, left], [upper, upper, lower, lower, upper], color="#cccccc", linewidth=0.6)


def draw_bars(axes: Any, y: np.ndarray, upper: float, low: float, high: float, names: Sequence[str]) -> None:
    """A bar for each number, to the left where it is negative, with its name and value; none for NaN and Inf."""
    room = 0.07 * max(map(len, names)) + 0.1
    most, low = max(abs(low), abs(high)) or 1.0, min(low, 0.0)
    reach = (WIDE - room - 1.4) / (most - low if low < 0 else most)
    zero = LEFT + room - low * reach + (0.55 if low < 0 else 0)
    shares = low == 0 and most <= 1
    for i, (value, name) in enumerate(zip(y.tolist(), names, strict=False)):
        middle, end = upper + BAR * (i + 0.5), zero + (value * reach if math.isfinite(value) else 0)
        axes.text(LEFT, middle, name, fontsize=8, va="center", **PLAIN)
        axes.fill_between(sorted([zero, end]), middle - 0.055, middle + 0.055, color=BLUE, linewidth=0)
        side = -1 if value < 0 else 1
        place = {"ha": "left" if side > 0 else "right", "va": "center"}
        axes.text(
            end + side * 0.05, middle, f"{value:.3f}" if shares else f"{value:.3g}", fontsize=8, color=GRAY, **place
        )
