"""A product of matrices as cuBLASLt is told of it, and the algorithm that its heuristics choose.

    D = A B, then the epilogue

cuBLASLt counts in columns: D, (M, N), is stored column behind column, which is a NumPy array (N, M), row behind row.
So `out = a b` is asked for as `out.T = b.T a.T`: the library's A is b, its B is a, and no matrix is moved.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from ctypes import addressof, byref, c_int, c_int32, c_int64, c_uint32, c_uint64, c_void_p, sizeof
from typing import Any, NamedTuple

from tinynn.cuda.blas_library import NOT_SUPPORTED, Algorithm, Library, Suggestion

__all__ = ["BIAS", "PLAIN", "Plan", "Problem"]

PLAIN, BIAS = 1, 4
"""Epilogues: none; plus a vector along the rows of `out`. CUBLASLT_EPILOGUE_DEFAULT and _BIAS."""

TYPES = {"float32": 0, "float64": 1, "bfloat16": 14}  # CUDA_R_32F, CUDA_R_64F, CUDA_R_16BF
COMPUTE = {"float32": 68, "bfloat16": 68, "float64": 70, "tf32": 77}  # CUBLAS_COMPUTE_32F, _64F, _32F_FAST_TF32

TRANSA, TRANSB, EPILOGUE, VECTOR = 3, 4, 7, 8  # CUBLASLT_MATMUL_DESC_...; the vector: _BIAS_POINTER
BATCH_COUNT, BATCH_OFFSET = 5, 6  # CUBLASLT_MATRIX_LAYOUT_...
WORKSPACE, REDUCTIONS, ALIGNMENTS = 1, 3, (5, 6, 7, 8)  # CUBLASLT_MATMUL_PREF_...

WHOLE, CUT = 0, 2
"""CUBLASLT_REDUCTION_SCHEME_NONE and _COMPUTE_TYPE. A sum over k may be cut into parts only if they are added up in a
fixed order and in full precision, in a step of its own: then every run has the same bits."""

FEW = range(64, 129)
"""A sum of so many products is not cut: adding up its parts, which is a kernel of its own, takes longer than it saves.
Left alone, the library's heuristics do cut it: on an H200 (128, 100) by (100, 10) takes 7.0 us then, and 4.7 whole.

A sum of fewer is left to them: (128, 10) by (10, 100) takes 5.9 us cut, and 9.7 whole, for then they choose a tile of
128 by 256.
"""

ANSWERS = 4


class Problem(NamedTuple):
    """All that the choice of an algorithm depends on. Sizes and strides in elements, `alignment` in bytes.

    `transpose_a`: A is stored as (K, M), not (M, K). `precision`: what elements are rounded to before they are
    multiplied. `batch`: the number of products, `batch_a` and the others the steps between their matrices.
    """

    precision: str
    epilogue: int
    M: int
    N: int
    K: int
    transpose_a: bool
    lda: int
    transpose_b: bool
    ldb: int
    ldd: int
    batch: int
    batch_a: int
    batch_b: int
    batch_d: int
    alignment: int

    def __str__(self) -> str:
        times = f"{self.batch} times " if self.batch > 1 else ""
        shapes = f"({self.N}, {self.K}) by ({self.K}, {self.M})"
        return f"{times}{shapes} in {self.precision}{' plus a bias' if self.epilogue == BIAS else ''}"


class Descriptor:
    """One of the library's notes on a product, by its kind and address."""

    def __init__(self, library: Library, kind: str, *args: int) -> None:
        self.library, self.kind = library, kind
        self._set, self._destroy = getattr(library, f"{kind}SetAttribute"), getattr(library, f"{kind}Destroy")
        found = c_void_p()
        library.check(getattr(library, f"{kind}Create")(byref(found), *args), f"cublasLt{kind}Create{args}")
        self.address = found.value

    def set(self, attribute: int, value: Any) -> None:
        """`value`: a number of ctypes, of the attribute's own size."""
        status = self._set(self.address, attribute, byref(value), sizeof(value))
        self.library.check(status, f"cublasLt{self.kind}SetAttribute({attribute}, {value.value})")

    def __del__(self) -> None:
        if address := getattr(self, "address", None):
            self._destroy(address)


