"""What a path on the command line holds, made ready to train on: inputs, targets, what both are called.

The word mnist; a folder of MNIST's form, with test files or without, or of text digits; an .npz archive with x and t,
or with the names that Keras has; all other files are CSV.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tinynn import datasets
from tinynn.data.files import list_folder
from tinynn.data.idx import read_idx
from tinynn.data.mnist import IDX_NAMES, find_idx_files
from tinynn.data.npz_arrays import read_npz
from tinynn.data.split import Split, checked_split
from tinynn.data.table import Table, read_table
from tinynn.data.target_column import MOST_CLASSES
from tinynn.data.text_digits import read_text_digits
from tinynn.errors import ConfigurationError, DataError

__all__ = ["Material", "of_table", "read_material"]

KERAS = (("x_train", "y_train", "x_test", "y_test"), ("x_train", "y_train"))
MOST = float(np.finfo(np.float32).max)


@dataclass
class Material:
    """Rows to learn from, `x` (N, ...) and `t`, and what was made to test with, if anything was: `test` = (x, t).

    `classes`: their names, which t (N,) counts through; None for numbers, t (N, K). `features`, `target`: the names of
    the columns of a CSV file, which `table` holds.
    """

    path: str
    x: np.ndarray
    t: np.ndarray
    classes: tuple[str, ...] | None
    test: tuple[np.ndarray, np.ndarray] | None = None
    features: tuple[str, ...] = ()
    target: str | None = None
    table: Table | None = field(default=None, repr=False)


def read_material(path: str, *, target: str | None = None, kind: str | None = None) -> Material:
    """What is there. `target`: the column of a CSV file; `kind`: "classes" or "numbers", what the targets are.

    Errors: DataError, ConfigurationError.
    """
    place = Path(path)
    is_mnist, is_folder = path == "mnist" and not place.exists(), place.is_dir()
    is_archive = place.suffix.lower() == ".npz"
    if target is not None and (is_mnist or is_folder or is_archive):
        raise ConfigurationError("--target is about CSV files", got=path, fix="leave it out")
    if kind == "numbers" and (is_mnist or is_folder):
        what = "what there is to learn of these images are classes"
        raise ConfigurationError(what, got="a loss for numbers", fix="leave --loss out")
    if is_mnist:
        return images(path, *datasets.mnist())
    if is_folder:
        return of_folder(place)
    return of_archive(path, kind) if is_archive else of_table(path, read_table(path, target=target, kind=kind))


def of_folder(place: Path) -> Material:
    """A folder of images: a whole data set, or rows to learn from alone, such as the page's corrections."""
    files, found = list_folder(place)[0], find_idx_files(place)
    digits = [name for name in files if name.lower().endswith(".txt") and not name.startswith(".")]
    if [*found] == [*IDX_NAMES[:2]]:
        x, t = found.values()
        return images(str(place), checked_split(read_idx(x), read_idx(t), images_path=x, labels_path=t, classes=256))
    if digits and not found:
        return images(str(place), read_text_digits(place, classes=256))
    return images(str(place), *datasets.load(place, classes=256))


def images(path: str, train: Split, test: Split | None = None) -> Material:
    """Images whose labels are their classes' names."""
    parts = [(part.images, part.labels.astype(np.int64)) for part in (train, test) if part is not None]
    count = max(int(t.max()) for _, t in parts) + 1
    return Material(path, *parts[0], names(count), parts[1] if test is not None else None)


def names(count: int) -> tuple[str, ...]:
    """Classes that have numbers for names; two at least, since one needs no network."""
    return tuple(map(str, range(max(count, 2))))


def of_table(path: str, table: Table) -> Material:
    """A CSV file's rows."""
    assert table.t is not None
    t = table.t if table.classes is not None else table.t[:, None]
    for values, what in ((table.x, "a feature"), (table.t, "the target")):
        if np.abs(values).max() > MOST:
            row = int(np.argmax(np.abs(values).reshape(len(values), -1).max(axis=1)))
            raise too_large(path, what, int(table.lines[row]))
    return Material(path, table.x, t, table.classes, features=table.features, target=table.target, table=table)


