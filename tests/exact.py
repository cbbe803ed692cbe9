"""Results in decimal arithmetic of 60 digits, and how far floats are from them."""

from __future__ import annotations

import decimal
from collections.abc import Iterator, Sequence
from decimal import Decimal

import numpy as np
import pytest

__all__ = ["ULPS", "exact", "sixty_digits", "ulps"]

ULPS = 8


@pytest.fixture
def sixty_digits() -> Iterator[None]:
    with decimal.localcontext() as context:
        context.prec, context.Emin, context.Emax = 60, decimal.MIN_EMIN, decimal.MAX_EMAX
        context.clear_traps()
        yield


def exact(values: np.ndarray) -> list[Decimal]:
    return [Decimal(float(value)) for value in values.ravel()]


def ulps(got: np.ndarray, right: Sequence[Decimal]) -> float:
    """The largest error, in units of the last place that the right value has in the format of `got`."""
    assert np.isfinite(got).all()
    worst = Decimal(0)
    for value, reference in zip(exact(got), right, strict=True):
        unit = Decimal(float(np.spacing(abs(got.dtype.type(reference)))))
        worst = max(worst, abs(value - reference) / unit)
    return float(worst)
