"""What the page may send: exactly these fields of JSON, or a refusal with its HTTP status."""

from __future__ import annotations

import base64
import json
from typing import Any, NoReturn

import numpy as np

__all__ = ["LONGEST_BODY", "Refusal", "drawing", "parsed"]

SIDE = 1024  # pixels of a drawing
LONGEST_BODY = 1_500_000  # bytes: such a drawing in base64, and the rest


class Refusal(Exception):
    """A request that is answered with this status and one sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


def parsed(body: bytes) -> Any:
    """The JSON in a body. Errors: Refusal for what is none, and for a field that comes twice."""
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=once, parse_constant=refuse_constant)
    except (ValueError, RecursionError):  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise Refusal(400, "The body is not JSON.") from None


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field twice")
    return found


def refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def drawing(said: Any, classes: int | None = None) -> tuple[np.ndarray, int]:
    """The picture, uint8 (height, width), and the label, which is asked for where there are `classes`, else 0.

    `said`: {"width": 280, "height": 280, "pixels": base64 of the gray values, row by row}, and "label": 7.
    Errors: Refusal for fields that are missing, unknown, or of another kind.
    """
    fields = {"width", "height", "pixels"} | ({"label"} if classes is not None else set())
    if not isinstance(said, dict) or said.keys() != fields:
        raise Refusal(422, f"The body has to be an object with the fields {', '.join(sorted(fields))}, and no others.")
    width, height = (integer(said, name, 1, SIDE) for name in ("width", "height"))
    label = 0 if classes is None else integer(said, "label", 0, classes - 1)
    try:
        pixels = base64.b64decode(said["pixels"], validate=True)
    except (TypeError, ValueError):
        raise Refusal(422, "pixels has to be base64.") from None
    if not isinstance(said["pixels"], str) or len(pixels) != width * height:
        raise Refusal(422, f"pixels has to be {width * height} bytes, width times height, in base64.")
    return np.frombuffer(pixels, np.uint8).reshape(height, width), label


def integer(said: dict[str, Any], name: str, least: int, most: int) -> int:
    value = said[name]
    if type(value) is not int or not least <= value <= most:  # to Python True is an int, and 1.0 equals 1
        raise Refusal(422, f"{name} has to be an integer from {least} to {most}.")
    return value
