"""Hostile IDX files, plain and gzip: what a data set says when one of its four files is such a one."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from data_helpers import idx_bytes
from fuzz_corpus import (
    IMAGES,
    LABELS,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    archive,
    bomb,
    deflated,
    gz,
    images_claim,
    member,
)


class Case(NamedTuple):
    """`make`: the content of the file `at`. The error names `blamed`, or else `at`, and contains `says`.

    `unpacks`: so many bytes may be unpacked at most until the file is refused.
    """

    make: Callable[[], bytes]
    says: str
    at: str = TRAIN_IMAGES
    offset: int | None = None
    blamed: str | None = None
    unpacks: int = 2048


GREAT = 0xFFFFFFFF  # -1, to whoever reads it as signed
GZ = gz(IMAGES)


def changed(content: bytes, at: int, to: bytes) -> bytes:
    at %= len(content)
    return content[:at] + to + content[at + len(to) :]


EVERY_FIELD = b"\3\0abcname\0comment\0"


def header_sum(flags: int, fields: bytes) -> bytes:
    """The checksum of a gzip header, its last two bytes."""
    return (zlib.crc32(b"\x1f\x8b\x08" + bytes([flags]) + bytes(6) + fields) & 0xFFFF).to_bytes(2, "little")


def body(bits: bytes) -> Callable[[], bytes]:
    """Images whose compressed bytes are `bits`."""
    return lambda: gz(IMAGES, body=bits)


def pickled() -> bytes:
    return b"\x80\x04\x95\x1a\0\0\0\0\0\0\0\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R."


# --- what the header says

HEADERS: dict[str, Case] = {
    "sizes of -1": Case(lambda: images_claim(GREAT, GREAT, GREAT), "multiply", offset=4),
    "a count of -1": Case(lambda: images_claim(GREAT, 4, 4), "too early", offset=16),
    "a label count of -1": Case(lambda: images_claim(GREAT), "4,294,967,295 bytes", TRAIN_LABELS, offset=8),
    "a label count of -1, compressed": Case(lambda: gz(images_claim(GREAT)), "max_bytes", TRAIN_LABELS, offset=8),
    "36 TiB of images": Case(lambda: images_claim(12, 2**21, 2**21) + bytes(4), "too early", offset=20),
    "36 TiB of images, compressed": Case(lambda: gz(images_claim(12, 2**21, 2**21)), "max_bytes", offset=16),
    "a GiB of labels, compressed": Case(lambda: gz(images_claim(2**30)), "do not belong", TRAIN_LABELS),
    "2**64 elements, 0 to who counts in 64 bits": Case(lambda: images_claim(2**31, 2**31, 4), "multiply", offset=4),
    "2**64 + 192 elements": Case(lambda: images_claim(12, 2**32 - 1, 2**31), "multiply", offset=4),
    "2**32 elements, 0 to who counts in 32 bits": Case(
        lambda: images_claim(2**16, 2**16, 1), "4,294,967,296 bytes", offset=16
    ),
    "no images": Case(lambda: images_claim(0, 4, 4), "shape (0, 4, 4)"),
    "no rows": Case(lambda: images_claim(12, 0, 4), "shape (12, 0, 4)"),
    "no labels": Case(lambda: images_claim(0), "0 labels", TRAIN_LABELS),
    "no dimensions": Case(lambda: b"\0\0\x08\0\x05", "1 to 64", TRAIN_LABELS, offset=3),
    "200 dimensions of 1": Case(lambda: images_claim(*[1] * 200), "1 to 64", offset=3),
    "images of int16": Case(lambda: idx_bytes(np.zeros((12, 4, 4), np.int16)), "int16"),
    "labels of float32": Case(lambda: idx_bytes(np.full(5, np.nan, np.float32)), "float32", TEST_LABELS),
    "colour images": Case(lambda: idx_bytes(np.zeros((12, 4, 4, 3), np.uint8)), "(12, 4, 4, 3)"),
    "type 0x0F": Case(lambda: changed(IMAGES, 2, b"\x0f"), "0x0F", offset=2),
    "little endian": Case(lambda: b"\x03\x08\0\0" + IMAGES[4:], "not an IDX file", offset=0),
    "sizes little endian": Case(lambda: IMAGES[:4] + np.array([12, 4, 4], "<u4").tobytes() + IMAGES[16:], "multiply"),
    "half of a size": Case(lambda: IMAGES[:14], "the dimensions", offset=14),
    "labels cut": Case(lambda: LABELS[:-2], "10 bytes", TRAIN_LABELS, offset=18),
    "images behind the images": Case(lambda: IMAGES + IMAGES, "208 more bytes", offset=208),
    "label 255": Case(lambda: idx_bytes(np.full(5, 255, np.uint8)), "255 at index 0", TEST_LABELS),
    "empty": Case(lambda: b"", "too early", TEST_LABELS, offset=0),
}

# --- what is no IDX file at all

OTHERS: dict[str, Case] = {
    name: Case(lambda content=content: content, "not an IDX file", offset=0)
    for name, content in {
        "a pointer of git-lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 47040016\n",
        "a page": b"<!DOCTYPE html><title>404</title>",
        "UTF-16": "0 0 8 3".encode("utf-16"),
        "a pickle": pickled(),
        "an ELF program": b"\x7fELF\x02\x01\x01" + bytes(57),
        "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(40),
        "npy": b"\x93NUMPY\1\0v\0" + bytes(118),
        "xz": b"\xfd7zXZ\0" + bytes(26),
        "zstd": b"\x28\xb5\x2f\xfd" + bytes(9),
        "zip around the file": archive(member(b"train-images-idx3-ubyte", IMAGES)),
        "gzip in gzip": gz(GZ),
        "gzip in gzip in gzip": gz(gz(GZ)),
        "zip in gzip": gz(archive(member(b"a", IMAGES))),
    }.items()
}

# --- gzip

GZIPPED: dict[str, Case] = {
    "gzip: method 9": Case(lambda: gz(IMAGES, method=9), "unknown compression method 9", offset=0),
    "gzip: reserved flags": Case(lambda: gz(IMAGES, flags=0xE0), "unknown flags 0xE0", offset=0),
    "gzip: a name without an end": Case(lambda: gz(b"", flags=8, fields=b"a" * 2_000_000), "a name or comment of more"),
    "gzip: a comment without an end": Case(lambda: gz(b"", flags=24, fields=b"a\0" + b"b" * 2_000_000), "a name or"),
    "gzip: a name, and nothing else": Case(lambda: GZ[:3] + b"\x08" + bytes(6) + b"name", "within the name"),
    "gzip: extra field of 65,535 cut": Case(lambda: gz(IMAGES, flags=4, fields=b"\xff\xff"), "format's own bytes"),
    "gzip: a checksum of the header cut": Case(lambda: GZ[:3] + b"\x02" + bytes(6) + b"\0", "format's own bytes"),
    "gzip: a wrong checksum of the header": Case(lambda: gz(IMAGES, flags=2, fields=b"\0\0"), "header has another"),
    "gzip: a block of type 3": Case(body(b"\x07"), "damaged"),
    "gzip: a stored block that contradicts itself": Case(body(b"\x01\x05\0\0\0abcde"), "damaged"),
    "gzip: a stored block that takes the checksum for data": Case(body(b"\x01\xff\xff\0\0"), "not an IDX file"),
    "gzip: a reference behind the start": Case(body(b"\x03\x02\x02\0"), "damaged"),
    "gzip: a tree without codes": Case(body(b"\x05\xe0\x81" + bytes(20)), "damaged"),
    "gzip: no body": Case(lambda: GZ[:10], "ends before its end"),
    "gzip: no checksum": Case(lambda: GZ[:-8], "format's own bytes", offset=208),
    "gzip: a checksum of 0": Case(lambda: gz(IMAGES, crc=0), "CRC 0x00000000 promised", offset=208),
    "gzip: another checksum for labels": Case(lambda: gz(LABELS, crc=1), "CRC", TRAIN_LABELS, offset=20),
    "gzip: a length of 2**32 - 1": Case(lambda: gz(IMAGES, length=GREAT), "4294967295 promised", offset=208),
    "gzip: a length of 0": Case(lambda: gz(IMAGES, length=0), "a length of 0 promised", offset=208),
    "gzip: garbage behind": Case(lambda: GZ + b"\0\0garbage", "no gzip member", offset=208),
    "gzip: half a header behind": Case(lambda: GZ + b"\x1f\x8b", "format's own bytes", offset=208),
    "gzip: a bad member behind": Case(lambda: gz(IMAGES[:99]) + gz(IMAGES[99:], crc=7), "CRC", offset=208),
    "gzip: a member too many": Case(lambda: GZ + gz(b"x"), "goes on", offset=208),
    "gzip: 200,000 members of nothing": Case(lambda: gz(b"") * 200_000 + GZ, "1,000 members without data", offset=0),
    "gzip: a member of nothing after each byte, in vain": Case(
        lambda: b"".join(gz(IMAGES[i : i + 1]) + gz(b"") for i in range(200)), "too early", offset=200
    ),
    "gzip: stored without compression, cut": Case(
        lambda: gz(IMAGES, body=deflated(IMAGES, 0)[:-10]), "the compressed data", offset=None
    ),
}

# --- bombs; none of them is unpacked

BOMBS: dict[str, Case] = {
    "bomb: 512 MiB behind the images": Case(lambda: bomb(IMAGES, 512), "goes on", offset=208),
    "bomb: 512 MiB behind the labels": Case(lambda: bomb(LABELS, 512), "goes on", TRAIN_LABELS, offset=20),
    "bomb: 512 MiB instead of a header": Case(lambda: bomb(b"", 512), "unknown element type", offset=2),
    "bomb: an honest GiB of float64": Case(lambda: bomb(images_claim(2**27, code=0x0E), 1024), "float64"),
    "bomb: an honest GiB of images too many": Case(
        lambda: bomb(images_claim(2**20, 32, 32), 1024), "1,048,576 labels", blamed=TRAIN_LABELS
    ),
    "bomb: an honest GiB of labels": Case(lambda: bomb(images_claim(2**30), 1024), "1,073,741,824", TRAIN_LABELS),
    "bomb: an honest GiB in 3 dimensions as labels": Case(
        lambda: bomb(images_claim(2**20, 32, 32), 1024), "not class labels", TRAIN_LABELS
    ),
    "bomb: 12 images of 64 MiB": Case(
        lambda: bomb(images_claim(12, 2**13, 2**13), 768), "of another size", blamed="t10k-images-idx3-ubyte"
    ),
    "bomb: more than max_bytes": Case(lambda: bomb(images_claim(12, 2**14, 2**14), 8), "max_bytes"),
    "bomb: gzip of a bomb": Case(lambda: gz(bomb(b"", 512)), "not an IDX file", offset=0),
}

HOSTILE: dict[str, Case] = {**HEADERS, **OTHERS, **GZIPPED, **BOMBS}

ACCEPTED: dict[str, Callable[[], bytes]] = {
    "gzip with every field": lambda: gz(IMAGES, flags=31, fields=EVERY_FIELD + header_sum(31, EVERY_FIELD)),
    "gzip in 208 members": lambda: b"".join(gz(IMAGES[i : i + 1]) for i in range(208)),
    "gzip with 999 members of nothing": lambda: gz(b"") * 999 + GZ,
    "gzip with zeros between and behind": lambda: gz(IMAGES[:7]) + bytes(100_000) + gz(IMAGES[7:]) + bytes(8 << 20),
    "gzip without compression": lambda: gz(IMAGES, body=deflated(IMAGES, 0)),
    "gzip with a name of 100,000 letters": lambda: gz(IMAGES, flags=8, fields=b"n" * 100_000 + b"\0"),
}
