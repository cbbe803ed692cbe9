"""The archive, record by record: what it is to the byte, and records that say something else."""

from __future__ import annotations

import hashlib
import json
import math
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from saving_helpers import npy, refused, seal, zipped

from tinynn.data import archive

HEADER: dict[str, Any] = {"format": 1, "text": "\u00e9", "list": [1, 0.5, None, True]}
ARRAYS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b.c/d": np.array(True),
    "big": np.arange(4, dtype=">i4"),
    "none": np.zeros((0, 3)),
    "turned": np.arange(6.0).reshape(2, 3).T,
}
BEHIND = 14 + 64  # the comment: a mark and the digest


def read(data: bytes, folder: Path) -> Any:
    (folder / "a.npz").write_bytes(data)
    return archive.read(folder / "a.npz")


def reason(data: bytes, folder: Path) -> str:
    return str(refused(lambda: read(data, folder), folder / "a.npz").got)


def written(folder: Path) -> bytes:
    archive.write(folder / "made" / "a.npz", HEADER, ARRAYS)
    return (folder / "made" / "a.npz").read_bytes()


# --- what it is


def test_it_comes_back_with_shapes_and_types(tmp_path: Path) -> None:
    header, arrays = read(written(tmp_path), tmp_path)
    assert header == HEADER and list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype.newbyteorder("<") and arrays[name].shape == array.shape
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].flags.writeable and arrays[name].flags.c_contiguous
    assert archive.read_header(tmp_path / "a.npz") == HEADER


def test_every_byte_of_the_directory(tmp_path: Path) -> None:
    data = written(tmp_path)
    assert data[-64:] == hashlib.sha256(data[:-64]).hexdigest().encode()
    assert data[-BEHIND:-64] == b"tinynn sha256 " and data[-BEHIND - 22 : -BEHIND - 18] == b"PK\x05\x06"
    with zipfile.ZipFile(tmp_path / "made" / "a.npz") as file:
        members = file.infolist()
        assert json.loads(file.read("tinynn.json")) == HEADER
    assert [m.filename for m in members] == ["tinynn.json", *(f"{name}.npy" for name in ARRAYS)]
    for m in members:
        assert (m.compress_type, m.create_system, m.date_time) == (0, 3, (1980, 1, 1, 0, 0, 0))
        assert m.file_size == m.compress_size
    with np.load(tmp_path / "made" / "a.npz") as loaded:
        np.testing.assert_array_equal(loaded["turned"], ARRAYS["turned"])


def test_the_same_contents_are_the_same_bytes_in_any_layout(tmp_path: Path) -> None:
    first = written(tmp_path)
    others = {name: np.array(array, order="F").astype(array.dtype.newbyteorder("=")) for name, array in ARRAYS.items()}
    archive.write(tmp_path / "other.npz", HEADER, others)
    assert (tmp_path / "other.npz").read_bytes() == first


@pytest.mark.parametrize("size", [2**20 - 1, 2**20, 2**20 + 1, 2**21 + 5])
def test_arrays_longer_than_a_block(size: int, tmp_path: Path) -> None:
    array = np.random.default_rng(size).integers(0, 256, size).astype(np.uint8)
    archive.write(tmp_path / "a.npz", {}, {"a": array})
    data = (tmp_path / "a.npz").read_bytes()
    assert data[-64:] == hashlib.sha256(data[:-64]).hexdigest().encode()
    np.testing.assert_array_equal(archive.read(tmp_path / "a.npz")[1]["a"], array)


# --- what it is not


def test_not_to_the_last_byte(tmp_path: Path) -> None:
    data = written(tmp_path)
    for part in (b"", data[:3], data[:70], data[:-1], data[1:], data + b"x", b"pk" + data[2:]):
        error = refused(lambda part=part: read(part, tmp_path), tmp_path / "a.npz")
        assert "no file of tinynn's" in error.args[0] and f"{len(part):,} byte" in str(error.got)
    for at in (0, 1, 2, len(data) // 2, len(data) - BEHIND - 1):
        damaged = bytearray(data)
        damaged[at] ^= 1
        if at > 1:
            error = refused(lambda damaged=damaged: read(bytes(damaged), tmp_path), tmp_path / "a.npz")
            assert "its digest is not that" in error.args[0]
            assert error.expected == "SHA-256 " + data[-64:].decode()
            assert error.got == "SHA-256 " + hashlib.sha256(damaged[:-64]).hexdigest()


def large(data: bytes, offset: int = 0, length: int | None = None, mark: bytes = b"PK\x06\x06") -> bytes:
    """The file with the records that one beyond 4 GB has, and what they say changed."""
    before, end, behind = data[: -BEHIND - 22], data[-BEHIND - 22 : -BEHIND], data[-BEHIND:]
    count, size, start = struct.unpack("<HII", end[10:20])
    record = mark + struct.pack("<QHHIIQQ", 44, 45, 45, 0, 0, count, count)
    record += struct.pack("<QQ", size if length is None else length, start)
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, len(before) + offset, 1)
    return seal(before + record + locator + end + behind)


