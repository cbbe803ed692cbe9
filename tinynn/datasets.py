"""Whole data sets, ready to train on: `train, test = datasets.mnist()`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tinynn.data.files import list_folder
from tinynn.data.idx import read_idx, read_idx_header
from tinynn.data.keras_npz import read_keras_mnist
from tinynn.data.mnist import IDX_NAMES, download_mnist, find_idx_files
from tinynn.data.shard_writer import write_shards
from tinynn.data.shards import shards
from tinynn.data.split import Split, check_classes, check_forms, checked_split
from tinynn.data.text_digits import read_text_digits
from tinynn.errors import DataError

__all__ = ["Dataset", "load", "mnist", "shards", "write_shards"]

_KERAS_NAME = "mnist.npz"
_SHAPES = ((60_000, 28, 28), (10_000, 28, 28))


class Dataset(NamedTuple):
    """A training and a test split; unpacks as `train, test = dataset`."""

    train: Split
    test: Split


def load(folder: str | os.PathLike[str], *, classes: int = 10) -> Dataset:
    """Load a data set of gray images from a folder of one of two kinds.

    IDX: MNIST's four files, plain or `.gz`, spelled with a dash (`train-images-idx3-ubyte`) or a dot
    (`train-images.idx3-ubyte`): `train-images`, `train-labels`, `t10k-images`, `t10k-labels`. Fashion-MNIST, KMNIST and
    other sets of this form load as they are; images of any one size, any number of them.

    Text: two folders, `train` and `test`, of text digits (see `tinynn.data.text_digits`). IDX files go before them.

    Returns a `Dataset`: images uint8 (N, H, W), labels uint8 (N,) in 0..classes-1.

    Errors: DataError when the folder holds neither kind, a file is missing or damaged, the counts of images and labels
    differ, a label is out of range, or the test images are of another size than the training images.
    ConfigurationError when `classes` is not 1..256.
    """
    check_classes(classes)
    folder = Path(folder)
    found = find_idx_files(folder)
    if not found and {"train", "test"} <= list_folder(folder)[1]:
        return Dataset(*(read_text_digits(folder / part, classes=classes) for part in ("train", "test")))
    if len(found) < len(IDX_NAMES):
        raise _incomplete(folder, found, "or the folders train and test with text digits")
    return _load_idx(found, classes)


def mnist(folder: str | os.PathLike[str] | None = None, *, download: bool = True) -> Dataset:
    """Load MNIST: train images uint8 (60000, 28, 28) with labels uint8 (60000,) in 0..9, and 10,000 of each for test.

    With `folder`, only that folder is read. Without, the first of these places that holds MNIST:

    1. `$TINYNN_DATA`, or its subfolder `mnist`; when this is set, it is the only place
    2. `examples/data/mnist` of the checkout that tinynn runs from
    3. the user's cache: `$XDG_CACHE_HOME/tinynn/mnist`, by default `~/.cache/tinynn/mnist`, on macOS
       `~/Library/Caches/tinynn/mnist`, on Windows `%LOCALAPPDATA%/tinynn/mnist`
    4. torchvision's `data/MNIST/raw`, from the current folder and from the home folder
    5. Keras' `~/.keras/datasets`

    and at last, unless `download` is false, it is downloaded into the user's cache and verified by SHA-256; that needs
    the extra `download`. A place holds MNIST when it has all four IDX files (as in `load`) or Keras' `mnist.npz`. Local
    files are trusted when their form is right, so that Fashion-MNIST can stand in.

    Errors: DataError when MNIST is not found (with the places), when what was found is damaged or of other shapes, and
    when the download fails. MissingExtraError when a download needs a package that is not installed.
    """
    if folder is not None:
        return _load_mnist(_find_mnist(Path(folder)))
    chosen = os.environ.get("TINYNN_DATA")
    places = [Path(chosen), Path(chosen, "mnist")] if chosen else _places()
    looked = []
    for place in places:
        try:
            found = _find_mnist(place)
        except DataError as error:
            looked.append(f"{place} ({error.got})")
            continue
        return _load_mnist(found)
    if chosen or not download:
        raise DataError(
            "$TINYNN_DATA does not lead to MNIST" if chosen else "MNIST is in none of the usual places",
            path=chosen or None,
            where="datasets.mnist",
            expected=f"the four files {', '.join(IDX_NAMES)}, plain or .gz, or {_KERAS_NAME}",
            got="; ".join(looked),
            fix=f"{'correct or unset' if chosen else 'set'} TINYNN_DATA, pass the folder, or use download=True",
        )
    download_mnist(_user_cache())
    return _load_mnist(_find_mnist(_user_cache()))


def _places() -> Iterator[Path]:
    yield Path(__file__).resolve().parents[1] / "examples" / "data" / "mnist"
    yield _user_cache()
    yield Path("data", "MNIST", "raw")
    yield _home() / "data" / "MNIST" / "raw"
    yield _home() / ".keras" / "datasets"


def _user_cache() -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():  # the XDG specification has a relative path ignored
        if sys.platform == "darwin":
            base = _home() / "Library" / "Caches"
        elif sys.platform == "win32":
            base = Path(os.environ.get("LOCALAPPDATA") or _home() / "AppData" / "Local")
        else:
            base = _home() / ".cache"
    return base / "tinynn" / "mnist"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError as error:
        raise DataError(
            "cannot look for MNIST: this user has no home folder",
            where="datasets.mnist",
            expected="a home folder, in which the usual places are",
            got=error,
            fix="pass folder=, or set TINYNN_DATA",
        ) from error


def _find_mnist(folder: Path) -> dict[str, Path]:
    found = find_idx_files(folder)
    if len(found) < len(IDX_NAMES):
        if _KERAS_NAME not in list_folder(folder)[0]:
            raise _incomplete(folder, found, f"or {_KERAS_NAME}")
        found = {_KERAS_NAME: folder / _KERAS_NAME}
    return found


def _load_mnist(found: dict[str, Path]) -> Dataset:
    return _load_keras(found[_KERAS_NAME]) if _KERAS_NAME in found else _load_idx(found, 10, _SHAPES)


def _load_keras(path: Path) -> Dataset:
    arrays = read_keras_mnist(path)
    train, test = (
        checked_split(arrays[f"x_{part}"], arrays[f"y_{part}"], images_path=path, labels_path=path, classes=10)
        for part in ("train", "test")
    )
    return Dataset(train, test)


def _load_idx(found: dict[str, Path], classes: int, expected: tuple[tuple[int, ...], ...] | None = None) -> Dataset:
    """The data set of the four files, if its images have the shapes that are `expected`."""
    pairs = tuple((found[images], found[labels]) for images, labels in (IDX_NAMES[:2], IDX_NAMES[2:]))
    # All headers before the first array: a file of the wrong kind is not unpacked, however large it says it is.
    shapes = []
    for images, labels in pairs:
        header = read_idx_header(images)
        check_forms(header, read_idx_header(labels), images_path=images, labels_path=labels)
        shapes.append(header.shape)
    _check_shapes(shapes, pairs, expected)
    train, test = (
        checked_split(read_idx(images), read_idx(labels), images_path=images, labels_path=labels, classes=classes)
        for images, labels in pairs
    )
    return Dataset(train, test)


def _check_shapes(
    shapes: list[tuple[int, ...]], pairs: tuple[tuple[Path, Path], ...], expected: tuple[tuple[int, ...], ...] | None
) -> None:
    for shape, (images, _), right in zip(shapes, pairs, expected or (), strict=expected is not None):
        if shape != right:
            raise DataError(
                "these are not MNIST's images",
                path=images,
                expected=f"shape {right}",
                got=f"shape {shape}",
                fix="use datasets.load(folder) for a data set of another size",
            )
    (train_images, _), (test_images, _) = pairs
    if shapes[0][1:] != shapes[1][1:]:
        raise DataError(
            "the test images are of another size than the training images",
            path=test_images,
            expected=f"rows and columns {shapes[0][1:]}, as in {train_images}",
            got=shapes[1][1:],
            fix="use the four files of one data set",
        )


def _incomplete(folder: Path, found: dict[str, Path], alternative: str) -> DataError:
    missing = [name for name in IDX_NAMES if name not in found]
    return DataError(
        "the folder does not hold the data set",
        path=folder,
        expected=f"{', '.join(IDX_NAMES)}, each plain or .gz, {alternative}",
        got=f"without {', '.join(missing)}" if found else "none of them",
        fix="check the folder, and put all of the files into it",
    )
