"""Which rows a training is validated on: those of another file, those made for it, or some that it does not learn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from tinynn.app.material import Material, of_table, read_material
from tinynn.data.files import plural
from tinynn.data.table import read_table
from tinynn.errors import ConfigurationError, DataError
from tinynn.random import generator

__all__ = ["held_out"]


def held_out(material: Material, validation: str | None, seed: int) -> Material:
    """The material with what its training is validated on in `test`; None there for nothing.

    `validation`: a file or folder of the same form; or a share of the rows, which then are not learned from: a fifth
    where nothing is asked for and the material has no test rows of its own.
    Errors: ConfigurationError, DataError.
    """
    share = 0.2 if validation is None else as_number(validation)
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
