"""Data sets in many files: a folder of pairs `inputs-00000.npy`, `targets-00000.npy`, ..., read where they lie.

Of each file the header is read when the folder is opened, and its rows when they are asked for.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np

from tinynn.data.files import list_folder, plural
from tinynn.data.npy_file import Header, map_array, read_header
from tinynn.errors import DataError

__all__ = ["KINDS", "NAME", "Shards", "shards"]

KINDS = ("inputs", "targets")
NAME = re.compile(rf"({'|'.join(KINDS)})-([0-9]+)\.npy")


class Shards:
    """The rows of a folder of shards, numbered through: what `fit` and `evaluate` take as they take arrays.

    `len(data)`, `data.take(rows)` -> (x, targets), `data.shape`: that of one row of the inputs. The files must not be
    changed while they are read. A pickle holds the folder, not the rows.
    """

    def __init__(self, folder: Path, pairs: list[tuple[Path, Path]], headers: list[tuple[Header, Header]]) -> None:
        self.folder, self.pairs, self.headers = folder, pairs, headers
        self.ends = np.cumsum([x.shape[0] for x, _ in headers])
        self.kinds = [(header.dtype, header.shape[1:]) for header in headers[0]]
        self.mapped: dict[int, tuple[np.ndarray, ...]] = {}
        self.most = most_mapped()
        self.lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Shards({str(self.folder)!r}: {plural(len(self), 'row')} in {plural(len(self.pairs), 'pair')} of files)"

    def __reduce__(self) -> tuple[Any, ...]:
        return shards, (self.folder,)

    def __len__(self) -> int:
        return int(self.ends[-1])

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row of the inputs: `net.build(data.shape)`."""
        return self.kinds[0][1]

    def take(self, rows: Any) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets of these rows, in their order; rows (n,), whole numbers in 0..len-1, may come twice.

        Errors: DataError for other rows, and for a file that is no longer what it was.
        """
        rows = np.asarray(rows)
        if rows.ndim != 1 or (rows.dtype.kind not in "iu" and rows.size):
            got = f"{rows.dtype} of shape {rows.shape}"
            raise self.refused("rows are whole numbers", "an array of whole numbers, (n,)", got)
        rows = rows.astype(np.int64)
        if rows.size and not 0 <= rows.min() <= rows.max() < len(self):
            wrong = rows[(rows < 0) | (rows >= len(self))][0]
            raise self.refused("there is no such row", f"0 to {len(self) - 1}", f"{wrong}")
        homes = np.searchsorted(self.ends, rows, side="right")
        outs = tuple([np.empty((len(rows), *shape), dtype) for dtype, shape in self.kinds])
        order = np.argsort(homes, kind="stable")
        starts = np.flatnonzero(np.diff(homes[order], prepend=-1)).tolist()
        for start, end in zip(starts, [*starts[1:], len(rows)], strict=False):
            places: Any = order[start:end]
            shard = int(homes[places[0]])
            within: Any = rows[places] - (self.ends[shard] - self.headers[shard][0].shape[0])
            if end - start == 1:  # as of most shards where they are many: NumPy copies a slice sooner
                places, within = slice(int(places[0]), int(places[0]) + 1), slice(int(within[0]), int(within[0]) + 1)
            for x, out in zip(self.map(shard), outs, strict=True):
                out[places] = x[within]
        return outs[0], outs[1]

    def map(self, shard: int) -> tuple[np.ndarray, ...]:
        """The arrays of a pair of files; those that were asked for longest ago are closed."""
        with self.lock:  # several threads may read
            arrays = self.mapped.pop(shard, None)
            if arrays is None:
                both = zip(self.pairs[shard], self.headers[shard], strict=True)
                arrays = tuple([map_array(path, header) for path, header in both])
                if len(self.mapped) >= self.most:
                    del self.mapped[next(iter(self.mapped))]
            self.mapped[shard] = arrays
            return arrays

    def refused(self, what: str, expected: str, got: str) -> DataError:
        """The error for rows that cannot be had."""
        return DataError(what, where=f"take, {self!r}", expected=expected, got=got, fix="take(np.arange(0, 32))")


def shards(folder: str | os.PathLike[str]) -> Shards:
    """Open a folder of `inputs-00000.npy`, `targets-00000.npy`, `inputs-00001.npy`, ...: data larger than memory.

    The numbers begin at 0 and have any number of digits; other names are passed over. A pair has one number of rows,
    inputs and targets each one dtype and shape of row in all files. They stay where they are, memory-mapped when rows
    of them are asked for.

    Errors: DataError with the path of a file that is missing, damaged, too many, or unlike the others.
    """
    folder = Path(folder)
    pairs = found(folder)
    headers = []
    for paths in pairs:
        both = read_header(paths[0]), read_header(paths[1])
        first = headers[0] if headers else both
        for path, header, like, name in zip(paths, both, first, pairs[0], strict=True):
            if (header.dtype, header.shape[1:]) != (like.dtype, like.shape[1:]):
                raise DataError(
                    "the rows are not like those of the first file",
                    path=path,
                    expected=f"{like.dtype.str}, rows of shape {like.shape[1:]}, as in {name.name}",
                    got=f"{header.dtype.str}, rows of shape {header.shape[1:]}",
                    fix="write all files in one dtype and shape of row",
                )
        if both[0].shape[0] != both[1].shape[0]:
            raise DataError(
                "inputs and targets differ in number",
                path=paths[1],
                expected=f"{plural(both[0].shape[0], 'row')}, as in {paths[0].name}",
                got=plural(both[1].shape[0], "row"),
                fix="use the two files that were written together",
            )
        headers.append(both)
    return Shards(folder, pairs, headers)


def found(folder: Path) -> list[tuple[Path, Path]]:
    """The pairs of files in the order of their numbers, 0 to the last."""
    numbered: tuple[dict[int, Path], ...] = {}, {}
    for name in sorted(list_folder(folder)[0]):
        if match := NAME.fullmatch(name):
            files, number = numbered[KINDS.index(match[1])], int(match[2])
            if number in files:
                raise DataError(
                    "two files have one number",
                    path=folder / name,
                    expected=f"one file of the number {number}",
                    got=f"also {files[number].name}",
                    fix="delete one of them",
                )
            files[number] = folder / name
    last = max((number for files in numbered for number in files), default=-1)
    if last < 0:
        raise DataError(
            "the folder holds no shards",
            path=folder,
            expected="inputs-00000.npy, targets-00000.npy, inputs-00001.npy, ...",
            got="none of them",
            fix="check the folder, or write them with datasets.write_shards(folder, parts)",
        )
    pairs = []
    for number in range(last + 1):  # ends at the first gap, however large the last number is
        for kind, files, others in zip(KINDS, numbered, numbered[::-1], strict=True):
            if number not in files:
                there = others.get(number)
                name = there.name.replace(KINDS[1 - KINDS.index(kind)], kind) if there else f"{kind}-{number:05}.npy"
                raise DataError(
                    "a file of the data set is missing",
                    path=folder / name,
                    expected=f"{kind} and their partner for every number from 0 to {last}",
                    got=f"{there.name} without it" if there else f"no file of the number {number}",
                    fix="put the file there, or write the data set again",
                )
        pairs.append((numbered[0][number], numbered[1][number]))
    return pairs


def most_mapped() -> int:
    """How many pairs may be mapped at one time: with a quarter of the files that a process may have open."""
    if sys.platform == "win32":
        return 1024
    import resource  # not at the top: Windows has no such module

    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 4096 if allowed == resource.RLIM_INFINITY else max(8, min(allowed // 8, 4096))
