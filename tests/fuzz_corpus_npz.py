"""Hostile archives in the place of Keras' mnist.npz, and what is said of them."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from fuzz_corpus import GOOD_NPY, archive, bomb, gz, keras_members, member, npy, npy_header, text, x_train

SHAPE = "(60000, 28, 28)"


class Case(NamedTuple):
    """`unpacks`: so many bytes may be unpacked at most until the file is refused."""

    make: Callable[[], bytes]
    says: str
    unpacks: int = 70_000


def saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


class Opener:
    """What would open a shell if it were unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('a pickle was run')",)


def header(descr: str, shape: str = SHAPE, order: str = "False", says: str = "not MNIST's") -> Case:
    return Case(lambda: x_train(npy(npy_header(descr, shape, order), bytes(1000))), says)


def text_header(content: str, says: str = "the header of x_train is damaged") -> Case:
    return Case(lambda: x_train(npy(content, bytes(1000))), says)


# --- what the header of an array says

HEADERS: dict[str, Case] = {
    "a pickle": Case(lambda: x_train(saved(np.array([Opener()], object))), "object"),
    "objects": header("'|O'", says="object"),
    "objects of MNIST's shape": Case(lambda: x_train(npy(npy_header("'|O'", SHAPE), b"\x80\4\x95")), "object"),
    "a class by its name": header("'posix.system'", says="'posix.system'"),
    "a class of ours by its name": header("'tinynn.layer.Layer'", says="tinynn.layer.Layer"),
    "records": header("[('a', '|u1'), ('b', '<f8')]", says="[('a', '|u1'), ("),
    "records, as text": header("'u1,u1'", says="'u1,u1'"),
    "records with 3,000 fields": header(repr([(f"f{i}", "u1") for i in range(3000)]), says="[('f0', 'u1')"),
    "an array in each element": header("'(2,)u1'", says="'(2,)u1'"),
    "elements of 2 GiB": header("'|V2147483647'", says="V2147483647"),
    "texts of 4 GiB": header("'<U1073741823'", says="U1073741823"),
    "texts of 10**30 letters": header(f"'<U{10**30}'", says="<U1000"),
    "texts of no letters": header("'<U0'", says="str of shape"),
    "dates": header("'<M8[ns]'", says="M8[ns]"),
    "dates of a strange unit": header("'<M8[7s/0]'", says="M8[7s/0]"),
    "booleans": header("'|b1'", says="bool"),
    "int8": header("'|i1'", says="int8"),
    "complex": header("'<c16'", says="complex128"),
    "big endian": header("'>u2'", says="uint16"),
    "floats of 3 bytes": header("'<f3'", says="'<f3'"),
    "a type that NumPy warns of": header("'a'", says="'a'"),
    "a type of 60,000 letters": header(f"'{'u' * 60_000}'", says="uuu"),
    "Fortran order": header("'|u1'", order="True", says="Fortran"),
    "Fortran order, perhaps": header("'|u1'", order="None", says="damaged"),
    "a negative size": header("'|u1'", "(-60000, 28, 28)", says="shape (-60000,"),
    "sizes of 2**63": header("'|u1'", f"({2**63}, {2**63}, 28)", says=str(2**63)),
    "a size of 5,000 digits": header("'|u1'", f"({'9' * 5000},)", says="damaged"),
    "a size with a zero in front": header("'|u1'", "(060000, 28, 28)", says="its shape is"),
    "a size of true": header("'|u1'", "(True, 28, 28)", says="damaged"),
    "a size with an underscore": header("'|u1'", "(60_000, 28, 28)", says="damaged"),
    "a size of another script": header("'|u1'", "(\u00b2, 28, 28)", says="damaged"),
    "20,000 dimensions": header("'|u1'", f"({'1, ' * 20_000})", says="20000 dimensions"),
    "no shape": header("'|u1'", "()", says="shape () in"),
    "a shape that calls": header("'|u1'", "(exit(), 28, 28)", says="damaged"),
    "nothing but brackets": text_header("(" * 60_000),
    "nothing but minus signs": text_header("-" * 60_000 + "1"),
    "a power of powers": header("9**9**9", says="9**9**9"),
    "an escape that Python warns of": header("'\\d'", says="'\\d'"),
    "a key too many": text_header(npy_header("'|u1'", SHAPE).replace("}", "'more': 1}")),
    "a key twice": text_header(npy_header("'|u1'", SHAPE).replace("}", "'shape': (1,)}")),
    "the keys in another order": text_header("{'shape': (60000, 28, 28), 'fortran_order': False, 'descr': '|u1'}\n"),
    "no end of line": text_header(npy_header("'|u1'", SHAPE).rstrip()),
    "null characters": text_header("\0" * 118),
    "another magic string": Case(lambda: x_train(b"\x93NUMPX" + GOOD_NPY[6:]), "magic string"),
    "version 3": Case(lambda: x_train(npy(b"", version=b"\3\0")), "(3, 0)"),
    "version 1.1": Case(lambda: x_train(npy(b"", version=b"\1\1")), "(1, 1)"),
    "a header longer than the file": Case(lambda: x_train(npy("{}", length=65535)), "damaged"),
    "a header of nothing": Case(lambda: x_train(npy("")), "damaged"),
    "nothing": Case(lambda: x_train(b""), "nothing"),
    "an archive in the archive": Case(lambda: x_train(x_train(GOOD_NPY)), "magic string"),
    "gzip in the archive": Case(lambda: x_train(gz(GOOD_NPY)), "magic string"),
    "text": Case(lambda: x_train(text()), "magic string"),
}


