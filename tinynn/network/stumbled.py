"""What goes wrong inside a layer, told with the layer's place: no raw broadcast error reaches a user.

Nothing here runs in a step that goes well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from tinynn.errors import ConfigurationError, DeviceError, ShapeError, TinynnError
from tinynn.layer import Layer
from tinynn.losses import Loss

__all__ = ["BrokenPromise", "batch_shape", "explain_backward", "explain_forward", "reraise"]

PROTOCOL = (
    "tinynn.layer",
    "tinynn.network.sequential",
    "tinynn.network.graph",
)  # an error raised by these themselves is a layer's answer
RETURNS = {
    "forward": "forward(self, x) to return (y, cache); that of a loss takes (self, scores, targets), and weights=None "
    "where it is given weights",
    "predict": "predict(self, x) to return y, or forward(self, x) to return (y, cache)",
    "backward": "backward(self, dy, cache) to return dx, and that of a loss (dscores, None)",
}


class BrokenPromise(Exception):
    """The scores at the end are not of the shape that was built, though no layer complained."""


def explain_forward(
    error: Exception, layers: Sequence[Layer], failed: int, x: Any, argument: Any, method: str
) -> NoReturn:
    """Raises with the layer that is to blame named: not the one that stumbled, but the first that broke its promise.

    `failed`: the place of the layer that raised, `argument` what it was given. Where that is of a wrong shape, the
    layers below run once more, on the x that came in, to find out which of them gave it.
    """
    failed = min(failed, len(layers) - 1)
    if isinstance(error, BrokenPromise) or getattr(argument, "shape", None) != (
        len(x),
        *layers[failed]._built().shapes[0],
    ):
        for layer in layers[: failed + isinstance(error, BrokenPromise)]:
            if isinstance(layer, Loss):
                break
            y = layer.predict(x) if method == "predict" else layer.forward(x)[0]
            check_promise(layer, y, len(x), method)
            x = y
    reraise(error, layers[failed], method, argument)


def check_promise(layer: Layer, y: Any, rows: int, method: str) -> None:
    """Errors: ShapeError where y is not what the layer's `build` said it would be."""
    promised = layer._built().output
    if getattr(y, "shape", None) != (rows, *promised):
        raise ShapeError(
            f"{method} returned another shape than build promised",
            where=layer.where,
            expected=f"{(rows, *promised)}, each row as build returned it",
            got=shape_of(y),
            fix=f"correct {'forward' if method == 'predict' else method}, or what build returns",
        )


def explain_backward(error: Exception, layers: Sequence[Layer], failed: int, dy: Any) -> NoReturn:
    """Raises with the layer that is to blame named: the one above, if it handed down a gradient of a wrong shape."""
    layer = layers[failed]
    expected = layer._built().output
    shape = getattr(dy, "shape", None)
    if failed + 1 < len(layers) and not isinstance(error, TinynnError) and (not shape or shape[1:] != expected):
        raise ShapeError(
            "backward returned a gradient that does not have the shape of the layer's input",
            where=layers[failed + 1].where,
            expected=batch_shape(expected),
            got=shape_of(dy),
            fix="return dx, of x's shape; a loss returns (dscores, None)",
        ) from error
    reraise(error, layer, "backward", dy)


def reraise(error: Exception, layer: Layer, method: str, argument: Any) -> NoReturn:
    """Raises the error with its layer named; a ValueError, NumPy's word for shapes that clash, as a ShapeError."""
    if isinstance(error, TinynnError) and not isinstance(error, DeviceError):
        raise error
    site = layer._built()
    shape = getattr(argument, "shape", ())
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    if isinstance(error, TypeError | ValueError) and frame and frame.tb_frame.f_globals["__name__"] in PROTOCOL:
        raise ConfigurationError(
            f"{method} of a layer does not follow the protocol",
            where=layer.where,
            expected=RETURNS[method],
            got=str(error),
            fix="end forward with: return y, cache" if method != "backward" else "end backward with: return dx",
        ) from error
    if not isinstance(error, ValueError):
        if not getattr(error, "__notes__", None):  # the innermost layer has said it
            error.add_note(f"raised in {method} of {layer.where}, whose first argument had the shape {shape}")
        raise error
    expected = site.output if method == "backward" else site.shapes[0]
    raise ShapeError(
        f"{method} of a layer failed: {error}",
        where=layer.where,
        expected=f"it to take an argument of shape {batch_shape(expected)}",
        got=f"the error above, for an argument of shape {shape}",
        fix=f"correct {method} of this layer; gradcheck(layer, {', '.join(map(str, site.shapes))}) tests it by itself",
    ) from error


def shape_of(value: Any) -> str:
    """What came in place of an array of the right shape."""
    shape = getattr(value, "shape", None)
    return f"a {type(value).__name__}" if shape is None else f"an array of shape {shape}"


def batch_shape(shape: tuple[int, ...]) -> str:
    """(784,) -> "(N, 784)": how a batch of such examples is written in errors."""
    return f"(N, {', '.join(map(str, shape))})" if shape else "(N,)"