class Plan:
    """`run(A, B, D, workspace, stream)` computes, given addresses; `run_with(vector, ...)` where there is a vector.

    `size`: the bytes of the workspace. `refused`: 0, or the status of heuristics that offer no algorithm.
    Errors: those of `Library.check`.
    """

    def __init__(self, library: Library, handle: int, problem: Problem, size: int, vector: int) -> None:
        self.library, self.handle, self.problem, self.size = library, handle, problem, size
        p = problem
        double = p.precision == "float64"
        stored, result = TYPES.get(p.precision, TYPES["float32"]), TYPES["float64" if double else "float32"]
        number = ctypes.c_double if double else ctypes.c_float
        self.alpha, self.beta, self.algorithm = number(1), number(0), Algorithm()
        self.product = Descriptor(library, "MatmulDesc", COMPUTE[p.precision], result)
        self.product.set(TRANSA, c_int32(p.transpose_a))
        self.product.set(TRANSB, c_int32(p.transpose_b))
        self.product.set(EPILOGUE, c_uint32(p.epilogue))
        if p.epilogue != PLAIN:
            self.product.set(VECTOR, c_void_p(vector))
        self._vector, self._lock = vector, threading.Lock()
        self.A = self.layout(stored, (p.K, p.M) if p.transpose_a else (p.M, p.K), p.lda, p.batch_a)
        self.B = self.layout(stored, (p.N, p.K) if p.transpose_b else (p.K, p.N), p.ldb, p.batch_b)
        self.D = self.layout(result, (p.M, p.N), p.ldd, p.batch_d)
        self.refused = self.choose()
        self._call = self.caller()

    def layout(self, stored: int, shape: tuple[int, int], leading: int, step: int) -> Descriptor:
        """A matrix, or as many as the problem has, `step` elements from one to the next."""
        made = Descriptor(self.library, "MatrixLayout", stored, *shape, leading)
        if self.problem.batch > 1:
            made.set(BATCH_COUNT, c_int32(self.problem.batch))
            made.set(BATCH_OFFSET, c_int64(step))
        return made

    def wishes(self, reductions: int) -> Descriptor:
        """What an algorithm has to be content with."""
        made = Descriptor(self.library, "MatmulPreference")
        made.set(WORKSPACE, c_uint64(self.size))
        made.set(REDUCTIONS, c_uint32(reductions))
        for attribute in ALIGNMENTS:
            made.set(attribute, c_uint32(self.problem.alignment))
        return made

    def choose(self) -> int:
        """Asks the heuristics for an algorithm; 0, or the status where they have none."""
        if self.problem.K in FEW and not self.ask(WHOLE):
            return 0
        return self.ask(CUT)

    def ask(self, reductions: int) -> int:
        """For an algorithm that adds up in one of these ways."""
        wishes = self.wishes(reductions)
        found, count = (Suggestion * ANSWERS)(), c_int()
        told = (x.address for x in (self.product, self.A, self.B, self.D, self.D, wishes))
        status = self.library.MatmulAlgoGetHeuristic(self.handle, *told, ANSWERS, found, byref(count))
        if status not in (0, NOT_SUPPORTED):
            self.library.check(status, str(self))
        for suggestion in found[: count.value]:
            if not status and not suggestion.state:
                ctypes.pointer(self.algorithm)[0] = suggestion.algorithm
                return 0
        return NOT_SUPPORTED

    def caller(self) -> Callable[[int, int, int, int, int], int]:
        """The call with all that does not change filled in."""
        matmul, handle, product, size = self.library.Matmul, self.handle, self.product.address, self.size
        layout_a, layout_b, layout_d = self.A.address, self.B.address, self.D.address
        alpha, beta, algorithm = addressof(self.alpha), addressof(self.beta), addressof(self.algorithm)

        def call(A: int, B: int, D: int, workspace: int, stream: int) -> int:
            # C, which beta = 0 leaves unread, is D.
            return matmul(
                *(handle, product, alpha, A, layout_a, B, layout_b, beta, D, layout_d, D, layout_d),
                *(algorithm, workspace, size, stream),
            )

        return call

    def run(self, A: int, B: int, D: int, workspace: int, stream: int) -> None:
        """Asks for the product on that stream; returns before it is done."""
        if status := self._call(A, B, D, workspace, stream):
            self.library.check(status, str(self))

    def run_with(self, vector: int, A: int, B: int, D: int, workspace: int, stream: int) -> None:
        """As `run`, with the epilogue's vector."""
        with self._lock:  # its address is part of the description, which two threads may not change at once
            if vector != self._vector:
                self.product.set(VECTOR, c_void_p(vector))
                self._vector = vector
            self.run(A, B, D, workspace, stream)

    def __str__(self) -> str:
        return f"a matrix product, {self.problem}"
