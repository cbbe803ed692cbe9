"""What tinynn's estimators can beside scikit-learn's, and how they go with the rest of scikit-learn."""

from __future__ import annotations

import copy
import pickle
import signal
import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas
import pytest
from scipy.sparse import csc_matrix, csr_array
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tinynn
from tinynn import Affine, BatchNorm, Conv2D, Dropout, LeakyReLU, ReLU, Reshape, Tanh
from tinynn.sklearn import MLPClassifier, MLPRegressor
from tinynn.sklearn.solvers import Solver
from tinynn.testing import FakeDevice

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

DIGITS, LABELS = load_digits(return_X_y=True)
X, T = (DIGITS / 16)[:400], LABELS[:400]
IMAGES = [Reshape((1, 8, 8)), Conv2D(4, 3), BatchNorm(), ReLU(), Dropout(0.2)]


def fitted(**parameters: Any) -> Any:
    return MLPClassifier(**{"max_iter": 4, "random_state": 1, "hidden_layer_sizes": (12,), **parameters}).fit(X, T)


def kinds(estimator: Any) -> list[str]:
    return [repr(layer) for layer in estimator.net_]


# --- layers


def test_dropout_is_trained_with_and_not_predicted_with() -> None:
    plain, dropped = fitted(), fitted(dropout=0.5)
    assert kinds(plain) == ["Affine(12)", "ReLU()", "Affine(10)", "SoftmaxCrossEntropy()"]
    assert kinds(dropped) == ["Affine(12)", "ReLU()", "Dropout(0.5)", "Affine(10)", "SoftmaxCrossEntropy()"]
    assert np.abs(plain.coefs_[0] - dropped.coefs_[0]).max() > 1e-3
    np.testing.assert_array_equal(dropped.predict_proba(X), dropped.predict_proba(X))
    np.testing.assert_array_equal(dropped.coefs_[0], fitted(dropout=0.5).coefs_[0])
    assert np.abs(dropped.coefs_[0] - fitted(dropout=0.5, random_state=2).coefs_[0]).max() > 1e-3


def test_initial_weights_are_those_without_dropout() -> None:
    slow = {"solver": "sgd", "learning_rate_init": 1e-12, "max_iter": 1}
    np.testing.assert_allclose(fitted(dropout=0.5, **slow).coefs_[1], fitted(**slow).coefs_[1], atol=1e-9)


def test_each_hidden_layer_has_its_own_activation_and_dropout() -> None:
    slope = LeakyReLU(0.3)
    net = fitted(hidden_layer_sizes=[7, 6, 5], activation=["gelu", "identity", slope], dropout=(0, 0.1, 0.2))
    assert " ".join(kinds(net)[:4]) == "Affine(7) GELU() Affine(6) Dropout(0.1)"
    assert " ".join(kinds(net)[4:-2]) == "Affine(5) LeakyReLU(0.3) Dropout(0.2)"
    assert net.n_layers_ == 5
    assert slope._site is None  # the layer that was given is not the one that is trained
    assert kinds(fitted(hidden_layer_sizes=(4, 3), activation=Tanh()))[1::2][:2] == ["Tanh()", "Tanh()"]


@pytest.mark.parametrize(
    "name",
    [*("leaky_relu", "prelu", "elu", "selu", "gelu", "silu"), *("softplus", "mish", "softsign", "hard_sigmoid")],
)
def test_activations_that_scikit_learn_does_not_have(name: str) -> None:
    net = fitted(activation=name, hidden_layer_sizes=(6, 5))
    assert kinds(net)[1] == kinds(net)[3]
    assert kinds(net)[1][:-2].lower() == name.replace("_", "")


def test_logistic_layers_alone_begin_with_smaller_weights() -> None:
    """scikit-learn's rule, layer by layer."""
    slow = {"solver": "sgd", "learning_rate_init": 1e-12, "max_iter": 1, "hidden_layer_sizes": (300, 300)}
    W = fitted(activation=["logistic", "tanh"], **slow).coefs_
    assert [np.abs(w).max() for w in W] == pytest.approx(
        [(2 / 364) ** 0.5, (6 / 600) ** 0.5, (6 / 310) ** 0.5], rel=1e-2
    )


def test_any_list_of_layers() -> None:
    estimator = MLPClassifier(layers=IMAGES, max_iter=25, random_state=0, learning_rate_init=0.01).fit(X, T)
    assert estimator.score(X, T) > 0.97
    assert kinds(estimator)[:5] == [repr(layer) for layer in IMAGES]
    assert all(layer._site is None for layer in IMAGES)
    assert len(estimator.coefs_) == 1
    again = MLPClassifier(layers=IMAGES, max_iter=25, random_state=0, learning_rate_init=0.01).fit(X, T)
    np.testing.assert_array_equal(again.predict_proba(X), estimator.predict_proba(X))
    assert kinds(fitted(layers=[], hidden_layer_sizes=(100,)))[0] == "Affine(10)"


