"""Gray images in rows, each with its title."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from numpy.typing import ArrayLike

from tinynn.checks import positive_integer
from tinynn.errors import ShapeError
from tinynn.pictures.figure import PLAIN, place, sheet, write
from tinynn.pictures.given import gray_images, gray_range

__all__ = ["digits"]

PICTURES = 1000  # more in one file are no longer to be seen, and would take memory without bound


def digits(
    images: ArrayLike, path: str | os.PathLike[str], titles: Sequence[str] | None = None, columns: int = 10
) -> Path:
    """Draws gray images in rows of `columns`, dark on light, each with its title above it.

    Shapes: images (N, H, W), (N, 1, H, W), or rows of square images, 1 <= N <= 1000; integers 0..255, or floats 0..1.
    A title may have several lines.

    Errors: ShapeError for another shape or number of titles, ConfigurationError for a bad number of columns,
    MissingExtraError, DataError when the file cannot be written.
    """
    images = gray_images(images, "digits")
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
    figure, axes = sheet(columns * across + 0.1, rows * down + 0.1)
    white, black = gray_range(images)
    for i, (image, title) in enumerate(zip(images, titles, strict=True)):
        left = 0.05 + (i % columns) * across + (across - picture) / 2
        top = 0.05 + (i // columns) * down + 0.14 * depth + 0.05
        place(axes, image, left, top, picture, picture * height / width, cmap="gray_r", vmin=white, vmax=black)
        axes.text(left + picture / 2, top - 0.03, title, fontsize=8, ha="center", va="bottom", **PLAIN)
    return write(figure, path)
