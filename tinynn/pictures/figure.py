"""What every picture needs: a figure, its colours, and a file. matplotlib is asked for nothing outside this module.

The figures keep no state, and touch none of matplotlib's. What callers name is written as it is: a name with dollar
signs is no mathematics.

Colours: Okabe and Ito, "Color Universal Design", 2008, which colour-blind readers can tell apart.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinynn.data.files import make_folder, written_atomically
from tinynn.errors import ConfigurationError, MissingExtraError

__all__ = [
    "BLUE",
    "COLOURS",
    "DIVERGING",
    "GRAY",
    "MARKERS",
    "PLAIN",
    "VERMILION",
    "as_bytes",
    "new_figure",
    "place",
    "rgb",
    "sheet",
    "tidy",
    "tint",
    "write",
]

BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, YELLOW = COLOURS = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7"),
    *("#56B4E9", "#D55E00", "#F0E442"),
)
MARKERS = "osD^vP"  # beside the colour, a shape: six of them, so that they and seven colours make 42 pairs
GRAY = "#555555"
DIVERGING = "RdBu_r"  # matplotlib's name of a scale from blue over white, which is 0, to red
DPI = 150
LARGEST = 100e6  # pixels; drawing them takes 0.4 GB
PLAIN = {"parse_math": False}  # for texts of the caller's


def new_figure(width: float, height: float, title: str | None, layout: Any = "constrained") -> Any:
    """A figure of this size in inches, of its own: pyplot, which keeps a list of figures, is not asked."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", extra="plot", purpose="drawing a picture") from error
    if width * height * DPI**2 > LARGEST:
        raise ConfigurationError(
            "a picture that is too large to be drawn",
            where="pictures",
            expected=f"at most {LARGEST / 1e6:.0f} million pixels",
            got=f"{width * DPI:,.0f} x {height * DPI:,.0f}",
            fix="fewer or smaller images, or shorter names",
        )
    figure = Figure(figsize=(width, height), dpi=DPI, layout=layout, facecolor="white")
    if title:
        figure.suptitle(title, fontsize=12, **PLAIN)
    return figure


def sheet(width: float, height: float, lines: Sequence[str] = (), note: str = "") -> tuple[Any, Any]:
    """A figure for many small images, and its axes: inches to the right and down, from where the images begin.

    One pair of axes for all: a hundred pairs, one for each image, would take seconds to draw. `lines`: up to two, above
    the images; `note`: below them.
    """
    top, bottom = (0.0, 0.4, 0.62)[len(lines)], 0.3 if note else 0.0
    figure = new_figure(width, top + height + bottom, None, layout=None)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(0, width), ylim=(height + bottom, -top))
    for line, y, size, colour in zip(lines, (0.22, 0.44), (11, 9), ("black", GRAY), strict=False):
        axes.text(0.1, y - top, line, fontsize=size, va="center", color=colour, **PLAIN)
    figure.text(0.1 / width, 0.15 / figure.get_figheight(), note, fontsize=8, va="center", color=GRAY)
    return figure, axes


def place(axes: Any, image: Any, left: float, upper: float, width: float, height: float, **look: Any) -> Any:
    """An image at its place on a sheet, pixel by pixel."""
    extent = (left, left + width, upper + height, upper)
    return axes.imshow(image, extent=extent, aspect="auto", interpolation="nearest", **look)


def tidy(axes: Any, x: str, y: str) -> None:
    """Names the axes and takes away the lines that say nothing."""
    axes.set_xlabel(x, fontsize=11)
    axes.set_ylabel(y, fontsize=11)
    axes.tick_params(labelsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)


def rgb(colour: str) -> np.ndarray:
    """The colour as three numbers 0..1, red, green and blue."""
    return np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])


def tint(colour: str, strength: Any) -> Any:
    """The colour mixed with white, as numbers 0..1; `strength` (...) from 0, white, to 1 gives (..., 3)."""
    return 1 - np.clip(strength, 0, 1)[..., None] * (1 - rgb(colour))


def as_bytes(figure: Any, kind: str) -> bytes:
    """The picture as what a file of that kind ("png", "svg") holds, without the time at which it was drawn."""
    room = io.BytesIO()
    figure.savefig(room, format=kind, metadata={"Date": None} if kind == "svg" else None)
    return room.getvalue()


def write(figure: Any, path: str | os.PathLike[str]) -> Path:
    """Writes the figure, whole or not at all, into a folder that is made if need be."""
    path = Path(path)
    kind, kinds = path.suffix[1:].lower(), figure.canvas.get_supported_filetypes()
    if kind not in kinds:
        raise ConfigurationError(
            "a picture of unknown format",
            where=str(path),
            expected=", ".join(f".{known}" for known in sorted(kinds)),
            got=path.suffix or "no suffix",
            fix=f"{path.stem}.png",
        )
    make_folder(path.parent)
    with written_atomically(path) as file:
        figure.savefig(file, format=kind)
    return path
