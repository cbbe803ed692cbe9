"""From an ONNX file to a network."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from tinynn.backend import Ops, get_backend
from tinynn.errors import ConfigurationError
from tinynn.layer import Shape
from tinynn.losses import Loss
from tinynn.network import Graph, Sequential
from tinynn.network.building import usable_shapes
from tinynn.network.storage import build_layers
from tinynn.onnx.assembling import Assembly
from tinynn.onnx.flow import Flow
from tinynn.onnx.package import package
from tinynn.onnx.reading import read_model, refuse
from tinynn.onnx.resolving import Resolver

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
    with np.errstate(all="ignore"):  # what is not finite is looked for below
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
    for name, array in assembly.arrays.items():
        if not np.isfinite(array).all():
            bad = array[~np.isfinite(array)].flat[0]
            what = f"the array of {name} is not finite"
            refuse(path, what, expected="finite numbers", got=bad, fix="train the model again, and export it then")
    double = onnx.TensorProto.DOUBLE in flow.types.values()
    double = double or any(array.dtype == np.float64 for array in assembly.arrays.values())
    dtype = np.dtype("float64" if double else "float32")
    given = tuple(resolver.shapes[name] for name in assembly.inputs)
    net.storage = build_layers(net, given, ops, dtype, seed, False, assembly.arrays)
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
        (shape,) = usable_shapes("import_(path, *shapes)", (given[i],)) if given else (said,)
        if None in shape:
            refuse(
                flow.path,
                "the file does not say how large its input is",
                f"input {name[:100]!r}",
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
