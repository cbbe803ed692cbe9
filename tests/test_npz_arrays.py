"""Archives of arrays: what np.savez writes comes back, and what is damaged or means harm is refused."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_helpers import refused

from tinynn.data import npz_arrays
from tinynn.data.npz_arrays import read_npz

X = np.arange(12, dtype=np.float32).reshape(3, 4)


def archive(folder: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(folder / "data.npz", "w") as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return folder / "data.npz"


def npy(array: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    "x",
    [X, X.astype(">f8"), np.asfortranarray(X), X.astype(np.uint8), X > 3, np.array(["a", "ü"]), np.array([["b", "c"]])],
)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back(x: np.ndarray, save: Any, tmp_path: Path) -> None:
    save(tmp_path / "data.npz", t=np.arange(3), x=x, other=np.ones(9))
    found = read_npz(tmp_path / "data.npz", ("a",), ("x", "t"))
    assert [*found] == ["x", "t"]
    np.testing.assert_array_equal(found["x"], x)
    assert found["x"].flags.c_contiguous and found["x"].dtype.isnative


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no array"),
        (b"\x93NUMPY\2\0" + bytes(20), "no array"),
        (b"\x93NUMPY\1\0\xff\xff{}", "header of x"),
        (npy(np.array([{}]), allow_pickle=True), "neither numbers nor texts"),
        (npy(np.array([b"a"])), "neither numbers nor texts"),
        (npy(np.ones(2, "m8[s]")), "neither numbers nor texts"),
        (npy(np.array([""] * 2, "U0")).replace(b"<U1", b"<U0"), "neither numbers nor texts"),
        (npy(np.float64(3)), "no rows"),
        (npy(np.ones((0, 3))), "no rows"),
        (npy(X)[:-1], "ends too early"),
        (npy(X) + b"x", "goes on"),
        (npy(X).replace(b"(3, 4)", b"(9999999999999, 4)"), "x"),
        (npy(np.array(["ab"]))[:-1] + b"\xff", "no text"),
    ],
)
def test_what_is_no_array_is_refused(content: bytes, says: str, tmp_path: Path) -> None:
    path = archive(tmp_path, x=content)
    refused(lambda: read_npz(path, ("x",)), path, says=says)


def test_what_is_no_archive_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path, x=npy(X))
    error = refused(lambda: read_npz(path, ("x", "t"), ("y",)), path, says="lacks")
    assert error.expected == "x and t, or y"
    whole = path.read_bytes()
    for damaged in (b"", b"PK", whole[:-30], whole.replace(npy(X)[-40:], bytes(40))):
        path.write_bytes(damaged)
        refused(lambda: read_npz(path, ("x",)), path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as file:
        file.writestr("x.npy", npy(X))
    refused(lambda: read_npz(path, ("x",)), path, says="unusual")
    path = archive(tmp_path, x=npy(X))
    monkeypatch.setattr(npz_arrays, "MOST", 40)
    refused(lambda: read_npz(path, ("x",)), path, says="larger than allowed")
    monkeypatch.setattr(npz_arrays, "DIRECTORY", 10)
    refused(lambda: read_npz(path, ("x",)), path, says="directory")
    with zipfile.ZipFile(path, "w") as file:
        pass
    monkeypatch.undo()
    refused(lambda: read_npz(path, ("x",)), path, says="nothing")