# --- what the archive says of itself


def a(content: bytes = GOOD_NPY, **options: Any) -> tuple[bytes, bytes]:
    return member(b"x_train.npy", content, **options)


def zip64(size: int, start: int) -> bytes:
    """The records of an archive whose directory has 64-bit numbers; `before_end` of `archive`."""
    record = b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 1, 1, size, start)
    return record + b"PK\6\7" + struct.pack("<IQI", 0, start + size, 1)


def members_of_nothing() -> bytes:
    """16 MiB of directory: 340,000 members, which as Python's objects would take 130 MB."""
    entry = member(b"a", b"", method=0)[1]
    return archive((b"", entry * ((16 << 20) // len(entry) - 3)))


def overlapping() -> bytes:
    """Four members that are one piece of data."""
    local, _ = a()
    names = (b"x_train.npy", b"y_train.npy", b"x_test.npy", b"y_test.npy")
    return archive((local, b"".join(member(name, GOOD_NPY)[1] for name in names)))


ARCHIVES: dict[str, Case] = {
    "an array twice": Case(lambda: archive(a(), a(b"other")), "2 times"),
    "names that lead out": Case(lambda: archive(member(b"../x_train.npy", GOOD_NPY)), "lacks x_train"),
    "an absolute name": Case(lambda: archive(member(b"/x_train.npy", GOOD_NPY)), "lacks x_train"),
    "a name of Windows": Case(lambda: archive(member(b"..\\x_train.npy", GOOD_NPY)), "lacks x_train"),
    "a folder of that name": Case(lambda: archive(member(b"x_train.npy/", b"")), "lacks x_train"),
    "a name of 65,535 letters": Case(lambda: archive(member(b"x" * 65535, b"")), "lacks x_train"),
    "a name cut by a null character": Case(lambda: archive(member(b"x_train.npy\0.txt", b"?")), "damaged"),
    "a name that is no UTF-8": Case(lambda: archive(member(b"\xff\xfe", b"", flags=1 << 11)), "damaged"),
    "another name before the data": Case(lambda: archive(a(local_name=b"y_train.npy")), "damaged"),
    "a long name before the data": Case(lambda: archive(a(local_name=b"y" * 60_000)), "damaged"),
    "encrypted": Case(lambda: archive(a(flags=1)), "encrypted"),
    "encrypted, strongly": Case(lambda: archive(a(flags=65)), "damaged"),
    "patch data": Case(lambda: archive(a(flags=32)), "damaged"),
    "deflate64": Case(lambda: archive(a(method=9)), "method 9"),
    "zstandard": Case(lambda: archive(a(method=93)), "method 93"),
    "an unknown method": Case(lambda: archive(a(method=99)), "method 99"),
    "a method for one part only": Case(lambda: archive((a()[0], a(method=12)[1])), "method 12"),
    "needs zip 9.9": Case(lambda: archive((a()[0], a()[1].replace(b"\x14\0\x14\0", b"\x14\0\x63\0", 1))), "damaged"),
    "no deflate data": Case(lambda: archive(a(body=b"\xff" * 100)), "damaged"),
    "deflate data cut": Case(lambda: archive(a(body=a()[0][41:60])), "damaged"),
    "a wrong checksum": Case(lambda: archive(a(crc=1)), "damaged"),
    "a size of 10": Case(lambda: archive(a(size=10)), "damaged"),
    "sizes of 2**32 - 1": Case(lambda: archive(a(size=2**32 - 2, packed=2**32 - 2)), "too early"),
    "no packed bytes": Case(lambda: archive(a(packed=0)), "damaged"),
    "stored, and cut": Case(lambda: archive(a(method=0, packed=2**31, size=2**31)), "damaged"),
    "data behind the end": Case(lambda: archive(a(offset=2**32 - 2)), "damaged"),
    "data in the directory": Case(lambda: archive(a(offset=len(a()[0]))), "damaged"),
    "one piece of data for all": Case(overlapping, "x_train"),  # newer Pythons refuse it at once
    "an extra field cut": Case(lambda: archive(a(extra=b"\1\0\xff\xff")), "damaged"),
    "an extra field of zip64 without numbers": Case(lambda: archive(a(extra=b"\1\0\0\0", size=2**32 - 1)), "damaged"),
    "a directory of 1 byte": Case(lambda: archive(a(), directory=1), "damaged"),
    "a directory of 4 GiB": Case(lambda: archive(a(), directory=2**32 - 2), "damaged"),
    "a directory before the start": Case(lambda: archive(a(), start=2**32 - 2), "damaged"),
    "a directory of 2**62 bytes": Case(
        lambda: archive(a(), directory=2**32 - 1, start=2**32 - 1, before_end=zip64(2**62, 2**62)), "damaged"
    ),
    "a directory of 16 MiB": Case(members_of_nothing, "directory is too large"),
    "a third disk": Case(lambda: archive(a(), disk=3), "early"),
    "a comment of 65,535 letters": Case(lambda: archive(a(), comment=b"c" * 65535), "early"),
    "a comment that ends before it should": Case(lambda: archive(a(), comment=b"c", said_comment=60_000), "early"),
    "an archive in the comment": Case(lambda: archive(a(), comment=archive(member(b"b", b""))), "lacks x_train"),
    "only the end of an archive": Case(lambda: archive(a())[-22:], "damaged"),
    "without its end": Case(lambda: archive(a())[:-22], "damaged"),
    "half an archive": Case(lambda: archive(a())[: len(a()[0]) // 2], "damaged"),
    "gzip around it": Case(lambda: gz(archive(a())), "damaged"),
    "a page in front of it": Case(lambda: b"<html>" + archive(*keras_members()), "b'<htm' for a magic number"),
    "a plain array": Case(lambda: GOOD_NPY, "not a zip file"),
    "zeros": Case(lambda: bytes(1 << 20), "not a zip file"),
    "gzip, a bomb": Case(lambda: bomb(b"", 512), "not a zip file"),
    "ends of archives, and nothing else": Case(lambda: b"PK\5\6" * 100_000, "damaged"),
}

# --- bombs: MNIST's shape is all that is unpacked

BOMBS: dict[str, Case] = {
    "128 MiB behind the array": Case(
        lambda: archive(a(npy(npy_header("'|u1'", SHAPE), bytes(47_040_000 + (128 << 20))))), "goes on", 48_100_000
    ),
    "128 MiB of another type": Case(lambda: archive(a(npy(npy_header("'<f8'", SHAPE), bytes(128 << 20)))), "float64"),
    "128 MiB without a header": Case(lambda: archive(a(bytes(128 << 20))), "magic string"),
    "128 MiB in another member": Case(lambda: archive(member(b"bomb", bytes(128 << 20))), "lacks x_train"),
    "labels of 128 MiB": Case(
        lambda: archive(*keras_members(y_train=npy(npy_header("'|u1'", "(60000,)"), bytes(128 << 20)))),
        "goes on",
        49_200_000,
    ),
}

LABELS: dict[str, Case] = {
    "label 10 behind all others": Case(
        lambda: archive(*keras_members(y_test=npy(npy_header("'|u1'", "(10000,)"), bytes(9999) + b"\x0a"))),
        "10 at index 9999",
        60_000_000,
    ),
    "a label missing": Case(
        lambda: archive(*keras_members(y_test=npy(npy_header("'|u1'", "(9999,)"), bytes(9999)))), "9999", 60_000_000
    ),
}

HOSTILE: dict[str, Case] = {**HEADERS, **ARCHIVES, **BOMBS, **LABELS}

ACCEPTED: dict[str, Callable[[], bytes]] = {
    "as Python 2 wrote it": lambda: archive(
        *keras_members(y_test=npy(npy_header("'|u1'", "(10000L,)"), bytes(10_000)))
    ),
    "padded to 64 bytes": lambda: archive(
        *keras_members(y_test=npy(npy_header("'|u1'", "(10000,)").rstrip() + " " * 60 + "\n", bytes(10_000)))
    ),
    "with a comment and another member": lambda: archive(
        *keras_members(), member(b"readme.txt", b"hello"), comment=b"c" * 65535
    ),
}
