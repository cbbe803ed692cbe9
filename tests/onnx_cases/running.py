"""Running a case: node after node of its graph, each by the adapter of its operator; and layers, alone in a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from tinynn import Graph, Layer, Sequential

__all__ = ["constant", "dtype_for", "infer", "operator_of", "run", "train"]

NO_VALUES: Mapping[str, np.ndarray] = MappingProxyType({})


def operator_of(node: Any) -> str:
    """The name under which an operator is covered or not: ONNX's own, and what it does where one name has several."""
    if node.op_type in ("Resize", "Upsample"):
        mode = next((attribute.s.decode() for attribute in node.attribute if attribute.name == "mode"), "nearest")
        return f"{node.op_type} {mode}"
    if node.op_type == "MaxPool" and len(node.output) > 1:
        return "MaxPool with places"
    return node.op_type


def run(model: Any, inputs: list[Any], operators: Mapping[str, Callable[..., Any]]) -> list[Any]:
    """The outputs of the graph; None for one that the layers do not have, such as the mask of a dropout."""
    graph = model.graph
    values: dict[str, Any] = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    fed = [value.name for value in graph.input if value.name not in values]
    values |= zip(fed, inputs, strict=True)
    values[""] = None  # how ONNX names an optional input that is left out
    for i, node in enumerate(graph.node):
        attributes = {attribute.name: plain(helper.get_attribute_value(attribute)) for attribute in node.attribute}
        if node.op_type == "Gradient":
            attributes["nodes"] = graph.node[:i]
        results = operators[operator_of(node)](*(values[name] for name in node.input), **attributes)
        results = results if isinstance(results, tuple) else (results,)
        values |= zip(node.output, results[: len(node.output)], strict=True)
    return [values[output.name] for output in graph.output]


def plain(value: Any) -> Any:
    """An attribute's value in Python's own types, but for arrays."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, list):
        return [plain(item) for item in value]
    return numpy_helper.to_array(value) if hasattr(value, "raw_data") else value


def constant(*, value: np.ndarray) -> np.ndarray:
    """An array that the graph itself contains."""
    return value


def dtype_for(*xs: Any) -> str:
    """The dtype to compute in: float32, unless that could not hold the inputs."""
    exact = ("float32", "float16", "bfloat16")
    return "float32" if all(x.dtype.name in exact for x in xs) else "float64"


def infer(layer: Layer, *xs: Any, values: Mapping[str, np.ndarray] = NO_VALUES, dtype: str = "") -> np.ndarray:
    """What the layer, alone in a network, makes of inputs (N, ...) at inference, its arrays holding these values."""
    return alone(layer, xs, values, dtype).predict(*xs)


def train(layer: Layer, *xs: Any, values: Mapping[str, np.ndarray] = NO_VALUES) -> np.ndarray:
    """The same, in training."""
    return alone(layer, xs, values).forward(*xs)[0]


def alone(layer: Layer, xs: Sequence[Any], values: Mapping[str, np.ndarray], dtype: str = "") -> Sequential | Graph:
    names = [f"x{i}" for i in range(len(xs))]
    net = Sequential(layer) if len(xs) == 1 else Graph(y=(layer, *names))
    net.build(*(x.shape[1:] for x in xs), dtype=dtype or dtype_for(*xs))
    for name, value in values.items():
        getattr(layer, name)[...] = value
    return net
