"""How training went: loss and accuracy against the epoch."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from tinynn.errors import ConfigurationError
from tinynn.history import History
from tinynn.pictures.figure import BLUE, PLAIN, VERMILION, new_figure, tidy, write

__all__ = ["curve_figure", "learning_curve"]


def learning_curve(
    history: History, path: str | os.PathLike[str], *, title: str | None = None, validation: str = "validation"
) -> Path:
    """Draws loss, and accuracy where there is one, against the epoch; for training and for validation data.

    `validation`: what the legend calls the validation data ("test", say). The loss has a logarithmic scale when it
    falls below a tenth of where it began.

    Errors: ConfigurationError for a history without epochs, MissingExtraError, DataError when the file cannot be
    written.
    """
    return write(curve_figure(history, title, validation), path)


def curve_figure(history: History, title: str | None = None, validation: str = "validation") -> Any:
    """The figure of `learning_curve`."""
    if not len(history):
        raise ConfigurationError(
            "a learning curve needs at least one finished epoch",
            where="learning_curve",
            expected="a history with epochs",
            got="none",
            fix="train for an epoch: history = fit(...)",
        )
    panels = [("loss", history.loss, history.validation_loss)]
    if not all(math.isnan(value) for value in history.accuracy):
        panels.append(("accuracy in %", percent(history.accuracy), percent(history.validation_accuracy)))
    figure = new_figure(4.4 * len(panels) + 0.4, 3.8, title)
    figure.get_layout_engine().set(wspace=0.06)
    epochs = range(1, len(history) + 1)
    few = {"marker": "o", "markersize": 4} if len(history) <= 30 else {}
    every = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (name, trained, validated) in zip(every, panels, strict=True):
        axes.plot(epochs, trained, color=BLUE, label="training", **few)
        if validated:
            axes.plot(epochs[-len(validated) :], validated, color=VERMILION, label=validation, **few)
        if name == "loss" and min(trained) > 0 and min(trained) < 0.1 * max(trained):
            logarithmic(axes)
        tidy(axes, "epoch", name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(color="#dddddd", linewidth=0.8)
    # Below the panels and once for both: within them, some curve sooner or later runs through it.
    curves, labels = every[0].get_legend_handles_labels()
    legend = figure.legend(curves, labels, frameon=False, fontsize=10, loc="outside lower center", ncols=2)
    for text in legend.get_texts():
        text.set(**PLAIN)
    return figure


def logarithmic(axes: Any) -> None:
    """A logarithmic scale with plain numbers, 0.05 and not 5 x 10^-2; where there is room, also between the decades."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if high < 1000 * low:
        axes.yaxis.get_major_locator().set_params(subs=(1, 2, 5))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")


def percent(shares: list[float]) -> list[float]:
    """0..1 as 0..100."""
    return [100 * share for share in shares]
