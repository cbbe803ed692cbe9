"""Arrays of every sort where a network expects its own: one error that says which argument and row, or the same bits.

The same bits as from a plain copy: native, contiguous, of the same numbers. What the user passed is never written to.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from data_helpers import assert_complete

from tinynn import (
    SGD,
    Affine,
    Conv2D,
    Embedding,
    Flatten,
    LayerNorm,
    QuadraticCost,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    TinynnError,
    fit,
)
from tinynn.errors import DataError, LabelError, ShapeError

N, D, C = 70, 20, 3
X = np.random.default_rng(0).standard_normal((N, D)).astype(np.float32)
T = np.arange(N) % C
ROWS = np.eye(C)[T]


class Case(NamedTuple):
    """`make`: what is passed. `error` None: the same bits as from a plain copy. `by_hand`: what `forward` does, which
    looks at no values: None the same as from a plain copy.
    """

    make: Callable[[], Any]
    error: type[TinynnError] | None = None
    says: str = ""
    by_hand: bool = True


# ---- what is passed


class Raising:
    """An array that cannot be had."""

    def __array__(self, *args: Any, **options: Any) -> np.ndarray:
        raise RuntimeError("the device is gone")


class BadSequence:
    """A list whose items cannot be had."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        raise RuntimeError("no such item")


class Subclass(np.ndarray):
    """An array that calculates in its own way."""

    def __array_ufunc__(self, *args: Any, **options: Any) -> Any:
        raise AssertionError("a subclass reached the layers")


