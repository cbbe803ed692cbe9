"""A thousand random graphs, up to 12 nodes with fan-out, merges and networks within, against the complex step.

The reference evaluates the same wiring in complex arithmetic, from the list of its nodes alone: f'(v) is
Im f(v + ih) / h, for every element v of every input and parameter at once, one copy of the graph for each.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from tinynn import (
    Add,
    Affine,
    Concat,
    Graph,
    Layer,
    Multiply,
    Residual,
    Sequential,
    Sigmoid,
    Tanh,
)

GRAPHS = 1000
PARTS = 10
H = 1e-30
WIDTHS = (1, 2, 3)


class Builder:
    """Draws a graph: node after node, each of a kind that fits what it reads."""

    def __init__(self, seed: int, depth: int = 0) -> None:
        self.rng, self.depth = random.Random(seed), depth
        self.widths = {f"x{i}": self.rng.choice(WIDTHS) for i in range(self.rng.randint(1, 3 - depth))}
        self.inputs = list(self.widths)
        self.nodes: dict[str, Any] = {}
        for i in range(self.rng.randint(2, 12 if depth == 0 else 4)):
            self.add(f"n{i}")
        read = {name for _, *reads in self.nodes.values() for name in reads}
        self.inputs = [name for name in self.inputs if name in read]
        self.outputs = [name for name in self.nodes if name not in read]

    def add(self, name: str) -> None:
        rng = self.rng
        x = rng.choice([*self.widths][-4:])  # near the end, so that graphs grow deep as well as wide
        width = self.widths[x]
        alike = [other for other, size in self.widths.items() if size == width]
        several = rng.choices(alike, k=rng.randint(2, 3))
        kind = rng.choice(["affine", "tanh", "sigmoid", "add", "multiply", "concat", "residual", "chain", "graph"])
        reads = [x]
        if kind == "affine":
            layer: Layer = Affine(rng.choice(WIDTHS))
            width = layer.M
        elif kind in ("add", "multiply"):
            layer, reads = (Add if kind == "add" else Multiply)(), several
        elif kind == "concat":
            reads = rng.choices([*self.widths], k=2)
            layer, width = Concat(rng.choice([0, -1])), sum(self.widths[read] for read in reads)
        elif kind == "residual":
            layer = Residual(Sequential(Affine(2), Tanh(), Affine(width)))
        elif kind == "chain":
            layer, width = Sequential(Affine(2), rng.choice([Sigmoid, Tanh])()), 2
        elif kind == "graph" and self.depth == 0:
            layer, width, reads = self.inner(rng.randrange(2**32))
        else:
            layer = (Tanh if kind == "tanh" else Sigmoid)()
        self.nodes[name], self.widths[name] = (layer, *reads), width

    def inner(self, seed: int) -> tuple[Layer, int, list[str]]:
        """A graph as a node of this one: its inputs read what has their width, its outputs joined into one."""
        part = Builder(seed, depth=1)
        reads = []
        for name in part.inputs:
            fitting = [other for other, size in self.widths.items() if size == part.widths[name]]
            if not fitting:
                return Tanh(), self.widths["x0"], ["x0"]
            reads.append(self.rng.choice(fitting))
        width = sum(part.widths[name] for name in part.outputs)
        if len(part.outputs) > 1:
            part.nodes["joined"] = (Concat(), *part.outputs)
        return Graph(tuple(part.inputs), **part.nodes), width, reads


def formula(layer: Any, path: str, P: dict[str, Any], xs: list[Any]) -> Any:
    """What the layer of that name computes, on arrays (copies, N, D) and parameters (copies, ...)."""
    x = xs[0]
    if isinstance(layer, Affine):
        return x @ P[f"{path}.W"] + P[f"{path}.b"][:, None]
    if isinstance(layer, Sequential):
        for i, part in enumerate(layer.layers):
            x = formula(part, f"{path}.{i}", P, [x])
        return x
    if isinstance(layer, Residual):
        return x + formula(layer.layer, f"{path}.layer", P, [x])
    if isinstance(layer, Graph):
        return evaluate(layer._arguments[1], layer._arguments[0][0], f"{path}.", P, xs)[-1]
    if isinstance(layer, Concat):
        return np.concatenate(xs, axis=-1)
    if isinstance(layer, Multiply):
        return np.prod(np.stack(np.broadcast_arrays(*xs)), axis=0)
    return {Add: lambda: sum(xs), Tanh: lambda: np.tanh(x), Sigmoid: lambda: 1 / (1 + np.exp(-x))}[type(layer)]()


def evaluate(nodes: dict[str, Any], inputs: Any, prefix: str, P: dict[str, Any], xs: list[Any]) -> list[Any]:
    """The values of the nodes in order, from those of the inputs."""
    values = dict(zip(inputs, xs, strict=True))
    for name, (layer, *reads) in nodes.items():
        values[name] = formula(layer, prefix + name, P, [values[read] for read in reads])
    return [values[name] for name in nodes]


def copies(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Each array as often as there are elements in all of them; in copy k the k-th element has moved by ih."""
    count, start, moved = sum(a.size for a in arrays.values()), 0, {}
    for name, a in arrays.items():
        moved[name] = np.repeat(a.astype(complex)[None], count, axis=0)
        moved[name].reshape(count, -1)[np.arange(start, start + a.size), np.arange(a.size)] += 1j * H
        start += a.size
    return moved


