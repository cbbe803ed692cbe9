"""Data sets: what a folder must hold, where MNIST is looked for and in which order, and how it is downloaded."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import os
import shutil
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_helpers import assert_complete, idx_bytes, refused, zipped
from hypothesis import given, settings
from hypothesis import strategies as st

from tinynn import datasets
from tinynn.data import Split, keras_npz, mnist, write_idx, write_text_digits
from tinynn.errors import ConfigurationError, DataError, MissingExtraError

REAL = Path(__file__).parents[1] / "examples" / "data" / "mnist"
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = mnist.IDX_NAMES
EMPTY_ZIP = b"PK\x05\x06" + bytes(18)


# ---- a folder of any size


def digits(count: int, side: int = 4) -> tuple[np.ndarray, np.ndarray]:
    images = np.arange(count * side * side, dtype=np.uint8).reshape(count, side, side)
    return images, (np.arange(count) % 10).astype(np.uint8)


def small_set(folder: Path, ending: str = "", dot: bool = False) -> Path:
    """A folder of 12 training and 5 test images of 4 x 4."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = [*digits(12), *digits(5)]
    for name, array in zip(mnist.IDX_NAMES, arrays, strict=True):
        write_idx(folder / ((name.replace("-idx", ".idx") if dot else name) + ending), array)
    return folder


@pytest.mark.parametrize("dot", [False, True], ids=["dash", "dot"])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_folder_of_idx_files_is_loaded(tmp_path: Path, ending: str, dot: bool) -> None:
    train, test = datasets.load(small_set(tmp_path, ending, dot))
    x, t = train
    assert isinstance(train, Split)
    assert x.shape == (12, 4, 4)
    assert x.dtype == t.dtype == np.uint8
    assert t.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert test.images.shape == (5, 4, 4)
    assert test.labels.shape == (5,)


def test_of_two_spellings_the_plain_file_is_read(tmp_path: Path) -> None:
    small_set(tmp_path)
    (tmp_path / f"{TRAIN_IMAGES}.gz").write_bytes(b"not read")
    (tmp_path / TRAIN_IMAGES.replace("-idx", ".idx")).write_bytes(b"not read")
    assert len(datasets.load(tmp_path).train.images) == 12


def test_a_folder_with_the_name_of_a_file_is_passed_over(tmp_path: Path) -> None:
    small_set(tmp_path, dot=True)
    (tmp_path / TRAIN_IMAGES).mkdir()
    assert len(datasets.load(tmp_path).train.images) == 12


