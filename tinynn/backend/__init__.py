"""Backends by name."""

from __future__ import annotations

from tinynn.backend.base import Array, Ops
from tinynn.backend.cupy_ops import CupyOps
from tinynn.backend.llvm_ops import LlvmOps
from tinynn.backend.numpy_ops import NumpyOps
from tinynn.errors import ConfigurationError

__all__ = ["Array", "NumpyOps", "Ops", "get_backend", "named"]

BACKENDS: dict[str, type[Ops]] = {"numpy": NumpyOps, "cupy": CupyOps, "llvm": LlvmOps}


def get_backend(name: str | Ops) -> Ops:
    """The backend of that name, or the given one as it is.

    Errors: ConfigurationError for a name that is not known, or a device that is not there; MissingExtraError.
    """
    if isinstance(name, Ops):
        return name
    if not isinstance(name, str) or name not in BACKENDS:
        raise ConfigurationError(
            "unknown backend",
            where="backend",
            expected=" or ".join(map(repr, BACKENDS)),
            got=repr(name),
            fix='net.build(shape, backend="numpy")',
        )
    return BACKENDS[name]()


def named(ops: Ops) -> str | Ops:
    """What to give `get_backend` for such a backend: its name if it is one of the library's own."""
    return ops.name if BACKENDS.get(ops.name) is type(ops) else ops