@pytest.mark.parametrize("part", range(PARTS))
def test_gradients_of_random_graphs(part: int) -> None:
    for seed in range(part * GRAPHS // PARTS, (part + 1) * GRAPHS // PARTS):
        compare(seed)


def compare(seed: int) -> None:
    drawn, rng = Builder(seed), np.random.default_rng(seed)
    shapes = [(drawn.widths[name],) for name in drawn.inputs]
    net = Graph(tuple(drawn.inputs), **drawn.nodes).build(*shapes, dtype="float64", seed=seed, needs_dx=True)
    net.storage.params[...] += 0.1 * rng.standard_normal(net.storage.params.shape)  # biases too
    n = int(rng.integers(1, 4))
    xs = [rng.standard_normal((n, *shape)) for shape in shapes]
    arrays = dict(zip(drawn.inputs, xs, strict=True)) | {name: p.copy() for name, p in net.storage.parameters.items()}
    moved = copies(arrays)
    values = dict(
        zip(drawn.nodes, evaluate(drawn.nodes, drawn.inputs, "", moved, [moved[x] for x in drawn.inputs]), strict=True)
    )
    ys, cache = net.forward(*xs)
    ys = ys if isinstance(ys, tuple) else (ys,)
    dys = tuple(rng.standard_normal(y.shape) for y in ys)
    L: Any = 0
    for name, y, dy in zip(drawn.outputs, ys, dys, strict=True):
        close(y, values[name][0].real, f"graph {seed}, output {name}")
        L = L + (values[name] * dy).sum(axis=(1, 2))
    dxs = net.backward(dys[0] if len(dys) == 1 else dys, cache)
    got = dict(zip(drawn.inputs, dxs if isinstance(dxs, tuple) else (dxs,), strict=True)) | net.storage.gradients
    right, start = L.imag / H, 0
    for name, a in arrays.items():
        close(got[name], right[start : start + a.size].reshape(a.shape), f"graph {seed}, gradient of {name}")
        start += a.size


def close(got: Any, right: np.ndarray, what: str) -> None:
    np.testing.assert_allclose(got, right, rtol=1e-10, atol=1e-10 * max(1.0, float(np.abs(right).max())), err_msg=what)


def test_the_graphs_have_what_they_are_to_show() -> None:
    """Fan-out, merges, several inputs and outputs, and networks within, in a good share of them."""
    fan_out = merges = several = nested = largest = 0
    for seed in range(GRAPHS):
        drawn = Builder(seed)
        read = [name for _, *reads in drawn.nodes.values() for name in reads]
        fan_out += len(set(read)) < len(read)
        merges += any(len(reads) > 1 for _, *reads in drawn.nodes.values())
        several += len(drawn.outputs) > 1 or len(drawn.inputs) > 1
        nested += any(isinstance(layer, Graph) for layer, *_ in drawn.nodes.values())
        largest = max(largest, len(drawn.nodes))
    assert largest == 12
    assert min(fan_out, merges, several, nested) > GRAPHS // 3