@pytest.mark.skipif(os.name != "posix", reason="links are those of POSIX")
def test_a_broken_link_hides_nothing_else(tmp_path: Path) -> None:
    small_set(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert len(datasets.load(tmp_path).train.images) == 12


def test_folders_of_text_digits_are_loaded(tmp_path: Path) -> None:
    for part, count in (("train", 3), ("test", 2)):
        write_text_digits(tmp_path / part, *digits(count, 28))
    train, test = datasets.load(tmp_path)
    assert train.images.shape == (3, 28, 28)
    assert test.labels.tolist() == [0, 1]
    refused(lambda: datasets.load(tmp_path, classes=2), tmp_path / "train" / "000002.txt", line=29)


def test_classes_are_checked(tmp_path: Path) -> None:
    small_set(tmp_path)
    refused(lambda: datasets.load(tmp_path, classes=9), tmp_path / TRAIN_LABELS, says="9 at index 9")
    assert len(datasets.load(tmp_path, classes=256).train.labels) == 12
    with pytest.raises(ConfigurationError, match="1 to 256") as caught:
        datasets.load(tmp_path, classes=0)
    assert_complete(caught.value)


def put(name: str, array: Any) -> Callable[[Path], object]:
    return lambda folder: write_idx(folder / name, array)


def bad_test_digit(folder: Path) -> None:
    for name in mnist.IDX_NAMES:
        (folder / name).unlink()
    for part in ("train", "test"):
        write_text_digits(folder / part, *digits(1, 28))
    (folder / "test" / "000000.txt").write_text("1\t2\n")


def no_test_digits(folder: Path) -> None:
    bad_test_digit(folder)
    (folder / "test" / "000000.txt").unlink()


# name: what happens to a good folder, the path that the error names, a part of the message
HOSTILE_FOLDERS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "images missing": (lambda f: (f / TRAIN_IMAGES).unlink(), "", f"without {TRAIN_IMAGES}"),
    "labels missing": (lambda f: (f / TEST_LABELS).unlink(), "", f"without {TEST_LABELS}"),
    "all missing": (lambda f: [(f / name).unlink() for name in mnist.IDX_NAMES], "", "none of them"),
    "folder missing": (shutil.rmtree, "", "does not exist"),
    "only train": (lambda f: (shutil.rmtree(f), (f / "train").mkdir(parents=True)), "", "train and test"),
    "damaged test labels": (lambda f: (f / TEST_LABELS).write_bytes(b"<html>"), TEST_LABELS, "not an IDX file"),
    "images cut": (lambda f: (f / TEST_IMAGES).write_bytes(idx_bytes(digits(5)[0])[:-1]), TEST_IMAGES, "too early"),
    "empty file": (lambda f: (f / TRAIN_IMAGES).write_bytes(b""), TRAIN_IMAGES, "too early"),
    "labels as images": (put(TRAIN_IMAGES, digits(12)[1]), TRAIN_IMAGES, "shape (12,)"),
    "images as labels": (put(TRAIN_LABELS, digits(12)[0]), TRAIN_LABELS, "shape (12, 4, 4)"),
    "images of floats": (put(TRAIN_IMAGES, np.ones((12, 4, 4))), TRAIN_IMAGES, "float64"),
    "labels of int32": (put(TEST_LABELS, np.ones(5, np.int32)), TEST_LABELS, "int32"),
    "flat images": (put(TEST_IMAGES, np.ones((5, 16), np.uint8)), TEST_IMAGES, "shape (5, 16)"),
    "no images": (put(TEST_IMAGES, np.ones((0, 4, 4), np.uint8)), TEST_IMAGES, "shape (0, 4, 4)"),
    "empty images": (put(TEST_IMAGES, np.ones((5, 0, 4), np.uint8)), TEST_IMAGES, "shape (5, 0, 4)"),
    "a label too few": (put(TRAIN_LABELS, digits(11)[1]), TRAIN_LABELS, "11 labels"),
    "labels of the other split": (put(TEST_LABELS, digits(12)[1]), TEST_LABELS, "12 labels"),
    "label 10": (put(TEST_LABELS, np.array([0, 1, 10, 3, 4], np.uint8)), TEST_LABELS, "10 at index 2"),
    "test images of another size": (put(TEST_IMAGES, digits(5, 3)[0]), TEST_IMAGES, "(3, 3)"),
    "bad text digit": (bad_test_digit, "test/000000.txt", "line 1"),
    "no text digits": (no_test_digits, "test", "no text digits"),
}


@pytest.mark.parametrize("name", HOSTILE_FOLDERS)
def test_a_hostile_folder_is_refused_with_the_file(tmp_path: Path, name: str) -> None:
    damage, at, says = HOSTILE_FOLDERS[name]
    folder = small_set(tmp_path / "set")
    damage(folder)
    refused(lambda: datasets.load(folder), folder / at, says=says)


def test_counts_that_differ_name_both_files_and_both_counts(tmp_path: Path) -> None:
    small_set(tmp_path)
    write_idx(tmp_path / TRAIN_LABELS, digits(11)[1])
    message = str(refused(lambda: datasets.load(tmp_path), tmp_path / TRAIN_LABELS))
    assert str(tmp_path / TRAIN_IMAGES) in message
    assert "12 labels" in message
    assert "11 labels" in message


# ---- MNIST itself


