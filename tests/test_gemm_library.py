"""cuBLASLt: where it is looked for, what it is told, and its statuses as errors."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cuda_emulator import needs_a_compiler
from fake_cublaslt import HostCupy, fake, gemm, library, ones

from tinynn.cuda import blas_library
from tinynn.cuda.blas_library import Library, Suggestion, find, load
from tinynn.cuda.gemm import Gemm
from tinynn.cuda.gemm_plan import BIAS, CUT, PLAIN, Descriptor, Plan, Problem
from tinynn.errors import ConfigurationError, MissingExtraError, ShapeError, StateError, TinynnError

__all__ = ["library"]


# --- errors


@pytest.mark.parametrize(
    ("a", "b", "out"),
    [((4, 3), (2, 2), (4, 2)), ((4, 3), (3, 2), (4, 3)), ((3,), (3, 2), (2,)), ((2, 4, 3), (3, 3, 2), (2, 4, 2))],
)
@needs_a_compiler
def test_arrays_that_have_no_product(a: Any, b: Any, out: Any) -> None:
    with pytest.raises(ShapeError) as caught:
        gemm().matmul_stack(ones(*a), ones(*b), ones(*out))
    assert f"{a} by {b} into {out}" in str(caught.value)


@needs_a_compiler
def test_vectors_and_dtypes_that_do_not_fit() -> None:
    door = gemm("bfloat16")
    with pytest.raises(ShapeError, match=r"with a vector \(M,\)"):
        door.affine(ones(4, 3), ones(3, 2), ones(3), ones(4, 2))
    for kinds in (
        ("float32", "float64", "float64"),
        ("int32",) * 3,
        ("float16",) * 3,
        ("float32", "float32", "float64"),
    ):
        x, W, out = (ones(2, 2, dtype=kind) for kind in kinds)
        with pytest.raises(ConfigurationError, match=", ".join(kinds)):
            door.matmul(x, W, out)
    with pytest.raises(ConfigurationError, match="float32, float32, float32, float64"):
        gemm().affine(ones(4, 3), ones(3, 2), ones(2, dtype="float64"), ones(4, 2))
    with pytest.raises(ConfigurationError, match="uint16, uint16, float32"):
        gemm().matmul(ones(2, 2, dtype="uint16"), ones(2, 2, dtype="uint16"), ones(2, 2))


def test_a_precision_that_is_not_known() -> None:
    with pytest.raises(ConfigurationError, match="'float32' or 'tf32' or 'bfloat16'"):
        Gemm(HostCupy(), "float16")


@needs_a_compiler
@pytest.mark.parametrize("status", [1, 3, 7, 8, 11, 13, 14, 15, 16, 99])
def test_every_status_says_what_was_asked_and_what_to_do(library: ctypes.CDLL, status: int) -> None:
    door = gemm("tf32")
    door.affine(ones(4, 3), ones(3, 2), ones(2), ones(4, 2))
    library.fake_fail(status)
    kind = ConfigurationError if status in (7, 8, 15, 16) else StateError
    with pytest.raises(kind) as caught:
        door.affine(ones(4, 3), ones(3, 2), ones(2), ones(4, 2))
    error = caught.value
    assert isinstance(error, TinynnError) and f"({status})" in str(error.got) and error.fix
    assert error.where == "a matrix product, (4, 3) by (3, 2) in tf32 plus a bias"
    with pytest.raises(kind, match="cublasLtCreate, for device 0"):
        gemm().matmul(ones(2, 2), ones(2, 2), ones(2, 2))


@needs_a_compiler
def test_a_product_for_which_there_is_no_algorithm(library: ctypes.CDLL) -> None:
    library.fake_refuse(PLAIN)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="3 times") as caught:
            gemm().matmul_stack(ones(3, 4, 3), ones(3, 2), ones(3, 4, 2))
        assert "CUBLAS_STATUS_NOT_SUPPORTED" in str(caught.value)


# --- where the library is


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("CUDA_PATH", "CUDA_HOME", "CONDA_PREFIX"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


@pytest.mark.parametrize(
    ("platform", "major", "root", "folder", "name"),
    [
        ("linux", 12, "wheels", "cublas/lib", "libcublasLt.so.12"),
        ("linux", 13, "wheels", "cu13/lib", "libcublasLt.so.13"),
        ("linux", 12, "CUDA_PATH", "lib64", "libcublasLt.so.12"),
        ("linux", 13, "CUDA_HOME", "lib", "libcublasLt.so.13"),
        ("linux", 13, "CONDA_PREFIX", "lib", "libcublasLt.so.13"),
        ("win32", 12, "wheels", "cublas/bin", "cublasLt64_12.dll"),
        ("win32", 13, "wheels", "cu13/bin/x86_64", "cublasLt64_13.dll"),
        ("win32", 13, "CUDA_PATH", "bin/x64", "cublasLt64_13.dll"),
        ("win32", 12, "CUDA_PATH", "bin", "cublasLt64_12.dll"),
        ("win32", 12, "CONDA_PREFIX", "Library/bin", "cublasLt64_12.dll"),
    ],
)
@pytest.mark.usefixtures("nowhere")
def test_where_the_library_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, major: int, root: str, folder: str, name: str
) -> None:
    monkeypatch.setattr("sys.platform", platform)
    file = tmp_path / folder / name
    file.parent.mkdir(parents=True)
    file.touch()
    assert list(find(major)) == [name]
    if root == "wheels":
        spec = type("Spec", (), {"submodule_search_locations": [str(tmp_path)]})
        monkeypatch.setattr("importlib.util.find_spec", lambda name: spec if name == "nvidia" else None)
    else:
        monkeypatch.setenv(root, str(tmp_path))
    assert list(find(major)) == [str(file), name]
    assert list(find(25 - major)) == [name.replace(str(major), str(25 - major))]


@pytest.mark.parametrize(("major", "package"), [(12, "nvidia-cublas-cu12"), (13, "nvidia-cublas")])
@pytest.mark.usefixtures("nowhere")
def test_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, major: int, package: str) -> None:
    def missing(place: str) -> None:
        raise OSError("cannot open shared object file")

    monkeypatch.setenv("CUDA_PATH", str(tmp_path))
    monkeypatch.setattr("ctypes.CDLL", missing)
    with pytest.raises(MissingExtraError) as caught:
        load.__wrapped__(major)
    assert caught.value.package == package and caught.value.extra == f"cuda{major}-ctk"
    assert f"cuda{major}-ctk" in str(caught.value) and blas_library.filename(major) in str(caught.value)
    assert "cannot open shared object file" in caught.value.__notes__[0]


@needs_a_compiler
@pytest.mark.usefixtures("nowhere")
def test_a_file_that_does_not_load_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lib64").mkdir()
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib64" / "libcublasLt.so.13").write_text("no library")
    (tmp_path / "lib" / "libcublasLt.so.13").symlink_to(fake()._name)
    monkeypatch.setenv("CUDA_PATH", str(tmp_path))
    assert isinstance(load.__wrapped__(13), Library)


# --- the library itself


class Told(Plan):
    """A plan that has told the library everything, and asks it for nothing."""

    def choose(self) -> int:
        self.wishes(CUT)
        return 0


def test_the_real_library_takes_every_attribute() -> None:
    """Its notes need no GPU."""
    for major in (13, 12):
        try:
            real = load(major)
        except MissingExtraError:
            continue
        for precision in ("float32", "tf32", "bfloat16", "float64"):
            for epilogue in (PLAIN, BIAS):
                problem = Problem(precision, epilogue, 4, 5, 3, True, 3, False, 3, 4, 7, 0, 15, 20, 16)
                Told(real, 0, problem, 1 << 20, 4096)
        with pytest.raises(ConfigurationError, match="INVALID_VALUE"):
            Descriptor(real, "MatmulDesc", 68, 0).set(3, ctypes.c_int64(1))
        return
    pytest.skip("cuBLASLt is not installed")


@needs_a_compiler
def test_a_function_that_is_not_used_is_no_attribute_and_a_note_without_an_address_is_given_back_to_nobody() -> None:
    with pytest.raises(AttributeError, match="cublasLtGroupedLayoutSetAttribute is none of the functions"):
        Descriptor(Library(fake()), "GroupedLayout")


def test_the_sizes_of_its_structures() -> None:
    assert ctypes.sizeof(Suggestion) == 96 and Suggestion.state.offset == 72 and sys.byteorder == "little"


@needs_a_compiler
def test_the_fake_library_notices_what_the_real_one_would_not_do() -> None:
    door = gemm()
    door.matmul(ones(4, 3), ones(3, 2), ones(4, 2))
    library, (plan,) = door.library, door._plans.values()
    memory = np.empty(32 << 20, np.uint8)
    room = memory.ctypes.data
    a, b, out = ones(4, 3), ones(3, 2), ones(4, 2)
    plan.run(b.data.ptr, a.data.ptr, out.data.ptr, room, 0)
    wrong = [
        (b.data.ptr + 4, a.data.ptr, out.data.ptr, room),
        (b.data.ptr, a.data.ptr, 0, room),
        (1 << 4, 1 << 4, 1 << 4, 0),
    ]
    for A, B, D, workspace in wrong:
        with pytest.raises(ConfigurationError, match="INVALID_VALUE"):
            plan.run(A, B, D, workspace, 0)
    layout, wishes, product = plan.A, Descriptor(library, "MatmulPreference"), plan.product
    for note, attribute, value in (
        *[(layout, 1, ctypes.c_int32(2)), (layout, 77, ctypes.c_int32(0)), (layout, 5, ctypes.c_int64(1))],
        *[(wishes, 2, ctypes.c_uint32(2)), (wishes, 5, ctypes.c_uint32(3)), (wishes, 1, ctypes.c_uint32(3))],
        *[(product, 9, ctypes.c_int32(0)), (product, 3, ctypes.c_int64(0)), (product, 8, ctypes.c_uint32(0))],
    ):
        with pytest.raises(ConfigurationError, match="SetAttribute"):
            note.set(attribute, value)
    first = Problem("float32", PLAIN, 2, 4, 3, False, 2, False, 3, 2, 1, 0, 0, 0, 16)
    for change in (
        {"lda": 1},
        {"ldb": 2},
        {"ldd": 1},
        {"batch": 2},
        {"epilogue": BIAS},
        {"batch": 2, "batch_a": -1, "batch_d": 8},
    ):
        with pytest.raises(ConfigurationError, match="INVALID_VALUE"):
            Plan(library, plan.handle, first._replace(**change), 1024, 0)
    for change in ({"batch": 70000, "batch_d": 8}, {"epilogue": 6}):
        assert Plan(library, plan.handle, first._replace(**change), 1024, room).refused == 15
