"""How much work a file may ask for in `build`, beyond what its own length pays for."""

from __future__ import annotations

import math
from typing import Any

from tinynn.errors import ConfigurationError
from tinynn.layers.pooling import AveragePool2D
from tinynn.layers.window import Window
from tinynn.site import Build, Shape

__all__ = ["Bounded", "effort"]

MOST = 2**20  # 250 convolutions, 3 x 3, of images of 1024 x 1024


class Bounded(Build):
    """A build in which layers that look at each row of an image, or each place of a window, may do so many times.

    Parameters need no bound of their own: they are compared with the arrays of the file.
    """

    left = MOST

    def reach(self, layer: Any, shapes: tuple[Shape, ...]) -> None:
        """Errors: ConfigurationError for one layer too many, or too large."""
        self.left -= effort(layer, shapes)
        if self.left < 0:
            raise ConfigurationError(
                "the images and windows of this network are larger than a file may ask for",
                where=repr(layer),
                expected=f"rows and places in windows that add up to {MOST:,} at most",
                got=f"images {', '.join(map(str, shapes))}",
                fix="build the network in code, then net.load(path)",
            )
        super().reach(layer, shapes)


def effort(layer: Any, shapes: tuple[Shape, ...]) -> int:
    """About how many Python objects the layer makes when it is built for these shapes."""
    window = vars(layer).get("window")
    if not isinstance(window, Window) or len(shapes) != 1 or len(shapes[0]) != 3:
        return 0
    total, places = math.prod(window.size), 1
    for k, length in enumerate(shapes[0][1:]):
        span, stride = (window.size[k] - 1) * window.dilation[k], window.stride[k]
        padded = length + (span if window.padding is None else sum(window.padding[k]))
        total += length * (span // stride + 2) + padded // stride
        places *= padded // stride + 1
    return total + (places // 8 if isinstance(layer, AveragePool2D) else 0)
