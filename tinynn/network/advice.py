"""What is plainly wrong in a training step, and what to do about it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from tinynn.network.explanation import LayerStep

__all__ = ["advice"]

VANISHING, EXPLODING = 1e-3, 1e3  # the gradient at a layer, beside that at the scores
SLOW, FAST = 1e-5, 1e-1  # |step| / |W|; a hundredth and a hundred times of what is usual
USUAL = 1e-3
SMALLER = "a smaller learning rate, or inputs of smaller size (Rescale)"


def advice(loss: float, layers: Sequence[LayerStep]) -> Iterator[str]:
    """A line for each thing that is wrong; what follows from one that was told is not told again.

    Source: the bounds are a hundred times either side of the rule of thumb in CS231n, "Ratio of weights:updates".
    """
    broken = first_broken(layers)
    if broken is not None or not math.isfinite(loss):
        name = "the loss" if broken is None else named(broken)
        yield f"{name}: NaN or Inf. with tinynn.check_finite(): names the first array and element that is not finite."
        return
    dead = [layer for layer in layers if layer.dead is not None and layer.units and layer.dead == layer.units]
    flat = [layer for layer in layers if layer.saturated and layer.saturated == layer.units]
    if dead:
        yield (
            f"{named(dead[0])}: {every(dead[0])} puts out 0 for every row, so nothing below it learns. "
            "A smaller learning rate from the start, weights by init.he, inputs of size 1 (Rescale), or LeakyReLU."
        )
    elif flat:
        yield (
            f"{named(flat[0])}: {every(flat[0])} is flat for every row, its slope below 0.01, so little is learned "
            "below it. Smaller weights (init.lecun, init.glorot) or inputs of smaller size (Rescale)."
        )
    else:
        yield from flow(layers)
    yield from updates(layers)


def flow(layers: Sequence[LayerStep]) -> Iterator[str]:
    """Whether the gradient shrinks or grows on its way down, by what reaches the lowest layer that learns."""
    top = max((layer.dx for layer in layers if layer.output == () and layer.dx), default=0.0)
    learning = [layer for layer in layers if layer.parameters and layer.dy is not None]
    if not top or not learning:
        return
    lowest = min(learning, key=lambda layer: layer.dy or 0.0)
    share = (lowest.dy or 0.0) / top
    if share < VANISHING:
        yield (
            f"{named(lowest)}: the gradient vanishes, {share:.1g} of that at the scores arrives. ReLU in place of "
            "sigmoids, fewer layers, BatchNorm(), Residual(...), or larger weights at the start."
        )
    highest = max(learning, key=lambda layer: layer.dy or 0.0)
    share = (highest.dy or 0.0) / top
    if share > EXPLODING:
        yield (
            f"{named(highest)}: the gradient explodes, {share:.1g} times that at the scores arrives. Smaller weights "
            "at the start (init.he, init.glorot), BatchNorm(), or clip_norm=1.0 in the optimizer."
        )


def updates(layers: Sequence[LayerStep]) -> Iterator[str]:
    """Whether weights move much too far, or hardly at all, in the step."""
    ratios = {part.name: part.ratio for layer in layers for part in layer.arrays if part.decay and part.ratio}
    for names, fix in (
        ([name for name, ratio in ratios.items() if ratio > FAST], SMALLER),
        ([name for name, ratio in ratios.items() if ratio < SLOW], "a larger learning rate"),
    ):
        if names:
            shown = ", ".join(f"{name} by {ratios[name]:.1g}" for name in names[:3])
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            yield f"one step moves {shown} times its length{more}, where {USUAL:g} is usual: {fix}."


def first_broken(layers: Sequence[LayerStep]) -> LayerStep | None:
    """The layer where a number that is not finite was met first: on the way down to the loss, then on the way back."""
    for layer in layers:
        if not math.isfinite(layer.minimum + layer.maximum) and layer.units:
            return layer
    for layer in reversed(layers):
        back = (layer.dy or 0.0, layer.dx or 0.0, *(part.gradient for part in layer.arrays))
        if not all(map(math.isfinite, back)):
            return layer
    return None


def named(layer: LayerStep) -> str:
    return f"layer {layer.path}, {layer.layer}"


def every(layer: LayerStep) -> str:
    return "its only unit" if layer.units == 1 else f"each of its {layer.units} units"
