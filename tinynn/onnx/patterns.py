"""Layers that several nodes make up together, found by the form of the expression that they are.

A form is an operator and the forms of what it reads: ("Mul", "x", ("Sigmoid", "x")). A text is any value, the same one
wherever the same text stands; a number is an array of that one number, near enough; `Number` and `Held` are arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from tinynn.onnx.flow import Flow, Step, single

__all__ = ["Either", "Form", "Held", "Match", "Number", "match"]


class Held(NamedTuple):
    """An array of the file, under a name."""

    name: str


class Number(NamedTuple):
    """An array of one number, under a name."""

    name: str


class Either(NamedTuple):
    """One of several forms."""

    forms: tuple[Any, ...]


Form = Any
COMMUTE = ("Add", "Mul")
NEAR = 1e-6  # constants are written as float32


@dataclass
class Match:
    """What a form was found to be: values by name, arrays and numbers by name, the nodes by their operators."""

    values: dict[str, str]
    arrays: dict[str, Any]
    steps: dict[str, Step]

    def copy(self) -> Match:
        return Match(dict(self.values), dict(self.arrays), dict(self.steps))


def match(flow: Flow, form: Form, name: str, inner: bool = False, found: Match | None = None) -> Match | None:
    """The match of a form with the value of that name, or None.

    `inner`: the value must have no other reader, since what is within a layer cannot be read from outside.
    """
    found = Match({}, {}, {}) if found is None else found
    if isinstance(form, Either):
        tries = (match(flow, one, name, inner, found.copy()) for one in form.forms)
        return next((one for one in tries if one is not None), None)
    if isinstance(form, str):
        if name in flow.arrays or not name or found.values.setdefault(form, name) != name:
            return None
        return found
    if not isinstance(form, tuple) or isinstance(form, Held | Number):
        return array(flow, form, name, found)
    step = flow.makers.get(name)
    operator, *reads = form
    if step is None or step.operator != operator or (inner and flow.readers.get(name) != 1) or step.gives[0] != name:
        return None
    given = [read for read in step.reads if read]
    if len(given) != len(reads):
        return None
    found.steps[operator] = step
    for order in [given, given[::-1]] if operator in COMMUTE else [given]:
        trial: Match | None = found.copy()
        for part, read in zip(reads, order, strict=True):
            trial = match(flow, part, read, True, trial) if trial is not None else None
        if trial is not None:
            return trial
    return None


def array(flow: Flow, form: Any, name: str, found: Match) -> Match | None:
    """An array: any, or one of one number, or of this number."""
    if name not in flow.arrays:
        return None
    value = flow.arrays[name]
    value_kind = value.dtype.kind  # of whole numbers a quotient would be rounded
    if not isinstance(form, Held):
        if value.size != 1 or value.ndim > 1 or value.dtype.kind not in "iuf":
            return None
        value = single(value)
    if isinstance(form, Number) and value_kind != "f":
        return None
    if isinstance(form, Held | Number):
        found.arrays[form.name] = value
        return found
    return found if abs(value - form) <= NEAR * max(abs(form), NEAR) else None
