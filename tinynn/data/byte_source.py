"""The bytes of a file one after the other, plain or gzip: counted, bounded, and never more than are really there."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from tinynn.data.files import plural
from tinynn.data.gzip_stream import GZIP_MAGIC, GzipStream
from tinynn.errors import DataError

__all__ = ["ByteSource", "byte_source"]

# A header may promise terabytes: memory is taken in steps of this size, and only while the data keeps coming.
_CHUNK = 1 << 20
_GZIP_OVERHEAD = 1 << 20


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

    def expect(self, count: int, purpose: str) -> None:
        """Reads nothing. Errors: DataError when it is known already that `take` will not find so many bytes."""
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

    def take(self, count: int, purpose: str) -> bytearray:
        """The next `count` bytes, exactly.

        Errors: DataError when the file ends before that, when its compressed data is damaged, when that would be
        more than `max_bytes` in all, or more than the memory holds.
        """
        self.expect(count, purpose)
        data = bytearray()
        try:
            while len(data) < count:
                chunk = self._read(min(count - len(data), _CHUNK))
                if not chunk:
                    raise self._ends_early(self.offset, count, purpose, len(data))
                data += chunk
                self.offset += len(chunk)
        except MemoryError as error:
            raise DataError(
                f"{purpose} does not fit in memory",
                path=self.path,
                offset=self.offset,
                expected=f"free memory for {plural(count, 'byte')}",
                got=f"enough for {plural(len(data), 'byte')}",
                fix="end other programs, or use a machine with more memory",
            ) from error
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
        except (zlib.error, EOFError) as error:
            raise DataError(
                "the compressed data is damaged or cut short",
                path=self.path,
                offset=self.offset,
                expected="complete compressed data whose checksum and length are right",
                got=str(error) or type(error).__name__,
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
    compressed = file.read(2) == GZIP_MAGIC
    file.seek(0)
    if compressed:
        # Compressed bytes that unpack to nothing must not make a small file of a large one.
        if size > max_bytes + _GZIP_OVERHEAD:
            raise DataError(
                "the compressed file is larger than allowed",
                path=path,
                offset=0,
                expected=f"at most {plural(max_bytes + _GZIP_OVERHEAD, 'byte')} (max_bytes, and what gzip may add)",
                got=plural(size, "byte"),
                fix="pass a larger max_bytes if the file is meant to be so large",
            )
        yield ByteSource(path, GzipStream(file), size=None, max_bytes=max_bytes)
    else:
        yield ByteSource(path, file, size=size, max_bytes=max_bytes)
