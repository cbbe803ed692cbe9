"""Parameters on disk: an .npz archive of arrays by name, without pickle."""

from __future__ import annotations

import os
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from tinynn.errors import DataError

__all__ = ["read", "write"]


def write(path: str | os.PathLike[str], arrays: dict[str, np.ndarray]) -> None:
    """Writes the arrays under their names; a file that was there before is replaced whole or not at all.

    Errors: DataError with the path and the reason.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, allow_pickle=False, **arrays)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise DataError(
            "the model could not be written",
            path=path,
            expected="a writable folder",
            got=str(error),
            fix="choose another path",
        ) from error


def read(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays by name.

    Errors: DataError with the path, for a file that is missing, damaged, or no .npz of plain arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("a single array, not an archive")
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            "the model could not be read",
            path=path,
            expected="an .npz file written by net.save",
            got=str(error) or type(error).__name__,
            fix="check the path, or save the model again",
        ) from error