def frozen(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


def strided(array: np.ndarray) -> np.ndarray:
    wide = np.zeros((*array.shape, 2), array.dtype)
    wide[..., 0] = array
    return wide[..., 0]


def backwards(array: np.ndarray) -> np.ndarray:
    turned = tuple(slice(None, None, -1) for _ in array.shape)
    return np.ascontiguousarray(array[turned])[turned]


def unaligned(array: np.ndarray) -> np.ndarray:
    return np.frombuffer(b"x" + array.tobytes(), array.dtype, offset=1).reshape(array.shape)


def swapped(array: np.ndarray) -> np.ndarray:
    return array.astype(array.dtype.newbyteorder())


def masked(array: np.ndarray, row: int | None) -> Any:
    mask = np.zeros(array.shape, bool)
    if row is not None:
        mask[row] = True
    return np.ma.array(array, mask=mask)


def with_value(array: np.ndarray, value: Any) -> np.ndarray:
    array = array.copy()
    array[(3, *[2] * (array.ndim - 1))] = value
    return array


def itself() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


def record(array: np.ndarray) -> np.ndarray:
    return np.zeros(array.shape, [("a", "f4")])


LAYOUTS: dict[str, Callable[[np.ndarray], Any]] = {
    "plain": np.copy,
    "column-major": np.asfortranarray,
    "strided": strided,
    "negative strides": backwards,
    "unaligned": unaligned,
    "byte-swapped": swapped,
    "read-only": frozen,
    "one row for all": lambda x: np.broadcast_to(x[:1], x.shape),
    "every second row": lambda x: np.repeat(x, 2, axis=0)[::2],
    "a subclass": lambda x: x.copy().view(Subclass),
    "a masked array without masked values": lambda x: masked(x, None),
}

NOT_REAL = "not made of real numbers"
INPUTS: dict[str, Case] = {
    **{name: Case(lambda lay=lay: lay(X)) for name, lay in LAYOUTS.items()},
    "matrix": Case(lambda: X.view(np.matrix)),
    "list of lists": Case(lambda: X.tolist()),
    "list of rows": Case(lambda: list(X)),
    "memoryview": Case(lambda: X.copy().data),
    "float64": Case(lambda: X.astype(float)),
    "float16": Case(lambda: X.astype(np.float16)),
    "long double": Case(lambda: X.astype(np.longdouble)),
    "bool": Case(lambda: X > 0),
    "int8": Case(lambda: (X * 9).astype(np.int8)),
    "uint64": Case(lambda: np.full((N, D), 2**64 - 1, np.uint64)),
    "subnormal": Case(lambda: X * np.float32(1e-42)),
    "NaN": Case(lambda: with_value(X, np.nan), DataError, "row 3", by_hand=False),
    "infinity": Case(lambda: with_value(X, np.inf), DataError, "row 3", by_hand=False),
    "minus infinity": Case(lambda: with_value(X, -np.inf), DataError, "row 3", by_hand=False),
    "beyond float32": Case(lambda: with_value(X.astype(float), 1e39), DataError, "row 3", by_hand=False),
    "infinity of float16": Case(lambda: with_value(X.astype("f2"), np.inf), DataError, "row 3", by_hand=False),
    "a masked row": Case(lambda: masked(X, 5), DataError, "row 5"),
    "objects": Case(lambda: X.astype(object), DataError, "real numbers"),
    "decimals": Case(lambda: [[decimal.Decimal(1)] * D] * N, DataError, "object"),
    "integers of 400 digits": Case(lambda: [[10**400] * D] * N, DataError, "object"),
    "text": Case(lambda: X.astype(str), DataError, "<U"),
    "text of any length": Case(lambda: X.astype(np.dtypes.StringDType()), DataError, "String"),
    "bytes": Case(lambda: X.astype("S9"), DataError, "S9"),
    "complex": Case(lambda: X * 1j, DataError, "complex64"),
    "dates": Case(lambda: X.astype("i8").astype("M8[s]"), DataError, "datetime64"),
    "times": Case(lambda: X.astype("i8").astype("m8[s]"), DataError, "timedelta64"),
    "records": Case(lambda: record(X), DataError, "'a'"),
    "ragged": Case(lambda: [[1.0] * D, [1.0]], ShapeError, "inhomogeneous"),
    "a list that holds itself": Case(itself, ShapeError, ""),
    "60 brackets": Case(lambda: np.zeros([1] * 60).tolist(), ShapeError, "(1, 1,"),
    "one example": Case(lambda: X[0], ShapeError, "(20,)"),
    "a column": Case(lambda: X[:, :1], ShapeError, "(70, 1)"),
    "three axes": Case(lambda: X[None], ShapeError, "(1, 70, 20)"),
    "a number": Case(lambda: 3.0, ShapeError, "()"),
    "0-d": Case(lambda: np.array(np.float32(3)), ShapeError, "()"),
    "None": Case(lambda: None, TinynnError, "()"),
    "a generator": Case(lambda: (row for row in X), TinynnError, ""),
    "a dictionary": Case(lambda: {"x": X}, TinynnError, ""),
    "a set": Case(lambda: {1.0, 2.0}, TinynnError, ""),
    "a range": Case(lambda: range(N), ShapeError, "(70,)"),
    "one text": Case(lambda: "abc", TinynnError, ""),
    "a type": Case(lambda: float, TinynnError, ""),
    "what cannot be had": Case(Raising, DataError, "the device is gone"),
    "items that cannot be had": Case(BadSequence, DataError, "no such item"),
}

TARGETS: dict[str, Case] = {
    **{name: Case(lambda lay=lay: lay(T)) for name, lay in LAYOUTS.items()},
    **{f"rows, {name}": Case(lambda lay=lay: lay(ROWS)) for name, lay in LAYOUTS.items()},
    **{f"labels of {kind}": Case(lambda kind=kind: T.astype(kind)) for kind in ("i1", "u2", "i4", "u8", ">i2", ">u8")},
    "list": Case(T.tolist),
    "tuple": Case(lambda: tuple(T.tolist())),
    "rows of float16": Case(lambda: ROWS.astype(np.float16)),
    "rows of long double": Case(lambda: ROWS.astype(np.longdouble)),
    "label 3 of 3": Case(lambda: with_value(T, 3), LabelError, "row 3"),
    "label -1": Case(lambda: with_value(T, -1), LabelError, "row 3"),
    "label 2**31": Case(lambda: with_value(T, 2**31), LabelError, "row 3"),
    "label 2**32 + 1": Case(lambda: with_value(T, 2**32 + 1), LabelError, "row 3"),
    "label -2**32 + 1": Case(lambda: with_value(T, 1 - 2**32), LabelError, "row 3"),
    "label -2**63": Case(lambda: with_value(T, -(2**63)), LabelError, "row 3"),
    "label 2**64 - 1": Case(lambda: with_value(T.astype("u8"), 2**64 - 1), LabelError, "row 3"),
    "label 255": Case(lambda: with_value(T.astype("u1"), 255), LabelError, "row 3"),
    "labels as floats": Case(lambda: T * 1.0, LabelError, "float64"),
    "labels as bool": Case(lambda: T > 0, LabelError, "bool"),
    "labels as objects": Case(lambda: T.astype(object), LabelError, "object"),
    "labels as text": Case(lambda: T.astype(str), LabelError, "<U"),
    "labels as complex": Case(lambda: T * 1j, LabelError, "complex128"),
    "labels as dates": Case(lambda: T.astype("M8[D]"), LabelError, "datetime64"),
    "labels as times": Case(lambda: T.astype("m8[D]"), LabelError, "timedelta64"),
    "labels as records": Case(lambda: record(T), LabelError, "'a'"),
    "labels of 30 digits": Case(lambda: [10**30] * N, LabelError, "object"),
    "a masked label": Case(lambda: masked(T, 5), DataError, "row 5"),
    "a column": Case(lambda: T[:, None], LabelError, "(70, 1)"),
    "a matrix": Case(lambda: T[:, None].view(np.matrix), LabelError, "(70, 1)"),
    "one-hot integers": Case(lambda: ROWS.astype(int), LabelError, "int64"),
    "rows of two": Case(lambda: ROWS[:, :2], LabelError, "(70, 2)"),
    "rows of three axes": Case(lambda: ROWS[..., None], LabelError, "(70, 3, 1)"),
    "complex rows": Case(lambda: ROWS * 1j, LabelError, "complex128"),
    "too few": Case(lambda: T[:5], ShapeError, "(5,)"),
    "too many": Case(lambda: np.r_[T, T], ShapeError, "(140,)"),
    "none": Case(lambda: T[:0], ShapeError, "(0,)"),
    "one": Case(lambda: 1, ShapeError, "()"),
    "None": Case(lambda: None, ShapeError, "()"),
    "Nones": Case(lambda: [None] * N, LabelError, "object"),
    "a generator": Case(lambda: iter(T), ShapeError, "()"),
    "ragged": Case(lambda: [[1], [1, 2]], ShapeError, "inhomogeneous"),
    "one text": Case(lambda: "abc", ShapeError, "()"),
    "what cannot be had": Case(Raising, DataError, "the device is gone"),
    "rows with NaN": Case(lambda: with_value(ROWS, np.nan), LabelError, "row 3", by_hand=False),
}

ONES = np.ones(N)
WEIGHTS: dict[str, Case] = {
    **{name: Case(lambda lay=lay: lay(1 + T / 2)) for name, lay in LAYOUTS.items()},
    "bool": Case(lambda: T > 0),
    "uint8": Case(lambda: T.astype("u1")),
    "float16": Case(lambda: ONES.astype("f2")),
    "uint64": Case(lambda: np.full(N, 2**63, np.uint64)),
    "zeros": Case(lambda: ONES * 0),
    "list": Case(ONES.tolist),
    "negative": Case(lambda: with_value(ONES, -1), LabelError, "row 3", by_hand=False),
    "NaN": Case(lambda: with_value(ONES, np.nan), LabelError, "row 3", by_hand=False),
    "infinity": Case(lambda: with_value(ONES, np.inf), LabelError, "row 3", by_hand=False),
    "a column": Case(lambda: ONES[:, None], LabelError, "(70, 1)"),
    "text": Case(lambda: ["1"] * N, LabelError, "<U1"),
    "objects": Case(lambda: ONES.astype(object), LabelError, "object"),
    "complex": Case(lambda: ONES * 1j, LabelError, "complex128"),
    "records": Case(lambda: record(ONES), LabelError, "'a'"),
    "too few": Case(lambda: ONES[:3], ShapeError, "(3,)"),
    "one": Case(lambda: 1.0, ShapeError, "()"),
    "a masked weight": Case(lambda: masked(ONES, 5), DataError, "row 5"),
    "what cannot be had": Case(Raising, DataError, "the device is gone"),
}


# ---- what they are passed to


def network(backend: str) -> Sequential:
    layers = LayerNorm(), Affine(16), ReLU(), Affine(C), SoftmaxCrossEntropy()
    return Sequential(*layers).build((D,), backend=backend)


def predicted(net: Sequential, x: Any, *_: Any) -> Any:
    return net.predict(x)


def predicted_again(net: Sequential, x: Any, *_: Any) -> Any:
    net.predict(X)
    net.predict(X)
    return net.predict(x)  # replayed, if it is as before


def gradients(net: Sequential, *data: Any) -> Any:
    loss, cache = net.forward(*data)
    with np.errstate(invalid="ignore"):
        net.backward(1.0, cache)
    return np.append(net.storage.grads, loss)


def evaluated(net: Sequential, *data: Any) -> Any:
    return net.evaluate(*data, batch_size=16)


def trained(net: Sequential, *data: Any) -> Any:
    fit(net, SGD(1e-3), data, epochs=2, batch_size=16, progress=False)
    return net.storage.params.copy()


def validated(net: Sequential, *data: Any) -> Any:
    history = fit(net, SGD(0.1), (X, T), validation=data, epochs=1, progress=False)
    return history.validation_loss


PREDICTS = (predicted, predicted_again)
LEARNS = (gradients, evaluated, trained, validated)
PLACES: dict[str, tuple[dict[str, Case], int, Callable[[Any], tuple[Any, ...]], tuple[Callable[..., Any], ...]]] = {
    "x": (INPUTS, 0, lambda x: (x, T), PREDICTS + LEARNS),
    "t": (TARGETS, 1, lambda t: (X, t), LEARNS),
    "w": (WEIGHTS, 2, lambda w: (X, T, w), LEARNS),
}


def bits(values: Any) -> bytes:
    return np.asarray(values).tobytes()


def plain(value: Any) -> np.ndarray:
    array = np.asarray(value)
    return np.array(array, array.dtype.newbyteorder("="), order="C", copy=True)


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
@pytest.mark.parametrize(("place", "name"), [(place, name) for place, row in PLACES.items() for name in row[0]])
def test_an_array_is_refused_or_taken_for_what_it_holds(place: str, name: str, backend: str) -> None:
    cases, _, data, calls = PLACES[place]
    case = cases[name]
    for call in calls:
        value = case.make()
        before = bits(value) if isinstance(value, np.ndarray) else None
        if case.error is None or (call is gradients and not case.by_hand):
            with np.errstate(all="ignore"):
                result = bits(call(network(backend), *data(value)))
                assert result == bits(call(network(backend), *data(plain(case.make())))), call.__name__
        else:
            with pytest.raises(case.error) as caught:
                call(network(backend), *data(value))
            assert_complete(caught.value)
            assert case.says in str(caught.value), call.__name__
        assert before is None or before == bits(value), f"{call.__name__} wrote to what it was passed"


# ---- layouts, for layers that add in different orders

NETS: dict[str, tuple[Callable[[], list[Any]], tuple[int, ...]]] = {
    "one output": (lambda: [Affine(1), QuadraticCost()], (784,)),
    "ten outputs": (lambda: [Affine(10), QuadraticCost()], (784,)),
    "layer norm": (lambda: [LayerNorm(), QuadraticCost()], (100,)),
    "convolution": (lambda: [Conv2D(3, 3), Flatten(), Affine(2), QuadraticCost()], (2, 7, 7)),
}


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", NETS)
def test_the_bits_do_not_depend_on_how_the_array_lies(name: str, layout: str, backend: str) -> None:
    layers, shape = NETS[name]
    for n in (1, 2, 7, 66):
        x = np.random.default_rng(n).standard_normal((n, *shape)).astype(np.float32)
        given = LAYOUTS[layout](x)
        t = np.ones_like(Sequential(*layers()).build(shape).predict(x))
        for call in (predicted, gradients, evaluated, trained):
            results = []
            for values in (given, plain(given)):
                net = Sequential(*layers()).build(shape, backend=backend)
                results.append(bits(call(net, values, LAYOUTS[layout](t) if values is given else t)))
            assert results[0] == results[1], (n, call.__name__)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_gradient_that_is_handed_to_backward_may_lie_in_any_way(layout: str) -> None:
    net = Sequential(LayerNorm(), Affine(C)).build((D,), needs_dx=True)
    dy = np.random.default_rng(1).standard_normal((N, C)).astype(np.float32)
    results = []
    for values in (LAYOUTS[layout](dy), plain(LAYOUTS[layout](dy))):
        dx = net.backward(values, net.forward(X)[1])
        results.append(bits(dx) + bits(net.storage.grads))
    assert results[0] == results[1]


@pytest.mark.parametrize("dtype", [float, np.float32, ">f4", np.uint8, ">i4"])
def test_a_memory_map_is_read_and_never_written(tmp_path: Path, dtype: Any) -> None:
    content = (X * 20).astype(dtype)
    content.tofile(tmp_path / "x")
    mapped = np.memmap(tmp_path / "x", dtype, "r+", shape=X.shape)
    for backend in ("numpy", "llvm"):
        for call in (predicted, predicted_again, gradients, evaluated):
            assert bits(call(network(backend), mapped, T)) == bits(call(network(backend), plain(content), T))
    mapped.flush()
    assert (tmp_path / "x").read_bytes() == content.tobytes()


# ---- how many rows

SIZES = {"no rows": 0, "one row": 1, "two rows": 2}


@pytest.mark.parametrize("name", SIZES)
def test_few_rows(name: str) -> None:
    n = SIZES[name]
    assert network("numpy").predict(X[:n]).shape == (n, C)
    for call in LEARNS:
        if n:
            assert np.isfinite(call(network("numpy"), X[:n], T[:n])).all()
        else:
            with pytest.raises((ShapeError, LabelError)) as caught:
                call(network("numpy"), X[:n], T[:n])
            assert_complete(caught.value)


def test_one_class_only() -> None:
    for call in LEARNS:
        assert np.isfinite(call(network("numpy"), X, T * 0)).all()


# ---- integers that are read as such

IDS = np.random.default_rng(2).integers(0, 10, (N, 5))


def words(backend: str) -> Sequential:
    return Sequential(Embedding(10, 4), Flatten(), Affine(C), SoftmaxCrossEntropy()).build((5,), backend=backend)


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
@pytest.mark.parametrize("dtype", ["i1", "u1", ">i2", "i4", ">u4", "i8", ">i8", "u8"])
def test_integers_of_every_width_and_order(dtype: str, backend: str) -> None:
    for call in (predicted, gradients, evaluated, trained):
        assert bits(call(words(backend), IDS.astype(dtype), T)) == bits(call(words(backend), IDS.astype("i4"), T))


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
@pytest.mark.parametrize("value", [10, -1, 2**31, 2**32, 2**32 + 1, 1 - 2**32, -(2**63)])
def test_an_integer_out_of_range_is_refused_by_an_embedding_and_told(value: int, backend: str) -> None:
    wrong = with_value(IDS, value)
    for call in (predicted, gradients, evaluated, trained):
        with pytest.raises(DataError) as caught:
            call(words(backend), wrong, T)
        assert_complete(caught.value)
        assert str(value) in str(caught.value)
    net = words(backend)
    for _ in range(3):
        net.predict(IDS)
    with pytest.raises(DataError, match="row 3"):
        net.predict(wrong)  # what was recorded is not replayed blindly
