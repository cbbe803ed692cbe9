"""Arrays by name from the archives that `np.savez` and `np.savez_compressed` write: rows of numbers, and of texts.

No header is believed, nothing is unpickled, and no more is unpacked than the memory has room for.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from tinynn.data.byte_source import ByteSource
from tinynn.data.files import open_regular, plural
from tinynn.data.npy_header import cut, read_npy_header
from tinynn.errors import DataError

__all__ = ["read_npz"]

START = b"\x93NUMPY\1\0"  # later versions are for headers above 64 KiB
MOST = 4 << 30  # bytes of an array, unpacked
DIRECTORY = 1 << 20  # bytes of the list of members, which zipfile reads at once
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others cannot be unpacked with a bound on the memory


def read_npz(path: str | os.PathLike[str], *choices: Sequence[str]) -> dict[str, np.ndarray]:
    """The arrays of the first of these lists of names all of which the archive holds.

    Errors: DataError with the path: for a file that is no such archive or is damaged, names that are missing, an array
    without rows, or of other things than numbers and texts.
    """
    path = Path(path)
    with open_regular(path) as file:
        try:
            with zipfile.ZipFile(Bounded(file)) as archive:
                members = archive.namelist()
                names = next((c for c in choices if all(f"{name}.npy" in members for name in c)), None)
                if names is None:
                    found = ", ".join(sorted(name.removesuffix(".npy") for name in members)) or "nothing"
                    expected = ", or ".join(" and ".join(c) for c in choices)
                    raise refused(path, "the archive lacks an array", expected, cut(found), "np.savez(path, x=x, t=t)")
                return {name: read_array(archive, path, name) for name in names}
        except DataError:
            raise
        except Exception as error:  # zipfile raises a dozen types on damaged input
            got = f"{type(error).__name__}: {error}"[:200]
            raise refused(path, "the archive is damaged, or not one", "a file of np.savez", got) from error


class Bounded:
    """A file for zipfile, which takes ten times the size of an archive's directory in memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self.seek, self.tell, self.file = file.seek, file.tell, file

    def read(self, size: int = -1) -> bytes:
        if size > DIRECTORY:
            raise ValueError(f"a directory of {plural(size, 'byte')}")
        return self.file.read(size)

    def seekable(self) -> bool:
        return True


def read_array(archive: zipfile.ZipFile, path: Path, name: str) -> np.ndarray:
    """One array, row by row in memory, in this machine's order of bytes. Errors: DataError."""
    if archive.getinfo(f"{name}.npy").compress_type not in METHODS:
        raise refused(path, f"{name} is compressed by an unusual method", "deflate, or none", "another one")
    with archive.open(f"{name}.npy") as stream:
        start: Any = stream.read(len(START))
        if start != START:
            raise refused(path, f"{name} is no array", f"the bytes {START!r}", repr(start))
        try:
            header = read_npy_header(stream)
        except ValueError as error:
            raise refused(path, f"the header of {name} is damaged", "one that NumPy writes", str(error)) from error
        dtype, shape = header.dtype, header.shape
        if dtype is None or dtype.kind not in "biufU" or not dtype.itemsize:
            raise refused(path, f"{name} holds neither numbers nor texts", "numbers, or texts", header.type_name)
        if not shape or min(shape) < 1:
            raise refused(path, f"{name} has no rows", "a shape (N, ...), at least 1 in each place", cut(str(shape)))
        source = ByteSource(path, stream, size=None, max_bytes=MOST)
        body = source.take(math.prod(shape) * dtype.itemsize, name)
        source.finish()
    array = np.ndarray(shape, dtype, buffer=body, order="F" if header.fortran else "C")
    if dtype.kind == "U" and np.frombuffer(body, np.dtype(np.uint32).newbyteorder(dtype.byteorder)).max() > 0x10FFFF:
        raise refused(path, f"{name} holds what is no text", "characters of Unicode", "larger numbers")
    return np.ascontiguousarray(array, dtype.newbyteorder("="))


def refused(path: Path, what: str, expected: str, got: str, fix: str = "write it again with np.savez") -> DataError:
    return DataError(what, path=path, expected=expected, got=got, fix=fix)
