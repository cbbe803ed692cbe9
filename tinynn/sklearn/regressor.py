"""MLPRegressor: one number for each row, or several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if

from tinynn.errors import ConfigurationError
from tinynn.losses import Loss, QuadraticCost
from tinynn.sklearn.base import MLP
from tinynn.sklearn.poisson import PoissonDeviance
from tinynn.sklearn.settings import check_settings, one_of

__all__ = ["MLPRegressor"]


class MLPRegressor(RegressorMixin, MLP):
    """scikit-learn's MLPRegressor, trained by tinynn: a multi-layer perceptron for numbers, with L2.

    Minimises the weighted mean of the rows' losses + alpha |W|^2 / 2w, w being the number of the rows in a batch, or
    the sum of their weights. `loss`: "squared_error", |y - t|^2 / 2 summed over the outputs, or "poisson", half the
    Poisson deviance, of which the network's output is the logarithm; then y >= 0. Parameters, attributes and methods
    are those of `sklearn.neural_network.MLPRegressor`, and so are the weights that come of one `random_state`, but for
    rounding. Beyond that: `dropout`, activations layer by layer, `layers`, `callbacks`, `backend`, `dtype`, `net_`,
    `validation_loss_curve_`, as MLPClassifier has them; its docstring also says what is not as in scikit-learn.

    `loss_` is the squared error divided by the number of outputs, as there. With lbfgs and several outputs scikit-learn
    minimises that by a gradient that is not divided; here loss and gradient belong together.
    """

    _is_numeric = True

    def __init__(
        self,
        loss: str = "squared_error",
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
        callbacks: Sequence[Callable[[Any], Any]] = (),
        backend: Any = "numpy",
        dtype: Any = None,
    ) -> None:
        self._set(locals())

    def _targets(self, y: Any, incremental: bool, first: bool) -> np.ndarray:
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        self.n_outputs_ = 1 if y.ndim == 1 else y.shape[1]
        activation = "exp" if self.loss == "poisson" else "identity"
        if not first and activation != self.out_activation_:
            raise ConfigurationError(
                "the network was made for another loss",
                where=type(self).__name__,
                expected="the loss that it was trained by",
                got=f"loss={self.loss!r}",
                fix="warm_start=False and fit, for a new network",
            )
        self.out_activation_ = activation
        return np.asarray(y, np.float64).reshape(len(y), self.n_outputs_)

    def _check(self) -> None:
        check_settings(self, loss=one_of("squared_error", "poisson"))

    def _loss(self) -> Loss:
        return PoissonDeviance() if self.loss == "poisson" else QuadraticCost()

    def _loss_scale(self) -> float:
        """scikit-learn divides the loss by the outputs; its gradient is that of the sum over them, as here."""
        return 1.0 if self.loss == "poisson" else 1 / self.n_outputs_

    def _score_of(self, X: Any, targets: np.ndarray, weights: np.ndarray | None) -> float:
        return float(r2_score(targets, self._outputs_of(X), sample_weight=weights))

    @available_if(MLP._is_stochastic)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """One epoch over these rows, on from where the network is. Errors: ValueError, as `fit`."""
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> np.ndarray:
        """The number that the network says of each row (n,), or its numbers (n, outputs)."""
        y = self._outputs(X)
        return y[:, 0] if self.n_outputs_ == 1 else y
