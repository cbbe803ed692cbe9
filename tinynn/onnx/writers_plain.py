"""Which operators the layers become: networks, the affine layer, shapes, merging, losses."""

from __future__ import annotations

from typing import Any

from tinynn.layers import (
    Add,
    Affine,
    Concat,
    Dropout,
    Embedding,
    Flatten,
    Identity,
    Multiply,
    Permute,
    Rescale,
    Reshape,
    Residual,
)
from tinynn.losses import BinaryCrossEntropy, Loss, SoftmaxCrossEntropy
from tinynn.network import Graph, Sequential
from tinynn.onnx.writing import Out, writer

__all__ = ["values_of"]


@writer(Sequential)
def sequential(layer: Sequential, out: Out, x: str) -> str:
    for part in layer.layers:
        x = out.layer(part, x)
    return x


@writer(Graph)
def graph(layer: Graph, out: Out, *xs: str) -> str:
    return values_of(layer, out, xs)[layer.wiring.outputs[0]]


def values_of(net: Graph, out: Out, xs: Any) -> dict[str, str]:
    """The names of the values of the graph's inputs, of the nodes that prediction needs, and of its outputs."""
    values = dict(zip(net.input_names, xs, strict=True))
    for node in net.wiring.inference:
        values[node.name] = out.layer(node.layer, *(values[read] for read in node.reads))
    for name in net.wiring.outputs:
        if name not in values:  # a loss: then inference gives what the scores mean
            node = net.wiring.by_name[name]
            values[name] = out.layer(node.layer, values[node.reads[0]])
    return values


@writer(Affine)
def affine(layer: Affine, out: Out, x: str) -> str:
    if len(out.shapes[0]) != 1:
        x = out.node("Flatten", x, axis=1)
    return out.node("Gemm", x, out.parameter("W"), out.parameter("b"))


@writer(Identity, Loss)
def identity(layer: Any, out: Out, x: str) -> str:
    return x


@writer(SoftmaxCrossEntropy)
def softmax(layer: Any, out: Out, x: str) -> str:
    return out.node("Softmax", x, axis=-1)


@writer(BinaryCrossEntropy)
def sigmoid(layer: Any, out: Out, x: str) -> str:
    return out.node("Sigmoid", x)


@writer(Flatten)
def flatten(layer: Flatten, out: Out, x: str) -> str:
    return out.node("Flatten", x, axis=1)


@writer(Reshape)
def reshape(layer: Reshape, out: Out, x: str) -> str:
    # 0 stands for the size that the axis has: that of the batch.
    return out.node("Reshape", x, out.constant((0, *layer._built().output), "int64", "shape"))


@writer(Permute)
def permute(layer: Permute, out: Out, x: str) -> str:
    return out.node("Transpose", x, perm=list(layer.there))


@writer(Rescale)
def rescale(layer: Rescale, out: Out, x: str) -> str:
    def given(name: str) -> str:
        number = getattr(layer, name)
        return out.constant(number, name=name) if isinstance(number, float) else out.parameter(name)

    y = out.node("Mul", out.floats(x), given("scale"))
    return y if isinstance(layer.offset, float) and not layer.offset else out.node("Add", y, given("offset"))


@writer(Dropout)
def dropout(layer: Dropout, out: Out, x: str) -> str:
    """At inference it passes x on; the rate is there for whoever reads the file to train."""
    return out.node("Dropout", x, out.constant(layer.rate, name="ratio"))


@writer(Embedding)
def embedding(layer: Embedding, out: Out, x: str) -> str:
    return out.node("Gather", out.parameter("W"), out.node("Cast", x, to=out.tensor_type("int64")), axis=0)


@writer(Add)
def add(layer: Add, out: Out, *xs: str) -> str:
    return out.node("Add" if len(xs) == 2 else "Sum", *xs)


@writer(Multiply)
def multiply(layer: Multiply, out: Out, *xs: str) -> str:
    y = xs[0]
    for x in xs[1:]:
        y = out.node("Mul", y, x)
    return y


@writer(Concat)
def concat(layer: Concat, out: Out, *xs: str) -> str:
    return out.node("Concat", *xs, axis=layer.axis + 1 if layer.axis >= 0 else layer.axis)


@writer(Residual)
def residual(layer: Residual, out: Out, x: str) -> str:
    return out.node("Add", x, out.layer(layer.layer, x))
