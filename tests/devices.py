"""The devices that a test runs on: the one that is not there, and a GPU where there is one."""

from __future__ import annotations

from typing import Any

import pytest

from tinynn.backend import get_backend
from tinynn.testing import FakeDevice

__all__ = ["DEVICES", "device_of", "gpu"]

DEVICES = ["fake", pytest.param("cupy", marks=pytest.mark.gpu)]


def gpu(**options: Any) -> Any:
    """The backend "cupy"; skips the test where there is no GPU."""
    cupy = pytest.importorskip("cupy", reason="needs CuPy and a GPU: CuPy is not installed")
    if not cupy.cuda.is_available():
        pytest.skip("needs a GPU: CuPy finds none")
    return get_backend("cupy", **options)


def device_of(name: str) -> Any:
    return FakeDevice() if name == "fake" else gpu()
