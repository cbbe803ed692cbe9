"""Neural networks whose every layer you can read."""

from tinynn import datasets, init, layers, losses, optim
from tinynn.errors import (
    ConfigurationError,
    DataError,
    GradientError,
    LabelError,
    MissingExtraError,
    NotBuiltError,
    ShapeError,
    StateError,
    TinynnError,
)
from tinynn.gradcheck import gradcheck
from tinynn.layer import Layer
from tinynn.layers import *
from tinynn.losses import *
from tinynn.network import Graph, Sequential
from tinynn.optim import *
from tinynn.training import History, fit

__version__ = "0.1.0"

__all__ = [
    "ConfigurationError",
    "DataError",
    "GradientError",
    "Graph",
    "History",
    "LabelError",
    "Layer",
    "MissingExtraError",
    "NotBuiltError",
    "Sequential",
    "ShapeError",
    "StateError",
    "TinynnError",
    "datasets",
    "fit",
    "gradcheck",
    "init",
]
__all__ += layers.__all__
__all__ += losses.__all__
__all__ += optim.__all__
