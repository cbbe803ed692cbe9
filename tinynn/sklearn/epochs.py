"""The solvers `sgd` and `adam` by tinynn's `fit`: what is decided before an epoch, and after it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from tinynn.errors import ConfigurationError, StateError
from tinynn.history import History
from tinynn.sklearn.rows import together
from tinynn.sklearn.solvers import AdamSolver, SGDSolver, Solver
from tinynn.training import fit

__all__ = ["INTERRUPTED", "Epochs", "diverged", "new_solver"]

INTERRUPTED = "Ctrl-C ended the training; the estimator has what it had learned by then"
SMALLEST = 1e-6  # learning rates from which on "adaptive" stops instead of dividing by 5


class Epochs:
    """One run over rows X (n, D): `run` trains the estimator's network, and writes what scikit-learn keeps of it.

    `held`: the part that was set aside for early stopping: rows, targets, weights; None without it.
    """

    def __init__(self, estimator: Any, X: Any, targets: np.ndarray, weights: np.ndarray | None, held: Any) -> None:
        self.of, self.net, self.solver = estimator, estimator.net_, estimator._solver
        self.solver.alpha = estimator.alpha  # which may have been changed since it was made
        self.X, self.targets, self.weights, self.held = X, targets, weights, held
        self.n = X.shape[0]
        self.rows = np.arange(self.n)
        self.batch_size = batch_size(estimator, self.n)
        self.starts = np.arange(0, self.n, self.batch_size)
        self.best: dict[str, np.ndarray] | None = None

    def run(self, incremental: bool = False) -> History:
        """`max_iter` epochs at most, or if `incremental` one.

        Errors: ConfigurationError, a ValueError, for a run that diverges; those of `fit`.
        """
        of, dtype = self.of, self.net.dtype
        weights = None if self.weights is None else self.weights.astype(dtype)
        try:
            history = fit(
                self.net,
                self.solver,
                together(self.X, self.targets, weights),
                epochs=1 if incremental else of.max_iter,
                batch_size=self.batch_size,
                validation=None if self.held is None else together(*self.held),
                order=self.order,
                progress=False,
                callbacks=[self.after, *of.callbacks],
            )
        except StateError as error:
            raise diverged(type(of).__name__, error) from error
        if self.best is not None:
            self.net.storage.assign(self.best, where=type(of).__name__)
        if history.stopped == "interrupted":
            warnings.warn(INTERRUPTED, stacklevel=5)
        elif history.stopped == "finished" and not incremental:
            warnings.warn(
                f"the loss was still falling after max_iter={of.max_iter} epochs; a larger max_iter, a larger tol or "
                "a larger learning_rate_init ends that",
                ConvergenceWarning,
                stacklevel=5,
            )
        return history

    def order(self, epoch: int) -> np.ndarray:
        """The rows of an epoch, in the order in which scikit-learn takes them; the solver is told of its batches."""
        if self.of.shuffle:
            places = np.arange(self.n)
            self.of._random_state.shuffle(places)  # what sklearn.utils.shuffle does, besides a millisecond of checks
            self.rows = self.rows[places]
        sizes = np.diff([*self.starts, self.n]).astype(float)
        totals = sizes if self.weights is None else np.add.reduceat(self.weights[self.rows], self.starts)
        self.solver.begin(self.net, sizes, totals)
        return self.rows

    def after(self, history: History) -> bool:
        """What scikit-learn does after each epoch; True ends the run."""
        of = self.of
        of.n_iter_ += 1
        of.t_ += self.n
        of.loss_ = history.loss[-1] * of._loss_scale() + self.solver.penalty(self.net) / self.n
        of.loss_curve_.append(of.loss_)
        if of.verbose:
            print(f"Iteration {of.n_iter_}, loss = {of.loss_:.8f}")
        better = self.judge(history)
        of._without_progress = 0 if better else of._without_progress + 1
        if of.solver == "sgd" and of.learning_rate == "invscaling":
            self.solver.change(of.learning_rate_init / (of.t_ + 1) ** of.power_t)
        if of._without_progress <= of.n_iter_no_change:
            return False
        return self.stop()

    def judge(self, history: History) -> bool:
        """Whether the epoch brought `tol` more than the best one before it; what is best is kept."""
        of = self.of
        if self.held is None:
            better = of.loss_ <= of.best_loss_ - of.tol
            of.best_loss_ = min(of.best_loss_, of.loss_)
            return better
        X, targets, weights = self.held
        score = of._score_of(X, targets, weights)
        of.validation_scores_.append(score)
        of.validation_loss_curve_.append(history.validation_loss[-1] * of._loss_scale())
        if of.verbose:
            print(f"Validation score: {score:f}")
        better = not score < of.best_validation_score_ + of.tol
        if score > of.best_validation_score_:
            of.best_validation_score_ = score
            self.best = self.net.storage.arrays()
        return better

    def stop(self) -> bool:
        """What comes of too many epochs without progress: a smaller learning rate, or the end."""
        of = self.of
        what = "Validation score" if self.held is not None else "Training loss"
        said = f"{what} did not improve more than tol={of.tol:f} for {of.n_iter_no_change} consecutive epochs."
        if of.solver == "sgd" and of.learning_rate == "adaptive" and self.solver.lr > SMALLEST:
            self.solver.change(self.solver.lr / 5)
            of._without_progress = 0
            if of.verbose:
                print(f"{said} Setting learning rate to {self.solver.lr:f}")
            return False
        if of.verbose:
            print(f"{said} Stopping.")
        return True


def new_solver(estimator: Any) -> Solver:
    """The solver that the estimator's parameters describe, before its first step."""
    of, factor = estimator, estimator._gradient_factor()
    if of.solver == "adam":
        return AdamSolver(of.learning_rate_init, of.alpha, factor, of.beta_1, of.beta_2, of.epsilon)
    return SGDSolver(of.learning_rate_init, of.alpha, factor, of.momentum, bool(of.nesterovs_momentum))


def batch_size(estimator: Any, n: int) -> int:
    """The rows of a step; more than there are become as many as there are, with a warning."""
    size = estimator.batch_size
    if isinstance(size, str):
        return min(200, n)
    if size > n:
        warnings.warn(f"batch_size={size} is more than the {n} rows there are, which are one batch", stacklevel=6)
    return min(int(size), n)


def diverged(kind: str, error: Exception | None = None) -> ConfigurationError:
    """The error for weights that are no longer finite."""
    where = getattr(error, "where", None)
    return ConfigurationError(
        "the training diverged: loss or weights are not finite",
        where=f"{kind}; {where}" if where else kind,
        expected="finite weights after every epoch",
        got=getattr(error, "got", None) or "NaN or Inf",
        fix="scale the features, with StandardScaler() say, or take a smaller learning_rate_init",
    )
