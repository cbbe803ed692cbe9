"""Neural networks whose every layer you can read."""

from tinynn import datasets, init
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
from tinynn.layers import Affine, ReLU, Rescale, Sigmoid, Softmax, Step, Tanh
from tinynn.losses import Loss, QuadraticCost, SoftmaxCrossEntropy
from tinynn.network import Sequential
from tinynn.optim import SGD
from tinynn.training import History, fit

__version__ = "0.1.0"

__all__ = [
    "SGD",
    "Affine",
    "ConfigurationError",
    "DataError",
    "GradientError",
    "History",
    "LabelError",
    "Layer",
    "Loss",
    "MissingExtraError",
    "NotBuiltError",
    "QuadraticCost",
    "ReLU",
    "Rescale",
    "Sequential",
    "ShapeError",
    "Sigmoid",
    "Softmax",
    "SoftmaxCrossEntropy",
    "StateError",
    "Step",
    "Tanh",
    "TinynnError",
    "datasets",
    "fit",
    "gradcheck",
    "init",
]
