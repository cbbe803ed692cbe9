"""Files that mean harm, most with a digest that is right: one DataError, little memory, little work."""

from __future__ import annotations

import io
import os
import pickle
import random
import socket
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from misuse_helpers import X, net
from saving_helpers import AFFINE, ARRAYS, BUILD, model, npy, refused, seal, zipped

import tinynn
from tinynn import Affine, DataError
from tinynn.data.json_header import to_json
from tinynn.network import Network

HEADER = ("tinynn.json", to_json({"format": 1, "tinynn": "0", "numpy": "2", "network": AFFINE}))
W, B = (("0.W.npy", npy(ARRAYS["0.W"])), ("0.b.npy", npy(ARRAYS["0.b"])))
GOOD = [HEADER, W, B]
MEGABYTES = 100


class Evil:
    """Whoever unpickles it makes a file."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("unpickled",)


def with_header(**changes: Any) -> bytes:
    return zipped([("tinynn.json", to_json({"format": 1, "network": AFFINE, **changes})), W, B])


def raw_header(text: bytes) -> bytes:
    """What stands in the place of the network, byte by byte."""
    return zipped([("tinynn.json", b'{"format":1,"network":' + text + b"}"), W, B])


def lying(data: bytes, at: bytes, offset: int, field: bytes, last: bool = True) -> bytes:
    """The bytes with another field at an offset from a mark."""
    start = (data.rindex(at) if last else data.index(at)) + offset
    return seal(data[:start] + field + data[start + len(field) :])


def saved(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def sized(info: zipfile.ZipInfo) -> None:
    """Says in a field for large files that the member has 2^62 bytes."""
    info.extra = struct.pack("<HHQQ", 1, 16, 2**62, 2**62)


def many_members(count: int) -> bytes:
    """A list of so many members, all of them the first one."""
    good = zipped([HEADER])
    entry_at, end_at = good.rindex(b"PK\x01\x02"), good.rindex(b"PK\x05\x06")
    entry = bytearray(good[entry_at:end_at])
    local, entries = good[:entry_at], bytes(entry) * count
    large = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(entries), len(local))
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(local) + len(entries), 1)
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 78)
    return seal(local + entries + large + locator + end + good[-78:])


def two_records(count: int) -> bytes:
    """A record that says that the list is short, and in its midst another, which zipfile finds, that says otherwise."""
    good = zipped([HEADER])
    entry_at, end_at = good.rindex(b"PK\x01\x02"), good.rindex(b"PK\x05\x06")
    entries = good[entry_at:end_at] * count
    record = b"PK\x05\x06" * 2 + struct.pack("<HHHHIH", 0, 0, 1, 0, len(entries), 78)
    return seal(good[:entry_at] + entries + record + good[-78:])


def between() -> bytes:
    """Bytes that no member has, before a list that is where its record says."""
    good, more = zipped(GOOD), b"rm -rf /"
    at = good.index(b"PK\x01\x02")
    return lying(good[:at] + more + good[at:], b"PK\x05\x06", 16, struct.pack("<I", at + len(more)))


def overlapping() -> bytes:
    """Two names in the list for the same bytes."""
    good = zipped([HEADER, W, ("0.b.npy", W[1])])
    at_w, at_b = (good.index(name) - 30 for name in (b"0.W.npy", b"0.b.npy"))
    return lying(good, b"PK\x01\x02", 42, struct.pack("<I", at_w)) if at_b else b""


def quoted() -> bytes:
    """A member whose bytes are a whole other member."""
    inner = zipped([B])
    return zipped([HEADER, W, ("0.b.npy", inner[: inner.index(b"PK\x01\x02")])])


FILES: dict[str, Callable[[], bytes]] = {
    "a pickle": lambda: pickle.dumps(Evil()),
    "a pickle that ends like a file": lambda: seal(pickle.dumps(Evil()) + b"tinynn sha256 " + b"0" * 64),
    "objects in an npz": lambda: saved(W=np.array([Evil()], dtype=object)),
    "objects in a file": lambda: zipped([HEADER, ("0.W.npy", npy(np.array([Evil()], dtype=object))), B]),
    "a checkpoint of another library": lambda: zipped([("archive/data.pkl", pickle.dumps(Evil())), HEADER]),
    "a pickle for a header": lambda: zipped([("tinynn.json", pickle.dumps(Evil())), W, B]),
    "os.system": lambda: with_header(network={"layer": "os.system", "args": ["mkdir unpickled"], "build": BUILD}),
    "a dotted class": lambda: with_header(network={"layer": "builtins.eval", "args": ["1"], "build": BUILD}),
    "36 TiB": lambda: zipped([HEADER, ("0.W.npy", npy(ARRAYS["0.W"], SHAPE.replace(b"4, 3", b"3000000, 3000000"))), B]),
    "36 TiB of parameters": lambda: with_header(network=AFFINE | {"args": [{"layer": "Affine", "args": [10**13]}]}),
    "a compressed bomb": lambda: zipped(
        [HEADER, ("0.W.npy", npy(np.zeros(25 << 20, np.float32))), B], compression=zipfile.ZIP_DEFLATED
    ),
    "a compressed header": lambda: zipped(
        [(HEADER[0], HEADER[1] + b" " * (64 << 20)), W, B], compression=zipfile.ZIP_DEFLATED
    ),
    "bzip2": lambda: zipped(GOOD, compression=zipfile.ZIP_BZIP2),
    "an unknown compression": lambda: lying(zipped(GOOD), b"PK\x01\x02", 10, b"\x63\x00"),
    "encrypted": lambda: lying(zipped(GOOD), b"PK\x01\x02", 8, b"\x01\x00"),
    "members for the same bytes": overlapping,
    "a member in a member": quoted,
    "a member at the end of the world": lambda: lying(zipped(GOOD), b"PK\x01\x02", 42, b"\xff\xff\xff\x7f"),
    "a member beyond the file": lambda: lying(zipped(GOOD), b"PK\x01\x02", 20, struct.pack("<II", 2**31, 2**31)),
    "2^62 bytes": lambda: lying(zipped(GOOD, sized), b"PK\x01\x02", 20, b"\xff" * 8),
    "a list elsewhere": lambda: lying(zipped(GOOD), b"PK\x05\x06", 16, struct.pack("<I", 0)),
    "a list of 4 GB": lambda: lying(zipped(GOOD), b"PK\x05\x06", 12, b"\xff" * 4),
    "no list": lambda: lying(zipped(GOOD), b"PK\x05\x06", 12, bytes(4)),
    "a list within the list": lambda: lying(zipped(GOOD), b"PK\x05\x06", 8, b"PK\x05\x06"),
    "80,000 members": lambda: many_members(80_000),
    "a million members": lambda: many_members(1_000_000),
    "a million members by a second record": lambda: two_records(1_000_000),
    "a large list that is elsewhere": lambda: lying(many_members(10), b"PK\x06\x07", 8, struct.pack("<Q", 3)),
    "a large list of 2^60 bytes": lambda: lying(many_members(10), b"PK\x06\x06", 40, struct.pack("<Q", 2**60)),
    "a way up": lambda: zipped([HEADER, W, B, ("../../etc/cron.d/x.npy", W[1])]),
    "an absolute path": lambda: zipped([HEADER, W, B, ("/etc/cron.d/x.npy", W[1])]),
    "a drive": lambda: zipped([HEADER, W, B, ("C:\\windows\\x.npy", W[1])]),
    "a program": lambda: zipped([HEADER, W, B, ("x.py", b"import os")]),
    "one name twice": lambda: zipped([HEADER, W, B, B]),
    "a name in two cases": lambda: zipped([HEADER, W, B, ("0.w.npy", W[1])]),
    "something before it": lambda: seal(b"PK#!/bin/sh\n" + zipped(GOOD)),
    "something between": lambda: seal(zipped(GOOD).replace(b"PK\x01\x02", b"rm -rf /PK\x01\x02", 1)),
    "something before the list": between,
    "brackets": lambda: raw_header(b"[" * 900_000),
    "layers in layers": lambda: raw_header(b'{"layer":"Residual","args":[' * 10_000 + b"]}" * 10_000),
    "tuples in tuples": lambda: raw_header(b'{"tuple":[' * 300 + b"]}" * 300),
    "one key twice": lambda: raw_header(to_json(AFFINE).replace(b'"args":[3]', b'"args":[3],"args":[3]')),
    "5,000 digits": lambda: raw_header(to_json(AFFINE).replace(b"[3]", b"[" + b"9" * 5000 + b"]")),
    "4,000 digits": lambda: raw_header(to_json(AFFINE).replace(b"[3]", b"[" + b"9" * 4000 + b"]")),
    "NaN": lambda: raw_header(to_json(AFFINE).replace(b"[3]", b"[NaN]")),
    "infinity": lambda: raw_header(to_json(AFFINE).replace(b"[3]", b"[1e999]")),
    "lists of nothing": lambda: raw_header(b"[" + b"[]," * 340_000 + b"[]]"),
    "objects of nothing": lambda: raw_header(b"[" + b"{}," * 340_000 + b"{}]"),
    "objects of little": lambda: raw_header(b"[" + b'{"":0},' * 140_000 + b"{}]"),
    "many layers": lambda: raw_header(
        b'{"layer":"Sequential","args":[' + b'{"layer":"Tanh"},' * 50_000 + b'{"layer":"None"}]}'
    ),
    "many layers within": lambda: raw_header(
        b'{"layer":"Sequential","args":[' * 60 + b'{"layer":"Tanh"},' * 50_000 + b'{"layer":"Tanh"}' + b"]}" * 60
    ),
    "a long name": lambda: with_header(network={"layer": "x" * 900_000, "build": BUILD}),
    "a long text": lambda: with_header(network=AFFINE | {"args": [{"layer": "Affine", "args": ["x" * 900_000]}]}),
    "a header alone": lambda: zipped([HEADER]),
    "no header": lambda: zipped([W, B]),
    "a header behind": lambda: zipped([W, B, HEADER]),
    "a mark alone": lambda: seal(b"PKtinynn sha256 " + b"0" * 64),
    "zeros": lambda: bytes(1_000_000),
}
SHAPE = b"{'descr': '<f4', 'fortran_order': False, 'shape': (4, 3), }\n"


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_refused_in_little_memory(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "net.npz"
    path.write_bytes(FILES[name]())
    network = net(Affine(3))
    before = network.storage.params.tobytes()
    tracemalloc.start()
    try:
        refused(lambda: tinynn.load(path), path)
        try:  # the arrays alone may be right, and the description is then not read
            network.load(path)
        except (DataError, tinynn.ShapeError):
            assert network.storage.params.tobytes() == before
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MEGABYTES << 20
    assert [file.name for file in tmp_path.iterdir()] == ["net.npz"]


def test_the_file_that_they_are_made_of_is_right(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    for data in (zipped(GOOD), with_header(), raw_header(to_json(AFFINE)), seal(zipped(GOOD))):
        path.write_bytes(data)
        assert tinynn.load(path).predict(X).shape == (6, 3)


def special(kind: str, folder: Path) -> Path:
    """What has a name in a folder and is no file."""
    path = folder / "net.npz"
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a socket":
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(str(path))
    elif kind == "a folder":
        path.mkdir()
    else:
        targets = {
            "zeros": "/dev/zero",
            "the terminal": "/dev/tty",
            "itself": str(path),
            "nothing": "/nowhere",
            "a pipe of it": "pipe",
        }
        if kind == "a pipe of it":
            os.mkfifo(folder / "pipe")
        path.symlink_to(targets[kind])
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other ones")
@pytest.mark.parametrize("ending", ["npz", "safetensors"])
@pytest.mark.parametrize(
    "kind", ["a pipe", "a socket", "a folder", "zeros", "the terminal", "itself", "nothing", "a pipe of it"]
)
def test_what_is_no_file_is_refused_without_waiting(kind: str, ending: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's name is short
    path = special(kind, Path())
    path = path.rename(f"net.{ending}") if kind != "itself" or ending == "npz" else path
    refused(lambda: tinynn.load(path), path)
    refused(lambda: net(Affine(3)).load(path), path)


def test_a_link_to_a_file_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "link.npz").symlink_to(model(tmp_path / "net.npz"))
    assert tinynn.load(tmp_path / "link.npz").predict(X).shape == (6, 3)


def test_all_of_them_together_take_little_memory_as_the_system_counts_it(tmp_path: Path) -> None:
    """Resident memory of a process that is given all of them: what NumPy asks for outside of Python too."""
    paths = []
    for i, make in enumerate(FILES.values()):
        paths.append(tmp_path / f"{i}.npz")
        paths[-1].write_bytes(make())
    program = (
        "import resource, sys, tinynn, tinynn.network.loading, tinynn.data.archive\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n        tinynn.load(path)\n    except tinynn.DataError:\n        pass\n"
        "    else:\n        raise SystemExit(path)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, *paths], capture_output=True, text=True, check=True)
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(done.stdout) * unit < MEGABYTES << 20


def test_whatever_is_changed_under_a_right_digest_is_refused_or_is_a_network(tmp_path: Path) -> None:
    draw, path, counts = random.Random(0), tmp_path / "net.npz", [0, 0]
    wholes = []
    for layers in ([Affine(3)], [Affine(3, W=np.ones((4, 3))), tinynn.Dropout(0.5), tinynn.PReLU()]):
        net(*layers).save(path)
        wholes.append(path.read_bytes())
    for i in range(3000):
        data = bytearray(wholes[i % 2])
        for _ in range(draw.randint(1, 4)):
            place = draw.randrange(len(data) - 78)
            if i % 3 == 0:
                data[place] = draw.randrange(256)
            elif i % 3 == 1:
                data[place : place + draw.randint(0, 8)] = draw.randbytes(draw.randint(0, 8))
            else:
                other = draw.randrange(len(data) - 78)
                data[place : place + 8] = data[other : other + 8]
        path.write_bytes(seal(bytes(data)))
        try:
            loaded = tinynn.load(path)
        except DataError:
            counts[0] += 1
        else:
            counts[1] += 1
            assert isinstance(loaded, Network)
    assert min(counts) > 10
