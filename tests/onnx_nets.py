"""Random networks of all layers, each a function of its number: chains and graphs, of rows, images and words."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import onnxruntime

import tinynn
from tinynn import (
    Add,
    Affine,
    Concat,
    Embedding,
    Flatten,
    GlobalAveragePool,
    GlobalMaxPool,
    Graph,
    Identity,
    Layer,
    Multiply,
    Permute,
    Rescale,
    Reshape,
    Residual,
    Sequential,
)

__all__ = ["WINDOWS", "Net", "draw", "layer_names", "run_onnx"]

Shape = tuple[int, ...]
Draw = Callable[[random.Random], Layer]

UNITS: list[Draw] = [
    lambda r: tinynn.ReLU(),
    lambda r: tinynn.LeakyReLU(r.choice([0.0, 0.01, 0.3])),
    lambda r: tinynn.ELU(r.choice([1.0, 0.5])),
    lambda r: tinynn.SELU(),
    lambda r: tinynn.GELU(approximate=r.random() < 0.5),
    lambda r: tinynn.SiLU(),
    lambda r: tinynn.Softplus(),
    lambda r: tinynn.Mish(),
    lambda r: tinynn.Softsign(),
    lambda r: tinynn.HardSigmoid(*r.choice([(), (1 / 6, 0.5)])),
    lambda r: tinynn.HardSwish(),
    lambda r: tinynn.Clip(-0.5, 1.5),
    lambda r: tinynn.Sigmoid(),
    lambda r: tinynn.Tanh(),
    lambda r: tinynn.Softmax(),
    lambda r: tinynn.LogSoftmax(),
    lambda r: tinynn.PReLU(),
    lambda r: tinynn.BatchNorm(),
    lambda r: tinynn.LayerNorm(r.choice([0, -1])),
    lambda r: tinynn.RMSNorm(r.choice([0, -1])),
    lambda r: tinynn.Dropout(0.3),
    lambda r: Identity(),
    lambda r: Rescale(r.choice([0.5, 2.0]), r.choice([0.0, 0.25])),
]
# Size, stride, padding and dilation, such that the last windows of 8 x 7 pixels see the edge, or beyond it.
WINDOWS: list[tuple[int, int, Any, int]] = [
    *((2, 2, 0, 1), (3, 2, 1, 1), (2, 1, ((0, 1), (1, 0)), 1)),
    *((2, 3, 0, 2), (2, 1, 2, 3), (2, 2, ((2, 2), (0, 0)), 3)),
]
LOSSES: list[Callable[[], Layer]] = [
    *(tinynn.SoftmaxCrossEntropy, tinynn.BinaryCrossEntropy, tinynn.MeanSquaredError, tinynn.MeanAbsoluteError),
    *(tinynn.Huber, tinynn.QuadraticCost),
]


class Net(NamedTuple):
    """A built network, inputs for it, and the layers' names."""

    net: Any
    rows: Callable[[np.random.Generator, int], tuple[np.ndarray, ...]]
    kinds: set[str]


def unit(r: random.Random, shape: Shape) -> Layer:
    """A layer that keeps this shape, alone, or with another one in a network within the network."""
    kind = r.random()
    if kind < 0.08:
        return Residual(Sequential(unit(r, shape), unit(r, shape)))
    if kind < 0.14:
        return Sequential(unit(r, shape), Identity())
    if kind < 0.2:
        return Graph(a=(unit(r, shape), "x"), b=(unit(r, shape), "x"), y=(r.choice([Add, Multiply])(), "a", "b", "a"))
    if len(shape) == 3 and kind < 0.3:
        groups = r.choice([g for g in range(1, shape[0] + 1) if shape[0] % g == 0])
        return tinynn.GroupNorm(groups)
    return r.choice(UNITS)(r)


