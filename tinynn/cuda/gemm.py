"""Matrix products on a CUDA device through a handle of our own, so that they can be part of a captured step."""

from __future__ import annotations

import ctypes
import threading
import weakref
from typing import Any

from tinynn.checks import known_precision
from tinynn.cuda.blas_library import Library, load
from tinynn.cuda.gemm_call import WIDEST, Call, check_arrays, sketch
from tinynn.cuda.gemm_plan import Plan, Problem
from tinynn.cuda.gemm_rounding import rounded
from tinynn.cuda.kernels import Array, Kernels

__all__ = ["Gemm"]

ROOM = {90: 32 << 20, 0: 4 << 20}
"""Bytes of a workspace from that compute capability on: what NVIDIA advises, 32 MiB since Hopper."""

NEVER_ENDING = (0, 1, 2)
"""Streams that no object owns: the default one by its three names."""

OF_EACH_THREAD = 2
"""cudaStreamPerThread, one name for as many streams as there are threads."""

MOST = 4096
"""Products that are remembered. Beyond them all are forgotten, and asked for again."""


class Gemm:
    """out = a b, in float32, tf32 or bfloat16; float64 is multiplied in float64 whatever the precision.

    `precision`: "float32"; "tf32", elements of float32 lose their last 13 bits; "bfloat16", they are rounded to 8
    significant bits. Sums are of float32 at least. `xp`: CuPy. `library`: cuBLASLt, found where CuPy's own is.

    Read where they are: arrays whose rows, or whose columns, lie element behind element, so W.T too; any others are
    copied. The same call has the same bits on every run: an algorithm is chosen once for each problem, by shapes,
    layouts and alignment, among those that add up in a fixed order.

    A workspace belongs to each stream, and lives as long as the stream's object: whoever keeps a captured graph keeps
    the stream that it was captured on. It comes from no memory pool. May be used by several threads.

    Errors: MissingExtraError, ConfigurationError; ShapeError for arrays that have no product; StateError where the
    device fails.
    """

    def __init__(self, xp: Any, precision: str = "float32", library: Library | None = None) -> None:
        self.xp, self.precision = xp, known_precision(precision)
        self.library = load(xp.cuda.runtime.runtimeGetVersion() // 1000) if library is None else library
        self.kernels = Kernels(xp)
        self._lock = threading.RLock()
        self._calls: dict[Any, Call] = {}
        self._plans: dict[tuple[int, Problem], Plan] = {}
        self._handles: dict[int, int] = {}
        self._rooms: dict[Any, Any] = {}

    def matmul(self, a: Array, b: Array, out: Array) -> Array:
        """out = a b. Shapes: a (N, K), b (K, M), out (N, M)."""
        self._multiply(*self._rounded(a, b, out), out)
        return out

    def matmul_stack(self, a: Array, b: Array, out: Array) -> Array:
        """out[i] = a[i] b[i] for each matrix of the stack, in which axes that are missing or 1 are repeated.

        Shapes: a (..., N, K), b (..., K, M), out (..., N, M).
        """
        return self.matmul(a, b, out)

    def affine(self, x: Array, W: Array, b: Array, out: Array) -> Array:
        """out = x W + b. Shapes: x (N, D), W (D, M), b (M,), out (N, M)."""
        x, W = self._rounded(x, W, out)
        if not self._multiply(x, W, out, b):
            self._multiply(x, W, out)
            self.xp.add(out, b, out=out)
        return out

    def _rounded(self, a: Array, b: Array, out: Array) -> tuple[Array, Array]:
        """a and b as they are multiplied."""
        halves = self.precision == "bfloat16" and a.dtype.char == b.dtype.char == out.dtype.char == "f"
        if halves and a.size and b.size:
            return rounded(self.kernels, a), rounded(self.kernels, b)
        return a, b

    def _multiply(self, a: Array, b: Array, out: Array, vector: Array | None = None) -> bool:
        """Whether it was done; True always for a product without a vector."""
        to = out.data
        device, at_a, at_b, at_out = to.device_id, a.data.ptr, b.data.ptr, to.ptr
        at_vector, last = 0, None
        if vector is not None:
            at_vector, last = vector.data.ptr, (vector.shape, vector.strides, vector.dtype.char)
        low = (at_a | at_b | at_out | at_vector) % WIDEST
        dtypes = a.dtype.char, b.dtype.char, out.dtype.char
        key = (device, low, dtypes, a.shape, a.strides, b.shape, b.strides, out.shape, out.strides, last)
        call = self._calls.get(key)
        if call is None:
            with self._lock:
                call = self._arrange(key, a, b, out, vector, at_vector)
        if not call.steps:
            return self._otherwise(call, a, b, out, vector)
        stream = self.xp.cuda.get_current_stream()
        at_stream = stream.ptr
        room = self._rooms.get((device, at_stream))
        if room is None:
            room = self._make_room(device, stream)
        if call.crosswise:
            at_a, at_b = at_b, at_a
        for plan, places in call.steps:
            for in_a, in_b, in_out in places:
                if call.crosswise:
                    in_a, in_b = in_b, in_a
                addresses = at_a + in_a, at_b + in_b, at_out + in_out, room.ptr, at_stream
                if at_vector:
                    plan.run_with(at_vector, *addresses)
                else:
                    plan.run(*addresses)
        return True

    def _arrange(self, key: Any, a: Array, b: Array, out: Array, vector: Array | None, at_vector: int) -> Call:
        """The product as it is made from now on."""
        device, low, dtypes = key[:3]
        halved = self.precision == "bfloat16" and dtypes == ("H", "H", "f")
        check_arrays(a, b, out, vector, "uint16" if halved else str(out.dtype))
        precision = "float64" if dtypes[2] == "d" else self.precision
        call, problems = sketch(precision, a, b, out, vector, low)
        steps = []
        for problem, places in problems:
            plan = self._plans.get((device, problem))
            if plan is None:
                plan = Plan(self.library, self._handle(device), problem, self._room_size(device), at_vector)
                self._plans[device, problem] = plan
            if plan.refused:
                if vector is None:
                    self.library.check(plan.refused, str(plan))
                call, steps = Call(offered=False), []
                break
            steps.append((plan, places))
        if len(self._calls) >= MOST:
            self._calls.clear()
            self._plans.clear()
        self._calls[key] = call = call._replace(steps=tuple(steps))
        return call

    def _otherwise(self, call: Call, a: Array, b: Array, out: Array, vector: Array | None) -> bool:
        """What is not one call of the library's, or none with a vector."""
        xp = self.xp
        if call.empty:
            out[...] = 0
            return vector is None
        if call.copied is None:
            return call.offered
        a, b = (xp.array(x, order="C") if odd else x for x, odd in zip((a, b), call.copied, strict=False))
        if call.copied[3]:
            vector = xp.array(vector)
        if not call.copied[2]:
            return self._multiply(a, b, out, vector)
        whole = xp.empty(out.shape, out.dtype)
        done = self._multiply(a, b, whole, vector)
        if done:
            out[...] = whole
        return done

    def _handle(self, device: int) -> int:
        """The library's own state on a device."""
        handle = self._handles.get(device)
        if handle is None:
            made = ctypes.c_void_p()
            self.library.check(self.library.Create(ctypes.byref(made)), f"cublasLtCreate, for device {device}")
            handle = self._handles[device] = made.value or 0
            weakref.finalize(self, self.library.Destroy, handle).atexit = False  # the driver ends by itself
        return handle

    def _room_size(self, device: int) -> int:
        """The bytes of a workspace on a device."""
        capability = int(self.xp.cuda.Device(device).compute_capability)
        return next(size for least, size in ROOM.items() if capability >= least)

    def _make_room(self, device: int, stream: Any) -> Any:
        """The stream's workspace, from no pool: what a pool frees may be in use by a graph that it does not know."""
        key = (device, stream.ptr)
        if stream.ptr == OF_EACH_THREAD:
            key = (device, stream.ptr, threading.get_ident())
        with self._lock:
            room = self._rooms.get(key)
            if room is None:
                with self.xp.cuda.using_allocator(None):
                    room = self._rooms[key] = self.xp.cuda.alloc(self._room_size(device))
                if stream.ptr not in NEVER_ENDING:
                    weakref.finalize(stream, self._rooms.pop, key, None).atexit = False
        return room