def test_the_network_is_there_to_be_saved(tmp_path: Path) -> None:
    estimator = fitted()
    estimator.net_.save(tmp_path / "net.npz")
    np.testing.assert_array_equal(tinynn.load(tmp_path / "net.npz").predict(X), estimator.predict_proba(X))
    counts = MLPRegressor("poisson", (5,), max_iter=3, random_state=0).fit(X, T)
    counts.net_.save(tmp_path / "counts.npz")
    np.testing.assert_array_equal(tinynn.load(tmp_path / "counts.npz").predict(X)[:, 0], counts.predict(X))


# --- weights of classes, callbacks, curves


def test_class_weights_multiply_the_weights_of_the_rows() -> None:
    weight = {digit: 1.0 + digit for digit in range(10)}
    rows = np.linspace(0.5, 2, len(T))
    one = fitted(class_weight=weight)
    other = MLPClassifier(max_iter=4, random_state=1, hidden_layer_sizes=(12,))
    np.testing.assert_allclose(one.coefs_[0], other.fit(X, T, sample_weight=1.0 + T).coefs_[0], atol=1e-12)
    one.fit(X, T, sample_weight=rows)
    np.testing.assert_allclose(one.coefs_[0], other.fit(X, T, sample_weight=rows * (1.0 + T)).coefs_[0], atol=1e-12)
    one.partial_fit(X, T)
    other.partial_fit(X, T, sample_weight=1.0 + T)
    np.testing.assert_allclose(one.coefs_[0], other.coefs_[0], atol=1e-12)


def test_balanced_weights_find_the_rare_class() -> None:
    rng = np.random.default_rng(0)
    x = np.vstack([rng.normal(0, 1, (400, 2)), rng.normal(1.5, 1, (20, 2))])
    t = np.repeat([0, 1], [400, 20])
    found = [
        MLPClassifier((8,), class_weight=weight, random_state=0, max_iter=60, learning_rate_init=0.01).fit(x, t)
        for weight in (None, "balanced")
    ]
    assert found[0].predict(x).sum() < 20 < found[1].predict(x).sum()


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_callbacks_see_the_history_and_end_the_run(solver: str) -> None:
    seen: list[int] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a run that was ended on purpose is not told of
        net = fitted(solver=solver, max_iter=50, callbacks=[lambda h: seen.append(len(h)), lambda h: len(h) == 3])
    assert (seen, net.n_iter_, len(net.loss_curve_)) == ([1, 2, 3], 3, 3)


def test_the_validation_loss_is_kept_beside_the_score() -> None:
    t = T + np.random.default_rng(0).integers(0, 4, len(T)) * (np.arange(len(T)) % 4 == 0)
    each: Any = ((MLPClassifier, {}), (MLPRegressor, {}), (MLPClassifier, {"dtype": "float32"}))
    for kind, options in each:
        net = kind(early_stopping=True, max_iter=60, random_state=3, learning_rate_init=0.05, **options).fit(X, t % 10)
        assert len(net.validation_loss_curve_) == len(net.validation_scores_) == net.n_iter_
        best = int(np.argmax(net.validation_scores_))
        worst = int(np.argmin(net.validation_scores_))
        assert net.validation_loss_curve_[best] < net.validation_loss_curve_[worst]
    assert fitted().validation_loss_curve_ is None


def test_the_loss_is_what_the_network_says_and_the_penalty() -> None:
    """One batch, steps of no size: then the epoch's loss is that of the network as it is."""
    for alpha in (0.0, 3.0):
        net = fitted(solver="sgd", learning_rate_init=1e-14, batch_size=400, alpha=alpha)
        W2 = sum(float((W**2).sum()) for W in net.coefs_)
        assert net.loss_ == pytest.approx(net.net_.loss(X, T) + alpha * W2 / 800, rel=1e-9)


# --- backends and dtypes


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("backend", ["llvm", "device"])
def test_other_backends_learn_the_same(backend: str, solver: str) -> None:
    """The L2 term of the loss is less exact where many steps are one call."""
    plain = fitted(solver=solver, alpha=0.1, batch_size=32)
    other = fitted(solver=solver, alpha=0.1, batch_size=32, backend=FakeDevice() if backend == "device" else backend)
    for a, b in zip(plain.coefs_ + plain.intercepts_, other.coefs_ + other.intercepts_, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-9)
    np.testing.assert_allclose(plain.loss_curve_, other.loss_curve_, rtol=1e-3)
    np.testing.assert_allclose(plain.predict_proba(X), other.predict_proba(X), atol=1e-8)
    assert isinstance(other.predict_proba(X), np.ndarray)


