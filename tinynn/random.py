"""Random numbers: every stream is a function of (seed, name), so nothing depends on who drew first.

NumPy's Philox is a counter-based generator: its streams are cheap to make and independent for different keys. No global
random state is read or touched.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011.
"""

from __future__ import annotations

import operator
import zlib

import numpy as np

from tinynn.errors import ConfigurationError

__all__ = ["generator"]


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """The stream of (seed, names): `generator(1, "0.W")` for a weight, `generator(1, "shuffle", 7)` for an epoch.

    Errors: ConfigurationError for a seed that is no integer >= 0.
    """
    try:
        number = operator.index(seed)
    except TypeError:
        number = -1
    if number < 0:
        raise ConfigurationError(
            "a seed that cannot be used",
            where="seed",
            expected="an integer >= 0",
            got=repr(seed),
            fix="seed=0; the same seed gives the same numbers",
        )
    # crc32 and not hash(): the latter differs from process to process.
    key = [zlib.crc32(name.encode()) if isinstance(name, str) else name for name in names]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(number, spawn_key=key)))
