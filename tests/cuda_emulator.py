"""CUDA kernels without a GPU: `EmulatedDevice` compiles them as C++ and runs them on the device that is not there.

Every launch is made twice on copies of its arrays, once with a page behind each array that may not be touched and the
threads first to last, once with one before it and the threads last to first. Both must write the same bits, so neither
the order of the threads nor what lies beside the arrays has any say in them.
"""

from __future__ import annotations

import ctypes
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinynn.backend.cuda_ops import CudaOps
from tinynn.cuda.kernels import NULL
from tinynn.testing import FakeDevice
from tinynn.testing.device_array import QUEUE
from tinynn.testing.fake_device import FakeCupy

__all__ = ["EmulatedCupy", "EmulatedDevice", "EmulationError", "compiled", "extent", "needs_a_compiler", "on_device"]

MISSING = "" if sys.platform == "linux" and shutil.which("g++") else "needs Linux and g++, to run CUDA kernels as C++"
needs_a_compiler = pytest.mark.skipif(bool(MISSING), reason=MISSING)

HEADER = Path(__file__).with_name("cuda_emulator.h")
KEPT = Path(__file__).resolve().parents[1] / "out" / "emulated"
FLAGS = ("-std=c++14", "-O1", "-fPIC", "-shared", "-ffp-contract=off", "-Wall", "-Werror")
FLAGS += ("-Wno-unused", "-Wno-unknown-pragmas")
# Undefined arithmetic becomes an instruction that ends the launch.
FLAGS += ("-fsanitize=undefined", "-fsanitize-undefined-trap-on-error", "-U_FORTIFY_SOURCE")
ENDS = {
    1: "not all threads of a block reach a barrier",
    2: "a read or write outside the arrays",
    3: "arithmetic that C++ does not define",
}


LOCK = threading.Lock()  # the fibres and the shared memory of a library are there once


class EmulationError(AssertionError):
    """A kernel that does what no kernel may do, or is called with arguments that are not its own."""


class EmulatedDevice(FakeDevice, CudaOps):
    """The verbs as kernels, on the device that is not there; `launched` lists the kernels by their names."""

    name = "emulated"

    def __init__(self) -> None:
        super().__init__()
        self.xp = EmulatedCupy()

    @property
    def launched(self) -> list[str]:
        return self.xp.launched

    def __reduce__(self) -> tuple[Any, ...]:
        return EmulatedDevice, ()


class EmulatedCupy(FakeCupy):
    """CuPy with modules of CUDA source."""

    def __init__(self) -> None:
        super().__init__()
        self.launched: list[str] = []

    def RawModule(self, code: str, options: tuple[str, ...] = ()) -> RawModule:
        """As CuPy's."""
        return RawModule(self, code)


class RawModule:
    """A source, compiled by g++."""

    def __init__(self, xp: EmulatedCupy, code: str) -> None:
        self.xp = xp
        with LOCK:
            self.library = library(code)

    def get_function(self, name: str) -> Any:
        """As CuPy's: what it returns is called with blocks, threads and arguments."""
        describe, start = (getattr(self.library, f"{prefix}_{name}") for prefix in ("describe", "launch"))
        letters, sizes = ctypes.create_string_buffer(64), (ctypes.c_int * 64)()
        count = describe(letters, sizes)
        parameters = [(letters.raw[i : i + 1].decode(), sizes[i]) for i in range(count)]

        def function(blocks: tuple[int, ...], threads: tuple[int, ...], args: Sequence[Any]) -> None:
            check(name, parameters, args)
            self.xp.launched.append(name)
            QUEUE.do(lambda *given: both_ways(name, start, blocks[0], threads[0], given), *args)

        return function


def check(name: str, parameters: Sequence[tuple[str, int]], args: Sequence[Any]) -> None:
    """Errors: EmulationError for arguments that a device would read as something else, or as too many bytes."""
    if len(args) != len(parameters):
        raise EmulationError(f"{name} has {len(parameters)} parameters, and is given {len(args)} arguments")
    for i, (arg, (letter, size)) in enumerate(zip(args, parameters, strict=True)):
        if hasattr(arg, "strides") and not isinstance(arg, np.generic):
            right = letter == "p"
        elif letter == "p":
            right = type(arg) is type(NULL) and arg == NULL
        else:
            right = isinstance(arg, np.generic) and arg.itemsize == size and (arg.dtype.kind == "f") == (letter == "f")
        if not right:
            raise EmulationError(f"{name}: argument {i}, {arg!r}, for a parameter {letter} of {size} bytes")


