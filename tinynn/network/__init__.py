"""Networks: layers connected, and the storage that they share."""

from tinynn.network.network import Cache, Evaluation, Network
from tinynn.network.sequential import Sequential
from tinynn.network.storage import Storage

__all__ = ["Cache", "Evaluation", "Network", "Sequential", "Storage"]
