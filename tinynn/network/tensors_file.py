"""Networks as safetensors files, which many programs read: arrays by name, and in the metadata what tinynn adds.

    {"tinynn": '{"sha256":"...","header":{...}}'}

The digest is over the header and all arrays, with their names, dtypes and shapes. The same contents make the same
bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from tinynn.data.archive import portable
from tinynn.data.files import make_folder, open_regular, plural, written_atomically
from tinynn.data.json_header import LONGEST, from_json, to_json
from tinynn.errors import DataError, MissingExtraError

__all__ = ["read", "write"]

KEY = "tinynn"
MARK = '{"sha256":"'
DTYPES = {"BOOL": "?", "F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8"}
DTYPES |= {f"{kind}{8 * size}": f"<{kind.lower()}{size}" for kind in "IU" for size in (1, 2, 4, 8)}
LONGEST_HEADER = 4 * LONGEST  # bytes; tinynn's own is a text within a text there, and the list of arrays comes to it


def package(path: str | os.PathLike[str]) -> Any:
    """The package safetensors. Errors: MissingExtraError."""
    try:
        import safetensors.numpy
    except ImportError:
        purpose = f"{os.fspath(path)}, a .safetensors file,"
        raise MissingExtraError("safetensors", extra="safetensors", purpose=purpose) from None
    return safetensors


def write(path: str | os.PathLike[str], header: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Writes a file; one that was there before is replaced whole or not at all.

    Errors: DataError with the path and the reason; MissingExtraError.
    """
    module = package(path)
    held = {name: portable(array) for name, array in arrays.items()}
    text = to_json(header).decode()
    data = module.numpy.save(held, {KEY: f'{MARK}{digest_of(text, held)}","header":{text}}}'})
    length = int.from_bytes(data[:8], "little")
    if len(text) > LONGEST or length > LONGEST_HEADER:
        raise DataError(
            "this is more than the file can hold",
            path=path,
            expected=f"{LONGEST >> 20} MB at most to describe it, {LONGEST_HEADER >> 20} MB with all names",
            got=f"{plural(len(text), 'byte')}, {plural(length, 'byte')} with the names",
            fix="give long lists as arrays",
        )
    make_folder(Path(path).parent)
    with written_atomically(path) as file:
        file.write(data)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any] | None, dict[str, np.ndarray]]:
    """Header and arrays; None for the header of a file that another program wrote.

    Errors: DataError with the path, for a file that is missing, damaged, or holds what NumPy has no numbers for;
    MissingExtraError.
    """
    module = package(path)
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if not 1 < length <= min(LONGEST_HEADER, size - 8):
            refuse(path, f"{plural(size, 'byte')}, of which the first say that {plural(length, 'byte')} describe it")
        file.seek(0)
        data = file.read()
    try:
        # The package first: it checks that every byte belongs to one array.
        tensors = dict(module.deserialize(data))
        metadata = from_json(data[8 : 8 + length]).get("__metadata__", {})
    except (ValueError, module.SafetensorError) as error:
        refuse(path, f"{type(error).__name__}: {error}"[:300])
    arrays = {name: as_array(path, name, tensors[name]) for name in sorted(tensors)}
    if KEY not in metadata and not any(MARK in text for text in metadata.values()):
        return None, arrays
    text = metadata.get(KEY, "")
    start = len(MARK) + 64 + len('","header":')
    own, found = text[start:-1], text[len(MARK) : len(MARK) + 64]
    right = digest_of(own, arrays)
    if text != f'{MARK}{right}","header":{own}}}':
        raise DataError(
            "the file is damaged, or its arrays were changed: its digest is not that of its contents",
            path=path,
            expected=f"SHA-256 {found!r}",
            got=f"SHA-256 {right!r}",
            fix="copy the file again, or use an older one; nothing of it was read",
        )
    if len(own) > LONGEST:
        refuse(path, f"a header of {plural(len(own), 'byte')}")
    try:
        return from_json(own.encode()), arrays
    except ValueError as error:
        refuse(path, str(error))


def digest_of(text: str, arrays: dict[str, np.ndarray]) -> str:
    """The SHA-256 of a header and arrays, in hexadecimal digits."""
    sha = hashlib.sha256(text.encode("utf-8", "surrogatepass"))
    for name in sorted(arrays):
        array = arrays[name]
        sha.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


def as_array(path: str | os.PathLike[str], name: str, tensor: dict[str, Any]) -> np.ndarray:
    """An array; bfloat16, which NumPy does not have, exactly as float32."""
    kind = tensor["dtype"]
    if kind not in DTYPES:
        raise DataError(
            f"array {name[:100]!r} is of a dtype that NumPy does not have",
            path=path,
            expected=", ".join(DTYPES),
            got=kind,
            fix="convert it to float32 with the program that wrote it",
        )
    array = np.frombuffer(tensor["data"], np.uint8).copy().view(DTYPES[kind]).reshape(tensor["shape"])
    if kind == "BOOL" and array.view(np.uint8).max(initial=0) > 1:
        refuse(path, f"array {name[:100]!r}, which holds what is neither true nor false")
    if kind == "BF16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array


def refuse(path: str | os.PathLike[str], reason: str) -> NoReturn:
    """Errors: DataError."""
    raise DataError(
        "the file is no whole safetensors file",
        path=path,
        expected="a file that net.save or another program wrote, to its last byte",
        got=reason,
        fix="copy the file again, or save it again",
    )
