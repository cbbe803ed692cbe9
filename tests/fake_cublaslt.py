"""cuBLASLt without a GPU: `fake_cublaslt.cpp`, and a module like CuPy whose arrays are in the host's memory."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cuda_emulator
import numpy as np
import pytest
from cuda_emulator import both_ways, check, compiled

from tinynn.cuda.blas_library import Library
from tinynn.cuda.gemm import Gemm

__all__ = ["Device", "HostCupy", "Stream", "fake", "gemm", "library", "on_host", "ones"]

SOURCE = Path(__file__).with_name("fake_cublaslt.cpp")
FLAGS = ("-std=c++14", "-O1", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror")


@cache
def fake() -> ctypes.CDLL:
    """The fake library. Its functions fake_...() say what it was asked, or make it refuse, fail or wait."""
    dll = compiled(SOURCE.read_text(encoding="utf-8"), FLAGS, SOURCE.with_suffix(".h"))
    for name in ("asked", "computed", "alive", "stream"):
        getattr(dll, f"fake_{name}").restype = ctypes.c_longlong
    return dll


@pytest.fixture
def library() -> Iterator[ctypes.CDLL]:
    """The fake library, which afterwards does its work again."""
    dll = fake()
    yield dll
    for change in (dll.fake_refuse, dll.fake_fail, dll.fake_delay):
        change(0)


class Device(np.ndarray):
    """An array that names its address as CuPy's do."""

    @property
    def data(self) -> Any:
        """As CuPy's."""
        return SimpleNamespace(ptr=self.ctypes.data, device_id=0)


def on_host(x: np.ndarray) -> Device:
    """The same memory, as an array of `HostCupy`."""
    return x.view(Device)


def ones(*shape: int, dtype: str = "float32") -> Any:
    """An array of 1."""
    return on_host(np.ones(shape, dtype))


class Stream:
    """As CuPy's, with an address that nobody looks behind."""

    def __init__(self, ptr: int) -> None:
        self.ptr = ptr


class HostCupy:
    """What the door to the products asks of CuPy. `stream` is the current one, `allocated` the sizes of workspaces."""

    ndarray = Device

    def __init__(self, capability: str = "90") -> None:
        self.stream = Stream(0)
        self.allocated: list[int] = []
        self.launched: list[str] = []
        self.pool = "the pool of a captured step"
        self.cuda = SimpleNamespace(
            runtime=SimpleNamespace(runtimeGetVersion=lambda: 13010),
            Device=lambda device: SimpleNamespace(compute_capability=capability),
            get_current_stream=lambda: self.stream,
            using_allocator=self._using_allocator,
            alloc=self._alloc,
        )
        self.add = np.add

    def empty(self, shape: Any, dtype: Any) -> Device:
        """Full of what would not pass for a result."""
        out = np.empty(shape, dtype)
        out.view(np.uint8)[...] = 0xFF
        return on_host(out)

    def array(self, x: Any, order: Any = "K") -> Device:
        """A copy."""
        return on_host(np.array(x, order=order))

    @contextmanager
    def _using_allocator(self, allocator: Any) -> Iterator[None]:
        before, self.pool = self.pool, allocator
        yield
        self.pool = before

    def _alloc(self, size: int) -> Any:
        assert self.pool is None, "a workspace from a pool"
        self.allocated.append(size)
        room = np.empty(size, np.uint8)
        return SimpleNamespace(ptr=room.ctypes.data, room=room)

    def RawModule(self, code: str, options: tuple[str, ...] = ()) -> Any:
        """As CuPy's."""
        dll = cuda_emulator.library(code)

        def get_function(name: str) -> Callable[..., None]:
            letters, sizes = ctypes.create_string_buffer(64), (ctypes.c_int * 64)()
            count = getattr(dll, f"describe_{name}")(letters, sizes)
            parameters = [(letters.raw[i : i + 1].decode(), sizes[i]) for i in range(count)]

            def function(blocks: tuple[int, ...], threads: tuple[int, ...], args: Sequence[Any]) -> None:
                check(name, parameters, args)
                self.launched.append(name)
                both_ways(name, getattr(dll, f"launch_{name}"), blocks[0], threads[0], args)

            return function

        return SimpleNamespace(get_function=get_function)


def gemm(precision: str = "float32", xp: HostCupy | None = None) -> Gemm:
    """The door, on the host."""
    return Gemm(HostCupy() if xp is None else xp, precision, Library(fake()))
