"""Threads that run the same machine code, each a part of it."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from tinynn.processors import processors

__all__ = ["available", "together"]

FOR_EVER = 2**62  # more arrivals than any barrier waits for
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def available() -> int:
    """How many threads may be used: as many as there are processors for this process, or fewer by the environment."""
    if sys.platform == "win32":  # the code that waits calls sched_yield
        return 1
    asked = [int(os.environ[name]) for name in VARIABLES if os.environ.get(name, "").isdecimal()]
    return max(1, min([processors(), *asked[:1]]))


@functools.cache
def helpers() -> ThreadPoolExecutor:
    """Threads that wait for work."""
    return ThreadPoolExecutor(max_workers=64, thread_name_prefix="tinynn")


if hasattr(os, "register_at_fork"):  # threads do not come along into a forked process
    os.register_at_fork(after_in_child=helpers.cache_clear)


def together(parts: int, call: Callable[..., Any], counter: np.ndarray, *arguments: Any) -> None:
    """call(part, *arguments) for all parts at once; `counter` is what their barriers count in."""
    counter[...] = 0
    others: list[Any] = []
    try:
        others += [helpers().submit(call, part, *arguments) for part in range(1, parts)]
        call(0, *arguments)
    except BaseException:  # such as Ctrl-C: the others must not wait for what will not come
        counter[...] = FOR_EVER
        raise
    finally:
        for other in others:
            other.result()
