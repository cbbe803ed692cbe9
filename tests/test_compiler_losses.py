"""Softmax, its cross-entropy and the count of right answers as machine code, beside the verbs they stand for."""

from __future__ import annotations

from functools import partial
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from compiler_helpers import assert_bits, machine_code, processors, twice
from hypothesis import given, settings

from tinynn.backend import NumpyOps
from tinynn.compiler.losses import MOST, loss_verb
from tinynn.compiler.program import segment, understood

ops: Any = NumpyOps()
KINDS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"]
CLASSES = [2, 3, 4, 7, 8, 9, 10, 15, 16, 17, 31, 33, 64, 100, 127, 128]
dtypes = st.sampled_from(["float32", "float64"])

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of what overflows


class Case:
    """Scores and labels of N rows, and room for all that comes of them, full of 7."""

    def __init__(self, scores: Any, labels: Any, dtype: str = "float64", kind: str = "int64") -> None:
        self.scores, self.labels = np.array(scores, dtype), np.array(labels, kind)
        self.p, self.loss = np.full(self.scores.shape, 7.0), np.full((), 7, dtype)
        self.gradient, self.softmax = np.full_like(self.scores, 7), np.full_like(self.scores, 7)
        self.hits, self.work = np.full(1, 5), np.empty(self.scores.shape)

    @property
    def calls(self) -> list[Any]:
        return [
            partial(ops.softmax_cross_entropy, self.scores, self.labels, self.p, self.loss),
            partial(ops.softmax_cross_entropy_backward, self.p, self.labels, 1 / len(self.scores), self.gradient),
            partial(ops.softmax, self.scores, self.softmax, self.work),
        ]

    def check(self) -> None:
        """As near to the verbs as those are to the right results; NumPy adds up a float32 gradient in float32."""
        single, ulp = self.scores.dtype == np.float32, 1.2e-7
        rtols = (1e-14, ulp, 8 * ulp, ulp) if single else (1e-14, 1e-13, 1e-14, 1e-14)
        arrays = [self.p, self.loss, self.gradient, self.softmax]
        for (got, right), rtol in zip(twice(self.calls, arrays), rtols, strict=True):
            np.testing.assert_allclose(got, right, rtol=rtol, atol=2 * np.finfo(got.dtype).smallest_subnormal)
        self.count()

    def count(self) -> None:
        """How many rows have their largest score, the first of several, at the label."""
        segment([loss_verb("count_hits", (self.scores, self.labels, self.hits))])()
        assert self.hits[0] == 5 + (self.scores.argmax(axis=1) == self.labels.astype(np.int64)).sum()


@st.composite
def cases(draw: st.DrawFn) -> Case:
    n, classes = draw(st.integers(1, 5)), draw(st.sampled_from(CLASSES))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    spread = draw(st.sampled_from([0.0, 0.1, 1.0, 30.0, 1e3, 1e4]))
    scores = rng.standard_normal((n, classes)) * spread
    if draw(st.booleans()):
        scores = np.round(scores)  # with ties
    labels = [
        rng.integers(0, classes, n),
        scores.argmax(axis=1),
        classes - 1 - scores[:, ::-1].argmax(axis=1),  # the last of the largest
    ]
    return Case(scores, draw(st.sampled_from(labels)), draw(dtypes), draw(st.sampled_from(KINDS)))


@settings(max_examples=60)
@given(cases())
def test_any_scores(case: Case) -> None:
    case.check()