def both_ways(name: str, start: Any, blocks: int, threads: int, given: Sequence[Any]) -> None:
    """The launch, in both orders; the arrays then hold what it wrote."""
    arrays = {extent(x): x for x in given if isinstance(x, np.ndarray) and x.size}
    places = sorted(arrays)
    for (_, end), (begin, _) in pairwise(places):
        if begin < end:
            raise EmulationError(f"{name}: arrays that overlap without being the same")
    with LOCK:
        results = [run(name, start, blocks, threads, given, places, backwards) for backwards in (False, True)]
    if results[0] != results[1]:
        raise EmulationError(f"{name}: what is written depends on the order of the threads")
    for (begin, _), bytes_ in zip(places, results[0], strict=True):
        ctypes.memmove(begin, bytes_, len(bytes_))


def run(
    name: str, start: Any, blocks: int, threads: int, given: Sequence[Any], places: list[Any], backwards: bool
) -> list[bytes]:
    """What the memory of the arrays holds after a launch on copies of it."""
    rooms = {place: Guarded(*place, at_the_end=not backwards) for place in places}
    try:
        held = []
        for x in given:
            if isinstance(x, np.ndarray):
                # The first element of an array whose axes run backwards is not its first byte.
                at = rooms[extent(x)].address + x.ctypes.data - extent(x)[0] if x.size else 0
                held.append(ctypes.c_void_p(at))
            else:
                held.append(ctypes.create_string_buffer(x.tobytes(), x.itemsize))
        args = (ctypes.c_void_p * len(held))(*(ctypes.addressof(x) for x in held))
        result = start(blocks, threads, args, backwards)
        if result:
            raise EmulationError(f"{name}: {ENDS[result]}")
        return [ctypes.string_at(rooms[place].address, place[1] - place[0]) for place in places]
    finally:
        for room in rooms.values():
            room.close()


def extent(x: np.ndarray) -> tuple[int, int]:
    """The bytes that an array reaches over."""
    return np.lib.array_utils.byte_bounds(x)


PAGE = 4096


class Guarded:
    """A copy of some memory, directly before or behind a page that may not be touched."""

    def __init__(self, begin: int, end: int, at_the_end: bool) -> None:
        size = end - begin
        room = -(-size // PAGE) * PAGE
        self.size = room + PAGE
        self.start = libc().mmap(None, self.size, 3, 0x22, -1, 0)  # read and write; private and of no file
        libc().mprotect(self.start + (room if at_the_end else 0), PAGE, 0)
        self.address = self.start + (room - size if at_the_end else PAGE)
        ctypes.memmove(self.address, begin, size)

    def close(self) -> None:
        libc().munmap(self.start, self.size)


@cache
def libc() -> Any:
    library, pointer, size = ctypes.CDLL(None), ctypes.c_void_p, ctypes.c_size_t
    library.mmap.restype = pointer
    library.mmap.argtypes = (pointer, size, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
    library.mprotect.argtypes, library.munmap.argtypes = (pointer, size, ctypes.c_int), (pointer, size)
    return library


@cache
def compiler() -> str:
    """Its version, which decides too what comes of a source."""
    return subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True).stdout


def compiled(source: str, flags: Sequence[str], *included: Path) -> ctypes.CDLL:
    """C++ as a library, kept for the other processes of a run and for the next run: g++ takes longer than the tests.

    Errors: EmulationError, with what g++ says.
    """
    parts = [compiler(), *flags, *(header.read_text(encoding="utf-8") for header in included), source]
    name = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    kept = KEPT / f"{name}.so"
    if not kept.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=KEPT) as folder:
            place, made = Path(folder) / "source.cpp", Path(folder) / "made.so"
            place.write_text(source, encoding="utf-8")
            command = ["g++", *flags, f"-I{HEADER.parent}", str(place), "-o", str(made)]
            result = subprocess.run(command, capture_output=True, text=True)
            if result.returncode:
                raise EmulationError(f"g++ refuses the source:\n{result.stderr}")
            made.replace(kept)  # whole or not at all, since another process may look for it
    return ctypes.CDLL(str(kept))


@cache
def library(code: str) -> ctypes.CDLL:
    """The source as a library, with a way in for each of its kernels."""
    barriers = int("__syncthreads" in code)
    kernels = re.findall(r"__global__\s+void\s+(\w+)", code)
    ways_in = (f"EMULATE({kernel}, {barriers})" for kernel in kernels)
    return compiled("\n".join([f'#include "{HEADER.name}"', code, *ways_in]), FLAGS, HEADER)


def on_device(x: np.ndarray) -> Any:
    """The array itself as one of the device's, in the layout that it has."""
    return QUEUE.owned(x)
