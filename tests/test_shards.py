"""Folders of shards: the rows of all files in one numbering, and not one file that is damaged, missing or unlike."""

from __future__ import annotations

import copy
import os
import pickle
import shutil
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_helpers import assert_complete, refused
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib import format as npy

from tinynn import datasets
from tinynn.data import shards as module
from tinynn.errors import ConfigurationError, DataError, ShapeError, TinynnError

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (23, 4, 3)).astype(np.uint8)
T = np.arange(23) % 10
CUTS = (0, 5, 6, 16, 23)


def parts(x: np.ndarray = X, t: np.ndarray = T) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for a, b in pairwise(CUTS):
        yield x[a:b], t[a:b]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    datasets.write_shards(tmp_path / "shards", parts())
    return tmp_path / "shards"


DATA: list[Any] = []


@pytest.fixture(autouse=True, scope="module")
def one_for_all(tmp_path_factory: pytest.TempPathFactory) -> None:
    DATA[:] = [datasets.write_shards(tmp_path_factory.mktemp("one"), parts())]


# --- reading


def test_the_rows_are_numbered_through(folder: Path) -> None:
    data = datasets.shards(folder)
    assert len(data) == 23
    assert data.shape == (4, 3)
    assert "23 rows in 4 pairs" in repr(data)
    x, t = data.take(np.arange(23))
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(t, T)
    assert (x.dtype, t.dtype) == (X.dtype, T.dtype)


@given(st.lists(st.integers(0, 22), max_size=60), st.sampled_from(["i8", "u1", "i4", "u8"]))
def test_rows_come_in_the_order_asked_for(rows: list[int], dtype: str) -> None:
    x, t = DATA[0].take(np.array(rows, dtype))
    np.testing.assert_array_equal(x, X[rows])
    np.testing.assert_array_equal(t, T[rows])
    assert x.flags.writeable, "the caller's own"


def test_files_are_numbered_in_any_number_of_digits_and_other_names_passed_over(tmp_path: Path) -> None:
    for number, (x, t) in enumerate(parts()):
        digits = (1, 5, 3, 20)[number]
        np.save(tmp_path / f"inputs-{number:0{digits}}.npy", x)
        np.save(tmp_path / f"targets-{number:0{(2, 5, 1, 4)[number]}}.npy", t)
    (tmp_path / "README").write_text("not a shard")
    for name in ("inputs.npy", "inputs-00009.npy.tmp", ".targets-00009.npy", "inputs-1a.npy", "inputs-\u0661.npy"):
        (tmp_path / name).write_bytes(b"not read")
    np.testing.assert_array_equal(datasets.shards(tmp_path).take(np.arange(23))[0], X)


def test_nothing_is_mapped_before_rows_are_asked_for_and_few_files_are_at_one_time(tmp_path: Path) -> None:
    data = datasets.write_shards(tmp_path, ((X[:2], T[:2]) for _ in range(40)))
    assert not data.mapped
    data.most = 8
    for _ in range(3):
        for row in RNG.permutation(80):
            np.testing.assert_array_equal(data.take([row])[0][0], X[row % 2])
    assert len(data.mapped) == 8
    data.take(np.arange(80))
    assert len(data.mapped) == 8
    again = datasets.shards(tmp_path)
    again.most = 2
    for row in (0, 2, 0, 4):
        again.take([row])
    assert set(again.mapped) == {0, 2}, "what was used last stays"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files where Linux lists them")
def test_files_are_closed_again(folder: Path) -> None:
    def opened() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    before = opened()
    data = datasets.shards(folder)
    assert opened() == before
    data.take(np.arange(23))
    del data
    assert opened() == before


