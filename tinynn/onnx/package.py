"""The package onnx, asked for by the functions that need it, and what its files and this library agree on."""

from __future__ import annotations

from typing import Any

from tinynn.errors import MissingExtraError

__all__ = ["DILATED", "FIRST", "LARGEST", "LAST", "OPSET", "package"]

OPSET = 17
"""What `export` writes: the oldest that has LayerNormalization, and read by the runtimes since 2022."""

DILATED = 19
"""The first in which an average may be taken over a dilated window: written where a network has one."""

FIRST, LAST = 17, 24
"""The versions of ONNX's operators in which a file can be written; all the operators written mean the same in these."""

LARGEST = 2**31 - 1
"""Bytes: the limit of the protocol buffers that an ONNX file is."""


def package(purpose: str) -> Any:
    """The package onnx, `helper` and `numpy_helper` with it.

    Errors: MissingExtraError.
    """
    try:
        import onnx
        import onnx.numpy_helper
    except ImportError as error:
        raise MissingExtraError("onnx", extra="onnx", purpose=purpose) from error
    return onnx