def test_the_records_of_a_file_beyond_4_gb(tmp_path: Path) -> None:
    data = written(tmp_path)
    header, arrays = read(large(data), tmp_path)
    assert header == HEADER and list(arrays) == list(ARRAYS)
    for offset in (-1, 1, 152, -76, 76):
        assert "is not where it should be" in reason(large(data, offset), tmp_path)
    assert "is not where it should be" in reason(large(data, mark=b"PK\x06\x05"), tmp_path)
    assert f"a list of members of {2**22 + 1:,} bytes" in reason(large(data, length=2**22 + 1), tmp_path)
    assert "a list of members of" not in reason(large(data, length=2**22), tmp_path)


def test_where_the_list_of_members_ends(tmp_path: Path) -> None:
    data = written(tmp_path)
    at = len(data) - BEHIND - 22
    for change in (data[:at] + b"PK\x05\x07" + data[at + 4 :], data[: at + 4] + b"PK\x05\x06" + data[at + 8 :]):
        assert "does not end where it should" in reason(seal(change), tmp_path)
    sized = data[: at + 12] + struct.pack("<I", 2**22 + 1) + data[at + 16 :]
    assert f"a list of members of {2**22 + 1:,} bytes" in reason(seal(sized), tmp_path)


def test_members_that_are_compressed_to_their_own_size(tmp_path: Path) -> None:
    def deflated(data: bytes) -> int:
        packer = zlib.compressobj(-1, zlib.DEFLATED, -15)
        return len(packer.compress(data) + packer.flush())

    text = next(t for n in range(1, 40) if deflated(t := b"abc" * n) == len(t) or deflated(t := b"a" * n) == len(t))
    made = zipped([("tinynn.json", text)], compression=zipfile.ZIP_DEFLATED)
    assert "'tinynn.json' is compressed or encrypted" in reason(made, tmp_path)


ONE = npy(np.zeros(3))
MEMBERS: dict[str, tuple[list[tuple[str, bytes]], str]] = {
    "no member": ([], "the first member is not tinynn.json"),
    "another first": ([("a.npy", ONE), ("tinynn.json", b"{}")], "the first member is not tinynn.json"),
    "two of one name": ([("tinynn.json", b"{}"), ("a.npy", ONE), ("a.npy", ONE)], "two members of one name"),
    "no array": ([("tinynn.json", b"{}"), ("a.txt", ONE)], "member 'a.txt', which is no array"),
    "a path": ([("tinynn.json", b"{}"), ("../a.npy", ONE)], "member '../a.npy', which is no array"),
    "a root": ([("tinynn.json", b"{}"), ("/a.npy", ONE)], "member '/a.npy', which is no array"),
    "a folder in the name": ([("tinynn.json", b"{}"), ("a//b.npy", ONE)], "which is no array"),
    "no numbers": ([("tinynn.json", b"{}"), ("a.npy", b"\x93NUMPX" + ONE[6:])], "no array that this library wrote"),
    "a later format": (
        [("tinynn.json", b"{}"), ("a.npy", ONE[:6] + b"\x02" + ONE[7:])],
        "no array that this library wrote",
    ),
    "one byte short": ([("tinynn.json", b"{}"), ("a.npy", ONE[:-1])], "has 23 bytes for 24 bytes"),
    "one byte more": ([("tinynn.json", b"{}"), ("a.npy", ONE + b"x")], "has 25 bytes for 24 bytes"),
    "neither true nor false": (
        [("tinynn.json", b"{}"), ("a.npy", npy(np.zeros(3, bool))[:-1] + b"\x02")],
        "neither true nor false",
    ),
    "a list for a header": ([("tinynn.json", b"[]")], ""),
}


@pytest.mark.parametrize("case", MEMBERS)
def test_members_that_no_archive_has(case: str, tmp_path: Path) -> None:
    members, words = MEMBERS[case]
    assert words in reason(zipped(members), tmp_path)


def test_what_would_not_be_read_is_not_written(tmp_path: Path) -> None:
    for name in ("/a", "../a", "./a", "a/../b", "a//b", "a\\b", "c:a", "a\nb", "x" * 9_997):
        error = refused(lambda name=name: archive.write(tmp_path / "a.npz", {}, {name: np.zeros(1)}))
        assert repr(f"{name}.npy")[:100] in str(error.got)
        assert not (tmp_path / "a.npz").exists()
    for name in ("x" * 9_996, "..a", ".a", "\u00e9", "#optimizer/a.0.W"):
        archive.write(tmp_path / "a.npz", {}, {name: np.zeros(1)})
        assert list(archive.read(tmp_path / "a.npz")[1]) == [name]
    for value in (math.inf, math.nan, object()):
        with pytest.raises((ValueError, TypeError)):
            archive.write(tmp_path / "b.npz", {"a": value}, {})
        assert not (tmp_path / "b.npz").exists()
