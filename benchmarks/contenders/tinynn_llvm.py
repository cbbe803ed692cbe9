"""tinynn by its public interface on the backend that compiles a step's array calls to machine code."""

from __future__ import annotations

import llvmlite

from benchmarks.contenders import tinynn_fit

__all__ = ["Contender"]


class Contender(tinynn_fit.Contender):
    """As tinynn alone but for the backend.

    Errors: ConfigurationError where tinynn has no such backend.
    """

    backend = "llvm"

    def versions(self) -> dict[str, str]:
        return {**super().versions(), "llvmlite": llvmlite.__version__}