@pytest.mark.usefixtures(processors.__name__)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_number_of_classes_about_a_vector(dtype: str) -> None:
    for classes in (2, 3, 5, 8, 9, 17, 128):
        rng = np.random.default_rng(classes)
        Case(rng.standard_normal((6, classes)), [0, classes - 1, classes // 2, 1, 0, 1], dtype, "uint8").check()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_scores(dtype: str) -> None:
    rows = [
        *([1e4, 0.0, -1e4], [-1e4, 1e4, 1e4], [0.0, 0.0, 0.0], [1e30, 1e30, 1e30], [3e38, -3e38, 0.0]),
        *([50.0, 3.95, -46.0], [0.0, -46.1, -46.2], [700.0, 0.0, -10.0], [-0.0, 0.0, -1.0], [1e-40, 0.0, -1e-40]),
        *([-1e4, -2e4, -3e4], [-1000.0, -1001.0, -1000.5], [-3e38, -3e38, -3e38]),
    ]
    for label in range(3):
        for row in rows:
            Case([row], [label], dtype).check()
    Case(rows, [n % 3 for n in range(len(rows))], dtype).check()


def test_a_loss_of_1e_20_keeps_its_digits() -> None:
    for away in (46.0517, 103.0, 690.0):
        case = Case([[away, 0.0, -1000.0]], [0])
        case.check()
        assert float(case.loss) == pytest.approx(np.exp(-np.float64(away)), rel=1e-13)
        # A row's gradient sums to 0, to the last digit.
        assert case.gradient[0, 0] == -(case.gradient[0, 1] + case.gradient[0, 2])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_is_no_number_makes_the_loss_none(value: float, place: int) -> None:
    """So that a run that diverges is noticed."""
    scores = np.zeros((3, 3))
    scores[1, place] = value
    for label in range(3):
        case = Case(scores, [0, label, 0])
        machine_code(case.calls)()
        assert np.isnan(case.loss)
        assert np.isnan(case.p[1]).any()
        assert np.isfinite(case.p[[0, 2]]).all()


@pytest.mark.parametrize(("kind", "label"), [("int64", -1), ("int64", 2**62), ("uint64", 2**63), ("int8", -3)])
def test_a_label_out_of_range_reads_and_writes_nothing_elsewhere(kind: str, label: int) -> None:
    scores = np.random.default_rng(0).standard_normal((3, 4))
    case, right = Case(scores, [1, label, 2], kind=kind), Case(scores, [1, 3, 2], kind=kind)
    machine_code(case.calls)()  # as if it were the last one
    machine_code(right.calls)()
    for name in ("p", "loss", "gradient"):
        assert_bits(getattr(case, name), getattr(right, name))


def test_labels_of_64_bits_without_a_sign() -> None:
    scores = np.random.default_rng(0).standard_normal((3, 4))
    case, right = Case(scores, [1, 3, 0], kind="uint64"), Case(scores, [1, 3, 0])
    machine_code(case.calls)()
    machine_code(right.calls)()
    assert_bits(case.gradient, right.gradient)


def test_hits_are_added_to_those_of_before() -> None:
    case = Case([[1.0, 2.0, 2.0], [3.0, 1.0, 2.0], [0.0, -0.0, 0.0], [-5.0, -7.0, -6.0]], [1, 2, 0, 0], "float32")
    call = segment([loss_verb("count_hits", (case.scores, case.labels, case.hits))])
    for times in (1, 2, 3):
        call()
        assert case.hits[0] == 5 + 3 * times


def test_what_is_not_of_this_kind_is_left_to_numpy() -> None:
    scores, labels, p, loss = np.zeros((3, 4)), np.zeros(3, int), np.zeros((3, 4)), np.zeros(())
    entropy = ops.softmax_cross_entropy
    many = np.zeros((3, MOST + 1))
    for call in [
        partial(entropy, scores, np.eye(4)[labels], p, loss),
        partial(entropy, scores.T.copy().T, labels, p, loss),
        partial(entropy, scores[:, ::2], labels, p[:, ::2], loss),
        partial(entropy, many, labels, many.copy(), loss),
        partial(entropy, np.zeros((3, 1)), labels, np.zeros((3, 1)), loss),
        partial(entropy, scores.astype(np.float16), labels, p, loss),
        partial(entropy, scores, labels.astype(">i8"), p, loss),
        partial(ops.softmax_cross_entropy_backward, p, labels, np.float64(0.1), scores),
        partial(ops.softmax_cross_entropy_backward, p, np.eye(4)[labels], 0.1, scores),
        partial(ops.softmax, scores.T, p.T, p.T.copy()),
    ]:
        assert understood(call, ()) is None
