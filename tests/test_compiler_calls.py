"""Lists of calls: what can be compiled becomes one call, what cannot is called as it is, and all in their order."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest
from compiler_helpers import machine_code

from tinynn.backend import NumpyOps
from tinynn.compiler.engine import processor
from tinynn.compiler.program import compiled, understood

ops = NumpyOps()
reduce: Any = np.add.reduce


def unaligned(x: np.ndarray) -> np.ndarray:
    """The same numbers, each of them beginning one byte behind a multiple of its size."""
    room = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype)
    room[...] = x
    return room


def fields(x: np.ndarray) -> np.ndarray:
    """The same numbers in records of 12 bytes: the step is no multiple of theirs."""
    room = np.zeros(x.size, np.dtype([("x", x.dtype), ("y", "f4")]))["x"]
    room[...] = x
    return room


def test_calls_that_cannot_be_compiled_are_made_as_they_are() -> None:
    x, out = np.arange(1.0, 6.0), np.empty(5)
    half, whole, mask = x.astype(np.float16), np.arange(5), np.ones(5, bool)
    for call in [
        lambda: None,
        partial(list),
        partial(np.add, half, half, half),
        partial(np.add, whole, whole, whole),
        partial(np.add, x, half, out),
        partial(np.add, x, x.astype(np.longdouble), out, casting="unsafe"),
        partial(np.add, x, x.astype(">f8"), out),
        partial(np.add, x, 1, x.astype(">f8")),
        partial(np.add, unaligned(x), 1, out),
        partial(np.add, x, 1, unaligned(x)),
        partial(np.add, fields(x), 1, out),
        partial(np.add, x, 1j, x.astype(complex)),
        partial(np.add, x, np.float64(1), out),
        partial(np.add, x, 1, out, where=mask),
        partial(np.add, x, 1),
        partial(np.add, x[:0], 1, out[:0]),
        partial(np.sqrt, np.arange(5, dtype=np.uint8), out=out, casting="unsafe"),
        partial(np.greater, x, 2, mask),
        partial(np.clip, x, 0, None, out),
        partial(np.clip, x.astype(np.float32), 0, 1, out),
        partial(np.sin, x, out),
        partial(np.cumsum, x, out=out),
        partial(np.copyto, out, x, where=mask),
        partial(np.copyto, whole, x, casting="unsafe"),
        partial(np.dot, x, x[::-1], np.empty(())),
        partial(ops.log_softmax, x[None], out[None], out[None].copy()),
    ]:
        assert understood(call, ()) is None
        (same,) = compiled([call])
        assert same is call


def test_the_order_is_kept_and_neighbours_become_one() -> None:
    log: list[str] = []
    x, y, square = np.arange(5.0), np.zeros(5), np.zeros((5, 5))

    def note(name: str) -> Any:
        return lambda: log.append(f"{name} {x[1]:g} {y[1]:g}")

    calls = [
        note("first"),
        partial(np.add, x, 1, x),
        partial(np.multiply, x, x, y),
        partial(np.copyto, square, y, casting="unsafe"),
        note("second"),
        note("third"),
        partial(np.sin, x, x),
        partial(np.subtract, y, 1, y),
        partial(reduce, square, 0, None, x),
        note("fourth"),
    ]
    fast = compiled(calls)
    assert [hasattr(call, "machine_code") for call in fast] == [False, True, False, False, False, True, False]
    for times in range(2):
        for call in calls if times else fast:
            call()
        assert log[4 * times :] == ["first 1 0", "second 2 4", "third 2 4", "fourth 20 3"]
        x[...], y[...] = np.arange(5.0), 0
    assert compiled([]) == []


def test_machine_code_holds_on_to_its_arrays_and_lets_go_with_itself() -> None:
    x, y = np.arange(5.0), np.arange(5.0)
    call = machine_code([partial(np.add, x, 1, x), partial(np.dot, x, y, np.empty(()))])
    held = weakref.ref(x), weakref.ref(y)
    del x, y
    gc.collect()
    call()
    assert all(each() is not None for each in held)
    del call
    gc.collect()
    assert all(each() is None for each in held)


def test_the_same_calls_on_other_arrays_are_compiled_once() -> None:
    def calls() -> list[Any]:
        x = np.arange(123.0)
        return [partial(np.add, x, 0.123456, x), partial(np.exp, x, x)]

    machine_code(calls())
    before = len(processor().loaded)
    for _ in range(3):
        machine_code(calls())()
    assert len(processor().loaded) == before


def test_several_threads_may_compile_at_once() -> None:
    def one(n: int) -> bool:
        x = np.arange(float(n))
        machine_code([partial(np.multiply, x, 1.5, x), partial(np.tanh, x, x)])()
        return np.allclose(x, np.tanh(np.arange(n) * 1.5), rtol=1e-12, atol=0)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, [n % 20 + 2 for n in range(80)]))


# --- nothing outside the arrays is touched

GUARDED = '''
import ctypes, mmap, sys
from functools import partial
import numpy as np
from tinynn.backend import NumpyOps
from tinynn.compiler.losses import loss_verb
from tinynn.compiler.program import compiled, segment
from tinynn.compiler.updates import apply, update_verb

protect = ctypes.CDLL(None, use_errno=True).mprotect
protect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
page, kept = mmap.PAGESIZE, []

def guarded(x, end):
    """x between two pages that nobody may read, and at one of them."""
    inner = -(-max(x.nbytes, 1) // page) * page
    room = mmap.mmap(-1, inner + 2 * page)
    whole = np.frombuffer(room, np.uint8)
    for place in (0, page + inner):
        assert protect(whole.ctypes.data + place, page, 0) == 0
    first = page + (inner - x.nbytes if end else 0)
    y = whole[first : first + x.nbytes].view(x.dtype).reshape(x.shape)
    y[...] = x
    kept.append((room, whole))
    return y

ops = NumpyOps()
for dtype in ("float32", "float64"):
    for n in (1, 3, 7, 9, 15, 17, 33):
        for end in (False, True):
            def given(*shape, dtype=dtype):
                return guarded(np.ones(shape, dtype), end)
            x, y, byte, one = given(n), given(n), given(n, dtype="u1"), given()
            a, b, square, wide = given(5, n), given(n, 7), given(5, 7), given(3, n)
            scores, p, labels = given(3, n + 1), given(3, n + 1, dtype="f8"), given(3, dtype="u1")
            taps, both = [slice(0, 3, 2), slice(1, 4, 2)], [(slice(0, 1, 1), slice(i, i + 3, 2)) for i in (0, 1)]
            image, unfolded, pooled = given(1, 1, 4, n), given(1, 1, 2, 2, n), given(1, 1, 2, n)
            calls = [
                partial(np.add, x, y, y), partial(np.exp, x, y), partial(np.copyto, x, byte, casting="unsafe"),
                partial(np.add, wide, x, wide), partial(np.dot, a, b, square),
                partial(np.dot, a, given(7, n).T, square), partial(np.dot, given(n, 5).T, b, square),
                partial(np.dot, given(40, 70), given(70, n), given(40, n)),
                partial(np.matmul, given(2, 5, n), given(2, 7, n).swapaxes(1, 2), given(2, 5, 7)),
                partial(np.dot, x, y, one), partial(np.add.reduce, a, 0, None, x),
                partial(np.add.reduce, b, 1, None, y), partial(np.add.reduce, a, None, None, one),
                partial(ops.take, wide, labels, given(3, n)),
                partial(ops.softmax_cross_entropy, scores, labels, p, one),
                partial(ops.softmax_cross_entropy_backward, p, labels, 0.5, scores),
                partial(ops.unfold, image, taps, unfolded), partial(ops.fold, unfolded, taps, image),
                partial(ops.max_window, image, both, pooled),
                partial(
                    ops.max_window_backward,
                    *(pooled, pooled, image, both, given(1, 1, 4, n), given(2, 1, 1, 2, n, dtype="?"), pooled),
                ),
            ]
            for call in calls:
                (fast,) = compiled([call])
                assert hasattr(fast, "machine_code"), call
                fast()
            segment([loss_verb("count_hits", (scores, labels, guarded(np.zeros(1, "i8"), end)))])()
            apply(update_verb("momentum_update", (x, y, given(n), 0.1, 0.9, True, 0.1, n // 2, x)), {})
print("done")
'''


@pytest.mark.skipif(sys.platform == "win32", reason="pages are protected in another way there")
def test_nothing_in_front_of_or_behind_an_array_is_read() -> None:
    """In a process of its own, which such an access would end."""
    done = subprocess.run([sys.executable, "-c", GUARDED], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
