"""The header of a file as JSON: strict, so that what is read is what was written."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["LONGEST", "from_json", "to_json"]

LONGEST = 1 << 20  # bytes: as Python objects they may take twenty times as many


def to_json(header: dict[str, Any]) -> bytes:
    """A header in ASCII, whatever characters are in its texts."""
    return json.dumps(header, allow_nan=False, separators=(",", ":")).encode()


def from_json(text: bytes) -> dict[str, Any]:
    """A header. Errors: ValueError for what is no JSON object, or has one name twice, or NaN, or no end of brackets."""
    try:
        header = json.loads(text.decode(), object_pairs_hook=once, parse_constant=refuse_constant)
    except RecursionError:
        raise ValueError("a header of brackets within brackets") from None
    if not isinstance(header, dict):
        raise ValueError("a header that is no JSON object")
    return header


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a header with one name twice")
    return found


def refuse_constant(name: str) -> Any:
    raise ValueError(f"a header with {name}, which is no JSON")
