"""Data sets in many files, written: a folder of pairs `inputs-00000.npy`, `targets-00000.npy`, whole or refused."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinynn.data.files import list_folder, make_folder, plural, written_atomically
from tinynn.data.shards import KINDS, NAME, Shards, shards
from tinynn.errors import ConfigurationError, DataError, ShapeError

__all__ = ["write_shards"]


def write_shards(folder: str | os.PathLike[str], parts: Iterable[Sequence[Any]]) -> Shards:
    """Write pairs of arrays (x, targets) to a folder as `inputs-00000.npy`, `targets-00000.npy`, ...; and open it.

    `parts`: asked for one by one, none of them is kept. After an error no file of these is there; a folder whose
    writing was cut short by the end of the process is refused when it is read.

    Errors: DataError where the folder holds shards already, or a file cannot be written; ShapeError or DataError for a
    part that is no pair of arrays of one length, like those before it; ConfigurationError for no parts at all.
    """
    try:
        parts = iter(parts)
    except TypeError:
        parts = iter(())
    folder = Path(folder)
    make_folder(folder)
    if there := sorted(name for name in list_folder(folder)[0] if NAME.fullmatch(name)):
        raise DataError(
            "the folder holds shards already",
            path=folder / there[0],
            expected="a folder without them",
            got=plural(len(there), "file"),
            fix="use another folder, or delete them",
        )
    written: list[Path] = []
    try:
        first: list[np.ndarray] = []
        for number, part in enumerate(parts):
            x, targets = arrays = as_part(part, number, first)
            if not first:
                first = [x[:1].copy(), targets.copy()]
            for kind, array in zip(KINDS, arrays, strict=True):
                if number or kind == "inputs":
                    write(folder / f"{kind}-{number:05}.npy", array, written)
        if not first:
            raise ConfigurationError(
                "there are no parts",
                where="write_shards, parts",
                expected="an iterable of at least one pair (x, targets)",
                got="nothing to write",
                fix="write_shards(folder, [(x0, targets0), (x1, targets1)]); a generator can be gone through once only",
            )
        write(folder / "targets-00000.npy", first[1], written)  # at last: until then a file is missing
        return shards(folder)
    except BaseException:
        for path in written:
            with contextlib.suppress(OSError):
                path.unlink()
        raise


def write(path: Path, array: np.ndarray, written: list[Path]) -> None:
    """One file, and its name in the list."""
    written.append(path)
    with written_atomically(path) as file:
        np.save(file, array, allow_pickle=False)


def as_part(part: Any, number: int, first: list[np.ndarray]) -> list[np.ndarray]:
    """The two arrays of a part, row behind row, like those of the first part."""
    pair = part if isinstance(part, tuple | list) else ()
    arrays = [np.ascontiguousarray(x) for x in pair if isinstance(x, np.ndarray) and x.ndim]
    if len(arrays) != len(pair) or len(pair) != 2 or not 0 < len(arrays[0]) == len(arrays[1]):
        got = ", ".join(f"shape {x.shape}" if isinstance(x, np.ndarray) else f"a {type(x).__name__}" for x in pair)
        raise ShapeError(
            f"part {number} cannot be written",
            where=f"write_shards, part {number}",
            expected="a pair of arrays (x, targets) of one length, at least 1",
            got=f"({got})" if pair else f"a {type(part).__name__}",
            fix="parts=[(x0, targets0), (x1, targets1), ...]",
        )
    for kind, array, like in zip(KINDS, arrays, first or arrays, strict=True):
        alike = (array.dtype, array.shape[1:]) == (like.dtype, like.shape[1:])
        if array.dtype.kind not in "biuf" or 0 in array.shape or not alike:
            raise DataError(
                f"the {kind} of part {number} cannot be written",
                where=f"write_shards, part {number}",
                expected=f"{like.dtype}, rows of shape {like.shape[1:]}, as in part 0" if first else "numbers",
                got=f"{array.dtype}, rows of shape {array.shape[1:]}",
                fix="give all parts in one dtype and shape of row",
            )
    return arrays
