"""A verb on NumPy and on CUDA kernels, from the same memory: what both of them leave behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from cuda_emulator import EmulatedDevice, extent, on_device

from tinynn.backend import NumpyOps
from tinynn.network.recorder import owner

__all__ = ["DEVICES", "compare"]

HOST = NumpyOps()
DEVICES = {"as it is": EmulatedDevice(), "two blocks": EmulatedDevice(), "counts in 64 bits": EmulatedDevice()}
DEVICES["two blocks"].kernels.most = 2
DEVICES["counts in 64 bits"].kernels.wide = 0

NEAR = {np.dtype("float32"): 1e-6, np.dtype("float64"): 1e-12}


def compare(
    device: EmulatedDevice, verb: str, args: Sequence[Any], out: Sequence[int], *kernels: str, work: Sequence[int] = (),
    near: bool = False,
) -> None:  # fmt: skip
    """The verb launches these kernels, writes what NumPy's writes into args[i] for i in `out`, and nothing else.

    It has NumPy's bits, or with `near` what is near them, compared with the largest. `work`: may hold anything then.
    """
    results, already = [], len(device.launched)
    for ops in (HOST, device):
        held = [copy(x) if isinstance(x, np.ndarray) else x for x in args]
        given = [on_device(x) if ops is device and isinstance(x, np.ndarray) else x for x in held]
        with np.errstate(all="ignore"):
            result = getattr(ops, verb)(*given)
        assert result is None or any(result is given[i] for i in out)
        results.append(held)
    assert device.launched[already:] == list(kernels)
    for i, (before, right, got) in enumerate(zip(args, *results, strict=True)):
        if not isinstance(before, np.ndarray) or i in work:
            continue
        assert i in out or np.array_equal(owner(got), owner(before), equal_nan=before.dtype.kind == "f")
        if i not in out:
            continue
        finite = np.abs(right[np.isfinite(right)]).max(initial=0)
        # The memory behind it: what lies between and beside its elements is left alone.
        atol = NEAR[right.dtype] * finite if near else 0
        np.testing.assert_allclose(owner(got), owner(right), rtol=NEAR[right.dtype] if near else 0, atol=atol)


def copy(x: np.ndarray) -> np.ndarray:
    """The same view of a copy of the memory behind it."""
    room = owner(x)
    flat = room.copy(order="K").ravel(order="K")
    return np.ndarray(x.shape, x.dtype, flat, x.ctypes.data - extent(room)[0], x.strides) if x.size else x.copy()
