"""Training a network on data."""

from tinynn.history import History
from tinynn.training.fit import fit

__all__ = ["History", "fit"]
