"""From an ONNX file to a network."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from tinynn.backend import Ops, get_backend
from tinynn.errors import ConfigurationError, TinynnError
from tinynn.layer import Layer, Shape
from tinynn.layers import Dropout, Identity, Sigmoid, Softmax
from tinynn.layers.dropout import start
from tinynn.losses import BinaryCrossEntropy, Loss, SoftmaxCrossEntropy
from tinynn.network import Graph, Sequential
from tinynn.network.building import usable_shapes
from tinynn.network.storage import build_layers
from tinynn.onnx.flow import Flow
from tinynn.onnx.package import package
from tinynn.onnx.reading import read_model, refuse
from tinynn.onnx.resolving import Resolver
from tinynn.random import generator

__all__ = ["import_"]

SHARED = 4
"""How many times larger than the arrays in the file those of the network may be, where nodes share arrays."""


def import_(
    path: str | os.PathLike[str],
    *shapes: Shape,
    loss: Loss | None = None,
    backend: str | Ops = "numpy",
    seed: int = 0,
) -> Sequential | Graph:
    """The network that an ONNX file holds: built, ready to predict, and to train on with `loss=`.

    A chain of nodes becomes a Sequential, anything else a Graph with the file's names; several nodes that are one layer
    become that layer. The file's first axis is the batch. `shapes`: of one example of each input, where the file leaves
    them open. `loss`: put at the end, in the place of the softmax or sigmoid that it contains. It computes in float64
    if the file's input or arrays do, else in float32.

    Nothing in a file is run. What is read is bounded: files of up to 2 GB and 4,096 nodes, arrays beside the file only
    in its own folder.
    Errors: DataError with the path, and where in the file, for one that is damaged, for an operator that no layer
    covers, with a list of those that are; ConfigurationError for shapes and a loss that do not fit it;
    MissingExtraError without the package onnx.
    """
    onnx = package("reading an ONNX file")
    ops = get_backend(backend)
    if loss is not None and not isinstance(loss, Loss):
        raise ConfigurationError(
            "loss is a loss",
            where="tinynn.onnx.import_",
            expected="an instance of one, or None",
            got=repr(loss),
            fix="import_(path, loss=SoftmaxCrossEntropy())",
        )
    flow = Flow(onnx, read_model(onnx, path), path)
    resolver = Resolver(flow, input_shapes(flow, shapes), ops)
    assembly = Assembly(flow, resolver, seed)
    net = assembly.network(loss)
    held = sum(array.nbytes for array in assembly.arrays.values())
    if held > SHARED * flow.arrays.size + 2**20:
        refuse(
            path,
            "the nodes share arrays, of which the layers would need too many copies",
            expected=f"{SHARED} times the arrays of the file, {flow.arrays.size:,} bytes, at most",
            got=f"{held:,} bytes",
            fix="build the network in code, and take the arrays from the file",
        )
    floats = (
        onnx.TensorProto.DOUBLE in flow.types.values(),
        *(a.dtype == np.float64 for a in flow.arrays.held.values()),
    )
    dtype = np.dtype(np.float64 if any(floats) else np.float32)
    try:
        given = usable_shapes(net, tuple(resolver.shapes[name] for name in assembly.inputs))
        net.storage = build_layers(net, given, ops, dtype, seed, False, assembly.arrays)
    except TinynnError as error:
        refuse(
            path, error.what, error.where or "", expected=error.expected, got=error.got, fix="export the model again"
        )
    net._seed = seed
    return net


def input_shapes(flow: Flow, given: tuple[Shape, ...]) -> dict[str, Shape]:
    """The shapes of one example of the inputs. Errors: ConfigurationError, DataError for one that is not known."""
    if given and len(given) != len(flow.shapes):
        raise ConfigurationError(
            "a shape for each input",
            where=os.fspath(flow.path),
            expected=f"{len(flow.shapes)} of them: {', '.join(flow.shapes)}",
            got=", ".join(map(str, given)),
            fix="leave them out where the file has them",
        )
    known: dict[str, Any] = {}
    for i, (name, sizes) in enumerate(flow.shapes.items()):
        said = sizes[1:]
        (shape,) = usable_shapes(f"import_({os.fspath(flow.path)!r})", (given[i],)) if given else (said,)
        if None in shape:
            raise ConfigurationError(
                "the file does not say how large its input is",
                where=f"{os.fspath(flow.path)}, input {name!r}",
                expected="the shape of one example",
                got=tuple("?" if size is None else size for size in said),
                fix="import_(path, (3, 224, 224)), or whatever one example is",
            )
        if len(shape) != len(said) or any(b not in (None, a) for a, b in zip(shape, said, strict=True)):
            raise ConfigurationError(
                "the file has another shape for its input",
                where=f"{os.fspath(flow.path)}, input {name!r}",
                expected=tuple("?" if size is None else size for size in said),
                got=shape,
                fix="leave the shape out, or give one that fits the file",
            )
        known[name] = shape
    return known


class Assembly:
    """The layers of a resolved graph put together: `nodes`, `inputs`, and the arrays by their names in the network."""

    def __init__(self, flow: Flow, resolver: Resolver, seed: int) -> None:
        self.flow, self.resolver, self.seed = flow, resolver, seed
        self.nodes: dict[str, tuple[Layer, list[str]]] = {}
        self.values: dict[str, Mapping[str, np.ndarray]] = {}
        self.names: dict[str, str] = {}  # of what gives a value, by the name that the file has for it
        self.arrays: dict[str, np.ndarray] = {}
        needed = resolver.needed()
        read = {name for value in needed for name in resolver.made[value].reads}
        self.inputs = [name for name in flow.shapes if name in read]
        for name in self.inputs:
            self.names[name] = self.free(name)
        for value in needed:
            self.add(value)
        self.outputs = [self.output(value) for value in flow.outputs]

    def add(self, value: str) -> None:
        made = self.resolver.made[value]
        reads = [self.names[name] for name in made.reads]
        wish = value if value in self.flow.outputs else made.step.name or value
        for i, part in enumerate(made.parts):
            name = self.free(wish if i == len(made.parts) - 1 else f"{wish}_{i}")
            self.nodes[name] = (part.layer, reads)
            self.values[name] = part.arrays
            reads = [name]
        (self.names[value], *_) = reads

    def output(self, value: str) -> str:
        """The node of an output; one of its own where an input or another output is passed on."""
        name = self.names[value]
        taken = [self.names[other] for other in self.flow.outputs[: self.flow.outputs.index(value)]]
        if name in self.nodes and name not in taken:
            return name
        passed = self.free(value)
        self.nodes[passed] = (Identity(), [name])
        self.values[passed] = {}
        self.names[value] = passed
        return passed

    def free(self, wish: str) -> str:
        """A Python name that nothing has yet, as near to the wish as may be."""
        wish = re.sub(r"\W", "_", wish[:80], flags=re.ASCII).strip("_") or "node"
        wish = wish if wish.isidentifier() else f"n{wish}"
        name, i, taken = wish, 1, {*self.names.values(), *self.nodes}
        while name in taken:
            name, i = f"{wish}_{i}", i + 1
        return name

    def network(self, loss: Loss | None) -> Any:
        """A Sequential where each layer reads the one above it, else a Graph; not built yet."""
        if loss is not None:
            self.end_in(loss)
        above = self.names[self.inputs[0]] if len(self.inputs) == 1 else None
        straight = len(self.outputs) == 1 and above is not None
        for name, (layer, reads) in self.nodes.items():
            straight = straight and reads[:1] == [above] and (len(reads) == 1 or isinstance(layer, Loss))
            above = name
        for i, name in enumerate(self.nodes):
            path = str(i) if straight else name
            held = self.values[name]
            if isinstance(self.nodes[name][0], Dropout):
                held = {"stream": start(generator(self.seed, f"{path}.stream"), (2,))}
            self.arrays |= {f"{path}.{key}": array for key, array in held.items()}
        if straight:
            return Sequential(*(layer for layer, _ in self.nodes.values()))
        nodes = {name: (layer, *reads) for name, (layer, reads) in self.nodes.items()}
        return Graph(tuple(self.names[name] for name in self.inputs), tuple(self.outputs), **nodes)

    def end_in(self, loss: Loss) -> None:
        """Puts the loss behind the output, in the place of what it contains. Errors: ConfigurationError."""
        if len(self.outputs) != 1:
            raise ConfigurationError(
                "a loss for a file of several outputs",
                where=os.fspath(self.flow.path),
                expected="one output",
                got=", ".join(self.outputs),
                fix="leave loss out, and put a Graph around the network",
            )
        (scores,) = self.outputs
        layer, reads = self.nodes[scores]
        contained = {SoftmaxCrossEntropy: Softmax, BinaryCrossEntropy: Sigmoid}.get(type(loss))
        others = [name for name, (_, read) in self.nodes.items() if scores in read]
        if contained is not None and isinstance(layer, contained) and not others and reads[0] in self.nodes:
            del self.nodes[scores], self.values[scores]
            scores = reads[0]
        name = self.free("loss")
        self.names["\0targets"] = targets = self.free("targets")
        self.nodes[name] = (loss, [scores, targets])
        self.values[name], self.outputs = {}, [name]
