"""Damaged files by the thousand: any file becomes one DataError, or an array that an independent reader gives too.

    python tests/fuzz_helpers.py --minutes 10

goes through all formats in turn, each try a number from which it can be made again, and prints what it found.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import random
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import fuzz_corpus_idx
import fuzz_corpus_text
import numpy as np
from data_helpers import CODES, assert_complete, idx_bytes
from fuzz_corpus import (
    IMAGES,
    LABELS,
    TEST_LABELS,
    TRAIN_IMAGES,
    archive,
    gz,
    member,
    npy,
    npy_header,
    put_small_set,
    text,
)

from tinynn import datasets
from tinynn.data import archive as tinynn_archive
from tinynn.data import keras_npz, read_idx, read_text_digit
from tinynn.errors import DataError

# ---- damage

INTERESTING = [
    *(value.to_bytes(size, "big") for value in (0, 1, 127, 255) for size in (1, 4)),
    *(value.to_bytes(4, "big") for value in (2**31 - 1, 2**31, 2**32 - 1, 2**16)),
    *(value.to_bytes(4, "little") for value in (1, 2**31 - 1, 2**31, 2**16)),
    *(b"\x1f\x8b\x08\0", b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"\x93NUMPY", b"\0\0\x08\x03"),
    *(b"\t", b"\n", b"\r\n", b"256", b"-1", b"1e999", b"nan", b"'<M8[s/0]'", b"'|O'", b"True", b"(", b"99999999999,"),
]


def damaged(content: bytes, draw: random.Random, others: list[bytes]) -> bytes:
    """One to four changes: bits, bytes, cuts, insertions, repetitions, pieces of another file."""
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 3, 4))):
        at = min(draw.randrange(len(data) + 1), draw.randrange(len(data) + 1))  # the beginnings say the most
        end = min(len(data), at + draw.choice((1, 1, 2, 4, 8, 64, 1000)))
        kind = draw.randrange(9)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            data[at:end] = draw.randbytes(end - at)
        elif kind == 2:
            piece = draw.choice(INTERESTING)
            data[at : at + len(piece)] = piece
        elif kind == 3:
            data[at:at] = draw.choice(INTERESTING)
        elif kind == 4:
            del data[at:end]
        elif kind == 5:
            del data[at:]
        elif kind == 6:
            data[at:at] = data[at:end] * draw.choice((1, 2, 50))
        elif kind == 7:
            other = draw.choice(others)
            data[at:] = other[draw.randrange(len(other) + 1) :]
        else:
            data += draw.randbytes(draw.randrange(30))
    return bytes(data)


# ---- the formats: how a file is made of a number, and what must be true of what is read from it


class Format(NamedTuple):
    """`make(draw)`: the bytes. `load(path)`: by the public door. `check(result, bytes)`: by an independent reader."""

    file: str
    make: Callable[[random.Random], bytes]
    load: Callable[[Path], Any]
    check: Callable[[Any, bytes], None]


def idx_seeds() -> list[bytes]:
    random_bytes = np.random.default_rng(0)
    arrays = (random_bytes.integers(0, 99, shape).astype(kind) for shape in ((7,), (2, 3, 4), (0, 5)) for kind in CODES)
    hostile = [case.make() for table in (fuzz_corpus_idx.HEADERS, fuzz_corpus_idx.GZIPPED) for case in table.values()]
    return [*map(idx_bytes, arrays), IMAGES, LABELS, *(content for content in hostile if len(content) < 5000)]


IDX = idx_seeds()
TEXTS = [text(), text(end="\r\n"), *(case.content for case in fuzz_corpus_text.HOSTILE.values())]
SMALL = {"x_train": (60, 5, 4), "y_train": (60,), "x_test": (10, 5, 4), "y_test": (10,)}
NPYS = {
    name: npy(npy_header("'|u1'", str(shape)), bytes(i % 10 for i in range(int(np.prod(shape)))))
    for name, shape in SMALL.items()
}
SHARD = npy(npy_header("'<f4'", "(6, 2)"), np.arange(12, dtype="<f4").tobytes())


def make_idx(draw: random.Random) -> bytes:
    return damaged(draw.choice(IDX), draw, IDX)


def make_gz(draw: random.Random) -> bytes:
    """Damage within, around, or both; sometimes in several members."""
    content = draw.choice(IDX)
    if draw.random() < 0.3:
        content = damaged(content, draw, IDX)
    cut = draw.randrange(len(content) + 1) if draw.random() < 0.3 else len(content)
    fields = fuzz_corpus_idx.EVERY_FIELD + fuzz_corpus_idx.header_sum(31, fuzz_corpus_idx.EVERY_FIELD)
    first = gz(content[:cut], flags=31, fields=fields) if draw.random() < 0.2 else gz(content[:cut])
    packed = first + (gz(content[cut:]) if cut < len(content) else b"")
    return damaged(packed, draw, [gz(IMAGES), gz(b"")]) if draw.random() < 0.8 else packed


def make_labels(draw: random.Random) -> bytes:
    content = idx_bytes(np.arange(5, dtype=np.uint8))
    return damaged(gz(content) if draw.random() < 0.3 else content, draw, IDX)


def make_text(draw: random.Random) -> bytes:
    return damaged(draw.choice(TEXTS[:2] if draw.random() < 0.5 else TEXTS), draw, [*INTERESTING, *TEXTS])


def make_npz(draw: random.Random) -> bytes:
    contents = dict(NPYS)
    if draw.random() < 0.6:
        name = draw.choice(list(contents))
        contents[name] = damaged(contents[name], draw, list(NPYS.values()))
    parts = [member(f"{name}.npy".encode(), content) for name, content in contents.items()]
    whole = archive(*parts)
    return damaged(whole, draw, [whole]) if draw.random() < 0.5 else whole


def make_shard(draw: random.Random) -> bytes:
    return damaged(SHARD, draw, [SHARD, *NPYS.values()])


def make_archive(draw: random.Random) -> bytes:
    """Damaged, and mostly sealed anew with a digest that fits, as one would who means harm."""
    content = damaged(MODEL, draw, [MODEL])
    if draw.random() < 0.9:
        body = content[: max(0, len(content) - tinynn_archive.DIGITS)]
        body = body if body.endswith(tinynn_archive.MARK) else MODEL[: -tinynn_archive.DIGITS]
        content = body + hashlib.sha256(body).hexdigest().encode()
    return content


def model() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        tinynn_archive.write(
            Path(folder, "m"), {"a": [1, 2.5, None, {"b": "c"}]}, {"0.W": np.ones((3, 2)), "b": np.arange(3)}
        )
        return Path(folder, "m").read_bytes()


MODEL = model()


def load_npz(path: Path) -> Any:
    with patch.dict(keras_npz._SHAPES, SMALL):
        return keras_npz.read_keras_mnist(path)


def load_shards(path: Path) -> Any:
    targets = path.with_name("targets-0.npy")
    if not targets.exists():
        targets.write_bytes(npy(npy_header("'|u1'", "(6,)"), bytes(6)))
    data = datasets.shards(path.parent)
    return data.take(np.arange(len(data)))[0]


def load_set(path: Path) -> Any:
    others = path.with_name("others")
    if not others.exists():
        put_small_set(others)
        for other in others.iterdir():
            if other.name != path.name:
                path.with_name(other.name).write_bytes(other.read_bytes())
    return datasets.load(path.parent)


def check_idx(array: np.ndarray, content: bytes) -> None:
    assert array.flags.c_contiguous and array.flags.writeable and array.dtype.isnative
    # It also says that nothing is left out: written again, it is the file.
    assert idx_bytes(array) == (unzipped(content) if content[:2] == b"\x1f\x8b" else content)


def unzipped(content: bytes) -> bytes:
    """By zlib's own reader of gzip."""
    data = b""
    while content:
        one = zlib.decompressobj(31)
        data, content = data + one.decompress(content), one.unused_data.lstrip(b"\0")
        assert one.eof
    return data


