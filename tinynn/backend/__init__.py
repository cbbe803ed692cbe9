"""Backends by name."""

from __future__ import annotations

from typing import Any, NoReturn

from tinynn.backend.base import Array, Ops
from tinynn.backend.llvm_ops import LlvmOps
from tinynn.backend.numpy_ops import NumpyOps
from tinynn.checks import known_precision
from tinynn.errors import ConfigurationError

__all__ = ["Array", "NumpyOps", "Ops", "get_backend", "named"]

BACKENDS = ("numpy", "cupy", "llvm")


def kind_of(name: str) -> type[Ops]:
    """The class of the backend of that name."""
    if name == "cupy":
        from tinynn.backend.cupy_ops import CupyOps  # not at the top: kernels and products take 9 ms to import

        return CupyOps
    return LlvmOps if name == "llvm" else NumpyOps


def get_backend(name: str | Ops, precision: str = "float32") -> Ops:
    """The backend of that name, or the given one as it is. `precision`: that of its products of float32 matrices.

    Errors: ConfigurationError for a name or a precision that is not known, or a device that is not there;
    MissingExtraError.
    """
    known_precision(precision)
    if isinstance(name, Ops):
        if precision not in ("float32", name.precision):
            refuse_precision(name.name, precision)
        return name
    if not isinstance(name, str) or name not in BACKENDS:
        raise ConfigurationError(
            "unknown backend",
            where="backend",
            expected=" or ".join(map(repr, BACKENDS)),
            got=repr(name),
            fix='net.build(shape, backend="numpy")',
        )
    kind: Any = kind_of(name)
    if name == "cupy":
        return kind(precision)
    if precision != "float32":
        refuse_precision(name, precision)
    return kind()


def refuse_precision(backend: str, precision: str) -> NoReturn:
    """Errors: ConfigurationError."""
    raise ConfigurationError(
        f"products of float32 matrices in {precision} are something that GPUs do",
        where=f"backend={backend!r}, precision={precision!r}",
        expected='backend="cupy"',
        got=f"backend={backend!r}",
        fix='precision="float32", or backend="cupy"',
    )


def named(ops: Ops) -> str | Ops:
    """What to give `get_backend` for such a backend: its name if it is one of the library's own."""
    return ops.name if ops.name in BACKENDS and kind_of(ops.name) is type(ops) else ops
