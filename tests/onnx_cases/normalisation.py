"""Normalisation, and dropout."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_cases.running import infer, train
from tinynn import BatchNorm, Dropout, GroupNorm, LayerNorm, RMSNorm

__all__ = ["OPERATORS"]


def batch_normalization(
    x: np.ndarray,
    scale: np.ndarray,
    bias: np.ndarray,
    mean: np.ndarray,
    var: np.ndarray,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
    is_test: int = 1,  # opset 6
) -> Any:
    layer, values = BatchNorm(momentum, epsilon), {"gamma": scale, "beta": bias, "mean": mean, "var": var}
    if training_mode:
        return train(layer, x, values=values), layer.mean, layer.var
    return infer(layer, x, values=values)


def layer_normalization(
    x: np.ndarray, scale: np.ndarray, bias: np.ndarray, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> tuple[np.ndarray, None, None]:
    """The mean and the standard deviation, which ONNX also gives, LayerNorm keeps to itself."""
    return infer(LayerNorm(axis, epsilon), x[None], values={"gamma": scale, "beta": bias})[0], None, None


def rms_normalization(
    x: np.ndarray, scale: np.ndarray, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> np.ndarray:
    return infer(RMSNorm(axis, epsilon), x[None], values={"g": scale})[0]


def group_normalization(
    x: np.ndarray,
    scale: np.ndarray,
    bias: np.ndarray,
    *,
    num_groups: int,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> np.ndarray:
    return infer(GroupNorm(num_groups, epsilon), x, values={"gamma": scale, "beta": bias})


def instance_normalization(x: np.ndarray, scale: np.ndarray, bias: np.ndarray, *, epsilon: float = 1e-5) -> np.ndarray:
    """Each channel is a group of its own."""
    return group_normalization(x, scale, bias, num_groups=x.shape[1], epsilon=epsilon)


def dropout(
    x: np.ndarray, rate: Any = 0.5, training: Any = False, *, ratio: float = 0.5, seed: int = 0
) -> tuple[np.ndarray, None]:
    """The mask, which ONNX also gives, Dropout keeps to itself. Opset 11 had the rate as an attribute."""
    layer = Dropout(float(rate))
    return train(layer, x) if training else infer(layer, x), None


OPERATORS = {
    "BatchNormalization": batch_normalization,
    "Dropout": dropout,
    "GroupNormalization": group_normalization,
    "InstanceNormalization": instance_normalization,
    "LayerNormalization": layer_normalization,
    "RMSNormalization": rms_normalization,
}
