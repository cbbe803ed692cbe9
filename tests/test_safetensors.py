"""Networks as safetensors files: read by other programs, and theirs read by name."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from misuse_helpers import X, net
from safetensors.numpy import load_file, save_file
from saving_helpers import refused

import tinynn
from tinynn import Affine, DataError, Dropout, MissingExtraError, PReLU, SoftmaxCrossEntropy
from tinynn.network import tensors_file


def test_another_program_reads_what_is_saved(tmp_path: Path) -> None:
    first = net(Affine(5, W=np.ones((4, 5))), Dropout(0.5), PReLU(), Affine(3), SoftmaxCrossEntropy(), seed=1)
    first.save(tmp_path / "folder" / "net.safetensors")
    found = load_file(tmp_path / "folder" / "net.safetensors")
    assert found.keys() == {*first.storage.arrays(), "#argument/0"}
    for name, array in first.storage.arrays().items():
        np.testing.assert_array_equal(found[name], array)


def test_arrays_of_another_program_are_read_by_name(tmp_path: Path) -> None:
    path, first = tmp_path / "net.safetensors", net(Affine(3), seed=1)
    for metadata in (None, {"format": "pt", "library": "tinynn or another"}):
        save_file(first.storage.arrays(), path, metadata)
        assert net(Affine(3)).load(path).predict(X).tobytes() == first.predict(X).tobytes()
        error = refused(lambda: tinynn.load(path), path)
        assert "not of which network" in error.what
        assert "net.load(path)" in str(error.fix)
    save_file(first.storage.arrays() | {"extra": np.ones(2)}, path)
    with pytest.raises(tinynn.ShapeError, match="extra"):
        net(Affine(3)).load(path)


def raw(path: Path, arrays: dict[str, tuple[str, tuple[int, ...], bytes]], metadata: Any = None) -> Path:
    """A safetensors file, byte by byte."""
    header, data = ({} if metadata is None else {"__metadata__": metadata}), b""
    for name, (kind, shape, values) in arrays.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def test_half_precision_is_converted_exactly(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    W, b = rng.standard_normal((4, 3)).astype(np.float32), rng.standard_normal(3).astype(np.float16)
    short = (W.view(np.uint32) >> 16).astype(np.uint16)  # the upper half is bfloat16
    path = raw(
        tmp_path / "net.safetensors",
        {"0.W": ("BF16", (4, 3), short.tobytes()), "0.b": ("F16", (3,), b.tobytes())},
    )
    loaded = net(Affine(3)).load(path)
    np.testing.assert_array_equal(loaded[0].W, (short.astype(np.uint32) << 16).view(np.float32))
    np.testing.assert_array_equal(loaded[0].b, b.astype(np.float32))
    np.testing.assert_allclose(loaded[0].W, W, rtol=2**-7)


def test_what_numpy_has_no_numbers_for_is_named(tmp_path: Path) -> None:
    path = raw(tmp_path / "net.safetensors", {"0.W": ("F8_E4M3", (4, 3), bytes(12)), "0.b": ("F32", (3,), bytes(12))})
    error = refused(lambda: net(Affine(3)).load(path), path)
    assert "'0.W'" in error.what
    assert "F8_E4M3" in str(error.got)
    path = raw(tmp_path / "net.safetensors", {"0.W": ("BOOL", (4, 3), b"\2" * 12), "0.b": ("F32", (3,), bytes(12))})
    refused(lambda: net(Affine(3)).load(path), path)


def test_all_dtypes_come_back(tmp_path: Path) -> None:
    arrays = {
        kind: np.arange(6).reshape(2, 3).astype(kind)
        for kind in (
            "bool",
            "int8",
            "int16",
            "int32",
            "int64",
            "uint8",
            "uint16",
            "uint32",
            "uint64",
            "float16",
            "float32",
            "float64",
        )
    } | {
        "none": np.zeros((0, 2)),
        "scalar": np.array(2.5),
        "turned": np.arange(6.0).reshape(2, 3).T,
        "big": np.arange(3, dtype=">i4"),
    }
    tensors_file.write(tmp_path / "a.safetensors", {"é": [1, "\ud800"]}, arrays)
    header, found = tensors_file.read(tmp_path / "a.safetensors")
    assert header == {"é": [1, "\ud800"]}
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype.newbyteorder("<")
        assert found[name].flags.writeable


def headed(text: bytes, data: bytes = bytes(48)) -> bytes:
    """A header and what follows it."""
    return len(text).to_bytes(8, "little") + text + data


W = b'"0.W":{"dtype":"F32","shape":[12],"data_offsets":[0,48]}'
HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "a length alone": bytes(8),
    "a length beyond the file": (2**62).to_bytes(8, "little") + b"{}",
    "a long header": (100 << 20).to_bytes(8, "little") + b"{",
    "no JSON": headed(b"eval"),
    "deep": headed(b"[" * 10**6),
    "36 TiB": headed(b"{" + W.replace(b"[12]", b"[3000000,3000000]") + b"}"),
    "a shape beyond 64 bits": headed(b"{" + W.replace(b"[12]", b"[4294967296,4294967296,12]") + b"}"),
    "arrays that share bytes": headed(b"{" + W + b"," + W.replace(b"W", b"b") + b"}"),
    "one name twice": headed(b"{" + W + b"," + W + b"}"),
    "bytes of no array": headed(b"{" + W + b"}", bytes(49)),
    "metadata that are no texts": headed(b'{"__metadata__":{"tinynn":1},' + W + b"}"),
    "a pickle": b"\x80\x04\x95\x16\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x8c\x06system\x93.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(HOSTILE[name])
    refused(lambda: tinynn.load(path), path)
    refused(lambda: net(Affine(3)).load(path), path)


def test_metadata_that_tinynn_did_not_write_are_refused(tmp_path: Path) -> None:
    path, arrays = tmp_path / "net.safetensors", {"0.W": np.ones((4, 3), np.float32), "0.b": np.zeros(3, np.float32)}
    tensors_file.write(path, {"format": 1, "network": {}}, arrays)
    text = tensors_file.from_json(path.read_bytes()[8 : 8 + int.from_bytes(path.read_bytes()[:8], "little")])
    right = text["__metadata__"]["tinynn"]
    for wrong in ({"tinynn": ""}, {"tinynn": "{}"}, {"tinynn": right[:-1]}, {"tinynn": right + " "}, {"tinynm": right}):
        save_file(arrays, path, wrong)
        refused(lambda: net(Affine(3)).load(path), path)
        refused(lambda: tinynn.load(path), path)
    for changed in ({"0.W": arrays["0.W"] + 1, "0.b": arrays["0.b"]}, {"0.V": arrays["0.W"], "0.b": arrays["0.b"]}):
        save_file(changed, path, {"tinynn": right})
        assert "digest" in refused(lambda: net(Affine(3)).load(path), path).what


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = net(Affine(3))
    first.save(tmp_path / "net.safetensors")
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    for call in (
        lambda: first.save(tmp_path / "net.safetensors"),
        lambda: first.load(tmp_path / "net.safetensors"),
        lambda: tinynn.load(tmp_path / "net.safetensors"),
    ):
        with pytest.raises(MissingExtraError, match=r"tinynn-xp\[safetensors\]"):
            call()


def test_what_is_too_long_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    for header, names in (({"a": "x" * (3 << 20)}, ["x"]), ({}, [f"{i}{'x' * 900}" for i in range(9500)])):
        with pytest.raises(DataError, match="more than the file can hold"):
            tensors_file.write(path, header, dict.fromkeys(names, np.zeros(1)))
    assert list(tmp_path.iterdir()) == []