def test_a_device_takes_weights_several_labels_and_early_stopping() -> None:
    plain, device = (
        MLPClassifier(max_iter=3, random_state=0),
        MLPClassifier(max_iter=3, random_state=0, backend=FakeDevice()),
    )
    for parameters in ({}, {"early_stopping": True}):
        for net in (plain, device):
            net.set_params(**parameters).fit(X, X[:, 10:13] > 0.4, sample_weight=1.0 + T)
        np.testing.assert_allclose(plain.predict_proba(X), device.predict_proba(X), atol=1e-9)


def test_the_dtype_can_be_chosen() -> None:
    assert fitted().net_.dtype == np.float64
    for dtype in ("float32", np.float32, np.dtype("float32")):
        net = fitted(dtype=dtype)
        assert net.predict_proba(X).dtype == net.coefs_[0].dtype == np.float32
    assert MLPRegressor(dtype="float64", max_iter=1).fit(X.astype(np.float32), T).predict(X).dtype == np.float64
    warm = fitted(warm_start=True).fit(X.astype(np.float32), T)
    assert warm.net_.dtype == np.float64


# --- the rest of scikit-learn


def test_pipelines_searches_and_cross_validation() -> None:
    pipe = make_pipeline(StandardScaler(), MLPClassifier(max_iter=15, random_state=0, learning_rate_init=0.01))
    grid = {"mlpclassifier__layers": [[Affine(1)], [Affine(24), ReLU()]], "mlpclassifier__alpha": [1e-4]}
    search: Any = GridSearchCV(pipe, grid, cv=2).fit(X, T)
    assert repr(search.best_params_["mlpclassifier__layers"]) == "[Affine(24), ReLU()]"
    assert search.score(X, T) > 0.9
    scores = cross_val_score(MLPRegressor(max_iter=60, random_state=0), X, X[:, 20] + X[:, 30], cv=2)
    assert min(scores) > 0.5


def test_processes_of_joblib() -> None:
    made = [fitted(random_state=seed) for seed in (0, 1)]
    found = joblib.Parallel(n_jobs=2)(joblib.delayed(MLPClassifier.predict)(net, X) for net in made)
    for net, rows in zip(made, found, strict=True):
        np.testing.assert_array_equal(net.predict(X), rows)


