"""The files that networks and checkpoints are kept in: arrays by name and a header, with a digest over all of it.

An archive of NumPy's own kind, so that `np.load` reads it without tinynn: a zip file of .npy members, not compressed,
before them the member `tinynn.json` with the header. The zip's comment, which is the end of the file, is the SHA-256 of
every byte before it. The same contents make the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from tinynn.data.files import make_folder, open_regular, plural, written_atomically
from tinynn.errors import DataError

__all__ = ["read", "read_header", "write"]

HEADER = "tinynn.json"
MARK = b"tinynn sha256 "
DIGITS = 64
BLOCK = 1 << 20
LONGEST = 2 << 20  # bytes of a header: as Python objects it may take twenty times as many
DIRECTORY = 4 << 20  # bytes of the list of members
LONGEST_NPY = 10_000  # characters of the header of an array, as in NumPy


def write(path: str | os.PathLike[str], header: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Writes a file; one that was there before is replaced whole or not at all.

    `header`: whatever JSON holds, finite numbers only. `arrays`: of numbers.
    Errors: DataError with the path and the reason.
    """
    make_folder(Path(path).parent)
    with written_atomically(path) as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.comment = MARK + b"0" * DIGITS
            text = json.dumps(header, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            with member(archive, HEADER) as out:
                out.write(text.encode())
            for name, array in arrays.items():
                with member(archive, f"{name}.npy") as out:
                    np.lib.format.write_array(out, np.asarray(array, order="C"), allow_pickle=False)
        end = file.tell()
        digest = digest_of(file, end - DIGITS)
        file.seek(end - DIGITS)
        file.write(digest)


def member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """A new member, open for writing. It is dated 1980, as early as zip files can be."""
    return archive.open(zipfile.ZipInfo(name), "w", force_zip64=True)


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
                check_members(members, size)
                header = read_json(archive, members[0])
                arrays = {m.filename.removesuffix(".npy"): read_array(archive, m) for m in members[1:] if whole}
                return header, arrays
        except DataError:
            raise
        # What zipfile and NumPy raise for one wrong byte or another: NotImplementedError, which is a RuntimeError, for
        # an unknown compression, SyntaxError for a garbled header of an array.
        except (ValueError, KeyError, EOFError, RuntimeError, SyntaxError, OverflowError, zipfile.BadZipFile) as error:
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
    if digest_of(file, at) != end[len(MARK) :]:
        raise DataError(
            "the file is damaged: its digest is not that of its contents",
            path=path,
            expected=f"SHA-256 {end[len(MARK) :].decode('ascii', 'replace')}",
            got=f"SHA-256 {digest_of(file, at).decode()}",
            fix="copy the file again, or use an older one; nothing of it was read",
        )
    file.seek(0)


def check_directory(file: IO[bytes], size: int) -> None:
    """Errors: ValueError for a list of members that is not where `write` puts it, or would take much memory."""
    at = size - DIGITS - len(MARK) - 22  # the record that ends a zip file, before its comment
    file.seek(max(0, at - 20 - 56))  # before it the one for files beyond 4 GB, and where that one is
    records = file.read(size - file.tell())[: -DIGITS - len(MARK)]
    end, locator, large = records[-22:], records[-42:-22], records[-98:-42]
    if end[:4] != b"PK\x05\x06":
        raise ValueError("the list of members does not end where it should")
    length = int.from_bytes(end[12:16], "little")
    if locator[:4] == b"PK\x06\x07":
        if large[:4] != b"PK\x06\x06" or int.from_bytes(locator[8:16], "little") != at - 76:
            raise ValueError("the list of members is not where it should be")
        length = int.from_bytes(large[40:48], "little")
    if length > DIRECTORY:
        raise ValueError(f"a list of members of {plural(length, 'byte')}")
    file.seek(0)


def check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    """Errors: ValueError for anything that `write` does not write, such as members that share bytes."""
    if not members or members[0].filename != HEADER:
        raise ValueError(f"the first member is not {HEADER}")
    names = [m.filename for m in members]
    if len(set(names)) < len(names):
        raise ValueError("two members of one name")
    for m in members:
        if m.compress_type != zipfile.ZIP_STORED or m.flag_bits & 1 or m.file_size != m.compress_size:
            raise ValueError(f"member {m.filename!r} is compressed or encrypted")
    if not all(name.endswith(".npy") for name in names[1:]):
        raise ValueError("a member that is no array")
    if sum(m.file_size for m in members) > size:
        raise ValueError("members that share bytes, or reach beyond the end of the file")


def read_json(archive: zipfile.ZipFile, m: zipfile.ZipInfo) -> dict[str, Any]:
    """The header."""
    if m.file_size > LONGEST:
        raise ValueError(f"a header of {plural(m.file_size, 'byte')}")
    try:
        header = json.loads(archive.read(m).decode())
    except RecursionError:
        header = None
    if not isinstance(header, dict):
        raise ValueError("a header that is no JSON object")
    return header


def read_array(archive: zipfile.ZipFile, m: zipfile.ZipInfo) -> np.ndarray:
    """An array of numbers, for which no memory is asked before it is known to be there."""
    with archive.open(m) as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"member {m.filename!r} has a header of version {version}")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=LONGEST_NPY)
        if dtype.kind not in "biuf" or dtype.hasobject or fortran or any(n < 0 for n in shape):
            raise ValueError(f"member {m.filename!r} is no array of numbers row by row: {dtype}, {shape}")
        left, wanted = m.file_size - file.tell(), math.prod(shape) * dtype.itemsize
        if left != wanted:
            raise ValueError(f"member {m.filename!r} has {plural(left, 'byte')} for {plural(wanted, 'byte')}")
        array = np.empty(shape, dtype)
        room, got = memoryview(array.reshape(-1).view(np.uint8)), 0
        while got < wanted:
            count = file.readinto(room[got:])  # type: ignore[attr-defined]
            if not count:
                raise EOFError(f"member {m.filename!r} ends too early")
            got += count
        return array


def refuse(path: str | os.PathLike[str], reason: str) -> Any:
    """Errors: DataError."""
    raise DataError(
        "the file is not what net.save or a checkpoint writes",
        path=path,
        expected="an archive of a header and arrays",
        got=reason,
        fix="save it again; a file from elsewhere may be meant to do harm",
    )
