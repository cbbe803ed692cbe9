"""What both estimators share: from the rows that `fit` is given to a trained network, and from rows to its outputs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from tinynn.errors import ConfigurationError
from tinynn.losses import Loss
from tinynn.network import Network
from tinynn.sklearn.epochs import Epochs, new_solver
from tinynn.sklearn.lbfgs import fit_lbfgs
from tinynn.sklearn.network import affine_layers, build_network
from tinynn.sklearn.rows import blocks, weights_of

__all__ = ["MLP"]

FLOATS = (np.float64, np.float32)


class MLP(BaseEstimator):
    """The estimators without what makes them one for classes or for numbers: targets, loss, score."""

    net_: Network
    n_outputs_: int
    out_activation_: str

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...  # the parameters, which `_set` takes over

    def _set(self, parameters: dict[str, Any]) -> None:
        """Takes over what the constructor was given, as it is: scikit-learn's rule."""
        for name, value in parameters.items():
            if name not in ("self", "__class__"):
                setattr(self, name, value)

    # --- for the two to define

    def _check(self) -> None:
        """Looks at the parameters. Errors: ConfigurationError."""
        raise NotImplementedError

    def _targets(self, y: Any, incremental: bool, first: bool) -> np.ndarray:
        """y as the loss takes it; sets what there is to know of the outputs. Errors: ValueError."""
        raise NotImplementedError

    def _loss(self) -> Loss:
        """The loss of the network."""
        raise NotImplementedError

    def _row_weights(self, y: Any, weights: np.ndarray | None, incremental: bool) -> np.ndarray | None:
        """The weights of the rows, those of their classes included."""
        return weights

    def _score_of(self, X: Any, targets: np.ndarray, weights: np.ndarray | None) -> float:
        """What early stopping watches."""
        raise NotImplementedError

    def _gradient_factor(self) -> float:
        """scikit-learn's gradient, as a multiple of that of the loss."""
        return 1.0

    def _loss_scale(self) -> float:
        """scikit-learn's loss, as a multiple of the loss."""
        raise NotImplementedError

    # --- training

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Trains a new network, or with warm_start=True the one that there is.

        Shapes: X (n, features), an array, a data frame or a sparse matrix; y (n,) or (n, outputs); sample_weight (n,).
        Errors: ValueError, ConfigurationError and LabelError among them; MissingExtraError for a backend.
        """
        return self._fit(X, y, sample_weight, incremental=False)

    def _is_stochastic(self) -> bool:
        """Whether there is a `partial_fit`; scikit-learn wants an AttributeError where there is none."""
        if self.solver == "lbfgs":
            raise AttributeError("partial_fit goes over its rows once, and lbfgs does not: take solver='adam' or 'sgd'")
        return True

    def _fit(self, X: Any, y: Any, sample_weight: Any, incremental: bool) -> Self:
        self._check()
        kind = type(self).__name__
        if incremental and self.early_stopping:
            raise ConfigurationError(
                "partial_fit has no validation rows to stop early by",
                where=kind,
                expected="early_stopping=False",
                got="early_stopping=True",
                fix=f"{kind}(early_stopping=False), or fit",
            )
        with self._all_or_nothing():
            first = not hasattr(self, "net_") or not (self.warm_start or incremental)
            dtype: Any = self.net_.dtype if not first else FLOATS if self.dtype is None else self.dtype
            wanted: dict[str, Any] = {"accept_sparse": "csr", "dtype": dtype, "order": "C", "multi_output": True}
            X, y = validate_data(self, X, y, reset=first, y_numeric=self._is_numeric, **wanted)
            targets = self._targets(y, incremental, first)
            weights = self._row_weights(y, weights_of(sample_weight, X.shape[0], kind), incremental)
            self._random_state = check_random_state(self.random_state)
            if first:
                self._begin(X.shape[1], X.dtype)
            if targets.dtype.kind == "f":
                with np.errstate(over="ignore"):  # infinities are refused, with their row
                    targets = targets.astype(self.net_.dtype)
            if self.solver == "lbfgs":
                fit_lbfgs(self, X, targets, weights)
            else:
                self._fit_epochs(X, targets, weights, incremental)
        return self

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """What fails before its first epoch, or iteration, is over leaves the attributes as they were.

        Else a network that has learned nothing would pass for a trained one, and one that has would be told of other
        classes and features than its own.
        """
        before = dict(self.__dict__)
        self.n_iter_ = 0
        try:
            yield
        except BaseException:
            if not self.n_iter_:
                self.__dict__.clear()
                self.__dict__.update(before)
            raise

    def _begin(self, features: int, dtype: Any) -> None:
        """A new network, and nothing learned."""
        net = build_network(self, features, self.n_outputs_, self._loss(), dtype, self._random_state)
        self.net_ = net
        self.n_layers_ = len(affine_layers(net)) + 1
        self.t_ = self._without_progress = 0
        self.loss_curve_: list[float] = []
        self._watch(self.early_stopping and self.solver != "lbfgs")
        self.__dict__.pop("_solver", None)

    def _watch(self, early: bool) -> None:
        """What tells of progress: with early stopping a score of rows set aside, else the loss; none was seen yet."""
        self.best_loss_: Any = None if early else np.inf
        self.best_validation_score_: Any = -np.inf if early else None
        self.validation_scores_: Any = [] if early else None
        self.validation_loss_curve_: Any = [] if early else None

    def _fit_epochs(self, X: Any, targets: np.ndarray, weights: np.ndarray | None, incremental: bool) -> None:
        """By `sgd` or `adam`: one epoch if `incremental`, else as many as it takes."""
        held = None
        if self.early_stopping != (self.validation_scores_ is not None):  # changed since the last fit, on a warm start
            self._watch(self.early_stopping)
        if self.early_stopping:
            given = [X, targets] if weights is None else [X, targets, weights]
            parts = train_test_split(
                *given,
                random_state=self._random_state,
                test_size=self.validation_fraction,
                stratify=targets if self._stratifies else None,
            )
            X, targets, weights = [*parts[::2], None][:3]
            held = [*parts[1::2], None][:3]
            if held[0].shape[0] < 2:
                raise ConfigurationError(
                    "too few validation rows to stop early by",
                    where=type(self).__name__,
                    expected="at least 2",
                    got=held[0].shape[0],
                    fix="a larger validation_fraction, or more rows",
                )
        if not incremental or not hasattr(self, "_solver"):
            self._solver = new_solver(self)
        Epochs(self, X, targets, weights, held).run(incremental)

    _is_numeric = False
    _stratifies = False

    # --- the trained network

    def _outputs(self, X: Any) -> np.ndarray:
        """What the network says of the rows (n, outputs), looked at before. Errors: NotFittedError, ValueError."""
        check_is_fitted(self, "net_")
        return self._outputs_of(validate_data(self, X, accept_sparse="csr", dtype=FLOATS, reset=False))

    def _outputs_of(self, X: Any) -> np.ndarray:
        """The same of rows that need no look."""
        net = self.net_
        parts = [net.ops.to_host(net.predict(part)) for part in blocks(X)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    @property
    def coefs_(self) -> list[np.ndarray]:
        """W of each affine layer, from the input on; on the CPU the weights themselves, not copies."""
        check_is_fitted(self, "net_")
        return [self.net_.ops.to_host(layer.W) for layer in affine_layers(self.net_)]

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """b of each affine layer."""
        check_is_fitted(self, "net_")
        return [self.net_.ops.to_host(layer.b) for layer in affine_layers(self.net_)]

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "net_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
