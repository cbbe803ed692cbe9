"""What a path on the command line holds, made ready to train on: inputs, targets, what both are called.

The word mnist; a folder of MNIST's form or of text digits; an .npz archive with x and t, or with the names that Keras
has; all other files are CSV.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tinynn import datasets
from tinynn.data.files import list_folder, plural
from tinynn.data.npz_arrays import read_npz
from tinynn.data.table import Table, read_table
from tinynn.data.text_digits import read_text_digits
from tinynn.errors import ConfigurationError, DataError
from tinynn.random import generator

__all__ = ["Material", "held_out", "read_material", "targets_of"]

KERAS = (("x_train", "y_train", "x_test", "y_test"), ("x_train", "y_train"))
MOST_CLASSES = 1000
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
    if path == "mnist" and not place.exists():
        return images(path, datasets.mnist())
    is_table = not place.is_dir() and place.suffix.lower() != ".npz"
    if target is not None and not is_table:
        raise ConfigurationError("--target is about CSV files", got=path, fix="leave it out")
    if place.is_dir():
        return folder(place, kind)
    if is_table:
        return of_table(path, read_table(path, target=target, kind=kind))
    arrays = [*read_npz(place, ("x", "t"), *KERAS).values()]
    if len(arrays[0]) != len(arrays[1]):
        raise unequal(path, arrays[0], arrays[1])
    t, classes = targets_of(path, np.concatenate(arrays[1::2]) if len(arrays) > 2 else arrays[1], kind)
    n: int = len(arrays[0])
    found = Material(path, inputs_of(path, arrays[0]), t[:n], classes)
    if len(arrays) > 2:
        x_test = inputs_of(path, arrays[2])
        if len(x_test) != len(t) - n or x_test.shape[1:] != found.x.shape[1:]:
            raise unequal(path, x_test, t[n:])
        found.test = x_test, t[n:]
    return found


def folder(place: Path, kind: str | None) -> Material:
    """A folder of images."""
    if kind == "numbers":
        raise ConfigurationError("the digits of a folder are classes", got="a loss for numbers", fix="leave --loss out")
    files, _ = list_folder(place)
    digits = [name for name in files if name.lower().endswith(".txt") and not name.startswith(".")]
    if digits and not any("ubyte" in name for name in files):
        split = read_text_digits(place, classes=256)
        return Material(str(place), split.images, split.labels.astype(np.int64), names(int(split.labels.max()) + 1))
    return images(str(place), datasets.load(place, classes=256))


def images(path: str, found: datasets.Dataset) -> Material:
    """Images whose labels are their classes' names."""
    train, test = found
    count = int(max(train.labels.max(), test.labels.max())) + 1
    t = train.labels.astype(np.int64)
    return Material(path, train.images, t, names(count), (test.images, test.labels.astype(np.int64)))


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
        t = t.astype(np.float64).reshape(len(t), -1)
        if not np.isfinite(t).all() or np.abs(t).max() > np.finfo(np.float32).max:
            got = "NaN, Inf or a number beyond float32"
            raise DataError(
                "the targets are not finite", path=path, expected="finite numbers", got=got, fix="correct t"
            )
        return t, None
    if t.dtype.kind in "iu" and t.min() >= 0 and t.max() < MOST_CLASSES:
        return t.astype(np.int64), names(int(t.max()) + 1)
    found, codes = np.unique(t, return_inverse=True)
    classes = tuple(map(str, found.tolist()))
    if not 2 <= len(classes) <= MOST_CLASSES or not all(name.isprintable() and name for name in classes):
        expected = f"2 to {MOST_CLASSES:,} classes whose names can be printed"
        raise DataError("these are no classes", path=path, expected=expected, got=len(classes), fix="correct t")
    return codes.reshape(-1).astype(np.int64), classes


def is_one_hot(t: np.ndarray) -> bool:
    """Whether each row has a single 1 among zeros."""
    return bool(((t == 0) | (t == 1)).all() and (t.astype(np.int64).sum(axis=1) == 1).all())


def held_out(material: Material, validation: str | None, seed: int) -> Material:
    """The material with what its training is validated on in `test`; None there for nothing.

    `validation`: a file or folder of the same form; or a share of the rows, which then are not learned from: a fifth
    where nothing is asked for and the material has no test rows of its own.
    Errors: ConfigurationError, DataError.
    """
    share = as_number("0.2" if validation is None else validation)
    if share is None:
        assert validation is not None
        return replace(material, test=test_rows(material, validation))
    if validation is None and (material.test is not None or len(material.x) < 5):
        return material
    if share == 0:
        return replace(material, test=None)
    n = len(material.x)
    some = round(share * n) if 0 < share < 1 else 0
    if not 0 < some < n:  # of NaN as well
        raise ConfigurationError(
            "--validation leaves no rows on one side",
            got=f"{validation} of {plural(n, 'row')}",
            fix="a share such as 0.2, 0 for none, or a file with other rows",
        )
    order = generator(seed, "validation").permutation(n)
    test, rest = np.sort(order[:some]), np.sort(order[some:])
    x, t = material.x, material.t
    return replace(material, x=x[rest], t=t[rest], test=(x[test], t[test]))


def as_number(text: str) -> float | None:
    """The share that it says; None for what is a path."""
    try:
        share = float(text)
    except ValueError:
        return None
    return None if Path(text).exists() else share


def test_rows(material: Material, path: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows of another file or folder, of the same form as the material. Errors: DataError."""
    if material.table is not None:
        other = of_table(path, read_table(path, like=material.table))
    else:
        other = read_material(path, kind="numbers" if material.classes is None else "classes")
    x, t = other.test or (other.x, other.t)
    labels = material.classes or ()
    if x.shape[1:] != material.x.shape[1:] or (material.classes is None and t.shape[1:] != material.t.shape[1:]):
        expected = f"inputs {material.x.shape[1:]}, targets {material.t.shape[1:]}, as in {material.path}"
        got = f"{x.shape[1:]} and {t.shape[1:]}"
        raise DataError("rows of another form", path=path, expected=expected, got=got, fix="use one data set")
    if other.classes is not None and other.classes != labels:
        unknown = set(other.classes) - set(labels)
        if unknown:
            expected, got = ", ".join(labels[:20]), ", ".join(sorted(unknown)[:20])
            raise DataError("classes that are not known", path=path, expected=expected, got=got, fix="use one data set")
        t = np.array([labels.index(name) for name in other.classes])[t]
    return x, t


def unequal(path: str, x: Any, t: Any) -> DataError:
    return DataError(
        "inputs and targets do not belong together",
        path=path,
        expected="a target for each input, and test inputs of the same shape",
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
