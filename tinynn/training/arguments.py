"""What `fit` is given besides the data, or why it cannot be used."""

from __future__ import annotations

from typing import Any

from tinynn.checks import positive_integer
from tinynn.errors import ConfigurationError

__all__ = ["check_arguments"]


def check_arguments(
    optimizer: Any,
    validation: Any,
    checkpoint: Any,
    resume: bool,
    finite: str,
    callbacks: Any,
    order: Any,
    **counts: Any,
) -> None:
    """`counts`: integers >= 1 by name; None where none is asked for.

    Errors: ConfigurationError.
    """
    for name, value in counts.items():
        if value is not None or name in ("epochs", "batch_size", "keep"):
            positive_integer(value, name, where="fit", fix=f"fit(..., {name}={EXAMPLES[name]})")
    if counts["patience"] is not None and validation is None:
        raise ConfigurationError(
            "patience needs data to watch",
            where="fit",
            expected="validation=(x, targets)",
            got="validation=None",
            fix="fit(..., validation=(x, targets), patience=3)",
        )
    if isinstance(optimizer, type) or not callable(getattr(optimizer, "step", None)):
        raise ConfigurationError(
            "fit needs an optimizer",
            where="fit",
            expected="an object with step(net), such as SGD(0.1)",
            got=repr(optimizer),
            fix="fit(net, SGD(0.1), train, ...)",
        )
    if finite not in ("epoch", "step"):
        raise ConfigurationError(
            "there is nothing of that name after which fit looks for NaN and Inf",
            where="fit",
            expected='finite="epoch" or "step"',
            got=repr(finite),
            fix='finite="step"; with tinynn.check_finite() looks at every array of what you call yourself',
        )
    try:
        others = [callback for callback in callbacks if not callable(callback)]
    except TypeError:
        others = [callbacks]
    if others:
        raise ConfigurationError(
            "this cannot be called after an epoch",
            where="fit, callbacks",
            expected="functions that take the history",
            got=repr(others[0]),
            fix="fit(..., callbacks=[lambda history: history.loss[-1] < 0.01])",
        )
    if order is not None and not callable(order):
        raise ConfigurationError(
            "the order of the rows is a function of the epoch",
            where="fit, order",
            expected="a function that takes the number of the epoch and returns those of the rows",
            got=repr(order)[:200],
            fix="order=lambda epoch: rows",
        )
    if checkpoint is None:
        for name, asked in (("every", counts["every"] is not None), ("resume", resume)):
            if asked:
                raise ConfigurationError(
                    f"{name} is about checkpoints, and there are none",
                    where="fit",
                    expected="a folder for them",
                    got="checkpoint=None",
                    fix=f'fit(..., checkpoint="checkpoints", {name}={EXAMPLES.get(name, True)})',
                )
    elif not all(callable(getattr(optimizer, name, None)) for name in ("state", "load_state")):
        raise ConfigurationError(
            "an optimizer whose state cannot be kept in a checkpoint",
            where="fit, checkpoint",
            expected="state(), which returns a dictionary of arrays and numbers, and load_state(dictionary)",
            got=repr(optimizer),
            fix="class Mine(tinynn.Optimizer), which has both; or define them",
        )


EXAMPLES = {"epochs": 10, "batch_size": 32, "patience": 3, "every": 1000, "keep": 3}
