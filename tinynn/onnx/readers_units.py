"""Which layers the operators become: activations and normalisations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinynn.layer import Layer
from tinynn.layers import (
    ELU,
    GELU,
    SELU,
    BatchNorm,
    Clip,
    GroupNorm,
    HardSigmoid,
    HardSwish,
    LayerNorm,
    LeakyReLU,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    RMSNorm,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
)
from tinynn.onnx.found import Found, Part, reads, row_of

__all__ = ["PLAIN"]

PLAIN: dict[str, Callable[[], Layer]] = {"Relu": ReLU, "Sigmoid": Sigmoid, "Tanh": Tanh, "Softplus": Softplus}
PLAIN |= {"Softsign": Softsign, "HardSwish": HardSwish, "Mish": Mish}


@reads(*PLAIN)
def plain(found: Found) -> list[Part]:
    found.ignore("consumed_inputs")
    return [Part(PLAIN[found.step.operator]())]


@reads("Elu", "LeakyRelu", "Selu", "HardSigmoid", "Gelu", "Swish")
def with_settings(found: Found) -> list[Part]:
    operator = found.step.operator
    if operator == "Elu":
        return [Part(ELU(found.get("alpha", 1.0)))]
    if operator == "LeakyRelu":
        return [Part(LeakyReLU(found.get("alpha", 0.01)))]
    if operator == "Selu":
        usual = SELU()
        alpha, gamma = found.get("alpha", usual.alpha), found.get("gamma", usual.scale)
        same = np.float32(alpha) == np.float32(usual.alpha) and np.float32(gamma) == np.float32(usual.scale)
        return [Part(usual if same else SELU(alpha, gamma))]
    if operator == "HardSigmoid":
        return [Part(HardSigmoid(found.get("alpha", 0.2), found.get("beta", 0.5)))]
    if operator == "Gelu":
        form = found.get("approximate", "none")
        if form not in ("none", "tanh"):
            found.uncovered("in this form", "none or tanh", form)
        return [Part(GELU(approximate=form == "tanh"))]
    if found.get("alpha", 1.0) != 1.0:
        found.uncovered("with a factor", "alpha=1", "another")
    return [Part(SiLU())]


@reads("Softmax", "LogSoftmax")
def softmax(found: Found) -> list[Part]:
    """Along the last axis. Before opset 13 it ran along all axes from `axis` on, as if they were one."""
    dims = len(found.data()) + 1
    axis = found.get("axis", -1 if found.flow.opset >= 13 else 1)
    if dims < 2 or axis not in (-1, dims - 1):
        found.uncovered("along other axes than the last", f"axis={dims - 1}", axis)
    return [Part(Softmax() if found.step.operator == "Softmax" else LogSoftmax())]


@reads("Clip")
def clip(found: Found) -> list[Part]:
    """A bound that is left out is the end of float32."""
    most = float(np.finfo(np.float32).max)
    low, high = found.number(1, found.get("min", -most)), found.number(2, found.get("max", most))
    return [Part(Clip(max(low, -most), min(high, most)))]


@reads("PRelu")
def prelu(found: Found) -> list[Part]:
    shape, slope = found.data(), found.array(1)
    if not shape:
        found.uncovered("of single numbers", "an input with features", shape)
    across = slope.reshape((1,) * (len(shape) - slope.ndim) + slope.shape)
    if across.ndim > len(shape) or across.size not in (1, shape[0]) or across.shape[0] != across.size:
        found.uncovered("with these slopes", f"one, or {shape[0]}: for each feature or channel one", slope.shape)
    return [Part(PReLU(), {"a": row_of(found, slope, shape[0], "the slope")})]


@reads("BatchNormalization")
def batch_norm(found: Found) -> list[Part]:
    if found.get("training_mode", 0) or len([name for name in found.step.gives if name]) > 1:
        found.uncovered("in training", "training_mode=0, and one output", "means of the batch")
    found.ignore("is_test", "consumed_inputs")
    if found.get("spatial", 1) != 1:
        found.uncovered("for each pixel by itself", "spatial=1", 0)
    momentum, epsilon = found.get("momentum", 0.9), found.get("epsilon", 1e-5)
    features = found.data()[:1]
    names = ("gamma", "beta", "mean", "var")
    arrays = {name: fitting(found, i, features) for i, name in enumerate(names, 1)}
    if (arrays["var"] + epsilon <= 0).any():
        found.wrong("a variance below 0", "var + epsilon > 0", arrays["var"].min())
    # ONNX allows a momentum of 1, which never learns: as near to it as a float32 comes.
    return [Part(BatchNorm(min(momentum, float(np.nextafter(np.float32(1), np.float32(0)))), epsilon), arrays)]


def fitting(found: Found, i: int, shape: Any) -> np.ndarray:
    """Operand i, an array of exactly this shape. Errors: DataError."""
    array = found.array(i)
    if array.shape != tuple(shape):
        found.wrong(f"operand {i} does not fit the input", tuple(shape), array.shape)
    return array


@reads("InstanceNormalization", "GroupNormalization")
def group_norm(found: Found) -> list[Part]:
    """Before opset 21 GroupNormalization had its gains for groups, not for channels."""
    C = found.data()[:1]
    groups = found.get("num_groups", 0) if found.step.operator == "GroupNormalization" else sum(C)
    epsilon = found.get("epsilon", 1e-5)
    found.ignore("stash_type")
    by_group = found.step.operator == "GroupNormalization" and found.flow.opset < 21
    if groups < 1 or not C or C[0] % groups:
        found.wrong("groups that do not share out the channels", f"a number that divides {C}", groups)
    arrays = [fitting(found, i, (groups,) if by_group else C) for i in (1, 2)]
    gamma, beta = (np.repeat(array, C[0] // groups) if by_group else array for array in arrays)
    return [Part(GroupNorm(groups, epsilon), {"gamma": gamma, "beta": beta})]


@reads("LayerNormalization", "RMSNormalization")
def layer_norm(found: Found) -> list[Part]:
    shape, axis = found.data(), found.get("axis", -1)
    axis += (len(shape) + 1) * (axis < 0)
    if not 0 < axis <= len(shape):
        found.uncovered("over the batch", f"axis 1 to {len(shape)}", axis)
    found.get("stash_type", 1)
    epsilon, inner = found.get("epsilon", 1e-5), shape[axis - 1 :]
    gamma = fitting(found, 1, inner)
    if found.step.operator == "RMSNormalization":
        return [Part(RMSNorm(axis - 1 - len(shape), epsilon), {"g": gamma})]
    beta = np.zeros(inner, gamma.dtype) if found.operand(2) is None else fitting(found, 2, inner)
    return [Part(LayerNorm(axis - 1 - len(shape), epsilon), {"gamma": gamma, "beta": beta})]
