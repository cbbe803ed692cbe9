"""Gray images in rows, each with its title."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from tinynn.checks import positive_integer
from tinynn.errors import ShapeError
from tinynn.pictures.figure import new_figure, write

__all__ = ["digits"]

PICTURES = 1000  # more in one file are no longer to be seen, and would take memory without bound


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
