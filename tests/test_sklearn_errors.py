"""What the estimators refuse, in words that say what to do, and as scikit-learn's callers expect it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from tinynn import Affine, ConfigurationError, Dropout, Embedding, LabelError, ReLU, SoftmaxCrossEntropy, TinynnError
from tinynn.sklearn import MLPClassifier, MLPRegressor
from tinynn.sklearn.settings import RULES

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X, T = RNG.standard_normal((30, 3)), np.arange(30) % 3

WRONG: dict[str, list[Any]] = {
    "hidden_layer_sizes": [0, -1, (5, 0), (2.5,), "100", None, True, np.zeros((2, 2), int), {3: 4}],
    "activation": ["relus", None, ReLU, ["relu", 3], SoftmaxCrossEntropy(), 3],
    "solver": ["newton", None, 3],
    "alpha": [-1e-9, np.inf, np.nan, "0", None, True],
    "batch_size": [0, -1, 2.5, "automatic", None, True],
    "learning_rate": ["constants", 0.1],
    "learning_rate_init": [0, -1, np.inf, "0.1", None],
    "power_t": [-0.1, np.nan],
    "max_iter": [0, 2.5, None, np.inf],
    "shuffle": [1, None, "yes"],
    "tol": [-1, np.inf],
    "verbose": ["yes", 0.5, None],
    "warm_start": [1, None],
    "momentum": [1, -0.1, None],
    "nesterovs_momentum": [1, None],
    "early_stopping": [1, None],
    "validation_fraction": [1.0, -0.1, None],
    "beta_1": [1.0, -0.1],
    "beta_2": [1.0, -0.1],
    "epsilon": [0, -1e-8, 1e-50, None],
    "n_iter_no_change": [0, 2.5, None, -np.inf, np.nan],
    "max_fun": [0, 1.5],
    "dropout": [1, -0.1, "half", None, [0.1, 1.0]],
    "dtype": ["int8", "float16", 3, np.int64],
    "callbacks": [3, [3], print, None],
    "layers": [Affine(3), [Affine], [ReLU(), SoftmaxCrossEntropy()], "relu", 3],
}


def test_every_parameter_is_asked_for_here() -> None:
    assert WRONG.keys() == RULES.keys()


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("name", WRONG)
def test_parameters(kind: Any, name: str) -> None:
    for value in WRONG[name]:
        estimator = kind(**{name: value})
        with pytest.raises(ConfigurationError, match=f"{name} cannot be used as it is") as caught:
            estimator.fit(X, T)
        assert isinstance(caught.value, ValueError)
        assert caught.value.where == kind.__name__
        assert str(caught.value.fix).startswith(f"{kind.__name__}({name}=")
        assert not hasattr(estimator, "net_")


def test_the_values_that_the_errors_name_can_be_used() -> None:
    for kind in (MLPClassifier, MLPRegressor):
        for name, rule in RULES.items():
            kind(**{"max_iter": 1, name: eval_example(rule.example)}).fit(X, T)


def eval_example(example: str) -> Any:
    """The few kinds of values that the examples are."""
    known: dict[str, Any] = {"[Affine(100), ReLU()]": [Affine(100), ReLU()], "True": True, "False": False}
    known["[lambda history: history.loss[-1] < 0.01]"] = [lambda history: history.loss[-1] < 0.01]
    if example in known:
        return known[example]
    if example[0] in "\"'":
        return example[1:-1]
    if example[0] == "(":
        return tuple(int(part) for part in example[1:-1].split(","))
    return int(example) if example.isdigit() else float(example)


@pytest.mark.parametrize(
    ("parameters", "what"),
    [
        ({"layers": [ReLU()], "hidden_layer_sizes": (3,)}, "hidden_layer_sizes has no meaning beside layers"),
        ({"layers": [ReLU()], "activation": "tanh"}, "activation has no meaning beside layers"),
        ({"layers": [ReLU()], "dropout": 0.1}, "dropout has no meaning beside layers"),
        ({"layers": [ReLU()], "dropout": [0.0]}, "dropout has no meaning beside layers"),
        ({"hidden_layer_sizes": (3, 4), "activation": ["relu"]}, "activation does not fit the hidden layers"),
        ({"hidden_layer_sizes": (3,), "dropout": [0.1, 0.2]}, "dropout does not fit the hidden layers"),
        ({"hidden_layer_sizes": (3,), "dropout": []}, "dropout does not fit the hidden layers"),
        ({"solver": "lbfgs", "dropout": 0.1}, "lbfgs compares losses"),
        ({"solver": "lbfgs", "hidden_layer_sizes": (4, 4), "dropout": (0.0, 0.1)}, "lbfgs compares losses"),
        ({"solver": "lbfgs", "layers": [Affine(3), Dropout(0.1)]}, "lbfgs compares losses"),
        ({"early_stopping": True, "validation_fraction": 0.01}, "too few validation rows"),
        ({"backend": "abacus"}, "unknown backend"),
    ],
)
def test_parameters_that_do_not_go_together(parameters: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigurationError, match=what):
        MLPRegressor(**parameters).fit(X, T)


def test_losses_and_class_weights() -> None:
    with pytest.raises(ConfigurationError, match="loss cannot be used as it is"):
        MLPRegressor("absolute_error").fit(X, T)
    for solver in ("adam", "lbfgs"):
        with pytest.raises(LabelError, match="numbers >= 0"):
            MLPRegressor("poisson", solver=solver).fit(X, T - 1.0)
        with pytest.raises(LabelError, match="finite numbers"):
            MLPRegressor(solver=solver).fit(X.astype(np.float32), T + 1e39)  # an infinity, as float32
        for wrong in (-1.0, np.nan, np.inf):
            with pytest.raises(LabelError, match="weights that are finite numbers >= 0"):
                MLPClassifier(class_weight={0: wrong, 1: 1.0, 2: 1.0}, solver=solver).fit(X, T)
        with pytest.raises(ConfigurationError, match="leaves no row any weight"):
            MLPClassifier(class_weight={0: 0.0, 1: 0.0, 2: 0.0}, solver=solver).fit(X, T)
    for weight in ("even", 3, (1, 2, 3)):
        with pytest.raises(ConfigurationError, match="class_weight cannot be used as it is"):
            MLPClassifier(class_weight=weight).fit(X, T)
    with pytest.raises(ConfigurationError, match="not known from a part"):
        MLPClassifier(class_weight="balanced").partial_fit(X, T, classes=[0, 1, 2])


def test_a_loss_that_is_changed_on_a_warm_start() -> None:
    net = MLPRegressor(warm_start=True, max_iter=1).fit(X, T)
    for train in (net.set_params(loss="poisson").fit, net.partial_fit):
        with pytest.raises(ConfigurationError, match="made for another loss"):
            train(X, T)
    assert net.set_params(warm_start=False).fit(X, T).out_activation_ == "exp"


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize(
    ("weights", "what"),
    [
        (np.zeros(30), "sample_weight is zero for every row"),
        (0.0, "sample_weight is zero for every row"),
        (np.ones(29), "sample_weight does not fit the rows"),
        (np.ones((30, 2)), "sample_weight does not fit the rows"),
        (np.linspace(-1, 1, 30), "sample_weight does not fit the rows"),
        (np.full(30, np.nan), "sample_weight contains NaN"),
        (["heavy"] * 30, "Convert your data to numeric values"),
    ],
)
def test_weights_of_rows(kind: Any, weights: Any, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        kind().fit(X, T, sample_weight=weights)


def test_classes_that_come_later() -> None:
    with pytest.raises(ConfigurationError, match="the first partial_fit has to know all classes"):
        MLPClassifier().partial_fit(X, T)
    net = MLPClassifier().partial_fit(X, T, classes=[0, 1, 2, 5])
    net.partial_fit(X, T % 2, classes=[5, 2, 1, 0])
    with pytest.raises(ConfigurationError, match=r"(?s)other classes .*\[0, 1, 2, 5\], or some of them"):
        net.partial_fit(X, T + 1)
    with pytest.raises(ConfigurationError, match="other classes"):
        net.partial_fit(X, T, classes=[0, 1, 2])
    warm = MLPClassifier(warm_start=True, max_iter=2).fit(X, T)
    for other in (T % 2, T + 1):
        with pytest.raises(ConfigurationError, match="other classes"):
            warm.fit(X, other)
    with pytest.raises(ConfigurationError, match="no validation rows"):
        MLPClassifier(early_stopping=True).partial_fit(X, T, classes=[0, 1, 2])


def test_lbfgs_has_no_partial_fit() -> None:
    for kind in (MLPClassifier, MLPRegressor):
        assert hasattr(kind(), "partial_fit")
        assert not hasattr(kind(solver="lbfgs"), "partial_fit")
        with pytest.raises(AttributeError):
            kind(solver="lbfgs").partial_fit(X, T)


def test_what_is_not_trained_has_no_weights() -> None:
    for kind in (MLPClassifier, MLPRegressor):
        assert not hasattr(kind(), "coefs_")
        for ask in ("coefs_", "intercepts_"):
            with pytest.raises(NotFittedError):
                getattr(kind(), ask)
        with pytest.raises(NotFittedError):
            kind().predict(X)


@pytest.mark.parametrize("parameters", [{"solver": "sgd", "learning_rate_init": 1e12}, {"solver": "lbfgs"}], ids=str)
def test_a_run_that_diverges(parameters: dict[str, Any]) -> None:
    x = X * (1e200 if parameters["solver"] == "lbfgs" else 1e3)
    net = MLPRegressor(random_state=0, **parameters)
    with pytest.raises(ConfigurationError, match=r"(?s)the training diverged.*StandardScaler") as caught:
        net.fit(x, X[:, 0])
    assert isinstance(caught.value, ValueError)
    assert hasattr(net, "net_") == (parameters["solver"] == "sgd")  # of which one epoch was over


def test_a_callback_that_raises_leaves_the_latest_weights() -> None:
    def breaks(history: Any) -> None:
        if len(history) == 3:
            raise OSError("no space left")

    net = MLPRegressor(solver="lbfgs", random_state=0, callbacks=[breaks])
    with pytest.raises(OSError, match="no space left"):
        net.fit(X, X[:, 0])
    same = MLPRegressor(solver="lbfgs", random_state=0, max_iter=3).fit(X, X[:, 0])
    np.testing.assert_allclose(net.coefs_[0], same.coefs_[0], atol=1e-12)


def attributes(estimator: Any) -> dict[str, Any]:
    """All that an estimator has, by name; of what has no value to compare, which object it is."""
    return {
        name: value if isinstance(value, int | float | str) else id(value) for name, value in vars(estimator).items()
    }


SPOILED: dict[str, tuple[dict[str, Any], Any, Any]] = {
    "targets": ({}, X[:, :2], np.full(30, np.nan)),
    "inputs": ({}, X + np.inf, T),
    "rows": ({}, X[:, :2], T[:-1]),
    "layers": ({"layers": [Affine(4), Embedding(3, 2)]}, X, T * 2),
    "held": ({"early_stopping": True, "validation_fraction": 0.01}, X[:, :2], T % 2),
    "backend": ({"backend": "abacus"}, X[:, :2], T % 2),
}


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("how", SPOILED)
def test_a_fit_that_fails_leaves_the_estimator_as_it_was(how: str, kind: Any) -> None:
    """One that was never fitted is none, and one that was predicts what it predicted."""
    parameters, x, t = SPOILED[how]
    for warm in (False, True):
        new, old = kind(max_iter=3, random_state=0), kind(max_iter=3, random_state=0, warm_start=warm).fit(X, T)
        answers = old.predict(X)
        for estimator in (
            new,
            *([] if warm and how in ("layers", "backend") else [old]),
        ):  # these are asked of new ones
            before = attributes(estimator.set_params(**parameters))
            with pytest.raises(ValueError, match=r"."):
                estimator.fit(x, t)
            assert attributes(estimator) == before
        with pytest.raises(NotFittedError):
            new.predict(X)
        np.testing.assert_array_equal(old.predict(X), answers)


def test_a_first_partial_fit_that_fails_knows_no_classes() -> None:
    net = MLPClassifier(random_state=0)
    for x, more in ((X * np.nan, {}), (X, {"early_stopping": True})):
        with pytest.raises(ValueError, match=r"NaN|no validation rows"):
            net.set_params(**more).partial_fit(x, T, classes=[0, 1, 2])
        assert not hasattr(net, "classes_")
    net.set_params(early_stopping=False).partial_fit(X, T, classes=[0, 1, 2, 3])
    before = attributes(net)
    with pytest.raises(ValueError, match="NaN"):
        net.partial_fit(X * np.nan, T)
    assert attributes(net) == before


def test_a_fit_that_fails_later_leaves_what_it_has_learned() -> None:
    def breaks(history: Any) -> None:
        raise OSError("no space left")

    for solver in ("adam", "lbfgs"):
        net = MLPRegressor(solver=solver, random_state=0, callbacks=[breaks])
        with pytest.raises(OSError, match="no space left"):
            net.fit(X, X[:, 0])
        same = MLPRegressor(solver=solver, random_state=0, max_iter=1).fit(X, X[:, 0])
        assert (net.n_iter_, net.loss_curve_) == (1, [net.loss_])
        np.testing.assert_allclose(net.predict(X), same.predict(X), atol=1e-12)


def test_layers_that_do_not_fit_name_themselves() -> None:
    with pytest.raises(TinynnError, match="Embedding") as caught:
        MLPClassifier(layers=[Affine(4), Embedding(3, 2)]).fit(X, T)
    assert isinstance(caught.value, ValueError)


def test_without_scikit_learn_the_extra_is_named() -> None:
    program = (
        "import sys; sys.modules['sklearn'] = None\n"
        "import tinynn\n"
        "try:\n    import tinynn.sklearn\n"
        "except tinynn.MissingExtraError as error:\n    print(error.extra, error.package, error.fix)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == 'sklearn scikit-learn pip install "tinynn-xp[sklearn]"\n'
