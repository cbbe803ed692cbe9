"""Neural networks whose every layer you can read."""

import importlib
import typing

from tinynn import init, layers, losses, optim, registry
from tinynn.errors import (
    ConfigurationError,
    DataError,
    DeviceError,
    GradientError,
    LabelError,
    MissingExtraError,
    NonFiniteError,
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
from tinynn.network.finite import check_finite
from tinynn.network.loading import load
from tinynn.optim import *
from tinynn.registry import register
from tinynn.training import History, fit
from tinynn.version import __version__ as __version__

if typing.TYPE_CHECKING:
    from tinynn import datasets, distributed, pictures

__all__ = [
    "ConfigurationError",
    "DataError",
    "DeviceError",
    "GradientError",
    "Graph",
    "History",
    "LabelError",
    "Layer",
    "MissingExtraError",
    "NonFiniteError",
    "NotBuiltError",
    "Sequential",
    "ShapeError",
    "StateError",
    "TinynnError",
    "check_finite",
    "datasets",
    "distributed",
    "fit",
    "gradcheck",
    "init",
    "load",
    "pictures",
    "register",
]
__all__ += layers.__all__
__all__ += losses.__all__
__all__ += optim.__all__

registry.register_all(layers, losses, init)
registry.register(Sequential)
registry.register(Graph)


def __getattr__(name: str) -> typing.Any:
    """`datasets` and the like when they are first asked for: what reads and writes files takes 15 ms to import."""
    if name in ("datasets", "distributed", "pictures"):
        return importlib.import_module(f"tinynn.{name}")
    raise AttributeError(f"module 'tinynn' has no attribute {name!r}")