def test_copies_and_pickles_are_trained_on_alike() -> None:
    """The optimizer's memory goes along."""
    for solver in ("adam", "sgd"):
        net = fitted(solver=solver, learning_rate_init=0.01)
        for twin in (pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
            np.testing.assert_array_equal(twin.predict_proba(X), net.predict_proba(X))
            first = copy.deepcopy(net).partial_fit(X, T)
            np.testing.assert_array_equal(twin.partial_fit(X, T).coefs_[0], first.coefs_[0])
    assert not hasattr(clone(net), "net_")


def test_names_of_features() -> None:
    frame = pandas.DataFrame(X, columns=[f"pixel {i}" for i in range(64)])
    net = MLPClassifier(max_iter=2).fit(frame, pandas.Series(T).map(str))
    assert list(net.feature_names_in_[:2]) == ["pixel 0", "pixel 1"]
    assert net.n_features_in_ == 64
    assert net.predict(frame)[0] in "0123456789"
    with pytest.raises(ValueError, match="feature names should match"):
        net.predict(frame.rename(columns={"pixel 0": "x"}))


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("make", [csr_array, csc_matrix])
def test_sparse_rows(make: Any, solver: str) -> None:
    dense = fitted(solver=solver, early_stopping=solver == "adam")
    sparse = MLPClassifier(max_iter=4, random_state=1, hidden_layer_sizes=(12,), solver=solver)
    sparse.set_params(early_stopping=solver == "adam").fit(make(X), T)
    np.testing.assert_allclose(sparse.coefs_[0], dense.coefs_[0], atol=1e-12)
    many = make(np.tile(X, (6, 1)))
    np.testing.assert_allclose(sparse.predict_proba(many)[-1], dense.predict_proba(X)[-1], atol=1e-12)


def test_sparse_labels() -> None:
    t = (X[:, 10:13] > 0.4).astype(int)
    one = MLPClassifier(max_iter=2, random_state=0)
    sparse: Any = one.fit(X, csr_array(t)).predict(X)  # as scikit-learn's own: labels as they came
    np.testing.assert_array_equal(sparse.toarray(), one.fit(X, t).predict(X))
    assert one.predict_proba(X).shape == t.shape


def test_a_number_is_the_weight_of_every_row() -> None:
    np.testing.assert_array_equal(fitted().coefs_[0].shape, (64, 12))
    one, two = MLPRegressor(max_iter=2, random_state=0), MLPRegressor(max_iter=2, random_state=0)
    np.testing.assert_array_equal(
        one.fit(X, T, sample_weight=2.0).coefs_[0], two.fit(X, T, sample_weight=np.full(400, 2.0)).coefs_[0]
    )


def test_weights_can_be_written_into() -> None:
    net = fitted()
    net.coefs_[1][...] = 0
    net.intercepts_[1][...] = np.eye(10)[4] * 100
    assert set(net.predict(X)) == {4}


def test_a_column_is_told_of() -> None:
    for kind in (MLPClassifier, MLPRegressor):
        with pytest.warns(DataConversionWarning):
            assert kind(max_iter=1).fit(X, T[:, None]).predict(X).shape == (400,)


# --- how a run ends


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_a_run_that_has_not_converged_is_told_of(kind: Any, solver: str) -> None:
    with pytest.warns(ConvergenceWarning, match="max_iter") as told:
        kind(max_iter=2, solver=solver, random_state=0).fit(X, T)
    assert [Path(one.filename) for one in told] == [Path(__file__)]


def test_one_that_has_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net = fitted(tol=10.0, n_iter_no_change=2, max_iter=50, verbose=True)
        MLPClassifier(max_iter=1).partial_fit(X, T, classes=range(10))
        net.set_params(early_stopping=True).fit(X, T)
        net.set_params(early_stopping=False, solver="sgd", learning_rate="adaptive", learning_rate_init=1e-5).fit(X, T)
        net.set_params(verbose=False, learning_rate_init=1e-5).fit(X, T)
        net.set_params(verbose=True, solver="lbfgs", tol=0.02, max_iter=500, alpha=1.0).fit(X, T)
        assert 1 <= net.n_iter_ < 500
    said = capsys.readouterr().out
    for text in ("Iteration 1, loss = ", "Training loss did not", "Stopping", "Validation score: ", "rate to 0.0000"):
        assert text in said


def test_ctrl_c_keeps_what_was_learned() -> None:
    def press(history: Any) -> None:
        if len(history) == 2:
            signal.raise_signal(signal.SIGINT)

    for solver in ("adam", "lbfgs"):
        # A shell starts what runs in its background with Ctrl-C ignored.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with pytest.warns(UserWarning, match="Ctrl-C ended the training"):
                net = fitted(solver=solver, callbacks=[press], max_iter=30)
        finally:
            signal.signal(signal.SIGINT, before)
        assert net.n_iter_ < 5
        assert net.predict(X).shape == (400,)


def test_lbfgs_may_have_nothing_to_do() -> None:
    net = MLPRegressor(solver="lbfgs", tol=1e9, random_state=0).fit(X, T)
    assert (net.n_iter_, net.loss_curve_) == (0, [])
    assert net.loss_ == pytest.approx(net.net_.loss(X, T[:, None].astype(float)), rel=1e-3)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_a_warm_start_may_begin_or_end_to_stop_early(kind: Any) -> None:
    net = kind(warm_start=True, max_iter=2, random_state=0).fit(X, T)
    net.set_params(early_stopping=True).fit(X, T)
    assert (len(net.validation_scores_), len(net.loss_curve_), net.best_loss_) == (2, 4, None)
    net.set_params(early_stopping=False).fit(X, T)
    assert (net.validation_scores_, len(net.loss_curve_)) == (None, 6)
    assert net.best_loss_ == min(net.loss_curve_[4:])
    net.set_params(solver="lbfgs").fit(X, T)
    net.set_params(solver="adam", early_stopping=True).fit(X, T)
    assert len(net.validation_scores_) == 2
    net.set_params(early_stopping=False).partial_fit(X, T)
    assert net.best_loss_ == net.loss_


def test_a_larger_batch_than_rows_is_all_rows() -> None:
    with pytest.warns(UserWarning, match="batch_size=500 is more than the 400 rows") as told:
        one = fitted(batch_size=500)
    assert Path(told[0].filename).name == Path(__file__).name
    np.testing.assert_array_equal(one.coefs_[0], fitted(batch_size=400).coefs_[0])


def test_a_batch_without_weight_teaches_nothing() -> None:
    weights = np.repeat([1.0, 0.0], 200)
    parameters: dict[str, Any] = {"shuffle": False, "batch_size": 200, "max_iter": 3, "random_state": 0}
    one = MLPRegressor(solver="sgd", momentum=0.0, nesterovs_momentum=False, **parameters)
    other = MLPRegressor(solver="sgd", momentum=0.0, nesterovs_momentum=False, **parameters)
    np.testing.assert_allclose(
        one.fit(X, T, sample_weight=weights).coefs_[0], other.fit(X[:200], T[:200]).coefs_[0], atol=1e-12
    )


def test_a_solver_before_its_first_epoch_takes_the_rows_for_one() -> None:
    solver = Solver(0.1, alpha=3.0, factor=2.0)
    assert (solver.place, solver.l2) == (0, 1.5)