def image_layer(r: random.Random, shape: Shape) -> tuple[Layer, Shape]:
    """A layer that makes other images of these; its output's shape is asked of itself."""
    C, H, W = shape
    kind = r.choice(["conv", "conv", "max", "average", "up", "permute", "reshape"])
    size = (r.randint(1, min(3, H)), r.randint(1, min(3, W)))
    stride = r.choice([1, 2, (1, 2)])
    padding: Any = r.choice([0, "same", tuple((r.randint(0, s - 1), r.randint(0, s - 1)) for s in size)])
    dilation = r.choice([1, 1, 2]) if min(H - 2 * (size[0] - 1), W - 2 * (size[1] - 1)) > 0 else 1
    ceil = r.random() < 0.4
    if kind == "conv":
        groups = r.choice([g for g in range(1, C + 1) if C % g == 0])
        layer: Layer = tinynn.Conv2D(groups * r.randint(1, 2), size, stride, padding, dilation, groups)
    elif kind == "max":
        layer = tinynn.MaxPool2D(size, stride, padding, dilation, ceil)
    elif kind == "average":
        layer = tinynn.AveragePool2D(size, stride, padding, dilation, ceil, r.random() < 0.5)
    elif kind == "up" and H * W < 40:
        layer = tinynn.Upsample2D(r.choice([2, (1, 2)]))
    elif kind == "reshape":
        layer = Reshape((C * H, 1, -1))
    else:
        layer = Permute(*r.choice([(0, 2, 1), (2, 0, 1), (1, 2, 0)]))
    try:
        return layer, Sequential(layer).build(shape)._built().output
    except tinynn.ConfigurationError:
        return Identity(), shape


def chain(r: random.Random, shape: Shape, steps: int) -> tuple[list[Layer], Shape]:
    layers: list[Layer] = []
    for _ in range(steps):
        if len(shape) == 3 and r.random() < 0.6:
            layer, shape = image_layer(r, shape)
        elif len(shape) < 3 and r.random() < 0.4:
            layer, shape = Affine(r.randint(2, 9)), (0,)
            shape = (layer.M,)
        else:
            layer = unit(r, shape)
        layers.append(layer)
    return layers, shape


def to_rows(r: random.Random, shape: Shape) -> list[Layer]:
    if len(shape) == 3:
        return [r.choice([GlobalAveragePool, GlobalMaxPool, Flatten])()]
    return [Flatten()] if len(shape) > 1 else []


def draw(seed: int, dtype: str = "float32") -> Net:
    """Network number `seed`: built, its parameters and states moved away from where they begin."""
    r, rng = random.Random(seed), np.random.default_rng(seed)
    shape: Shape = r.choice([(4,), (7,), (3, 4), (2, 6, 5), (1, 8, 8), (4, 5, 7)])
    words = seed % 10 == 3
    head, end = ([Embedding(11, 4)], (*shape[:1], 4)) if words else ([], shape)
    if words:
        shape = shape[:1]
    body, end = chain(r, end, r.randint(1, 6))
    loss = r.choice(LOSSES)()
    classes = r.randint(2, 6)
    tail = [*to_rows(r, end), Affine(classes)]
    if seed % 2:
        net: Any = Sequential(*head, *body, *tail, loss)
    elif words:
        net = Graph(
            h=(Sequential(*head, *body, *tail), "ids"),
            k=(Affine(classes), "z"),
            s=(Add(), "h", "k"),
            y=(loss, "s", "t"),
        )
    else:
        net = Graph(
            h=(Sequential(*body, *tail), "x"),
            k=(Sequential(Affine(3), unit(r, (3,))), "z"),
            both=(Concat(r.choice([0, -1])), "h", "k"),
            scores=(Affine(classes), "both"),
            y=(loss, "scores", "t"),
        )
    shapes = (shape,) if seed % 2 else (shape, (5,))
    net.build(*shapes, dtype=dtype, seed=seed)
    storage = net.storage
    for name, view in storage.parameters.items():
        view[...] += 0.1 * rng.standard_normal(view.shape)
        if name.endswith(".W"):
            view[...] = 0.5 * view
    for name, view in storage.states.items():
        if name.endswith((".mean", ".var")):
            view[...] = rng.uniform(0.5, 1.5, view.shape)

    def rows(rng: np.random.Generator, n: int) -> tuple[np.ndarray, ...]:
        first = rng.integers(0, 11, (n, *shape)) if words else rng.standard_normal((n, *shape)).astype(dtype)
        return (first,) if len(shapes) == 1 else (first, rng.standard_normal((n, 5)).astype(dtype))

    return Net(net, rows, layer_names(net))


def layer_names(net: Any) -> set[str]:
    return {type(layer).__name__ for _, layer in net.walk()}


def run_onnx(path: Any, *xs: np.ndarray) -> list[Any]:
    """What ONNX Runtime makes of these inputs, in the file's own order of them; on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, {value.name: x for value, x in zip(session.get_inputs(), xs, strict=True)}))
