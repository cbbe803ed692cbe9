"""From the bytes of an ONNX file to a model and its arrays: bounded, and every fault a DataError with the path."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from tinynn.data.files import open_regular, plural
from tinynn.errors import DataError
from tinynn.onnx import package as limits
from tinynn.onnx.wire import count_parts

__all__ = ["Arrays", "read_model", "refuse"]

# The types that are read, and their bytes in a file.
KINDS = {"FLOAT": 4, "DOUBLE": 8, "FLOAT16": 2, "BFLOAT16": 2, "INT32": 4, "INT64": 8, "INT8": 1, "UINT8": 1, "BOOL": 1}


def refuse(path: Any, what: str, where: str = "", *, expected: Any, got: Any, fix: str) -> NoReturn:
    """Errors: DataError with the path and, within the file, the place."""
    text = str(got)
    error = DataError(
        what,
        where=f"{os.fspath(path)}, {where}" if where else os.fspath(path),
        expected=expected,
        got=text if len(text) <= 400 else f"{text[:400]} ...",
        fix=fix,
    )
    error.path = os.fspath(path)
    raise error


def read_model(onnx: Any, path: str | os.PathLike[str]) -> Any:
    """The model that the file holds, its arrays not looked at yet.

    Errors: DataError for a file that is missing, larger than the format allows, or no ONNX file.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limits.LARGEST:
            refuse(
                path,
                "the file is larger than an ONNX file may be",
                expected=f"{plural(limits.LARGEST, 'byte')} at most",
                got=plural(size, "byte"),
                fix="keep the arrays beside it, as external data",
            )
        data = file.read(size)  # not more: so much memory is taken at once
    model = onnx.ModelProto()
    try:
        count_parts(data, model.DESCRIPTOR)
        model.ParseFromString(data)
        if not model.HasField("graph") or not model.opset_import:
            raise ValueError(f"{plural(len(data), 'byte')} without a graph or its opset")
    except Exception as error:  # protobuf has errors of its own
        refuse(
            path,
            "this is no ONNX file, or it is damaged",
            expected="a model as protocol buffers, whole",
            got=f"{type(error).__name__}: {error}",
            fix="export the model again, or copy the file again",
        )
    return model


class Arrays:
    """The initialisers and constants of a model by name, each read when it is first asked for.

    `size`: the bytes of all of them that have been read.
    Errors: DataError for what no array can be made of, and for external data outside the model's own folder.
    """

    def __init__(self, onnx: Any, path: str | os.PathLike[str], tensors: Any) -> None:
        self.onnx, self.path, self.size = onnx, path, 0
        self.tensors: dict[str, Any] = {}
        self.held: dict[str, np.ndarray] = {}
        self.outside: dict[Path, int] = {}  # bytes that may still be read of each file of external data
        self.kinds = {getattr(onnx.TensorProto, name): size for name, size in KINDS.items()}
        for tensor in tensors:
            self.add(tensor.name, tensor)

    def add(self, name: str, tensor: Any) -> None:
        if name in self.tensors or name in self.held:
            self.refuse(name, "two arrays of one name", "each name once", name)
        self.tensors[name] = tensor

    def __contains__(self, name: str) -> bool:
        return name in self.tensors or name in self.held

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.held:
            self.held[name] = self.read(name, self.tensors[name])
            self.size += self.held[name].nbytes
        return self.held[name]

    def read(self, name: str, tensor: Any) -> np.ndarray:
        if tensor.data_type not in self.kinds:
            self.refuse(name, "an array of a type that is not read", ", ".join(KINDS), f"type {tensor.data_type}")
        dims = list(tensor.dims)
        if min(dims, default=0) < 0 or len(dims) > 32:
            self.refuse(name, "an array of impossible shape", "sizes >= 0", dims)
        if tensor.data_location == self.onnx.TensorProto.EXTERNAL:
            raw, fields = self.external(name, tensor), ()
            tensor = self.onnx.TensorProto(name=name, data_type=tensor.data_type, dims=dims, raw_data=raw)
        else:
            fields = [getattr(tensor, field) for field in ("float_data", "double_data", "int32_data", "int64_data")]
        itemsize = self.kinds[tensor.data_type]
        count = len(tensor.raw_data) // itemsize if tensor.HasField("raw_data") else max(map(len, fields), default=0)
        if count != math.prod(dims):
            self.refuse(name, "an array that is not as long as its shape says", f"{dims}", f"{count:,} numbers")
        try:
            array = self.onnx.numpy_helper.to_array(tensor)
        except Exception as error:
            self.refuse(name, "an array that cannot be read", "numbers of the type that it has", str(error))
        if array.dtype.kind not in "biuf" or array.dtype.name == "float16":  # bfloat16 is none of NumPy's own
            array = array.astype(np.float32)
        return array

    def external(self, name: str, tensor: Any) -> bytes:
        """The bytes that lie in another file in the model's folder, or one below it."""
        said = {entry.key: entry.value for entry in tensor.external_data}
        location, folder = said.get("location", ""), Path(os.path.realpath(Path(self.path).parent))
        plain = bool(location) and not Path(location).is_absolute() and not {"\\", "\0"} & {*location}
        file = folder / location if plain else folder
        # Links and .. are followed first: what counts is where the file is.
        if file == folder or not Path(os.path.realpath(file)).is_relative_to(folder):
            self.refuse(name, "external data outside the model's folder", "a file beside the model", repr(location))
        with open_regular(file) as stream:
            size = os.fstat(stream.fileno()).st_size
            try:
                offset = int(said.get("offset") or 0)
                length = int(said.get("length") or size - offset)
            except ValueError:
                offset = length = -1
            # Arrays may share their bytes, but not so often that a small file fills the memory.
            left = self.outside.setdefault(file, 4 * size)
            if offset < 0 or length < 0 or offset + length > size or length > left:
                self.refuse(name, "external data that is not there", f"within the {size:,} bytes of {location}", said)
            self.outside[file] = left - length
            stream.seek(offset)
            return stream.read(length)

    def refuse(self, name: str, what: str, expected: Any, got: Any) -> NoReturn:
        refuse(
            self.path,
            what,
            f"the array {name[:100]!r}",
            expected=expected,
            got=got,
            fix="export the model again; only files that are whole are read",
        )
