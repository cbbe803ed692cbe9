"""Losses that compare the scores with the targets number by number."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.backend import Array
from tinynn.checks import finite_number
from tinynn.errors import LabelError
from tinynn.layer import Shape
from tinynn.losses.loss import Loss
from tinynn.targets import not_finite, refuse_row

__all__ = ["BinaryCrossEntropy", "ElementwiseLoss", "Huber", "MeanAbsoluteError", "MeanSquaredError"]


class ElementwiseLoss(Loss):
    """L = sum over n of w_n l_n / sum over n of w_n, l_n the mean of l(y, t) over the numbers of row n.

    What these losses share; one of your own defines `elements`, l, and `slope`, its derivative by y.

    Shapes:   scores y (N, ...); targets t: numbers of the same shape, for scores (N, 1) also (N,); weights w (N,), all
              1 if left out; L a scalar.
    Backward: dy = w_n / sum of w, times the derivative of l, divided by the numbers in a row; the targets have none.
    Errors:   LabelError for targets of another shape. Never are (N,) and (N, 1) combined into (N, N).
    """

    def elements(self, y: Array, t: Array, out: Array) -> Array:
        """out = l(y, t), number by number."""
        raise NotImplementedError(f"{type(self).__name__} must define elements(self, y, t, out)")

    def slope(self, y: Array, t: Array, out: Array) -> Array:
        """out = the derivative of l by y."""
        raise NotImplementedError(f"{type(self).__name__} must define slope(self, y, t, out)")

    def forward(self, scores: Array, targets: Array, weights: Array | None = None) -> tuple[Array, Any]:
        if not self.fits(scores.shape, targets):
            raise self.misfit(scores.shape, targets)
        xp, n, t = self.xp, len(scores), targets.reshape(scores.shape)
        share, L = self.share(n, weights), self.empty("L", ())
        losses = self.elements(scores, t, self.empty_like("losses", scores))
        if weights is None:
            total = xp.sum(losses, dtype=xp.float64, out=self.empty("total", (), xp.float64))
            xp.multiply(total, 1 / losses.size, out=L, casting="same_kind")
        else:
            xp.copyto(L, (losses.reshape(n, -1).mean(axis=1, dtype=xp.float64) * share).sum(), casting="same_kind")
        return L, (scores, t, share)

    def backward(self, dL: Any, cache: Any) -> tuple[Array, None]:
        y, t, share = cache
        dy = self.slope(y, t, self.empty_like("dy", y))
        scale = dL * share * (len(y) / y.size)
        self.xp.multiply(dy, scale if isinstance(share, float) else scale.reshape(-1, *(1,) * (y.ndim - 1)), out=dy)
        return dy, None

    def fits(self, scores: Shape, targets: Any) -> bool:
        """Whether the targets are numbers that go with scores of this shape, rows included."""
        alike = targets.shape == scores or (scores[1:] == (1,) and targets.shape == scores[:1])
        return alike and targets.dtype.kind in "biuf" and scores[0] > 0

    def misfit(self, scores: Shape, targets: Any) -> LabelError:
        """The error for targets that do not fit."""
        return LabelError(
            "targets that do not fit the scores",
            where=self.where,
            expected=f"at least one row of numbers, of shape {scores}" + (f" or {scores[:1]}" * (scores[1:] == (1,))),
            got=f"{targets.dtype} of shape {targets.shape}",
            fix="targets.reshape(scores.shape); labels of classes go with SoftmaxCrossEntropy",
        )

    def check_targets(self, targets: np.ndarray, scores: Shape) -> None:
        if not self.fits((len(targets) if targets.ndim else 0, *scores), targets):
            raise self.misfit((len(targets) if targets.ndim else 0, *scores), targets)
        refuse_row(self.where, *self.wrong_rows(targets.reshape(len(targets), -1)), targets)

    def example(self, rng: np.random.Generator, n: int, *shapes: Shape) -> tuple[np.ndarray, ...]:
        more = [rng.random(n) + 0.5] * len(shapes[2:])
        return (rng.standard_normal((n, *shapes[0])), self.draw(rng, (n, *shapes[0])), *more)

    def draw(self, rng: np.random.Generator, shape: Shape) -> np.ndarray:
        """Targets to check the loss on."""
        return rng.standard_normal(shape)


class MeanSquaredError(ElementwiseLoss):
    """L = mean of (y - t)^2.

    Shapes:   as of ElementwiseLoss: y (N, ...), t of the same shape, L a scalar.
    Backward: dy = 2 (y - t) / the number of all elements.
    Errors:   LabelError for targets of another shape.
    Source:   Legendre, "Nouvelles methodes pour la determination des orbites des cometes", 1805.
    """

    straight = True

    def elements(self, y: Array, t: Array, out: Array) -> Array:
        d = self.xp.subtract(y, t, out=out)
        return self.xp.multiply(d, d, out=out)

    def slope(self, y: Array, t: Array, out: Array) -> Array:
        d = self.xp.subtract(y, t, out=out)
        return self.xp.multiply(d, 2, out=out)


class MeanAbsoluteError(ElementwiseLoss):
    """L = mean of |y - t|.

    Shapes:   as of ElementwiseLoss: y (N, ...), t of the same shape, L a scalar.
    Backward: dy = sign(y - t) / the number of all elements; 0 where y = t.
    Errors:   LabelError for targets of another shape.
    Source:   Boscovich, 1757; Laplace, "Traite de mecanique celeste", 1799.
    """

    straight = True

    def elements(self, y: Array, t: Array, out: Array) -> Array:
        d = self.xp.subtract(y, t, out=out)
        return self.xp.abs(d, out=out)

    def slope(self, y: Array, t: Array, out: Array) -> Array:
        d = self.xp.subtract(y, t, out=out)
        return self.xp.sign(d, out=out)


class Huber(ElementwiseLoss):
    """L = mean of c (d - c / 2), d = y - t, c = d held between -delta and delta: d^2 / 2 near 0, linear beyond delta.

    Shapes:   as of ElementwiseLoss: y (N, ...), t of the same shape, L a scalar.
    Backward: dy = c / the number of all elements.
    Errors:   LabelError for targets of another shape, ConfigurationError for a delta that is not positive.
    Source:   Huber, "Robust Estimation of a Location Parameter", 1964.
    """

    straight = True

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = finite_number(delta, "delta", where="Huber", fix="Huber(delta=1.0)", above=0)

    def elements(self, y: Array, t: Array, out: Array) -> Array:
        c = self.slope(y, t, self.empty_like("c", y))
        self.xp.multiply(c, -0.5, out=out)
        self.xp.add(out, y, out=out)
        self.xp.subtract(out, t, out=out)
        return self.xp.multiply(out, c, out=out)

    def slope(self, y: Array, t: Array, out: Array) -> Array:
        d = self.xp.subtract(y, t, out=out)
        return self.xp.clip(d, -self.delta, self.delta, out=out)


class BinaryCrossEntropy(ElementwiseLoss):
    """L = mean of log(1 + exp(s)) - t s = mean of -t log p - (1 - t) log(1 - p), p = sigmoid(s).

    From scores s and not from p: nothing overflows, and no digit is lost where p is near 0 or 1.

    Shapes:   scores s (N, ...); targets t: numbers from 0 to 1 or labels 0 and 1, of the same shape, for scores (N, 1)
              also (N,); L a scalar.
    Backward: ds = (p - t) / the number of all elements.
    Predict:  p, the probabilities of label 1.
    Errors:   LabelError for targets of another shape, or outside 0..1.
    Source:   Nielsen, chapter 3, equation (57); Good, "Rational Decisions", 1952.
    """

    straight = True

    def elements(self, y: Array, t: Array, out: Array) -> Array:
        xp, linear, work = self.xp, self.empty_like("linear", y), self.empty_like("work", y)
        # log(1 + exp(s)) = max(s, 0) + log(1 + exp(-|s|)), in which nothing overflows. max(s, 0) - t s comes first: for
        # a label that is right it is 0, and the small rest is the loss.
        xp.subtract(xp.maximum(y, 0, out=linear), xp.multiply(y, t, out=work), out=linear)
        xp.negative(xp.abs(y, out=out), out=out)
        xp.log1p(xp.exp(out, out=out), out=out)
        return xp.add(out, linear, out=out)

    def slope(self, y: Array, t: Array, out: Array) -> Array:
        p = self.ops.sigmoid(y, out=out, work=self.empty_like("work", y))
        return self.xp.subtract(p, t, out=out)

    def link(self, scores: Array) -> Array:
        return self.ops.sigmoid(scores, out=self.empty_like("p", scores), work=self.empty_like("work", scores))

    def verdict(self, scores: Array, targets: Array) -> Array | None:
        if scores.shape[1:] not in ((), (1,)):
            return None
        return (scores.reshape(-1) > 0) == (targets.reshape(-1) > 0.5)

    def wrong_rows(self, rows: np.ndarray) -> tuple[Any, str]:
        wrong, _ = not_finite(rows)
        return wrong | (rows < 0).any(axis=1) | (rows > 1).any(axis=1), "numbers from 0 to 1"

    def draw(self, rng: np.random.Generator, shape: Shape) -> np.ndarray:
        return rng.random(shape)
