"""Optimizers, which update the flat parameters of a network from its flat gradients: each file has one line here."""

from tinynn.optim.adam import *
from tinynn.optim.optimizer import *
from tinynn.optim.scaled import *
from tinynn.optim.schedules import *
from tinynn.optim.sgd import *

__all__ = sorted(name for name, thing in globals().items() if callable(thing))
