"""What pictures are drawn of, looked at: arrays, gray images, classes and their names."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinynn.errors import ConfigurationError, ShapeError
from tinynn.network.inputs import becoming_array

__all__ = ["as_array", "class_names", "gray_images", "gray_range", "image_shape", "labels_of"]

SMALLEST = 8  # pixels a side, below which a row of numbers is not taken for an image


def as_array(values: Any, what: str, where: str, expected: str) -> np.ndarray:
    """The values as an array of NumPy's. `what`: such as "the images are". Errors: ShapeError, DataError."""
    with becoming_array(values, what, where, expected):
        return np.asarray(values)


def square(size: int) -> tuple[int, int] | None:
    """The shape of a row of so many numbers, if it may be a square image."""
    side = math.isqrt(size)
    return (side, side) if side * side == size and side >= SMALLEST else None


def image_shape(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """The size of the gray image in an example of this shape: (H, W), (1, H, W), or a square in a row; else None."""
    if len(shape) == 3 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) == 2:
        return shape[0], shape[1]
    return square(shape[0]) if len(shape) == 1 else None


def gray_images(images: Any, where: str) -> np.ndarray:
    """The images as (N, H, W). Errors: ShapeError."""
    expected = "numbers (N, rows, columns), (N, 1, rows, columns), or rows of square images; N >= 1"
    images = as_array(images, "the images are", where, expected)
    size = image_shape(images.shape[1:]) if images.ndim > 1 and images.size else None
    if size is None or images.dtype.kind not in "biuf":
        raise ShapeError(
            "these are not gray images",
            where=where,
            expected=expected,
            got=f"{images.dtype} of shape {images.shape}",
            fix="images.reshape(-1, 28, 28)",
        )
    return images.reshape(len(images), *size)


def gray_range(images: np.ndarray) -> tuple[float, float]:
    """Which numbers are white and black: 0 and 255 of integers, 0 and 1 of floats, the extremes of other ones."""
    if images.dtype.kind in "iu":
        return 0.0, 255.0
    finite = images[np.isfinite(images)].astype(float)
    return float(finite.min(initial=0.0)), float(finite.max(initial=1.0))


def labels_of(labels: Any, what: str, where: str, n: int | None = None) -> np.ndarray:
    """Labels as integers (N,), N >= 1. Errors: ShapeError, ConfigurationError."""
    labels = as_array(labels, f"{what} are", where, "one class for each row")
    if labels.ndim != 1 or not len(labels) or n not in (None, len(labels)):
        raise ShapeError(
            f"{what} must be one class for each row",
            where=where,
            expected=f"({'N' if n is None else n},), at least one",
            got=labels.shape,
            fix="of probabilities (N, C) take .argmax(axis=1)" if labels.ndim == 2 else "give each row one label",
        )
    whole = labels.astype(np.int64) if labels.dtype.kind in "iu" else np.array([-1])
    if whole.min() < 0:
        raise ConfigurationError(
            f"{what} are no classes",
            where=where,
            expected="integers from 0 on",
            got=f"{labels.dtype}, such as {labels[whole.argmin()]}",
            fix="labels.astype(int), counted from 0",
        )
    return whole


def class_names(names: Iterable[Any] | None, classes: int, where: str) -> list[str]:
    """A name for each class. Errors: ConfigurationError."""
    if names is None:
        return [str(c) for c in range(classes)]
    named = [str(name) for name in names] if isinstance(names, Iterable) else []
    if len(named) < classes:
        raise ConfigurationError(
            "a class without a name",
            where=where,
            expected=f"{classes} names, one for each class",
            got=repr(names),
            fix="names=[...] for all classes, or leave it out",
        )
    return named
