"""What sources do wrong, told by one error: which rows were asked for, or which row is wrong, by its own number."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from misuse_helpers import Case, T, X, assert_helpful, net

from tinynn import SGD, ConfigurationError, DataError, Graph, LabelError, ShapeError, SoftmaxCrossEntropy, datasets, fit
from tinynn.layers import Add, Affine

LONG_X, LONG_T = np.tile(X, (20, 1)), np.tile(T, 20)
"""120 rows: the error must tell one of them from its place in the batch."""


class Source:
    """The rows of the arrays, changed on their way: `change(rows, x, t)` says what comes in their place."""

    def __init__(self, change: Callable[..., Any], length: Any = 120, x: Any = LONG_X, t: Any = LONG_T) -> None:
        self.change, self.length, self.x, self.t = change, length, x, t

    def __len__(self) -> Any:
        return self.length() if callable(self.length) else self.length

    def take(self, rows: np.ndarray) -> Any:
        return self.change(rows, self.x[rows], self.t[rows])


def plain(rows: Any, x: Any, t: Any) -> Any:
    return x, t


def raising(error: BaseException) -> Any:
    def change(rows: Any, x: Any, t: Any) -> Any:
        raise error

    return change


def later(change: Callable[..., Any]) -> Callable[..., Any]:
    """Right for the first row, which is looked at before the first step, wrong from then on."""
    return lambda rows, x, t: (x, t) if len(rows) == 1 else change(rows, x, t)


def at(row: int, x_value: Any = None, t_value: Any = None) -> Callable[..., Any]:
    """One wrong row among right ones."""

    def change(rows: np.ndarray, x: Any, t: Any) -> Any:
        if x_value is not None:
            x[rows == row, 2] = x_value
        if t_value is not None:
            t[rows == row] = t_value
        return x, t

    return change


def learn(change: Callable[..., Any] = plain, network: Any = None, **options: Any) -> Callable[[], Any]:
    source = Source(change, **options)
    return lambda: fit(network or net(), SGD(0.1), source, epochs=1, batch_size=16, progress=False)


def validate(change: Callable[..., Any]) -> Callable[[], Any]:
    return lambda: fit(net(), SGD(0.1), (X, T), validation=Source(change), epochs=1, batch_size=4, progress=False)


def evaluate(change: Callable[..., Any] = plain, **options: Any) -> Callable[[], Any]:
    return lambda: net().evaluate(Source(change, **options), batch_size=16)


def refuse() -> int:
    raise KeyError("no index")


def weighted(rows: Any, x: Any, t: Any) -> Any:
    return (x, t, np.where(rows == 77, -1.0, 1.0))


def graph() -> Graph:
    nodes: dict[str, Any] = {
        "sum": (Add(), "a", "b"),
        "s": (Affine(3), "sum"),
        "loss": (SoftmaxCrossEntropy(), "s", "t"),
    }
    return Graph(**nodes).build((4,), (4,))


ROWS = "(16 of them)"
CASES: dict[str, Case] = {
    # what take returns
    "None": (learn(lambda *_: None), DataError, "fit, train, row 0", "a NoneType", "take(rows) -> (x, targets)"),
    "None later": (learn(later(lambda *_: None)), DataError, ROWS, "a NoneType", "take(rows)"),
    "the inputs alone": (learn(lambda rows, x, t: x), DataError, "row 0", "a ndarray", "take(rows)"),
    "one array in a tuple": (learn(lambda rows, x, t: (x,)), DataError, "row 0", "a tuple of 1", "take(rows)"),
    "four arrays": (learn(lambda rows, x, t: (x, t, t, t)), DataError, "row 0", "a tuple of 4", "take(rows)"),
    "pairs of rows": (
        learn(later(lambda rows, x, t: list(zip(x, t, strict=True)))), DataError, ROWS, "a list of 16", "take(rows)",
    ),
    "a dictionary": (learn(lambda rows, x, t: {"x": x, "t": t}), DataError, "row 0", "a dict", "take(rows)"),
    "lists": (learn(lambda rows, x, t: (x.tolist(), t)), DataError, "row 0", "a list", "np.asarray(x)"),
    "targets in a list": (
        learn(later(lambda r, x, t: (x, t.tolist()))), DataError, ROWS, "a list", "np.asarray(targets)",
    ),
    "a generator": (learn(lambda rows, x, t: iter((x, t))), DataError, "row 0", "iterator", "take(rows)"),
    "a row too few": (learn(later(lambda r, x, t: (x[1:], t[1:]))), ShapeError, ROWS, "(15, 4)", "x[rows]"),
    "a target too few": (learn(later(lambda r, x, t: (x, t[1:]))), ShapeError, ROWS, "(15,)", "x[rows]"),
    "all rows each time": (learn(lambda r, x, t: (LONG_X, LONG_T)), ShapeError, "row 0", "(120, 4)", "x[rows]"),
    "one number": (learn(lambda r, x, t: (x, np.array(1))), ShapeError, "row 0", "()", "x[rows]"),
    "rows of another shape": (learn(lambda r, x, t: (x[:, :3], t)), ShapeError, "row 0", "(1, 3)", "build the network"),
    "a row without its axis": (learn(lambda r, x, t: (x[0], t)), ShapeError, "row 0", "(4,)", "x[rows]"),
    "text": (learn(lambda r, x, t: (x.astype(str), t)), DataError, "row 0", "<U", "x.astype(float)"),
    "objects": (learn(lambda r, x, t: (x.astype(object), t)), DataError, "row 0", "object", "x.astype(float)"),
    "complex": (learn(lambda r, x, t: (x.astype(complex), t)), DataError, "row 0", "complex", "x.astype(float)"),
    # what changes from batch to batch
    "another dtype later": (learn(later(lambda r, x, t: (x.astype("f8"), t))), DataError, ROWS, "float64", "one dtype"),
    "other targets later": (learn(later(lambda r, x, t: (x, t.astype("f8")))), DataError, ROWS, "float64", "targets"),
    "another shape later": (learn(later(lambda r, x, t: (x[:, :3], t))), ShapeError, ROWS, "(3,)", "one dtype"),
    "rows for labels later": (learn(later(lambda r, x, t: (x, np.eye(3)[t]))), ShapeError, ROWS, "(3,)", "targets"),
    "weights later": (learn(later(lambda r, x, t: (x, t, t * 1.0))), DataError, ROWS, "3 arrays", "with all rows"),
    # values, by the row's own number
    "NaN": (learn(at(77, np.nan)), DataError, "fit, train, row 77, element (2,)", "nan", "drop or repair"),
    "Inf": (learn(at(0, -np.inf)), DataError, "fit, train, row 0, element (2,)", "-inf", "drop or repair"),
    "beyond float32": (
        learn(at(101, 1e39), x=LONG_X.astype("f8")), DataError, "fit, train, row 101, element (2,)", "1e+39", "drop",
    ),
    "a label too large": (learn(at(119, None, 3)), LabelError, "fit, train, row 119", "3", "correct the label"),
    "a negative label": (learn(at(1, None, -1)), LabelError, "fit, train, row 1:", "-1", "correct the label"),
    "labels that are floats": (learn(t=LONG_T * 1.0), LabelError, "fit, train, row 0", "float64", "astype(int)"),
    "labels in a column": (learn(lambda r, x, t: (x, t[:, None])), LabelError, "row 0", "(1, 1)", "shape (N,)"),
    "no distribution": (
        learn(lambda r, x, t: (x, np.where(r == 5, 0.9, 1.0)[:, None] * np.eye(3)[t])),
        LabelError, "fit, train, row 5:", "[0.0, 0.0, 0.9]", "correct the row",
    ),
    "a negative weight": (learn(weighted), LabelError, "fit, train, row 77:", "-1", "correct the"),
    "NaN in a second input": (
        learn(lambda r, x, t: (x, np.where(r == 9, np.nan, 1.0)[:, None] * x, t), network=graph()),
        DataError, "fit, train, row 9, element (0,)", "nan", "drop or repair",
    ),
    "an input too few": (learn(network=graph()), DataError, "row 0", "a tuple of 2", "take(rows) -> (a, b, t)"),
    # what raises
    "an exception": (learn(raising(KeyError("lost"))), DataError, "row 0", "KeyError: 'lost'", "correct take"),
    "an exception later": (learn(later(raising(OSError("disk")))), DataError, ROWS, "OSError: disk", "correct take"),
    "no memory": (learn(later(raising(MemoryError()))), DataError, ROWS, "MemoryError", "correct take"),
    "stop": (learn(later(raising(StopIteration()))), DataError, ROWS, "StopIteration", "correct take"),
    "longer than it is": (learn(length=500), DataError, "rows", "IndexError", "correct take"),
    # its length
    "no rows": (learn(length=0), ShapeError, "fit, train, len(source)", "0", "at least one row"),
    "a negative length": (learn(length=-1), DataError, "len(source)", "ValueError", "__len__"),
    "a length that is none": (learn(length=1.5), DataError, "len(source)", "TypeError", "__len__"),
    "a length that raises": (learn(length=refuse), DataError, "len(source)", "KeyError: 'no index'", "__len__"),
    # validation and evaluate
    "validation, None": (validate(lambda *_: None), DataError, "fit, validation, row 0", "a NoneType", "take(rows)"),
    "validation, NaN": (validate(at(77, np.nan)), DataError, "fit, validation, row 77,", "nan", "drop or repair"),
    "validation, Inf": (validate(at(77, np.inf)), DataError, "fit, validation, row 77,", "inf", "drop or repair"),
    "validation, label": (validate(at(77, None, 7)), LabelError, "fit, validation, row 77:", "7", "correct the label"),
    "evaluate, None": (evaluate(lambda *_: None), DataError, "evaluate, rows 0, 1, 2", "a NoneType", "take(rows)"),
    "evaluate, label": (evaluate(at(77, None, 7)), LabelError, "evaluate, row 77:", "7", "correct the label"),
    "evaluate, NaN": (evaluate(at(77, np.nan)), DataError, "row 77, element (2,)", "nan", "drop or repair"),
    "evaluate, dtype": (evaluate(later(lambda r, x, t: (x, t * 1j))), LabelError, "row 0", "complex128", "astype(int)"),
    "evaluate, no rows": (evaluate(length=0), ShapeError, "evaluate, len(source)", "0", "at least one row"),
    "evaluate, one shape after another": (
        evaluate(lambda r, x, t: (x, t) if r[0] == 0 else (x, np.eye(3)[t])), ShapeError, "rows 16, 17", "(3,)",
        "one dtype",
    ),
    # what is no source
    "the class": (lambda: fit(net(), SGD(0.1), Source, epochs=1), ConfigurationError, "train", "a type", "train=(x, t"),
    "take without len": (
        lambda: fit(net(), SGD(0.1), type("Half", (), {"take": plain})(), epochs=1), ConfigurationError, "train",
        "a Half", "(x",
    ),
    "a source for the inputs": (
        lambda: fit(net(), SGD(0.1), (Source(plain), T), epochs=1), ConfigurationError, "train", "Source, ndarray",
        "train=source",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_misuse(name: str) -> None:
    assert_helpful(CASES[name])


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_what_ends_the_program_is_not_the_sources_fault(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        learn(later(raising(error)))()
    assert caught.value is error


def test_an_error_of_tinynns_own_comes_as_it_is(tmp_path: Path) -> None:
    data = datasets.write_shards(tmp_path, [(LONG_X, LONG_T)])
    (tmp_path / "targets-00000.npy").unlink()
    with pytest.raises(DataError) as caught:
        fit(net(), SGD(0.1), data, epochs=1, progress=False)
    assert caught.value.path == str(tmp_path / "targets-00000.npy")


class OfSeveralClasses(SoftmaxCrossEntropy):
    """Refuses rows of one class, unless it is one row."""

    def check_targets(self, targets: np.ndarray, scores: Any) -> None:
        super().check_targets(targets, scores)
        if len(targets) > 1 and len(np.unique(targets)) == 1:
            raise LabelError("all rows are of one class", where=self.where, expected="several", got=targets[0], fix="-")


def test_what_a_loss_says_of_rows_together_comes_as_it_is() -> None:
    network = net(Affine(3), OfSeveralClasses())
    with pytest.raises(LabelError, match="all rows are of one class") as caught:
        fit(network, SGD(0.1), Source(plain, t=np.zeros(120, int)), epochs=1, progress=False)
    assert caught.value.where == network.layers[1].where


def test_the_cause_is_kept() -> None:
    cause = KeyError("lost")
    with pytest.raises(DataError) as caught:
        learn(raising(cause))()
    assert caught.value.__cause__ is cause


@pytest.mark.parametrize("which", ["x", "t"])
def test_rows_of_a_file_are_looked_at_when_their_step_comes(tmp_path: Path, which: str) -> None:
    """The steps before are made: nobody reads a file of a terabyte to find out whether its last row is right."""
    x, t = LONG_X.copy(), LONG_T.copy()
    x[93, 1], t[93] = (np.nan, 0) if which == "x" else (0, 9)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "t.npy", t)
    data = tuple(np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "xt")
    optimizer = SGD(0.1)
    kind, says = (DataError, "nan") if which == "x" else (LabelError, "9")

    def case() -> Any:
        return fit(net(), optimizer, data, epochs=1, batch_size=1, progress=False)

    assert_helpful((case, kind, "fit, train, row 93", says, "repair" if which == "x" else "correct"))
    assert 0 < optimizer.steps_taken < 120


def test_what_lies_in_memory_beside_a_file_is_looked_at_before_the_first_step(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", LONG_X)
    x, t = np.load(tmp_path / "x.npy", mmap_mode="r"), LONG_T.copy()
    t[93] = 9
    optimizer = SGD(0.1)
    with pytest.raises(LabelError, match="row 93"):
        fit(net(), optimizer, (x, t), epochs=1, batch_size=1, progress=False)
    assert optimizer.steps_taken == 0


FILES: dict[str, tuple[Callable[[Any], Any], type[Exception]]] = {
    "rows of another shape": (lambda x: (x[:, :3], LONG_T), ShapeError),
    "targets fewer": (lambda x: (x, LONG_T[:-1]), ShapeError),
    "labels that are floats": (lambda x: (x, x[:, 0]), LabelError),
    "the inputs alone": (lambda x: (x,), ConfigurationError),
    "no rows": (lambda x: (x[:0], LONG_T[:0]), ShapeError),
    "the array itself": (lambda x: x, ConfigurationError),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_do_not_fit_are_refused_before_the_first_step(tmp_path: Path, name: str) -> None:
    np.save(tmp_path / "x.npy", LONG_X)
    change, kind = FILES[name]
    data = change(np.load(tmp_path / "x.npy", mmap_mode="r"))
    optimizer = SGD(0.1)
    with pytest.raises(kind) as caught:
        fit(net(), optimizer, data, epochs=1, batch_size=1, progress=False)
    assert type(caught.value) is kind
    assert optimizer.steps_taken == 0
    if isinstance(data, tuple):
        with pytest.raises(ValueError) as caught:
            net().evaluate(*data)
        assert type(caught.value) in (kind, ShapeError)