def of_archive(path: str, kind: str | None) -> Material:
    """The arrays of an archive: x and t, or x_train, y_train, x_test and y_test."""
    x, t, *more = read_npz(path, ("x", "t"), *KERAS).values()
    if len(x) != len(t):
        raise unequal(path, x, t)
    if not more:
        return Material(path, inputs_of(path, x), *targets_of(path, t, kind))
    x_test, t_test = more
    is_text = {part.dtype.kind == "U" for part in (t, t_test)}
    if (
        len(x_test) != len(t_test)
        or x_test.shape[1:] != x.shape[1:]
        or t_test.shape[1:] != t.shape[1:]
        or len(is_text) > 1
    ):
        raise unequal(path, x_test, t_test)
    both, classes = targets_of(path, np.concatenate([t, t_test]), kind)  # the classes of both
    test = inputs_of(path, x_test), both[len(x) :]
    return Material(path, inputs_of(path, x), both[: len(x)], classes, test)


def inputs_of(path: str, x: np.ndarray) -> np.ndarray:
    """The inputs of an archive, each row an example. Errors: DataError for what are no finite numbers."""
    if x.ndim == 1:
        x = x[:, None]
    if x.dtype.kind not in "biuf":
        raise DataError("the inputs are texts", path=path, expected="numbers", got=x.dtype, fix="x.astype(float)")
    if x.dtype.kind == "b":
        x = x.astype(np.float32)
    largest = max(float(x.max()), -float(x.min()))
    if not np.isfinite(largest):
        expected = "finite numbers"
        raise DataError(
            "the inputs are not finite", path=path, expected=expected, got="NaN or Inf", fix="take them out"
        )
    if largest > MOST:
        raise too_large(path, "an input", None)
    return x


def targets_of(path: str, t: np.ndarray, kind: str | None) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """Targets of an archive, and the names of their classes; None for numbers, which come as (N, K).

    Whole numbers, truth values and texts are classes, and so are rows with a single 1 among zeros, as Keras has them.
    Errors: DataError.
    """
    if t.ndim == 2 and t.shape[1] == 1:
        t = t[:, 0]
    if t.ndim == 2 and t.shape[1] > 1 and t.dtype.kind != "U" and kind != "numbers" and is_one_hot(t):
        t = t.argmax(axis=1)
    if t.ndim > 2 or (t.ndim == 2 and (kind == "classes" or t.dtype.kind == "U")):
        expected = "one class for each row, or rows of numbers"
        raise DataError("the targets fit no loss", path=path, expected=expected, got=f"shape {t.shape}", fix="t[:, 0]")
    if t.dtype.kind == "U" and kind == "numbers":
        raise DataError("the targets are texts", path=path, expected="numbers", got="texts", fix="leave --loss out")
    if kind == "numbers" or t.ndim == 2 or (kind is None and t.dtype.kind == "f"):
        return finite(path, t.astype(np.float64).reshape(len(t), -1)), None
    if t.dtype.kind in "iu" and t.min() >= 0 and t.max() < MOST_CLASSES:
        return t.astype(np.int64), names(int(t.max()) + 1)
    if t.dtype.kind == "f":
        finite(path, t)
    found, codes = np.unique(t, return_inverse=True)
    classes = tuple(map(str, found.tolist()))
    if not 2 <= len(classes) <= MOST_CLASSES or not all(name.isprintable() and name for name in classes):
        expected = f"2 to {MOST_CLASSES:,} classes whose names can be printed"
        fix = "correct t; if they are numbers say so: --loss meansquarederror"
        raise DataError("these are no classes", path=path, expected=expected, got=len(classes), fix=fix)
    return codes.reshape(-1).astype(np.int64), classes


def finite(path: str, t: np.ndarray) -> np.ndarray:
    """The targets. Errors: DataError for what float32 cannot hold."""
    if not np.isfinite(t).all() or np.abs(t).max() > MOST:
        got = "NaN, Inf or a number beyond float32"
        raise DataError("the targets are not finite", path=path, expected="finite numbers", got=got, fix="correct t")
    return t


def is_one_hot(t: np.ndarray) -> bool:
    """Whether each row has a single 1 among zeros."""
    return bool(((t == 0) | (t == 1)).all() and (t.astype(np.int64).sum(axis=1) == 1).all())


def unequal(path: str, x: Any, t: Any) -> DataError:
    return DataError(
        "inputs and targets do not belong together",
        path=path,
        expected="a target for each input, and test rows of the same shape and kind",
        got=f"{len(x)} inputs of shape {x.shape[1:]}, {len(t)} targets",
        fix="write both from the same rows",
    )


def too_large(path: str, what: str, line: int | None) -> DataError:
    return DataError(
        f"{what} is too large for float32",
        path=path,
        line=line,
        expected=f"numbers up to {MOST:.3g}",
        got="a larger one",
        fix="give it in larger units",
    )
