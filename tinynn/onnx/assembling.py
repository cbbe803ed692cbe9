"""The layers of a resolved graph put together: a Sequential where each reads the one above it, else a Graph."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from tinynn.errors import ConfigurationError
from tinynn.layer import Layer
from tinynn.layers import Dropout, Identity, Sigmoid, Softmax
from tinynn.layers.dropout import start
from tinynn.losses import BinaryCrossEntropy, Loss, SoftmaxCrossEntropy
from tinynn.network import Graph, Sequential
from tinynn.onnx.flow import Flow
from tinynn.onnx.resolving import Resolver
from tinynn.random import generator

__all__ = ["Assembly"]


class Assembly:
    """`nodes`, `inputs` and `outputs` by their names in the network, and in `arrays` the parameters and states."""

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
