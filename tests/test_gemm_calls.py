"""What a product comes to: which calls of the library, what is copied, asked only once and kept."""

from __future__ import annotations

import ctypes
import gc
import threading
from typing import Any

import numpy as np
import pytest
from cuda_emulator import needs_a_compiler
from fake_cublaslt import Device, HostCupy, Stream, fake, gemm, library, on_host, ones

from tinynn.cuda.gemm import Gemm
from tinynn.cuda.gemm_layout import Matrix, matrix, stacks
from tinynn.cuda.gemm_plan import BIAS

pytestmark = needs_a_compiler

__all__ = ["library"]


# --- calls and copies


def launches(door: Gemm, *args: np.ndarray) -> int:
    """How many calls of the library a product is."""
    before = fake().fake_computed()
    door.matmul_stack(*map(on_host, args))
    return fake().fake_computed() - before


def test_a_stack_is_one_call_where_one_step_leads_from_matrix_to_matrix() -> None:
    door, x = gemm(), np.ones((4, 5, 3, 2))
    out = np.empty((4, 5, 3, 3))
    assert launches(door, x, x.swapaxes(2, 3), out) == 1
    assert launches(door, x, np.ones((2, 3)), out) == 1  # one matrix for all
    assert launches(door, x, np.ones((5, 2, 3)), out) == 4  # again and again: no one step
    assert launches(door, x, np.ones((4, 1, 2, 3)), out) == 4
    assert launches(door, x[:, ::2], np.ones((2, 3)), out[:, :3]) == 3  # the axis of 4 is a call, the longest
    assert launches(door, x[::-1], np.ones((2, 3)), out) == 4  # never backwards: the axis of 5 is
    assert launches(door, x[:, :1], np.ones((2, 3)), out[:, :1]) == 1
    assert launches(door, x[:, None], np.ones((2, 3)), out[:, None]) == 1  # an axis of 1 is none
    np.testing.assert_array_equal(out, 2)


def test_more_matrices_than_a_grid_has_blocks_are_several_calls() -> None:
    door = gemm()
    a = np.arange(65537 * 2, dtype="float32").reshape(-1, 1, 2)
    out = np.empty((65537, 1, 1), "float32")
    assert launches(door, a, np.ones((2, 1), "float32"), out) == 2
    np.testing.assert_array_equal(out, a.sum(axis=2, keepdims=True))
    pieces = stacks((7,), ((8,), (0,), (4,)), most=3)
    assert pieces == ((3, (8, 0, 4), ((0, 0, 0), (24, 0, 12))), (1, (0, 0, 0), ((48, 0, 24),)))
    assert stacks((6,), ((8,), (0,), (4,)), most=3) == ((3, (8, 0, 4), ((0, 0, 0), (24, 0, 12))),)


@pytest.mark.parametrize(
    ("shape", "strides", "seen"),
    [
        ((3, 5), (20, 4), Matrix(True, 5)),
        ((3, 5), (32, 4), Matrix(True, 8)),
        ((3, 5), (4, 12), Matrix(False, 3)),
        ((3, 5), (4, 16), Matrix(False, 4)),
        ((3, 1), (4, 400), Matrix(True, 1)),
        ((1, 5), (-7, 4), Matrix(True, 5)),
        ((1, 5), (-7, 12), Matrix(False, 3)),
        ((1, 1), (0, 0), Matrix(True, 1)),
        ((9, 3, 5), (1, 20, 4), Matrix(True, 5)),
        ((3, 5), (16, 4), None),
        ((3, 5), (4, 4), None),
        ((3, 5), (0, 4), None),
        ((3, 5), (40, 8), None),
        ((3, 5), (-20, 4), None),
        ((3, 5), (22, 4), None),
        ((3, 5), (4, 14), None),
        ((1, 5), (20, 0), None),
    ],
)
def test_what_needs_no_copy(shape: Any, strides: Any, seen: Matrix | None) -> None:
    assert matrix(shape, strides, 4) == seen


