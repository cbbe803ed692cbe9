"""The devices that a test runs on: the one that is not there, and a GPU where there is one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinynn.backend import get_backend
from tinynn.specimen import Specimen
from tinynn.testing import FakeDevice

__all__ = ["DEVICES", "assert_as_on_numpy", "device_of", "gpu"]

DEVICES = ["fake", pytest.param("cupy", marks=pytest.mark.gpu)]


def gpu(**options: Any) -> Any:
    """The backend "cupy"; skips the test where there is no GPU."""
    cupy = pytest.importorskip("cupy", reason="needs CuPy and a GPU: CuPy is not installed")
    if not cupy.cuda.is_available():
        pytest.skip("needs a GPU: CuPy finds none")
    return get_backend("cupy", **options)


def device_of(name: str) -> Any:
    return FakeDevice() if name == "fake" else gpu()


def assert_as_on_numpy(case: Any, device: Any) -> None:
    """A layer's passes on the device give what they give on NumPy, in both dtypes. `case`: a layer and its inputs."""
    shapes = tuple(x.shape[1:] for x in case.inputs)
    for dtype, forward, backward in (("float64", 1e-12, 1e-10), ("float32", 1e-5, 1e-4)):
        xs = [x.astype(dtype) if x.dtype.kind == "f" else x for x in case.inputs]
        here, there = (Specimen(case.layer, shapes, ops, dtype) for ops in (get_backend("numpy"), device))
        dy = 0.7 if here.ends_in_loss else np.full((len(xs[0]), *here.layer._built().output), 0.7, dtype)
        a, b = here.run(xs, dy), there.run(xs, dy)
        pairs = [(a.y, b.y, forward), (here.predict(xs), there.predict(xs), forward)]
        pairs += [(value, b.gradients[name], backward) for name, value in a.gradients.items()]
        for one, other, rtol in pairs:
            assert one.dtype == other.dtype
            np.testing.assert_allclose(other, one, rtol=rtol, atol=rtol * max(1, np.abs(one).max(initial=0)))
