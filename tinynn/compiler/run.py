"""Whole steps of training as machine code: gather, forward, backward, update and count, one step after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tinynn.compiler.code import Code
from tinynn.compiler.elementwise import Elementwise
from tinynn.compiler.engine import call_of
from tinynn.compiler.losses import loss_verb
from tinynn.compiler.program import emit, understood
from tinynn.compiler.rows import Take, take
from tinynn.compiler.team import available, together
from tinynn.compiler.types import INDEX
from tinynn.compiler.updates import Update, update_verb

__all__ = ["Run", "whole_run"]

ENOUGH = 4_000_000  # operations of a step for each thread: with less, a busy machine makes them wait for each other


class Run:
    """`run(arrays, order, numbers)` makes the steps that take the rows of `order` from the arrays.

    `arrays`: of the dtypes and shapes of rows that it was made for, contiguous. `numbers`: those of the update, a row
    for each step, or one row for all of them. `threads`: how many share the work of each step; the results do not
    depend on it.
    """

    def __init__(
        self, takes: Sequence[Take], parts: Sequence[Any], update: Update, sums: Sequence[Any], threads: int | None
    ) -> None:
        self.update, self.batch = update, len(takes[0].out)
        work = sum(part.work for part in (*takes, *parts, *sums, update))
        self.threads = threads or max(1, min(available(), work // ENOUGH))
        sources = [(f"%x{i}", f"%rows{i}") for i in range(len(takes))]
        given = [name for x, rows in sources for name in (f"ptr {x}", f"i64 {rows}")]
        code = Code("ptr %order", "i64 %steps", "ptr %numbers", "i64 %stride", *given, parts=self.threads)
        with code.loop("%steps") as step:
            following = code.plus(step, 1)
            following = code(f"select i1 {code(f'icmp slt i64 {following}, %steps')}, i64 {following}, i64 {step}")
            order, later = ((code.at("%order", code.times(s, self.batch), INDEX), INDEX) for s in (step, following))
            emit(code, [Take(x, order, each.out, later) for x, each in zip(sources, takes, strict=True)])
            emit(code, parts)
            update.emit(code, code.at("%numbers", code(f"mul i64 {step}, %stride"), update.element))
            emit(code, sums)
        self.counter, self.call = code.counter, call_of(code)

    def numbers(self, verb: str, args: Sequence[Any]) -> tuple[float, ...] | None:
        """The numbers of a call of an update verb; None if it is not the update that was compiled."""
        found = update_verb(verb, args)
        return found.numbers if found is not None and found.key == self.update.key else None

    def __call__(self, arrays: Sequence[np.ndarray], order: np.ndarray, numbers: np.ndarray) -> None:
        steps, stride = len(order) // self.batch, numbers.shape[1] if len(numbers) > 1 else 0
        numbers = np.ascontiguousarray(numbers, self.update.params.dtype)
        sources = [number for x in arrays for number in (x.ctypes.data, len(x))]
        arguments = order.ctypes.data, steps, numbers.ctypes.data, stride, *sources
        if self.threads == 1:
            self.call(*arguments)
        else:
            together(self.threads, self.call, self.counter, *arguments)


def whole_run(
    gathers: Sequence[tuple[np.ndarray, np.ndarray]],
    calls: Sequence[Callable[[], Any]],
    update: tuple[str, Sequence[Any]],
    loss: tuple[np.ndarray, np.ndarray],
    judged: tuple[np.ndarray, ...] | None,
    constants: Iterable[np.ndarray],
    threads: int | None = None,
) -> Run | None:
    """See `Ops.capture_run`; None where something in a step cannot be compiled."""
    constants, rows = tuple(constants), np.zeros(len(gathers[0][1]), np.int64)
    takes = [take("take", (x, rows, out)) for x, out in gathers]
    parts = [understood(call, constants) for call in calls]
    made = update_verb(*update)
    (L, total), weighed = loss, np.zeros((), np.float64)
    sums: list[Any] = [
        Elementwise(np.multiply, (L, float(len(rows))), weighed, weighed.dtype),
        Elementwise(np.add, (total, weighed), total, total.dtype),
    ]
    if judged is not None:
        sums.append(loss_verb("count_hits", judged))
    found = [each for each in takes if each is not None]
    if made is None or len(found) < len(takes) or any(part is None for part in (*parts, *sums)):
        return None
    return Run(found, parts, made, sums, threads)
