"""What the tests of the compiler share: calls made twice from the same memory, by NumPy and by machine code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from tinynn.compiler.engine import processor
from tinynn.compiler.program import compiled
from tinynn.network.recorder import owner

__all__ = ["assert_bits", "machine_code", "processors", "twice"]

Calls = Sequence[Callable[[], Any]]


def machine_code(calls: Calls, constants: Iterable[np.ndarray] = ()) -> Callable[[], Any]:
    """The calls as one; fails where one of them would be called as it is."""
    (fast,) = compiled(calls, constants)
    assert hasattr(fast, "machine_code")
    return fast


def twice(
    calls: Calls, arrays: Sequence[np.ndarray], constants: Iterable[np.ndarray] = (), all: bool = True
) -> list[tuple[np.ndarray, np.ndarray]]:
    """What the memory of each array holds after the machine code, and after the calls, from the same beginning.

    Of views it is the whole memory behind them: what lies between and beside their elements must be left alone. `all`:
    False where some of the calls may be made as they are.
    """
    rooms = list({id(owner(x)): owner(x) for x in arrays}.values())
    before = [room.copy() for room in rooms]
    fast = [machine_code(calls, constants)] if all else compiled(calls, constants)
    for call in calls:
        call()
    right = [room.copy() for room in rooms]
    for room, old in zip(rooms, before, strict=True):
        room.flags.writeable = True
        room[...] = old
    for call in fast:
        call()
    return list(zip(rooms, right, strict=True))


def assert_bits(got: np.ndarray, right: np.ndarray, zeros: bool = True) -> None:
    """The same numbers, NaN in the same places; with `zeros` those have the same sign."""
    assert got.dtype == right.dtype
    np.testing.assert_array_equal(got, right)
    if zeros and got.dtype.kind == "f":
        numbers = ~np.isnan(right)
        np.testing.assert_array_equal(np.signbit(got)[numbers], np.signbit(right)[numbers])


@pytest.fixture(params=["this processor", "32 bytes", "16 bytes"])
def processors(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Code as it is written for this processor, and for those with shorter vectors and fewer registers."""
    if request.param != "this processor":
        monkeypatch.setattr(processor(), "vector", int(request.param.split()[0]))
        monkeypatch.setattr(processor(), "registers", 16)
    yield
