"""The estimators beside scikit-learn's own: the same settings and random_state, the same weights, losses and stops."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import sklearn
import sklearn.neural_network as theirs
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits, load_iris
from sklearn.utils.multiclass import unique_labels

import tinynn.sklearn as ours
from tinynn import gradcheck
from tinynn.sklearn.poisson import PoissonDeviance
from tinynn.testing import check_layer

CLOSE = 1e-10
RNG = np.random.default_rng(4)
X = RNG.standard_normal((45, 6))
W = RNG.random(45) + 0.1
KINDS: dict[str, tuple[str, np.ndarray]] = {
    "binary": ("MLPClassifier", np.where(X[:, 0] + X[:, 1] > 0, 9, 4)),
    "classes": ("MLPClassifier", RNG.integers(3, 7, 45)),
    "labels": ("MLPClassifier", (X[:, :3] > 0.2).astype(int)),
    "one label": ("MLPClassifier", (X[:, :1] > 0).astype(int).ravel()),
    "number": ("MLPRegressor", X @ RNG.standard_normal(6)),
    "numbers": ("MLPRegressor", X @ RNG.standard_normal((6, 2))),
}
NEWEST = tuple(int(part) for part in sklearn.__version__.split(".")[:2]) >= (1, 7)  # which knows weights and Poisson


def both(kind: str, **parameters: Any) -> tuple[Any, Any]:
    return getattr(ours, kind)(**parameters), getattr(theirs, kind)(**parameters)


def far(mine: Any, other: Any) -> float:
    """The largest difference between two networks' weights."""
    pairs = zip(mine.coefs_ + mine.intercepts_, other.coefs_ + other.intercepts_, strict=True)
    return max(float(np.abs(a - b).max()) for a, b in pairs)


def assert_alike(mine: Any, other: Any, loss: bool = True) -> None:
    """All that scikit-learn says of a fitted network; the losses too unless they are not meant to be the same."""
    assert far(mine, other) <= CLOSE
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(mine, name) == getattr(other, name), name
    for name in ("validation_scores_", "best_validation_score_", *(("loss_", "loss_curve_", "best_loss_") * loss)):
        a, b = getattr(mine, name), getattr(other, name)
        assert (a is None) == (b is None), name
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=CLOSE, atol=CLOSE, err_msg=name)


