"""Which layers the operators become: matrix products, shapes, merging, constants."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynn.layers import (
    Add,
    Affine,
    Concat,
    Dropout,
    Embedding,
    Flatten,
    Multiply,
    Permute,
    Rescale,
    Reshape,
)
from tinynn.onnx.found import Found, Part, reads, row_of

__all__ = ["affine"]


@reads("Gemm")
def gemm(found: Found) -> list[Part]:
    alpha, beta = found.get("alpha", 1.0), found.get("beta", 1.0)
    found.ignore("broadcast")  # opset 6 had to be told
    if found.get("transA", 0):
        found.uncovered("with the examples as columns", "transA=0", "transA=1")
    W = found.array(1, 2)
    W = W.T if found.get("transB", 0) else W
    c = found.maybe(2)
    return affine(
        found, W if alpha == 1 else W * W.dtype.type(alpha), c if c is None or beta == 1 else c * c.dtype.type(beta)
    )


@reads("MatMul")
def matmul(found: Found) -> list[Part]:
    return affine(found, found.array(1, 2))


def affine(found: Found, W: np.ndarray, b: np.ndarray | None = None) -> list[Part]:
    """x W + b for rows of features; a bias that is missing is 0."""
    D, M = W.shape
    if found.data() != (D,):
        found.uncovered("of other things than rows", f"an input of shape {(D,)}, as the weights have it", found.data())
    bias = np.zeros(M, W.dtype) if b is None else row_of(found, b, M, "the bias")
    return [Part(Affine(M), {"W": W, "b": bias})]


@reads("Gather")
def gather(found: Found) -> list[Part]:
    W, axis = found.array(0, 2), found.get("axis", 0)
    if axis:
        found.uncovered("along other axes than the first", "axis=0", axis)
    found.data(1)
    return [Part(Embedding(*W.shape), {"W": W})]


@reads("Flatten")
def flatten(found: Found) -> list[Part]:
    axis, shape = found.get("axis", 1), found.data()
    if axis not in (1, -len(shape)):
        found.uncovered("with another axis than the batch in front", "axis=1", axis)
    return [Part(Flatten())]


@reads("Reshape")
def reshape(found: Found) -> list[Part]:
    """The first size is that of the batch: 0, -1, or the number that the input's first axis has in the file."""
    shape, sizes = found.data(), found.whole(1, "shape")
    keeps = not found.get("allowzero", 0)
    rest = [shape[i] if size == 0 and keeps and i < len(shape) else size for i, size in enumerate(sizes[1:])]
    fixed = {sizes[0] for sizes in found.flow.shapes.values() if sizes[0] is not None}
    free = rest.count(-1) + (sizes[:1] == [-1])
    known = sizes[:1] == [0] or sizes[:1] == [-1] or set(sizes[:1]) & fixed
    if not sizes or not known or free > 1 or any(size < -1 or size == 0 for size in rest):
        found.uncovered("across the batch", f"{(0, '...')}, with the numbers of {shape}", sizes)
    if -1 not in rest and math.prod(rest) != math.prod(shape):
        found.uncovered("across the batch", f"the numbers of {shape} for each example", sizes)
    return [Part(Flatten() if rest == [-1] else Reshape(tuple(rest)))]


@reads("Transpose")
def transpose(found: Found) -> list[Part]:
    dims = len(found.data()) + 1
    perm = found.get("perm", [*reversed(range(dims))])
    if perm[:1] != [0] or len(perm) != dims:
        found.uncovered("of the batch axis", f"the axes 0 to {dims - 1}, 0 in its place", perm)
    return [Part(Permute(*(axis - 1 for axis in perm[1:])))]


@reads("Squeeze", "Unsqueeze")
def squeeze(found: Found) -> list[Part]:
    shape, more = [0, *found.data()], found.step.operator == "Unsqueeze"
    axes = found.whole(1, "axes")
    dims = len(shape) + (len(axes) if more else 0)
    places = sorted(axis + dims * (axis < 0) for axis in axes)
    inside = bool(places) and len({*places}) == len(places) and all(0 < place < dims for place in places)
    if not inside or (not more and any(shape[place] != 1 for place in places)):
        found.uncovered("of these axes", "axes behind the batch, and to be squeezed those of length 1", axes)
    for place in places if more else reversed(places):
        shape[place : place + (not more)] = [1] if more else []
    return [Part(Reshape(tuple(shape[1:])))]


