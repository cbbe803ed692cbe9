"""Every error that tinynn raises on purpose: what was expected, what came, where, and what to do.

    TinynnError
    |- ConfigurationError   an argument that cannot work (also ValueError)
    |- ShapeError           an array or layer whose shape does not fit (also ValueError)
    |- LabelError           labels the loss cannot read (also ValueError)
    |- DataError            a file or a data set that cannot be used (also ValueError)
    |- StateError           a call out of order: with a stale cache (also RuntimeError)
    |  |- NotBuiltError     a layer or network used before build (also AttributeError)
    |  `- NonFiniteError    a NaN or Inf, found where it was born (also FloatingPointError)
    |- DeviceError          host code or a host array among arrays on a device (also TypeError)
    |- GradientError        a gradient that is wrong or was never written (also AssertionError)
    `- MissingExtraError    an optional package that is not installed (also ImportError)

Each also derives from the built-in exception that a caller would have guessed.
"""

from __future__ import annotations

import math
import os
from typing import Any

__all__ = [
    "ConfigurationError",
    "DataError",
    "DeviceError",
    "GradientError",
    "LabelError",
    "MissingExtraError",
    "NonFiniteError",
    "NotBuiltError",
    "ShapeError",
    "StateError",
    "TinynnError",
]


class TinynnError(Exception):
    """The base of all tinynn errors; its four parts can be read as attributes as well as printed."""

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        expected: object = None,
        got: object = None,
        fix: str | None = None,
    ) -> None:
        self.what = what
        self.where = where
        self.expected = expected
        self.got = got
        self.fix = fix
        parts = {"where": where, "expected": expected, "got": got, "fix": fix}
        lines = [f"  {label + ':':<10}{part}" for label, part in parts.items() if part is not None]
        super().__init__("\n".join([what, *lines]))

    def __reduce__(self) -> tuple[Any, ...]:
        # The constructors take keywords, which Exception would forget: errors come back from worker processes whole.
        return _restored, (type(self), self.args), self.__dict__


def _restored(kind: type[TinynnError], args: tuple[Any, ...]) -> TinynnError:
    error = kind.__new__(kind)
    error.args = args
    return error


class ConfigurationError(TinynnError, ValueError):
    """An argument that cannot work: a negative learning rate, an unknown backend."""


class ShapeError(TinynnError, ValueError):
    """An array or a layer whose shape does not fit its place."""


class LabelError(TinynnError, ValueError):
    """Labels that the loss cannot read: out of range, fractional, of the wrong shape."""


class DataError(TinynnError, ValueError):
    """A file or data set that cannot be used; `path`, and `line` or `offset`, say where it went wrong.

    `line` counts from 1, `offset` is in bytes of the (uncompressed) file. For data that came from no file, `where` says
    which argument and row.
    """

    def __init__(
        self,
        what: str,
        *,
        path: str | os.PathLike[str] | None = None,
        line: int | None = None,
        offset: int | None = None,
        where: str | None = None,
        expected: object = None,
        got: object = None,
        fix: str | None = None,
    ) -> None:
        self.path = None if path is None else os.fspath(path)
        self.line = line
        self.offset = offset
        where = where if path is None else self.path
        if line is not None:
            where = f"{where}, line {line}"
        if offset is not None:
            where = f"{where}, byte {offset}"
        super().__init__(what, where=where, expected=expected, got=got, fix=fix)


class StateError(TinynnError, RuntimeError):
    """A call out of order: a backward pass with a stale cache, a gradient bound to another array."""


class NotBuiltError(StateError, AttributeError):
    """A layer or network used before `build`; an AttributeError, since parameters are attributes."""


class NonFiniteError(StateError, FloatingPointError):
    """A NaN or Inf, found where it was born.

    `layer`: the path of the layer, "" for the network itself. `phase`: "input", "parameter", "forward", "backward" or
    "update". `array`, `index`, `value`: the first such element, "dW", (0, 3), nan; an index of a row counts from the
    first row that the network was given.
    """

    layer: str = ""
    phase: str = ""
    array: str = ""
    index: tuple[int, ...] = ()
    value: float = math.nan


class DeviceError(TinynnError, TypeError):
    """Code of the host's, or an array on it, among arrays on a device; or a wait for the device within a step."""


class GradientError(TinynnError, AssertionError):
    """A backward pass that disagrees with its forward pass, or a gradient that was never written.

    `array` and `index` name the element where one is known: "dW", (0, 3).
    """

    array: str | None = None
    index: tuple[int, ...] | None = None


class MissingExtraError(TinynnError, ImportError):
    """An optional package is not installed; `extra` names the set that brings it."""

    def __init__(self, package: str, *, extra: str, purpose: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(
            f"{purpose} needs the package {package}, which is not installed",
            where=f"import {package}",
            expected=f"the extra {extra!r}, which brings it",
            got="an environment without it",
            fix=f'pip install "tinynn-xp[{extra}]"',
        )
