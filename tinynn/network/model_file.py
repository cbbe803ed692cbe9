"""Parameters on disk: an .npz archive of arrays by name, without pickle."""

from __future__ import annotations

import os
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from tinynn.data.files import make_folder, open_regular, written_atomically
from tinynn.errors import DataError

__all__ = ["read", "write"]

# All that zipfile, zlib and NumPy raise for one wrong byte or another: NotImplementedError for an unknown compression,
# RuntimeError for the bit that says "encrypted", SyntaxError and tokenize's for a garbled array header.
DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    RuntimeError,
    SyntaxError,
    MemoryError,
    OverflowError,
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
)


def write(path: str | os.PathLike[str], arrays: dict[str, np.ndarray]) -> None:
    """Writes the arrays under their names; a file that was there before is replaced whole or not at all.

    Errors: DataError with the path and the reason.
    """
    contents: dict[str, Any] = dict(arrays)  # to type checkers, np.savez takes more than arrays by name
    make_folder(Path(path).parent)
    with written_atomically(path) as file:
        np.savez(file, **contents)


def read(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays by name.

    Errors: DataError with the path, for a file that is missing, damaged, or no .npz of plain arrays.
    """
    try:
        # Opened here and not by np.load, which leaves the file open when it is no archive.
        with open_regular(path) as file:
            if not zipfile.is_zipfile(file):
                raise ValueError("a file that is no zip archive, or the beginning of one")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
    except DataError:
        raise
    except DAMAGE as error:
        raise DataError(
            "the model could not be read",
            path=path,
            expected="an .npz file written by net.save",
            got=str(error) or type(error).__name__,
            fix="check the path, or save the model again",
        ) from error
