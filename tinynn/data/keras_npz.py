"""MNIST as Keras keeps it: `mnist.npz`, a zip archive of the four arrays x_train, y_train, x_test, y_test in NumPy's
format.

Since the shapes are known beforehand, no header is believed, nothing is unpickled, and no more than MNIST is unpacked.

Source: keras.datasets.mnist; the npy format as described in numpy.lib.format.
"""

from __future__ import annotations

import math
import os
import zipfile
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from tinynn.data.byte_source import ByteSource
from tinynn.data.files import open_regular, plural
from tinynn.errors import DataError

__all__ = ["read_keras_mnist"]

_SHAPES = {"x_train": (60_000, 28, 28), "y_train": (60_000,), "x_test": (10_000, 28, 28), "y_test": (10_000,)}
# Keras' file has 11.5 MB, the arrays in it 55 MB. A list of empty members takes many times its size in memory.
_MAX_FILE_BYTES = 16 << 20
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
        try:
            with zipfile.ZipFile(file) as archive:
                return {name: _read_array(archive, path, name, shape) for name, shape in _SHAPES.items()}
        except DataError:
            raise
        except Exception as error:  # zipfile and NumPy's header parser raise a dozen types on damaged input
            raise DataError(
                "the archive is damaged, or not one",
                path=path,
                expected="Keras' mnist.npz",
                got=f"{type(error).__name__}: {error}",
                fix=_FIX,
            ) from error


def _read_array(archive: zipfile.ZipFile, path: Path, name: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    member = f"{name}.npy"
    if member not in archive.namelist():
        raise DataError(
            f"the archive lacks {name}",
            path=path,
            expected=", ".join(_SHAPES),
            got=plural(len(archive.namelist()), "other file"),
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
        version = npy.read_magic(stream)
        # Later versions are for headers above 64 KiB, which NumPy would read whole whatever they promise.
        if version != (1, 0):
            raise DataError(
                f"{name} has another version of NumPy's format", path=path, expected=(1, 0), got=version, fix=_FIX
            )
        header = npy.read_array_header_1_0(stream)
        if header != (shape, False, np.dtype(np.uint8)):
            order = "Fortran" if header[1] else "C"
            raise DataError(
                f"{name} is not MNIST's",
                path=path,
                expected=f"uint8 of shape {shape} in C order",
                got=f"{header[2]} of shape {header[0]} in {order} order",
                fix=f"{_FIX}; data sets of other shapes load from IDX files: datasets.load(folder)",
            )
        source = ByteSource(path, stream, size=None, max_bytes=_MAX_ARRAY_BYTES)
        body = source.take(math.prod(shape), name)
        source.finish()
    return np.ndarray(shape, np.uint8, buffer=body)
