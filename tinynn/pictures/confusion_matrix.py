"""Which classes a classifier takes for which."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinynn.errors import ConfigurationError
from tinynn.pictures.figure import BLUE, GRAY, PLAIN, VERMILION, new_figure, tint, write
from tinynn.pictures.given import class_names, labels_of

__all__ = ["confusion", "confusion_figure"]

WRITTEN = 30  # classes up to which there is room for numbers
CLASSES = 300


def confusion(
    labels: ArrayLike,
    predicted: ArrayLike,
    path: str | os.PathLike[str],
    names: Sequence[str] | None = None,
    normalise: str | None = None,
    *,
    title: str | None = None,
) -> Path:
    """Draws how often each class (a row) is taken for each (a column): right in blue, wrong in red.

    Shapes: labels (N,) and predicted (N,), of classes: `net.predict(x).argmax(axis=1)`. Each wrong cell is the darker
    the larger its share of its row, beside the largest such share; so few errors are seen too. Beside the rows stands
    which share of each class is found (recall), below the columns which share of what was taken for it is right
    (precision). `names`: of the classes. `normalise`: None for counts; "true" for percent of the row, "predicted" for
    percent of the column.

    Errors: ShapeError, ConfigurationError, MissingExtraError, DataError when the file cannot be written.
    """
    return write(confusion_figure(labels, predicted, names, normalise, title), path)


def confusion_figure(
    labels: ArrayLike,
    predicted: ArrayLike,
    names: Sequence[str] | None = None,
    normalise: str | None = None,
    title: str | None = None,
) -> Any:
    """The figure of `confusion`."""
    counts, names = counted(labels, predicted, names, normalise)
    n, rows, columns = len(counts), counts.sum(axis=1), counts.sum(axis=0)
    right = counts.diagonal()
    of_row, of_column = share(counts, rows[:, None]), share(counts, columns)
    wrong = of_row * (1 - np.eye(n))
    shade = tint(VERMILION, np.where(wrong > 0, 0.12 + 0.88 * share(wrong, wrong.max()), 0))
    shade[range(n), range(n)] = tint(BLUE, np.where(right > 0, 0.12 + 0.78 * of_row.diagonal(), 0))

    cell = 0.5 if n <= 12 else 0.42 if n <= WRITTEN else 7 / n
    margin = 0.075 * max(map(len, names))
    accuracy = right.sum() / counts.sum()
    heading = f"{title}\n" if title else ""
    heading += f"{right.sum():,} of {counts.sum():,} right: {100 * accuracy:.2f} %"
    figure = new_figure(n * cell + margin + 1.5, n * cell + margin + 1.3, None)
    axes = figure.subplots()
    axes.set_title(heading, fontsize=12, loc="left", pad=10, **PLAIN)
    axes.imshow(shade, interpolation="nearest")
    axes.set_xlabel("read as", fontsize=11)
    axes.set_ylabel("true class", fontsize=11)
    axes.tick_params(length=0, labelsize=10)
    axes.spines[:].set_visible(False)
    every = range(0, n, 1 if n <= WRITTEN else -(-n // WRITTEN))
    steep = max(len(names[c]) for c in every) > 3
    axes.set_xticks(every, [names[c] for c in every], rotation=90 if steep else 0, **PLAIN)
    axes.set_yticks(every, [names[c] for c in every], **PLAIN)
    if n > WRITTEN:
        return figure
    axes.set_xticks(np.arange(n + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(n + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#eeeeee", linewidth=0.8)
    axes.tick_params(which="minor", length=0)
    shown = {None: counts, "true": 100 * of_row, "predicted": 100 * of_column}[normalise]
    for i, j in np.argwhere(counts):
        text = f"{counts[i, j]}" if normalise is None else percent(float(shown[i, j]))
        dark = shade[i, j] @ (0.299, 0.587, 0.114) < 0.55
        axes.text(j, i, text, ha="center", va="center", fontsize=9, color="white" if dark else "black")
    small = {"fontsize": 9, "color": GRAY, "va": "center", "ha": "center"}
    for c in range(n):
        axes.text(n - 0.05, c, percent(100 * float(of_row[c, c])) if rows[c] else "-", **small)
        axes.text(c, n - 0.1, percent(100 * float(of_column[c, c])) if columns[c] else "-", **small)
    axes.text(n - 0.05, -0.85, "found\nin %", **small)
    axes.text(-0.6, n - 0.1, "right in %", **{**small, "ha": "right"})
    axes.set(xlim=(-0.5, n + 0.4), ylim=(n + 0.25, -0.5))
    return figure


def counted(
    labels: ArrayLike, predicted: ArrayLike, names: Sequence[str] | None, normalise: str | None
) -> tuple[np.ndarray, list[str]]:
    """The counts (C, C), true classes in rows, and the names of all C classes."""
    if normalise not in (None, "true", "predicted"):
        raise ConfigurationError(
            "an unknown way to normalise",
            where="confusion",
            expected='None for counts, "true" for percent of a row, "predicted" for percent of a column',
            got=repr(normalise),
            fix='normalise="true"',
        )
    labels = labels_of(labels, "labels", "confusion")
    predicted = labels_of(predicted, "predicted", "confusion", len(labels))
    classes = int(max(labels.max(), predicted.max())) + 1
    named = None if names is None else class_names(names, classes, "confusion")
    many = classes if named is None else len(named)
    if many > CLASSES:
        raise ConfigurationError(
            "too many classes for one picture",
            where="confusion",
            expected=f"at most {CLASSES}",
            got=f"{many:,} names" if named else f"{many:,}: the largest label is {many - 1:,}",
            fix="count classes from 0, without gaps",
        )
    counts = np.zeros((many, many), np.int64)
    np.add.at(counts, (labels, predicted), 1)
    return counts, named or class_names(None, many, "confusion")


def share(part: Any, whole: Any) -> np.ndarray:
    """part / whole, 0 of nothing."""
    return part / np.maximum(whole, 1e-300)


def percent(value: float) -> str:
    """With one decimal below 100, so that 99.9 is not taken for all."""
    return f"{value:.0f}" if value in (0, 100) else f"{value:.1f}"
