"""What a network's metadata say of its classes and columns; they are whatever somebody wrote into the file."""

from __future__ import annotations

from typing import Any

__all__ = ["class_names", "names"]


def names(net: Any, key: str) -> tuple[str, ...]:
    """The texts under this key; none where there is anything else."""
    found = net.metadata.get(key)
    return tuple(found) if isinstance(found, list) and all(isinstance(name, str) for name in found) else ()


def class_names(net: Any, count: int) -> tuple[str, ...]:
    """The names of so many classes: those of the metadata if they are as many, else their numbers."""
    known = names(net, "classes")
    return known if len(known) == count else tuple(map(str, range(count)))
