"""Files made to harm, loaded as a user loads them: one DataError with path and place, in bounded memory and work.

`test_idx`, `test_text_digits`, `test_datasets` have more, for the readers one by one. Here it is also counted
how many bytes are unpacked until a file is refused.
"""

from __future__ import annotations

import os
import socket
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fuzz_corpus_idx
import fuzz_corpus_npz
import fuzz_corpus_text
import numpy as np
import pytest
from data_helpers import idx_header, refused
from fuzz_corpus import TRAIN_IMAGES, TRAIN_LABELS, bomb, digits, gz, npy, npy_header, put_small_set, put_text_set, text

from tinynn import datasets
from tinynn.data import keras_npz
from tinynn.data.gzip_stream import GzipStream
from tinynn.errors import DataError

LONGEST_TEXT = 1500


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each read of compressed data gave."""
    counts: list[int] = []

    def count(kind: Any) -> None:
        read = kind.read

        def counted(self: Any, *args: Any) -> bytes:
            data = read(self, *args)
            counts.append(len(data))
            return data

        monkeypatch.setattr(kind, "read", counted)

    count(GzipStream)
    count(zipfile.ZipExtFile)
    return counts


def assert_refused(load: Callable[[], object], path: Path, says: str, memory: int, **place: int | None) -> DataError:
    """One error, and no warning beside it; its text stays readable."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        error = refused(load, path, says=says, memory=memory, **place)
    assert len(str(error)) < LONGEST_TEXT + 3 * len(str(path))
    return error


# ---- IDX and gzip


@pytest.mark.parametrize("name", fuzz_corpus_idx.HOSTILE)
def test_a_hostile_idx_file(tmp_path: Path, unpacked: list[int], name: str) -> None:
    case = fuzz_corpus_idx.HOSTILE[name]
    put_small_set(tmp_path)
    (tmp_path / case.at).write_bytes(case.make())
    path = tmp_path / (case.blamed or case.at)
    assert_refused(lambda: datasets.load(tmp_path), path, case.says, 4 << 20, offset=case.offset)
    assert sum(unpacked) <= case.unpacks


@pytest.mark.parametrize("name", fuzz_corpus_idx.ACCEPTED)
def test_a_strange_but_sound_idx_file(tmp_path: Path, name: str) -> None:
    put_small_set(tmp_path)
    (tmp_path / TRAIN_IMAGES).write_bytes(fuzz_corpus_idx.ACCEPTED[name]())
    assert np.array_equal(datasets.load(tmp_path).train.images, digits(12)[0])


def test_an_honest_bomb_in_the_place_of_mnist_is_not_unpacked(tmp_path: Path, unpacked: list[int]) -> None:
    put_small_set(tmp_path)
    (tmp_path / TRAIN_IMAGES).write_bytes(bomb(idx_header(0x08, 1 << 20, 32, 32), 1024))
    (tmp_path / TRAIN_LABELS).write_bytes(gz(idx_header(0x08, 1 << 20)))
    assert_refused(lambda: datasets.mnist(tmp_path), tmp_path / TRAIN_IMAGES, "not MNIST's images", 4 << 20)
    assert sum(unpacked) < 2048


def test_sixteen_million_labels_out_of_range_take_little_more_memory_than_themselves(tmp_path: Path) -> None:
    put_small_set(tmp_path)
    (tmp_path / TRAIN_IMAGES).write_bytes(bomb(idx_header(0x08, 1 << 24, 1, 1), 16))
    (tmp_path / TRAIN_LABELS).write_bytes(bomb(idx_header(0x08, 1 << 24), 16, b"\xff"))
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx_header(0x08, 5, 1, 1) + bytes(5))
    assert_refused(lambda: datasets.load(tmp_path), tmp_path / TRAIN_LABELS, "255 at index 0", 80 << 20)


def test_terabytes_of_zeros_behind_a_file_are_not_read(tmp_path: Path) -> None:
    for content in (fuzz_corpus_idx.IMAGES, fuzz_corpus_idx.GZ, fuzz_corpus_idx.GZ[:-3]):
        put_small_set(tmp_path)
        with (tmp_path / TRAIN_IMAGES).open("wb") as file:
            file.write(content)
            file.truncate(1 << 40)
        assert_refused(lambda: datasets.load(tmp_path), tmp_path / TRAIN_IMAGES, "bytes", 4 << 20)


# ---- text digits


@pytest.mark.parametrize("name", fuzz_corpus_text.HOSTILE)
def test_a_hostile_text_digit(tmp_path: Path, name: str) -> None:
    case = fuzz_corpus_text.HOSTILE[name]
    put_text_set(tmp_path / "set")
    path = tmp_path / "set" / "test" / "3.txt"
    path.write_bytes(case.content)
    assert_refused(lambda: datasets.load(tmp_path / "set"), path, case.says, 4 << 20, line=case.line)


@pytest.mark.parametrize("name", fuzz_corpus_text.TOO_LARGE)
def test_a_text_digit_that_is_too_large(tmp_path: Path, name: str) -> None:
    put_text_set(tmp_path / "set")
    path = tmp_path / "set" / "train" / "3.txt"
    path.write_bytes(fuzz_corpus_text.TOO_LARGE[name])
    assert_refused(lambda: datasets.load(tmp_path / "set"), path, "too large", 1 << 20, offset=65_536)