def check_text(digit: tuple[np.ndarray, int], content: bytes) -> None:
    image, label = digit
    rows = [[int(value) for value in line.split()] for line in content.decode("utf-8-sig").split("\n")]
    assert rows[:28] == image.tolist() and rows[28] == [label] and not any(rows[29:])
    assert image.dtype == np.uint8 and 0 <= label < 10


def check_npz(arrays: dict[str, np.ndarray], content: bytes) -> None:
    with np.load(io.BytesIO(content)) as file:
        for name, shape in SMALL.items():
            assert arrays[name].shape == shape and np.array_equal(arrays[name], file[name])


def check_shard(rows: np.ndarray, content: bytes) -> None:
    assert rows.tobytes() == np.load(io.BytesIO(content)).tobytes()


def check_set(dataset: Any, _: bytes) -> None:
    for images, labels in dataset:
        assert images.dtype == labels.dtype == np.uint8 and images.ndim == 3 and len(images) == len(labels) > 0
        assert labels.max() < 10


def check_archive(result: Any, content: bytes) -> None:
    header, arrays = result
    assert isinstance(header, dict) and sum(array.nbytes for array in arrays.values()) <= len(content)
    assert all(array.dtype.kind in "biuf" for array in arrays.values())


FORMATS = {
    "idx": Format("a.idx", make_idx, read_idx, check_idx),
    "gzip": Format("a.idx.gz", make_gz, read_idx, check_idx),
    "set": Format(TRAIN_IMAGES, lambda draw: damaged(IMAGES, draw, IDX), load_set, check_set),
    "labels": Format(TEST_LABELS, make_labels, load_set, check_set),
    "text": Format("7.txt", make_text, read_text_digit, check_text),
    "npz": Format("mnist.npz", make_npz, load_npz, check_npz),
    "shards": Format("inputs-0.npy", make_shard, load_shards, check_shard),
    "archive": Format("model", make_archive, tinynn_archive.read, check_archive),
}


