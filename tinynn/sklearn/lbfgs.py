"""The solver `lbfgs`: SciPy's minimiser on the flat vector of the parameters, with all rows in one batch."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning

from tinynn.history import History
from tinynn.network.sources import check_targets
from tinynn.sklearn.epochs import INTERRUPTED, diverged
from tinynn.sklearn.rows import dense, together

__all__ = ["fit_lbfgs"]


class Objective:
    """f(W) = K L + alpha |W|^2 / 2w, and its gradient, as float64; w: the number of the rows, or their weights' sum.

    The vector is `storage.params` with its padding, whose gradient is 0, so it stays what it is. Errors: LabelError.
    """

    def __init__(self, estimator: Any, X: Any, targets: np.ndarray, weights: np.ndarray | None) -> None:
        self.net = estimator.net_
        self.factor, self.scale = estimator._gradient_factor(), estimator._loss_scale()
        asarray, dtype = self.net.ops.asarray, self.net.dtype
        given = together(dense(X), targets, None if weights is None else weights.astype(dtype))
        check_targets(self.net, given[1:])
        self.batch = tuple(asarray(x, None if x is targets else dtype) for x in given)
        self.l2 = estimator.alpha / (X.shape[0] if weights is None else weights.sum())

    def __call__(self, flat: np.ndarray) -> tuple[float, np.ndarray]:
        net, storage = self.net, self.net.storage
        self.put(flat)
        loss, cache = net.forward(*self.batch)
        net.backward(1.0, cache)
        W, to_host = flat[: storage.decayed], net.ops.to_host
        gradient = to_host(storage.grads).astype(np.float64) * self.factor
        gradient[: storage.decayed] += self.l2 * W
        return float(to_host(loss)) * self.factor + self.l2 * float(W @ W) / 2, gradient

    def reported(self, flat: np.ndarray, value: float) -> float:
        """`loss_` where the objective is `value`: scikit-learn divides the loss by the outputs, not its gradient."""
        W = flat[: self.net.storage.decayed]
        penalty = self.l2 * float(W @ W) / 2
        return (value - penalty) * self.scale / self.factor + penalty

    def put(self, flat: np.ndarray) -> None:
        """These are the parameters from now on."""
        self.net.storage.params[...] = self.net.ops.asarray(flat, self.net.dtype)

    def start(self) -> np.ndarray:
        """The parameters as they are."""
        return self.net.ops.to_host(self.net.storage.params).astype(np.float64)


def fit_lbfgs(estimator: Any, X: Any, targets: np.ndarray, weights: np.ndarray | None) -> None:
    """Trains the estimator's network; whatever ends that, it then has the weights of the latest iteration.

    Errors: LabelError; ConfigurationError where it diverges.
    """
    of, history = estimator, History()
    objective = Objective(of, X, targets, weights)
    latest = objective.start()

    def after(intermediate_result: Any) -> None:  # SciPy looks for this name
        latest[...] = intermediate_result.x
        history.loss.append(objective.reported(latest, intermediate_result.fun))
        if of.verbose:
            print(f"Iteration {len(history)}, loss = {history.loss[-1]:.8f}")
        answers = [callback(history) for callback in of.callbacks]
        if any(answer is True for answer in answers):
            history.stopped = "callback"
            raise StopIteration

    options = {"maxiter": of.max_iter, "maxfun": of.max_fun, "gtol": of.tol}
    found: Any = None
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            found = minimize(objective, latest.copy(), method="L-BFGS-B", jac=True, callback=after, options=options)
        if not (np.isfinite(found.x).all() and np.isfinite(found.fun)):
            raise diverged(type(of).__name__)
        latest[...] = found.x
    except KeyboardInterrupt:
        warnings.warn(INTERRUPTED, stacklevel=4)
    finally:
        objective.put(latest)
        of.n_iter_, of.loss_curve_ = len(history), history.loss
        if history.loss:
            of.loss_ = history.loss[-1]
    of.loss_ = objective.reported(latest, objective(latest)[0])
    if found is not None and not found.success and history.stopped != "callback":
        warnings.warn(
            f"lbfgs did not converge: {found.message}; a larger max_iter or scaled features may help",
            ConvergenceWarning,
            stacklevel=4,
        )
