"""Shapes that a graph computes from shapes, as PyTorch writes `x.view(x.size(0), -1)`: all but the batch is known."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.layer import Shape
from tinynn.onnx.flow import Flow

__all__ = ["sizes_of", "sources_of"]

BATCH = -(2**62)  # stands for the length of the batch, and for nothing that could be computed with it
MOST = 64  # nodes

KNOWN = ("Shape", "Gather", "Unsqueeze", "Squeeze", "Concat", "Cast", "Identity")


def sources_of(flow: Flow, name: str) -> list[str] | None:
    """The values on whose shapes alone this one depends; None for one that depends on anything else."""
    found, waiting, seen = [], [name], 0
    while waiting:
        name = waiting.pop()
        if name in flow.arrays:
            continue
        step, seen = flow.makers.get(name), seen + 1
        if step is None or step.operator not in KNOWN or seen > MOST or not step.reads or not all(step.reads):
            return None
        if step.operator != "Shape":
            waiting += step.reads
        elif step.reads[0] in flow.arrays:
            return None
        else:
            found.append(step.reads[0])
    return found


def sizes_of(flow: Flow, shapes: dict[str, Shape], name: str) -> np.ndarray:
    """What it comes to, with 0 for the batch where that stands first. Errors: ValueError, IndexError, TypeError."""
    sizes = np.array(evaluate(flow, shapes, name), np.int64).reshape(-1)
    sizes[:1][sizes[:1] == BATCH] = 0
    return sizes


def evaluate(flow: Flow, shapes: dict[str, Shape], name: str) -> Any:
    if name in flow.arrays:
        return flow.arrays[name]
    step = flow.makers[name]
    if step.operator == "Shape":
        ends = slice(step.attributes.get("start", 0), step.attributes.get("end"))
        return np.array([BATCH, *shapes[step.reads[0]]], np.int64)[ends]
    x, *more = (evaluate(flow, shapes, read) for read in step.reads)
    if step.operator == "Gather":
        return np.take(x, more[0], axis=step.attributes.get("axis", 0))
    if step.operator == "Concat":
        return np.concatenate([x, *more], axis=step.attributes.get("axis", 0))
    axes = tuple(np.reshape(more[0], -1).tolist() if more else step.attributes.get("axes", ()))
    if step.operator == "Unsqueeze":
        return np.expand_dims(x, axes)
    return np.squeeze(x, axes or None) if step.operator == "Squeeze" else x
