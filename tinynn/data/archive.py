"""The files that networks and checkpoints are kept in: arrays by name and a header, with a digest over all of it.

An archive of NumPy's own kind, so that `np.load` reads it without tinynn: a zip file of .npy members, not compressed,
before them the member `tinynn.json` with the header. The zip's comment, which is the end of the file, is the SHA-256 of
every byte before it. The same contents make the same bytes.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import struct
import zipfile
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np

from tinynn.data.files import make_folder, open_regular, plural, written_atomically
from tinynn.data.json_header import LONGEST, from_json, to_json
from tinynn.errors import DataError

__all__ = ["portable", "read", "read_header", "write"]

HEADER = "tinynn.json"
MARK = b"tinynn sha256 "
DIGITS = 64
BLOCK = 1 << 20
DIRECTORY = 4 << 20  # bytes of the list of members

# What NumPy writes before an array of numbers, row by row: its own reader would take any Python literal for it.
NPY = re.compile(
    rb"\{'descr': '([<|][biuf][1248])', 'fortran_order': False, 'shape': \(((?:\d{1,19}, ?)*(?:\d{1,19})?)\), \} *\n"
)


def write(path: str | os.PathLike[str], header: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Writes a file; one that was there before is replaced whole or not at all.

    `header`: whatever JSON holds, finite numbers only. `arrays`: of numbers, under names that are no paths.
    Errors: DataError with the path and the reason, which may be that `read` would refuse the file.
    """
    text = to_json(header)
    names = [f"{name}.npy" for name in arrays]
    directory = sum(46 + 28 + len(name.encode("utf-8", "replace")) for name in names)
    wrong = next((name for name in names if not is_usable(name)), None)
    if len(text) > LONGEST or directory > DIRECTORY or wrong is not None:
        raise DataError(
            "this is more, or other, than the file can hold",
            path=path,
            expected=f"{LONGEST >> 20} MB at most to describe it, {DIRECTORY >> 20} MB of names, none of them a path",
            got=f"{plural(len(text), 'byte')}, {plural(directory, 'byte')} of names"
            + (f", {wrong[:100]!r} among them" if wrong is not None else ""),
            fix="give long lists as arrays; name layers and arrays by letters, digits and dots",
        )
    make_folder(Path(path).parent)
    with written_atomically(path) as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.comment = MARK + b"0" * DIGITS
            with member(archive, HEADER) as out:
                out.write(text)
            for name, array in zip(names, arrays.values(), strict=True):
                with member(archive, name) as out:
                    np.lib.format.write_array(out, portable(array), (1, 0), allow_pickle=False)
        end = file.tell()
        digest = digest_of(file, end - DIGITS)
        file.seek(end - DIGITS)
        file.write(digest)


def portable(array: np.ndarray) -> np.ndarray:
    """The array row by row, its bytes in the order that all machines are told of: the same ones on each."""
    array = np.asarray(array, order="C")
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def is_usable(name: str) -> bool:
    """Whether a member can be called that: no path, and nothing that a zip file would change."""
    if not name.isprintable() or "\\" in name or ":" in name or len(name) > 10_000:
        return False
    return not name.startswith("/") and not {"", ".", ".."} & set(name.split("/"))


def member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """A new member, open for writing, the same on every system. It is dated 1980, as early as zip files can be."""
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    return archive.open(info, "w", force_zip64=True)


def digest_of(file: IO[bytes], size: int) -> bytes:
    """The SHA-256 of the first bytes of a file, in hexadecimal digits."""
    file.seek(0)
    sha = hashlib.sha256()
    while size > 0:
        block = file.read(min(BLOCK, size))
        if not block:
            break
        sha.update(block)
        size -= len(block)
    return sha.hexdigest().encode()


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and arrays. Takes as much memory as the file is long, whatever is in it.

    Errors: DataError with the path, for a file that is missing, damaged in any bit, or none of tinynn's.
    """
    return opened(path, True)


def read_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The header of a file that is whole. Errors: those of `read`."""
    return opened(path, False)[0]


