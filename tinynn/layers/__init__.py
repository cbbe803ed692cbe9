"""The layers."""

from tinynn.layers.activations import ReLU, Sigmoid, Softmax, Step, Tanh
from tinynn.layers.affine import Affine
from tinynn.layers.rescale import Rescale

__all__ = ["Affine", "ReLU", "Rescale", "Sigmoid", "Softmax", "Step", "Tanh"]