def test_how_many_are_mapped_depends_on_what_the_process_may_open(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource", reason="Windows has no such limit")
    for allowed, most in ((1024, 128), (16, 8), (10**9, 4096), (resource.RLIM_INFINITY, 4096)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, allowed=allowed: (allowed, allowed))
        assert module.most_mapped() == most
    monkeypatch.setattr(sys, "platform", "win32")
    assert module.most_mapped() == 1024


def test_the_memory_is_that_of_the_rows_asked_for(tmp_path: Path) -> None:
    x = np.zeros((1000, 100, 100), np.uint8)
    datasets.write_shards(tmp_path, ((x, np.zeros(1000, int)) for _ in range(3)))
    tracemalloc.start()
    try:
        data = datasets.shards(tmp_path)
        data.take(np.arange(0, 3000, 100))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000


def test_several_threads_may_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(*args: Any) -> np.ndarray:
        inside.append(1)
        time.sleep(1e-4)  # would let another thread in
        several.append(len(inside))
        inside.pop()
        return map_array(*args)

    inside: list[int] = []
    several: list[int] = []

    map_array = module.map_array
    monkeypatch.setattr(module, "map_array", slowly)
    data = datasets.shards(folder)
    data.most = 1
    wrong = []

    def read(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(100):
            rows = rng.integers(0, 23, 5)
            if not (data.take(rows)[0] == X[rows]).all():
                wrong.append(rows)

    def watched(seed: int) -> None:
        try:
            read(seed)
        except Exception as error:
            wrong.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=watched, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []
    assert set(several) == {1}, "two threads changed what is mapped at one time"


def test_copies_and_pickles_open_the_folder_again(folder: Path) -> None:
    data = datasets.shards(folder)
    data.take([0])
    for again in (pickle.loads(pickle.dumps(data)), copy.deepcopy(data)):
        assert len(pickle.dumps(again)) < 500
        np.testing.assert_array_equal(again.take([22, 3])[0], X[[22, 3]])


ROWS: dict[str, Any] = {
    "beyond the end": [0, 23],
    "negative": [-1],
    "a huge number": np.array([2**63 + 5], np.uint64),
    "floats": [0.0, 1.0],
    "a mask": np.ones(23, bool),
    "one number": 3,
    "two axes": [[0, 1]],
    "text": ["0"],
}


@pytest.mark.parametrize("name", ROWS)
def test_rows_that_are_none_are_refused(name: str) -> None:
    with pytest.raises(DataError) as caught:
        DATA[0].take(ROWS[name])
    assert_complete(caught.value)


# --- what is refused when the folder is opened


def header(shape: str, descr: str = "'|u1'", fortran: str = "False") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}".ljust(117) + "\n"
    return npy.magic(1, 0) + len(text).to_bytes(2, "little") + text.encode()


def pickled() -> bytes:
    return header("(5, 4, 3)", "'|O'") + pickle.dumps([0] * 60)


BODY = X[:5].tobytes()
GOOD = header("(5, 4, 3)") + BODY
FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not an array file"),
    "text": (b"1 2 3\n" * 100, "not an array file"),
    "another version": (npy.magic(2, 0) + GOOD[8:], "not an array file"),
    "cut in the magic": (GOOD[:5], "not an array file"),
    "cut in the header": (GOOD[:40], "damaged"),
    "no header": (GOOD[:8], "damaged"),
    "a header of 65,535 bytes": (GOOD[:8] + b"\xff\xff" + GOOD[10:], "damaged"),
    "a long header that is there": (GOOD[:8] + b"\xff\xff" + b" " * 65_535, "damaged"),
    "code in the header": (header("__import__('os').getpid()"), "damaged"),
    "no dictionary": (GOOD[:10] + b"x" * 118 + BODY, "damaged"),
    "nested brackets": (GOOD[:10] + (b"(" * 118) + BODY, "damaged"),
    "NUL bytes": (GOOD[:10] + b"\0" * 118 + BODY, "damaged"),
    "a negative size": (header("(-5, 4, 3)") + BODY, "no rows"),
    "no rows": (header("(0, 4, 3)"), "no rows"),
    "rows of nothing": (header("(5, 0)"), "no rows"),
    "one number": (header("()") + b"1", "no rows"),
    "33 axes": (header("(" + "1," * 33 + ")", "'|u1'") + b"1", "no rows"),
    "2^64 rows": (header(f"({2**64}, 4, 3)") + BODY, "no rows"),
    "2^62 rows": (header(f"({2**62}, 4, 3)") + BODY, "size"),
    "36 TiB": (header("(5, 1048576, 7549747)") + BODY, "size"),
    "sizes whose product overflows": (header(f"({2**32}, {2**32}, 5)") + BODY, "size"),
    "one byte too few": (GOOD[:-1], "size"),
    "one byte too many": (GOOD + b"\0", "size"),
    "another array behind": (GOOD + GOOD, "size"),
    "text for a size": (header("('5', 4, 3)") + BODY, "damaged"),
    "a fraction for a size": (header("(5.0, 4, 3)") + BODY, "damaged"),
    "objects": (pickled(), "not numbers"),
    "pickled, as the old NumPy did": (pickle.dumps(X[:5]), "not an array file"),
    "complex": (header("(5, 4, 3)", "'<c8'") + BODY * 8, "not numbers"),
    "dates": (header("(5, 4, 3)", "'<M8[s]'") + BODY * 8, "not numbers"),
    "text elements": (header("(5, 4, 3)", "'<U1'") + BODY * 4, "not numbers"),
    "raw elements": (header("(5, 4, 3)", "'|V1'") + BODY, "not numbers"),
    "records": (header("(5, 4, 3)", "[('a', '|u1')]") + BODY, "not numbers"),
    "arrays for elements": (header("(5, 4)", "('|u1', (3,))") + BODY, "not numbers"),
    "huge elements": (header("(5, 4, 3)", "'|S1000000000'") + BODY, "not numbers"),
    "no dtype": (header("(5, 4, 3)", "'nonsense'") + BODY, "not numbers"),
    "Fortran order": (header("(5, 4, 3)", fortran="True") + BODY, "not numbers"),
    "another dtype": (header("(5, 4, 3)", "'<u2'") + BODY * 2, "not like"),
    "signed": (header("(5, 4, 3)", "'|i1'") + BODY, "not like"),
    "another shape of row": (header("(5, 3, 4)") + BODY, "not like"),
    "another number of axes": (header("(5, 12)") + BODY, "not like"),
    "a row too few": (header("(4, 4, 3)") + BODY[:48], "differ"),
    "a zip archive": (b"PK\x03\x04" + GOOD, "not an array file"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_right_is_refused_before_the_first_row(tmp_path: Path, name: str) -> None:
    content, says = FILES[name]
    datasets.write_shards(tmp_path, [(X[:5], T[:5])] * 3)
    datasets.shards(tmp_path)
    path = tmp_path / "inputs-00001.npy"
    path.write_bytes(content)
    blamed = tmp_path / "targets-00001.npy" if says == "differ" else path
    refused(lambda: datasets.shards(tmp_path), blamed, says=says, memory=1 << 20)


def test_a_good_file_in_their_place_is_read(tmp_path: Path) -> None:
    datasets.write_shards(tmp_path, [(X[:5], T[:5])] * 3)
    (tmp_path / "inputs-00001.npy").write_bytes(GOOD)
    np.testing.assert_array_equal(datasets.shards(tmp_path).take(range(5, 10))[0], X[:5])


def test_a_huge_sparse_file_takes_no_memory(tmp_path: Path) -> None:
    """What a header says is what the file's size says, so that it is believed; only what is asked for is read."""
    x, t = header(f"({2**36}, 4, 3)"), header(f"({2**36},)")
    for name, start, size in (("inputs", x, 12), ("targets", t, 1)):
        with (tmp_path / f"{name}-0.npy").open("wb") as file:
            file.write(start)
            try:
                file.truncate(len(start) + size * 2**36)
            except OSError:
                pytest.skip("this file system keeps no sparse files of 800 GB")
    tracemalloc.start()
    try:
        data = datasets.shards(tmp_path)
        assert len(data) == 2**36
        try:
            rows = data.take([0, 2**36 - 1])[0]
        except DataError as error:
            assert "memory" in str(error)
        else:
            assert not rows.any()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


def rename(a: str, b: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / a).rename(folder / b)


def instead(name: str, make: Callable[[Path], Any]) -> Callable[[Path], Any]:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return change


FOLDERS: dict[str, tuple[Callable[[Path], Any], str, str]] = {
    "no targets": (lambda f: (f / "targets-00002.npy").unlink(), "targets-00002.npy", "missing"),
    "no inputs": (lambda f: (f / "inputs-00002.npy").unlink(), "inputs-00002.npy", "missing"),
    "no first targets": (lambda f: (f / "targets-00000.npy").unlink(), "targets-00000.npy", "missing"),
    "a last partner missing": (lambda f: (f / "targets-00003.npy").unlink(), "targets-00003.npy", "missing"),
    "a partner of other digits missing": (rename("inputs-00003.npy", "inputs-4.npy"), "inputs-00003.npy", "missing"),
    "a gap": (
        lambda f: [(f / f"{kind}-00001.npy").unlink() for kind in ("inputs", "targets")],
        "inputs-00001.npy",
        "missing",
    ),
    "numbers from 1 on": (
        lambda f: [(f / f"{kind}-00000.npy").unlink() for kind in ("inputs", "targets")],
        "inputs-00000.npy",
        "missing",
    ),
    "a huge number": (rename("inputs-00003.npy", f"inputs-{'9' * 200}.npy"), "inputs-00003.npy", "missing"),
    "one number twice": (
        lambda f: shutil.copy(f / "inputs-00001.npy", f / "inputs-1.npy"),
        "inputs-1.npy",
        "one number",
    ),
    "a folder for a file": (instead("inputs-00001.npy", Path.mkdir), "inputs-00001.npy", "missing"),
    "a pipe": (instead("inputs-00001.npy", lambda p: os.mkfifo(p)), "inputs-00001.npy", "pipe"),
    "a link to nowhere": (instead("inputs-00001.npy", lambda p: p.symlink_to("x")), "inputs-00001.npy", "not exist"),
    "a link to itself": (instead("inputs-00001.npy", lambda p: p.symlink_to(p)), "inputs-00001.npy", "refuses"),
    "a device": (instead("inputs-00001.npy", lambda p: p.symlink_to("/dev/zero")), "inputs-00001.npy", "device"),
    "nothing": (lambda f: [path.unlink() for path in f.iterdir()], "", "no shards"),
    "no folder": (shutil.rmtree, "", "does not exist"),
}


@pytest.mark.skipif(os.name != "posix", reason="pipes, links and devices are those of POSIX")
@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_is_not_whole_is_refused(folder: Path, name: str) -> None:
    change, path, says = FOLDERS[name]
    change(folder)
    refused(lambda: datasets.shards(folder), folder / path, says=says, memory=1 << 20)


@pytest.mark.parametrize("change", ["shorter", "written anew", "gone"])
def test_a_file_that_changes_after_the_folder_was_opened_is_refused(folder: Path, change: str) -> None:
    data, path = datasets.shards(folder), folder / "inputs-00002.npy"
    content = path.read_bytes()
    if change == "shorter":
        os.truncate(path, len(content) - 1)
    elif change == "written anew":
        path.write_bytes(content)
        os.utime(path, ns=(0, 1))
    else:
        path.unlink()
    data.take([0, 5])
    refused(lambda: data.take(np.arange(23)), path, says="exist" if change == "gone" else "changed", memory=1 << 20)


# --- writing


@pytest.mark.parametrize("dtypes", [("<f4", "<i8"), (">f4", ">i2"), ("f2", "u1"), ("f8", "f8"), ("?", "i4")])
def test_what_is_written_is_read(tmp_path: Path, dtypes: tuple[str, str]) -> None:
    x, t = X.astype(dtypes[0]), T.astype(dtypes[1])
    written = datasets.write_shards(tmp_path / "deep" / "er", parts(x, t))
    for data in (written, datasets.shards(tmp_path / "deep" / "er")):
        a, b = data.take(np.arange(23))
        assert (a.dtype, b.dtype) == (x.dtype, t.dtype)
        assert (a.tobytes(), b.tobytes()) == (x.tobytes(), t.tobytes())


def test_arrays_of_any_layout_are_written_row_behind_row(tmp_path: Path) -> None:
    layouts = [
        np.asfortranarray(X),
        X[::-1],
        np.broadcast_to(X[:1], X.shape),
        X.transpose(0, 2, 1).copy().transpose(0, 2, 1),
    ]
    data = datasets.write_shards(tmp_path, [[x, T[::-1]] for x in layouts])
    np.testing.assert_array_equal(data.take(np.arange(len(data)))[0], np.concatenate(layouts))


def test_a_part_may_be_overwritten_once_the_next_is_asked_for(tmp_path: Path) -> None:
    def reused() -> Iterator[Any]:
        x, t = np.empty((2, 3)), np.empty(2, int)
        for number in range(3):
            x[...], t[...] = number, number
            yield x, t

    assert datasets.write_shards(tmp_path, reused()).take(np.arange(6))[1].tolist() == [0, 0, 1, 1, 2, 2]


def test_the_files_are_those_that_numpy_reads(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        f"{kind}-{number:05}.npy" for kind in ("inputs", "targets") for number in range(4)
    )
    np.testing.assert_array_equal(np.load(folder / "inputs-00002.npy"), X[6:16])


class Stop(Exception):
    pass


def broken(after: int, error: BaseException) -> Iterator[Any]:
    for number, part in enumerate(parts()):
        if number == after:
            raise error
        yield part


@pytest.mark.parametrize("after", range(4))
@pytest.mark.parametrize("error", [Stop(), OSError("of the caller's own"), KeyboardInterrupt()])
def test_after_an_error_nothing_is_left(tmp_path: Path, after: int, error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        datasets.write_shards(tmp_path, broken(after, error))
    assert caught.value is error
    assert list(tmp_path.iterdir()) == []


def test_a_folder_half_written_does_not_pass_for_whole(tmp_path: Path) -> None:
    seen = []

    def watched() -> Iterator[Any]:
        for part in parts():
            yield part
            if seen or list(tmp_path.iterdir()):
                with pytest.raises(DataError):
                    datasets.shards(tmp_path)
                seen.append(sorted(path.name for path in tmp_path.iterdir()))

    datasets.write_shards(tmp_path, watched())
    assert len(seen) == 4
    assert [len(names) for names in seen] == [1, 3, 5, 7]


def test_a_full_disk_is_told_with_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = np.save, []

    def save(file: Any, array: Any, **options: Any) -> None:
        calls.append(1)
        if len(calls) == 4:
            raise OSError(28, "No space left on device")
        real(file, array, **options)

    monkeypatch.setattr(np, "save", save)
    with pytest.raises(DataError, match="No space left") as caught:
        datasets.write_shards(tmp_path, parts())
    assert caught.value.path == str(tmp_path / "inputs-00002.npy")
    assert list(tmp_path.iterdir()) == []


def test_shards_that_are_there_are_not_written_over(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    refused(lambda: datasets.write_shards(folder, parts()), folder / "inputs-00000.npy", says="already")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


PARTS: dict[str, tuple[Any, type[TinynnError]]] = {
    "none": ([], ConfigurationError),
    "no iterable": (5, ConfigurationError),
    "None": (None, ConfigurationError),
    "the arrays themselves": ((X, T), ShapeError),
    "three arrays": ([(X, T, T)], ShapeError),
    "no targets": ([(X,)], ShapeError),
    "lists": ([(X.tolist(), T.tolist())], ShapeError),
    "no rows": ([(X[:0], T[:0])], ShapeError),
    "other lengths": ([(X, T[:-1])], ShapeError),
    "one number": ([(X[0], np.array(1))], ShapeError),
    "objects": ([(X.astype(object), T)], DataError),
    "text": ([(X, T.astype(str))], DataError),
    "rows of nothing": ([(X[:, :0], T)], DataError),
    "another dtype later": ([(X, T), (X.astype(float), T)], DataError),
    "another shape later": ([(X, T), (X[:, :2], T)], DataError),
    "other targets later": ([(X, T), (X, np.eye(10)[T])], DataError),
    "None later": ([(X, T), None], ShapeError),
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_that_cannot_be_written_are_refused(tmp_path: Path, name: str) -> None:
    what, kind = PARTS[name]
    with pytest.raises(kind) as caught:
        datasets.write_shards(tmp_path / "new", what)
    assert type(caught.value) is kind
    assert_complete(caught.value)
    assert ("part 1" if "later" in name else "write_shards") in str(caught.value.where)
    assert list((tmp_path / "new").iterdir()) == []


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(lambda: datasets.write_shards(tmp_path / "file", parts()), tmp_path / "file")
    refused(lambda: datasets.shards(tmp_path / "file"), tmp_path / "file")
