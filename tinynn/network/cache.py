"""What a forward pass leaves for its backward pass."""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn

from tinynn.backend import Array
from tinynn.errors import StateError

__all__ = ["Cache", "refuse_cache"]


class Cache(NamedTuple):
    """What one `forward` leaves for its `backward`: the layers' caches, and a token that shows it is the latest.

    `given`: what the loss was given, scores first and then targets; without a loss at the end, the outputs.
    """

    caches: list[Any]
    given: tuple[Array, ...]
    token: object

    @property
    def scores(self) -> Array:
        """What the loss compared with the targets; without a loss at the end, the (first) output."""
        return self.given[0]


def refuse_cache(net: Any, cache: Any) -> NoReturn:
    """Errors: StateError for what is no cache, or one that is not from the latest `forward` of this thread."""
    if not isinstance(cache, Cache):
        net._built()
        raise StateError(
            "backward needs the cache of a forward pass",
            where=net.where,
            expected="the second value that forward returned",
            got=f"a {type(cache).__name__}",
            fix="y, cache = net.forward(x); net.backward(dy, cache)",
        )
    raise StateError(
        "a stale cache: the arrays it refers to have been used again since",
        where=net.where,
        expected="the cache of this thread's latest forward",
        got="the cache of an earlier one, or of another thread or network",
        fix="call backward before the next forward, predict or build",
    )
