"""Optimizers: they update the flat parameters of a network from its flat gradients."""

from tinynn.optim.sgd import SGD

__all__ = ["SGD"]
