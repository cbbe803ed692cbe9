"""What surrounds the layers in a captured step: the rows whose turn it is, and the sums of an epoch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from tinynn.backend.verbs import Array, Verbs

__all__ = ["StepVerbs"]


class StepVerbs(Verbs, ABC):
    """A captured step makes the same calls each time; what changes lies on the device."""

    @abstractmethod
    def take(self, x: Array, rows: Array, out: Array) -> Array:
        """out = x[rows]: gathers a batch. `rows` must lie within x; the caller has made sure."""

    def take_turns(self, xs: Sequence[Array], order: Array, turn: Array, outs: Sequence[Array]) -> None:
        """out = x[order[turn]] for each x and out. As `take`, so an `out` may have a dtype of its own.

        Shapes: order (steps, N), whose rows lie within each x, all of one length; turn (1,), in 0..steps-1.
        """
        for x, out in zip(xs, outs, strict=True):
            self.take(x, self.xp.take(order, turn, axis=0).reshape(-1), out)

    def tally(self, loss: Array, scores: Array, labels: Array | None, sums: Array, counts: Array) -> None:
        """sums += (N loss, N); counts += (rows whose largest score is at the label, N, 1), without labels (0, 0, 1).

        Shapes: scores (N, ...), with labels (N, C); labels (N,), whole numbers; sums (2,), float64; counts (3,), int64.
        """
        xp, n = self.xp, len(scores)
        total, weight, right, counted, steps = sums[:1], sums[1:], counts[:1], counts[1:2], counts[2:]
        xp.add(total, xp.multiply(loss, n, dtype=sums.dtype), out=total)
        xp.add(weight, n, out=weight)
        xp.add(steps, 1, out=steps)
        if labels is not None:
            xp.add(right, (scores.argmax(axis=1) == labels).sum(), out=right)
            xp.add(counted, n, out=counted)
