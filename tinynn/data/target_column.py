"""The target's column of a table, cell by cell: names of classes, or numbers; texts are kept once each."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinynn.errors import DataError

__all__ = ["MOST_CLASSES", "NUMBER", "TargetColumn"]

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
WHOLE = re.compile(r"[+-]?\d{1,15}", re.ASCII)
MOST_CLASSES = 1000
FEW = 20  # different whole numbers, up to which they are taken for classes
LONGEST = 100  # characters of a class's name


class TargetColumn:
    """`kind`: "classes", "numbers", or None to be judged by what comes; `classes`: those that are known, no others.

    Errors: DataError with path, line and column.
    """

    def __init__(self, path: Path, name: str, kind: str | None, classes: Sequence[str] | None = None) -> None:
        self.path, self.name, self.kind = path, name, kind
        self.closed = classes is not None
        self.codes: dict[str, int] = {text: code for code, text in enumerate(classes or ())}
        self.numbers: array[float] | None = array("d") if kind != "classes" else None
        self.classes: array[int] | None = array("i") if kind != "numbers" else None
        self.odd: tuple[int, str] = (0, "")  # the first text that is no number, with its line
        self.first_number = 0  # the line of the first number

    def add(self, line: int, cell: str) -> None:
        """Takes the next cell."""
        if not cell:
            raise self.refused("a target is missing", line, "a value", "nothing", "fill it in, or take the row out")
        is_number = NUMBER.fullmatch(cell) is not None
        if self.numbers is not None:
            value = float(cell) if is_number else math.nan
            if math.isfinite(value):
                self.numbers.append(value)
                self.first_number = self.first_number or line
            else:
                if self.kind == "numbers":
                    fix = "correct it, or take the row out; for classes say so: --loss softmaxcrossentropy"
                    raise self.refused("a target is no finite number", line, "a number such as 3.5", shown(cell), fix)
                self.numbers, self.odd = None, (line, cell)
        if self.classes is not None:
            self.add_class(line, cell)
        if self.kind is None and self.odd[0] and (self.first_number or is_number):
            raise self.refused(
                "numbers and texts among the targets",
                self.odd[0],
                f"numbers alone, as on line {self.first_number or line}, or texts alone",
                shown(self.odd[1]),
                "correct it; if all of them are names of classes say so: --loss softmaxcrossentropy",
            )

    def add_class(self, line: int, cell: str) -> None:
        """Counts the cell among the classes, while there are not too many."""
        assert self.classes is not None
        code = self.codes.get(cell)
        if code is None:
            if self.closed:
                names = ", ".join(list(self.codes)[:FEW])
                raise self.refused(
                    "a class that is not known", line, names, shown(cell), "correct it, or train with it"
                )
            if len(cell) > LONGEST or not cell.isprintable():
                expected = f"a name of at most {LONGEST} printable characters"
                raise self.refused("this is no name of a class", line, expected, shown(cell), "correct it")
            if len(self.codes) == MOST_CLASSES:
                if self.numbers is not None:  # then they are numbers
                    self.classes, self.codes = None, {}
                    return
                expected, fix = f"at most {MOST_CLASSES:,} classes", "name the column of the target: --target NAME"
                raise self.refused("there are too many classes", line, expected, "one more", fix)
            code = self.codes[cell] = len(self.codes)
        self.classes.append(code)

    def finished(self) -> tuple[np.ndarray, tuple[str, ...] | None]:
        """The targets, and the names of the classes they count through; None for numbers.

        Classes are in the order of their numbers, or of the alphabet.
        """
        if self.classes is None or (self.kind is None and self.numbers is not None and not self.few_whole()):
            assert self.numbers is not None
            return np.frombuffer(self.numbers, np.float64), None
        codes = np.frombuffer(self.classes, np.int32)
        names = list(self.codes)
        if not self.closed:
            if len(names) < 2:
                got = f"{shown(names[0])} alone"
                fix = "give rows of two classes at least, or name another column: --target NAME"
                raise self.refused("there is one class alone", None, "two or more", got, fix)
            numeric = all(map(NUMBER.fullmatch, names))
            names.sort(key=(lambda name: (float(name), name)) if numeric else None)
        ranks = {name: rank for rank, name in enumerate(names)}
        return np.array([ranks[name] for name in self.codes])[codes].astype(np.int64), tuple(names)

    def few_whole(self) -> bool:
        """Whether the targets, all of them numbers, are to be classes."""
        return len(self.codes) <= FEW and all(map(WHOLE.fullmatch, self.codes))

    def refused(self, what: str, line: int | None, expected: str, got: str, fix: str) -> DataError:
        return DataError(
            f"{what} (column {self.name!r})", path=self.path, line=line, expected=expected, got=got, fix=fix
        )


def shown(text: str) -> str:
    """A cell, of which there may be much."""
    return repr(text if len(text) <= 40 else text[:37] + "...")
