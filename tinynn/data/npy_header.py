"""What a .npy file says of its array, read by pattern: no part of a file is ever evaluated, or shown to NumPy unseen.

NumPy's own reader takes the header for a Python expression, and warns of some. Of its type names a few do worse: of
dates in "s/0" the process dies of a division by zero, two records of 2 GiB have a size of -2 bytes.

Source: the npy format, version 1.0, as described in numpy.lib.format.
"""

from __future__ import annotations

import re
from typing import IO, NamedTuple

import numpy as np

__all__ = ["NpyHeader", "cut", "read_npy_header"]

# As np.save writes it, and Python 2, with an L behind the numbers.
_HEADER = re.compile(r"\{'descr': (.*), 'fortran_order': (False|True), 'shape': \(([-0-9L, ]*)\),? ?\} *\n")
_SIZE = re.compile(" ?(-?(?:0|[1-9][0-9]{0,19}))L?")
_MAX_DIMENSIONS = 64  # which NumPy has, too
_TEXT = re.compile("'([^'\\\\]*)'")
_ONE_TYPE = re.compile("[<>|=]?[biufcSUVO][0-9]{0,4}")
_SHOWN = 60


class NpyHeader(NamedTuple):
    """`dtype` is None for what is not one plain type: records, dates, nonsense; `type_name` is for people."""

    type_name: str
    dtype: np.dtype | None
    fortran: bool
    shape: tuple[int, ...]


def read_npy_header(file: IO[bytes]) -> NpyHeader:
    """From the length on, which follows the magic string and the version 1.0. Errors: ValueError."""
    length = file.read(2)
    text = file.read(int.from_bytes(length, "little"))
    if len(length) < 2 or len(text) < int.from_bytes(length, "little"):
        raise ValueError("the file ends within it")
    match = _HEADER.fullmatch(text.decode("latin-1"))
    if match is None:
        raise ValueError(f"it reads {cut(repr(text.decode('latin-1')))}")
    descr, fortran, sizes = match.groups()
    if sizes.count(",") > _MAX_DIMENSIONS:
        raise ValueError(f"its shape has {sizes.count(',')} dimensions")
    shape = [_SIZE.fullmatch(size) for size in sizes.removesuffix(",").split(",")] if sizes else []
    if None in shape:
        raise ValueError(f"its shape is {cut(f'({sizes})')}")
    quoted = _TEXT.fullmatch(descr)
    dtype = _dtype(quoted[1]) if quoted else None
    name = cut(descr) if dtype is None else dtype.name
    return NpyHeader(name, dtype, fortran == "True", tuple(int(size[1]) for size in shape if size))


def cut(text: str) -> str:
    """A text that may be long, for an error."""
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _dtype(name: str) -> np.dtype | None:
    try:
        return np.dtype(name) if _ONE_TYPE.fullmatch(name) else None
    except TypeError:  # such as floats of 3 bytes
        return None
