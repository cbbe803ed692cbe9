"""Settings of an optimizer: numbers that are checked whenever they are set, in the constructor or later."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tinynn.checks import finite_number

__all__ = ["Setting"]


class Setting:
    """A number of an optimizer that may be changed between steps; None too, where it is `optional`.

    `what`: its name in words; `example`: a value that works, for the error's fix; `above`, `least`, `below`: bounds.
    Errors: ConfigurationError on every assignment of anything else; the setting then is what it was.
    """

    def __init__(
        self,
        what: str,
        example: str,
        *,
        above: float = -math.inf,
        least: float = -math.inf,
        below: float = math.inf,
        optional: bool = False,
    ) -> None:
        self.what, self.example, self.optional = what, example, optional
        self.bounds = {"above": above, "least": least, "below": below}

    if TYPE_CHECKING:

        def __get__(self, optimizer: Any, owner: type) -> Any: ...

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    # Without __get__ Python reads the value from the optimizer itself, as fast as any attribute.
    def __set__(self, optimizer: Any, value: Any) -> None:
        kind = type(optimizer).__name__
        if not (value is None and self.optional):
            fix = f"{kind}(lr=0.1, {self.name}={self.example})"
            value = finite_number(value, f"the {self.what} {self.name}", where=kind, fix=fix, **self.bounds)
        optimizer.__dict__[self.name] = value
