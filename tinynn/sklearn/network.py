"""The network that an estimator's parameters describe, with scikit-learn's initial weights."""

from __future__ import annotations

import copy
import math
from itertools import pairwise
from typing import Any

import numpy as np

from tinynn.layer import Layer
from tinynn.layers import Affine, Dropout
from tinynn.losses import Loss
from tinynn.network import Network, Sequential
from tinynn.sklearn.activations import ACTIVATIONS
from tinynn.sklearn.settings import each_layers, sizes

__all__ = ["affine_layers", "build_network"]


def build_network(estimator: Any, features: int, outputs: int, loss: Loss, dtype: Any, random: Any) -> Network:
    """Hidden layers, Affine(outputs) and the loss, built for rows of so many features.

    `random`: scikit-learn's RandomState, of which the weights are drawn as scikit-learn draws them. Then, only where
    there is dropout or layers were given, the seed of the network, which decides over masks and those layers' weights.
    Errors: ConfigurationError, ShapeError, MissingExtraError.
    """
    own: list[Affine] = []
    if estimator.layers is None:
        units = [features, *sizes(estimator), outputs]
        activations = each_layers(estimator.activation, len(units) - 1)
        drawn = draw(units, [*activations, *activations[-1:]], random)
        hidden = hidden_layers(estimator, own)
    else:
        drawn, hidden = [], [copy.deepcopy(layer) for layer in estimator.layers]
    last = Affine(outputs)
    seeded = estimator.layers is not None or any(isinstance(layer, Dropout) for layer in hidden)
    seed = int(random.randint(2**31 - 1)) if seeded else 0
    net = Sequential(*hidden, last, loss)
    net.build((features,), backend=estimator.backend, dtype=dtype, seed=seed)
    for layer, (W, b) in zip([*own, last], drawn, strict=False):
        layer.W[...], layer.b[...] = layer.ops.asarray(W, layer.dtype), layer.ops.asarray(b, layer.dtype)
    return net


def hidden_layers(estimator: Any, own: list[Affine]) -> list[Layer]:
    """For each size Affine, activation and dropout; `own` gets the first of these."""
    units, layers = sizes(estimator), []
    activations, rates = each_layers(estimator.activation, len(units)), each_layers(estimator.dropout, len(units))
    for M, activation, rate in zip(units, activations, rates, strict=True):
        own.append(Affine(M))
        layers.append(own[-1])
        if isinstance(activation, Layer):
            layers.append(copy.deepcopy(activation))
        elif (kind := ACTIVATIONS[activation]) is not None:
            layers.append(kind())
        if rate:
            layers.append(Dropout(rate))
    return layers


def draw(units: list[int], activations: list[Any], random: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """W, b ~ U(-a, a), a = sqrt(6 / (D + M)), or sqrt(2 / (D + M)) where the activation is logistic.

    Source: scikit-learn's MLP; Glorot, Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", 2010.
    """
    drawn = []
    for i, (D, M) in enumerate(pairwise(units)):
        logistic = any(isinstance(name, str) and name == "logistic" for name in activations[i : i + 1])
        a = math.sqrt((2 if logistic else 6) / (D + M))
        drawn.append((random.uniform(-a, a, (D, M)), random.uniform(-a, a, M)))
    return drawn


def affine_layers(net: Network) -> list[Any]:
    """The layers with weights and biases that scikit-learn knows, from the input to the output."""
    return [layer for _, layer in net.walk() if isinstance(layer, Affine)]
