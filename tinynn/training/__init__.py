"""Training a network on data."""

from tinynn.training.fit import fit
from tinynn.training.history import History

__all__ = ["History", "fit"]
