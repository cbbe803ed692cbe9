"""Layers in a graph: a node reads inputs and nodes above it, and any of them may be read more than once."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np

from tinynn.backend import Array
from tinynn.errors import ConfigurationError, GradientError, ShapeError
from tinynn.layer import Layer, Shape
from tinynn.losses import Loss
from tinynn.network.network import Network
from tinynn.network.stumbled import batch_shape, check_promise, reraise, shape_of
from tinynn.network.wiring import Node, Wiring

__all__ = ["Graph"]


class Graph(Network):
    """y_k = f_k(what node k reads): each node is a layer and the names of what it reads, inputs or nodes above it.

        Graph(h=(Affine(64), "x"), a=(ReLU(), "h"), y=(Add(), "a", "x"))

    A name that no node has is an input. What no node reads is an output; a loss that is the only output makes a network
    to train, and what it reads as targets is given to `forward` behind the inputs. Inputs, and targets, count in the
    order in which they are first read; `Graph(("x", "z"), ("y",), h=..., ...)` names inputs and outputs in another
    order, and outputs that nodes read too.

    Shapes:   of one example, one for each input: `build((784,), (10,))`; settled in `build`.
    Backward: the nodes in reverse; what is read in several places gets the sum of their gradients. Targets are
              constants: no gradient flows to them.
    Errors:   ConfigurationError that names the node: for one that reads itself or a node below, for what is no layer,
              for a loss that others read, for the same layer object in two places.
    """

    straight = True
    is_graph = True

    def __init__(self, inputs: tuple[str, ...] = (), outputs: tuple[str, ...] = (), /, **nodes: Any) -> None:
        self.wiring = Wiring(inputs, outputs, nodes)

    @property
    def integer_inputs(self) -> bool:
        """Whether integers are read as they are, by all inputs."""
        return all(self.reads_integers(name) for name in self.wiring.inputs)

    def wire(self, *shapes: Any) -> Any:
        wiring = self.wiring
        self.input_names, self.target_names = wiring.inputs, wiring.targets
        names = (*wiring.inputs, *wiring.targets)
        if len(shapes) not in (len(wiring.inputs), len(names)):
            raise ShapeError(
                f"the graph has {len(wiring.inputs)} inputs: {', '.join(wiring.inputs)}",
                where=self.where,
                expected="a shape for each; inputs are the names that no node has",
                got=", ".join(map(str, shapes)) or "none",
                fix=f"net.build({', '.join(f'shape_of_{name}' for name in wiring.inputs)})",
            )
        known = dict(zip(names, shapes, strict=False))
        self.input_shapes = tuple(shapes[: len(wiring.inputs)])
        # Whose gradient anybody wants: that of an input on request, of a node if it or one above it has parameters.
        wanted = dict.fromkeys(names, self.needs_dx)
        for node in wiring.nodes:
            given = tuple(known[read] for read in node.reads if read in known)
            check_takes(node, given)
            needs_dx = any(wanted[read] for read in node.learns_from)
            known[node.name] = self.sublayer(node.name, node.layer, *given, needs_dx=needs_dx)
            check_output(node)
            learns = any(inner._built().declared for _, inner in node.layer.walk())
            wanted[node.name] = needs_dx or learns
            if learns and node.name not in wiring.reached:
                raise ConfigurationError(
                    "a layer with parameters that no gradient reaches",
                    where=node.layer.where,
                    expected="that an output depends on it, other than as a loss's target",
                    got="a node that is read as a target only",
                    fix="take it out of the graph, or let a layer read it",
                )
        self.shapes = known
        self.layers = {node.name: node.layer for node in wiring.nodes}
        self.way = [(node, None if node.is_loss else known[node.name]) for node in wiring.nodes]
        # The way back: which node, where its cache is, and for each input whether its gradient is wanted.
        self.back: list[tuple[Node, int, list[tuple[str, bool]]]] = []
        for k, node in reversed([*enumerate(wiring.nodes)]):
            if node.name in wiring.reached and wanted[node.name]:
                self.back.append((node, k, [(read, wanted[read]) for read in node.reads]))
        loss = wiring.loss.layer if wiring.loss else None
        self.final_loss = loss if isinstance(loss, Loss) else None
        self.target_slots = tuple(wiring.loss.reads.index(name) for name in wiring.targets) if wiring.loss else ()
        shapes_out = tuple(known[name] for name in wiring.outputs)
        if len(shapes_out) > 1 and self._built().path:
            raise ConfigurationError(
                "a graph inside a network has one output",
                where=self.where,
                expected="one node that no other reads",
                got=f"{len(shapes_out)} of them: {', '.join(wiring.outputs)}",
                fix="join them with Concat() or Add(), or name the output: Graph((...), ('y',), ...)",
            )
        return shapes_out[0] if len(shapes_out) == 1 else shapes_out

    def run_forward(self, xs: tuple[Array, ...]) -> tuple[Any, list[Any], tuple[Array, ...]]:
        values: dict[str, Array] = dict(zip((*self.input_names, *self.target_names), xs, strict=True))
        caches: list[Any] = []
        for node, shape in self.way:
            args = [values[read] for read in node.reads]
            try:
                y, cache = self.layers[node.name].forward(*args)
                if shape is not None and y.shape[1:] != shape:
                    check_promise(node.layer, y, len(xs[0]), "forward")
            except Exception as error:
                reraise(error, node.layer, "forward", args[0])
            values[node.name] = y
            caches.append(cache)
        ys = tuple(values[name] for name in self.wiring.outputs)
        last = self.wiring.loss
        given = ys if last is None else tuple(values[read] for read in last.reads)
        return (ys[0] if len(ys) == 1 else ys), caches, given

    def run_backward(self, dy: Any, caches: list[Any]) -> Any:
        outputs = self.wiring.outputs
        totals: dict[str, Any] = dict(zip(outputs, dy if len(outputs) > 1 else (dy,), strict=True))
        for node, k, reads in self.back:
            total = totals.pop(node.name, None)
            if total is None:
                refuse_silence(node)
            try:
                dxs = self.layers[node.name].backward(total, caches[k])
            except Exception as error:
                reraise(error, node.layer, "backward", total)
            for (read, wanted), dx in zip(reads, dxs if isinstance(dxs, tuple) else (dxs,), strict=False):
                if wanted and dx is not None:
                    self.add(totals, node, read, dx)
        dxs = tuple(totals.get(name) for name in self.input_names) if self.needs_dx else None
        return dxs[0] if dxs is not None and len(dxs) == 1 else dxs

    def add(self, totals: dict[str, Any], node: Node, read: str, dx: Array) -> None:
        """What is read in several places gets the sum of their gradients."""
        shape = self.shapes[read]
        if getattr(dx, "shape", (None,))[1:] != shape:
            refuse_shape(node, shape, dx)
        total = totals.get(read)
        if total is None:
            totals[read] = dx  # borrowed, so the first sum goes into an array of our own
        else:
            totals[read] = self.xp.add(total, dx, out=self.empty_like(f"d{read}", total))

    def run_predict(self, xs: tuple[Array, ...]) -> Any:
        values = self.infer(xs, self.wiring.inference)
        ys = []
        for name in self.wiring.outputs:
            node = self.wiring.by_name.get(name)
            if node is not None and node.is_loss:  # then inference gives what the scores mean
                values[name] = self.layers[name].predict(values[node.reads[0]])
            ys.append(values[name])
        return ys[0] if len(ys) == 1 else tuple(ys)

    def run_scores(self, xs: tuple[Array, ...]) -> tuple[Array, ...]:
        last = self.wiring.loss
        assert last is not None
        values = self.infer(xs, [node for node in self.wiring.nodes if not node.is_loss])
        return tuple(values[read] for read in last.reads)

    def infer(self, xs: tuple[Array, ...], nodes: list[Node]) -> dict[str, Array]:
        """The values of these nodes at inference."""
        values: dict[str, Array] = dict(zip((*self.input_names, *self.target_names), xs, strict=False))
        for node in nodes:
            args = [values[read] for read in node.reads]
            try:
                y = self.layers[node.name].predict(*args)
                if y.shape[1:] != self.shapes[node.name]:
                    check_promise(node.layer, y, len(xs[0]), "predict")
            except Exception as error:
                reraise(error, node.layer, "predict", args[0])
            values[node.name] = y
        return values

    def reads(self, name: str) -> tuple[str, ...]:
        return self.wiring.by_name[name].reads

    def reads_integers(self, name: str) -> bool:
        readers = [node.layer for node in self.wiring.nodes if name in node.reads]
        return all(layer.integer_inputs for layer in readers)

    def example(self, rng: np.random.Generator, n: int, *shapes: Shape) -> tuple[np.ndarray, ...]:
        drawn: dict[str, np.ndarray] = {}
        for node in reversed(self.wiring.nodes):  # the first reader has the last word
            drawn.update(zip(node.reads, node.layer.example(rng, n, *node.layer._built().shapes), strict=False))
        return tuple(drawn[name] for name in (*self.input_names, *self.target_names))

    def __len__(self) -> int:
        return len(self.wiring.nodes)

    def __iter__(self) -> Iterator[Layer]:
        return iter(node.layer for node in self.wiring.nodes)

    def __getitem__(self, name: str) -> Layer:
        return self.wiring.by_name[name].layer


def check_takes(node: Node, shapes: tuple[Shape, ...]) -> None:
    """Errors: ConfigurationError for more inputs, or fewer, than the layer's `forward` takes."""
    if node.is_loss or isinstance(node.layer, Network):
        return
    try:
        inspect.signature(node.layer.forward).bind(*shapes)
    except TypeError as error:
        parameters = ", ".join(inspect.signature(node.layer.forward).parameters)
        raise ConfigurationError(
            "a node that reads another number of values than its layer takes",
            where=f"layer {node.name}: {node.layer!r}",
            expected=f"as many names as forward({parameters}) has arguments",
            got=f"{len(shapes)}: {', '.join(node.reads)}",
            fix="join several with Add(), Multiply() or Concat() first",
        ) from error


def check_output(node: Node) -> None:
    """Errors: ConfigurationError for a network that ends in a loss."""
    if isinstance(node.layer, Network) and node.layer.final_loss is not None:
        raise ConfigurationError(
            "a network inside a network cannot end in a loss: nobody would give it targets",
            where=node.layer.where,
            expected="layers without a loss",
            got=repr(node.layer.final_loss),
            fix="make the loss a node of the outer graph",
        )


def refuse_silence(node: Node) -> NoReturn:
    raise GradientError(
        "no gradient came back to this node",
        where=node.layer.where,
        expected="dx from at least one of the layers that read it",
        got="None from all of them",
        fix="return dx in their backward wherever self.needs_dx is True",
    )


def refuse_shape(node: Node, shape: Shape, dx: Any) -> NoReturn:
    raise ShapeError(
        "backward returned a gradient that does not have the shape of the layer's input",
        where=node.layer.where,
        expected=batch_shape(shape),
        got=shape_of(dx),
        fix="return dx, of x's shape; a tuple of them for several inputs",
    )
