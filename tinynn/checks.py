"""Checks of single arguments, each of which returns the value in the type that the caller wants."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from tinynn.errors import ConfigurationError

__all__ = ["finite_number", "finite_numbers", "known_precision", "positive_integer", "whole_number"]

PRECISIONS = ("float32", "tf32", "bfloat16")


def positive_integer(value: Any, what: str, *, where: str, fix: str) -> int:
    """`value` as an int, if it is an integer of at least 1.

    Errors: ConfigurationError.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if number < 1 or isinstance(value, bool):
        raise ConfigurationError(
            f"{what} must be a positive integer", where=where, expected="an integer >= 1", got=repr(value), fix=fix
        )
    return number


def whole_number(value: Any, what: str, *, where: str, fix: str) -> int:
    """`value` as an int, if it is an integer of either sign.

    Errors: ConfigurationError.
    """
    try:
        return operator.index(value)
    except TypeError:
        raise ConfigurationError(
            f"{what} must be an integer", where=where, expected="an integer", got=repr(value), fix=fix
        ) from None


def finite_number(
    value: Any,
    what: str,
    *,
    where: str,
    fix: str,
    above: float = -math.inf,
    least: float = -math.inf,
    below: float = math.inf,
) -> float:
    """`value` as a Python float, if it is a finite number above `above`, at least `least` and below `below`.

    A Python float, because a NumPy scalar of another precision would promote the arrays it meets.
    Errors: ConfigurationError.
    """
    try:
        number = math.nan if isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (math.isfinite(number) and number > above and number >= least and number < below):
        bounds = f" > {above:g}" if above > -math.inf else f" >= {least:g}" if least > -math.inf else ""
        bounds += f"{' and' if bounds else ''} < {below:g}" if below < math.inf else ""
        raise ConfigurationError(
            f"{what} must be a finite number", where=where, expected=f"a number{bounds}", got=repr(value), fix=fix
        )
    return number


def finite_numbers(value: Any, what: str, *, where: str, fix: str) -> float | np.ndarray:
    """`value` as a Python float, or of an array, which has at least one axis, a copy in float64, if it is finite.

    Errors: ConfigurationError.
    """
    if not isinstance(value, np.ndarray) or not value.ndim:
        return finite_number(value, what, where=where, fix=fix)
    numbers = value.astype(np.float64) if value.dtype.kind in "biuf" else np.array([math.nan])
    if not np.isfinite(numbers).all():
        raise ConfigurationError(
            f"{what} must be finite numbers",
            where=where,
            expected="a number, or an array of finite numbers",
            got=f"{value.dtype} of shape {value.shape}, not all of them finite numbers",
            fix=fix,
        )
    return numbers


def known_precision(value: Any) -> str:
    """`value`, if it is a precision of products of float32 matrices.

    Errors: ConfigurationError.
    """
    if value not in PRECISIONS:
        raise ConfigurationError(
            "unknown precision of matrix products",
            where="precision",
            expected=" or ".join(map(repr, PRECISIONS)),
            got=repr(value),
            fix='net.build(shape, backend="cupy", precision="tf32")',
        )
    return value
