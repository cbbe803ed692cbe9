"""NumPy's .npy files, left where they are: what one holds, by its header alone, and its rows by a memory map.

No header is believed: what it says must be the size of the file. Nothing is unpickled.
"""

from __future__ import annotations

import math
import mmap
import os
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from tinynn.data.files import open_regular, plural
from tinynn.data.npy_header import read_npy_header
from tinynn.errors import DataError

__all__ = ["Header", "map_array", "read_header"]

START = b"\x93NUMPY\1\0"  # later versions are for headers above 64 KiB, which NumPy would read whole
AXES = 32  # which every NumPy has


class Header(NamedTuple):
    """What an .npy file holds, the byte at which that begins, and the file's size and time of its last change."""

    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int
    stamp: tuple[int, int]


def read_header(path: Path) -> Header:
    """What the file holds, if that is numbers, row behind row, from the header to its end.

    Errors: DataError.
    """
    with open_regular(path) as file:
        return header_of(file, path)


def map_array(path: Path, header: Header) -> np.ndarray:
    """The array of the file, mapped into memory. The file must not be changed as long as the array is used.

    Errors: DataError, also for a file that was changed since its header was read.
    """
    with open_regular(path) as file:
        stamp = stamp_of(file)
        if stamp != header.stamp:
            raise DataError(
                "the file was changed since it was opened",
                path=path,
                expected=f"{plural(header.stamp[0], 'byte')}, not written to in between",
                got=plural(stamp[0], "byte"),
                fix="open the folder again: datasets.shards(folder)",
            )
        memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # np.memmap would take three times as long
    return np.ndarray(header.shape, header.dtype, memory, header.offset)


def stamp_of(file: IO[bytes]) -> tuple[int, int]:
    """What is no longer the same when the file was written to."""
    now = os.fstat(file.fileno())
    return now.st_size, now.st_mtime_ns


def header_of(file: IO[bytes], path: Path) -> Header:
    stamp, start = stamp_of(file), file.read(len(START))
    if start != START:
        raise DataError(
            "not an array file, or of another version of the format",
            path=path,
            offset=0,
            expected=f"the bytes {START!r}: NumPy's format, version 1.0",
            got=f"{start!r}",
            fix="write the file with np.save",
        )
    try:
        said = read_npy_header(file)
    except ValueError as error:
        raise DataError(
            "the header of the array file is damaged",
            path=path,
            offset=8,
            expected="a dictionary of dtype, order and shape",
            got=error,
            fix="write the file again with np.save",
        ) from error
    offset, shape, dtype = file.tell(), said.shape, said.dtype
    if dtype is None or dtype.kind not in "biuf" or said.fortran:
        raise DataError(
            "the array is not numbers, row behind row",
            path=path,
            offset=8,
            expected="whole numbers or floats in C order",
            got=said.type_name + (" in Fortran order" if said.fortran else ""),
            fix="write np.ascontiguousarray(x), with a dtype such as float32 or uint8",
        )
    if not 1 <= len(shape) <= AXES or not 1 <= min(shape) <= max(shape) < 1 << 63:
        raise DataError(
            "the array has no rows, or more than any has",
            path=path,
            offset=8,
            expected="a shape (N, ...), at least 1 in each place",
            got=f"shape {shape}"[:80],
            fix="write at least one row to each file",
        )
    size = stamp[0]
    if offset + math.prod(shape) * dtype.itemsize != size:
        raise DataError(
            "the file is not of the size that its header says",
            path=path,
            offset=min(size, offset),
            expected=f"{plural(offset + math.prod(shape) * dtype.itemsize, 'byte')}: {dtype} of shape {shape}",
            got=plural(size, "byte"),
            fix="write the file again with np.save",
        )
    return Header(shape, dtype, offset, stamp)
