"""Matrix products and sums as machine code; of whole numbers, so that every order of adding up gives the same bits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from compiler_helpers import assert_bits, processors, twice
from hypothesis import example, given, settings
from strategies import LAYOUTS, laid_out

from tinynn.compiler import inner, products, transposition
from tinynn.compiler.program import understood

dtypes = st.sampled_from(["float32", "float64"])
sizes = st.one_of(st.integers(1, 70), st.sampled_from([1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65]))
reduce: Any = np.add.reduce
layouts = st.sampled_from(["contiguous", "column-major", "strided", "reversed", "rows of a wider array"])


def numbers(shape: tuple[int, ...], dtype: str, layout: str = "contiguous", seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng([seed, *shape])
    return laid_out(rng.integers(-3, 4, shape).astype(dtype), layout)


def room_for(shape: tuple[int, ...], dtype: str, wide: bool) -> np.ndarray:
    """Full of 7; `wide`: within a larger array, whose other elements are to be left alone."""
    room = np.full([n + 2 * wide for n in shape], 7, dtype)
    return room[(slice(1, -1),) * len(shape)] if wide else room


def check(function: Any, a: np.ndarray, b: np.ndarray, wide: bool = False) -> None:
    out = room_for(np.matmul(a, b).shape, a.dtype.name, wide)
    for got, right in twice([partial(function, a, b, out)], [out, a, b]):
        assert_bits(got, right, zeros=False)


# --- products


@settings(max_examples=40)
@given(st.sampled_from([np.dot, np.matmul]), dtypes, sizes, sizes, sizes, layouts, layouts, st.booleans())
def test_products(function: Any, dtype: str, n: int, k: int, m: int, a: str, b: str, wide: bool) -> None:
    wide = wide and function is np.matmul  # np.dot wants its result contiguous
    check(function, numbers((n, k), dtype, a), numbers((k, m), dtype, b, 1), wide)


@pytest.mark.usefixtures(processors.__name__)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_about_the_edges_of_tiles(dtype: str) -> None:
    for n, k, m in [(1, 1, 1), (1, 9, 70), (70, 9, 1), (5, 3, 17), (29, 1, 33), (30, 40, 31), (64, 8, 65), (7, 65, 64)]:
        a, b = numbers((n, k), dtype), numbers((k, m), dtype, seed=1)
        check(np.matmul, a, b, wide=True)
        check(np.dot, numbers((k, n), dtype).T, b)
        check(np.dot, a, numbers((m, k), dtype).T)


FORMS = {  # N, K, M and whether a and b are transposed
    "parts along K": (150, 600, 40, False, False),
    "parts along K, the last one shorter": (151, 601, 37, False, False),
    "a transposed": (150, 600, 40, True, False),
    "copied panels": (700, 300, 150, False, False),
    "copied panels, wide and ragged": (601, 70, 331, False, False),
    "b turned first": (20, 300, 77, False, True),
    "b turned first, ragged": (33, 77, 45, False, True),
    "panels turned": (160, 320, 200, False, True),
    "panels turned, ragged": (149, 333, 77, False, True),
    "panels turned, the last one narrower than a vector": (80, 904, 330, False, True),
    "a's rows a power of two apart": (70, 1024, 10, False, False),
    "vectors along K": (33, 700, 20, False, True),
    "vectors along K, ragged": (30, 523, 13, False, True),
    "K far beyond the caches": (40, 3000, 129, False, False),
}


@pytest.mark.usefixtures(processors.__name__)
@pytest.mark.parametrize("form", FORMS)
def test_larger_products(form: str) -> None:
    n, k, m, turned_a, turned_b = FORMS[form]
    for dtype in ("float32", "float64"):
        a = numbers((k, n), dtype).T if turned_a else numbers((n, k), dtype)
        check(np.dot, a, numbers((m, k), dtype).T if turned_b else numbers((k, m), dtype))


def test_the_products_above_are_made_in_every_way_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    ways: set[str] = set()
    holders = (products.Tile, "copy"), (products, "turn"), (transposition, "turned"), (inner.Inner, "tile")

    def noted(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args: (ways.add(name), original(*args))[1]

    for holder, name in holders:
        monkeypatch.setattr(holder, name, noted(name, getattr(holder, name)))
    for form, used in (
        ("copied panels", {"copy"}),
        ("b turned first", {"turned"}),
        ("panels turned", {"copy", "turn", "turned"}),
        ("vectors along K", {"tile"}),
    ):
        ways.clear()
        test_larger_products(form)
        assert ways == used


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", FORMS)
def test_products_of_real_numbers_are_right_to_a_few_roundings(form: str, dtype: str) -> None:
    n, k, m, turned_a, turned_b = FORMS[form]
    n, m = min(n, 170), min(m, 170)
    rng = np.random.default_rng(0)
    a = rng.standard_normal((k, n) if turned_a else (n, k)).astype(dtype)
    b = rng.standard_normal((m, k) if turned_b else (k, m)).astype(dtype)
    a, b = a.T if turned_a else a, b.T if turned_b else b
    out, exact = np.empty((n, m), dtype), np.dot(a.astype(np.longdouble), b.astype(np.longdouble))
    ((got, _),) = twice([partial(np.dot, a, b, out)], [out])
    # K roundings could add up to K / 2 times as much, but are as often up as down.
    assert (abs(got - exact) <= 4 * np.finfo(dtype).eps * np.dot(abs(a), abs(b))).all()


@settings(max_examples=30)
@given(
    dtypes, st.integers(1, 4), st.integers(1, 3), sizes, st.integers(1, 40), sizes.map(lambda m: max(m, 2)), st.data()
)
def test_stacks(dtype: str, first: int, second: int, n: int, k: int, m: int, data: st.DataObject) -> None:
    axes = data.draw(st.sampled_from([(first,), (first, second)]))
    kept = [data.draw(st.sampled_from([axes, (1,) * len(axes), axes[1:], (1, *axes[1:])])) for _ in "ab"]
    a = numbers((*kept[0], n, k), dtype)
    if data.draw(st.booleans()):
        a = numbers((*kept[0], k, n), dtype).swapaxes(-1, -2)
        b = numbers((*kept[1], k, m), dtype, seed=1)
    else:
        turned = data.draw(st.booleans())
        b = numbers((*kept[1], m, k), dtype).swapaxes(-1, -2) if turned else numbers((*kept[1], k, m), dtype, seed=1)
    out = room_for((*axes, n, m), dtype, data.draw(st.booleans()))
    for got, right in twice([partial(np.matmul, a, b, out)], [out, a, b]):
        assert_bits(got, right, zeros=False)


def test_what_is_no_plain_product_is_left_to_numpy() -> None:
    a, b, out = (numbers((8, 8), "float64") for _ in "abc")
    room = numbers((9, 8, 8), "float64")
    single = a.astype(np.float32)
    for args in [
        (single, b, out),
        (a, b, out.T),
        (a, b, a),
        (a, room[0], room[0]),
        (a, b, out[:, ::-1]),
        (a[0], b, out[0]),
        (a.astype(np.float16), b.astype(np.float16), out.astype(np.float16)),
    ]:
        assert understood(partial(np.matmul, *args), ()) is None
    assert understood(partial(np.dot, a.astype(int), b.astype(int), out.astype(int)), ()) is None
    turned = numbers((3, 8, 8), "float64").swapaxes(1, 2)
    columns = numbers((3, 2, 8), "float64").swapaxes(1, 2)
    assert understood(partial(np.matmul, columns, turned[:, :2], np.empty((3, 8, 8))), ()) is None


def test_a_product_without_terms_is_0() -> None:
    for function, shape in ((np.dot, ()), (np.matmul, (3,))):
        check(function, np.empty((*shape, 4, 0)), np.empty((*shape, 0, 5)), wide=function is np.matmul)


# --- sums


@st.composite
def sums(draw: st.DrawFn) -> tuple[np.ndarray, Any, Any, np.ndarray, bool]:
    """x, axis, dtype, out, keepdims."""
    shape = tuple(draw(st.lists(st.sampled_from([1, 2, 3, 5, 8, 17, 40]), min_size=1, max_size=4)))
    shape = shape[: 4 if np.prod(shape) < 20_000 else 2]
    x = numbers(shape, draw(dtypes), draw(st.sampled_from(LAYOUTS)))
    x = x.transpose(draw(st.permutations(range(x.ndim))))
    axes = tuple(draw(st.lists(st.integers(0, x.ndim - 1), unique=True, max_size=x.ndim)))
    axes = tuple(axis - x.ndim * draw(st.booleans()) for axis in axes)
    axis = draw(st.sampled_from([axes, None])) if len(axes) != 1 else draw(st.sampled_from([axes, axes[0]]))
    keepdims = draw(st.booleans())
    out = np.full_like(np.add.reduce(x, axis, keepdims=keepdims), 7, dtype=draw(dtypes), subok=False)
    if out.ndim and draw(st.booleans()):
        out = laid_out(out, draw(st.sampled_from([layout for layout in LAYOUTS if layout != "read-only"])))
    return x, axis, draw(st.sampled_from([None, "float64", np.float32])), out, keepdims


@settings(max_examples=100)
@given(sums())
def test_sums(case: Any) -> None:
    x, axis, dtype, out, keepdims = case
    call = partial(reduce, x, axis, dtype, out, *((True,) if keepdims else ()))
    for got, right in twice([call], [out, x]):
        assert_bits(got, right, zeros=False)


@pytest.mark.usefixtures(processors.__name__)
def test_sums_about_the_edges_of_vectors() -> None:
    for n in [*range(1, 18), 31, 32, 33, 63, 64, 65, 127, 128, 129, 150, 300]:
        x, across, along, whole = numbers((3, n), "float32"), *(np.full(size, 7, "float32") for size in (n, 3, ()))
        calls = [partial(reduce, x, axis, None, out) for axis, out in ((0, across), (1, along), (None, whole))]
        for got, right in twice(calls, [x, across, along, whole]):
            assert_bits(got, right, zeros=False)


def test_sums_are_added_up_in_the_dtype_that_is_asked_for() -> None:
    x, out = np.full((3, 1000), 1 / 3, np.float32), np.empty(3, np.float32)
    x[:, 0] = 1e8
    ((got, right),) = twice([partial(reduce, x, 1, "float64", out)], [out])
    assert_bits(got, right)
    big = np.array([1e30, 1.0, -1e30], np.float32)
    ((got, _),) = twice([partial(reduce, big, None, np.float64, np.empty(()))], [big])
    assert_bits(got, big)


def test_what_is_no_plain_sum_is_left_to_numpy() -> None:
    x, out = numbers((4, 4), "float64"), np.zeros(4)
    for args in [
        (x, 0, None, x[0]),
        (x.astype(int), 0, None, out),
        (x, 0, "int64", out),
        (x, 0, None, out.astype(int)),
    ]:
        assert understood(partial(reduce, *args), ()) is None
    assert understood(partial(reduce, x, 0, None, out, where=x > 0), ()) is None
    assert understood(partial(np.multiply.reduce, x, 0, None, out), ()) is None


@settings(max_examples=40)
@given(dtypes, sizes)
@example("float32", 1000)
def test_inner_products(dtype: str, n: int) -> None:
    a, b, out = numbers((n,), dtype), numbers((n,), dtype, seed=1), np.full((), 7, dtype)
    for got, right in twice([partial(np.dot, a, b, out)], [out, a, b]):
        assert_bits(got, right, zeros=False)
    assert understood(partial(np.dot, a, np.repeat(b, 2)[::2], out), ()) is None or n == 1
