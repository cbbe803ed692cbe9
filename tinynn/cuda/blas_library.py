"""cuBLASLt, NVIDIA's library of matrix products: where it lies, its functions, and its statuses as errors."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from collections.abc import Iterator
from ctypes import POINTER, c_int, c_int64, c_size_t, c_uint64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

from tinynn.errors import ConfigurationError, MissingExtraError, StateError

__all__ = ["NOT_SUPPORTED", "Algorithm", "Library", "Suggestion", "find", "load"]


class Algorithm(ctypes.Structure):
    """How a product is computed: the library's own notes, which nobody else reads."""

    _fields_ = (("data", c_uint64 * 8),)


class Suggestion(ctypes.Structure):
    """One answer of the heuristics; `state` is 0 where the algorithm may be used."""

    _fields_ = (
        ("algorithm", Algorithm),
        ("workspace", c_size_t),
        ("state", c_int),
        ("waves", ctypes.c_float),
        ("reserved", c_int * 4),
    )


OUT = POINTER(c_void_p)
FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "Create": (OUT,),
    "Destroy": (c_void_p,),
    "MatmulDescCreate": (OUT, c_int, c_int),
    "MatmulDescSetAttribute": (c_void_p, c_int, c_void_p, c_size_t),
    "MatmulDescDestroy": (c_void_p,),
    "MatrixLayoutCreate": (OUT, c_int, c_uint64, c_uint64, c_int64),
    "MatrixLayoutSetAttribute": (c_void_p, c_int, c_void_p, c_size_t),
    "MatrixLayoutDestroy": (c_void_p,),
    "MatmulPreferenceCreate": (OUT,),
    "MatmulPreferenceSetAttribute": (c_void_p, c_int, c_void_p, c_size_t),
    "MatmulPreferenceDestroy": (c_void_p,),
    "MatmulAlgoGetHeuristic": (*(c_void_p,) * 7, c_int, POINTER(Suggestion), POINTER(c_int)),
    "Matmul": (*(c_void_p,) * 14, c_size_t, c_void_p),
}
"""The functions, without the prefix cublasLt, and their parameters; all return a status."""

NOT_SUPPORTED = 15
OTHER = 'precision="float32", or arrays of other shapes'
OURS = "report it with this message: tinynn asked for what the library does not take"
EARLIER = "look for the first error on the GPU, with CUDA_LAUNCH_BLOCKING=1 in the environment"
STATUSES = {
    1: ("NOT_INITIALIZED", "a GPU, and a driver as new as this library; `tinynn doctor` looks at both"),
    3: ("ALLOC_FAILED", "a smaller batch or network: there is no memory left on the GPU"),
    7: ("INVALID_VALUE", OURS),
    8: ("ARCH_MISMATCH", 'precision="float32": the GPU lacks what was asked for'),
    11: ("MAPPING_ERROR", EARLIER),
    13: ("EXECUTION_FAILED", EARLIER),
    14: ("INTERNAL_ERROR", f"{EARLIER}; in a captured step, ask for the product once before the capture"),
    NOT_SUPPORTED: ("NOT_SUPPORTED", OTHER),
    16: ("LICENSE_ERROR", "a GPU that this library may be used on"),
}
"""The names of cublasStatus_t behind CUBLAS_STATUS_, and what to do about each."""

USUAL = ("/usr/local/cuda", "/opt/cuda")
"""Where Linux has a toolkit if nobody says otherwise."""

CHOICES = (7, 8, NOT_SUPPORTED, 16)
"""Statuses that say something of what was asked, not of what happened."""


class Library:
    """The functions of a loaded cuBLASLt: `library.Matmul(...)` is cublasLtMatmul, and returns its status."""

    def __init__(self, dll: ctypes.CDLL) -> None:
        for name, parameters in FUNCTIONS.items():
            function = getattr(dll, f"cublasLt{name}")
            function.argtypes, function.restype = parameters, c_int
            setattr(self, name, function)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"cublasLt{name} is none of the functions that are used")

    @staticmethod
    def check(status: int, asked: str) -> None:
        """Errors: ConfigurationError for what the library does not do, StateError for what went wrong in doing it."""
        if status:
            name, fix = STATUSES.get(status, ("?", EARLIER))
            kind = ConfigurationError if status in CHOICES else StateError
            raise kind(
                "cuBLASLt does not compute a matrix product" if status in CHOICES else "cuBLASLt has failed",
                where=asked,
                expected="CUBLAS_STATUS_SUCCESS",
                got=f"CUBLAS_STATUS_{name} ({status})",
                fix=fix,
            )


@cache
def load(major: int) -> Library:
    """The library of that major version of CUDA.

    Errors: MissingExtraError, with a note of where it was looked for.
    """
    tried = []
    for place in find(major):
        try:
            return Library(ctypes.CDLL(place))
        except OSError as error:
            tried.append(f"{place}: {error}")
    error = MissingExtraError(
        "nvidia-cublas" if major >= 13 else f"nvidia-cublas-cu{major}",
        extra=f"cuda{major}-ctk",
        purpose=f"a matrix product on the GPU, by the library {filename(major)},",
    )
    error.add_note("looked for in\n  " + "\n  ".join(tried))
    raise error


def filename(major: int) -> str:
    """The name of the library's file."""
    return f"cublasLt64_{major}.dll" if sys.platform == "win32" else f"libcublasLt.so.{major}"


def find(major: int) -> Iterator[str]:
    """Where the library is: files that are there, and last its name alone, for the system's loader to find.

    The first are those of pip's packages, which CuPy takes first as well; the two should not use different ones.
    """
    name = filename(major)
    for folder in folders(major):
        if (folder / name).is_file():
            yield str(folder / name)
    yield name


def folders(major: int) -> Iterator[Path]:
    """Folders that may hold the library: of pip's packages, of conda's environment, of an installed toolkit."""
    windows = sys.platform == "win32"
    spec = importlib.util.find_spec("nvidia")  # a folder that many packages share; it has no __init__
    for root in map(Path, (spec and spec.submodule_search_locations) or ()):
        yield root / f"cu{major}" / ("bin/x86_64" if windows else "lib")  # from CUDA 13 on
        yield root / "cublas" / ("bin" if windows else "lib")
    if conda := os.environ.get("CONDA_PREFIX"):
        yield Path(conda) / ("Library/bin" if windows else "lib")
    toolkits = [toolkit for name in ("CUDA_PATH", "CUDA_HOME") if (toolkit := os.environ.get(name))]
    for toolkit in (*toolkits, *(() if windows else USUAL)):
        for part in ("bin/x64", "bin") if windows else ("lib64", "lib"):
            yield Path(toolkit) / part
