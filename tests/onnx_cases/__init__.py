"""The test cases that the onnx package carries, run through the layers of tinynn: other people's numbers.

An ONNX case is a small graph with its inputs and outputs stored: made by PyTorch, or by ONNX's reference in NumPy. For
each operator that a layer covers there is one adapter, a function: its arguments are the operator's inputs, its
keywords the attributes with ONNX's defaults, so an attribute that it does not know is an error. An adapter builds the
layer with the case's weights, moves axes where that is what tells the two apart, and runs it. It computes nothing that
is the layer's to compute.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from onnx_cases import (
    activations,
    dense,
    embedding,
    gradient,
    images,
    losses,
    merge,
    normalisation,
    optimizers,
    shapes,
)
from onnx_cases.reading import Stored, collect
from onnx_cases.running import constant, operator_of, run

__all__ = ["OPERATORS", "PLUMBING", "Stored", "collect", "operator_of", "run"]

FAMILIES = (dense, activations, images, normalisation, embedding, shapes, merge, losses, gradient, optimizers)

OPERATORS: dict[str, Callable[..., Any]] = {
    name: adapter for family in FAMILIES for name, adapter in family.OPERATORS.items()
}
"""The operators covered, by ONNX's names, each with its adapter."""

PLUMBING: dict[str, Callable[..., Any]] = {"Constant": constant}
"""What holds a graph together and computes nothing: a case needs an operator besides."""
