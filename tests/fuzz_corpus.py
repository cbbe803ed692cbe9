"""Files to order, sound or damaged in one place: gzip, zip, .npy, text digits, and data sets made of them.

Built by hand where the standard library would refuse to write what a hostile file says.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from data_helpers import idx_bytes, idx_header

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
SHAPES = {"x_train": (60_000, 28, 28), "y_train": (60_000,), "x_test": (10_000, 28, 28), "y_test": (10_000,)}


# ---- gzip


def deflated(content: bytes, level: int = 6) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush()


def gz(
    content: bytes,
    *,
    body: bytes | None = None,
    method: int = 8,
    flags: int = 0,
    fields: bytes = b"",
    crc: int | None = None,
    length: int | None = None,
) -> bytes:
    """One member; `body`: other compressed bytes; `fields`: what the flags promise between header and body."""
    crc = zlib.crc32(content) if crc is None else crc
    length = len(content) if length is None else length
    head = b"\x1f\x8b" + bytes([method, flags]) + bytes(6) + fields
    return head + (deflated(content) if body is None else body) + struct.pack("<II", crc, length & 0xFFFFFFFF)


def bomb(head: bytes, mib: int, fill: bytes = b"\0") -> bytes:
    """`head`, and then `mib` MiB of one byte, at 1 KiB of file for each MiB."""
    return gz(head) + gz(fill * (8 << 20)) * (mib // 8)


# ---- IDX, as a set of 12 training and 5 test images of 4 x 4


def digits(count: int, side: int = 4) -> tuple[np.ndarray, np.ndarray]:
    images = np.arange(count * side * side, dtype=np.uint8).reshape(count, side, side)
    return images, (np.arange(count) % 10).astype(np.uint8)


IMAGES, LABELS = (idx_bytes(array) for array in digits(12))


def put_small_set(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    arrays = (*digits(12), *digits(5))
    for name, array in zip((TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS), arrays, strict=True):
        (folder / name).write_bytes(idx_bytes(array))


def images_claim(*shape: int, code: int = 0x08) -> bytes:
    return idx_header(code, *shape)


# ---- text digits

ROW = "\t".join(str(value) for value in range(28))


def text(rows: list[str] | None = None, label: str = "7", end: str = "\n") -> bytes:
    return end.join([*([ROW] * 28 if rows is None else rows), label, ""]).encode("utf-8", "surrogatepass")


def text_with(line: int, row: str) -> bytes:
    """A digit with another line `line`, counted from 1."""
    return text([*[ROW] * (line - 1), row, *[ROW] * (28 - line)])


def text_value(line: int, value: str) -> bytes:
    """A digit with another first value in line `line`."""
    return text_with(line, value + ROW[1:])


def put_text_set(folder: Path) -> None:
    for part in ("train", "test"):
        (folder / part).mkdir(parents=True)
        (folder / part / "0.txt").write_bytes(text())


# ---- zip and npy


def npy(header: str | bytes, body: bytes = b"", version: bytes = b"\1\0", length: int | None = None) -> bytes:
    header = header.encode("latin-1") if isinstance(header, str) else header
    length = len(header) if length is None else length
    return b"\x93NUMPY" + version + struct.pack("<H", length) + header + body


def npy_header(descr: str, shape: str, order: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


def member(
    name: bytes,
    content: bytes,
    *,
    body: bytes | None = None,
    method: int = 8,
    flags: int = 0,
    crc: int | None = None,
    packed: int | None = None,
    size: int | None = None,
    extra: bytes = b"",
    comment: bytes = b"",
    offset: int = 0,
    local_name: bytes | None = None,
    local_flags: int | None = None,
) -> tuple[bytes, bytes]:
    """The local part and the entry of the directory; `offset`: where the local part begins."""
    body = (deflated(content, 1) if method == 8 else content) if body is None else body
    crc = zlib.crc32(content) if crc is None else crc
    sizes = (len(body) if packed is None else packed, len(content) if size is None else size)
    local_name = name if local_name is None else local_name
    what = struct.pack("<HHHIII", method, 0, 33, crc, *sizes)
    local_flags = flags if local_flags is None else local_flags
    local = b"PK\3\4" + struct.pack("<HH", 20, local_flags) + what + struct.pack("<HH", len(local_name), 0)
    lengths = struct.pack("<HHHHHII", len(name), len(extra), len(comment), 0, 0, 0, offset)
    entry = b"PK\1\2" + struct.pack("<HHH", 20, 20, flags) + what + lengths + name + extra + comment
    return local + local_name + body, entry


def archive(
    *members: tuple[bytes, bytes],
    comment: bytes = b"",
    said_comment: int | None = None,
    directory: int | None = None,
    start: int | None = None,
    before_end: bytes = b"",
    disk: int = 0,
) -> bytes:
    """A zip file; members at offset 0 are placed one after the other."""
    content, entries = b"", b""
    for local, entry in members:
        if struct.unpack("<I", entry[42:46])[0] == 0:
            entry = entry[:42] + struct.pack("<I", len(content)) + entry[46:]
        content, entries = content + local, entries + entry
    size = len(entries) if directory is None else directory
    start = len(content) if start is None else start
    said = len(comment) if said_comment is None else said_comment
    count = min(len(members), 65535)
    end = b"PK\5\6" + struct.pack("<HHHHIIH", disk, disk, count, count, size, start, said)
    return content + entries + before_end + end + comment


def keras_members(**changes: bytes) -> list[tuple[bytes, bytes]]:
    """The four arrays of Keras' MNIST, all zeros, or other contents for some of them."""
    made = []
    for name, shape in SHAPES.items():
        content = changes.get(name)
        if content is None:
            content = npy(npy_header("'|u1'", str(shape)), bytes(int(np.prod(shape))))
        made.append(member(f"{name}.npy".encode(), content))
    return made


def x_train(content: bytes) -> bytes:
    """An archive of x_train alone, which is what is read first."""
    return archive(member(b"x_train.npy", content))


GOOD_NPY = npy(npy_header("'|u1'", "(60000, 28, 28)"), bytes(1000))
