"""MLPClassifier: one class of several for each row, or any number of labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target, unique_labels

from tinynn.errors import ConfigurationError
from tinynn.losses import BinaryCrossEntropy, Loss, SoftmaxCrossEntropy
from tinynn.sklearn.base import MLP
from tinynn.sklearn.settings import Rule, check_settings

__all__ = ["MLPClassifier"]


def is_balanced(value: Any) -> bool:
    """Whether each class is to weigh the same."""
    return isinstance(value, str) and value == "balanced"


CLASS_WEIGHT = Rule(
    lambda value: value is None or isinstance(value, Mapping | list) or is_balanced(value),
    "None, 'balanced', a dictionary of weights by class, or a list of such dictionaries, one for each label",
    '"balanced"',
)


class MLPClassifier(ClassifierMixin, MLP):
    """scikit-learn's MLPClassifier, trained by tinynn: a multi-layer perceptron by cross-entropy with L2.

    Minimises the weighted mean of the rows' losses + alpha |W|^2 / 2w, w being the number of the rows in a batch, or
    the sum of their weights. Parameters, attributes and methods are those of `sklearn.neural_network.MLPClassifier`,
    and so are the weights that come of one `random_state`, but for rounding: initial weights, the order of the rows,
    the rows set aside for early stopping, steps, stops. Beyond that:

    `dropout`: the share of each hidden layer's outputs left out in training; one number, or one for each hidden layer.
    `activation`: a name, a tinynn layer, or a list of these, one for each hidden layer; besides scikit-learn's names
    leaky_relu, prelu, elu, selu, gelu, silu, softplus, mish, softsign, hard_sigmoid and hard_swish.
    `layers`: all hidden layers, in the place of `hidden_layer_sizes`, `activation` and `dropout`: any list of tinynn
    layers, such as [Reshape((1, 8, 8)), Conv2D(8, 3), BatchNorm(), ReLU()], with initial weights of their own.
    `class_weight`: None, "balanced" or {class: weight}, which multiply the weights of the rows.
    `callbacks`: functions called with tinynn's History after each epoch (of lbfgs after each iteration); one that
    returns True ends the training. `backend`: "numpy", "llvm" (compiled) or "cupy" (on a GPU). `dtype`: "float32" or
    "float64"; None for that of X.
    `net_`: the network, a tinynn Sequential that can be saved. `validation_loss_curve_`: with early stopping, the mean
    loss over the validation rows after each epoch. `loss_curve_` is there for lbfgs too.

    Otherwise than in scikit-learn: momentum < 1, and weights of rows >= 0, are asked for. `loss_` with sample_weight
    and several batches is the weighted mean over the rows, and there the mean over batches. Many steps are one call
    with backend "llvm" and "cupy": the L2 term of `loss_` is then the mean of those before and after the epoch.
    A loss or weights that are not finite end the training after that epoch.
    """

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: Any = 0.0,
        layers: Any = None,
        class_weight: Any = None,
        callbacks: Sequence[Callable[[Any], Any]] = (),
        backend: Any = "numpy",
        dtype: Any = None,
    ) -> None:
        self._set(locals())

    def _check(self) -> None:
        check_settings(self, class_weight=CLASS_WEIGHT)

    def _targets(self, y: Any, incremental: bool, first: bool) -> np.ndarray:
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if first and not incremental:
            self._binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._binarizer.classes_
        else:
            self._refuse_other_classes(set(unique_labels(y).tolist()), incremental)
        rows = self._binarizer.transform(y)
        kind = self._binarizer.y_type_
        self.n_outputs_ = rows.shape[1]
        self.out_activation_ = "softmax" if kind == "multiclass" else "logistic"
        if kind == "multiclass":
            return rows.argmax(axis=1)
        return rows[:, 0] if self.n_outputs_ == 1 else rows.astype(np.float64)

    def _refuse_other_classes(self, found: set[Any], incremental: bool) -> None:
        """Errors: ConfigurationError for classes that this network was not made for, or for some of them missing."""
        known = set(self.classes_.tolist())
        if found - known or (found != known and not incremental):
            raise ConfigurationError(
                "y has other classes than those that this network was made for",
                where=type(self).__name__,
                expected=f"the classes {sorted(known)}" + (", or some of them" if incremental else ""),
                got=f"{sorted(found)}",
                fix="name all classes in the first partial_fit" if incremental else "warm_start=False",
            )

    def _loss(self) -> Loss:
        return SoftmaxCrossEntropy() if self.out_activation_ == "softmax" else BinaryCrossEntropy()

    def _gradient_factor(self) -> float:
        """scikit-learn adds up the losses of several labels, where BinaryCrossEntropy takes their mean."""
        return 1.0 if self.out_activation_ == "softmax" else float(self.n_outputs_)

    def _loss_scale(self) -> float:
        return self._gradient_factor()

    def _row_weights(self, y: Any, weights: np.ndarray | None, incremental: bool) -> np.ndarray | None:
        if self.class_weight is None:
            return weights
        if incremental and is_balanced(self.class_weight):
            raise ConfigurationError(
                "what is balanced is not known from a part of the rows",
                where=type(self).__name__,
                expected="a dictionary of weights by class, for partial_fit",
                got="class_weight='balanced'",
                fix="sklearn.utils.class_weight.compute_class_weight on all of y",
            )
        of_class = compute_sample_weight(self.class_weight, y)
        product = of_class if weights is None else weights * of_class
        if not product.any():
            raise ConfigurationError(
                "class_weight leaves no row any weight",
                where=type(self).__name__,
                expected="a weight > 0 for a class that y has",
                got=f"{self.class_weight!r}",
                fix="give the classes that matter weights > 0, or leave class_weight out",
            )
        return product

    def _score_of(self, X: Any, targets: np.ndarray, weights: np.ndarray | None) -> float:
        found = self._codes(self._outputs_of(X))
        return float(accuracy_score(targets, found, sample_weight=weights))

    def _codes(self, p: np.ndarray) -> np.ndarray:
        """The targets that probabilities speak for."""
        if self.out_activation_ == "softmax":
            return p.argmax(axis=1)
        return ((p[:, 0] if self.n_outputs_ == 1 else p) > 0.5).astype(int)

    @property
    def _stratifies(self) -> bool:
        """As scikit-learn does, which means to for all classes and does so for two."""
        return self.n_outputs_ == 1

    @available_if(MLP._is_stochastic)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """One epoch over these rows, on from where the network is; `classes`: all there will be, in the first call.

        Errors: ValueError, as `fit`.
        """
        self._check()
        with self._all_or_nothing():
            if not hasattr(self, "classes_"):
                if classes is None:
                    raise ConfigurationError(
                        "the first partial_fit has to know all classes",
                        where=type(self).__name__,
                        expected="classes: each label that y will ever have",
                        got="classes=None",
                        fix="partial_fit(X, y, classes=np.unique(all_labels))",
                    )
                self.classes_ = unique_labels(classes)
                several = type_of_target(y).startswith("multilabel")
                self._binarizer = LabelBinarizer().fit(y if several else self.classes_)
            elif classes is not None and not np.array_equal(self.classes_, unique_labels(classes)):
                self._refuse_other_classes(set(unique_labels(classes).tolist()), incremental=False)
            return self._fit(X, y, sample_weight, incremental=True)

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class, in the order of `classes_` (n, classes); of several labels that of each."""
        p = self._outputs(X)
        return np.hstack([1 - p, p]) if self.n_outputs_ == 1 else p

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """The logarithms of `predict_proba`."""
        p = self.predict_proba(X)
        with np.errstate(divide="ignore"):  # log 0 is -Inf
            return np.log(p, out=p)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row (n,); of several labels a row of zeros and ones (n, labels)."""
        p = self._outputs(X)
        found: Any = self._binarizer.inverse_transform(p[:, 0] if self.n_outputs_ == 1 else p)
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
