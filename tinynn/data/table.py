"""A table of numbers from a CSV file: features, and in one column the target, which may be names of classes.

The first line is a header if none of its cells is a number; without one the columns are called 1, 2, 3 and so on.
"""

from __future__ import annotations

import difflib
import os
import re
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np

from tinynn.data.csv_rows import csv_rows
from tinynn.data.files import plural
from tinynn.data.target_column import NUMBER, TargetColumn
from tinynn.errors import DataError

__all__ = ["Table", "read_features", "read_table"]

SHOWN = 20
MISSING = ("nan", "na", "n/a", "null", "none", "?", "-", "inf", "-inf")


class Table(NamedTuple):
    """Shapes: x (N, D) float64; `lines` (N,), where each row begins in the file; t (N,), classes as int64 numbers that
    count through `classes`, or float64; None without a target.
    """

    x: np.ndarray
    lines: np.ndarray
    features: tuple[str, ...]
    target: str | None = None
    t: np.ndarray | None = None
    classes: tuple[str, ...] | None = None


def read_table(
    path: str | os.PathLike[str], *, target: str | None = None, kind: str | None = None, like: Table | None = None
) -> Table:
    """Features and target. `target`: the column's name, or its number where there is no header; the last without it.

    `kind`: "classes" or "numbers", what the targets are. Without it texts are classes, and so are whole numbers of
    which there are at most 20 different ones; all else is numbers. `like`: a table with the same columns, in whatever
    order, and no other classes; it settles the rest.
    Errors: DataError with path, line and column: those of `csv_rows`, a feature that is no finite number, a target that
    is missing or of the wrong kind, fewer than two classes or more than 1,000; with the path for columns that are
    missing, have no name or one name twice.
    """
    if like is not None:
        target, kind = like.target, "numbers" if like.classes is None else "classes"
    file = Columns(path)
    names = file.names
    if len(names) < 2:
        raise file.refused("there is one column alone", "features, and a target", f"{names[0]!r}", "add the features")
    place = len(names) - 1 if target is None else file.place(target)
    features = tuple(name for i, name in enumerate(names) if i != place) if like is None else like.features
    column = TargetColumn(Path(path), names[place], kind, None if like is None else like.classes)
    x, lines = file.read(features, place, column)
    t, classes = column.finished()
    return Table(x, lines, features, names[place], t, classes)


def read_features(path: str | os.PathLike[str], features: Sequence[str]) -> Table:
    """The columns of these names, in this order; others are passed over, and so is a target.

    Without a header the file must have just these columns, or as many as the names, which are numbers, say.
    Errors: those of `read_table` for features.
    """
    file = Columns(path)
    x, lines = file.read(features, None, None)
    return Table(x, lines, tuple(features))


class Columns:
    """An open CSV file whose columns have names."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path, self.rows = Path(path), csv_rows(path)
        line, first = next(self.rows)
        self.header = not any(map(NUMBER.fullmatch, first))
        self.names = first if self.header else [str(i + 1) for i in range(len(first))]
        self.first = [] if self.header else [(line, first)]
        if "" in self.names:
            number = self.names.index("") + 1
            fix = "name it in the header; pandas writes its row numbers there, unless told to_csv(index=False)"
            raise self.refused(f"column {number} has no name", "a name for each column", "nothing", fix, line)
        if len(set(self.names)) < len(self.names):
            twice = next(name for i, name in enumerate(self.names) if name in self.names[:i])
            fix = "rename one of them in the header"
            raise self.refused("two columns have one name", "different names", repr(twice[:SHOWN]), fix, line)

    def place(self, name: str) -> int:
        """Where the column of that name stands. Errors: DataError."""
        if name in self.names:
            return self.names.index(name)
        close = difflib.get_close_matches(name, self.names, n=1)
        listed = ", ".join(self.names[:SHOWN]) + (", ..." if len(self.names) > SHOWN else "")
        raise self.refused(
            f"there is no column {name!r}",
            listed if self.header else f"a number from 1 to {len(self.names)}: the file has no header",
            repr(name),
            f"{close[0]!r}?" if close else "name one of the columns",
        )

    def places(self, features: Sequence[str]) -> list[int]:
        """Where these columns stand. Errors: DataError."""
        if not self.header and len(features) == len(self.names):
            return [*range(len(features))]
        if not self.header and not all(name in self.names for name in features):
            expected = f"{plural(len(features), 'column')}: {', '.join(features[:SHOWN])}"
            fix = "give the columns that the network was trained on, or a header with their names"
            raise self.refused("these are not the columns", expected, f"{len(self.names)} without a header", fix)
        return [self.place(name) for name in features]

    def read(
        self, features: Sequence[str], target: int | None, column: TargetColumn | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The features, and the lines of their rows; the column of the target gets its cells.

        Errors: DataError.
        """
        places = self.places(features)
        numbers, lines = array("d"), array("q")
        for rows in (self.first, self.rows):
            for line, cells in rows:
                chosen = [cells[place] for place in places]
                text = "".join(chosen)
                try:
                    numbers.extend(map(float, chosen))
                except ValueError:
                    self.refuse_cell(line, chosen, features)
                if "_" in text or not text.isascii():  # float takes 1_000, and the digits of all scripts
                    self.refuse_cell(line, chosen, features)
                if column is not None and target is not None:
                    column.add(line, cells[target])
                lines.append(line)
        if not lines:
            raise self.refused("there is a header and no row", "rows of numbers", "none", "add them")
        x = np.frombuffer(numbers, np.float64).reshape(len(lines), len(features))
        wrong = np.flatnonzero(~np.isfinite(x).all(axis=1))
        if len(wrong):
            row = int(wrong[0])
            self.refuse_cell(lines[row], [str(value) for value in x[row]], features)
        return x, np.frombuffer(lines, np.int64)

    def refuse_cell(self, line: int, cells: Sequence[str], features: Sequence[str]) -> NoReturn:
        """Errors: DataError for the first cell of a row that is no number."""
        pairs = zip(features, cells, strict=True)
        name, cell = next((name, cell) for name, cell in pairs if not NUMBER.fullmatch(cell))
        fix = "give numbers: for a text, a column of 0 and 1 for each of its values; or make it the target"
        if not cell or cell.lower() in MISSING:
            fix = "fill in a number, or take the row out"
        elif re.fullmatch(r"[+-]?\d+,\d+", cell):
            fix = "write it with a point, as in 3.5"
        shown = repr(cell if len(cell) <= 2 * SHOWN else cell[: 2 * SHOWN - 3] + "...")
        what = f"column {name!r} holds no finite number"
        raise self.refused(what, "a number such as 3.5", shown if cell else "nothing", fix, line)

    def refused(self, what: str, expected: str, got: str, fix: str, line: int | None = None) -> DataError:
        return DataError(what, path=self.path, line=line, expected=expected, got=got, fix=fix)
