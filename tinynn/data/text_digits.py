"""Digits as text, one file for each: 28 lines of 28 gray values 0..255 separated by tabs, then a line with the label.

A line may end with a tab, lines with LF or CR LF, and blank lines may follow the label. The files of a folder are those
whose names end with `.txt`, without hidden ones, in the order of the numbers in their names (2.txt before 10.txt).
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinynn.data.files import list_folder, make_folder, open_regular, plural, written_atomically
from tinynn.data.split import Split, check_classes
from tinynn.errors import DataError

__all__ = ["read_text_digit", "read_text_digits", "write_text_digits"]

_SIDE = 28
# A digit takes at most 3.2 kB.
_MAX_BYTES = 64 << 10
# A table rather than int(), which would also take "+7", "1_0" and other scripts' digits.
_VALUES = {text: value for value in range(256) for text in (f"{value}", f"{value:02}", f"{value:03}")}
_FORMAT = f"{_SIDE} lines of {_SIDE} gray values separated by tabs, then a line with the label"


def read_text_digit(path: str | os.PathLike[str], *, classes: int = 10) -> tuple[NDArray[np.uint8], int]:
    """Read one digit: its image, uint8 (28, 28), and its label, 0..classes-1.

    Errors: DataError, with the path and the line, for a file that is missing, larger than 64 KiB, not text, with a line
    too few or too many, a line of other than 28 values, a value that is not a number or not 0..255, or a bad label.
    ConfigurationError when `classes` is not 1..256.
    """
    check_classes(classes)
    path = Path(path)
    lines = _read_lines(path)
    rows = [_read_row(path, number, line) for number, line in enumerate(lines[:_SIDE], 1)]
    if len(lines) <= _SIDE:
        raise DataError(
            "the label is missing" if len(lines) == _SIDE else "the file ends too early",
            path=path,
            line=len(lines) + 1,
            expected=_FORMAT,
            got=plural(len(lines), "line"),
            fix="add what is missing, or write the digit again",
        )
    last, *more = lines[_SIDE:]
    label = _VALUES.get(last.removesuffix("\t"), 256)
    if label >= classes:
        allowed = f"an integer from 0 to {classes - 1}"
        fix = "write the class there, or pass the number of classes that the data has"
        raise DataError("bad label", path=path, line=_SIDE + 1, expected=allowed, got=_shown(last), fix=fix)
    if more:
        raise DataError(
            "the file goes on after the label",
            path=path,
            line=_SIDE + 2,
            expected=_FORMAT,
            got=_shown(more[0]),
            fix="remove what follows the label, and put each digit in a file of its own",
        )
    return np.array(rows, dtype=np.uint8), label


def read_text_digits(folder: str | os.PathLike[str], *, classes: int = 10) -> Split:
    """Read all digits of a folder: images uint8 (N, 28, 28) and labels uint8 (N,).

    Errors: DataError for the first file that `read_text_digit` refuses, and for a folder that is missing or has none.
    """
    check_classes(classes)
    folder = Path(folder)
    files, _ = list_folder(folder)
    names = [name for name in files if name.lower().endswith(".txt") and not name.startswith(".")]
    if not names:
        raise DataError(
            "the folder holds no text digits",
            path=folder,
            expected="files whose names end with .txt",
            got=f"none among {plural(len(files), 'file')}",
            fix="pass the folder that holds the digits",
        )
    digits = [read_text_digit(folder / name, classes=classes) for name in sorted(names, key=_natural)]
    images, labels = zip(*digits, strict=True)
    return Split(np.stack(images), np.array(labels, dtype=np.uint8))


def write_text_digits(
    folder: str | os.PathLike[str], images: ArrayLike, labels: ArrayLike, *, overwrite: bool = False, classes: int = 10
) -> list[Path]:
    """Write one file for each digit, `000000.txt` and so on, and return their paths; the folder is made if need be.

    Shapes: images (N, 28, 28) of integers 0..255, labels (N,) of integers 0..classes-1, N > 0.

    Each file appears whole or not at all. Nothing is written when the input is bad or, without `overwrite`, when one of
    the files is already there. Other files in the folder stay.

    Errors: DataError for each of these, and when a file cannot be written.
    """
    check_classes(classes)
    folder = Path(folder)
    images = _integers(folder, "images", images, 256)
    labels = _integers(folder, "labels", labels, classes)
    if images.shape[1:] != (_SIDE, _SIDE) or labels.shape != images.shape[:1] or not images.size:
        raise DataError(
            "cannot write the digits: the shapes do not fit",
            path=folder,
            expected=f"images (N, {_SIDE}, {_SIDE}) and labels (N,) with N > 0",
            got=f"images {images.shape} and labels {labels.shape}",
            fix="images.reshape(-1, 28, 28), and one label for each image",
        )
    # Six places even for a few digits, so that a larger set written later gets the same names.
    paths = [folder / f"{number:06}.txt" for number in range(len(images))]
    make_folder(folder)
    there = set() if overwrite else {path.name for path in paths} & set.union(*list_folder(folder))
    if there:
        raise DataError(
            "cannot write the digits: a file of that name is already there",
            path=folder / min(there),
            expected="no file of the names that will be written",
            got=plural(len(there), "such file"),
            fix="use an empty folder, or pass overwrite=True",
        )
    for path, image, label in zip(paths, images, labels, strict=True):
        rows = ["\t".join(map(str, row)) for row in image.tolist()]
        with written_atomically(path) as file:
            file.write("\n".join([*rows, f"{label}", ""]).encode("ascii"))
    return paths


def _read_lines(path: Path) -> list[str]:
    """The lines of the file, without their ends and without blank lines at the end of the file."""
    with open_regular(path) as file:
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise DataError(
            "the file is too large for one digit",
            path=path,
            offset=_MAX_BYTES,
            expected=f"at most {plural(_MAX_BYTES, 'byte')}",
            got="more",
            fix="put each digit in a file of its own",
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            "this is not a text file",
            path=path,
            line=content.count(b"\n", 0, error.start) + 1,
            offset=error.start,
            expected="UTF-8",
            got=f"byte 0x{content[error.start]:02X}",
            fix="save the digit as plain text",
        ) from error
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def _read_row(path: Path, number: int, line: str) -> list[int]:
    cells = line.removesuffix("\t").split("\t") if line else []
    if len(cells) != _SIDE:
        raise DataError(
            "wrong number of gray values",
            path=path,
            line=number,
            expected=f"{_SIDE} separated by tabs",
            got=len(cells),
            fix="correct the line, or write the digit again",
        )
    try:
        return [_VALUES[cell] for cell in cells]
    except KeyError as error:
        cell = error.args[0]
        raise DataError(
            "a gray value is out of range" if re.fullmatch("-?[0-9]+", cell) else "a gray value is not a number",
            path=path,
            line=number,
            expected="an integer from 0 to 255",
            got=f"{_shown(cell)} in column {cells.index(cell) + 1}",
            fix="correct the value, or write the digit again",
        ) from None


def _integers(folder: Path, name: str, values: ArrayLike, limit: int) -> NDArray[np.integer]:
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise DataError(
            f"cannot write the digits: {name} of different lengths make no array",
            path=folder,
            expected=f"{name} of one shape",
            got=error,
            fix=f"bring the {name} to one shape",
        ) from error
    low, high = (array.min(), array.max()) if array.dtype.kind in "iu" and array.size else (0, 0)
    if array.dtype.kind not in "iu" or low < 0 or high >= limit:
        raise DataError(
            f"cannot write the digits: bad {name}",
            path=folder,
            expected=f"integers from 0 to {limit - 1}",
            got=f"{array.dtype} from {low} to {high}" if array.dtype.kind in "iu" else array.dtype,
            fix="scale and round the gray values to 0..255" if name == "images" else "pass class numbers as labels",
        )
    return array


def _natural(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    parts = re.findall("([0-9]+)|([^0-9]+)", name)
    # Numbers before words. The name itself decides between 1.txt and 01.txt.
    return [(not number, int(number or 0), word) for number, word in parts], name


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
