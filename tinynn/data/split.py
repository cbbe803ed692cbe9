"""A split: images with their labels, and the checks that make two arrays one."""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tinynn.data.files import plural
from tinynn.errors import ConfigurationError, DataError

__all__ = ["Split", "check_classes", "check_forms", "checked_split"]


class Split(NamedTuple):
    """One part of a data set; unpacks as `x, t = train`.

    Shapes: images uint8 (N, H, W), gray values 0..255; labels uint8 (N,), 0..classes-1.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def check_classes(classes: int) -> None:
    """Refuse a number of classes that uint8 labels cannot have. Errors: ConfigurationError."""
    try:
        usable = 1 <= operator.index(classes) <= 256
    except TypeError:
        usable = False
    if not usable:
        raise ConfigurationError(
            "classes cannot be used",
            where="classes",
            expected="an integer from 1 to 256: labels are bytes",
            got=repr(classes),
            fix="pass the number of classes that the data has: classes=10",
        )


class _Form(Protocol):
    """An array, or what a file says of one."""

    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def shape(self) -> tuple[int, ...]: ...


def check_forms(images: _Form, labels: _Form, *, images_path: Path, labels_path: Path) -> None:
    """Errors: DataError as `checked_split`, for what types and shapes say."""
    if images.dtype != np.uint8 or len(images.shape) != 3 or 0 in images.shape:
        raise DataError(
            "these are not gray images",
            path=images_path,
            expected="uint8 of shape (images, rows, columns), none of them 0",
            got=f"{images.dtype} of shape {images.shape}",
            fix="use the file of images here, and the file of labels for the labels",
        )
    if labels.dtype != np.uint8 or len(labels.shape) != 1:
        raise DataError(
            "these are not class labels",
            path=labels_path,
            expected="uint8 of shape (labels,)",
            got=f"{labels.dtype} of shape {labels.shape}",
            fix="use the file of images for the images, and the file of labels here",
        )
    count, labelled = images.shape[0], labels.shape[0]
    if count != labelled:
        raise DataError(
            "the images and the labels do not belong together",
            path=labels_path,
            expected=f"{plural(count, 'label')}, one for each image in {images_path}",
            got=plural(labelled, "label"),
            fix="use the two files of the same set",
        )


def checked_split(
    images: NDArray[Any], labels: NDArray[Any], *, images_path: Path, labels_path: Path, classes: int
) -> Split:
    """The split of `images` and `labels`, read from the two paths.

    Errors: DataError when the images are not uint8 (N, H, W) with N, H, W > 0, the labels not uint8 (N,), the counts
    differ (both files and both counts are named), or a label is not below `classes`.
    """
    check_forms(images, labels, images_path=images_path, labels_path=labels_path)
    wrong = labels > classes - 1  # as bytes, one each, whatever the labels are
    if wrong.any():
        first = int(wrong.argmax())
        raise DataError(
            "a label is out of range",
            path=labels_path,
            expected=f"0 to {classes - 1}",
            got=f"{labels[first]} at index {first}",
            fix="pass the number of classes that the data has",
        )
    return Split(images, labels)
