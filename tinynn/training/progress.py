"""What `fit` shows while it runs: a bar on a terminal, one line an epoch elsewhere, or nothing."""

from __future__ import annotations

import sys
from typing import Any

from tinynn.history import History

__all__ = ["Progress"]


class Progress:
    """`show` None: a bar where standard error is a terminal and tqdm is installed, lines otherwise. False: nothing."""

    def __init__(self, show: bool | None, epochs: int, steps: int) -> None:
        self.show, self.epochs, self.steps = show is not False, epochs, steps
        self.every = max(1, steps // 100)
        self.bar: Any = None
        self.tqdm: Any = None
        if self.show and sys.stderr.isatty():
            try:
                from tqdm import tqdm

                self.tqdm = tqdm
            except ImportError:  # a bar is a comfort: without it the lines say the same
                pass

    def start(self, epoch: int, done: int = 0) -> None:
        if self.tqdm is not None:
            desc = f"epoch {epoch + 1}/{self.epochs}"
            self.bar = self.tqdm(total=self.steps, initial=done, desc=desc, unit="step", leave=False)

    def step(self, number: int) -> None:
        """Called after every step; touches the bar a hundred times an epoch."""
        if self.bar is not None and number % self.every == 0:
            self.bar.update(self.every)

    def end(self, history: History | None) -> None:
        """Closes the bar and, for a finished epoch, prints its line."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
        if self.show and history is not None:
            print(history.line(self.epochs), file=sys.stderr, flush=True)
