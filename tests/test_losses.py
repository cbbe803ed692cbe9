"""Losses against PyTorch's and scikit-learn's numbers; weights, ignored rows, accuracy; and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss, mean_absolute_error, mean_squared_error

from tinynn import (
    SGD,
    Affine,
    BinaryCrossEntropy,
    ConfigurationError,
    DataError,
    Huber,
    LabelError,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    QuadraticCost,
    Sequential,
    SoftmaxCrossEntropy,
    fit,
    gradcheck,
)
from tinynn.backend import NumpyOps

S = np.sin(np.arange(12.0)).reshape(4, 3) * 3
Y = np.cos(np.arange(12.0)).reshape(4, 3)
LABELS = np.array([0, 2, 1, 2])
ROWS = np.array([[0.2, 0.3, 0.5], [1, 0, 0], [0.1, 0.8, 0.1], [0, 0.5, 0.5]])
HALVES = (np.arange(12) % 3 / 2.0).reshape(4, 3)
OF_CLASS = [0.5, 2.0, 1.0]

# By PyTorch 2.13 in float64: the loss, and elements 0, 5 and 10 of its gradient.
PYTORCH: dict[str, tuple[Loss, np.ndarray, float, list[float]]] = {
    "class weights": (
        SoftmaxCrossEntropy(OF_CLASS),
        LABELS,
        2.6753592685086725,
        [-0.10725096445416608, -0.2148024473409383, 0.011780358166265456],
    ),
    "smoothing": (
        SoftmaxCrossEntropy(label_smoothing=0.1),
        LABELS,
        2.9900174231140766,
        [-0.22464800335520704, -0.22498608659188896, 0.0049195696037153056],
    ),
    "class weights and smoothing": (
        SoftmaxCrossEntropy(OF_CLASS, 0.1),
        LABELS,
        2.6173432146823705,
        [-0.0993288708258327, -0.19986396961143546, -0.0028381173457782665],
    ),
    "an ignored label": (
        SoftmaxCrossEntropy(ignore=2),
        LABELS,
        2.3435435609565305,
        [-0.4826293400437474, 0.0, 0.0],
    ),
    "all three": (
        SoftmaxCrossEntropy(OF_CLASS, 0.1, 1),
        LABELS,
        3.6882173860016056,
        [-0.1787919674864988, -0.3597551453005838, -0.0051086112224008814],
    ),
    "rows with class weights and smoothing": (
        SoftmaxCrossEntropy(OF_CLASS, 0.1),
        ROWS,
        2.1833484634579445,
        [-0.016273221792842192, -0.003603226846514846, -0.22222907569232866],
    ),
    "mse_loss": (
        MeanSquaredError(),
        Y,
        4.84152710160162,
        [-0.16666666666666666, -0.5267391682421069, -0.13216530059860948],
    ),
    "l1_loss": (MeanAbsoluteError(), Y, 2.032718674704444, [-1 / 12] * 3),
    "huber_loss": (Huber(0.7), Y, 1.1779030722931108, [-0.7 / 12] * 3),
    "binary_cross_entropy_with_logits": (
        BinaryCrossEntropy(),
        HALVES,
        1.187315424182539,
        [0.041666666666666664, -0.07889051816984104, -0.028037674886861323],
    ),
}


def build(loss: Loss, shape: tuple[int, ...] = (3,), dtype: str = "float64") -> Sequential:
    return Sequential(loss).build(shape, dtype=dtype, needs_dx=True)


@pytest.mark.parametrize("case", PYTORCH)
def test_pytorch_has_the_same_numbers(case: str) -> None:
    loss, targets, right, gradient = PYTORCH[case]
    net = build(loss)
    L, cache = net.forward(S, targets)
    assert float(L) == pytest.approx(right, rel=1e-14)
    np.testing.assert_allclose(net.backward(1.0, cache).ravel()[[0, 5, 10]], gradient, rtol=1e-12, atol=1e-16)
    assert net.loss(S, targets) == pytest.approx(right, rel=1e-14)


WEIGHTS = np.array([0.5, 2.0, 0.0, 1.5])


def test_scikit_learn_weighs_in_the_same_way() -> None:
    p = build(SoftmaxCrossEntropy()).predict(S)
    for loss, targets, right in (
        (SoftmaxCrossEntropy(), LABELS, log_loss(LABELS, p, sample_weight=WEIGHTS)),
        (MeanSquaredError(), Y, mean_squared_error(Y, S, sample_weight=WEIGHTS)),
        (MeanAbsoluteError(), Y, mean_absolute_error(Y, S, sample_weight=WEIGHTS)),
        (QuadraticCost(), Y, 3 / 2 * mean_squared_error(Y, S, sample_weight=WEIGHTS)),
        (QuadraticCost(), LABELS, 3 / 2 * mean_squared_error(np.eye(3)[LABELS], S, sample_weight=WEIGHTS)),
    ):
        net = build(loss)
        assert float(net.forward(S, targets, WEIGHTS)[0]) == pytest.approx(right, rel=1e-12)
        assert net.evaluate(S, targets, WEIGHTS, batch_size=3).loss == pytest.approx(right, rel=1e-12)


ALL: list[tuple[Loss, np.ndarray]] = [
    (SoftmaxCrossEntropy(), LABELS),
    (SoftmaxCrossEntropy(OF_CLASS, 0.1, 1), LABELS),
    (SoftmaxCrossEntropy(), ROWS),
    (QuadraticCost(), LABELS),
    (MeanSquaredError(), Y),
    (Huber(), Y),
    (BinaryCrossEntropy(), HALVES),
]


@pytest.mark.parametrize(("loss", "targets"), ALL, ids=lambda value: repr(value) if isinstance(value, Loss) else "")
def test_weights(loss: Loss, targets: np.ndarray) -> None:
    net = build(loss)
    plain = float(net.forward(S, targets)[0])
    assert float(net.forward(S, targets, np.full(4, 7.0))[0]) == pytest.approx(plain, rel=1e-12)
    # A row of weight 2 counts as that row twice, one of weight 0 as if it were not there.
    chosen = [0, 0, 1, 3]
    twice = float(net.forward(S[chosen], targets[chosen])[0])
    L, cache = net.forward(S, targets, np.array([2.0, 1, 0, 1]))
    assert float(L) == pytest.approx(twice, rel=1e-12)
    assert not net.backward(1.0, cache)[2].any()
    L, cache = net.forward(S, targets, np.zeros(4))
    assert float(L) == 0
    assert not net.backward(1.0, cache).any()


def test_everything_ignored_is_a_loss_of_0() -> None:
    net = build(SoftmaxCrossEntropy(ignore=2))
    L, cache = net.forward(S, np.full(4, 2))
    assert float(L) == 0
    assert not net.backward(1.0, cache).any()
    result = net.evaluate(S, np.full(4, 2))
    assert result.loss == 0 and np.isnan(result.accuracy)


def test_means_over_batches_are_the_mean_over_all() -> None:
    """Batches of unequal weight: the mean of their means would be another number."""
    for loss in (SoftmaxCrossEntropy(OF_CLASS), SoftmaxCrossEntropy(ignore=2), SoftmaxCrossEntropy(OF_CLASS, 0.1, 0)):
        net = build(loss)
        whole = net.evaluate(S, LABELS)
        parts = net.evaluate(S, LABELS, batch_size=1)
        assert parts.loss == pytest.approx(whole.loss, rel=1e-12)
        assert parts.accuracy == whole.accuracy


def test_accuracy_counts_what_counts() -> None:
    best = S.argmax(axis=1)
    wrong = (best + 1) % 3
    targets = np.array([best[0], wrong[1], 255, 255])
    assert build(SoftmaxCrossEntropy(ignore=255)).evaluate(S, targets).accuracy == 0.5
    net = Sequential(Affine(3, W=np.eye(3)), SoftmaxCrossEntropy(ignore=255)).build((3,))
    history = fit(net, SGD(1e-9), (S, targets), epochs=1, batch_size=3, progress=False)
    assert history.accuracy == [0.5]
    binary = build(BinaryCrossEntropy(), (1,))
    s = np.array([[1.0], [-1.0], [2.0], [-2.0]])
    for t in (np.array([1, 0, 0, 0]), np.array([[1.0], [0.0], [0.0], [0.0]])):
        assert binary.evaluate(s, t).accuracy == 0.75
    assert np.isnan(build(BinaryCrossEntropy()).evaluate(S, HALVES).accuracy)
    assert np.isnan(build(MeanSquaredError()).evaluate(S, Y).accuracy)


def test_fit_takes_weights_and_counts_accuracy() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 2))
    t = (x[:, 0] > 0).astype(int)
    lies = t.copy()
    lies[::3] = 1 - lies[::3]
    weights = np.ones(300)
    weights[::3] = 0  # the rows that lie count nothing
    net = Sequential(Affine(1), BinaryCrossEntropy()).build((2,))
    history = fit(net, SGD(1.0), (x, lies, weights), epochs=30, validation=(x, t), progress=False)
    assert history.validation_accuracy[-1] > 0.98
    assert history.accuracy[-1] == pytest.approx(2 / 3, abs=0.02)  # accuracy counts rows, not weights
    assert history.loss[-1] < 0.15


def test_binary_cross_entropy_at_the_ends_of_the_floats() -> None:
    for dtype, far in (("float32", 1e38), ("float64", 1e307)):
        s = np.array([[far], [-far], [100.0], [-100.0], [0.0]], dtype)
        net = build(BinaryCrossEntropy(), (1,), dtype)
        for t, losses in ((0, [far, 0, 100, np.exp(-100), np.log(2)]), (1, [0, far, np.exp(-100), 100, np.log(2)])):
            for row, right in zip(s, losses, strict=True):
                L, cache = net.forward(row[None], np.array([t]))
                assert float(L) == pytest.approx(right, rel=1e-6, abs=1e-45)
                assert np.isfinite(net.backward(1.0, cache)).all()


def test_a_column_is_never_combined_with_a_row_into_a_square() -> None:
    s, t = S[:, :1], Y[:, 0]
    for loss in (MeanSquaredError(), MeanAbsoluteError(), Huber(), BinaryCrossEntropy()):
        t01 = np.abs(t) if isinstance(loss, BinaryCrossEntropy) else t
        net = build(loss, (1,))
        L, cache = net.forward(s, t01)
        assert net.forward(s, t01[:, None])[0] == L
        L, cache = net.forward(s, t01)
        assert net.backward(1.0, cache).shape == (4, 1)
    with pytest.raises(LabelError, match="do not fit") as caught:
        build(MeanSquaredError()).forward(S, Y[:, 0])
    assert "(4, 3)" in str(caught.value.expected)


class Own(Loss):
    """L = mean of the scores: a loss that takes no weights."""

    def forward(self, scores: Any, targets: Any) -> Any:
        return scores.mean(), scores.shape

    def backward(self, dL: Any, shape: Any) -> Any:
        return self.xp.full(shape, dL / (shape[0] * shape[1])), None


def once(loss: Loss, t: Any, w: Any = None) -> Any:
    net = build(loss)
    return net.evaluate(S, t) if w is None else net.evaluate(S, t, w)


WRONG: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "too few class weights": (lambda: once(SoftmaxCrossEntropy([1.0]), LABELS), ConfigurationError, "3 of them"),
    "a class weight below 0": (lambda: SoftmaxCrossEntropy([1.0, -1.0]), ConfigurationError, ">= 0"),
    "a class weight that is no number": (lambda: SoftmaxCrossEntropy(["a"]), ConfigurationError, "'a'"),
    "one weight for all classes": (lambda: once(SoftmaxCrossEntropy(2.0), LABELS), ConfigurationError, "3 of them"),
    "smoothing of 1": (lambda: SoftmaxCrossEntropy(label_smoothing=1.0), ConfigurationError, "label_smoothing"),
    "a label to ignore that is none": (
        lambda: SoftmaxCrossEntropy(ignore=0.5),  # pyright: ignore[reportArgumentType]
        ConfigurationError,
        "integer",
    ),
    "another label out of range": (lambda: once(SoftmaxCrossEntropy(ignore=-1), LABELS + 5), LabelError, "row 0"),
    "a label out of range in a step": (
        lambda: build(SoftmaxCrossEntropy(OF_CLASS)).forward(S, LABELS + 5),
        LabelError,
        "row 0",
    ),
    "a negative label in a step": (
        lambda: build(SoftmaxCrossEntropy(OF_CLASS)).forward(S, LABELS - 1),
        LabelError,
        "row 0",
    ),
    "delta 0": (lambda: Huber(0.0), ConfigurationError, "delta"),
    "NaN among the targets": (lambda: once(MeanSquaredError(), Y * np.nan), LabelError, "row 0"),
    "a probability above 1": (lambda: once(BinaryCrossEntropy(), HALVES + 0.6), LabelError, "0 to 1"),
    "labels for numbers": (lambda: once(MeanSquaredError(), LABELS), LabelError, "SoftmaxCrossEntropy"),
    "too few weights": (lambda: once(MeanSquaredError(), Y, np.ones(3)), Exception, "4"),
    "weights in a column": (lambda: once(SoftmaxCrossEntropy(), LABELS, np.ones((4, 1))), LabelError, "(4,)"),
    "a weight below 0": (lambda: once(MeanSquaredError(), Y, np.array([1, 1, -1.0, 1])), LabelError, "row 2"),
    "NaN as a weight": (lambda: once(QuadraticCost(), Y, np.array([1, np.nan, 1, 1])), LabelError, "row 1"),
    "weights for a loss that takes none": (
        lambda: build(Own()).forward(S, Y, np.ones(4)),
        ConfigurationError,
        "weights",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_it_is_refused(case: str) -> None:
    call, kind, word = WRONG[case]
    with pytest.raises(kind) as caught:
        call()
    assert word in str(caught.value)
    for part in ("where", "expected", "got", "fix"):
        assert getattr(caught.value, part) is not None, part


@pytest.mark.parametrize(
    ("loss", "targets"),
    [
        (SoftmaxCrossEntropy(), ()),
        (SoftmaxCrossEntropy(ignore=1), ()),
        (QuadraticCost(), ()),
        *[(each(), (3,)) for each in (MeanSquaredError, MeanAbsoluteError, Huber, BinaryCrossEntropy, QuadraticCost)],
    ],
    ids=repr,
)
def test_each_draws_targets_and_weights_that_it_can_be_checked_on(loss: Loss, targets: Any) -> None:
    gradcheck(loss, (3,), targets)
    gradcheck(loss, (3,), targets, ())
    _, drawn, weights = loss.example(np.random.default_rng(0), 5, (3,), targets, ())
    assert drawn.shape == (5, *targets) and weights.shape == (5,) and (weights > 0).all()
    if isinstance(loss, BinaryCrossEntropy):
        assert ((drawn >= 0) & (drawn <= 1)).all()


@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), QuadraticCost()], ids=repr)
def test_an_index_error_that_is_not_the_labels_fault_comes_as_it_is(loss: Loss) -> None:
    class Fails(NumpyOps):
        def row_dots(self, *args: Any, **named: Any) -> Any:
            raise IndexError("of the backend")

        take = look_up = softmax_cross_entropy = row_dots

    net = Sequential(loss).build((3,), backend=Fails())
    with pytest.raises(IndexError, match="of the backend"):
        net.forward(S, LABELS)


def test_fit_names_the_row_of_a_wrong_weight() -> None:
    net = Sequential(Affine(3), SoftmaxCrossEntropy()).build((3,))
    with pytest.raises(LabelError, match="row 2") as caught:
        fit(net, SGD(0.1), (S, LABELS, np.array([1, 1, -1.0, 1])), epochs=1, progress=False)
    assert "fit, train" in str(caught.value.where)
    with pytest.raises(DataError):
        fit(net, SGD(0.1), (S * np.nan, LABELS, np.ones(4)), epochs=1, progress=False)


@pytest.mark.parametrize("kind", ["int8", "int64", "uint8", "uint16", "uint32", "uint64"])
def test_labels_of_every_integer_kind_have_one_gradient(kind: str) -> None:
    x, labels = np.random.default_rng(1).standard_normal((7, 4)), np.array([0, 3, 1, 2, 2, 0, 1])
    gradients = []
    for t in (labels, labels.astype(kind)):
        net = Sequential(Affine(4), SoftmaxCrossEntropy()).build((4,), dtype="float64")
        fit(net, SGD(0.1), (x, t), epochs=2, batch_size=3, progress=False)
        gradients.append(net.storage.grads.copy())
    np.testing.assert_array_equal(*gradients)
