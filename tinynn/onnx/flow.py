"""The graph of a model, looked through before anything is made of it: each node, what it reads, what reads it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from tinynn.onnx.reading import Arrays, refuse

__all__ = ["NEWEST", "Flow", "Step", "single"]

NODES = 4096
"""Of a larger graph nothing is made: a network of so many layers would take longer to call than to compute."""

OLDEST, NEWEST = 6, 28

NUMBERS = ("FLOAT", "DOUBLE", "FLOAT16", "BOOL")
NUMBERS += tuple(f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64))

SIDE = 2**40  # of a shape


@dataclass
class Step:
    """A node: what it does, the names of what it reads and gives, its attributes as Python's own values."""

    operator: str
    reads: list[str]
    gives: list[str]
    attributes: dict[str, Any]
    name: str
    index: int

    @property
    def where(self) -> str:
        shown = self.name[:100] or f"number {self.index}"
        return f"node {shown!r} ({self.operator[:100]})"


class Flow:
    """The nodes, arrays, inputs and outputs of a model.

    `makers`: which node gives a value. `shapes`: of the inputs, with the batch axis, None for a size that the file does
    not name. `opset`: of ONNX's own operators.
    Errors: DataError for a graph in which a node reads what no node above it gives, for names given twice, and for what
    only a program could mean: control flow, functions, strings.
    """

    def __init__(self, onnx: Any, model: Any, path: str | os.PathLike[str]) -> None:
        self.onnx, self.path = onnx, path
        self.opset = self.version(model)
        self.numbers = {getattr(onnx.TensorProto, name) for name in NUMBERS}
        graph = model.graph
        if len(graph.node) > NODES:
            self.wrong("a graph of too many nodes", "", f"{NODES:,} at most", f"{len(graph.node):,}")
        if len(graph.sparse_initializer):
            self.wrong("sparse arrays", "", "arrays that hold all their numbers", f"{len(graph.sparse_initializer)}")
        self.own = {function.name for function in model.functions if function.domain in ("", "ai.onnx")}
        self.arrays = Arrays(onnx, path, graph.initializer)
        self.shapes: dict[str, tuple[int | None, ...]] = {}
        self.types: dict[str, int] = {}
        for value in graph.input:
            if value.name not in self.arrays:  # older files list the arrays as inputs too
                self.add_input(value)
        self.makers: dict[str, Step] = {}
        self.readers: dict[str, int] = {}
        for i, node in enumerate(graph.node):
            self.add(i, node)
        self.outputs = [value.name for value in graph.output]
        for name in self.outputs:
            if name not in self.makers:
                self.wrong("an output that no node gives", f"output {name[:100]!r}", "the name of a node's value", name)
            self.readers[name] = self.readers.get(name, 0) + 1
        if not self.outputs or len(set(self.outputs)) < len(self.outputs):
            self.wrong("a graph without outputs, or with one twice", "", "at least one, each once", self.outputs)

    def version(self, model: Any) -> int:
        versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
        if len(versions) != 1 or not OLDEST <= versions[0] <= NEWEST:
            self.wrong("an opset that is not read", "", f"ONNX's own operators, {OLDEST} to {NEWEST}", versions)
        return versions[0]

    def add_input(self, value: Any) -> None:
        kind = value.type.tensor_type
        where = f"input {value.name[:100]!r}"
        if value.type.WhichOneof("value") != "tensor_type" or not kind.HasField("shape"):
            self.wrong("an input without a shape", where, "an array of known shape", value.type.WhichOneof("value"))
        if kind.elem_type not in self.numbers:
            self.wrong("an input that is not made of numbers", where, ", ".join(NUMBERS), f"type {kind.elem_type}")
        sizes = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim)
        if not sizes or any(size is not None and not 0 < size < SIDE for size in sizes) or value.name in self.shapes:
            self.wrong("an input of impossible shape", where, "a batch axis, and sizes >= 1 behind it", sizes)
        self.shapes[value.name], self.types[value.name] = sizes, kind.elem_type

    def add(self, i: int, node: Any) -> None:
        step = Step(node.op_type, list(node.input), list(node.output), {}, node.name, i)
        if node.domain not in ("", "ai.onnx") or node.op_type in self.own:
            step.operator = f"{node.domain[:50]}.{node.op_type}".lstrip(".")
            if node.op_type in self.own:
                self.wrong("a function of the file's own", step.where, "ONNX's own operators", node.op_type)
        known = (self.arrays, self.makers, self.shapes)
        for name in step.reads:
            if name and not any(name in place for place in known):
                self.wrong(
                    "a node that reads what no node above it gives, and no array is called",
                    step.where,
                    "the name of an input, an array, or a value above it",
                    repr(name[:100]),
                )
            self.readers[name] = self.readers.get(name, 0) + 1
        for attribute in node.attribute:
            step.attributes[attribute.name] = self.value(attribute, step)
        for name in step.gives:
            if name and any(name in place for place in known):
                self.wrong("a name that is given twice", step.where, "each name once", repr(name[:100]))
            if name:
                self.makers[name] = step
        if step.operator == "Constant" and len(step.gives) == 1:
            self.constant(step)
        elif step.operator in ("Identity", "Transpose") and step.reads[:1] and step.reads[0] in self.arrays:
            self.passed_on(step)

    def value(self, attribute: Any, step: Step) -> Any:
        kinds = self.onnx.AttributeProto
        if attribute.ref_attr_name or attribute.type not in (
            *(kinds.FLOAT, kinds.INT, kinds.STRING, kinds.TENSOR, kinds.FLOATS, kinds.INTS),
        ):
            self.wrong(
                "an attribute that only a program could mean",
                f"{step.where}, {attribute.name[:100]!r}",
                "numbers, texts and arrays",
                f"type {attribute.type}",
            )
        value = self.onnx.helper.get_attribute_value(attribute)
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        if attribute.type == kinds.FLOAT:
            return shortest(value)
        return value if isinstance(value, int | float | self.onnx.TensorProto) else list(value)

    def constant(self, step: Step) -> None:
        """A node that is an array becomes one."""
        name, given = step.gives[0], dict(step.attributes)
        del self.makers[name]
        if isinstance(given.get("value"), self.onnx.TensorProto):
            self.arrays.add(name, given["value"])
            return
        (key, value), *more = given.items() or [("", None)]
        kind = {"value_float": "f", "value_floats": "f", "value_int": "i", "value_ints": "i"}.get(key)
        array = np.asarray(value)
        if kind is None or more or (array.size and array.dtype.kind != kind):
            self.wrong("a constant that is no array of numbers", step.where, "numbers", ", ".join(given) or "nothing")
        self.arrays.held[name] = array.astype(np.float32 if kind == "f" else np.int64)

    def passed_on(self, step: Step) -> None:
        """What passes an array on, or its transpose, gives an array."""
        array = self.arrays[step.reads[0]]
        if step.operator == "Transpose":
            perm = step.attributes.get("perm", [*reversed(range(array.ndim))])
            if not isinstance(perm, list) or sorted(perm) != [*range(array.ndim)]:
                self.wrong("a transpose of axes that are not there", step.where, f"{array.ndim} axes", perm)
            array = array.transpose(perm)
        for name in step.gives[:1]:
            del self.makers[name]
            self.arrays.held[name] = array

    def wrong(self, what: str, where: str, expected: Any, got: Any) -> NoReturn:
        """Errors: DataError."""
        fix = "export the model again, with one of the opsets that the runtimes share, 17 or so"
        refuse(self.path, what, where, expected=expected, got=got, fix=fix)

    def not_read(self, step: Step, what: str, expected: Any, got: Any) -> NoReturn:
        """Errors: DataError that names the node."""
        fix = "docs/onnx.md lists what is read; or build the network in code, with the file's arrays: "
        fix += "onnx.numpy_helper.to_array(a) for each a of onnx.load(path).graph.initializer"
        refuse(self.path, what, step.where, expected=expected, got=got, fix=fix)


def single(array: np.ndarray) -> float:
    """The number of an array that holds one."""
    value = array.reshape(()).item()
    return shortest(value) if array.dtype == np.float32 else float(value)


def shortest(value: float) -> float:
    """What was meant by a float32: 1e-05 and not 9.999999747378752e-06."""
    return float(str(np.float32(value)))
