"""LLVM: NumPy's arrays, and recorded calls compiled for the processor that this runs on.

What the layers do eagerly is NumPy's. A step that was recorded becomes machine code, with the fused loops and small
matrix products that no ufunc and no BLAS has; its results are NumPy's up to rounding.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from tinynn.backend.numpy_ops import NumpyOps

__all__ = ["LlvmOps"]


class LlvmOps(NumpyOps):
    """The verbs of NumPy; recorded calls as machine code.

    Errors: MissingExtraError without the package llvmlite.
    """

    name = "llvm"

    def __init__(self) -> None:
        from tinynn.compiler.engine import processor

        super().__init__()
        processor()
        self._updates: dict[Any, Any] = {}

    def capture(self, calls: Sequence[Callable[[], Any]]) -> Sequence[Callable[[], Any]]:
        from tinynn.compiler.program import compiled

        return compiled(calls, self._scalars.values())

    def capture_run(self, *parts: Any, **options: Any) -> Any:
        from tinynn.compiler.run import whole_run

        return whole_run(*parts, constants=self._scalars.values(), **options)

    # --- the updates of the flat vectors, in one pass

    def sgd_update(self, *args: Any, **named: Any) -> None:
        self._update("sgd_update", args, named)

    def momentum_update(self, *args: Any, **named: Any) -> None:
        self._update("momentum_update", args, named)

    def adam_update(self, *args: Any, **named: Any) -> None:
        self._update("adam_update", args, named)

    def scaled_update(self, *args: Any, **named: Any) -> None:
        self._update("scaled_update", args, named)

    def _update(self, verb: str, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        from tinynn.compiler.updates import apply, update_verb

        reference = getattr(super(), verb)
        if named:
            args = inspect.signature(reference).bind(*args, **named).args
        update = update_verb(verb, args)
        if update is None:
            reference(*args)
        else:
            apply(update, self._updates)