def test_only_what_cannot_be_read_in_place_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    door, copied = gemm(), []
    monkeypatch.setattr(HostCupy, "array", lambda self, x, order="K": copied.append(x.shape) or on_host(np.array(x)))
    W, x, out = on_host(np.ones((4, 6))), on_host(np.ones((5, 6))), on_host(np.empty((5, 4)))
    door.matmul(x, W.T, out)
    door.matmul(x[:, 1:4], W.T[1:4], out)
    door.matmul(W.T, out.T, on_host(np.empty((6, 5))))
    assert copied == []
    door.matmul(x[:, ::2], W.T[:3], out)
    assert copied == [(5, 3)]
    door.affine(x, W.T, on_host(np.ones(8))[::2], out)
    assert copied == [(5, 3), (4,)]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_arrays_between_the_addresses_of_their_numbers(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    door, copies = gemm(precision), []
    monkeypatch.setattr(HostCupy, "array", lambda self, x, order="K": copies.append(1) or on_host(np.array(x)))

    def between(x: np.ndarray) -> Device:
        memory = np.zeros(x.nbytes + 2, np.uint8)
        moved = memory[2:].view(x.dtype).reshape(x.shape)
        moved[...] = x
        return on_host(moved)

    x, W, b = np.arange(6, dtype="float32").reshape(2, 3), np.eye(3, dtype="float32"), np.ones(3, "float32")
    for places in ("x", "W", "b", "out", "xWb", "x W b out"):
        copies.clear()
        at_x, at_W, at_b, out = (
            between(array) if name in places else on_host(array)
            for name, array in zip(("x", "W", "b", "out"), (x, W, b, np.zeros((2, 3), "float32")), strict=True)
        )
        np.testing.assert_array_equal(door.affine(at_x, at_W, at_b, out), x + 1)
        assert copies


def test_a_bias_that_cannot_be_had_is_not_asked_for(library: ctypes.CDLL) -> None:
    def asked(K: int, out: Device) -> int:
        before = library.fake_asked()
        gemm().affine(ones(4, K), ones(K, 2), ones(2), out)
        np.testing.assert_array_equal(out, K + 1)
        return library.fake_asked() - before

    assert asked(3, ones(4, 2)) == 1
    assert asked(3, ones(2, 4).T) == 1  # by columns: for the product alone
    library.fake_refuse(BIAS)
    assert asked(3, ones(4, 2)) == 2
    assert asked(100, ones(4, 2)) == 3  # of one that is refused, whether it may be cut too


# --- one question for each problem


def test_the_second_call_of_a_problem_asks_nothing(library: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> None:
    door = gemm()
    before = library.fake_asked()
    for _ in range(3):
        door.matmul(ones(4, 3), ones(3, 2), ones(4, 2))
    assert library.fake_asked() == before + 1
    x = ones(5, 4, 3)
    door.matmul_stack(x[:1], ones(3, 2), ones(1, 4, 2))  # the same problem, of other arrays
    assert library.fake_asked() == before + 1
    door.matmul(x[0], ones(2, 3).T, ones(4, 2))
    door.matmul(x[0], ones(3, 2), ones(2, 4).T)
    door.matmul(ones(4, 3, dtype="float64"), ones(3, 2, dtype="float64"), ones(4, 2, dtype="float64"))
    door.affine(x[0], ones(3, 2), ones(2), ones(4, 2))
    assert library.fake_asked() == before + 5
    monkeypatch.setattr("tinynn.cuda.gemm.sketch", None)  # nor is it looked at again
    door.matmul(ones(4, 3), ones(3, 2), out := ones(4, 2))
    np.testing.assert_array_equal(out, 3)


def test_a_refusal_is_remembered(library: ctypes.CDLL) -> None:
    door = gemm()
    library.fake_refuse(BIAS)
    for asked in (2, 0, 0):
        before = library.fake_asked()
        door.affine(ones(4, 3), ones(3, 2), ones(2), out := ones(4, 2))
        assert library.fake_asked() == before + asked
        np.testing.assert_array_equal(out, 4)


def test_too_many_problems_are_forgotten_and_asked_again(library: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinynn.cuda.gemm.MOST", 3)
    door, alive = gemm(), library.fake_alive()
    for N in (1, 2, 3, 4, 1):
        before = library.fake_asked()
        door.matmul(ones(N, 3), ones(3, 2), out := ones(N, 2))
        np.testing.assert_array_equal(out, 3)
        assert library.fake_asked() == before + 1
    assert library.fake_alive() == alive + 1 + 2 * 4  # a handle; two problems of four notes each
    del door
    gc.collect()
    assert library.fake_alive() == alive


def test_what_the_heuristics_are_told(library: ctypes.CDLL) -> None:
    door = gemm()
    memory = on_host(np.zeros(64, np.float32))
    assert memory.ctypes.data % 16 == 0
    for start, alignment in ((0, 16), (4, 16), (2, 8), (1, 4)):
        door.matmul(memory[start : start + 4].reshape(2, 2), ones(2, 2), ones(2, 2))
        assert library.fake_alignment() == alignment
    door.matmul_stack(memory[:8].reshape(2, 2, 2)[:, :1], ones(2, 3), ones(2, 1, 3))
    assert library.fake_alignment() == 4  # the second `out` begins 12 bytes after the first
    # No sums in an order of chance, and those that are worth it in one piece.
    for K, reductions in ((1, 2), (63, 2), (64, 0), (128, 0), (129, 2)):
        door.matmul(ones(2, K), ones(K, 2), ones(2, 2))
        assert library.fake_reductions() == reductions


# --- workspaces and streams


def test_a_workspace_for_each_stream_as_long_as_it_lives(library: ctypes.CDLL) -> None:
    xp = HostCupy()
    door = gemm(xp=xp)

    def product() -> None:
        door.matmul(ones(2, 2), ones(2, 2), ones(2, 2))
        assert library.fake_stream() == xp.stream.ptr

    product()
    product()
    assert xp.allocated == [32 << 20]
    null, xp.stream = xp.stream, Stream(4096)
    product()
    product()
    assert xp.allocated == [32 << 20] * 2 and len(door._rooms) == 2
    xp.stream = null
    gc.collect()
    product()
    assert len(xp.allocated) == 2 and len(door._rooms) == 1
    xp.stream = Stream(4096)  # the address again, another stream
    product()
    assert len(xp.allocated) == 3


def test_the_default_streams_of_threads_are_as_many_as_the_threads(library: ctypes.CDLL) -> None:
    xp = HostCupy("80")
    door, xp.stream = gemm(xp=xp), Stream(2)
    for _ in range(2):
        thread = threading.Thread(target=lambda: door.matmul(ones(2, 2), ones(2, 2), ones(2, 2)))
        door.matmul(ones(2, 2), ones(2, 2), ones(2, 2))
        thread.start()
        thread.join()
    assert xp.allocated[:2] == [4 << 20] * 2
    assert len(door._rooms) == len(xp.allocated) and (0, 2) not in door._rooms


def test_threads_share_a_problem_but_not_their_vectors(library: ctypes.CDLL) -> None:
    door, wrong = gemm(), []
    asked = library.fake_asked()
    library.fake_delay(300)  # within the call, before the vector is looked at
    ready = threading.Barrier(2)

    def work(number: float) -> None:
        x, W, out, b = ones(4, 3), ones(3, 2), ones(4, 2), on_host(np.full(2, number, np.float32))
        ready.wait()
        for _ in range(20):
            door.affine(x, W, b, out)
            if not (out == 3 + number).all():
                wrong.append(out.copy())

    threads = [threading.Thread(target=work, args=(number,)) for number in (10, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert library.fake_asked() == asked + 1
