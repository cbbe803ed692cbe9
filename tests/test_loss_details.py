"""Losses where they look at what they are given: verdicts, kinds of targets and weights, rows that cannot be used."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinynn import (
    BinaryCrossEntropy,
    ConfigurationError,
    Huber,
    LabelError,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    QuadraticCost,
    Sequential,
    ShapeError,
    SoftmaxCrossEntropy,
)

S = np.sin(np.arange(12.0)).reshape(4, 3) * 3
LABELS = np.array([0, 2, 1, 2])
ROWS = np.array([[0.2, 0.3, 0.5], [1, 0, 0], [0.1, 0.8, 0.1], [0, 0.5, 0.5]])
WEIGHTS = np.array([0.1, 0.2, 0.0, 0.3])  # their sum is less than 1


def build(loss: Loss, shape: tuple[int, ...] = (3,), dtype: str = "float64") -> Any:
    return Sequential(loss).build(shape, dtype=dtype, needs_dx=True)


def built(loss: Loss, shape: tuple[int, ...] = (3,), dtype: str = "float64") -> Any:
    """The loss itself, as a network has it."""
    build(loss, shape, dtype)
    return loss


# --- what scores mean, and which rows are right


def test_what_scores_mean_at_inference() -> None:
    e = np.exp(S)
    np.testing.assert_allclose(build(SoftmaxCrossEntropy()).predict(S), e / e.sum(axis=1, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(build(BinaryCrossEntropy()).predict(S), 1 / (1 + np.exp(-S)), rtol=1e-12)
    for loss in (QuadraticCost(), MeanSquaredError(), MeanAbsoluteError(), Huber()):
        np.testing.assert_array_equal(build(loss).predict(S), S)


@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), QuadraticCost()], ids=repr)
def test_with_targets_predict_is_the_loss(loss: Loss) -> None:
    loss = built(loss)
    right = float(loss.forward(S, LABELS)[0])
    assert float(loss.predict(S, LABELS)) == right
    weighted = float(loss.forward(S, LABELS, WEIGHTS)[0])
    assert float(loss.predict(S, LABELS, WEIGHTS)) == weighted != right
    assert loss.predict(S).shape == S.shape


def test_verdicts_row_by_row() -> None:
    best = S.argmax(axis=1)
    mixed = np.where([True, False, True, False], best, (best + 1) % 3)
    for loss in (SoftmaxCrossEntropy(), QuadraticCost()):
        assert list(built(loss).verdict(S, mixed)) == [1, 0, 1, 0]
    assert list(built(SoftmaxCrossEntropy()).verdict(S, np.eye(3)[mixed])) == [1, 0, 1, 0]
    assert list(built(SoftmaxCrossEntropy(ignore=7)).verdict(S, np.array([mixed[0], 7, 7, mixed[3]]))) == [1, -1, -1, 0]
    # No class is named by rows, by numbers, or for images of scores.
    assert built(QuadraticCost()).verdict(S, np.eye(3)[mixed]) is None
    assert built(QuadraticCost()).verdict(S, mixed.astype(float)) is None
    assert built(QuadraticCost(), (3, 2)).verdict(S.reshape(2, 3, 2), mixed[:2]) is None
    assert built(MeanSquaredError()).verdict(S, S) is None


def test_verdicts_of_two_classes() -> None:
    loss = built(BinaryCrossEntropy(), (1,))
    s, t = np.array([[3.0], [-2.0], [0.0], [0.0], [1.0], [0.5]]), np.array([1, 0, 1, 0, 0.5, 0.75])
    # A score of 0 says label 0, and so does a target of one half.
    for targets in (t, t[:, None]):
        assert list(loss.verdict(s, targets)) == [1, 1, 0, 1, 0, 1]
    assert list(loss.verdict(s[:, 0], t)) == [1, 1, 0, 1, 0, 1]
    assert loss.verdict(S, ROWS) is None


# --- exact numbers: in which precision means are taken, and by what they divide


@pytest.mark.parametrize("loss", [MeanSquaredError(), MeanAbsoluteError(), Huber(), BinaryCrossEntropy()], ids=repr)
@pytest.mark.parametrize("weighted", [False, True])
def test_means_of_float32_are_taken_in_float64(loss: Loss, weighted: bool) -> None:
    rng = np.random.default_rng(3)
    y, t = rng.standard_normal((3, 40_000)).astype("float32") * 10, rng.random((3, 40_000)).astype("float32")
    weights = rng.random(3).astype("float32") if weighted else None
    kept = built(loss, (40_000,), "float32")
    each = kept.elements(y, t, np.empty_like(y)).copy().astype("float64")
    share = np.full(3, 1 / 3) if weights is None else (weights / weights.sum(dtype="float64")).astype("float32")
    right = np.float32(each.mean(axis=1) @ share.astype("float64"))
    loss_of = kept.forward(y, t) if weights is None else kept.forward(y, t, weights)
    assert loss_of[0].dtype == np.float32
    assert abs(loss_of[0] - right) <= np.spacing(right)


def test_softmax_of_float32_scores_works_in_float64() -> None:
    s = (np.random.default_rng(4).standard_normal((50, 7)) * 5).astype("float32")
    labels = np.arange(50) % 7
    wide = s.astype("float64")
    logs = np.log(np.exp(wide).sum(axis=1)) - wide[np.arange(50), labels]
    loss = built(SoftmaxCrossEntropy(), (7,), "float32")
    assert loss.forward(s, labels)[0] == np.float32(logs.mean())
    p = np.exp(wide) / np.exp(wide).sum(axis=1, keepdims=True)
    np.testing.assert_array_equal(loss.link(s), p.astype("float32"))
    assert loss.link(s).dtype == np.float32


@pytest.mark.parametrize(
    "loss", [SoftmaxCrossEntropy([1.0, 2.0, 0.5]), QuadraticCost(), MeanSquaredError(), BinaryCrossEntropy()], ids=repr
)
def test_weights_count_by_their_share_however_small(loss: Loss) -> None:
    net, targets = build(loss), ROWS
    L, cache = net.forward(S, targets, WEIGHTS)
    right, gradient = float(L), np.array(net.backward(1.0, cache))
    for factor in (1e-6, 1000.0):
        L, cache = net.forward(S, targets, WEIGHTS * factor)
        assert float(L) == pytest.approx(right, rel=1e-12)
        np.testing.assert_allclose(net.backward(1.0, cache), gradient, rtol=1e-12)


def test_the_share_of_each_row() -> None:
    loss = built(MeanSquaredError(), (2,), "float32")
    assert loss.share(5, None) == 0.2
    share = loss.share(4, np.array([0.1, 0.2, 0.0, 0.3]))
    assert share.dtype == np.float32
    np.testing.assert_allclose(share, [1 / 6, 1 / 3, 0, 1 / 2], rtol=1e-6)
    assert not loss.share(4, np.zeros(4)).any()
    assert loss.share(2, np.array([True, False])).tolist() == [1, 0]
    large = np.full(20_000, 1.0001, "float32")  # in float32 their sum would be another
    assert loss.total_weight(large, large) == large.astype("float64").sum()
    assert loss.total_weight(large) == 20_000


def test_what_a_batch_counts() -> None:
    loss = built(SoftmaxCrossEntropy([1.0, 2.0, 4.0], ignore=1))
    assert loss.total_weight(LABELS) == 1 + 4 + 4
    assert loss.total_weight(LABELS, np.array([1.0, 0.5, 9, 0])) == 1 + 2
    assert loss.total_weight(ROWS) == 4
    assert built(SoftmaxCrossEntropy()).total_weight(LABELS) == 4


def test_labels_stand_for_rows_of_on_and_off() -> None:
    for dtype in ("float32", "float64"):
        loss = built(QuadraticCost(0.25, 0.75), dtype=dtype)
        rows = loss.rows_of(LABELS, S.shape)
        assert rows.dtype == dtype
        np.testing.assert_array_equal(rows, np.where(np.eye(3)[LABELS] == 1, 0.75, 0.25))
        s = S.astype(dtype)
        assert loss.forward(s, LABELS)[0] == loss.forward(s, rows.copy())[0]


def test_defaults() -> None:
    assert (QuadraticCost().off, QuadraticCost().on, Huber().delta) == (0, 1, 1)
    assert SoftmaxCrossEntropy().smoothing == 0 and SoftmaxCrossEntropy().ignore is None
    several: list[dict[str, Any]] = [{"class_weights": [1.0, 1.0]}, {"label_smoothing": 0.1}, {"ignore": 0}]
    for settings in several:
        assert not SoftmaxCrossEntropy(**settings).plain
    assert SoftmaxCrossEntropy().plain is True


# --- what is taken, and what is refused

KINDS = ["int8", "int64", "uint8", "uint64"]


@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), QuadraticCost()], ids=repr)
def test_labels_or_rows_and_nothing_else(loss: Loss) -> None:
    loss = built(loss)
    for kind in KINDS:
        assert loss.has_labels(S, LABELS.astype(kind)) is True
    assert loss.has_labels(S[:1], LABELS[:1]) is True
    for kind in ("float16", "float32", "float64"):
        assert loss.has_labels(S, ROWS.astype(kind)) is False
    wrong = [
        LABELS[:3],
        LABELS[:, None],
        LABELS.astype(float),
        LABELS > 1,
        ROWS[:3],
        ROWS[:, :2],
        ROWS.astype(int),
        ROWS.astype(complex),
    ]
    for targets in wrong:
        for call in (loss.has_labels, loss.forward):
            with pytest.raises(LabelError, match="do not fit the scores"):
                call(S, targets)
    with pytest.raises(LabelError, match="without rows"):
        loss.has_labels(S[:0], LABELS[:0])
    with pytest.raises(LabelError):  # labels are for one row of scores each
        loss.has_labels(np.zeros((4, 3, 2)), LABELS)


@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), QuadraticCost()], ids=repr)
def test_targets_are_looked_through_on_the_host(loss: Loss) -> None:
    loss = built(loss)
    for targets in (LABELS, LABELS.astype("uint8"), ROWS, ROWS.astype("float32")):
        loss.check_targets(targets, (3,))
    for targets in (LABELS[:0], LABELS.astype(float), LABELS[:, None], ROWS[:, :2], ROWS[:0], ROWS.astype(complex)):
        with pytest.raises(LabelError) as caught:
            loss.check_targets(targets, (3,))
        assert "row " not in caught.value.args[0]
    with pytest.raises(LabelError):
        loss.check_targets(LABELS, (3, 2))
    for wrong, got in ((np.array([0, 2, 3, 1]), 3), (np.array([0, 1, -1, 5]), -1)):
        for call in (lambda t=wrong: loss.check_targets(t, (3,)), lambda t=wrong: loss.forward(S, t)):
            with pytest.raises(LabelError) as caught:
                call()
            assert (caught.value.got, caught.value.expected) == (got, "labels 0 to 2")
            assert str(caught.value.where) == f"{loss.where}, row 2"
    rows = ROWS.copy()
    rows[3, 1] = np.nan
    with pytest.raises(LabelError, match="row 3"):
        loss.check_targets(rows, (3,))


def test_rows_of_images_are_looked_through_too() -> None:
    targets = np.zeros((4, 3, 2, 2))
    loss = built(QuadraticCost(), (3, 2, 2))
    loss.check_targets(targets, (3, 2, 2))
    targets[2, 1, 1, 0] = np.inf
    for kind in (loss, built(MeanSquaredError(), (3, 2, 2))):
        with pytest.raises(LabelError, match="row 2") as caught:
            kind.check_targets(targets, (3, 2, 2))
        assert str(caught.value.where) == f"{kind.where}, row 2"


@pytest.mark.parametrize("wide", ["int64", "uint64", "int32"])
def test_a_label_that_32_bits_would_bring_back_is_refused(wide: str) -> None:
    far = 2**32 if wide != "int32" else 2**31 - 1
    for loss in (SoftmaxCrossEntropy(), SoftmaxCrossEntropy(ignore=1), SoftmaxCrossEntropy([1.0, 1.0, 1.0])):
        with pytest.raises(LabelError) as caught:
            built(loss).forward(S, np.array([0, 2, far, 1]).astype(wide))
        assert caught.value.got == far


@pytest.mark.parametrize("ignored", [-1, 3, 255, 2**40])
def test_any_integer_may_be_the_label_that_is_ignored(ignored: int) -> None:
    loss = built(SoftmaxCrossEntropy(ignore=ignored))
    targets = np.array([0, ignored, 1, ignored])
    loss.check_targets(targets, (3,))
    assert targets.tolist() == [0, ignored, 1, ignored]
    L, cache = loss.forward(S, targets)
    gradient = np.array(loss.backward(1.0, cache)[0])
    assert not gradient[1].any() and not gradient[3].any() and gradient[[0, 2]].any(axis=1).all()
    right, cache = built(SoftmaxCrossEntropy()).forward(S[[0, 2]], targets[[0, 2]])
    assert float(L) == pytest.approx(float(right), rel=1e-12)
    loss.check_targets(ROWS, (3,))  # of rows none is ignored
    assert float(loss.forward(S, ROWS)[0]) == pytest.approx(float(built(SoftmaxCrossEntropy()).forward(S, ROWS)[0]))


def test_where_two_classes_are_scored_the_ignored_label_may_be_any() -> None:
    loss = built(SoftmaxCrossEntropy(ignore=5), (2,))
    loss.check_targets(np.array([0, 5]), (2,))
    L, _ = loss.forward(S[:2, :2], np.array([0, 5]))
    assert float(L) == pytest.approx(float(np.log1p(np.exp(S[0, 1] - S[0, 0]))), rel=1e-12)


def test_numbers_for_losses_of_numbers() -> None:
    for targets in (S > 0, LABELS[:, None] * np.ones((1, 3), int), S.astype("float32"), (S > 0).astype("uint8")):
        assert built(MeanSquaredError()).fits(S.shape, targets)
    loss = built(MeanSquaredError(), (1,))
    assert loss.fits((4, 1), S[:, 0]) and loss.fits((4, 1), S[:, :1]) and loss.fits((1, 1), S[:1, 0])
    for shape, targets in (
        ((4, 3), S[:, 0]),
        ((4, 3), S[:3]),
        ((0, 3), S[:0]),
        ((4, 1, 1), S[:, 0]),
        ((4, 3), S.astype(complex)),
        ((4, 3), S.astype(str)),
    ):
        assert not built(MeanSquaredError()).fits(shape, targets)
    for targets in (np.array(1.0), S[:0], S[:, :2], S.astype(str)):
        with pytest.raises(LabelError, match="do not fit"):
            built(MeanSquaredError()).check_targets(targets, (3,))
    built(MeanSquaredError()).check_targets(S, (3,))


def test_the_row_that_is_no_probability_is_named() -> None:
    loss = built(BinaryCrossEntropy())
    loss.check_targets((S > 0).astype(float), (3,))
    for value in (-0.01, 1.01, np.nan):
        rows = ROWS.copy()
        rows[2, 0] = value
        with pytest.raises(LabelError) as caught:
            loss.check_targets(rows, (3,))
        assert str(caught.value.where).endswith("row 2")
        assert caught.value.expected == "numbers from 0 to 1"


@pytest.mark.parametrize("kind", ["bool", "int64", "uint8", "float32", "float64"])
def test_weights_may_be_numbers_of_any_kind(kind: str) -> None:
    loss = built(MeanSquaredError())
    weights = np.array([1, 0, 1, 1]).astype(kind)
    loss.check_weights(weights)
    right = float(loss.forward(S, ROWS, np.array([1.0, 0, 1, 1]))[0])
    assert float(loss.forward(S, ROWS, weights)[0]) == pytest.approx(right, rel=1e-6)


def test_weights_of_another_kind_or_shape() -> None:
    loss = built(SoftmaxCrossEntropy())
    for weights in (np.ones(3), np.ones((4, 1)), np.ones(4, complex), np.ones(4, "U1")):
        with pytest.raises(LabelError, match="weights that do not fit"):
            loss.forward(S, LABELS, weights)
    for weights in (np.array(1.0), np.ones((4, 1))):
        with pytest.raises(LabelError, match="weights that do not fit"):
            loss.check_weights(weights)
    with pytest.raises(LabelError) as caught:
        loss.check_weights(np.array([1, 0, -1.0]))
    assert str(caught.value.where) == f"{loss.where}, row 2"


def test_shapes_are_settled_in_build() -> None:
    for loss in (SoftmaxCrossEntropy(), QuadraticCost(), MeanSquaredError()):
        loss = built(loss)
        assert loss.build((3,)) == loss.build((3,), ()) == loss.build((3,), (3,)) == loss.build((3,), (), ()) == ()
        for targets in ((2,), (3, 1), (4,)):
            with pytest.raises(ShapeError) as caught:
                loss.build((3,), targets)
            assert caught.value.got == targets
    assert built(SoftmaxCrossEntropy([1.0, 2.0]), (2,)).forward(S[:, :2], LABELS % 2)[0].shape == ()
    for shape in ((1,), (3, 2)):
        with pytest.raises(ShapeError, match="a row of scores"):
            built(SoftmaxCrossEntropy(), shape)
    for weights in ([1.0, 2.0], [1.0] * 4):
        with pytest.raises(ConfigurationError, match="class weights"):
            built(SoftmaxCrossEntropy(weights))


def test_settings_at_their_bounds() -> None:
    assert SoftmaxCrossEntropy([0.0, 1.0], 0.0).class_weights == [0.0, 1.0]
    assert SoftmaxCrossEntropy(label_smoothing=0.99).smoothing == 0.99
    for smoothing in (-1e-9, 1.0):
        with pytest.raises(ConfigurationError):
            SoftmaxCrossEntropy(label_smoothing=smoothing)
    for delta in (0.0, -1.0, np.inf):
        with pytest.raises(ConfigurationError):
            Huber(delta)
    assert Huber(1e-9).delta == 1e-9


# --- the inputs that the checks of layers draw


@pytest.mark.parametrize("n", [2, 50])
def test_examples_are_inputs_that_the_loss_takes(n: int) -> None:
    for loss in (SoftmaxCrossEntropy(), QuadraticCost()):
        for shapes in (((3,),), ((3,), ()), ((3,), (), ()), ((3,), (3,)), ((3,), (3,), ())):
            if isinstance(loss, QuadraticCost) and len(shapes) > 2:
                continue
            scores, targets, *weights = built(loss).example(np.random.default_rng(0), n, *shapes)
            assert scores.shape == (n, 3) and scores.std() > 0
            assert (targets.ndim == 1 and targets.dtype.kind == "i") == (shapes[1:2] in ((), ((),)))
            assert all((w >= 0.5).all() and (w < 1.5).all() and w.shape == (n,) for w in weights)
            assert len(weights) == len(shapes[2:])
            loss.check_targets(targets, (3,))
            if n == 50 and targets.ndim == 1:
                assert set(targets) == {0, 1, 2}
            elif isinstance(loss, SoftmaxCrossEntropy) and targets.ndim == 2:
                np.testing.assert_allclose(targets.sum(axis=1), 1)
    scores, targets = built(QuadraticCost(), (3, 2)).example(np.random.default_rng(0), n, (3, 2))
    assert scores.shape == targets.shape == (n, 3, 2)
    for loss in (MeanSquaredError(), BinaryCrossEntropy()):
        scores, targets, *weights = built(loss).example(np.random.default_rng(0), n, (3,), (3,), ())
        assert scores.shape == targets.shape == (n, 3) and scores.min() < 0 and len(weights) == 1
        assert (weights[0] >= 0.5).all() and (weights[0] < 1.5).all() and weights[0].shape == (n,)
        loss.check_targets(targets, (3,))
        assert len(built(loss).example(np.random.default_rng(0), n, (3,))) == 2


def test_each_row_is_compared_with_its_own_target() -> None:
    scores = np.eye(4)[[3, 1, 0, 2]] + S[:, :1] / 9
    loss = built(SoftmaxCrossEntropy(), (4,))
    assert list(loss.verdict(scores, np.eye(4)[[3, 1, 0, 2]])) == [1, 1, 1, 1]
    assert list(loss.verdict(scores, np.eye(4)[[3, 3, 3, 3]])) == [1, 0, 0, 0]


@pytest.mark.parametrize("weights", [None, np.array([1.0], np.float32)])
def test_small_numbers_beside_a_large_one_are_not_lost(weights: Any) -> None:
    y = np.ones((1, 100), np.float32)
    y[0, 0] = 1e8  # in a sum of float32 the ones that are added to it are lost
    loss = built(MeanAbsoluteError(), (100,), "float32")
    L = loss.forward(y, np.zeros_like(y)) if weights is None else loss.forward(y, np.zeros_like(y), weights)
    assert L[0] == np.float32((1e8 + 99) / 100)
