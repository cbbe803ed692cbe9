"""What a run of `fit` measured."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

__all__ = ["History"]


class History:
    """One number per finished epoch in each list.

    `loss`, `accuracy`: over the training rows, as they were met during the epoch, so the network was still changing.
    `validation_loss`, `validation_accuracy`: after the epoch; empty without validation data. `seconds`: of the epoch's
    training, without the validation. Accuracies lie in 0..1, and are NaN where the targets are no labels.
    `stopped`: why the run ended: "finished", "early" (no better for `patience` epochs), "callback" (a callback
    returned True) or "interrupted" (Ctrl-C).
    """

    def __init__(
        self,
        loss: Iterable[float] = (),
        accuracy: Iterable[float] = (),
        validation_loss: Iterable[float] = (),
        validation_accuracy: Iterable[float] = (),
        seconds: Iterable[float] = (),
        stopped: str = "finished",
    ) -> None:
        self.loss, self.accuracy = list(loss), list(accuracy)
        self.validation_loss, self.validation_accuracy = list(validation_loss), list(validation_accuracy)
        self.seconds, self.stopped = list(seconds), stopped

    def __repr__(self) -> str:
        return f"History({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"

    def __len__(self) -> int:
        return len(self.loss)

    def line(self, epochs: int) -> str:
        """The latest epoch in one line."""
        parts = [f"epoch {len(self):>{len(str(epochs))}}/{epochs}", f"loss {self.loss[-1]:.4f}"]
        if not math.isnan(self.accuracy[-1]):
            parts.append(f"accuracy {self.accuracy[-1]:.4f}")
        if self.validation_loss:
            parts.append(f"validation loss {self.validation_loss[-1]:.4f}")
            if not math.isnan(self.validation_accuracy[-1]):
                parts.append(f"accuracy {self.validation_accuracy[-1]:.4f}")
        return "  ".join([*parts, f"{self.seconds[-1]:.2f} s"])

    def as_dict(self) -> dict[str, Any]:
        """The lists by name, ready for JSON."""
        return {name: value if name == "stopped" else list(value) for name, value in vars(self).items()}
