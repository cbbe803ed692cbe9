"""Normalisation within an example: its rows, or groups of its channels."""

from __future__ import annotations

from typing import Any

from tinynn.backend import Array
from tinynn.checks import finite_number, positive_integer, whole_number
from tinynn.errors import ConfigurationError
from tinynn.init import ones, zeros
from tinynn.layer import Layer, Shape

__all__ = ["GroupNorm", "LayerNorm", "RMSNorm", "mean_over"]


class LayerNorm(Layer):
    """y = gamma x^ + beta, x^ = (x - mean) / sqrt(var + eps), with mean and var of each example by itself.

    Shapes:   x (N, ...), normalised over the axes from `axis` to the last. They count within an example: 0 is all of
              it, -1 its last axis. gamma, beta of the shape of these axes; y as x.
    Backward: dbeta = sum of dy, dgamma = sum of dy x^, over all else; with dx^ = gamma dy:
              dx = (dx^ - mean of dx^ - x^ mean of dx^ x^) / sqrt(var + eps).
    Init:     gamma 1, beta 0, no L2 on them.
    Errors:   ConfigurationError for an axis that the input does not have, an eps that is not positive.
    Source:   Ba, Kiros, Hinton, "Layer Normalization", 2016.
    """

    straight = True

    def __init__(self, axis: int = -1, eps: float = 1e-5) -> None:
        self.axis = whole_number(axis, "the axis", where="LayerNorm", fix="LayerNorm(axis=-1)")
        self.eps = finite_number(eps, "eps", where="LayerNorm", fix="LayerNorm(eps=1e-5)", above=0)

    def build(self, shape: Shape) -> Shape:
        inner = inner_shape(self, shape, self.axis)
        self.param("gamma", inner, ones, decay=False)
        self.param("beta", inner, zeros, decay=False)
        self.outer, self.over = axes(shape, inner)
        return shape

    def forward(self, x: Array) -> tuple[Array, Any]:
        xhat, std = standardise(self, x, self.over)
        y = self.xp.multiply(xhat, self.gamma, out=self.empty_like("y", x))
        return self.xp.add(y, self.beta, out=y), (xhat, std)

    def backward(self, dy: Array, cache: Any) -> Array:
        xhat, std = cache
        dxhat = self.empty_like("dxhat", xhat)
        self.xp.sum(dy, axis=self.outer, out=self.dbeta)
        self.xp.sum(self.xp.multiply(dy, xhat, out=dxhat), axis=self.outer, out=self.dgamma)
        self.xp.multiply(dy, self.gamma, out=dxhat)
        return standardise_backward(self, dxhat, xhat, std, self.over)


class RMSNorm(Layer):
    """y = g x / sqrt(mean of x^2 + eps), the mean being that of each example by itself.

    Shapes:   x (N, ...), normalised over the axes from `axis` to the last, as in LayerNorm; g of their shape; y as x.
    Backward: with x^ = x / sqrt(mean of x^2 + eps): dg = sum of dy x^ over all else; with dx^ = g dy:
              dx = (dx^ - x^ mean of dx^ x^) / sqrt(mean of x^2 + eps).
    Init:     g 1, no L2 on it.
    Errors:   ConfigurationError for an axis that the input does not have, an eps that is not positive.
    Source:   Zhang, Sennrich, "Root Mean Square Layer Normalization", 2019.
    """

    straight = True

    def __init__(self, axis: int = -1, eps: float = 1e-5) -> None:
        self.axis = whole_number(axis, "the axis", where="RMSNorm", fix="RMSNorm(axis=-1)")
        self.eps = finite_number(eps, "eps", where="RMSNorm", fix="RMSNorm(eps=1e-5)", above=0)

    def build(self, shape: Shape) -> Shape:
        inner = inner_shape(self, shape, self.axis)
        self.param("g", inner, ones, decay=False)
        self.outer, self.over = axes(shape, inner)
        return shape

    def forward(self, x: Array) -> tuple[Array, Any]:
        xhat, rms = standardise(self, x, self.over, centre=False)
        return self.xp.multiply(xhat, self.g, out=self.empty_like("y", x)), (xhat, rms)

    def backward(self, dy: Array, cache: Any) -> Array:
        xhat, rms = cache
        dxhat = self.empty_like("dxhat", xhat)
        self.xp.sum(self.xp.multiply(dy, xhat, out=dxhat), axis=self.outer, out=self.dg)
        self.xp.multiply(dy, self.g, out=dxhat)
        return standardise_backward(self, dxhat, xhat, rms, self.over, centre=False)