def opened(path: str | os.PathLike[str], whole: bool) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header, and arrays if the file is to be read `whole`."""
    with open_regular(path) as file:
        try:
            size = os.fstat(file.fileno()).st_size
            check_digest(path, file, size)
            check_directory(file, size)
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
                check_members(members)
                check_places(file, members, archive.start_dir)
                header = read_json(archive, members[0])
                arrays = {m.filename.removesuffix(".npy"): read_array(archive, m) for m in members[1:] if whole}
                return header, arrays
        except DataError:
            raise
        # What zipfile raises for one wrong byte or another: NotImplementedError, which is a RuntimeError, for an
        # unknown compression, struct.error for a field that is too short.
        except (ValueError, KeyError, EOFError, RuntimeError, OverflowError, struct.error, zipfile.BadZipFile) as error:
            refuse(path, f"{type(error).__name__}: {error}")


def check_digest(path: str | os.PathLike[str], file: IO[bytes], size: int) -> None:
    """Errors: DataError for a file that does not end in a digest, or not in its own."""
    at = size - DIGITS
    start = file.read(4)
    file.seek(max(0, at - len(MARK)))
    end = file.read(len(MARK) + DIGITS)
    if start[:2] != b"PK" or not end.startswith(MARK):
        raise DataError(
            "this is no file of tinynn's, or a part of one",
            path=path,
            expected="a file that net.save or a checkpoint of fit wrote, to its last byte",
            got=f"{plural(size, 'byte')} that begin with {start!r} and end with {end[-8:]!r}",
            fix="copy the file again, or save it again; arrays of your own: net.storage.assign(arrays, where=...)",
        )
    found = digest_of(file, at)
    if found != end[len(MARK) :]:
        raise DataError(
            "the file is damaged: its digest is not that of its contents",
            path=path,
            expected=f"SHA-256 {end[len(MARK) :].decode('ascii', 'replace')}",
            got=f"SHA-256 {found.decode()}",
            fix="copy the file again, or use an older one; nothing of it was read",
        )
    file.seek(0)


def check_directory(file: IO[bytes], size: int) -> None:
    """Errors: ValueError for a list of members that is not where `write` puts it, or would take much memory."""
    at = size - DIGITS - len(MARK) - 22  # the record that ends a zip file, before its comment
    file.seek(max(0, at - 20 - 56))  # before it the one for files beyond 4 GB, and where that one is
    records = file.read(size - file.tell())[: -DIGITS - len(MARK)]
    end, locator, large = records[-22:], records[-42:-22], records[-98:-42]
    # The last such mark is where zipfile looks, so there must be no other behind it.
    if end[:4] != b"PK\x05\x06" or b"PK\x05\x06" in end[1:]:
        raise ValueError("the list of members does not end where it should")
    length = int.from_bytes(end[12:16], "little")
    if locator[:4] == b"PK\x06\x07":
        if large[:4] != b"PK\x06\x06" or int.from_bytes(locator[8:16], "little") != at - 76:
            raise ValueError("the list of members is not where it should be")
        length = int.from_bytes(large[40:48], "little")
    if length > DIRECTORY:
        raise ValueError(f"a list of members of {plural(length, 'byte')}")
    file.seek(0)


def check_members(members: list[zipfile.ZipInfo]) -> None:
    """Errors: ValueError for anything that `write` does not write."""
    if not members or members[0].filename != HEADER:
        raise ValueError(f"the first member is not {HEADER}")
    names = [m.filename for m in members]
    if len(set(names)) < len(names):
        raise ValueError("two members of one name")
    for m in members:
        if m.compress_type != zipfile.ZIP_STORED or m.flag_bits & 9 or m.file_size != m.compress_size:
            raise ValueError(f"member {m.filename!r} is compressed or encrypted")
    for name in names[1:]:
        if not name.endswith(".npy") or not is_usable(name):
            raise ValueError(f"member {name[:100]!r}, which is no array, or would be a path")


def check_places(file: IO[bytes], members: list[zipfile.ZipInfo], end: int) -> None:
    """Errors: ValueError for members that share bytes, or for bytes before the end that are none of a member."""
    place = 0
    for m in members:
        file.seek(place)
        start = file.read(30)
        if m.header_offset != place or start[:4] != b"PK\x03\x04":
            raise ValueError(f"member {m.filename[:100]!r} does not begin where the one before it ends")
        place += 30 + int.from_bytes(start[26:28], "little") + int.from_bytes(start[28:30], "little") + m.file_size
    if place != end:
        raise ValueError("the members do not end where their list begins")


def read_json(archive: zipfile.ZipFile, m: zipfile.ZipInfo) -> dict[str, Any]:
    """The header."""
    if m.file_size > LONGEST:
        raise ValueError(f"a header of {plural(m.file_size, 'byte')}")
    return from_json(archive.read(m))


def read_array(archive: zipfile.ZipFile, m: zipfile.ZipInfo) -> np.ndarray:
    """An array of numbers, for which no memory is asked before it is known to be there."""
    name = m.filename[:100]
    with archive.open(m) as file:
        start = file.read(10)
        if start[:8] != b"\x93NUMPY\x01\x00":
            raise ValueError(f"member {name!r} is no array that this library wrote")
        match = NPY.fullmatch(file.read(int.from_bytes(start[8:], "little")))
        if match is None:
            raise ValueError(f"member {name!r} is no array of numbers row by row")
        dtype, shape = np.dtype(match[1].decode()), tuple(int(n) for n in match[2].split(b",") if n.strip())
        left, wanted = m.file_size - file.tell(), math.prod(shape) * dtype.itemsize
        if left != wanted:
            raise ValueError(f"member {name!r} has {plural(left, 'byte')} for {plural(wanted, 'byte')}")
        array = np.empty(shape, dtype)
        room, got = array.reshape(-1).view(np.uint8), 0
        while got < wanted:
            block = file.read(min(BLOCK, wanted - got))
            if not block:
                raise EOFError(f"member {name!r} ends too early")
            room[got : got + len(block)] = np.frombuffer(block, np.uint8)
            got += len(block)
        if dtype.kind == "b" and array.view(np.uint8).max(initial=0) > 1:
            raise ValueError(f"member {name!r} holds what is neither true nor false")
        return array


def refuse(path: str | os.PathLike[str], reason: str) -> NoReturn:
    """Errors: DataError."""
    raise DataError(
        "the file is not what net.save or a checkpoint writes",
        path=path,
        expected="an archive of a header and arrays",
        got=reason[:300],  # zipfile quotes names of 64 KiB
        fix="save it again; a file from elsewhere may be meant to do harm",
    )
