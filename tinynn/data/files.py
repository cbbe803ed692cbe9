"""Reading and writing files so that whatever is wrong with one becomes a single `DataError`.

The formats of this package read through a `ByteSource`: it counts the offset, undoes gzip, and never holds more bytes
than were asked for and are really there. They write through `written_atomically`.
"""

from __future__ import annotations

import gzip
import os
import secrets
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Protocol

from tinynn.errors import DataError

__all__ = ["ByteSource", "byte_source", "list_folder", "make_folder", "open_regular", "plural", "written_atomically"]

_GZIP_MAGIC = b"\x1f\x8b"
# A header may promise terabytes: memory is taken in steps of this size, and only while the data keeps coming.
_CHUNK = 1 << 20

_REASONS: tuple[tuple[type[OSError], str, str], ...] = (
    (FileNotFoundError, "it does not exist", "check the path, and the folder that a relative path starts from"),
    (IsADirectoryError, "it is a folder", "name a file inside the folder"),
    (NotADirectoryError, "it is not a folder, or a part of the path is a file", "check the path"),
    (PermissionError, "no permission", "change the permissions, or use a place that you may use"),
)


def plural(count: int, noun: str) -> str:
    """`1 byte`, `2,000 bytes`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _os_problem(path: Path, error: OSError | ValueError, action: str) -> DataError:
    for kind, reason, fix in _REASONS:
        if isinstance(error, kind):
            return DataError(f"cannot {action}: {reason}", path=path, fix=fix)
    return DataError(f"cannot {action}: the operating system refuses", path=path, got=error)


@contextmanager
def open_regular(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a regular file for reading bytes.

    Errors: DataError when it is missing, a folder, a device or a pipe (opening one could wait for ever), not
    permitted, or when reading it fails inside the block.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError
        if not stat.S_ISREG(mode):
            raise DataError("cannot read: it is a device or a pipe", path=path, expected="a regular file")
        file = path.open("rb")
    except DataError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise _os_problem(path, error, "read the file") from error
    with file:
        try:
            yield file
        except OSError as error:
            raise _os_problem(path, error, "read the file") from error


@contextmanager
def written_atomically(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Yield a new file, open for writing and reading back, that gets the name `path` when the block ends well.

    After any failure the old file, or none, is there, and nothing half-written.

    Errors: DataError when the file cannot be made, written or renamed. Other errors of the block pass through.
    """
    path = Path(path)
    # In the same folder, because a rename is atomic only within one file system. Not from tempfile, whose files are
    # private to the user: the result shall have the permissions of any new file.
    temporary = path.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        with temporary.open("x+b") as file:
            yield file
        temporary.replace(path)
    except DataError:
        raise
    except (OSError, ValueError) as error:
        raise _os_problem(path, error, "write the file") from error
    finally:
        with suppress(OSError, ValueError):
            temporary.unlink(missing_ok=True)


def list_folder(folder: str | os.PathLike[str]) -> tuple[set[str], set[str]]:
    """The names of the files and those of the folders in a folder.

    Errors: DataError when it is missing, not a folder, or not permitted.
    """
    folder = Path(folder)
    try:
        with os.scandir(folder) as entries:
            is_folder = {entry.name: _is_folder(entry) for entry in entries}
    except (OSError, ValueError) as error:
        raise _os_problem(folder, error, "list the folder") from error
    folders = {name for name, yes in is_folder.items() if yes}
    return is_folder.keys() - folders, folders


def _is_folder(entry: os.DirEntry[str]) -> bool:
    # A link that leads nowhere must not hide the rest of its folder.
    try:
        return entry.is_dir()
    except OSError:
        return False


def make_folder(folder: str | os.PathLike[str]) -> None:
    """Make a folder, with its parents, unless it is there. Errors: DataError when that cannot be done."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise DataError("cannot make the folder: a file has its name", path=folder) from error
    except (OSError, ValueError) as error:
        raise _os_problem(folder, error, "make the folder") from error


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class ByteSource:
    """The bytes of a file from the first to the last, each of them asked for and accounted for.

    `offset` is the number of bytes taken so far; `size` that of the whole, or None when only reading can tell.
    """

    def __init__(self, path: Path, stream: _Readable, *, size: int | None, max_bytes: int) -> None:
        self.path = path
        self.offset = 0
        self.size = size
        self.max_bytes = max_bytes
        self._stream = stream

    def take(self, count: int, purpose: str) -> bytearray:
        """The next `count` bytes, exactly.

        Errors: DataError when the file ends before that, when its compressed data is damaged, when that would be
        more than `max_bytes` in all, or more than the memory holds.
        """
        end = self.offset + count
        if self.size is not None and end > self.size:
            raise self._ends_early(self.size, count, purpose, self.size - self.offset)
        if end > self.max_bytes:
            raise DataError(
                "the file is larger than allowed",
                path=self.path,
                offset=self.offset,
                expected=f"at most {plural(self.max_bytes, 'byte')} (max_bytes)",
                got=f"{plural(end, 'byte')} with {purpose}",
                fix="pass a larger max_bytes if the file is meant to be so large",
            )
        data = bytearray()
        try:
            while len(data) < count:
                chunk = self._read(min(count - len(data), _CHUNK))
                if not chunk:
                    raise self._ends_early(self.offset, count, purpose, len(data))
                data += chunk
                self.offset += len(chunk)
        except MemoryError as error:
            raise DataError(f"{purpose} ({plural(count, 'byte')}) does not fit in memory", path=self.path) from error
        return data

    def finish(self) -> None:
        """Make sure that nothing follows; for gzip this is also what verifies the checksum and the length.

        Errors: DataError when bytes are left, or when the compressed data is damaged.
        """
        if self._read(1):
            more = "more bytes" if self.size is None else plural(self.size - self.offset, "more byte")
            raise DataError(
                "the file goes on after its data",
                path=self.path,
                offset=self.offset,
                expected=f"the end after {plural(self.offset, 'byte')}",
                got=more,
                fix="fetch or write the file again: its header and its data disagree",
            )

    def _read(self, count: int) -> bytes:
        try:
            return self._stream.read(count)
        except (gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise DataError(
                "the compressed data is damaged or cut short",
                path=self.path,
                offset=self.offset,
                expected="a complete gzip stream whose checksum and length are right",
                got=error,
                fix="fetch or write the file again",
            ) from error

    def _ends_early(self, offset: int, count: int, purpose: str, there: int) -> DataError:
        return DataError(
            "the file ends too early",
            path=self.path,
            offset=offset,
            expected=f"{plural(count, 'byte')}: {purpose}",
            got=plural(there, "byte"),
            fix="fetch or write the file again: it is cut short, or its header is wrong",
        )


@contextmanager
def byte_source(file: IO[bytes], path: str | os.PathLike[str], *, max_bytes: int) -> Iterator[ByteSource]:
    """A `ByteSource` from the start of an open file; gzip is recognised by its first two bytes, not by its name."""
    path = Path(path)
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    compressed = file.read(2) == _GZIP_MAGIC
    file.seek(0)
    if compressed:
        with gzip.GzipFile(fileobj=file, mode="rb") as stream:
            yield ByteSource(path, stream, size=None, max_bytes=max_bytes)
    else:
        yield ByteSource(path, file, size=size, max_bytes=max_bytes)
