"""Networks: layers connected, and the storage that they share."""

from tinynn.network.evaluation import Evaluation
from tinynn.network.graph import Graph
from tinynn.network.network import Cache, Network
from tinynn.network.sequential import Sequential
from tinynn.network.storage import Storage

__all__ = ["Cache", "Evaluation", "Graph", "Network", "Sequential", "Storage"]
