"""From a network to an ONNX file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from tinynn.data.files import make_folder, plural, written_atomically
from tinynn.errors import ConfigurationError, DataError
from tinynn.layers import AveragePool2D, Embedding
from tinynn.network import Graph, Sequential
from tinynn.network.building import usable_dtype
from tinynn.network.network import Network
from tinynn.onnx import package as limits
from tinynn.onnx import writers_images, writers_plain, writers_units
from tinynn.onnx.package import DILATED, FIRST, LAST, OPSET, package
from tinynn.onnx.writers_plain import values_of
from tinynn.onnx.writing import Out
from tinynn.version import __version__

__all__ = ["FAMILIES", "export"]

FAMILIES = (writers_plain, writers_units, writers_images)  # importing them registers what they write

DTYPES = ("uint8", "int8", "uint16", "int16", "int32", "int64", "float32", "float64")


def export(
    net: Any,
    path: str | os.PathLike[str],
    *,
    opset: int | None = None,
    dtype: str = "float32",
    input_dtype: str | dict[str, str] | None = None,
) -> Path:
    """Writes the network, as it predicts, to an ONNX file; returns the path.

    What runs the file gives what `net.predict` gives: probabilities where a loss at the end defines them, running means
    in BatchNorm, nothing dropped. The first axis of every input and output is the batch, of any length. A chain has the
    input x and the output y, a graph the names that it was given; layers and parameters keep theirs: `0.W`.

    `opset`: 17 to 24, the version of ONNX's operators. Unless told otherwise 17, which the runtimes read since 2022;
    the numbers are no better in a later one. Only an average over a dilated window takes 19. `dtype`: "float32", also
    of a network in float64: for most operators the runtimes have nothing else; or "float64".
    `input_dtype`: what the file takes as input: `dtype` unless told otherwise, and int64 where an Embedding reads;
    "uint8" for images as they come, or {"x": "uint8"} for one of several inputs.

    The file is checked by the package onnx before it gets its name; one that was there before is replaced whole or not
    at all. Layers of your own need a writer: `tinynn.onnx.writer`.
    Errors: ConfigurationError that names the layer for one without a writer, and for arguments that cannot be;
    DataError for what is larger than 2 GB, the limit of the format, and where the file cannot be written;
    MissingExtraError without the package onnx.
    """
    onnx = package("writing an ONNX file")
    if not isinstance(net, Network):
        raise ConfigurationError(
            "only networks are exported",
            where="tinynn.onnx.export",
            expected="a Sequential or a Graph",
            got=repr(net),
            fix="Sequential(layer).build(shape)",
        )
    if net._built().path:
        raise ConfigurationError(
            "a part of a network is not exported by itself",
            where=net.where,
            expected="a network that was built by itself",
            got=f"layer {net._site.path if net._site else ''} of another one",
            fix="copy.deepcopy(part), build it, and load its parameters; or export the whole",
        )
    opset = usable_opset(net, opset, min(LAST, onnx.defs.onnx_opset_version()))
    kind = usable_dtype(net, dtype)
    size = sum(view.size for view in (*net.storage.parameters.values(), *net.storage.states.values())) * kind.itemsize
    if size > limits.LARGEST:
        refuse_size(path, size)
    model = model_of(onnx, net, Out(net, opset, kind), input_dtypes(net, kind, input_dtype))
    if model.ByteSize() > limits.LARGEST:
        refuse_size(path, model.ByteSize())
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # of onnx's own kinds
        raise ConfigurationError(
            "the package onnx does not accept what the network became",
            where=net.where,
            expected="operators, attributes and shapes as ONNX has them",
            got=" ".join(str(error).split())[:400],
            fix="correct the writer of the layer that it names",
        ) from error
    data = model.SerializeToString()
    make_folder(Path(path).parent)
    with written_atomically(path) as file:
        file.write(data)
    return Path(path)


def usable_opset(net: Network, opset: Any, newest: int) -> int:
    """`newest`: that the package onnx knows too. Errors: ConfigurationError."""
    averages = [layer for _, layer in net.walk() if isinstance(layer, AveragePool2D)]
    dilated = [layer for layer in averages if (layer.rows.dilation, layer.columns.dilation) != (1, 1)]
    least = DILATED if dilated else FIRST
    if opset is None:
        return max(OPSET, least)
    if type(opset) is not int or not least <= opset <= newest:
        raise ConfigurationError(
            "an opset in which this network is not written",
            where=f"opset, {dilated[0].where}" if dilated else "opset",
            expected=f"{least} to {newest}",
            got=repr(opset),
            fix="leave it out",
        )
    return opset


def refuse_size(path: str | os.PathLike[str], size: int) -> NoReturn:
    """Errors: DataError."""
    raise DataError(
        "the network is larger than an ONNX file may be",
        path=path,
        expected=f"{plural(limits.LARGEST, 'byte')} at most",
        got=plural(size, "byte"),
        fix="use net.save(path), which has no such limit",
    )


def model_of(onnx: Any, net: Network, out: Out, dtypes: dict[str, str]) -> Any:
    """The network as a model; `dtypes`: of the inputs."""
    helper = onnx.helper
    names, shapes = net.input_names, net.input_shapes
    out.taken.update(names)
    inputs, given = [], []
    for name, shape in zip(names, shapes, strict=True):
        inputs.append(helper.make_tensor_value_info(name, out.tensor_type(dtypes[name]), ["N", *shape]))
        x = name
        with out.writing(net):
            if np.dtype(dtypes[name]).kind in "iu":
                out.integers.add(x)
                x = x if net.reads_integers(name) else out.floats(x)
            elif dtypes[name] != out.dtype:
                x = out.node("Cast", x, to=out.tensor_type(out.dtype))
        given.append(x)
    ys, wanted, given_shapes = outputs_of(out, net, given)
    outputs = [
        helper.make_tensor_value_info(last(out, net, y, name), out.tensor_type(out.dtype), ["N", *shape])
        for y, name, shape in zip(ys, wanted, given_shapes, strict=True)
    ]
    nodes = [
        helper.make_node(
            node.operator, node.reads, [node.gives], name=node.name, doc_string=node.said, **node.attributes
        )
        for node in out.nodes
    ]
    read = {name for node in out.nodes for name in node.reads}
    arrays = [onnx.numpy_helper.from_array(array, name) for name, array in out.arrays.items() if name in read]
    version = helper.make_opsetid("", out.opset)
    return helper.make_model(
        helper.make_graph(nodes, type(net).__name__, inputs, outputs, arrays),
        opset_imports=[version],
        ir_version=helper.find_min_ir_version_for([version]),
        producer_name="tinynn",
        producer_version=__version__,
    )


def outputs_of(out: Out, net: Network, given: list[str]) -> tuple[list[str], list[str], list[Any]]:
    """The values that come out, the names that they are to have, and their shapes."""
    if isinstance(net, Graph):
        values = values_of(net, out, given)
        names = [*net.wiring.outputs]
        losses = {node.name: node for node in net.wiring.nodes if node.is_loss}
        shapes = [net.shapes[losses[name].reads[0] if name in losses else name] for name in names]
        return [values[name] for name in names], names, shapes
    shape = net.scores_shape if isinstance(net, Sequential) else net._built().output
    return [out.layer(net, *given)], ["y"], [shape]


def last(out: Out, net: Network, y: str, name: str) -> str:
    """The value y under the name that the output has; a node that passes it on where it has one for good."""
    if y == name and y not in net.input_names:
        return name
    made = any(node.gives == y for node in out.nodes)
    if made and y not in getattr(net, "layers", ()) and out.named(y, name, 0) == name:
        return name
    with out.writing(net):
        y = out.node("Identity", y)
    return out.named(y, name, len(out.nodes) - 1)


def input_dtypes(net: Network, floats: np.dtype, wanted: Any) -> dict[str, str]:
    """The dtype of each input, by name.

    Errors: ConfigurationError for a name or a dtype that cannot be.
    """
    dtypes = {name: "int64" if looks_up(net, name) else str(floats) for name in net.input_names}
    if wanted is None:
        return dtypes
    chosen = wanted if isinstance(wanted, dict) else dict.fromkeys(net.input_names, wanted)
    for name, dtype in chosen.items():
        if name not in dtypes or dtype not in DTYPES or (looks_up(net, name) and np.dtype(dtype).kind not in "iu"):
            raise ConfigurationError(
                "an input dtype that cannot be",
                where=f"input_dtype, input {name!r}",
                expected=f"for the inputs {', '.join(dtypes)} one of {', '.join(DTYPES)}; integers for an Embedding",
                got=repr(dtype),
                fix='input_dtype="uint8", or {"x": "uint8"}',
            )
        dtypes[name] = dtype
    return dtypes


def looks_up(layer: Any, name: str) -> bool:
    """Whether the input of that name is looked up in an Embedding, somewhere at the beginning."""
    if isinstance(layer, Embedding):
        return True
    if isinstance(layer, Sequential):
        return looks_up(layer.layers[0], inner_name(layer.layers[0], 0))
    if isinstance(layer, Graph):
        return any(
            looks_up(node.layer, inner_name(node.layer, node.reads.index(name)))
            for node in layer.wiring.nodes
            if name in node.reads and not node.is_loss
        )
    return False


def inner_name(layer: Any, i: int) -> str:
    return layer.wiring.inputs[i] if isinstance(layer, Graph) else "x"