def quietly(do: Any, *args: Any, **more: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what has not converged: both say so, which is asked elsewhere
        return do(*args, **more)


@given(
    kind=st.sampled_from(list(KINDS)),
    chosen=st.fixed_dictionaries(
        {
            "solver": st.sampled_from(["sgd", "adam"]),
            "hidden_layer_sizes": st.sampled_from([(), 5, (8,), (7, 4)]),
            "activation": st.sampled_from(["identity", "logistic", "tanh", "relu"]),
            "alpha": st.sampled_from([0.0, 1e-4, 0.5]),
            "batch_size": st.sampled_from(["auto", 7, 16]),
            "learning_rate": st.sampled_from(["constant", "invscaling", "adaptive"]),
            "learning_rate_init": st.sampled_from([0.003, 0.05]),
            "power_t": st.sampled_from([0.25, 0.5]),
            "max_iter": st.integers(1, 14),
            "shuffle": st.booleans(),
            "random_state": st.integers(0, 2**32 - 1),
            "tol": st.sampled_from([0.0, 1e-4, 0.05]),
            "momentum": st.sampled_from([0.0, 0.9]),
            "nesterovs_momentum": st.booleans(),
            "early_stopping": st.booleans(),
            "validation_fraction": st.sampled_from([0.1, 0.4]),
            "beta_1": st.sampled_from([0.0, 0.9]),
            "beta_2": st.sampled_from([0.9, 0.999]),
            "epsilon": st.sampled_from([1e-8, 1e-2]),
            "n_iter_no_change": st.sampled_from([1, 2, np.inf]),
        }
    ),
)
@settings(max_examples=60, deadline=None)
def test_fit(kind: str, chosen: dict[str, Any]) -> None:
    name, y = KINDS[kind]
    mine, other = both(name, **chosen)
    quietly(mine.fit, X, y)
    quietly(other.fit, X, y)
    assert_alike(mine, other)
    a, b = mine.predict(X), other.predict(X)
    assert a.shape == b.shape
    if name == "MLPClassifier":
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(mine.classes_, other.classes_)
        np.testing.assert_allclose(mine.predict_proba(X), other.predict_proba(X), atol=CLOSE)
        with np.errstate(divide="ignore"):
            np.testing.assert_array_equal(mine.predict_log_proba(X), np.log(mine.predict_proba(X)))
    else:
        np.testing.assert_allclose(a, b, atol=1e-8)
    assert mine.score(X, y) == pytest.approx(other.score(X, y), abs=1e-8)


@pytest.mark.parametrize("learning_rate", ["constant", "adaptive", "invscaling"])
@pytest.mark.parametrize("kind", ["binary", "classes", "numbers"])
def test_stops(kind: str, learning_rate: str) -> None:
    """Runs that end for every reason there is."""
    name, y = KINDS[kind]
    for early_stopping in (False, True):
        for tol, n_iter_no_change in ((0.05, 1), (0.05, 2), (0.0, 1), (0.3, 1)):
            mine, other = both(
                name, solver="sgd", learning_rate=learning_rate, early_stopping=early_stopping, tol=tol, batch_size=16,
                n_iter_no_change=n_iter_no_change, max_iter=25, learning_rate_init=0.02, random_state=1,
            )  # fmt: skip
            quietly(mine.fit, X, y)
            quietly(other.fit, X, y)
            assert_alike(mine, other)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_lbfgs(kind: str, alpha: float) -> None:
    """Of several numbers scikit-learn's loss and gradient do not belong together: there the way is another."""
    name, y = KINDS[kind]
    mine, other = both(name, solver="lbfgs", random_state=3, max_iter=12, alpha=alpha, hidden_layer_sizes=(6,))
    quietly(mine.fit, X, y)
    quietly(other.fit, X, y)
    if kind != "numbers":
        assert far(mine, other) <= 1e-7
        assert mine.loss_ == pytest.approx(other.loss_, rel=1e-8)
        assert mine.n_iter_ == other.n_iter_ == len(mine.loss_curve_)
    assert mine.loss_curve_[-1] == pytest.approx(mine.loss_, rel=1e-9)
    assert mine.loss_ < mine.loss_curve_[0]


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("kind", KINDS)
def test_partial_fit_and_then_warm_starts(kind: str, solver: str) -> None:
    name, y = KINDS[kind]
    mine, other = both(name, solver=solver, random_state=8, batch_size=4, learning_rate="invscaling", tol=0.0)
    classes = {"classes": unique_labels(y)} if name == "MLPClassifier" else {}
    for start in (0, 15, 25):
        for one in (mine, other):
            one.partial_fit(X[start : start + 15], y[start : start + 15], **classes)
        assert_alike(mine, other)
    for one in (mine, other):
        one.set_params(alpha=0.5).partial_fit(X[:20], y[:20])
    assert_alike(mine, other)
    for one in (mine, other):
        one.set_params(warm_start=True, max_iter=3)
        quietly(one.fit, X, y)
        quietly(one.fit, X, y)
    assert_alike(mine, other)
    for one in (mine, other):
        one.set_params(warm_start=False)
        quietly(one.fit, X, y)
    assert_alike(mine, other)


def test_a_random_state_that_goes_on_is_used_up_as_theirs_is() -> None:
    mine, other = both("MLPClassifier", max_iter=3, early_stopping=True)
    states = np.random.RandomState(5), np.random.RandomState(5)
    for one, state in zip((mine, other), states, strict=True):
        one.set_params(random_state=state)
        quietly(one.fit, X, KINDS["classes"][1])
    assert far(mine, other) <= CLOSE
    assert states[0].randint(10**9) == states[1].randint(10**9)


@pytest.mark.skipif(not NEWEST, reason="scikit-learn before 1.7 has no weights of rows for its MLPs")
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_rows(kind: str, solver: str) -> None:
    """With one batch the losses are the same too; with several they are another mean."""
    name, y = KINDS[kind]
    for batch_size in (45, 8):
        mine, other = both(name, solver=solver, random_state=1, max_iter=6, alpha=0.1, batch_size=batch_size)
        quietly(mine.fit, X, y, sample_weight=W)
        quietly(other.fit, X, y, sample_weight=W)
        if solver == "lbfgs":
            assert kind == "numbers" or far(mine, other) <= 1e-7
        else:
            assert_alike(mine, other, loss=batch_size == 45)
            assert mine.loss_ == pytest.approx(other.loss_, rel=0.2)


@pytest.mark.skipif(not NEWEST, reason="scikit-learn before 1.7 has no Poisson loss")
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("weights", [None, W])
def test_counts(solver: str, weights: Any) -> None:
    y = RNG.poisson(np.exp(X[:, :2] / 2))
    mine, other = both("MLPRegressor", loss="poisson", solver=solver, random_state=1, max_iter=6, alpha=0.1)
    for one in (mine, other):
        quietly(one.fit, X, y, sample_weight=weights)
    assert far(mine, other) <= 1e-7
    assert mine.loss_ == pytest.approx(other.loss_, rel=1e-7)
    np.testing.assert_allclose(mine.predict(X), other.predict(X), atol=1e-6)


def test_the_loss_of_counts_is_a_loss_as_it_should_be() -> None:
    for shapes in (((3,), (3,)), ((3,), (3,), ())):
        gradcheck(PoissonDeviance(), *shapes)
        report = check_layer(PoissonDeviance(), *shapes)
        assert report.percent == 100, str(report)


def test_float32_stays_float32_and_is_as_good() -> None:
    digits, labels = load_digits(return_X_y=True)
    digits = (digits / 16).astype(np.float32)
    mine, other = both("MLPClassifier", max_iter=40, random_state=0)
    quietly(mine.fit, digits[:1300], labels[:1300])
    quietly(other.fit, digits[:1300], labels[:1300])
    assert mine.predict_proba(digits).dtype == mine.coefs_[0].dtype == np.float32
    assert far(mine, other) < 0.01
    score = mine.score(digits[1300:], labels[1300:])
    assert score > 0.9
    assert score == pytest.approx(other.score(digits[1300:], labels[1300:]), abs=0.01)


def test_iris() -> None:
    x, labels = load_iris(return_X_y=True)
    for solver in ("lbfgs", "adam"):
        mine, other = both("MLPClassifier", max_iter=400, random_state=0, solver=solver, alpha=0.01)
        for one in (mine, other):
            quietly(one.fit, x[::2], labels[::2])
        assert mine.score(x[1::2], labels[1::2]) >= 0.94
        assert mine.score(x[1::2], labels[1::2]) == pytest.approx(other.score(x[1::2], labels[1::2]), abs=0.03)


def test_the_comparison_notices_another_alpha() -> None:
    y = KINDS["classes"][1]
    mine, other = ours.MLPClassifier(alpha=1e-3, random_state=0), theirs.MLPClassifier(alpha=1.1e-3, random_state=0)
    quietly(mine.set_params(max_iter=2).fit, X, y)
    quietly(other.set_params(max_iter=2).fit, X, y)
    with pytest.raises(AssertionError):
        assert_alike(mine, other)
