"""Schedules: learning rates as functions of the step, which counts from 0.

An optimizer takes any function of that kind: `SGD(lr=lambda step: 0.1 / (1 + step))`. Those here can be pickled, print
as they were made, and hold nothing that changes: a run that goes on at step k needs to know k and no more.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tinynn.checks import finite_number, positive_integer

__all__ = ["cosine", "exponential", "one_cycle", "step_decay", "warm_up"]


class Schedule:
    """A function of the step; its settings are checked when it is made, and stay what they are.

    No dataclass: six of them take 2 ms of the import.
    """

    def _hold(self, **settings: Any) -> None:
        kind = type(self).__name__
        for name, value in settings.items():
            fix, bounds = f"{kind}({EXAMPLES[kind]})", BOUNDS.get(name)
            if bounds is None:
                value = positive_integer(value, f"{name} of {kind}", where=kind, fix=fix)
            elif name != "to" or not callable(value) or isinstance(value, type):
                value = finite_number(value, f"{name} of {kind}", where=kind, fix=fix, **bounds)
            self.__dict__[name] = value

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{self!r} stays what it is: make another {type(self).__name__}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))


BOUNDS = {
    "lr": {"above": 0.0},
    "to": {"above": 0.0},
    "peak": {"above": 0.0},
    "factor": {"above": 0.0},
    "rate": {"above": 0.0},
    "final": {"least": 0.0},
    "rise": {"above": 0.0, "below": 1.0},
    "start_divisor": {"above": 0.0},
    "final_divisor": {"above": 0.0},
}
EXAMPLES = {
    "step_decay": "0.1, factor=0.5, every=1000",
    "exponential": "0.1, rate=0.999",
    "cosine": "0.1, steps=5000",
    "one_cycle": "0.1, steps=5000",
    "warm_up": "0.1, steps=500",
}


class step_decay(Schedule):
    """lr(step) = lr factor^floor(step / every): a constant that falls every so many steps."""

    lr: float
    factor: float
    every: int

    def __init__(self, lr: float, factor: float, every: int) -> None:
        self._hold(lr=lr, factor=factor, every=every)

    def __call__(self, step: int) -> float:
        return self.lr * self.factor ** (step // self.every)


class exponential(Schedule):
    """lr(step) = lr rate^step."""

    lr: float
    rate: float

    def __init__(self, lr: float, rate: float) -> None:
        self._hold(lr=lr, rate=rate)

    def __call__(self, step: int) -> float:
        return self.lr * self.rate**step


class cosine(Schedule):
    """lr(step) = final + (lr - final) (1 + cos(pi step / steps)) / 2; from `steps` on it is `final`.

    Source: Loshchilov, Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017, without the restarts.
    """

    lr: float
    steps: int
    final: float

    def __init__(self, lr: float, steps: int, final: float = 0.0) -> None:
        self._hold(lr=lr, steps=steps, final=final)

    def __call__(self, step: int) -> float:
        return between(self.lr, self.final, step / self.steps)


class one_cycle(Schedule):
    """lr(step) rises in a half cosine from peak / start_divisor to peak, then falls in another one to almost nothing.

    The rise takes the share `rise` of the steps; the end, reached at step `steps` - 1 and kept from then on, is
    peak / start_divisor / final_divisor. The numbers are those of PyTorch's OneCycleLR, which counts in the same way.
    Source: Smith, Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates", 2018.
    """

    peak: float
    steps: int
    rise: float
    start_divisor: float
    final_divisor: float

    def __init__(
        self, peak: float, steps: int, rise: float = 0.3, start_divisor: float = 25.0, final_divisor: float = 1e4
    ) -> None:
        self._hold(peak=peak, steps=steps, rise=rise, start_divisor=start_divisor, final_divisor=final_divisor)

    def __call__(self, step: int) -> float:
        start, top, end = self.peak / self.start_divisor, self.rise * self.steps - 1, self.steps - 1
        if step < top:
            return between(start, self.peak, step / top)
        return between(self.peak, start / self.final_divisor, (step - top) / (end - top))


class warm_up(Schedule):
    """lr(step) = min(1, (step + 1) / steps) to(step): a number, or another schedule, reached in so many equal steps.

    The other schedule counts from the beginning of the warm-up, not from its end.
    Source: Goyal et al., "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour", 2017.
    """

    to: float | Callable[[int], float]
    steps: int

    def __init__(self, to: float | Callable[[int], float], steps: int) -> None:
        self._hold(to=to, steps=steps)

    def __call__(self, step: int) -> float:
        lr = self.to(step) if callable(self.to) else self.to
        return min(1.0, (step + 1) / self.steps) * lr


def between(first: float, last: float, share: float) -> float:
    """From first to last along half a cosine; `share` of the way, and last from 1 on."""
    return last + (first - last) * (1 + math.cos(math.pi * min(share, 1.0))) / 2
