"""Ufuncs as machine code: the bits of NumPy, alone and in chains that one loop does."""

from __future__ import annotations

from functools import partial
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from compiler_helpers import assert_bits, machine_code, processors, twice
from hypothesis import given, settings
from strategies import LAYOUTS, laid_out

from tinynn.backend import NumpyOps
from tinynn.compiler.program import understood

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of what overflows

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, -3.0, 7.0, np.inf, -np.inf, np.nan, 1e-45, -1e-40, 3e38, -3e38, 1e-38]
EXACT = {
    1: [np.negative, np.positive, np.square, np.absolute, np.sqrt, np.sign],
    2: [np.add, np.subtract, np.multiply, np.divide, np.maximum, np.minimum, np.remainder],
}
COMPARISONS = [np.greater, np.less, np.greater_equal, np.less_equal]
dtypes = st.sampled_from(["float32", "float64"])


# --- one call


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", [f for group in EXACT.values() for f in group], ids=lambda f: f.__name__)
def test_each_function_has_numpys_bits_where_numbers_are_special(function: Any, dtype: str) -> None:
    values = np.array(SPECIAL, dtype)
    xs = [values] if function.nin == 1 else [np.repeat(values, len(values)), np.tile(values, len(values))]
    out = np.full(xs[0].shape, 7, dtype)
    # Of 0 and -0 NumPy returns sometimes one and sometimes the other as the larger: it depends on the array's length.
    zeros = function not in (np.maximum, np.minimum)
    for got, right in twice([partial(function, *xs, out=out)], [out]):
        assert_bits(got, right, zeros)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", COMPARISONS, ids=lambda f: f.__name__)
def test_comparisons_give_0_and_1(function: Any, dtype: str) -> None:
    a, b = np.meshgrid(np.array(SPECIAL, dtype), np.array(SPECIAL, dtype))
    out = np.full(a.shape, 7, dtype)
    for got, right in twice([partial(function, a, b, out, casting="unsafe")], [out]):
        assert_bits(got, right)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clip(dtype: str) -> None:
    x = np.array(SPECIAL, dtype)
    out, low = np.full(x.shape, 7, dtype), np.full(x.shape, -2, dtype)
    for bounds in ((-1.5, 2.0), (0, 6), (low, 1.0), (low, low), (2.0, -2.0)):
        for got, right in twice([partial(np.clip, x, *bounds, out)], [out]):
            assert_bits(got, right, zeros=False)  # NumPy keeps -0 for bounds that are numbers, but not for arrays


@settings(max_examples=60)
@given(
    st.sampled_from(["bool", "uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32"]),
    dtypes,
    st.integers(1, 40),
    st.sampled_from(["copyto", "times a number", "plus an array", "over an array"]),
    st.integers(0, 99),
)
def test_other_dtypes_are_converted_as_numpy_does(given: str, dtype: str, size: int, way: str, seed: int) -> None:
    x = np.random.default_rng(seed).integers(0, 2**63, size).astype(given)
    y, out = np.linspace(1, 2, size, dtype=dtype), np.full(size, 7, dtype)
    call = {
        "copyto": partial(np.copyto, out, x, casting="unsafe"),
        "times a number": partial(np.multiply, x, 1 / 255, out, dtype=dtype, casting="unsafe"),
        "plus an array": partial(np.add, x, y, out, casting="unsafe"),
        "over an array": partial(np.divide, x, y, out, dtype="float64", casting="unsafe"),
    }[way]
    for got, right in twice([call], [out]):
        assert_bits(got, right)


def test_constants_of_a_backend_are_numbers_and_other_arrays_without_axes_are_read_each_time() -> None:
    ops, x, out = NumpyOps(), np.arange(5.0), np.empty(5)
    constant, changing = ops.scalar(2, x.dtype), np.array(3.0)
    call = machine_code([partial(np.multiply, x, constant, out), partial(np.add, out, changing, out)], [constant])
    changing[...] = 4
    call()
    np.testing.assert_array_equal(out, 2 * x + 4)


# --- chains