def test_the_checkouts_mnist_is_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TINYNN_DATA", raising=False)
    train, test = datasets.mnist(download=False)
    sums = {
        "train-images": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    }
    assert train.images.shape == (60_000, 28, 28)
    assert test.images.shape == (10_000, 28, 28)
    for array, expected in zip([*train, *test], sums.values(), strict=True):
        assert array.dtype == np.uint8
        assert hashlib.sha256(idx_bytes(array)).hexdigest() == expected
    assert np.bincount(train.labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of MNIST's shapes, all black and all zero."""
    folder = tmp_path_factory.mktemp("blank")
    for name, (count, sides) in zip(mnist.IDX_NAMES[::2], ((60_000, (28, 28)), (10_000, (28, 28))), strict=True):
        images = np.zeros((count, *sides), np.uint8)
        (folder / f"{name}.gz").write_bytes(zipped(idx_bytes(images)))
    return folder


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without MNIST: an installed package, an empty home, an empty current folder."""
    for name in ("TINYNN_DATA", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name in ("home", "work"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(datasets, "__file__", str(tmp_path / "checkout" / "tinynn" / "datasets.py"))
    monkeypatch.setattr(sys, "platform", "linux")
    return tmp_path


def put_mnist(folder: Path, blank: Path, mark: int) -> None:
    """MNIST's shapes in `folder`; all labels are `mark`, by which the folder can be told."""
    folder.mkdir(parents=True)
    for name in (TRAIN_IMAGES, TEST_IMAGES):
        (folder / f"{name}.gz").symlink_to(blank / f"{name}.gz")
    write_idx(folder / TRAIN_LABELS, np.full(60_000, mark, np.uint8))
    write_idx(folder / TEST_LABELS, np.full(10_000, mark, np.uint8))


def found() -> int:
    return int(datasets.mnist(download=False).test.labels[0])


def test_the_places_are_searched_in_their_order(machine: Path, blank: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # From the last to the first: each new one must win over those before it.
    put_npz(machine / "home" / ".keras" / "datasets" / "mnist.npz", mark=1)
    assert found() == 1
    for mark, place in enumerate(
        ["home/data/MNIST/raw", "work/data/MNIST/raw", "home/.cache/tinynn/mnist", "checkout/examples/data/mnist"], 2
    ):
        put_mnist(machine / place, blank, mark)
        assert found() == mark
    put_mnist(machine / "chosen" / "mnist", blank, 6)
    monkeypatch.setenv("TINYNN_DATA", str(machine / "chosen"))
    assert found() == 6
    put_mnist(machine / "direct", blank, 7)
    monkeypatch.setenv("TINYNN_DATA", str(machine / "direct"))
    assert found() == 7
    put_mnist(machine / "argument", blank, 8)
    assert datasets.mnist(machine / "argument").test.labels[0] == 8


@pytest.mark.parametrize(
    ("platform", "variable", "value", "expected"),
    [
        ("linux", "XDG_CACHE_HOME", "{}/xdg", "xdg/tinynn/mnist"),
        ("linux", "XDG_CACHE_HOME", "relative", "home/.cache/tinynn/mnist"),
        ("linux", "XDG_CACHE_HOME", "", "home/.cache/tinynn/mnist"),
        ("darwin", "LOCALAPPDATA", "{}/local", "home/Library/Caches/tinynn/mnist"),
        ("win32", "LOCALAPPDATA", "{}/local", "local/tinynn/mnist"),
        ("win32", "LOCALAPPDATA", "", "home/AppData/Local/tinynn/mnist"),
    ],
)
def test_the_users_cache(
    machine: Path, monkeypatch: pytest.MonkeyPatch, platform: str, variable: str, value: str, expected: str
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv(variable, value.format(machine))
    assert datasets._user_cache() == machine / expected


def test_an_explicit_folder_is_the_only_place(machine: Path, blank: Path) -> None:
    put_mnist(machine / "home/.cache/tinynn/mnist", blank, 1)
    (machine / "empty").mkdir()
    refused(lambda: datasets.mnist(machine / "empty"), machine / "empty", says="none of them")
    refused(lambda: datasets.mnist(machine / "missing"), machine / "missing", says="does not exist")


def test_tinynn_data_without_mnist_is_an_error_not_a_hint(
    machine: Path, blank: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_mnist(machine / "home/.cache/tinynn/mnist", blank, 1)
    monkeypatch.setenv("TINYNN_DATA", str(machine / "chosen"))
    refused(datasets.mnist, machine / "chosen", says="$TINYNN_DATA does not lead to MNIST")
    small_set(machine / "chosen")
    refused(datasets.mnist, machine / "chosen" / TRAIN_IMAGES, says="datasets.load(folder)")
    monkeypatch.setenv("TINYNN_DATA", "")
    assert found() == 1


def test_a_damaged_place_is_an_error_and_an_incomplete_one_is_passed_over(machine: Path, blank: Path) -> None:
    put_mnist(machine / "home/data/MNIST/raw", blank, 1)
    put_mnist(machine / "work/data/MNIST/raw", blank, 2)
    work = Path("data/MNIST/raw")
    (work / TEST_LABELS).write_bytes(b"damaged")
    refused(found, work / TEST_LABELS, says="not an IDX file", memory=200 << 20)
    (work / TEST_LABELS).unlink()
    assert found() == 1


def test_all_places_are_listed_when_none_has_mnist(machine: Path) -> None:
    (machine / "home/.keras/datasets").mkdir(parents=True)
    small_set(machine / "home/data/MNIST/raw")
    (machine / "home/data/MNIST/raw" / TEST_LABELS).unlink()
    with pytest.raises(DataError) as caught:
        datasets.mnist(download=False)
    assert_complete(caught.value)
    message = str(caught.value)
    for place in (".cache/tinynn/mnist", "checkout/examples/data/mnist", "home/data/MNIST/raw", ".keras/datasets"):
        assert str(machine) in message
        assert place in message
    assert f"without {TEST_LABELS}" in message
    assert "download=True" in message


def test_a_user_without_home_is_told_what_to_do(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(DataError, match="TINYNN_DATA") as caught:
        datasets.mnist()
    assert_complete(caught.value)


# ---- Keras' archive


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@functools.cache
def keras_members() -> dict[str, bytes]:
    return {f"{name}.npy": npy(np.zeros(shape, np.uint8)) for name, shape in keras_npz._SHAPES.items()}


def npz(changes: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive with the given members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compresslevel=1) as archive:
        for name, content in changes.items():
            archive.writestr(zipfile.ZipInfo(name), content, compress_type=method)
    return file.getvalue()


@functools.cache
def keras_npz_bytes() -> bytes:
    return npz(keras_members())


def put_npz(path: Path, mark: int) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(npz({**keras_members(), "y_test.npy": npy(np.full(10_000, mark, np.uint8))}))


def first(content: bytes, method: int = zipfile.ZIP_DEFLATED) -> Callable[[], bytes]:
    """An archive whose x_train, which is read first, is `content`."""
    return lambda: npz({"x_train.npy": content}, method)


def header(text: bytes, version: bytes = b"\x01\0") -> bytes:
    return b"\x93NUMPY" + version + len(text).to_bytes(2 if version[0] == 1 else 4, "little") + text


def with_byte(position: Callable[[bytearray], int]) -> Callable[[], bytes]:
    """Keras' archive with the bits of one byte flipped."""

    def flip() -> bytes:
        content = bytearray(keras_npz_bytes())
        content[position(content)] ^= 0xFF
        return bytes(content)

    return flip


HUGE = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1099511627776,), }\n"
HOSTILE_ARCHIVES: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "not a zip file"),
    "text": (lambda: b"<html>404</html>", "not a zip file"),
    "empty archive": (lambda: EMPTY_ZIP, "lacks x_train"),
    "cut": (lambda: keras_npz_bytes()[:-100], "damaged"),
    "damaged data": (with_byte(lambda content: 3000), "damaged"),
    "wrong checksum": (with_byte(lambda content: content.index(b"PK\x01\x02") + 16), "CRC"),
    "other local header": (with_byte(lambda content: 0), "magic number"),
    "encrypted": (with_byte(lambda content: content.index(b"PK\x01\x02") + 8), "NotImplementedError"),
    "labels missing": (lambda: npz({name: keras_members()[name] for name in ["x_train.npy"]}), "lacks y_train"),
    "an empty member": (first(b""), "damaged"),
    "a member of text": (first(b"hello, world"), "magic string"),
    "header cut": (first(npy(np.zeros(3))[:9]), "damaged"),
    "header of nonsense": (first(header(b"{[(" * 20)), "damaged"),
    "header deeply nested": (first(header(b"(" * 9000)), "damaged"),
    "header of code": (first(header(b"__import__('os').abort()\n")), "damaged"),
    "header of 64 KiB": (first(header(b" " * 65535)), "damaged"),
    "header of 128 MiB": (first(header(b" " * (128 << 20), b"\x02\0")), "version"),
    "header of 4 GiB": (first(header(b"")[:6] + b"\x02\0\xff\xff\xff\xff"), "version"),
    "unknown version": (first(header(HUGE, b"\x09\x09")), "version"),
    "a TiB promised": (first(header(HUGE)), "1099511627776"),
    "floats": (first(npy(np.zeros((1, 28, 28)))), "float64"),
    "pickle": (first(npy(np.array([None, {}], object))), "object"),
    "another size": (first(npy(np.zeros((3, 28, 28), np.uint8))), "shape (3, 28, 28)"),
    "Fortran order": (first(npy(np.zeros((60_000, 28, 28), np.uint8, order="F"))[:200]), "Fortran"),
    "body missing": (first(keras_members()["x_train.npy"][:200]), "too early"),
    "bomb": (first(keras_members()["x_train.npy"] + bytes(128 << 20)), "goes on"),
    "bzip2": (first(bytes(100), zipfile.ZIP_BZIP2), "unusual method"),
    "lzma": (first(bytes(100), zipfile.ZIP_LZMA), "unusual method"),
    "label 10": (lambda: npz({**keras_members(), "y_test.npy": npy(np.full(10_000, 10, np.uint8))}), "10 at index 0"),
}


@pytest.mark.parametrize("name", HOSTILE_ARCHIVES)
def test_a_hostile_archive_is_refused_in_little_memory(tmp_path: Path, name: str) -> None:
    make, says = HOSTILE_ARCHIVES[name]
    path = tmp_path / "mnist.npz"
    path.write_bytes(make())
    refused(lambda: datasets.mnist(tmp_path), path, says=says, memory=80 << 20)


def test_an_archive_that_is_too_large_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "mnist.npz"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    refused(lambda: datasets.mnist(tmp_path), path, says="too large")


@given(edits=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), max_size=5), cut=st.integers(0, 40))
@settings(max_examples=100, deadline=None)
def test_a_damaged_archive_is_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[int, int]], cut: int
) -> None:
    content = bytearray(first(npy(np.zeros((60, 28, 28), np.uint8)))())
    for at, value in edits:
        content[at % len(content)] = value
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(content[: len(content) - cut])
    with pytest.raises(DataError) as caught:
        keras_npz.read_keras_mnist(path)
    assert_complete(caught.value)


