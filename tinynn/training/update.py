"""What a step of an optimizer asks of the backend, found out without asking: a verb and its arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinynn.network import Network

__all__ = ["Update", "upcoming", "update_of"]


class Update:
    """The one verb that a step of the optimizer calls; arguments that move from step to step come from the device."""

    def __init__(self, verb: str, args: tuple[Any, ...], moving: tuple[int, ...]) -> None:
        self.verb, self.args, self.moving = verb, args, moving

    @classmethod
    def of(cls, optimizer: Any, net: Network) -> Update | None:
        """None for an optimizer whose step is more than that."""
        if not type(optimizer).__dict__.get("straight", False) or (now := update_of(optimizer, net)) is None:
            return None
        if not optimizer.moves:
            return cls(*now, ())
        taken = optimizer.steps_taken
        try:  # what is another number at another rate, one step later, may be another one in any step
            optimizer.steps_taken = taken + 1
            then = update_of(optimizer, net, 1.5 * optimizer.lr + 1e-3)
        finally:
            optimizer.steps_taken = taken
        assert then is not None
        pairs = enumerate(zip(now[1], then[1], strict=True))
        return cls(*now, tuple(i for i, (a, b) in pairs if isinstance(a, float) and a != b))

    def __call__(self, optimizer: Any, net: Network, numbers: Any) -> None:
        """Clips where that is asked for, and updates."""
        if optimizer.clips:
            optimizer.clip(net.storage)
        args = list(self.args)
        for place, i in enumerate(self.moving):
            args[i] = numbers[place]
        getattr(net.ops, self.verb)(*args)

    def table(self, optimizer: Any, net: Network, most: int) -> list[tuple[float, ...]]:
        """The moving numbers of the next steps, up to one that is more than other numbers."""
        if not self.moving:
            return [()] * most

        def numbers(verb: str, args: tuple[Any, ...]) -> tuple[float, ...] | None:
            return tuple(args[i] for i in self.moving) if self.fits(verb, args) else None

        return upcoming(optimizer, net, most, numbers)

    def fits(self, verb: str, args: tuple[Any, ...]) -> bool:
        """Whether this is the captured update but for the numbers that move."""
        return verb == self.verb and all(
            i in self.moving or now is then or (not hasattr(now, "shape") and now == then)
            for i, (now, then) in enumerate(zip(args, self.args, strict=True))
        )


def update_of(optimizer: Any, net: Network, lr: float | None = None) -> tuple[str, tuple[Any, ...]] | None:
    """The verb that the optimizer's next step calls, and its arguments, without calling it; None if that is not all."""
    storage, witness = optimizer.joined(net), Witness()
    optimizer.update(witness, storage, optimizer.lr if lr is None else lr)
    if len(witness.calls) != 1:
        return None
    ((name, args, named),) = witness.calls
    return None if named else (name, args)


class Witness:
    """Stands in for a backend, and remembers which verbs were called with what."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **named: self.calls.append((name, args, named))


def upcoming(optimizer: Any, net: Network, most: int, numbers: Callable[..., Any]) -> list[tuple[float, ...]]:
    """numbers(verb, arguments) of the next updates, at most `most`, up to one that cannot be had or has none."""
    found: list[tuple[float, ...]] = []
    start = optimizer.steps_taken
    try:
        while len(found) < most:
            optimizer.steps_taken = start + len(found)
            update = update_of(optimizer, net)
            if update is None or (now := numbers(*update)) is None:
                break
            found.append(now)
    except Exception:  # of a schedule: it is raised again when its step comes
        if not found:
            raise
    finally:
        optimizer.steps_taken = start
    return found
