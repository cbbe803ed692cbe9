"""The IDX format, in which MNIST is published: one array of any shape in one file, plain or gzip.

    offset   bytes      meaning (all integers big endian)
    0        2          zero
    2        1          element type: 0x08 uint8, 0x09 int8, 0x0B int16, 0x0C int32, 0x0D float32, 0x0E float64
    3        1          R, the number of dimensions
    4        4 R        the R dimensions, unsigned
    4 + 4 R  the rest   the elements in C order, big endian, and nothing after them

Source: Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST database of handwritten digits, "File formats".
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinynn.data.byte_source import ByteSource, byte_source
from tinynn.data.files import open_regular, written_atomically
from tinynn.errors import DataError

__all__ = ["Header", "read_idx", "read_idx_header", "write_idx"]

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_TYPE_NAMES = ", ".join(f"0x{code:02X} {np.dtype(kind).name}" for code, kind in _TYPES.items())
# The format's byte could say 255; NumPy ends at 64.
_MAX_DIMENSIONS = 64
_MAX_BYTES = 2 << 30
_DAMAGED = "fetch or write the file again: its header is damaged"


class Header(NamedTuple):
    """What an IDX file says of its array."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]


def read_idx_header(path: str | os.PathLike[str]) -> Header:
    """What the file says of its array, of which nothing is read; the type is in the machine's byte order.

    Errors: DataError as `read_idx`, for what can be known without reading on.
    """
    with open_regular(path) as file, byte_source(file, path, max_bytes=_MAX_BYTES) as source:
        dtype, shape = _read_header(source)
        source.expect(*_elements(dtype, shape))
    return Header(dtype.newbyteorder("="), shape)


def read_idx(path: str | os.PathLike[str], *, max_bytes: int = _MAX_BYTES) -> NDArray[Any]:
    """Read the array in an IDX file; gzip is recognised by its content.

    Returns a new, writable array in C order, of the file's shape and type in the machine's byte order.

    No more is read than the header promises plus what shows that the file ends there, no more than `max_bytes`
    (uncompressed), and memory grows only with data that arrived. A gzip file is read to its end, so that its checksum
    and its length are verified.

    Errors: DataError, with the path and the offset in the uncompressed bytes, for a file that is missing, not
    permitted, not IDX, cut short, too long, larger than `max_bytes`, or damaged.
    """
    with open_regular(path) as file, byte_source(file, path, max_bytes=max_bytes) as source:
        dtype, shape = _read_header(source)
        body = source.take(*_elements(dtype, shape))
        source.finish()
    array = np.ndarray(shape, dtype, buffer=body)
    # In place, because a large array must not need its memory twice.
    return array if dtype.isnative else array.byteswap(inplace=True).view(dtype.newbyteorder("="))


def write_idx(path: str | os.PathLike[str], array: ArrayLike) -> None:
    """Write `array` as an IDX file, compressed with gzip when the name ends with `.gz`.

    The same array always gives the same bytes. The file appears whole or not at all, and replaces an older one.

    Shapes: 1 to 64 dimensions, each below 2**32. Types: uint8, int8, int16, int32, float32, float64.

    Errors: DataError for another type or shape, and when the file cannot be written.
    """
    try:
        array = np.asarray(array)
    except ValueError as error:
        raise DataError(
            "cannot write as IDX: rows of different lengths make no array",
            path=path,
            expected="an array, or rows of one length",
            got=error,
            fix="bring the rows to one length",
        ) from error
    kind = f">{array.dtype.kind}{array.dtype.itemsize}"
    codes = [code for code, known in _TYPES.items() if known == kind]
    if not codes:
        raise DataError(
            "cannot write as IDX: the format has no such element type",
            path=path,
            expected=_TYPE_NAMES,
            got=array.dtype,
            fix="convert it with array.astype(...) to a type that holds its values",
        )
    if not 1 <= array.ndim <= _MAX_DIMENSIONS or max(array.shape) >= 1 << 32:
        raise DataError(
            "cannot write as IDX: the shape does not fit into the header",
            path=path,
            expected=f"1 to {_MAX_DIMENSIONS} dimensions below 2**32",
            got=f"shape {array.shape}",
            fix="reshape it, or write it in parts",
        )
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, codes[0], array.ndim, *array.shape)
    elements = np.ascontiguousarray(array, dtype=kind).reshape(-1).view(np.uint8).data
    with written_atomically(path) as file:
        if Path(path).suffix == ".gz":
            # Without name and time, which would make two files of the same array differ.
            with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as stream:
                stream.write(header)
                stream.write(elements)
        else:
            file.write(header)
            file.write(elements)


def _elements(dtype: np.dtype[Any], shape: tuple[int, ...]) -> tuple[int, str]:
    """How many bytes they are, and what they are called when some are missing."""
    return math.prod(shape) * dtype.itemsize, f"the elements, {dtype.name} of shape {shape}"


def _read_header(source: ByteSource) -> tuple[np.dtype[Any], tuple[int, ...]]:
    zero, code, dimensions = struct.unpack(">HBB", source.take(4, "the magic number"))
    if zero != 0:
        raise DataError(
            "this is not an IDX file",
            path=source.path,
            offset=0,
            expected="two zero bytes at the start",
            got=f"0x{zero:04X}",
            fix="use an IDX file, such as train-images-idx3-ubyte, plain or compressed with gzip",
        )
    if code not in _TYPES:
        raise DataError(
            "unknown element type",
            path=source.path,
            offset=2,
            expected=f"one of {_TYPE_NAMES}",
            got=f"0x{code:02X}",
            fix=_DAMAGED,
        )
    if not 1 <= dimensions <= _MAX_DIMENSIONS:
        raise DataError(
            "impossible number of dimensions",
            path=source.path,
            offset=3,
            expected=f"1 to {_MAX_DIMENSIONS}",
            got=dimensions,
            fix=_DAMAGED,
        )
    shape = struct.unpack(f">{dimensions}I", source.take(4 * dimensions, "the dimensions"))
    dtype = np.dtype(_TYPES[code])
    # A dimension of 0 makes the array empty, but NumPy still multiplies the others.
    if math.prod(size or 1 for size in shape) * dtype.itemsize > sys.maxsize:
        raise DataError(
            "the dimensions multiply to more than any array can have",
            path=source.path,
            offset=4,
            expected=f"at most {sys.maxsize} bytes",
            got=f"{dtype.name} of shape {shape}",
            fix=_DAMAGED,
        )
    return dtype, shape
