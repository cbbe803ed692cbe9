"""Files in small: headers as JSON, litter, lists of files, and bounds to the byte."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_helpers import idx_bytes, refused, zipped

from tinynn import datasets
from tinynn.data import mnist, npy_file, read_idx, shards
from tinynn.data.byte_source import byte_source
from tinynn.data.files import list_folder, make_folder, open_regular, plural, remove_litter, written_atomically
from tinynn.data.json_header import from_json, to_json
from tinynn.data.npy_header import cut
from tinynn.data.split import check_classes
from tinynn.data.text_digits import read_text_digit, read_text_digits, write_text_digits
from tinynn.errors import ConfigurationError, DataError

# --- headers


def test_a_header_is_ascii_without_blanks_and_comes_back() -> None:
    header = {"a": [1, 0.5, None, True], "\u00e9": {"b": "x y"}}
    assert to_json(header) == b'{"a":[1,0.5,null,true],"\\u00e9":{"b":"x y"}}'
    assert from_json(to_json(header)) == header
    assert from_json(b" {} ") == {} and from_json('{"\u00e9": 1}'.encode()) == {"\u00e9": 1}
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError):
            to_json({"a": value})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"[]", "no JSON object"),
        (b"1", "no JSON object"),
        (b'{"a":1,"a":1}', "one name twice"),
        (b'{"b":{"a":1,"c":2,"a":1}}', "one name twice"),
        (b'{"a":NaN}', "NaN, which is no JSON"),
        (b'{"a":-Infinity}', "-Infinity, which is no JSON"),
        (b"[" * 100_000, "brackets within brackets"),
        (b"{", ""),
        (b"", ""),
        (b'{"a":"\xff"}', ""),
    ],
)
def test_a_header_that_is_none(text: bytes, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        from_json(text)
    assert words in str(caught.value)


def test_long_words_are_cut() -> None:
    assert cut("x" * 60) == "x" * 60 and cut("x" * 61) == "x" * 57 + "..."
    assert [plural(n, "byte") for n in (0, 1, 2, 1234)] == ["0 bytes", "1 byte", "2 bytes", "1,234 bytes"]


# --- folders


def test_litter_of_killed_writers_is_removed_and_nothing_else(tmp_path: Path) -> None:
    name = ".0123456789abcdef.tmp"
    kept = ["0123456789abcdef.tmp", name[:-5] + ".tmp", name + "x", "x" + name, ".0123456789abcdeF.tmp", ".tmp"]
    for each in [name, ".ffffffffffffffff.tmp", *kept]:
        (tmp_path / each).write_text("x")
    (tmp_path / ".aaaaaaaaaaaaaaaa.tmp").mkdir()
    remove_litter(tmp_path)
    assert list_folder(tmp_path) == (set(kept), {".aaaaaaaaaaaaaaaa.tmp"})
    refused(lambda: remove_litter(tmp_path / "none"), tmp_path / "none", says="list the folder: it does not exist")


def test_litter_that_may_not_be_removed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / ".0123456789abcdef.tmp"
    path.write_text("x")

    def refusing(self: Path, missing_ok: bool = False) -> None:
        assert missing_ok is True
        raise PermissionError(errno.EACCES, "not yours")

    monkeypatch.setattr(Path, "unlink", refusing)
    error = refused(lambda: remove_litter(tmp_path), path, says="cannot remove the file: no permission")
    assert error.expected == "permission to remove the file" and error.got == "not yours"


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with written_atomically(path) as file:
        file.write(b"new")
        file.seek(0)
        assert file.read() == b"new" and not path.exists()
        (temporary,) = tmp_path.iterdir()
        remove_litter(tmp_path / "..")  # of another folder
        assert temporary.name.startswith(".") and temporary.suffix == ".tmp"
    assert path.read_bytes() == b"new" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(ZeroDivisionError), written_atomically(path) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert path.read_bytes() == b"new" and list(tmp_path.iterdir()) == [path]
    make_folder(tmp_path / "b" / "c")
    make_folder(tmp_path / "b" / "c")
    refused(lambda: make_folder(path), path, says="cannot make the folder: a file has its name")


def test_a_link_stays_a_link_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_bytes(b"old")
    for name, to in (("link", "there/file"), ("second", "link"), ("new", "there/other")):
        (tmp_path / name).symlink_to(to)
        with written_atomically(tmp_path / name) as file:
            file.write(name.encode())
        assert (tmp_path / name).is_symlink()
    assert (tmp_path / "there" / "file").read_bytes() == b"second"
    assert (tmp_path / "there" / "other").read_bytes() == b"new"
    (tmp_path / "loop").symlink_to("loop")
    with written_atomically(tmp_path / "loop") as file:
        file.write(b"no loop")
    assert (tmp_path / "loop").read_bytes() == b"no loop"


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    def opened(path: Path) -> Any:
        with open_regular(path) as file:
            return file.read()

    def written(path: Path) -> None:
        with written_atomically(path) as file:
            file.write(b"lost")

    (tmp_path / "a").write_bytes(b"x")
    assert opened(tmp_path / "a") == b"x"
    for path, says in ((tmp_path, "it is a folder"), (tmp_path / "b", "it does not exist"), (tmp_path / "a" / "b", "")):
        refused(lambda path=path: opened(path), path, says="cannot read the file: " + says)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        error = refused(lambda: opened(tmp_path / "pipe"), tmp_path / "pipe", says="a device, a pipe or a socket")
        assert error.got == "a pipe"
        assert refused(lambda: opened(Path("/dev/null")), Path("/dev/null")).got == "a device"
        says = "cannot write the file: it is a device, a pipe or a socket"
        assert refused(lambda: written(tmp_path / "pipe"), tmp_path / "pipe", says=says).got == "a pipe"
        (tmp_path / "nothing").symlink_to("/dev/null")
        assert refused(lambda: written(tmp_path / "nothing"), tmp_path / "nothing", says=says).got == "a device"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "nothing", "pipe"]
    error = refused(lambda: opened(Path("a\0b")), Path("a"), says="no file can have this path")
    assert error.expected == "a path of ordinary characters"


# --- bytes


@pytest.mark.parametrize("packed", [False, True])
def test_bytes_are_counted(packed: bool, tmp_path: Path) -> None:
    path, content = tmp_path / "a", bytes(range(100))
    path.write_bytes(zipped(content) if packed else content)
    with open_regular(path) as file, byte_source(file, path, max_bytes=100) as source:
        assert source.size == (None if packed else 100)
        assert source.take(30, "the first") == content[:30] and source.offset == 30
        assert source.take(0, "none") == b"" and source.offset == 30
        source.expect(70, "the rest")
        with pytest.raises(DataError) as caught:
            source.expect(71, "more")
        assert caught.value.offset == (30 if packed else 100)
        assert source.take(70, "the rest") == content[30:]
        source.finish()
    with open_regular(path) as file, byte_source(file, path, max_bytes=99) as source:
        with pytest.raises(DataError, match="larger than allowed"):
            source.take(100, "all")
        source.take(99, "almost all")
        with pytest.raises(DataError, match="goes on after its data") as caught:
            source.finish()
        assert caught.value.offset == 99 and caught.value.got == ("more bytes" if packed else "1 more byte")


def test_a_compressed_file_may_be_a_mebibyte_longer_than_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    packed = zipped(idx_bytes(np.zeros(3, np.uint8)))
    path.write_bytes(packed + bytes((1 << 20) + 11 - len(packed)))  # zeros behind the data are passed over
    assert read_idx(path, max_bytes=11).tolist() == [0, 0, 0]
    path.write_bytes(path.read_bytes() + b"\0")
    error = refused(lambda: read_idx(path, max_bytes=11), path, says="compressed file is larger than allowed", offset=0)
    assert error.got == plural((1 << 20) + 12, "byte")


def test_a_download_may_be_as_long_as_its_room(tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as file:
        capped = mnist._Capped(file, 5)
        assert capped.write(b"123") == 3 and capped.write(b"45") == 2
        capped.flush()
        assert (tmp_path / "a").read_bytes() == b"12345"
        with pytest.raises(OSError, match="larger than it can be"):
            capped.write(b"6")
    assert (tmp_path / "a").read_bytes() == b"12345"


# --- arrays in many files


def npy(folder: Path, name: str, array: np.ndarray) -> None:
    np.save(folder / name, array)


def test_the_file_that_is_missing_is_named_like_its_partner(tmp_path: Path) -> None:
    for name, missing in (("inputs-7.npy", "targets-7.npy"), ("targets-0007.npy", "inputs-0007.npy")):
        for path in tmp_path.iterdir():
            path.unlink()
        for number in range(7):
            npy(tmp_path, f"inputs-{number}.npy", np.zeros((2, 3)))
            npy(tmp_path, f"targets-{number}.npy", np.zeros(2))
        npy(tmp_path, name, np.zeros((2, 3)))
        error = refused(lambda: datasets.shards(tmp_path), tmp_path / missing)
        assert error.got == f"{name} without it"
        assert str(error.expected).endswith("for every number from 0 to 7")
    (tmp_path / "inputs-3.npy").unlink()
    (tmp_path / "targets-3.npy").unlink()
    error = refused(lambda: datasets.shards(tmp_path), tmp_path / "inputs-00003.npy")
    assert error.got == "no file of the number 3"


def test_rows_of_one_file_come_in_the_order_asked_for(tmp_path: Path) -> None:
    x = np.arange(200).reshape(100, 2)
    data = datasets.write_shards(tmp_path, [(x[:60], x[:60, 0]), (x[60:], x[60:, 0])])
    rows = np.random.default_rng(0).integers(0, 100, 500)
    got, targets = data.take(rows)
    np.testing.assert_array_equal(got, x[rows])
    np.testing.assert_array_equal(targets, x[rows, 0])


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_how_many_files_are_mapped_is_a_count(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    for allowed, most in ((resource.RLIM_INFINITY, 4096), (1023, 127), (1024, 128), (10, 8), (10**6, 4096)):
        monkeypatch.setattr(resource, "getrlimit", lambda what, allowed=allowed: (allowed, allowed))
        found = shards.most_mapped()
        assert found == most and type(found) is int


def test_headers_of_arrays_at_their_bounds(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    for shape in ((1,), (1,) * 32, (2, 3)):
        np.save(path, np.ones(shape, np.float32))
        header = npy_file.read_header(path)
        assert (header.shape, header.dtype) == (shape, np.float32)
        np.testing.assert_array_equal(npy_file.map_array(path, header), np.ones(shape, np.float32))
    for array, says in (
        (np.ones(()), "no rows"),
        (np.ones((1,) * 33), "no rows, or more"),
        (np.ones((2, 0)), "no rows"),
        (np.ones((2, 3), order="F"), "not numbers, row behind row"),
        (np.ones(2, complex), "not numbers"),
        (np.ones(2, "U1"), "not numbers"),
    ):
        np.save(path, array)
        refused(lambda: npy_file.read_header(path), path, says=says, offset=8)


# --- digits as text


def digit(label: str = "3", cell: str = "7", behind: str = "") -> bytes:
    rows = ["\t".join([cell] * 28)] * 28
    return ("\n".join([*rows, label, ""]) + behind).encode()


def test_a_digit_may_be_64_kib_long(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    content = digit()
    path.write_bytes(content + b"\n" * ((64 << 10) - len(content)))
    assert read_text_digit(path)[1] == 3
    path.write_bytes(path.read_bytes() + b"\n")
    error = refused(lambda: read_text_digit(path), path, says="too large for one digit", offset=64 << 10)
    assert error.expected == "at most 65,536 bytes"


def test_labels_and_words_at_their_bounds(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for label, classes in (("255", 256), ("007", 8), ("0", 1)):
        path.write_bytes(digit(label))
        assert read_text_digit(path, classes=classes)[1] == int(label)
    for label, classes in (("256", 256), ("x", 256), ("", 256), ("1", 1), ("10", 10)):
        path.write_bytes(digit(label, behind="1\n" if not label else ""))
        error = refused(lambda classes=classes: read_text_digit(path, classes=classes), path, line=29)
        assert error.expected == f"an integer from 0 to {classes - 1}"
    for text, shown in (("y" * 40, "y" * 40), ("y" * 41, "y" * 37 + "...")):
        path.write_bytes(digit(text))
        assert refused(lambda: read_text_digit(path), path).got == repr(shown)


def test_files_are_read_in_the_order_of_numbers_and_words(tmp_path: Path) -> None:
    names = [
        "1.txt",
        "01.txt",
        "2.TXT",
        "10.txt",
        "10a.txt",
        "a.txt",
        "a0.txt",
        "a1.txt",
        "a2b.txt",
        "a10.txt",
        "b.txt",
    ]
    order = [
        "01.txt",
        "1.txt",
        "2.TXT",
        "10.txt",
        "10a.txt",
        "a0.txt",
        "a1.txt",
        "a2b.txt",
        "a10.txt",
        "a.txt",
        "b.txt",
    ]
    for name in names:
        (tmp_path / name).write_bytes(digit(f"{order.index(name) % 10}"))
    (tmp_path / ".hidden.txt").write_bytes(b"")
    (tmp_path / "c.text").write_bytes(b"")
    images, labels = read_text_digits(tmp_path)
    assert labels.tolist() == [i % 10 for i in range(11)] and images.shape == (11, 28, 28)
    assert (images.dtype, labels.dtype) == (np.uint8, np.uint8)


def test_digits_are_written_by_the_letter(tmp_path: Path) -> None:
    image = np.arange(784).reshape(1, 28, 28) % 256
    (path,) = write_text_digits(tmp_path / "new", image, [9])
    assert path == tmp_path / "new" / "000000.txt"
    lines = path.read_bytes().decode().split("\n")
    assert lines == [*("\t".join(map(str, row)) for row in image[0].tolist()), "9", ""]


@pytest.mark.parametrize("classes", [0, 257, -1, 1.5, None, "10"])
def test_classes_that_bytes_do_not_have(classes: Any) -> None:
    with pytest.raises(ConfigurationError, match="classes cannot be used") as caught:
        check_classes(classes)
    assert caught.value.got == repr(classes)
    several: list[Any] = [1, 256, np.int64(10)]
    for right in several:
        check_classes(right)
