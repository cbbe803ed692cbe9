"""The container: what goes in comes out, the same bytes each time, and nothing is written that could not be read."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from saving_helpers import npy, refused, seal, zipped

from tinynn.data import archive

DTYPES = [
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    "float16",
    "float32",
    "float64",
]
arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0))
)
names = st.text(st.sampled_from("abcWé.#_ /0123"), min_size=1, max_size=8).filter(
    lambda name: not {"", ".", ".."} & set(name.split("/"))
)
headers = st.dictionaries(
    st.text(),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
)


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    @settings(max_examples=100)
    @given(headers, st.dictionaries(names, arrays, max_size=4))
    def check(header: dict[str, Any], contents: dict[str, np.ndarray]) -> None:
        archive.write(tmp_path / "file", header, contents)
        back, found = archive.read(tmp_path / "file")
        assert repr(back) == repr(header)  # NaN apart, equal and of equal types
        assert back == archive.read_header(tmp_path / "file")
        assert list(found) == list(contents)
        for name, array in contents.items():
            assert found[name].dtype == array.dtype
            assert found[name].shape == array.shape
            assert found[name].tobytes() == array.tobytes()
            assert found[name].flags.writeable
        before = (tmp_path / "file").read_bytes()
        archive.write(tmp_path / "file", back, found)
        assert (tmp_path / "file").read_bytes() == before
        with np.load(tmp_path / "file", allow_pickle=False) as numpy:
            for name, array in contents.items():
                np.testing.assert_array_equal(numpy[name], array)

    check()


def test_the_end_of_the_file_is_the_digest_of_all_before_it(tmp_path: Path) -> None:
    archive.write(tmp_path / "file", {"a": 1}, {"x": np.arange(5.0)})
    data = (tmp_path / "file").read_bytes()
    assert data[-64:] == hashlib.sha256(data[:-64]).hexdigest().encode()
    assert data[-78:-64] == b"tinynn sha256 "
    with zipfile.ZipFile(tmp_path / "file") as file:
        assert file.testzip() is None
        assert file.namelist() == ["tinynn.json", "x.npy"]


def test_arrays_of_any_order_in_memory_make_the_same_bytes(tmp_path: Path) -> None:
    x = np.arange(12.0).reshape(3, 4)
    for i, array in enumerate((x, np.asfortranarray(x), x[::-1][::-1], x.astype(">f8"), np.repeat(x, 2, 0)[::2])):
        archive.write(tmp_path / f"file{i}", {}, {"x": array})
        assert (tmp_path / f"file{i}").read_bytes() == (tmp_path / "file0").read_bytes()


def test_an_array_of_several_blocks_comes_back(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, 3 * archive.BLOCK + 17, np.uint8)
    archive.write(tmp_path / "file", {}, {"x": x, "y": x[:5]})
    found = archive.read(tmp_path / "file")[1]
    assert found["x"].tobytes() == x.tobytes()
    assert found["y"].tobytes() == x[:5].tobytes()


BAD_NAMES = ["", "/etc/passwd", "../x", "a/../b", "a//b", "./a", "a\0b", "a\nb", "C:x", "a\\b", "\ud800", "x" * 20_000]


@pytest.mark.parametrize("name", BAD_NAMES, ids=[ascii(name[:20]) for name in BAD_NAMES])
def test_a_name_that_is_a_path_is_neither_written_nor_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    if name:
        archive.write(path, {}, {"x": np.ones(2)})
        before = path.read_bytes()
        refused(lambda: archive.write(path, {}, {"x": np.ones(2), name: np.ones(3)}), path)
        assert path.read_bytes() == before  # the old one is still there
    if name.isprintable():
        path.write_bytes(zipped([("tinynn.json", b"{}"), (f"{name}.npy" if name else ".npy/", npy(np.ones(3)))]))
        refused(lambda: archive.read(path), path)


def test_what_is_too_long_to_be_read_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    refused(lambda: archive.write(path, {"long": "x" * archive.LONGEST}, {}), path)
    many = dict.fromkeys((f"{i}{'x' * 900}" for i in range(5000)), np.zeros(()))
    refused(lambda: archive.write(path, {}, many), path)
    assert list(tmp_path.iterdir()) == []


def test_as_many_arrays_as_can_be_written_can_be_read(tmp_path: Path) -> None:
    many = {f"{i}.W": np.full((), i) for i in range(3000)}
    archive.write(tmp_path / "file", {}, many)
    assert list(archive.read(tmp_path / "file")[1]) == list(many)


def test_what_is_no_json_is_the_callers_mistake(tmp_path: Path) -> None:
    for header in ({"a": float("nan")}, {"a": {1, 2}}):
        with pytest.raises((ValueError, TypeError)):
            archive.write(tmp_path / "file", header, {})
    with pytest.raises(ValueError, match="Object arrays"):
        archive.write(tmp_path / "file", {}, {"x": np.array([None])})
    assert list(tmp_path.iterdir()) == []


HEADERS = {
    "no JSON": b"import os",
    "no object": b"[1]",
    "empty": b"",
    "two of one name": b'{"a":1,"a":2}',
    "two of one name, deep": b'{"a":[{"b":1,"c":2,"b":1}]}',
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":-Infinity}',
    "5,000 digits": b'{"a":' + b"9" * 5000 + b"}",
    "deep": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep and open": b"[" * 1_000_000,
    "no UTF-8": b'{"a":"\xff"}',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "a mark before it": b'\xef\xbb\xbf{"a":1}',
    "something behind it": b'{"a":1}{}',
    "too long": b'{"a":"' + b"x" * (2 << 20) + b'"}',
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(zipped([("tinynn.json", HEADERS[name]), ("x.npy", npy(np.ones(3)))]))
    refused(lambda: archive.read(path), path)
    refused(lambda: archive.read_header(path), path)


def test_files_made_by_these_helpers_are_read_when_they_are_right(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(zipped([("tinynn.json", b'{"a":1}'), ("x.npy", npy(np.arange(3)))]))
    header, found = archive.read(tmp_path / "file")
    assert header == {"a": 1}
    np.testing.assert_array_equal(found["x"], [0, 1, 2])


ONES = np.ones((2, 3), np.float32)
START = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"
NPYS: dict[str, bytes] = {
    "objects": npy(np.array([{}, None], dtype=object)),
    "objects said to be numbers": npy(ONES, START.replace(b"<f4", b"|O")),
    "a structure": npy(np.zeros(2, "i4,f8")),
    "texts": npy(np.array(["a", "b"])),
    "complex": npy(ONES * 1j),
    "times": npy(np.zeros(2, "M8[s]")),
    "big-endian": npy(ONES.astype(">f4")),
    "long double": npy(ONES, START.replace(b"<f4", b"<f16")),
    "column by column": npy(np.asfortranarray(ONES)),
    "too few bytes": npy(ONES)[:-1],
    "too many bytes": npy(ONES) + b"\0",
    "36 TiB": npy(ONES, START.replace(b"(2, 3)", b"(3000000, 3000000)")),
    "a product beyond 64 bits": npy(ONES, START.replace(b"(2, 3)", b"(4294967296, 4294967296, 6)")),
    "a size below 0": npy(ONES, START.replace(b"(2, 3)", b"(-2, -3)")),
    "sizes of 5,000 digits": npy(ONES, START.replace(b"(2, 3)", b"(" + b"9" * 5000 + b",)")),
    "an expression": npy(ONES, START.replace(b"(2, 3)", b"(1+1, 3)")),
    "a call": npy(ONES, START.replace(b"'<f4'", b"exit(1)")),
    "brackets without end": npy(ONES, START.replace(b"(2, 3)", b"(" * 9000)),
    "signs without end": npy(ONES, START.replace(b"(2, 3)", b"(" + b"-" * 9000 + b"2, 3)")),
    "other keys": npy(ONES, START.replace(b"}", b"'more': 1}")),
    "keys in another order": npy(ONES, b"{'fortran_order': False, 'descr': '<f4', 'shape': (2, 3), }\n"),
    "version 2": b"\x93NUMPY\x02\x00" + npy(ONES)[8:],
    "another magic": b"\x93NUMPZ\x01\x00" + npy(ONES)[8:],
    "a pickle": b"\x80\x04\x95\x16\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x8c\x06system\x93.",
    "nothing": b"",
    "neither true nor false": npy(np.zeros(3, bool))[:-1] + b"\x02",
    "70 axes": npy(np.ones(1), START.replace(b"(2, 3)", b"(" + b"1, " * 70 + b")").replace(b"<f4", b"<f8") + b"\n"),
    "none of many": npy(np.ones(0), START.replace(b"(2, 3)", b"(0, 9223372036854775807)") + b"\n"),
}


@pytest.mark.parametrize("name", NPYS)
def test_an_array_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(zipped([("tinynn.json", b"{}"), ("x.npy", NPYS[name])]))
    refused(lambda: archive.read(path), path)
    assert archive.read_header(path) == {}


def test_a_member_within_the_bytes_of_another_is_refused(tmp_path: Path) -> None:
    """What a check of the first member's bytes sees would not be what the second one gives."""
    path = tmp_path / "file"
    inner = zipped([("b.npy", npy(np.full(3, 7.0)))])
    inner = inner[: inner.index(b"PK\x01\x02")]
    data = zipped([("tinynn.json", b"{}"), ("a.npy", npy(np.frombuffer(inner, np.uint8))), ("b.npy", npy(np.zeros(3)))])
    path.write_bytes(data)
    np.testing.assert_array_equal(archive.read(path)[1]["b"], [0, 0, 0])
    place, within = data.rindex(b"PK\x01\x02"), data.index(inner)
    changed = bytearray(data)
    changed[place + 16 : place + 20] = inner[14:18]  # its checksum
    changed[place + 42 : place + 46] = within.to_bytes(4, "little")
    path.write_bytes(seal(bytes(changed)))
    refused(lambda: archive.read(path), path)


def test_the_header_that_these_are_made_of_is_right(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(zipped([("tinynn.json", b"{}"), ("x.npy", npy(ONES, START + b"\n"))]))
    np.testing.assert_array_equal(archive.read(path)[1]["x"], ONES)


def test_a_digest_of_other_letters_is_not_the_digest(tmp_path: Path) -> None:
    archive.write(tmp_path / "file", {}, {})
    data = (tmp_path / "file").read_bytes()
    assert data == seal(data)
    (tmp_path / "file").write_bytes(data[:-64] + data[-64:].upper())
    refused(lambda: archive.read(tmp_path / "file"), tmp_path / "file")
