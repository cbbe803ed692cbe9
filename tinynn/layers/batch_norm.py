"""Normalisation over the batch."""

from __future__ import annotations

from typing import Any

from tinynn.backend import Array
from tinynn.checks import finite_number
from tinynn.errors import ConfigurationError
from tinynn.init import ones, zeros
from tinynn.layer import Layer, Shape
from tinynn.layers.layer_norm import mean_over

__all__ = ["BatchNorm"]


class BatchNorm(Layer):
    """y = gamma (x - mean) / sqrt(var + eps) + beta, with mean and var of each feature over the batch.

    Shapes:   x (N, D): a mean for each feature; (N, C, H, W) or (N, C, L): for each channel, over all its places.
              gamma, beta (D,) or (C,); y as x.
    Backward: with x^ for the fraction: dbeta = sum of dy, dgamma = sum of dy x^,
              dx = gamma / sqrt(var + eps) (dy - mean of dy - x^ mean of dy x^).
    Predict:  with running means, state of the layer, to which each training pass adds 1 - momentum of its own:
              mean <- momentum mean + (1 - momentum) mean of the batch, var alike.
    Init:     gamma 1, beta 0, no L2 on them; running mean 0, running variance 1.
    Note:     var divides by the number of values, in training and in the running mean, as in the paper's training and
              in ONNX; PyTorch's running variance divides by one less. A batch with one value for each feature has no
              variance: y is beta, dx is 0, and the running means stay as they are.
    Errors:   ConfigurationError for a momentum outside 0..1, an eps that is not positive, an input without features.
    Source:   Ioffe, Szegedy, "Batch Normalization", 2015; CS231n, `batchnorm_backward_alt`.
    """

    straight = True

    predict_differs = True

    def __init__(self, momentum: float = 0.9, eps: float = 1e-5) -> None:
        fix = "BatchNorm(momentum=0.9, eps=1e-5)"
        self.momentum = finite_number(momentum, "the momentum", where="BatchNorm", fix=fix, least=0, below=1)
        self.eps = finite_number(eps, "eps", where="BatchNorm", fix=fix, above=0)

    def build(self, shape: Shape) -> Shape:
        if not shape:
            raise ConfigurationError(
                "BatchNorm needs features",
                where=self.where,
                expected="an input of shape (D,) or (C, H, W)",
                got=shape,
                fix="take it out, or put Affine before it",
            )
        self.param("gamma", shape[:1], ones, decay=False)
        self.param("beta", shape[:1], zeros, decay=False)
        self.state("mean", shape[:1], zeros)
        self.state("var", shape[:1], ones)
        self.over = (0, *range(2, len(shape) + 1))  # the axes of what belongs to one feature
        self.across = (shape[0], *(1,) * (len(shape) - 1))  # the shape in which one number for each feature meets x
        return shape

    def forward(self, x: Array) -> tuple[Array, Any]:
        xp, y = self.xp, self.empty_like("y", x)
        mean, std = self.empty("rounded", (1, *self.across)), self.empty("std", (1, *self.across))
        # Added up in float64: the sum of a batch whose mean is far from 0 is large, and its rounding would stay in x^.
        xp.copyto(mean, mean_over(self, "exact", x, self.over, xp.float64), casting="same_kind")
        xhat = xp.subtract(x, mean, out=self.empty_like("xhat", x))
        var = mean_over(self, "variance", xp.multiply(xhat, xhat, out=y), self.over)
        xp.sqrt(xp.add(var, self.eps, out=std), out=std)
        xp.divide(xhat, std, out=xhat)
        if x.size > len(self.mean):
            self.keep(self.mean, mean)
            self.keep(self.var, var)
        xp.multiply(xhat, self.gamma.reshape(self.across), out=y)
        return xp.add(y, self.beta.reshape(self.across), out=y), (xhat, std)

    def keep(self, running: Array, new: Array) -> None:
        """running <- momentum running + (1 - momentum) new."""
        self.xp.multiply(running, self.momentum, out=running)
        share = self.xp.multiply(new.reshape(running.shape), 1 - self.momentum, out=self.empty("share", running.shape))
        self.xp.add(running, share, out=running)

    def backward(self, dy: Array, cache: Any) -> Array | None:
        xp, (xhat, std) = self.xp, cache
        dx, mean = self.empty_like("dx", xhat), self.empty("rounded", std.shape)
        xp.sum(dy, axis=self.over, out=self.dbeta)
        xp.sum(xp.multiply(dy, xhat, out=dx), axis=self.over, out=self.dgamma)
        if not self.needs_dx:
            return None
        m = dy.size / len(self.dbeta)
        xp.multiply(xhat, xp.divide(self.dgamma.reshape(self.across), m, out=mean), out=dx)
        xp.add(dx, xp.divide(self.dbeta.reshape(self.across), m, out=mean), out=dx)
        xp.subtract(dy, dx, out=dx)
        return xp.multiply(dx, xp.divide(self.gamma.reshape(self.across), std, out=mean), out=dx)

    def predict(self, x: Array) -> Array:
        y = self.xp.subtract(x, self.mean.reshape(self.across), out=self.empty_like("y", x))
        scale = self.gamma / self.xp.sqrt(self.var + self.eps)
        self.xp.multiply(y, scale.reshape(self.across), out=y)
        return self.xp.add(y, self.beta.reshape(self.across), out=y)
