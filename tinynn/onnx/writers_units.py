"""Which operators the activations and normalisations become; those that an opset lacks are put together from others."""

from __future__ import annotations

import math
from typing import Any

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
    Step,
    Tanh,
)
from tinynn.onnx.writing import Out, writer

__all__ = ["ALIKE"]

ALIKE = {ReLU: "Relu", Sigmoid: "Sigmoid", Tanh: "Tanh", Softplus: "Softplus", Softsign: "Softsign"}
ALIKE |= {HardSwish: "HardSwish"}


@writer(*ALIKE)
def alike(layer: Any, out: Out, x: str) -> str:
    return out.node(next(name for kind, name in ALIKE.items() if isinstance(layer, kind)), x)


@writer(Step)
def step(layer: Step, out: Out, x: str) -> str:
    above = out.node("Greater", x, out.constant(0))
    return out.node("Cast", above, to=out.tensor_type(out.dtype))


@writer(Softmax)
def softmax(layer: Softmax, out: Out, x: str) -> str:
    return out.node("Softmax", x, axis=-1)


@writer(LogSoftmax)
def log_softmax(layer: LogSoftmax, out: Out, x: str) -> str:
    return out.node("LogSoftmax", x, axis=-1)


@writer(LeakyReLU)
def leaky_relu(layer: LeakyReLU, out: Out, x: str) -> str:
    return out.node("LeakyRelu", x, alpha=layer.slope)


@writer(PReLU)
def prelu(layer: PReLU, out: Out, x: str) -> str:
    return out.node("PRelu", x, out.parameter("a", layer.across))


@writer(ELU)
def elu(layer: ELU, out: Out, x: str) -> str:
    return out.node("Elu", x, alpha=layer.alpha)


@writer(SELU)
def selu(layer: SELU, out: Out, x: str) -> str:
    return out.node("Selu", x, alpha=layer.alpha, gamma=layer.scale)


@writer(HardSigmoid)
def hard_sigmoid(layer: HardSigmoid, out: Out, x: str) -> str:
    return out.node("HardSigmoid", x, alpha=layer.alpha, beta=layer.beta)


@writer(Clip)
def clip(layer: Clip, out: Out, x: str) -> str:
    return out.node("Clip", x, out.constant(layer.low, name="low"), out.constant(layer.high, name="high"))


@writer(SiLU)
def silu(layer: SiLU, out: Out, x: str) -> str:
    return out.node("Mul", x, out.node("Sigmoid", x))


@writer(Mish)
def mish(layer: Mish, out: Out, x: str) -> str:
    return out.node("Mul", x, out.node("Tanh", out.node("Softplus", x)))


@writer(GELU)
def gelu(layer: GELU, out: Out, x: str) -> str:
    """x (1 + erf(x / sqrt 2)) / 2, the form in which runtimes know it; or x sigmoid(2 u), as the layer has it."""
    if not layer.approximate:
        share = out.node("Erf", out.node("Div", x, out.constant(math.sqrt(2))))
        return out.node("Mul", out.node("Mul", x, out.node("Add", share, out.constant(1))), out.constant(0.5))
    bent = out.node("Add", out.node("Mul", out.node("Mul", x, x), out.constant(0.044715)), out.constant(1))
    u = out.node("Mul", out.node("Mul", bent, x), out.constant(2 * math.sqrt(2 / math.pi)))
    return out.node("Mul", x, out.node("Sigmoid", u))


@writer(BatchNorm)
def batch_norm(layer: BatchNorm, out: Out, x: str) -> str:
    arrays = [out.parameter(name) for name in ("gamma", "beta", "mean", "var")]
    return out.node("BatchNormalization", x, *arrays, epsilon=layer.eps, momentum=layer.momentum)


@writer(LayerNorm)
def layer_norm(layer: LayerNorm, out: Out, x: str) -> str:
    arrays = [out.parameter(name) for name in ("gamma", "beta")]
    return out.node("LayerNormalization", x, *arrays, axis=layer.over[0], epsilon=layer.eps)


@writer(RMSNorm)
def rms_norm(layer: RMSNorm, out: Out, x: str) -> str:
    count = math.prod(out.shapes[0][axis - 1] for axis in layer.over)
    total = out.node("ReduceSum", out.node("Mul", x, x), out.constant(layer.over, "int64", "axes"), keepdims=1)
    mean = out.node("Mul", total, out.constant(1 / count))
    rms = out.node("Sqrt", out.node("Add", mean, out.constant(layer.eps, name="epsilon")))
    return out.node("Mul", out.node("Div", x, rms), out.parameter("g"))


@writer(GroupNorm)
def group_norm(layer: GroupNorm, out: Out, x: str) -> str:
    """Each group as a channel that is normalised by itself; then the gains of the channels."""
    G, shape = layer.groups, out.shapes[0]
    groups = out.node("Reshape", x, out.constant((0, G, -1), "int64", "groups"))
    one, none = out.constant([1] * G), out.constant([0] * G)
    xhat = out.node("InstanceNormalization", groups, one, none, epsilon=layer.eps)
    back = out.node("Reshape", xhat, out.constant((0, *shape), "int64", "shape"))
    y = out.node("Mul", back, out.parameter("gamma", layer.across))
    return out.node("Add", y, out.parameter("beta", layer.across))