def attempt(name: str, seed: int, folder: Path) -> bool:
    """One try; whether the file was accepted. Raises for anything but a DataError with its path or a right result."""
    form, draw = FORMATS[name], random.Random(f"{name} {seed}")
    content, path = form.make(draw), folder / form.file
    path.unlink(missing_ok=True)  # some file systems wait for the disk when a file is written over
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            result = form.load(path)
        except DataError as error:
            assert_complete(error)
            # Two files may contradict each other: a count of images and one of labels.
            assert error.path is not None and Path(error.path).parent == folder
            assert error.path == str(path) or form.load in (load_set, load_shards), error.path
            assert len(str(error)) < 2000 + 3 * len(str(path)), "an error as long as a file"
            return False
    form.check(result, content)
    return True


# ---- for minutes


def main() -> int:
    import resource  # not at the top: Windows has no such module

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1_000_000, help="the number of the first try")
    options = parser.parse_args()
    tried, accepted = dict.fromkeys(FORMATS, 0), dict.fromkeys(FORMATS, 0)
    slowest, findings, seed = (0.0, "", 0), 0, options.seed
    end = time.monotonic() + 60 * options.minutes
    with tempfile.TemporaryDirectory() as folder:
        for name in FORMATS:
            Path(folder, name).mkdir()
        while time.monotonic() < end:
            for name in FORMATS:
                started = time.perf_counter()
                tried[name] += 1
                try:
                    accepted[name] += attempt(name, seed, Path(folder, name))
                except Exception:
                    findings += 1
                    print(f"{name} {seed}\n{traceback.format_exc()}", flush=True)
                slowest = max(slowest, (time.perf_counter() - started, name, seed))
            seed += 1
    for name in FORMATS:
        print(f"{name:10}{tried[name]:>10,} tries{accepted[name]:>10,} accepted")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"{sum(tried.values()):,} tries, {findings} findings; the slowest, {slowest[1]} {slowest[2]}, ", end="")
    print(f"took {slowest[0]:.3f} s; at most {peak} MiB of memory in all")
    return int(findings > 0)


if __name__ == "__main__":
    sys.exit(main())
