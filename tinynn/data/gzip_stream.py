"""Unpacking gzip in bounded memory, and in a time that goes with the bytes of the file, whatever they say.

Python's own gzip module takes a name without an end, or the zeros that may follow the data, byte by byte: a sparse file
of a terabyte of zeros would keep it busy for days.

Source: RFC 1952, GZIP file format specification 4.3.
"""

from __future__ import annotations

import zlib
from typing import IO

__all__ = ["GZIP_MAGIC", "GzipStream"]

GZIP_MAGIC = b"\x1f\x8b"
# Small, because the rest of a chunk is copied at the end of each member, and a member may have 20 bytes.
_CHUNK = 1 << 14
_MAX_HEADER = 1 << 17  # RFC 1952 has no bound for names and comments; those of real files are far shorter
_MAX_EMPTY = 1000  # members one after the other that hold nothing, at 30 bytes of file or less each
_HAS_CRC, _HAS_EXTRA, _HAS_NAME, _HAS_COMMENT, _RESERVED = 2, 4, 8, 16, 0xE0


class GzipStream:
    """The data of all members of a gzip file, one after the other; each checksum and length is verified.

    Zeros between members and behind the last are passed over, as gzip itself does.

    Errors: zlib.error for what is damaged, EOFError for what is cut short.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._buffer = b""  # read from the file, and not used yet
        self._member: zlib._Decompress | None = None
        self._crc = self._length = self._empty = 0  # the checksum so far, of the header and then of the data

    def read(self, count: int, /) -> bytes:
        """At least one and at most `count` bytes, or none at the end."""
        while self._member is not None or self._begin():
            member = self._member
            assert member is not None
            if member.eof:
                self._end()
                continue
            more = bool(self._buffer) or self._fill()
            data = member.decompress(self._buffer, count)
            self._buffer = member.unused_data if member.eof else member.unconsumed_tail
            if data:
                self._crc, self._length = zlib.crc32(data, self._crc), self._length + len(data)
                self._empty = 0
                return data
            if not more and not member.eof:
                raise EOFError("the compressed data ends before its end is marked")
        return b""

    def _fill(self) -> bool:
        data = self._file.read(_CHUNK)
        self._buffer += data
        return bool(data)

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            if not self._fill():
                raise EOFError("the file ends within the gzip format's own bytes")
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        self._crc = zlib.crc32(data, self._crc)
        return data

    def _begin(self) -> bool:
        """Go to the data of the next member, if there is one."""
        self._buffer = self._buffer.lstrip(b"\0")
        while not self._buffer:
            if not self._fill():
                return False
            self._buffer = self._buffer.lstrip(b"\0")
        self._crc = 0
        if self._take(2) != GZIP_MAGIC:
            raise zlib.error("what follows is no gzip member: it does not begin with 0x1F8B")
        method, flags = self._take(8)[:2]
        if method != 8:
            raise zlib.error(f"unknown compression method {method}")
        if flags & _RESERVED:
            raise zlib.error(f"unknown flags 0x{flags:02X}")
        self._empty += 1
        if self._empty > _MAX_EMPTY:
            raise zlib.error(f"more than {_MAX_EMPTY:,} members without data")
        if flags & _HAS_EXTRA:
            self._take(int.from_bytes(self._take(2), "little"))
        for _ in range(bool(flags & _HAS_NAME) + bool(flags & _HAS_COMMENT)):
            self._skip_text()
        right = (self._crc & 0xFFFF).to_bytes(2, "little")
        if flags & _HAS_CRC and self._take(2) != right:
            raise zlib.error("the header has another checksum than it says")
        self._member = zlib.decompressobj(-zlib.MAX_WBITS)
        self._crc = self._length = 0
        return True

    def _skip_text(self) -> None:
        while (end := self._buffer.find(b"\0")) < 0:
            if len(self._buffer) > _MAX_HEADER:
                raise zlib.error(f"a name or comment of more than {_MAX_HEADER:,} bytes")
            if not self._fill():
                raise EOFError("the file ends within the name in it")
        self._take(end + 1)

    def _end(self) -> None:
        self._member, found = None, self._crc
        crc, length = (int.from_bytes(self._take(4), "little") for _ in range(2))
        if crc != found:
            raise zlib.error(f"CRC 0x{crc:08X} promised, 0x{found:08X} found")
        if length != self._length & 0xFFFFFFFF:
            raise zlib.error(f"a length of {length} promised, {self._length} found")
