"""Arrays of numbers seen as gray images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinynn.errors import ConfigurationError, ShapeError

__all__ = ["class_names", "gray_images", "gray_range", "image_shape", "labels_of"]

SMALLEST = 8  # pixels a side, below which a row of numbers is not taken for an image


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
    images = np.asarray(images)
    size = image_shape(images.shape[1:]) if images.ndim > 1 and len(images) else None
    if size is None or images.dtype.kind not in "biuf":
        raise ShapeError(
            "these are not gray images",
            where=where,
            expected="numbers (N, rows, columns), (N, 1, rows, columns), or rows of square images; N >= 1",
            got=f"{images.dtype} of shape {images.shape}",
            fix="images.reshape(-1, 28, 28)",
        )
    return images.reshape(len(images), *size)


def gray_range(images: np.ndarray) -> tuple[float, float]:
    """Which numbers are white and black: 0 and 255 of integers, 0 and 1 of floats, the extremes of other ones."""
    if images.dtype.kind in "iu":
        return 0.0, 255.0
    low, high = float(images.min(initial=0.0)), float(images.max(initial=1.0))
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)


def labels_of(labels: Any, what: str, where: str, n: int | None = None) -> np.ndarray:
    """Labels as integers (N,), N >= 1. Errors: ShapeError, ConfigurationError."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or not len(labels) or n not in (None, len(labels)):
        raise ShapeError(
            f"{what} must be one class for each row",
            where=where,
            expected=f"({'N' if n is None else n},), at least one",
            got=labels.shape,
            fix="of probabilities (N, C) take .argmax(axis=1)" if labels.ndim == 2 else "give each row one label",
        )
    if labels.dtype.kind not in "iu" or labels.min() < 0:
        raise ConfigurationError(
            f"{what} are no classes",
            where=where,
            expected="integers from 0 on",
            got=f"{labels.dtype}, such as {labels[labels.argmin()]}",
            fix="labels.astype(int), counted from 0",
        )
    return labels.astype(np.int64)


def class_names(names: Sequence[Any] | None, classes: int, where: str) -> list[str]:
    """A name for each class. Errors: ConfigurationError."""
    if names is None:
        return [str(c) for c in range(classes)]
    if len(names) < classes:
        raise ConfigurationError(
            "a class without a name",
            where=where,
            expected=f"{classes} names, one for each class",
            got=repr(names),
            fix="names=[...] for all classes, or leave it out",
        )
    return [str(name) for name in names]