class Chain:
    """Calls drawn over the views of a few rooms, some of which overlap, and the views."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.rng = np.random.default_rng(draw(st.integers(0, 999)))
        self.shape = tuple(draw(st.lists(st.sampled_from([1, 2, 3, 5, 8, 17]), min_size=1, max_size=3)))
        self.layouts = st.sampled_from([x for x in LAYOUTS if x != "read-only"])
        full = [self.array(self.shape, draw(dtypes), draw(self.layouts)) for _ in range(draw(st.integers(1, 3)))]
        self.outs = [*full, *(self.views(full[0]) if draw(st.booleans()) else [])]
        self.ins = [*self.outs, *(self.repeated(full[0]) for _ in range(draw(st.integers(0, 3))))]
        self.calls = [self.call() for _ in range(draw(st.integers(1, 6)))]

    def array(self, shape: Any, dtype: str, layout: str) -> np.ndarray:
        numbers = self.rng.standard_normal(shape) * 2 if dtype[0] == "f" else self.rng.integers(0, 256, shape)
        return laid_out(np.asarray(numbers).astype(dtype), layout)

    def views(self, x: np.ndarray) -> list[np.ndarray]:
        """Two views of one room that lie one element apart, and x backwards."""
        room = self.array(tuple(n + 1 for n in self.shape), x.dtype.name, "contiguous")
        return [room[(slice(1, None),) * x.ndim], room[(slice(-1),) * x.ndim], x[::-1]]

    def repeated(self, x: np.ndarray) -> np.ndarray:
        """An array that is broadcast: of its own, or a row of what the chain writes."""
        kept = [self.draw(st.booleans()) for _ in self.shape]
        if self.draw(st.booleans()):
            return x[tuple(slice(None) if keep else slice(-1, None) for keep in kept)]
        shape = tuple(n if keep else 1 for n, keep in zip(self.shape, kept, strict=True))
        shape = shape[self.draw(st.integers(0, len(shape))) :]
        return self.array(shape, self.draw(st.sampled_from(["float32", "float64", "uint8"])), "contiguous")

    def call(self) -> Any:
        draw, out = self.draw, self.draw(st.sampled_from(self.outs))
        inputs, numbers = st.sampled_from(self.ins), st.sampled_from([2, -1, 0.5, 1 / 3])
        options = {"dtype": draw(dtypes)} if draw(st.booleans()) else {}
        kind = draw(st.sampled_from(["copy", "one", "two", "two", "compare"]))
        if kind == "copy":
            return partial(np.copyto, out, draw(inputs), casting="unsafe")
        if kind == "one":
            function = draw(st.sampled_from([np.negative, np.square, np.absolute, np.sign]))
            return partial(function, draw(inputs), out=out, casting="unsafe", **{"dtype": out.dtype.name, **options})
        if kind == "compare":
            return partial(draw(st.sampled_from(COMPARISONS)), draw(inputs), draw(numbers), out, casting="unsafe")
        function = draw(st.sampled_from([np.add, np.subtract, np.multiply, np.maximum, np.minimum]))
        pair = [draw(inputs), draw(st.one_of(inputs, numbers))]
        if draw(st.booleans()):
            pair.reverse()
        return partial(function, *pair, out=out, casting="unsafe", **{"dtype": out.dtype.name, **options})


chains = st.composite(lambda draw: Chain(draw))()


@settings(max_examples=150)
@given(chains)
def test_chains_have_numpys_bits(chain: Chain) -> None:
    for got, right in twice(chain.calls, chain.ins, all=False):
        assert_bits(got, right, zeros=False)  # maximum and minimum do not promise the sign of a zero
    for call in chain.calls:
        (out,) = (call.args[0],) if call.func is np.copyto else (call.args[2:] or (call.keywords["out"],))
        arrays = [x for x in call.args if isinstance(x, np.ndarray)]
        if all(x is out or not np.may_share_memory(x, out) for x in arrays):
            assert understood(call, ()) is not None


@pytest.mark.usefixtures(processors.__name__)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_chains_of_every_length_about_a_vector(dtype: str) -> None:
    for size in [*range(1, 20), 31, 32, 33, 63, 64, 65]:
        x, y, byte = np.linspace(-3, 3, size, dtype=dtype), np.empty(size, dtype), np.arange(size, dtype=np.uint8)
        room = np.full(size + 2, 7, dtype)
        calls = [
            partial(np.multiply, byte, 0.25, y, dtype=dtype, casting="unsafe"),
            partial(np.subtract, x, y, y),
            partial(np.maximum, y, x, out=room[1:-1]),
        ]
        for got, right in twice(calls, [x, y, room]):
            assert_bits(got, right)


# --- what must not be done in one loop


def test_what_overlaps_in_a_shifted_way_is_as_if_it_did_not() -> None:
    for size in (2, 5, 40, 100):
        for shift in (1, 3):
            room = np.random.default_rng(0).standard_normal(size + shift)
            ahead, behind = room[shift:], room[:-shift]
            for calls in (
                [partial(np.add, behind, 1, ahead)],
                [partial(np.add, ahead, 1, behind)],
                [partial(np.negative, ahead[::-1], ahead)],
                [partial(np.copyto, ahead, behind, casting="unsafe")],
                [partial(np.multiply, behind, 2, behind), partial(np.add, ahead, 1, ahead)],
                [partial(np.multiply, ahead, 2, ahead), partial(np.add, behind, ahead, behind)],
            ):
                assert_as_numpy(calls, [room])


def test_rows_and_other_views_of_what_was_written() -> None:
    square = np.random.default_rng(0).standard_normal((9, 9))
    other = np.empty_like(square)
    for view in (square[0], square[8], square[:, 4:5], square.T, square[::-1], square[3, 3], square.ravel()[::10]):
        assert_as_numpy([partial(np.multiply, square, 2, square), partial(np.add, view, 1, other)], [square, other])
        assert_as_numpy([partial(np.add, square, view, square)], [square, other])
        assert_as_numpy([partial(np.add, view, 1, other), partial(np.copyto, square, other)], [square, other])
    row, rows = np.arange(9.0), np.empty((4, 9))
    assert_as_numpy([partial(np.add, row, 1, row), partial(np.add, rows, row, rows)], [row, rows])
    assert_as_numpy([partial(np.add, rows, row, rows), partial(np.add, row, rows[2], row)], [row, rows])


def assert_as_numpy(calls: list[Any], arrays: list[np.ndarray]) -> None:
    for got, right in twice(calls, arrays, all=False):
        assert_bits(got, right)