# ---- downloads, from mirrors that run in this process

SMALL = {name: idx_bytes(array) for name, array in zip(mnist.IDX_NAMES, [*digits(12), *digits(5)], strict=True)}


class Mirror(http.server.BaseHTTPRequestHandler):
    """Serves `/<kind>/<name>`: `kind` says what is wrong with this mirror."""

    requests: list[str]

    def do_GET(self) -> None:
        _, kind, name = self.path.split("/")
        self.requests.append(f"{kind} {name}")
        if kind == "down":
            self.send_error(503)
            return
        content = zipped(SMALL[name.removesuffix(".gz")])
        announced = None
        if kind == "other":
            content = zipped(SMALL[name.removesuffix(".gz")][:-1] + b"\7")
        elif kind == "damaged":
            content = content[:-6] + b"\0" + content[-5:]
        elif kind == "page":
            content = b"<html>Please sign in to this network</html>"
        elif kind == "short":
            announced = len(content)
            content = content[:-10]
        elif kind == "endless":
            content = bytes(10_000_000)
        elif kind == "again":
            content = zipped(zipped(SMALL[name.removesuffix(".gz")]))
        elif kind == "plain":
            content = SMALL[name.removesuffix(".gz")]
        elif kind == "real":
            content = (REAL / name).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(announced or len(content)))
        self.end_headers()
        try:
            self.wfile.write(content)
        except OSError:
            self.close_connection = True  # the client has seen enough

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def mirrors(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[str]]]:
    """A function that sets which kinds of mirrors there are, and returns the list that the requests will be in."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    requests: list[str] = []
    handler = type("Handler", (Mirror,), {"requests": requests})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()

        def choose(*kinds: str) -> list[str]:
            monkeypatch.setattr(
                mnist, "_MIRRORS", tuple(f"http://127.0.0.1:{server.server_port}/{kind}/" for kind in kinds)
            )
            if "real" not in kinds:
                contents = {name: (len(body), hashlib.sha256(body).hexdigest()) for name, body in SMALL.items()}
                monkeypatch.setattr(mnist, "_CONTENTS", contents)
            return requests

        yield choose
        server.shutdown()
        thread.join()


def test_mnist_is_downloaded_into_the_users_cache_once(machine: Path, mirrors: Callable[..., list[str]]) -> None:
    requests = mirrors("real")
    train, _ = datasets.mnist()
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    cache = machine / "home/.cache/tinynn/mnist"
    assert sorted(path.name for path in cache.iterdir()) == sorted(f"{name}.gz" for name in mnist.IDX_NAMES)
    assert len(requests) == 4
    assert np.array_equal(datasets.mnist().train.images, train.images)
    assert len(requests) == 4


@pytest.mark.parametrize("kind", ["good", "plain"])
def test_a_good_mirror_is_believed_by_the_uncompressed_content(
    tmp_path: Path, mirrors: Callable[..., list[str]], kind: str
) -> None:
    requests = mirrors(kind, "down")
    mnist.download_mnist(tmp_path / "new" / "cache")
    assert len(datasets.load(tmp_path / "new" / "cache").train.images) == 12
    assert requests == [f"{kind} {name}.gz" for name in mnist.IDX_NAMES]


BAD_MIRRORS = {
    "down": "503",
    "other": "not that of MNIST",
    "damaged": "damaged",
    "page": "too early",
    "short": "failed",
    "endless": "larger than it can be",
    "again": "",
}


@pytest.mark.parametrize("kind", BAD_MIRRORS)
def test_after_a_bad_mirror_the_next_is_asked(tmp_path: Path, mirrors: Callable[..., list[str]], kind: str) -> None:
    requests = mirrors(kind, "good")
    mnist.download_mnist(tmp_path)
    assert len(datasets.load(tmp_path).train.images) == 12
    assert requests[:2] == [f"{kind} {TRAIN_IMAGES}.gz", f"good {TRAIN_IMAGES}.gz"]
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("kind", BAD_MIRRORS)
def test_when_all_mirrors_are_bad_each_reason_is_told_and_nothing_stays(
    tmp_path: Path, mirrors: Callable[..., list[str]], kind: str
) -> None:
    mirrors(kind, "down")
    error = refused(
        lambda: mnist.download_mnist(tmp_path), tmp_path / f"{TRAIN_IMAGES}.gz", says=BAD_MIRRORS[kind], memory=80 << 20
    )
    assert f"/{kind}/{TRAIN_IMAGES}.gz" in str(error)
    assert f"/down/{TRAIN_IMAGES}.gz" in str(error)
    assert not list(tmp_path.iterdir())


def test_no_connection_is_a_data_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(mnist, "_MIRRORS", ("http://127.0.0.1:1/", "nonsense://"))
    refused(lambda: mnist.download_mnist(tmp_path), tmp_path, says="nonsense", memory=80 << 20)
    assert not list(tmp_path.iterdir())


def test_only_what_is_missing_is_downloaded(tmp_path: Path, mirrors: Callable[..., list[str]]) -> None:
    requests = mirrors("good")
    small_set(tmp_path, ".gz")
    (tmp_path / f"{TEST_LABELS}.gz").unlink()
    mnist.download_mnist(tmp_path)
    assert requests == [f"good {TEST_LABELS}.gz"]


def test_a_cache_that_cannot_be_made_is_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    refused(lambda: mnist.download_mnist(tmp_path / "file"), tmp_path / "file", says="cannot make", memory=80 << 20)


def test_without_pooch_the_extra_is_named(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingExtraError, match=r"tinynn-xp\[download\]") as caught:
        datasets.mnist()
    assert caught.value.extra == "download"
    assert not list((machine / "home").iterdir())


def test_a_terminal_gets_a_progress_bar(
    tmp_path: Path,
    mirrors: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mirrors("good")
    mnist.download_mnist(tmp_path / "quiet")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    mnist.download_mnist(tmp_path / "watched")
    assert "100%" in capsys.readouterr().err
