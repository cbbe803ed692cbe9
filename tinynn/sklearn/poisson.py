"""The loss of counts, which MLPRegressor offers beside the squared error."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.backend import Array
from tinynn.layer import Shape
from tinynn.losses import Loss
from tinynn.registry import register
from tinynn.targets import not_finite

__all__ = ["PoissonDeviance"]


@register
class PoissonDeviance(Loss):
    """L = 1/N sum over n, j of p_nj - t_nj + t_nj log(t_nj / p_nj), p = exp(scores): half the Poisson deviance.

    Shapes:   scores (N, K); targets (N, K), numbers >= 0; weights of the rows (N,), all 1 if left out; L a scalar.
    Backward: dscores = (p - t) / N; with weights w_n / sum of w in the place of 1 / N.
    Predict:  p.
    Errors:   LabelError for targets of another kind or shape, or below 0.
    Source:   McCullagh, Nelder, "Generalized Linear Models", 1989, 2.3; scikit-learn's MLPRegressor(loss="poisson").
    """

    def forward(self, scores: Array, targets: Array, weights: Array | None = None) -> tuple[Array, Any]:
        xp, t = self.xp, targets.reshape(scores.shape).astype(self.dtype)
        p = xp.exp(scores)
        # t log t is 0 where t is.
        rows = (p - t + t * (xp.log(xp.where(t > 0, t, 1)) - scores)).reshape(len(t), -1).sum(axis=1, dtype=xp.float64)
        share = self.share(len(t), weights)
        return (rows * share).sum().astype(self.dtype), (p, t, share)

    def backward(self, dL: Any, cache: Any) -> tuple[Array, None]:
        p, t, share = cache
        scale = dL * share
        scale = scale if isinstance(share, float) else scale.reshape(-1, *(1,) * (p.ndim - 1))
        return (p - t) * scale, None

    def link(self, scores: Array) -> Array:
        return self.xp.exp(scores)

    def wrong_rows(self, rows: np.ndarray) -> tuple[Any, str]:
        wrong, _ = not_finite(rows)
        return wrong | (rows < 0).any(axis=1), "numbers >= 0"

    def example(self, rng: np.random.Generator, n: int, *shapes: Shape) -> tuple[np.ndarray, ...]:
        counts = rng.poisson(2, (n, *shapes[0])).astype(np.float64)
        return (rng.standard_normal((n, *shapes[0])), counts, *(rng.random(n) + 0.5 for _ in shapes[2:]))
