"""What the tests of files share: networks trained on, and files that say what they like under a digest of their own."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinynn
from tinynn import SGD, DataError, GradientError, Layer
from tinynn.data import archive

__all__ = ["AFFINE", "BUILD", "Gain", "again", "model", "npy", "refused", "seal", "train", "zipped"]

BUILD = {"shapes": [[4]], "dtype": "float32", "precision": "float32", "seed": 0, "needs_dx": False, "backend": "numpy"}
AFFINE = {"layer": "Sequential", "args": [{"layer": "Affine", "args": [3]}], "build": BUILD}
ARRAYS = {"0.W": np.ones((4, 3), np.float32), "0.b": np.zeros(3, np.float32)}


@tinynn.register(name="tests.Gain")
class Gain(Layer):
    """y = factor g x: with an argument of any kind, and a state that counts."""

    def __init__(self, factor: float = 1.0, note: Any = None) -> None:
        self.factor, self.note = factor, note

    def build(self, shape: Any) -> Any:
        self.param("g", shape, tinynn.init.ones)
        self.state("calls", (), tinynn.init.zeros)
        return shape

    def forward(self, x: Any) -> Any:
        self.calls += 1
        return self.factor * x * self.g, x

    def backward(self, dy: Any, x: Any) -> Any:
        self.dg[...] = self.factor * (dy * x).sum(axis=0)
        return self.factor * dy * self.g


def train(net: Any, xs: tuple[Any, ...], steps: int = 3) -> list[bytes]:
    """Outputs, parameters and states of some steps, to the bit; of a network that cannot learn, without the update."""
    optimizer, found = SGD(0.1, momentum=0.9), []
    for _ in range(steps):
        y, cache = net.forward(*xs)
        ys = y if isinstance(y, tuple) else (y,)
        found += [np.asarray(part).tobytes() for part in ys]
        dys = tuple(1.0 if np.ndim(part) == 0 else np.cos(np.arange(part.size)).reshape(part.shape) for part in ys)
        try:
            net.backward(dys if isinstance(y, tuple) else dys[0], cache)
            if net.storage.params.size:
                optimizer.step(net)
        except GradientError:
            assert "Step" in repr(net)
        found += [net.storage.params.tobytes(), net.storage.state.tobytes()]
    return found


def again(net: Any, folder: Path, ending: str = "npz") -> Any:
    """The network from its file."""
    net.save(folder / f"net.{ending}")
    return tinynn.load(folder / f"net.{ending}")


def model(path: Path, network: Any = AFFINE, arrays: dict[str, np.ndarray] = ARRAYS, **header: Any) -> Path:
    """A file, whole in every bit, that describes whatever network."""
    archive.write(path, {"format": 1, "tinynn": "0", "numpy": "2", "network": network, **header}, arrays)
    return path


def seal(data: bytes) -> bytes:
    """The bytes of a file with the digest that is right for them in the place of their last 64."""
    return data[:-64] + hashlib.sha256(data[:-64]).hexdigest().encode()


def zipped(
    members: list[tuple[str, bytes]],
    how: Callable[[zipfile.ZipInfo], None] = lambda info: None,
    compression: int = zipfile.ZIP_STORED,
) -> bytes:
    """A zip file of these members, sealed; `how` may change what is said of each."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as out, pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *args, **kwargs: None)  # of two members of one name
        out.comment = b"tinynn sha256 " + b"0" * 64
        for name, data in members:
            info = zipfile.ZipInfo(name)
            how(info)
            info.compress_type = compression
            out.writestr(info, data)
    return seal(file.getvalue())


def npy(array: np.ndarray, header: bytes | None = None) -> bytes:
    """An array as a member of a file, with whatever header."""
    file = io.BytesIO()
    np.lib.format.write_array(file, array, (1, 0), allow_pickle=True)
    data = file.getvalue()
    if header is None:
        return data
    length = 10 + int.from_bytes(data[8:10], "little")
    return data[:8] + len(header).to_bytes(2, "little") + header + data[length:]


def refused(call: Callable[[], Any], path: Path | None = None) -> DataError:
    """The DataError that the call raises, which has all that helps."""
    with pytest.raises(DataError) as caught:
        call()
    error = caught.value
    assert error.where
    assert error.expected
    assert error.got is not None
    assert error.fix
    if path is not None:
        assert error.path == str(path)
        assert str(path) in error.where
    assert len(str(error)) < 4000
    return error
