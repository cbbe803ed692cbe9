"""IDX files: what is written comes back, and whatever is wrong with a file is one DataError."""

from __future__ import annotations

import errno
import gzip
import os
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_helpers import CODES, assert_complete, idx_bytes, idx_header, refused, zipped
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinynn.data import read_idx, write_idx
from tinynn.data.files import written_atomically
from tinynn.errors import DataError

SMALL = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
GOOD = idx_bytes(SMALL)
GOOD_GZ = zipped(GOOD)
BIG = idx_header(0x08, 60_000, 28, 28)


def changed(content: bytes, at: int, value: int | None = None) -> bytes:
    """`content` with one byte set, or with all its bits flipped."""
    edited = bytearray(content)
    edited[at] = edited[at] ^ 0xFF if value is None else value
    return bytes(edited)


def bomb() -> bytes:
    """A small file that unpacks to 256 MiB, with the header of 784 bytes."""
    return zipped(idx_header(0x08, 28, 28)) + zipped(bytes(16 << 20)) * 16


# name: content, offset (None: any), a part of the message
HOSTILE: dict[str, tuple[bytes, int | None, str]] = {
    "empty": (b"", 0, "too early"),
    "one byte": (b"\0", 1, "too early"),
    "three bytes": (b"\0\0\x08", 3, "too early"),
    "text": (b"hello, world\n", 0, "not an IDX file"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(50), 0, "not an IDX file"),
    "zip": (b"PK\x03\x04" + bytes(50), 0, "not an IDX file"),
    "bzip2": (b"BZh91AY&SY" + bytes(50), 0, "not an IDX file"),
    "little endian": (b"\x03\x08\0\0" + bytes(50), 0, "not an IDX file"),
    "second byte": (b"\0\x01\x08\x01" + bytes(50), 0, "not an IDX file"),
    "type 0x00": (changed(GOOD, 2, 0x00), 2, "element type"),
    "type 0x0A": (changed(GOOD, 2, 0x0A), 2, "0x0A"),
    "type 0xFF": (changed(GOOD, 2, 0xFF), 2, "0x0E float64"),
    "no dimensions": (b"\0\0\x08\0" + bytes(9), 3, "1 to 64"),
    "65 dimensions": (b"\0\0\x08\x41" + bytes(4 * 65), 3, "65"),
    "255 dimensions": (b"\0\0\x08\xff" + bytes(4 * 255), 3, "255"),
    "no header": (GOOD[:4], 4, "the dimensions"),
    "half a header": (GOOD[:11], 11, "12 bytes"),
    "no body": (GOOD[:16], 16, "0 bytes"),
    "a byte short": (GOOD[:-1], 39, "23 bytes"),
    "a byte long": (GOOD + b"\0", 40, "1 more byte"),
    "twice": (GOOD * 2, 40, "40 more bytes"),
    "line ends changed": (GOOD.replace(b"\n", b"\r\n"), 40, "goes on"),
    "half a float": (idx_bytes(np.ones(3))[:-4], 28, "float64"),
    "36 TiB": (idx_header(0x08, 2**21, 2**24, 1) + bytes(4), 20, "too early"),
    "a larger dimension": (changed(GOOD, 7, 3), 40, "36 bytes"),
    "a smaller dimension": (changed(GOOD, 7, 1), 28, "12 more bytes"),
    "overflow": (idx_header(0x0E, *[2**32 - 1] * 3), 4, "multiply"),
    "overflow in 64 dimensions": (idx_header(0x08, *[2**32 - 1] * 64), 4, "multiply"),
    "overflow beside a zero": (idx_header(0x08, 0, *[2**32 - 1] * 3), 4, "multiply"),
    "gzip: magic only": (GOOD_GZ[:2], 0, "cut short"),
    "gzip: header only": (GOOD_GZ[:10], 0, "cut short"),
    "gzip: cut": (GOOD_GZ[:20], None, "cut short"),
    "gzip: no trailer": (GOOD_GZ[:-8], None, "cut short"),
    "gzip: half a trailer": (GOOD_GZ[:-3], None, "cut short"),
    "gzip: wrong checksum": (changed(GOOD_GZ, -8), 40, "CRC"),
    "gzip: wrong length": (changed(GOOD_GZ, -4), 40, "length"),
    "gzip: damaged data": (changed(GOOD_GZ, 12), None, "damaged"),
    "gzip: unknown method": (changed(GOOD_GZ, 2, 7), 0, "method"),
    "gzip: garbage behind": (GOOD_GZ + b"garbage", 40, "damaged"),
    "gzip: second member cut": (zipped(GOOD[:30]) + zipped(GOOD[30:])[:-5], None, "cut short"),
    "gzip: second member too much": (GOOD_GZ + zipped(b"more"), 40, "goes on"),
    "gzip: of nothing": (zipped(b""), 0, "too early"),
    "gzip: of text": (zipped(b"hello, world\n"), 0, "not an IDX file"),
    "gzip: of gzip": (zipped(GOOD_GZ), 0, "not an IDX file"),
    "gzip: a byte short": (zipped(GOOD[:-1]), 39, "23 bytes"),
    "gzip: a byte long": (zipped(GOOD + b"\0"), 40, "goes on"),
    "gzip: 36 TiB": (zipped(idx_header(0x08, 2**21, 2**24, 1) + bytes(4)), 16, "max_bytes"),
    "gzip: a lying GiB": (zipped(idx_header(0x08, 2**30) + bytes(100)), 108, "too early"),
    "gzip: lying MNIST": (zipped(BIG + bytes(1000)), 1016, "1,000 bytes"),
    "gzip: bomb": (bomb(), 796, "goes on"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_with_path_and_offset_in_little_memory(tmp_path: Path, name: str) -> None:
    content, offset, says = HOSTILE[name]
    path = tmp_path / "digits.idx"
    path.write_bytes(content)
    error = refused(lambda: read_idx(path), path, offset=offset, says=says)
    assert error.offset is not None


def make_missing(path: Path) -> Path:
    return path


def make_folder(path: Path) -> Path:
    path.mkdir()
    return path


def make_below_file(path: Path) -> Path:
    path.write_bytes(GOOD)
    return path / "inside"


def make_pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def make_loop(path: Path) -> Path:
    path.symlink_to(path)
    return path


PLACES: dict[str, tuple[Any, str]] = {
    "missing": (make_missing, "does not exist"),
    "folder": (make_folder, os.strerror(errno.EISDIR)),
    "below a file": (make_below_file, "not a folder"),
    "pipe": (make_pipe, "got:      a pipe"),
    "link to itself": (make_loop, os.strerror(errno.ELOOP)),
    "device": (lambda path: Path(os.devnull), "got:      a device"),
    "null character": (lambda path: path.with_name("a\0b"), "null"),
    "name too long": (lambda path: path.with_name("a" * 5000), "too long"),
}


@pytest.mark.skipif(os.name != "posix", reason="pipes, links and devices are those of POSIX")
@pytest.mark.parametrize("name", PLACES)
def test_a_place_that_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    make, says = PLACES[name]
    path = make(tmp_path / "digits.idx")
    refused(lambda: read_idx(path), path, says=says)


def test_a_file_without_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "digits.idx"
    path.write_bytes(GOOD)

    def forbidden(*args: object) -> None:
        raise PermissionError(13, "Permission denied")

    # Not by chmod, which does not bind the superuser.
    monkeypatch.setattr(Path, "open", forbidden)
    refused(lambda: read_idx(path), path, says="no permission")


def test_a_disk_that_fails_while_reading_is_a_data_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "digits.idx"
    path.write_bytes(GOOD)

    def failing(*args: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("tinynn.data.byte_source.ByteSource.take", failing)
    assert refused(lambda: read_idx(path), path).got == "Input/output error"


def test_too_little_memory_is_a_data_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "digits.idx"
    path.write_bytes(GOOD)

    def full(*args: object) -> None:
        raise MemoryError

    monkeypatch.setattr("tinynn.data.byte_source.ByteSource._read", full)
    refused(lambda: read_idx(path), path, says="does not fit in memory")


@pytest.mark.parametrize("content", [GOOD, GOOD_GZ], ids=["plain", "gzip"])
def test_max_bytes_bounds_the_uncompressed_size(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "digits.idx"
    path.write_bytes(content)
    assert read_idx(path, max_bytes=40).shape == (2, 3, 4)
    refused(lambda: read_idx(path, max_bytes=39), path, says="max_bytes", offset=16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("idx")


@given(
    array=hnp.arrays(
        dtype=st.sampled_from(
            [np.dtype(order + name) for name in ("u1", "i1", "i2", "i4", "f4", "f8") for order in "<>"]
        ),
        shape=hnp.array_shapes(min_dims=1, max_dims=5, min_side=0, max_side=5),
    ),
    name=st.sampled_from(["digits.idx", "digits.idx.gz"]),
)
@settings(max_examples=200, deadline=None)
def test_round_trip_of_every_type_and_shape(folder: Path, array: np.ndarray, name: str) -> None:
    write_idx(folder / name, array)
    result = read_idx(folder / name)
    assert result.dtype == array.dtype.newbyteorder("=")
    assert result.dtype.isnative
    assert result.shape == array.shape
    assert result.tobytes() == array.astype(result.dtype).tobytes()  # by bytes, for the sake of NaN
    assert result.flags.writeable
    assert result.flags.c_contiguous
    content = (folder / name).read_bytes()
    assert (gzip.decompress(content) if name.endswith(".gz") else content) == idx_bytes(array)


@given(data=st.data(), start=st.sampled_from([GOOD, GOOD_GZ, zipped(GOOD[:9]) + zipped(GOOD[9:])]))
@settings(max_examples=250, deadline=None)
def test_a_damaged_file_gives_an_array_or_a_data_error(folder: Path, data: st.DataObject, start: bytes) -> None:
    content = bytearray(start)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        length = data.draw(st.integers(0, 3))
        content[at : at + length] = data.draw(st.binary(max_size=3))
    path = folder / "damaged.idx"
    path.write_bytes(content)
    try:
        result = read_idx(path)
    except DataError as error:
        assert str(path) in str(error)
        assert_complete(error)
    else:
        assert result.dtype.name in CODES


@given(content=st.binary(max_size=200), start=st.sampled_from([b"", b"\0\0\x08", b"\x1f\x8b\x08\0"]))
@settings(max_examples=150, deadline=None)
def test_noise_gives_an_array_or_a_data_error(folder: Path, content: bytes, start: bytes) -> None:
    path = folder / "noise.idx"
    path.write_bytes(start + content)
    try:
        assert isinstance(read_idx(path), np.ndarray)
    except DataError as error:
        assert error.path == str(path)
        assert_complete(error)


def test_gzip_is_recognised_by_content_not_by_name(tmp_path: Path) -> None:
    (tmp_path / "plain.gz").write_bytes(GOOD)
    (tmp_path / "zipped").write_bytes(GOOD_GZ)
    assert np.array_equal(read_idx(tmp_path / "plain.gz"), SMALL)
    assert np.array_equal(read_idx(str(tmp_path / "zipped")), SMALL)


def test_gzip_of_several_members_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "members.gz").write_bytes(zipped(GOOD[:5]) + zipped(b"") + zipped(GOOD[5:]))
    assert np.array_equal(read_idx(tmp_path / "members.gz"), SMALL)


def test_an_array_with_a_dimension_of_zero_is_read(tmp_path: Path) -> None:
    path = tmp_path / "none.idx"
    path.write_bytes(idx_header(0x08, 0, 28, 28))
    assert read_idx(path).shape == (0, 28, 28)


def test_the_same_array_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.gz", "b.gz"):
        write_idx(tmp_path / name, SMALL)
    content = (tmp_path / "a.gz").read_bytes()
    assert content == (tmp_path / "b.gz").read_bytes()
    flags, seconds = struct.unpack("<xxxBI", content[:8])
    assert (flags, seconds) == (0, 0)


def test_strided_arrays_are_written_in_c_order(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.int32).reshape(4, 6)
    write_idx(tmp_path / "a", array.T[::2])
    assert np.array_equal(read_idx(tmp_path / "a"), array.T[::2])


def test_reading_needs_the_memory_of_the_array_once(tmp_path: Path) -> None:
    write_idx(tmp_path / "large", np.ones((16, 1 << 18)))
    tracemalloc.start()
    array = read_idx(tmp_path / "large")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert array.nbytes == 32 << 20
    assert peak < 1.3 * array.nbytes


UNWRITABLE: dict[str, tuple[Any, str]] = {
    "int64": (np.arange(3), "array.astype"),
    "float16": (np.ones(3, np.float16), "float16"),
    "bool": (np.ones(3, bool), "bool"),
    "uint16": (np.ones(3, np.uint16), "uint16"),
    "complex": (np.ones(3, np.complex64), "complex64"),
    "objects": (np.array([None, 1]), "object"),
    "text": (["1", "2"], "element type"),
    "records": (np.zeros(3, [("a", "u1")]), "element type"),
    "no dimension": (np.uint8(3), "1 to 64"),
    "a dimension too large": (np.broadcast_to(np.uint8(0), (2**32,)), "2**32"),
    "ragged": ([[1, 2], [3]], "different lengths"),
}


@pytest.mark.parametrize("name", UNWRITABLE)
def test_an_array_that_idx_cannot_hold_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    array, says = UNWRITABLE[name]
    path = tmp_path / "digits.idx"
    refused(lambda: write_idx(path, array), path, says=says)
    assert not list(tmp_path.iterdir())


def test_writing_to_an_impossible_place_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for path in (tmp_path / "none" / "a.idx", folder, tmp_path / "a\0b", tmp_path / "none\0" / "a"):
        refused(lambda path=path: write_idx(path, SMALL), path, says="cannot write the file")
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("name", ["digits.idx", "digits.idx.gz"])
def test_a_failed_write_keeps_the_old_file_and_leaves_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / name
    write_idx(path, SMALL)
    before = path.read_bytes()

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert refused(lambda: write_idx(path, SMALL + 1), path).got == "No space left on device"
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_mistake_of_the_writer_is_not_called_one_of_the_file(tmp_path: Path) -> None:
    write_idx(tmp_path / "a", SMALL)
    with pytest.raises(ValueError, match="bad title") as caught, written_atomically(tmp_path / "a") as file:
        file.write(b"half")
        raise ValueError("bad title")
    assert not isinstance(caught.value, DataError)
    assert np.array_equal(read_idx(tmp_path / "a"), SMALL)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.skipif(os.name != "posix", reason="permission bits are those of POSIX")
def test_a_written_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    write_idx(tmp_path / "a", SMALL)
    (tmp_path / "b").touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode
