"""Digits that somebody drew and named, kept as MNIST keeps its own, so that a network can learn from them.

images, labels = (read_idx(f"corrections/{name}") for name in (IMAGES, LABELS))
fit(net, SGD(0.01), (images, labels), epochs=3)

A label is the number of a class, counted from 0, as in MNIST's files and among the network's outputs.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np

from tinynn.app.digitise import SIDE
from tinynn.data import Split, read_idx, write_idx
from tinynn.data.files import list_folder, make_folder
from tinynn.data.idx import read_idx_header
from tinynn.data.mnist import IDX_NAMES
from tinynn.data.split import checked_split
from tinynn.errors import DataError

__all__ = ["IMAGES", "LABELS", "Corrections"]

IMAGES, LABELS = IDX_NAMES[:2]


class Corrections:
    """The two IDX files in a folder, which is made if need be; a digit more is a new pair of files.

    Each file is replaced whole or not at all, the images first: so after a crash between the two there may be one image
    more than labels, and never a label without its image. Such an image is dropped.
    Errors: DataError for files that are damaged, or that are no digits of 28 x 28.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.lock = threading.Lock()
        make_folder(self.folder)
        images, labels = self.read()
        if len(labels) and read_idx_header(self.folder / IMAGES).shape[0] > len(labels):
            write_idx(self.folder / IMAGES, images)

    def read(self) -> Split:
        """All digits that are kept. Errors: DataError."""
        images_path, labels_path = (self.folder / name for name in (IMAGES, LABELS))
        if LABELS not in list_folder(self.folder)[0]:
            return Split(np.zeros((0, SIDE, SIDE), np.uint8), np.zeros(0, np.uint8))
        images, labels = read_idx(images_path), read_idx(labels_path)
        if images.ndim and labels.ndim and len(images) == len(labels) + 1:
            images = images[:-1]
        split = checked_split(images, labels, images_path=images_path, labels_path=labels_path, classes=256)
        if split.images.shape[1:] != (SIDE, SIDE):
            raise DataError(
                "these are no corrections of the page",
                path=images_path,
                expected=f"images of {SIDE} x {SIDE}",
                got=f"{split.images.shape[1]} x {split.images.shape[2]}",
                fix="use another folder",
            )
        return split

    def add(self, digit: np.ndarray, label: int) -> int:
        """Keeps a digit, uint8 (28, 28), and returns how many there are now. Errors: DataError; then it is not kept."""
        with self.lock:
            images, labels = self.read()
            write_idx(self.folder / IMAGES, np.concatenate([images, digit[None]]))
            write_idx(self.folder / LABELS, np.append(labels, np.uint8(label)))
            return len(labels) + 1
