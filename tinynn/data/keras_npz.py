"""MNIST as Keras keeps it: `mnist.npz`, a zip archive of the four arrays x_train, y_train, x_test, y_test in NumPy's
format.

Since the shapes are known beforehand, no header is believed, nothing is unpickled, and no more than MNIST is unpacked.

Source: keras.datasets.mnist.
"""

from __future__ import annotations

import math
import os
import zipfile
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from tinynn.data.byte_source import ByteSource
from tinynn.data.files import open_regular, plural
from tinynn.data.npy_header import cut, read_npy_header
from tinynn.errors import DataError

__all__ = ["read_keras_mnist"]

_SHAPES = {"x_train": (60_000, 28, 28), "y_train": (60_000,), "x_test": (10_000, 28, 28), "y_test": (10_000,)}
# Keras' file has 11.5 MB, the arrays in it 55 MB.
_MAX_FILE_BYTES = 16 << 20
_MAX_READ_BYTES = 1 << 20
_MAX_ARRAY_BYTES = 64 << 20
# The others (bz2, lzma) cannot be unpacked with a bound on the memory.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_FIX = "delete the file, or fetch Keras' mnist.npz again"


def read_keras_mnist(path: str | os.PathLike[str]) -> dict[str, NDArray[np.uint8]]:
    """Read the arrays x_train (60000, 28, 28), y_train (60000,), x_test (10000, 28, 28), y_test (10000,), all uint8.

    Errors: DataError when the file is missing, not such an archive, damaged, or an array is of another type or shape.
    """
    path = Path(path)
    with open_regular(path) as file:
        size = file.seek(0, os.SEEK_END)
        if size > _MAX_FILE_BYTES:
            raise DataError(
                "the file is too large for Keras' MNIST",
                path=path,
                expected=f"at most {plural(_MAX_FILE_BYTES, 'byte')}",
                got=plural(size, "byte"),
                fix=_FIX,
            )
        file.seek(0)
        start = file.read(4)
        try:
            with zipfile.ZipFile(_Sipped(file, path)) as archive:
                # zipfile passes over what stands before an archive, so that a file may be two things at once.
                if start not in (b"PK\3\4", b"PK\5\6"):
                    raise zipfile.BadZipFile(f"{start!r} for a magic number at the start")
                return {name: _read_array(archive, path, name, shape) for name, shape in _SHAPES.items()}
        except DataError:
            raise
        except Exception as error:  # zipfile raises a dozen types on damaged input
            raise DataError(
                "the archive is damaged, or not one",
                path=path,
                expected="Keras' mnist.npz",
                got=f"{type(error).__name__}: {error}"[:200],  # it may quote names of 64 KiB
                fix=_FIX,
            ) from error


class _Sipped:
    """A file for zipfile, which reads an archive's directory at once, and then takes ten times its size in memory."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file, self._path = file, path

    def read(self, size: int = -1) -> bytes:
        if size > _MAX_READ_BYTES:
            raise DataError(
                "the archive's directory is too large for Keras' MNIST",
                path=self._path,
                offset=self._file.tell(),
                expected=f"at most {plural(_MAX_READ_BYTES, 'byte')}, for {len(_SHAPES)} files",
                got=plural(size, "byte"),
                fix=_FIX,
            )
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True


def _read_array(archive: zipfile.ZipFile, path: Path, name: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    member = f"{name}.npy"
    count = archive.namelist().count(member)
    if count != 1:
        raise DataError(
            f"the archive holds {name} {count} times" if count else f"the archive lacks {name}",
            path=path,
            expected=f"{', '.join(_SHAPES)}, each once",
            got=plural(len(archive.namelist()), "file"),
            fix=_FIX,
        )
    method = archive.getinfo(member).compress_type
    if method not in _METHODS:
        raise DataError(
            f"{name} is compressed by an unusual method",
            path=path,
            expected=f"deflate (method {zipfile.ZIP_DEFLATED}), or none ({zipfile.ZIP_STORED})",
            got=f"method {method}",
            fix="write the archive again with numpy.savez_compressed",
        )
    with archive.open(member) as stream:
        _check_header(stream, path, name, shape)
        source = ByteSource(path, stream, size=None, max_bytes=_MAX_ARRAY_BYTES)
        body = source.take(math.prod(shape), name)
        source.finish()
    return np.ndarray(shape, np.uint8, buffer=body)


def _check_header(stream: IO[bytes], path: Path, name: str, shape: tuple[int, ...]) -> None:
    """Errors: DataError for what is not the beginning of a .npy file of MNIST's type and this shape."""
    start = stream.read(8)
    if len(start) < 8 or start[:6] != b"\x93NUMPY":
        raise DataError(
            f"{name} is damaged",
            path=path,
            expected="NumPy's magic string, \\x93NUMPY, and a version",
            got=start or "nothing",
            fix=_FIX,
        )
    # Later versions are for headers above 64 KiB.
    if start[6:] != b"\1\0":
        raise DataError(
            f"{name} has another version of NumPy's format",
            path=path,
            expected=(1, 0),
            got=(start[6], start[7]),
            fix=_FIX,
        )
    try:
        header = read_npy_header(stream)
    except ValueError as error:
        raise DataError(
            f"the header of {name} is damaged, or not one that NumPy writes",
            path=path,
            expected="{'descr': '|u1', 'fortran_order': False, 'shape': " + f"{shape}, }}",
            got=error,
            fix=_FIX,
        ) from error
    if (header.dtype, header.fortran, header.shape) != (np.dtype(np.uint8), False, shape):
        raise DataError(
            f"{name} is not MNIST's",
            path=path,
            expected=f"uint8 of shape {shape} in C order",
            got=f"{header.type_name} of shape {cut(str(header.shape))} in {'Fortran' if header.fortran else 'C'} order",
            fix=f"{_FIX}; data sets of other shapes load from IDX files: datasets.load(folder)",
        )
