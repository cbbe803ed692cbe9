"""What the tests of the file readers share: building files, and watching how a bad one is refused."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tinynn.errors import DataError, TinynnError

CODES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}


def idx_header(code: int, *shape: int) -> bytes:
    return struct.pack(f">HBB{len(shape)}I", 0, code, len(shape), *shape)


def idx_bytes(array: np.ndarray) -> bytes:
    """The IDX file of an array, built independently of `write_idx`."""
    return idx_header(CODES[array.dtype.name], *array.shape) + array.astype(array.dtype.newbyteorder(">")).tobytes()


def zipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def assert_complete(error: TinynnError) -> None:
    """The error says all that a user needs: what was expected, what came, where, and what to do."""
    for part in ("expected", "got", "where", "fix"):
        value = getattr(error, part)
        assert value is not None and str(value).strip(), f"no {part!r} in: {error}"


def refused(
    call: Callable[[], object],
    path: Path,
    *,
    says: str = "",
    line: int | None = None,
    offset: int | None = None,
    memory: int = 4 << 20,
) -> DataError:
    """The DataError that `call` must raise: one complete, with the path and place, in no more than `memory` bytes."""
    tracemalloc.start()
    try:
        with pytest.raises(DataError) as caught:
            call()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    error = caught.value
    assert_complete(error)
    assert error.path is not None
    assert str(path) in str(error)
    assert says in str(error)
    if line is not None:
        assert error.line == line
        assert f"line {line}" in str(error)
    if offset is not None:
        assert error.offset == offset
        assert f"byte {offset}" in str(error)
    assert peak < memory
    return error
