"""What each value of a graph is made by: one layer for several nodes where they have a known form, else for each one.

From the outputs upwards, so that nodes which nobody needs are not looked at.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from tinynn.backend import Ops
from tinynn.errors import TinynnError
from tinynn.layer import Shape, attach
from tinynn.network.bounds import Bounded
from tinynn.onnx import readers_images, readers_plain, readers_units
from tinynn.onnx.composed import COMPOSED, Composed
from tinynn.onnx.flow import Flow, Step
from tinynn.onnx.found import Found, Operand, Part, readers
from tinynn.onnx.patterns import Match, match
from tinynn.onnx.sizes import sizes_of, sources_of

__all__ = ["FAMILIES", "Made", "Resolver"]

FAMILIES = (readers_plain, readers_units, readers_images)  # importing them registers what they read

# Whose attributes belong to the layer, of the nodes of a form.
MAIN = ("Conv", "MaxPool", "AveragePool", "HardSigmoid", "ReduceSum", "ReduceMean")


class Made(NamedTuple):
    """What makes a value: layers one behind the other, of the values that they read; none where it is passed on."""

    step: Step
    reads: list[str]
    parts: list[Part]


class Option(NamedTuple):
    """A way in which a value may be made; `make` gives None where it is none. `sized`: what it needs the shapes of."""

    reads: list[str]
    make: Callable[[], list[Part] | None]
    sized: tuple[str, ...] = ()


@dataclass(eq=False)
class Root:
    """What layers are built for while their shapes are asked for; when it is gone they are free."""


class Resolver:
    """`made`: for each value that is needed what makes it, `shapes`: those of one example.

    Errors: DataError that names the node.
    """

    def __init__(self, flow: Flow, shapes: dict[str, Shape], ops: Ops) -> None:
        self.flow, self.shapes = flow, dict(shapes)
        self.made: dict[str, Made] = {}
        root = Root()  # gone when this returns
        self.build = Bounded(ops, np.dtype(np.float32), weakref.ref(root))
        self.forms: dict[str, list[Composed]] = {}
        for form in COMPOSED:
            for operator in heads(form.form):
                self.forms.setdefault(operator, []).append(form)
        tried: dict[str, Iterator[Option]] = {}
        current: dict[str, Option] = {}
        waiting = [*reversed(flow.outputs)]
        while waiting:
            name = waiting[-1]
            if name in self.shapes:
                waiting.pop()
                continue
            if name not in tried:
                tried[name] = self.options(name)
                current[name] = next(tried[name])
            wanted = (*current[name].reads, *current[name].sized)
            missing = [read for read in wanted if read not in self.shapes]
            if missing:
                waiting += missing
                continue
            step = self.flow.makers[name]
            parts = self.told(step, current[name].make)
            if parts is None:
                current[name] = next(tried[name])  # the last option never gives None
                continue
            self.made[name] = Made(step, current[name].reads, parts)
            self.shapes[name] = self.told(step, partial(self.shape_of, current[name].reads, parts))
            waiting.pop()

    def options(self, name: str) -> Iterator[Option]:
        """The ways in which a value may be made: by the forms that fit, and by the node's own reader."""
        step = self.flow.makers[name]
        for form in self.forms.get(step.operator, []):
            found = match(self.flow, form.form, name)
            if found is not None:
                x = found.values["x"]
                yield Option([x], partial(self.composed, form, step, found, x))
        if step.operator not in readers:
            listed = ", ".join(sorted({*readers, *(name for form in COMPOSED for name in form.operators.split(", "))}))
            self.flow.not_read(step, "an operator that no layer covers", listed, step.operator)
        if step.gives[0] != name:
            self.flow.not_read(step, "an output besides the first, which no layer has", "one output", name)
        reads = [read for read in step.reads if read and read not in self.flow.arrays]
        sized = sources_of(self.flow, step.reads[1]) if step.operator == "Reshape" and len(step.reads) == 2 else None
        if sized:
            reads = reads[:1]
        yield Option(reads, partial(self.plain, step, bool(sized)), tuple(sized or ()))

    def plain(self, step: Step, sized: bool) -> list[Part]:
        operands = [self.operand(read) for read in (step.reads[:1] if sized else step.reads)]
        if sized:
            operands.append(Operand((), sizes_of(self.flow, self.shapes, step.reads[1])))
        found = Found(self.flow, step, operands, dict(step.attributes))
        if not any(operand is not None and operand.array is None for operand in operands):
            what = "a node that works on arrays alone" if operands else "an operator without operands"
            self.flow.not_read(
                step, what, "something that the network computes", ", ".join(step.reads)[:100] or "nothing"
            )
        most = self.most_operands(step.operator)
        if len(step.reads) > most:
            self.flow.not_read(step, f"more operands than {step.operator} has", f"{most} at most", len(step.reads))
        parts = readers[step.operator](found)
        self.finished(found)
        return parts

    def most_operands(self, operator: str) -> float:
        """How many the package onnx says it has: in this opset, or in any; no limit where it is older than the file."""
        defs = self.flow.onnx.defs
        for version in ((self.flow.opset,), ()):
            if defs.has(operator, *version):
                return defs.get_schema(operator, *version).max_input
        return math.inf

    def operand(self, name: str) -> Operand | None:
        if name in self.flow.arrays:
            return Operand((), self.flow.arrays[name])
        return Operand(self.shapes[name]) if name else None

    def composed(self, form: Composed, step: Step, match: Match, x: str) -> list[Part] | None:
        main = next((match.steps[name] for name in MAIN if name in match.steps), step)
        arrays = [Operand((), match.arrays[name]) for name in ("W", "b") if name in match.arrays]
        found = Found(self.flow, main, [Operand(self.shapes[x]), *arrays], dict(main.attributes))
        if main.operator in ("Add", "Mul"):  # opset 6 had to be told to broadcast, and from which axis on
            found.attributes.clear()
        parts = form.make(found, match)
        if parts is not None:
            self.finished(found)
        return parts

    def finished(self, found: Found) -> None:
        """Errors: DataError for an attribute that nobody has asked for."""
        for name, value in found.attributes.items():
            self.flow.not_read(found.step, f"the attribute {name[:100]!r} is not known", "ONNX's own attributes", value)

    def shape_of(self, reads: list[str], parts: list[Part]) -> Shape:
        """The shape of what the layers give, each built once to say so."""
        shapes = tuple(self.shapes[read] for read in reads)
        for layer, _ in parts:
            attach(layer, shapes, self.build, "", False)
            shapes = (layer._built().output,)
        if math.prod(shapes[0]) > 2**40:
            raise ValueError(f"values of shape {shapes[0]}")
        return shapes[0]

    def told(self, step: Step, call: Callable[[], Any]) -> Any:
        """The call; what a layer refuses, as a DataError that names the node."""
        try:
            return call()
        except TinynnError as error:
            if getattr(error, "path", None):
                raise
            self.flow.not_read(step, error.what, error.expected, error.got)
        except (ValueError, TypeError, OverflowError, IndexError) as error:
            self.flow.not_read(
                step, "a node that does not fit what it reads", "operands that fit each other", str(error)
            )

    def needed(self) -> list[str]:
        """The values that the outputs are made of, in the order of the nodes that give them."""
        found, waiting = set(), [*self.flow.outputs]
        while waiting:
            name = waiting.pop()
            if name in self.made and name not in found:
                found.add(name)
                waiting += self.made[name].reads
        return sorted(found, key=lambda name: self.made[name].step.index)


def heads(form: Any) -> list[str]:
    """The operators that a form may end in."""
    return sorted({head for one in form.forms for head in heads(one)}) if hasattr(form, "forms") else [form[0]]
