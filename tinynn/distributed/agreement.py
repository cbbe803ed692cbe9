"""What all ranks must have alike before the first step, and what is said where they do not."""

from __future__ import annotations

import re
import sys
from typing import Any

import numpy as np

from tinynn.distributed.ranks import Ranks
from tinynn.errors import ConfigurationError
from tinynn.network import Network
from tinynn.version import __version__

__all__ = ["agree", "facts_of", "plain"]


def facts_of(net: Network) -> dict[str, Any]:
    """By name, as JSON: what decides how a network's vectors look, and how they change."""
    storage = net.storage
    arrays = {**storage.parameters, **storage.states}
    return {
        "tinynn": __version__,
        "NumPy": np.__version__,
        "byte order": sys.byteorder,
        "backend": net.ops.name,
        "precision": net.ops.precision,
        "dtype": str(net.dtype),
        "seed of the network": int(net._seed),
        "layers": [plain(layer) for _, layer in net.walk()][1:],
        "wiring": [f"{name} reads {', '.join(net.reads(name))}" for name in net._built().children],
        "arrays": [f"{name} {array.dtype}{list(array.shape)}" for name, array in arrays.items()],  # as they lie
    }


def agree(ranks: Ranks, facts: dict[str, Any]) -> None:
    """Errors: ConfigurationError on all ranks, that says which facts are not the same, and where."""
    everybody = ranks.gather(facts)
    for name in facts:
        values = [one.get(name) for one in everybody]
        if values.count(values[0]) == len(values):
            continue
        other = next(rank for rank, value in enumerate(values) if value != values[0])
        ranks.refuse_alike(
            ConfigurationError(
                f"the ranks are not alike: {name}",
                where=f"fit, rank {ranks.rank} of {ranks.size}",
                expected=f"the same on all ranks; on rank 0: {short(values[0], values[other])}",
                got=f"on rank {other}: {short(values[other], values[0])}",
                fix="run the same program, with the same versions and data, on every rank",
            )
        )


def plain(thing: Any) -> str:
    """How something is printed, but for where it lies in memory."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", str(thing))


def short(value: Any, other: Any) -> str:
    """What is in the one and not in the other, cut to a line."""
    if isinstance(value, list) and isinstance(other, list):
        here = (f"[{i}] {a}" for i, a in enumerate(value) if i >= len(other) or other[i] != a)
        value = next(here, f"{len(value)} of them")
    return str(value)[:300]
