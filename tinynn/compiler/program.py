"""Recorded calls as machine code: each run of calls that can be compiled becomes one call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from tinynn.compiler.code import Code
from tinynn.compiler.elementwise import Elementwise, Group, elementwise
from tinynn.compiler.engine import call_of
from tinynn.compiler.losses import loss_verb
from tinynn.compiler.products import product
from tinynn.compiler.reductions import inner_product, sums
from tinynn.compiler.rows import take
from tinynn.compiler.uniform import uniform
from tinynn.compiler.windows import window_verb

__all__ = ["compiled", "emit", "understood"]

FUNCTIONS = (elementwise, product, sums, inner_product)
VERBS = (loss_verb, take, window_verb, uniform)


def understood(call: Any, constants: Iterable[np.ndarray]) -> Any:
    """What a call does, in a form that can be compiled; None where it cannot.

    `constants`: arrays without axes that never change.
    """
    if not isinstance(call, partial):
        return None
    if hasattr(getattr(call.func, "__self__", None), "xp"):  # a verb of a backend
        found = (verb(call.func.__name__, call.args) for verb in VERBS)
    else:
        fixed = {id(constant) for constant in constants}
        args = tuple(float(x) if id(x) in fixed else x for x in call.args)
        found = (function(call.func, args, call.keywords) for function in FUNCTIONS)
    return next((each for each in found if each is not None), None)


def compiled(calls: Sequence[Callable[[], Any]], constants: Iterable[np.ndarray] = ()) -> list[Callable[[], Any]]:
    """Calls that do what the given ones do, in the same order, and fewer of them."""
    done: list[Callable[[], Any]] = []
    waiting: list[Any] = []
    for call in calls:
        found = understood(call, constants)
        if found is not None:
            waiting.append(found)
            continue
        if waiting:
            done.append(segment(waiting))
            waiting = []
        done.append(call)
    return [*done, segment(waiting)] if waiting else done


def segment(parts: Sequence[Any]) -> Callable[[], Any]:
    """One call of machine code that does all the parts."""
    code = Code()
    emit(code, parts)
    return call_of(code)


def emit(code: Code, parts: Sequence[Any]) -> None:
    """Writes what the parts do, neighbours that work element by element in one loop where one can do them."""
    fused: list[Any] = []
    for part in parts:
        if isinstance(part, Elementwise):
            if fused and isinstance(fused[-1], Group) and fused[-1].accepts(part):
                fused[-1].calls.append(part)
                continue
            part = Group(part)
        fused.append(part)
    for part in fused:
        part.emit(code)
        code.barrier()
