"""scikit-learn's own checks of an estimator: all of them pass, none is left out that its own MLPs do not leave out."""

from __future__ import annotations

import unittest
import warnings
from typing import Any

import pytest
import sklearn.neural_network as theirs
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator

from tinynn import Affine, ReLU
from tinynn.sklearn import MLPClassifier, MLPRegressor


def skips(estimator: Any, name: str) -> bool:
    """Whether scikit-learn skips the check of that name for its own estimator."""
    pairs: Any = estimator_checks_generator(estimator)
    for other, check in pairs:
        if getattr(check, "func", check).__name__ == name:
            try:
                check(other)
            except unittest.SkipTest:
                return True
    return False


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (MLPClassifier, {}),
        (MLPRegressor, {}),
        (MLPClassifier, {"solver": "sgd", "learning_rate_init": 0.1, "max_iter": 60, "layers": [Affine(50), ReLU()]}),
    ],
)
def test_all_checks_pass(kind: Any, settings: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(kind(**settings), on_skip=None, on_fail=None)
        assert len(results) > 50
        assert [(r["check_name"], r["exception"]) for r in results if r["status"] not in ("passed", "skipped")] == []
        own = getattr(theirs, kind.__name__)()
        assert [r["check_name"] for r in results if r["status"] == "skipped" and not skips(own, r["check_name"])] == []


def test_a_check_that_fails_is_noticed() -> None:
    class Forgetful(MLPRegressor):
        """One that changes a parameter."""

        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
            self.alpha = 0.5
            return super().fit(X, y, sample_weight)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(Forgetful(max_iter=5), on_skip=None, on_fail=None)
    assert "check_dont_overwrite_parameters" in {r["check_name"] for r in results if r["status"] == "failed"}