@reads("Identity")
def identity(found: Found) -> list[Part]:
    found.data()
    return []


@reads("Cast")
def cast(found: Found) -> list[Part]:
    """To the floats that the network computes in, or integers of integers: both are as a network takes its input."""
    types, to = found.flow.onnx.TensorProto, found.get("to", 0)
    found.ignore("saturate", "round_mode")
    source = found.flow.types.get(found.step.reads[0])
    integers = (types.UINT8, types.INT8, types.UINT16, types.INT16, types.INT32, types.INT64, types.UINT32)
    if to not in (types.FLOAT, types.DOUBLE) and not (source in integers and to in (types.INT32, types.INT64)):
        found.uncovered("to other types than float32 and float64", "to=1 or 11; integers only of inputs", f"to={to}")
    return []


@reads("Dropout")
def dropout(found: Found) -> list[Part]:
    rate = found.number(1, found.get("ratio", 0.5))
    training = found.maybe(2)
    found.ignore("seed", "is_test")
    if training is not None and training.any():
        found.uncovered("at inference", "training_mode false", "true")
    return [Part(Dropout(rate))]


@reads("Add", "Mul", "Sub", "Div", "Sum", "Neg")
def arithmetic(found: Found) -> list[Part]:
    """Of values all of one shape, or of one value and a number, or an array with one for each of a row."""
    operator, given = found.step.operator, found.operands
    found.ignore("axis", "broadcast")  # opset 6 said what later is a rule
    if operator == "Neg":
        return [Part(Rescale(-1.0))]
    arrays = [i for i, operand in enumerate(given) if operand is not None and operand.array is not None]
    if not arrays:
        shapes = [found.data(i) for i in range(len(given))]
        if operator in ("Sub", "Div") or len({*shapes}) > 1:
            found.uncovered("of these values", "Add, Mul and Sum of values of one shape", shapes)
        return [] if len(given) == 1 else [Part(Multiply() if operator == "Mul" else Add())]
    if len(given) != 2 or len(arrays) != 1:
        found.uncovered("of several arrays", "a value and a number", f"{len(arrays)} arrays")
    first, c = arrays[0] == 0, constant(found, arrays[0])
    if found.array(arrays[0]).dtype.kind != "f":
        found.uncovered("of whole numbers", "a constant of floats", found.array(arrays[0]).dtype)
    if operator in ("Add", "Sum"):
        return rescale(1.0, c)
    if operator == "Sub":
        return rescale(-1.0, c) if first else rescale(1.0, -c)
    if operator == "Div" and (first or not np.all(c)):
        found.uncovered("by what the network computes, or by 0", "a value divided by a number", c)
    return rescale(c if operator == "Mul" else 1 / c)


def rescale(*given: Any) -> list[Part]:
    """By scale and offset: numbers are arguments of the layer, arrays its state too."""
    named = zip(("scale", "offset"), given, strict=False)
    return [Part(Rescale(*given), {name: value for name, value in named if isinstance(value, np.ndarray)})]


def constant(found: Found, i: int) -> Any:
    """Operand i: a number, or an array of the shape of the other one's rows. Errors: DataError."""
    array, shape = found.array(i), found.data(1 - i)
    if array.ndim > len(shape) + 1:
        found.uncovered("with an array of more axes", f"{len(shape) + 1} axes at most", array.shape)
    if array.size == 1 or array.shape not in (shape, (1, *shape)):
        return found.number(i)
    if not np.isfinite(array).all():
        found.wrong(f"operand {i} holds NaN or Inf", "finite numbers", array.reshape(-1)[:4])
    return array.reshape(shape)


@reads("Concat")
def concat(found: Found) -> list[Part]:
    shapes = [found.data(i) for i in range(len(found.operands))]
    axis = found.get("axis", 0)
    axis += (len(shapes[0]) + 1) * (axis < 0)
    if axis < 1:
        found.uncovered("of batches", "axis >= 1", axis)
    return [Part(Concat(axis - 1))] if len(shapes) > 1 else []
