"""The activations by the names that scikit-learn has for them, and by tinynn's for those that it does not have."""

from __future__ import annotations

from tinynn.layer import Layer
from tinynn.layers import (
    ELU,
    GELU,
    SELU,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    Mish,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softplus,
    Softsign,
    Tanh,
)

__all__ = ["ACTIVATIONS"]

ACTIVATIONS: dict[str, type[Layer] | None] = {
    "identity": None,
    "logistic": Sigmoid,
    "tanh": Tanh,
    "relu": ReLU,
    "leaky_relu": LeakyReLU,
    "prelu": PReLU,
    "elu": ELU,
    "selu": SELU,
    "gelu": GELU,
    "silu": SiLU,
    "softplus": Softplus,
    "mish": Mish,
    "softsign": Softsign,
    "hard_sigmoid": HardSigmoid,
    "hard_swish": HardSwish,
}