# ---- Keras' archive


@pytest.mark.parametrize("name", fuzz_corpus_npz.HOSTILE)
def test_a_hostile_archive(tmp_path: Path, unpacked: list[int], name: str) -> None:
    case = fuzz_corpus_npz.HOSTILE[name]
    path = tmp_path / "mnist.npz"
    path.write_bytes(case.make())
    memory = (4 << 20) if case.unpacks < 1 << 20 else 100 << 20
    assert_refused(lambda: datasets.mnist(tmp_path), path, case.says, memory)
    assert sum(unpacked) <= case.unpacks


@pytest.mark.parametrize("name", fuzz_corpus_npz.ACCEPTED)
def test_a_strange_but_sound_archive(tmp_path: Path, name: str) -> None:
    (tmp_path / "mnist.npz").write_bytes(fuzz_corpus_npz.ACCEPTED[name]())
    train, test = datasets.mnist(tmp_path)
    assert train.images.shape == (60_000, 28, 28)
    assert not test.labels.any()


def test_the_header_is_what_numpy_writes_today(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {name: np.ones(shape, np.uint8) for name, shape in keras_npz._SHAPES.items()}
    np.savez_compressed(tmp_path / "mnist.npz", **arrays)
    assert datasets.mnist(tmp_path).train.images.all()


# ---- shards: NumPy's own reader of headers ends the process at the first of these, and warns of others

TYPES = ("'<M8[7s/0]'", "'V2147483647,V2147483647'", "'a'", "'posix.system'", "[('a', '<M8[s/0]')]", "'(0,)u1'", "'|O'")


@pytest.mark.parametrize("descr", TYPES)
def test_a_shard_of_a_hostile_type(tmp_path: Path, descr: str) -> None:
    for name in ("inputs-0.npy", "targets-0.npy"):
        (tmp_path / name).write_bytes(npy(npy_header(descr, "(3,)"), bytes(300)))
    assert_refused(lambda: datasets.shards(tmp_path), tmp_path / "inputs-0.npy", descr.strip("'|O"), 1 << 20, offset=8)


# ---- what stands where a file should


def pipe(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))  # a full path may be longer than a socket's may be


PLACES: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (pipe, "got:      a pipe"),
    "socket": (unix_socket, "got:      a socket"),
    "endless device": (lambda path: path.symlink_to("/dev/zero"), "got:      a device"),
    "random device": (lambda path: path.symlink_to("/dev/urandom"), "got:      a device"),
    "the terminal": (lambda path: path.symlink_to("/dev/tty"), "a device"),
    "link to itself": (lambda path: path.symlink_to(path), "symbolic links"),
    "link to nowhere": (lambda path: path.symlink_to(path.with_name("nowhere")), "does not exist"),
    "link below a file": (lambda path: path.symlink_to(Path(__file__, "below")), "a part of the path is a file"),
    "memory of a process": (lambda path: path.symlink_to("/proc/self/mem"), ""),
    "empty file": (lambda path: path.touch(), "too early"),
}


@pytest.fixture(params=["idx", "text", "npz"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A place for a file, and what loads it."""
    monkeypatch.chdir(tmp_path)
    if request.param == "idx":
        put_small_set(tmp_path)
        (tmp_path / TRAIN_LABELS).unlink()
        return tmp_path / TRAIN_LABELS, lambda: datasets.load(tmp_path)
    if request.param == "text":
        put_text_set(tmp_path / "set")
        return tmp_path / "set" / "train" / "7.txt", lambda: datasets.load(tmp_path / "set")
    return tmp_path / "mnist.npz", lambda: datasets.mnist(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="pipes, links and devices are those of POSIX")
@pytest.mark.parametrize("name", PLACES)
def test_what_is_no_file_is_not_waited_for(place: Any, name: str) -> None:
    path, load = place
    make, says = PLACES[name]
    make(path)
    says = "not a zip file" if (name, path.name) == ("empty file", "mnist.npz") else says
    assert_refused(load, path, says, 4 << 20)


def test_a_file_that_may_not_be_read(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path, load = place
    path.write_bytes(text())
    opened = Path.open

    def forbidden(self: Path, *args: Any) -> Any:
        if self == path:
            raise PermissionError(13, "Permission denied")
        return opened(self, *args)

    # Not by chmod, which does not bind the superuser.
    monkeypatch.setattr(Path, "open", forbidden)
    assert_refused(load, path, "no permission", 4 << 20)


@pytest.mark.skipif(os.name != "posix", reason="elsewhere names are Unicode")
def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    put_text_set(tmp_path / "set")
    path = tmp_path / "set" / "train" / os.fsdecode(b"\xff\xfe.txt")
    try:
        path.write_bytes(b"1\t2\n")
    except OSError:
        pytest.skip("this file system refuses such names itself")
    assert_refused(lambda: datasets.load(tmp_path / "set"), path, "wrong number", 4 << 20, line=1)
