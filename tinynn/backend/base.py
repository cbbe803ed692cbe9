"""What a backend is: an array module `xp` and the verbs, each with its contract and its reference in terms of `xp`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinynn.backend.activation_verbs import ActivationVerbs
from tinynn.backend.normal_verbs import NormalVerbs
from tinynn.backend.random_verbs import RandomVerbs
from tinynn.backend.softmax_verbs import SoftmaxVerbs
from tinynn.backend.step_verbs import StepVerbs
from tinynn.backend.update_verbs import UpdateVerbs
from tinynn.backend.verbs import Array, straight, whole
from tinynn.backend.window_verbs import WindowVerbs

__all__ = ["Array", "Ops"]


class Ops(ActivationVerbs, NormalVerbs, RandomVerbs, SoftmaxVerbs, StepVerbs, UpdateVerbs, WindowVerbs, ABC):
    """All verbs. A backend overrides those that its device does better, never what they mean."""

    # --- memory

    @abstractmethod
    def asarray(self, x: Any, dtype: Any = None) -> Array:
        """x on this device, in `dtype` if one is named, in the machine's byte order; no copy where none is needed."""

    @abstractmethod
    def to_host(self, x: Array) -> np.ndarray:
        """x as a NumPy array."""

    def wait(self) -> None:
        """Returns when the device has done what it was asked; at once where a call is done when it returns."""

    @abstractmethod
    def zeros(self, size: int, dtype: Any) -> Array:
        """A flat array of zeros whose first element begins a cache line."""

    @whole
    def look_up(self, x: Array, rows: Array, out: Array) -> Array:
        """out = x[rows], for rows of any shape. Errors: IndexError for one outside x where the device notices it."""
        return x.take(rows, axis=0, out=out)

    @whole
    def look_up_backward(self, dy: Array, rows: Array, out: Array) -> Array:
        """out[v] = the sum of dy over the places where `rows` is v."""
        out[...] = 0
        self.xp.add.at(out, rows.reshape(-1), dy.reshape(-1, *out.shape[1:]))
        return out

    @straight
    def check_labels(self, labels: Array, classes: int) -> None:
        """Errors: IndexError for a label outside 0..classes-1, where one can look without waiting for the device."""

    # --- matrix products

    @straight
    def matmul(self, a: Array, b: Array, out: Array) -> Array:
        """out = a @ b, all of them of one float dtype and two axes."""
        return self.xp.matmul(a, b, out=out)

    @straight
    def affine(self, x: Array, W: Array, b: Array, out: Array) -> Array:
        """out = x @ W + b. Shapes: x (N, D), W (D, M), b (M,), out (N, M)."""
        self.matmul(x, W, out=out)
        return self.xp.add(out, b, out=out)

    @straight
    def sum_rows(self, x: Array, out: Array) -> Array:
        """out = the sum of the rows of x. Shapes: x (N, M), out (M,)."""
        return self.xp.sum(x, axis=0, out=out)

    def square_sum(self, x: Array, out: Array) -> Array:
        """out = the sum of x^2 over all elements; out has no axes."""
        return self.xp.sum(self.xp.multiply(x, x), out=out)

    # --- capture

    captures = False
    """Whether `capture_step` keeps what a step asks of the device, whatever code asks for it."""

    def capture_step(self, step: Callable[[], Any], between: Callable[[], Any], several: int = 1) -> Any:
        """The step as an object with `launch(count)`, which makes it again. `between` is called after it was made.

        The step is called twice, the second time without effect; with `several` as many times more. So many launches
        are faster together.
        Errors: those of the step, and of the device for what it cannot keep.
        """
        raise NotImplementedError

    records = False
    """Whether calls of `xp` and of the verbs may be recorded, to be made again without the layers."""

    def capture(self, calls: Sequence[Callable[[], Any]]) -> Sequence[Callable[[], Any]]:
        """Recorded calls in the form in which this backend makes them again the fastest."""
        return calls

    def capture_run(
        self,
        gathers: Sequence[tuple[Array, Array]],
        calls: Sequence[Callable[[], Any]],
        update: tuple[str, Sequence[Any]],
        loss: tuple[Array, Array],
        judged: tuple[Array, Array, Array] | None,
    ) -> Any:
        """Whole steps of training as one call, run(arrays, order, numbers); None where the backend has no such thing.

        A step gathers rows (x, out) of arrays, makes the calls, then the update: the name of a verb and its arguments.
        `loss`: a step's loss, and the sum that it is added to, times the rows. `judged`: scores, labels, and the count
        to which the rows are added whose largest score is at the label.
        `arrays`: in the place of those that were gathered from, and like them; `order`: the rows of the steps, one step
        behind the other; `numbers`: run.numbers(verb, arguments) of each step, or of one for all.
        """
        return None
