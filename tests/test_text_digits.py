"""Text digits: what is written comes back, and whatever is wrong with a file is one DataError that names the line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_helpers import assert_complete, refused
from hypothesis import given, settings
from hypothesis import strategies as st

from tinynn.data import Split, read_text_digit, read_text_digits, write_text_digits
from tinynn.errors import ConfigurationError, DataError

IMAGE = (np.arange(784) % 256).astype(np.uint8).reshape(28, 28)
ROWS = ["\t".join(map(str, row)) for row in IMAGE.tolist()]


def text(rows: list[str] = ROWS, label: str = "7", end: str = "\n") -> bytes:
    return end.join([*rows, label, ""]).encode()


def with_row(number: int, row: str) -> bytes:
    """A digit whose line `number`, from 1, is `row`."""
    return text([*ROWS[: number - 1], row, *ROWS[number:]])


def with_value(number: int, value: str) -> bytes:
    """A digit with another value in the third column of line `number`."""
    cells = ROWS[number - 1].split("\t")
    return with_row(number, "\t".join([*cells[:2], value, *cells[3:]]))


ACCEPTED: dict[str, bytes] = {
    "as written": text(),
    "tab at the end of lines": text([f"{row}\t" for row in ROWS]),
    "tab after the label": text(label="7\t"),
    "CR LF": text(end="\r\n"),
    "no line end at the end": text().rstrip(),
    "blank lines at the end": text() + b"\n\r\n \n",
    "byte order mark": b"\xef\xbb\xbf" + text(),
    "zero-padded values": text(["\t".join(f"{value:03}" for value in row) for row in IMAGE.tolist()], "07"),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_digit_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "7.txt").write_bytes(ACCEPTED[name])
    image, label = read_text_digit(tmp_path / "7.txt")
    assert image.dtype == np.uint8
    assert np.array_equal(image, IMAGE)
    assert label == 7
    assert type(label) is int


# name: content, line, a part of the message
HOSTILE: dict[str, tuple[bytes, int, str]] = {
    "word in line 17": (with_value(17, "dark"), 17, "'dark' in column 3"),
    "no value": (with_value(1, ""), 1, "not a number"),
    "fraction": (with_value(2, "1.5"), 2, "not a number"),
    "nan": (with_value(3, "nan"), 3, "not a number"),
    "plus": (with_value(4, "+5"), 4, "not a number"),
    "underscore": (with_value(5, "1_0"), 5, "not a number"),
    "hexadecimal": (with_value(6, "0x10"), 6, "not a number"),
    "padded with blanks": (with_value(6, " 10"), 6, "not a number"),
    "digits of another script": (with_value(7, "\u0663"), 7, "not a number"),
    "null character": (with_value(8, "\0"), 8, "not a number"),
    "256": (with_value(9, "256"), 9, "out of range"),
    "minus one": (with_value(28, "-1"), 28, "out of range"),
    "very large": (with_value(10, "9" * 5000), 10, "out of range"),
    "27 values": (with_row(11, "\t".join("0" * 27)), 11, "27"),
    "29 values": (with_row(12, "\t".join("0" * 29)), 12, "29"),
    "two tabs at the end": (with_row(13, ROWS[12] + "\t\t"), 13, "29"),
    "commas": (with_row(1, ROWS[0].replace("\t", ",")), 1, "separated by tabs"),
    "blank line inside": (with_row(14, ""), 14, "0"),
    "old line ends": (text(end="\r"), 1, "wrong number"),
    "empty": (b"", 1, "0 lines"),
    "blank": (b"\n\n\n", 1, "too early"),
    "one line": (text(ROWS[:1], ""), 2, "1 line"),
    "27 rows": (text(ROWS[:27], ""), 28, "27 lines"),
    "27 rows and the label": (text(ROWS[:27]), 28, "wrong number"),
    "29 rows": (text([*ROWS, ROWS[0]]), 29, "bad label"),
    "blank line before the label": (text(label="\n7"), 29, "bad label"),
    "no label": (text(label=""), 29, "label is missing"),
    "label 10": (text(label="10"), 29, "bad label"),
    "label -1": (text(label="-1"), 29, "bad label"),
    "label in words": (text(label="seven"), 29, "'seven'"),
    "label 7.0": (text(label="7.0"), 29, "0 to 9"),
    "long label": (text(label="7" * 9000), 29, "bad label"),
    "two labels": (text(label="7\n7"), 30, "after the label"),
    "latin-1": (text().replace(b"\n", b"\xe9\n", 1), 1, "not a text file"),
    "UTF-16": (text().decode().encode("utf-16"), 1, "UTF-8"),
    "gzip": (b"\x1f\x8b\x08" + bytes(100), 1, "not a text file"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(100), 1, "not a text file"),
    "binary in line 3": (with_value(3, "?").replace(b"?", b"\xff"), 3, "byte 0xFF"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_with_path_and_line(tmp_path: Path, name: str) -> None:
    content, line, says = HOSTILE[name]
    path = tmp_path / "7.txt"
    path.write_bytes(content)
    error = refused(lambda: read_text_digit(path), path, line=line, says=says, memory=1 << 20)
    assert len(str(error)) < 1000


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "7.txt"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    refused(lambda: read_text_digit(path), path, says="too large", memory=1 << 20)
    path.write_bytes(text() + b"\n" * (64 << 10))
    refused(lambda: read_text_digit(path), path, says="65,536", memory=1 << 20)


def test_a_place_that_is_no_file_is_refused(tmp_path: Path) -> None:
    refused(lambda: read_text_digit(tmp_path), tmp_path, says="it is a folder")
    refused(lambda: read_text_digit(tmp_path / "7.txt"), tmp_path / "7.txt", says="does not exist")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("text")


@given(data=st.data(), start=st.sampled_from([text(), text(end="\r\n"), b"\xef\xbb\xbf" + text()]))
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_gives_a_digit_or_a_data_error(folder: Path, data: st.DataObject, start: bytes) -> None:
    content = bytearray(start)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content)))
        length = data.draw(st.sampled_from([0, 1, 2, 100]))
        content[at : at + length] = data.draw(st.binary(max_size=3) | st.sampled_from([b"\n", b"\t", b"0", b"255"]))
    path = folder / "damaged.txt"
    path.write_bytes(content)
    try:
        image, label = read_text_digit(path)
    except DataError as error:
        assert error.path == str(path)
        assert error.line is not None
        assert_complete(error)
    else:
        assert image.shape == (28, 28)
        assert 0 <= label < 10


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
    labels = random.integers(0, 10, count)
    folder = tmp_path_factory.mktemp("digits")
    paths = write_text_digits(folder / "new" / "folder", images, labels)
    assert [path.name for path in paths] == [f"{number:06}.txt" for number in range(count)]
    split = read_text_digits(folder / "new" / "folder")
    assert isinstance(split, Split)
    x, t = split
    assert x.dtype == t.dtype == np.uint8
    assert np.array_equal(x, images)
    assert np.array_equal(t, labels)


def test_files_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    names = ["1.txt", "2.TXT", "10.txt", "a2b1.txt", "a2b10.txt", "a10.txt", "b.txt"]
    for label, name in enumerate(names):
        (tmp_path / name).write_bytes(text(label=str(label)))
    (tmp_path / "notes.md").write_text("not a digit")
    (tmp_path / "._1.txt").write_bytes(b"\0\x05\x16\x07")
    (tmp_path / "folder.txt").mkdir()
    assert read_text_digits(tmp_path).labels.tolist() == list(range(len(names)))


def test_a_folder_is_refused_with_the_file_that_is_wrong(tmp_path: Path) -> None:
    write_text_digits(tmp_path, [IMAGE] * 3, [1, 2, 3])
    (tmp_path / "000001.txt").write_bytes(with_value(17, "dark"))
    refused(lambda: read_text_digits(tmp_path), tmp_path / "000001.txt", line=17)


def test_a_folder_without_digits_is_refused(tmp_path: Path) -> None:
    refused(lambda: read_text_digits(tmp_path), tmp_path, says="no text digits")
    refused(lambda: read_text_digits(tmp_path / "none"), tmp_path / "none", says="does not exist")
    (tmp_path / "file").write_bytes(b"")
    refused(lambda: read_text_digits(tmp_path / "file"), tmp_path / "file", says="not a folder")


def test_classes_bound_the_labels(tmp_path: Path) -> None:
    write_text_digits(tmp_path, [IMAGE], [25], classes=26)
    assert read_text_digits(tmp_path, classes=26).labels.tolist() == [25]
    assert read_text_digits(tmp_path, classes=256).labels.tolist() == [25]
    refused(lambda: read_text_digits(tmp_path, classes=25), tmp_path / "000000.txt", line=29, says="0 to 24")
    for classes in (0, 257, -1, 2.5, "ten"):
        with pytest.raises(ConfigurationError, match="1 to 256") as caught:
            read_text_digits(tmp_path, classes=classes)  # pyright: ignore[reportArgumentType]
        assert_complete(caught.value)


BAD_INPUT: dict[str, tuple[Any, Any, str]] = {
    "fractions": ([IMAGE / 255], [1], "float64"),
    "booleans": ([IMAGE > 0], [1], "bool"),
    "negative": ([IMAGE.astype(int) - 1], [1], "from -1 to 254"),
    "too bright": ([IMAGE.astype(int) + 1], [1], "from 1 to 256"),
    "flat images": (IMAGE.reshape(1, 784), [1], "(1, 784)"),
    "one image": (IMAGE, [1], "(28, 28)"),
    "channels": (IMAGE.reshape(1, 28, 28, 1), [1], "(1, 28, 28, 1)"),
    "a number": (5, [1], "images ()"),
    "no images": (np.zeros((0, 28, 28), int), np.zeros(0, int), "N > 0"),
    "a label too few": ([IMAGE] * 2, [1], "labels (1,)"),
    "labels as columns": ([IMAGE], [[1]], "labels (1, 1)"),
    "label 10": ([IMAGE], [10], "bad labels"),
    "label 1.0": ([IMAGE], [1.0], "bad labels"),
    "ragged": ([IMAGE, IMAGE[1:]], [1, 2], "different lengths"),
}


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_is_not_written(tmp_path: Path, name: str) -> None:
    images, labels, says = BAD_INPUT[name]
    refused(lambda: write_text_digits(tmp_path / "new", images, labels), tmp_path / "new", says=says)
    assert not (tmp_path / "new").exists()


def test_files_are_overwritten_only_on_request(tmp_path: Path) -> None:
    write_text_digits(tmp_path, [IMAGE], [1])
    before = (tmp_path / "000000.txt").read_bytes()
    error = refused(lambda: write_text_digits(tmp_path, [IMAGE] * 2, [2, 3]), tmp_path / "000000.txt")
    assert "overwrite=True" in str(error)
    assert [path.name for path in tmp_path.iterdir()] == ["000000.txt"]
    assert (tmp_path / "000000.txt").read_bytes() == before
    write_text_digits(tmp_path, [IMAGE] * 2, [2, 3], overwrite=True)
    assert read_text_digits(tmp_path).labels.tolist() == [2, 3]


def test_writing_to_an_impossible_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "file", tmp_path / "file" / "new", tmp_path / "a\0b"):
        refused(lambda folder=folder: write_text_digits(folder, [IMAGE], [1]), folder, says="cannot make the folder")
