"""Gradients: ONNX's operator for the derivatives of an earlier node, by the backward pass of a Graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_cases.running import dtype_for
from tinynn import Add, Graph, Layer, Multiply

__all__ = ["OPERATORS"]

LAYERS: dict[str, type[Layer]] = {"Add": Add, "Mul": Multiply}


def gradient(*inputs: np.ndarray, xs: list[str], y: str, nodes: list[Any]) -> tuple[np.ndarray, ...]:
    """dy / dx for every x; `nodes` are those before this one, which compute y."""
    net = Graph(tuple(xs), (y,), **{node.output[0]: (LAYERS[node.op_type](), *node.input) for node in nodes})
    net.build(*(x.shape for x in inputs), dtype=dtype_for(*inputs), needs_dx=True)
    out, cache = net.forward(*(x[None] for x in inputs))
    return tuple(dx[0] for dx in net.backward(np.ones_like(out), cache))


OPERATORS = {"Gradient": gradient}
