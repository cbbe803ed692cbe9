"""What goes wrong inside a layer, told with the layer's place: no raw broadcast error reaches a user."""

from __future__ import annotations

from typing import Any, NoReturn

from tinynn.errors import ShapeError, TinynnError
from tinynn.layer import Layer

__all__ = ["reraise"]


def reraise(error: Exception, layer: Layer, method: str, argument: Any) -> NoReturn:
    """Raises the error with its layer named; a ValueError, NumPy's word for shapes that clash, as a ShapeError."""
    if isinstance(error, TinynnError):
        raise error
    site = layer._built()
    shape = getattr(argument, "shape", ())
    if not isinstance(error, ValueError):
        error.add_note(f"raised in {method} of {layer.where}, whose first argument had the shape {shape}")
        raise error
    expected = site.output if method == "backward" else site.shapes[0]
    raise ShapeError(
        f"{method} of a layer failed: {error}",
        where=layer.where,
        expected=f"it to take an argument of shape (N{''.join(f', {size}' for size in expected)})",
        got=f"the error above, for an argument of shape {shape}",
        fix="make forward return what build promised; gradcheck(layer, shape) tests a layer by itself",
    ) from error
