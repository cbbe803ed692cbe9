"""Sliding windows over images in rows, (H, C, W, N): the steps of convolution and pooling, each in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinynn.compiler.arithmetic import choose
from tinynn.compiler.code import Code
from tinynn.compiler.elementwise import Elementwise, Group, Here, over, usable
from tinynn.compiler.types import FLOATS

__all__ = ["Fold", "MaxBackward", "Windows", "window_verb"]


@dataclass(frozen=True)
class Windows:
    """Calls that work element by element, on parts of the arrays of a verb, each group of them in one loop.

    `ordered`: the groups write the same elements, one group after the other.
    """

    groups: list[list[Elementwise]]
    ordered: bool = False

    @property
    def work(self) -> int:
        """Operations on elements, about."""
        return sum(call.work for group in self.groups for call in group)

    def emit(self, code: Code) -> None:
        for first, *others in self.groups:
            group = Group(first)
            group.calls += others
            group.emit(code)
            if self.ordered:
                code.barrier()


@dataclass(frozen=True)
class Fold:
    """The verb fold: out[h, c, w, n] = the sum of dy[h, c, j, q, n] over the taps j that see column w at output q."""

    dy: np.ndarray
    taps: Any
    out: np.ndarray

    @property
    def work(self) -> int:
        """Additions."""
        return 4 * self.dy.size

    def emit(self, code: Code) -> None:
        for w in range(self.out.shape[2]):
            seen = {(j, q): self.dy[:, :, j, q] for j, tap in enumerate(self.taps) if (q := output(tap, w)) is not None}
            column = self.out[:, :, w]

            def body(here: Here, seen: dict[Any, np.ndarray] = seen) -> None:
                type = here.type("out")
                total = type.all(0)
                for key in seen:
                    total = code(f"fadd {type} {total}, {here.load(key)}")
                here.store("out", total)

            over(code, column.shape, {"out": column, **seen}, column, body)


def output(tap: slice, w: int) -> int | None:
    """Which output sees column w through this tap; None where none does."""
    step = tap.step or 1
    return (w - tap.start) // step if tap.start <= w < tap.stop and (w - tap.start) % step == 0 else None


@dataclass(frozen=True)
class MaxBackward:
    """The verb max_window_backward; `tiled`: the windows do not overlap and leave nothing out."""

    dy: np.ndarray
    y: np.ndarray
    x: np.ndarray
    taps: Any
    out: np.ndarray
    tiled: bool

    @property
    def work(self) -> int:
        """Operations on elements, about."""
        return 8 * self.out.size

    def emit(self, code: Code) -> None:
        arrays: dict[Any, np.ndarray] = {"dy": self.dy, "y": self.y}
        for i, (rows, columns) in enumerate(self.taps):
            arrays["x", i], arrays["out", i] = self.x[rows, :, columns], self.out[rows, :, columns]

        def body(here: Here) -> None:
            type = here.type("y")
            flags = "i1" if here.lanes == 1 else f"<{here.lanes} x i1>"
            dy, y, found = here.load("dy"), here.load("y"), None
            for i in range(len(self.taps)):
                hit = code(f"fcmp oeq {type} {here.load(('x', i))}, {y}")
                if found is None:
                    first, found = hit, hit
                else:  # the first that is the largest gets it all
                    first = code(f"select {flags} {found}, {flags} zeroinitializer, {flags} {hit}")
                    found = code(f"or {flags} {found}, {hit}")
                value = choose(code, type, first, dy, type.all(0))
                if not self.tiled:
                    value = code(f"fadd {type} {here.load(('out', i))}, {value}")
                here.store(("out", i), value)

        if not self.tiled:
            Group(Elementwise(np.positive, (0.0,), self.out, self.out.dtype)).emit(code)
            code.barrier()
        over(code, self.y.shape, arrays, self.y, body, alone=not self.tiled)


def window_verb(name: str, args: tuple[Any, ...]) -> Any:
    """A call of one of the verbs for windows as one that can be compiled, or None."""
    arrays = [x for x in args if isinstance(x, np.ndarray)]
    if not usable(*arrays) or arrays[0].dtype not in FLOATS:
        return None
    if name == "unfold":
        x, taps, out = args
        return Windows([[copy(out[:, :, j], x[:, :, columns])] for j, columns in enumerate(taps)])
    if name == "fold":
        return Fold(*args)
    if name in ("max_window", "sum_window"):
        x, taps, out = args
        first, *others = (x[rows, :, columns] for rows, columns in taps)
        merge = np.maximum if name == "max_window" else np.add
        return Windows([[copy(out, first), *(Elementwise(merge, (out, seen), out, out.dtype) for seen in others)]])
    if name == "max_window_backward":
        dy, y, x, taps, out, *_ = args
        tiled = all(last.start < last.step for last in taps[-1]) and out.size == len(taps) * y.size
        return MaxBackward(dy, y, x, taps, out, tiled)
    if name == "sum_window_backward":
        dy, taps, out = args
        zero = Elementwise(np.positive, (0.0,), out, out.dtype)
        parts = [out[rows, :, columns] for rows, columns in taps]
        added = [[Elementwise(np.add, (part, dy), part, out.dtype)] for part in parts]
        return Windows([[zero], *added], ordered=True)
    return None


def copy(out: np.ndarray, x: np.ndarray) -> Elementwise:
    return Elementwise(np.positive, (x,), out, out.dtype)
