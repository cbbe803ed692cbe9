"""A CSV file row by row, in as much memory as its longest line needs; what is wrong with it is told with its line.

Columns are separated by commas, semicolons or tabs, whichever the first line has most of; texts may stand in double
quotes, with "" for a quote among them. UTF-8, with or without a byte order mark. Blank lines are passed over.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Self

from tinynn.data.files import open_regular, plural
from tinynn.errors import DataError

__all__ = ["csv_rows"]

DELIMITERS = ",;\t"
LONGEST = 16 << 20  # bytes of a line
QUOTED = re.compile('"[^"]*"')
BOM = b"\xef\xbb\xbf"
STARTS = {
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"PK\3\4": "an archive, as Excel's sheets are",
    b"\x1f\x8b": "gzip",
}


def csv_rows(path: str | os.PathLike[str]) -> Iterator[tuple[int, list[str]]]:
    """The line on which each row begins, and its cells without the spaces around them; all rows of one length.

    Errors: DataError with path and line: for a file that cannot be read or is no UTF-8 text, a row of another number of
    columns than the first, a quote that does not end, a cell of more than 128 KiB, a line of more than 16 MiB; with the
    path alone where there is no row.
    """
    path = Path(path)
    with open_regular(path) as file:
        delimiter = next((delimiter_of(text) for text in Lines(file, path) if text.strip()), ",")
        file.seek(0)
        lines = Lines(file, path)
        reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
        columns = 0
        while True:
            line = lines.number + 1
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raise DataError(
                    "the row cannot be split into columns",
                    path=path,
                    line=line,
                    expected=f"cells separated by {delimiter!r}, each of 128 KiB at most, with every quote closed",
                    got=error,
                    fix='correct the row; a quote within a quoted text is written ""',
                ) from error
            if cells is None:
                break
            cells = [cell.strip() for cell in cells]
            if len(cells) < 2 and not any(cells):
                continue
            columns = columns or len(cells)
            if len(cells) != columns:
                raise DataError(
                    "the row has another number of columns than those above",
                    path=path,
                    line=line,
                    expected=f"{plural(columns, 'column')}, separated by {delimiter!r}",
                    got=plural(len(cells), "column"),
                    fix="correct the row, or take it out",
                )
            yield line, cells
    if not columns:
        raise DataError(
            "the file has no rows",
            path=path,
            expected="lines of values",
            got="none",
            fix="check that it is the right file",
        )


def delimiter_of(text: str) -> str:
    """What separates the columns, judged by the first line."""
    bare = QUOTED.sub("", text)
    return max(DELIMITERS, key=bare.count)


class Lines:
    """The lines of a file as texts, their ends included; `number` of them were read."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self.file, self.path, self.number = file, path, 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self.file.readline(LONGEST + 1)
        if not line:
            raise StopIteration
        self.number += 1
        if self.number == 1:
            line = line.removeprefix(BOM)
            found = next((name for start, name in STARTS.items() if line.startswith(start)), None)
            if found is not None:
                raise self.refused("this is no CSV file in UTF-8", "plain text", found, "save it as CSV, in UTF-8")
        if len(line) > LONGEST:
            got = "a line that goes on"
            raise self.refused(
                "a line is too long", f"at most {LONGEST >> 20} MiB", got, "check that this is a CSV file"
            )
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            got = f"byte 0x{line[error.start]:02X} at byte {error.start + 1} of the line"
            raise self.refused("this is no text in UTF-8", "UTF-8", got, "save it as CSV, in UTF-8") from error
        if "\0" in text:
            raise self.refused("this is no text", "no null characters", "one of them", "save it as CSV, in UTF-8")
        return text

    def refused(self, what: str, expected: str, got: str, fix: str) -> DataError:
        return DataError(what, path=self.path, line=self.number, expected=expected, got=got, fix=fix)
