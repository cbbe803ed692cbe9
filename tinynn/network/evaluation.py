"""How good a network is on a data set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinynn.backend import Array
from tinynn.checks import positive_integer
from tinynn.errors import StateError
from tinynn.network.inputs import find_nan, receive

__all__ = ["Evaluation", "check_targets", "evaluate"]


class Evaluation(NamedTuple):
    """The mean loss over a data set, and the share of rows whose highest score is right (NaN without labels)."""

    loss: float
    accuracy: float


def evaluate(net: Any, data: tuple[Array, ...], batch_size: int) -> Evaluation:
    """What `Network.evaluate` says, from inputs and targets.

    Errors: StateError, ShapeError, LabelError, DataError.
    """
    net._built()
    batch_size = positive_integer(batch_size, "batch_size", where=net.where, fix="leave it out, or 1024")
    loss = net.final_loss
    if loss is None:
        raise StateError(
            "this network does not end in a loss",
            where=net.where,
            expected="a loss such as SoftmaxCrossEntropy() as the last layer",
            got=repr(net),
            fix="add the loss; predict(x) is the same without one, but for the probabilities",
        )
    xs = receive(net, data, targets=True)
    to_host = net.ops.to_host
    check_targets(net, [to_host(t) for t in xs[len(net.input_names) :]])
    net._scratch.token = None
    total = weight = 0.0
    right = counted = 0
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(xs[0]), batch_size):
            scores, *targets = net.run_scores(tuple(x[start : start + batch_size] for x in xs))
            share = float(to_host(loss.total_weight(*targets)))
            total += float(to_host(loss.forward(scores, *targets)[0])) * share
            weight += share
            if (verdict := loss.verdict(scores, targets[0])) is not None:
                right += int(to_host((verdict == 1).sum()))
                counted += int(to_host((verdict >= 0).sum()))
    if math.isnan(total):
        find_nan(net, xs[: len(net.input_names)])
    return Evaluation(total / (weight or 1.0), right / counted if counted else float("nan"))


def check_targets(net: Any, targets: Sequence[np.ndarray]) -> None:
    """Looks at every target and weight, on the host.

    Errors: LabelError with the row and its value.
    """
    loss = net.final_loss
    for slot, values in zip(net.target_slots, targets, strict=False):
        if slot == 1:
            loss.check_targets(values, loss._built().shapes[0])
        else:
            loss.check_weights(values)