class GroupNorm(Layer):
    """y = gamma x^ + beta, x^ = (x - mean) / sqrt(var + eps), with mean and var of each group of channels.

    Shapes:   x (N, C, ...), its C channels in `groups` equal parts, one behind the other; gamma, beta (C,); y as x.
              One group normalises an image as a whole, C groups each channel by itself.
    Backward: as in LayerNorm, with the means over a group, and dgamma, dbeta summed over all but the channels.
    Init:     gamma 1, beta 0, no L2 on them.
    Errors:   ConfigurationError for groups that do not divide C, an eps that is not positive.
    Source:   Wu, He, "Group Normalization", 2018.
    """

    straight = True

    def __init__(self, groups: int, eps: float = 1e-5) -> None:
        self.groups = positive_integer(groups, "the number of groups", where="GroupNorm", fix="GroupNorm(8)")
        self.eps = finite_number(eps, "eps", where="GroupNorm", fix="GroupNorm(8, eps=1e-5)", above=0)

    def build(self, shape: Shape) -> Shape:
        if not shape or shape[0] % self.groups:
            raise ConfigurationError(
                "the groups share out the channels evenly",
                where=self.where,
                expected=f"a number of channels that {self.groups} divides",
                got=f"an input {shape}",
                fix="GroupNorm(1) takes all channels together",
            )
        self.param("gamma", shape[:1], ones, decay=False)
        self.param("beta", shape[:1], zeros, decay=False)
        self.parts = (self.groups, shape[0] // self.groups, *shape[1:])
        self.over = tuple(range(2, len(self.parts) + 1))
        self.others = (0, *range(2, len(shape) + 1))  # all axes of x but that of the channels
        self.across = (shape[0], *(1,) * (len(shape) - 1))
        return shape

    def forward(self, x: Array) -> tuple[Array, Any]:
        xhat, std = standardise(self, x.reshape(len(x), *self.parts), self.over)
        y = self.xp.multiply(xhat.reshape(x.shape), self.gamma.reshape(self.across), out=self.empty_like("y", x))
        return self.xp.add(y, self.beta.reshape(self.across), out=y), (xhat, std)

    def backward(self, dy: Array, cache: Any) -> Array:
        xhat, std = cache
        dxhat = self.empty_like("dxhat", dy)
        self.xp.sum(dy, axis=self.others, out=self.dbeta)
        self.xp.sum(self.xp.multiply(dy, xhat.reshape(dy.shape), out=dxhat), axis=self.others, out=self.dgamma)
        self.xp.multiply(dy, self.gamma.reshape(self.across), out=dxhat)
        return standardise_backward(self, dxhat.reshape(xhat.shape), xhat, std, self.over).reshape(dy.shape)


def inner_shape(layer: Any, shape: Shape, axis: int) -> Shape:
    """The shape of the axes that are normalised over.

    Errors: ConfigurationError.
    """
    if not -len(shape) <= axis < len(shape):
        raise ConfigurationError(
            "an axis that the input does not have",
            where=layer.where,
            expected=f"-{len(shape)} to {len(shape) - 1}, counted within an example" if shape else "an input with axes",
            got=f"axis {axis} for an input {shape}",
            fix=f"{type(layer).__name__}(axis=-1)",
        )
    return shape[axis:]


def axes(shape: Shape, inner: Shape) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes of a batch outside and inside of what is normalised over."""
    edge = len(shape) - len(inner) + 1
    return tuple(range(edge)), tuple(range(edge, len(shape) + 1))


def standardise(layer: Any, x: Array, over: tuple[int, ...], centre: bool = True) -> tuple[Array, Array]:
    """x^ = (x - mean) / std and std = sqrt(var + eps) over these axes; without `centre` the mean counts as 0."""
    xp, xhat = layer.xp, layer.empty_like("xhat", x)
    squares = layer.empty_like("squares", x)
    c = xp.subtract(x, mean_over(layer, "mean", x, over), out=xhat) if centre else x
    var = mean_over(layer, "std", xp.multiply(c, c, out=squares), over)
    std = xp.sqrt(xp.add(var, layer.eps, out=var), out=var)
    return xp.divide(c, std, out=xhat), std


def standardise_backward(
    layer: Any, dxhat: Array, xhat: Array, std: Array, over: tuple[int, ...], centre: bool = True
) -> Array:
    """dx = (dx^ - mean of dx^ - x^ mean of dx^ x^) / std; without `centre`, without the second term."""
    xp, dx = layer.xp, layer.empty_like("dx", xhat)
    slope = mean_over(layer, "slope", xp.multiply(dxhat, xhat, out=dx), over)
    xp.multiply(xhat, slope, out=dx)
    if centre:
        xp.add(dx, mean_over(layer, "mean", dxhat, over), out=dx)
    xp.subtract(dxhat, dx, out=dx)
    return xp.divide(dx, std, out=dx)


def mean_over(layer: Layer, name: str, x: Array, over: tuple[int, ...], dtype: Any = None) -> Array:
    """The mean over these axes, which stay with length 1, in the layer's array of that name; added up in `dtype`."""
    shape, count = list(x.shape), 1
    for axis in over:
        count, shape[axis] = count * shape[axis], 1
    mean = layer.empty(name, tuple(shape), dtype)
    layer.xp.sum(x, axis=over, dtype=dtype, keepdims=True, out=mean)
    return layer.xp.divide(mean, count, out=mean)
