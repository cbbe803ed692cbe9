"""How the tests of pictures look at a figure, and at where its parts stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

__all__ = ["boxes", "inside", "keep_figures", "texts"]


def keep_figures(monkeypatch: pytest.MonkeyPatch, *modules: Any) -> list[Figure]:
    """The figures that these modules draw from now on, in place of being written."""
    figures: list[Figure] = []

    def keep(figure: Figure, path: Path) -> Path:
        figures.append(figure)
        return path

    for module in modules:
        monkeypatch.setattr(module, "write", keep)
    return figures


def boxes(figure: Figure, artists: Any) -> list[Any]:
    """Where artists stand, in pixels."""
    FigureCanvasAgg(figure).draw()
    return [artist.get_window_extent() for artist in artists]


def texts(axes: Any) -> list[str]:
    """What is written in the axes, where there is anything to read."""
    return [text.get_text() for text in axes.texts if text.get_text()]


def inside(figure: Figure, artists: Any) -> bool:
    """Whether all of them stand within the figure."""
    width, height = figure.bbox.width, figure.bbox.height
    found = boxes(figure, artists)
    return all(b.x0 >= -1 and b.y0 >= -1 and b.x1 <= width + 1 and b.y1 <= height + 1 for b in found)
