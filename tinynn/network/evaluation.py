"""How good a network is on a data set."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import numpy as np

from tinynn.backend import Array
from tinynn.checks import positive_integer
from tinynn.errors import StateError
from tinynn.network.inputs import as_array, find_nan, receive, refuse_not_finite, refuse_rows
from tinynn.network.sources import Mapped, Source, check_targets, is_mapped, is_source

__all__ = ["Evaluation", "evaluate", "loss_of", "sums"]


class Evaluation(NamedTuple):
    """The mean loss over a data set, and the share of rows whose highest score is right (NaN without labels)."""

    loss: float
    accuracy: float

    @classmethod
    def of(cls, sums: np.ndarray) -> Self:
        """From the sum of losses, that of weights, how many rows are right, and how many were judged."""
        total, weight, right, counted = sums.tolist()
        return cls(total / (weight or 1.0), right / counted if counted else float("nan"))


def evaluate(net: Any, data: tuple[Array, ...], batch_size: int) -> Evaluation:
    """What `Network.evaluate` says, from inputs and targets.

    Errors: StateError, ShapeError, LabelError, DataError.
    """
    return Evaluation.of(sums(net, data, batch_size))


def sums(net: Any, data: tuple[Array, ...], batch_size: int, turn: tuple[int, int] = (0, 1)) -> np.ndarray:
    """Sum of losses, sum of weights, rows that are right, rows that were judged.

    `turn`: (k, n) looks at every n-th batch only, from number k on.
    """
    loss = loss_of(net, "this network does not end in a loss")
    batch_size = positive_integer(batch_size, "batch_size", where=net.where, fix="leave it out, or 1024")
    to_host = net.ops.to_host
    net._scratch.token = None
    total = weight = 0.0
    right = counted = 0
    with np.errstate(over="ignore", invalid="ignore"):
        for start, xs in blocks(net, data, batch_size, turn):
            scores, *targets = net.run_scores(xs)
            share = float(to_host(loss.total_weight(*targets)))
            part = float(to_host(loss.forward(scores, *targets)[0])) * share
            if math.isnan(part):
                explain_nan(net, xs, start)
            total += part
            weight += share
            if (verdict := loss.verdict(scores, targets[0])) is not None:
                right += int(to_host((verdict == 1).sum()))
                counted += int(to_host((verdict >= 0).sum()))
    return np.array([total, weight, right, counted])


def loss_of(net: Any, what: str) -> Any:
    """The loss that a built network ends in. Errors: StateError."""
    net._built()
    if net.final_loss is None:
        raise StateError(
            what,
            where=net.where,
            expected="a loss such as SoftmaxCrossEntropy() as the last layer",
            got=repr(net),
            fix="add the loss; predict(x) is the same without one, but for the probabilities",
        )
    return net.final_loss


def blocks(
    net: Any, data: tuple[Any, ...], batch_size: int, turn: tuple[int, int] = (0, 1)
) -> Iterator[tuple[int, tuple[Array, ...]]]:
    """The data by `batch_size` rows, and the number of the first of them; targets are looked at before they are met.

    `data`: arrays, or one source; that, and what lies in files, is read block by block.
    """
    source: Any = None
    if len(data) == 1 and is_source(data[0]):
        source = data[0]
    elif any(map(is_mapped, data)):
        source = mapped(net, data)
    if source is None:
        xs = receive(net, data, targets=True)
        check_targets(net, [net.ops.to_host(t) for t in xs[len(net.input_names) :]])
        for start in range(turn[0] * batch_size, len(xs[0]), turn[1] * batch_size):
            yield start, tuple([x[start : start + batch_size] for x in xs])
    else:
        checked = source if isinstance(source, Source) else Source(net, source, "evaluate", finite=False)
        for start in range(turn[0] * batch_size, len(checked), turn[1] * batch_size):
            rows = np.arange(start, min(start + batch_size, len(checked)))
            yield start, receive(net, checked.take(rows), targets=True)


def mapped(net: Any, data: tuple[Any, ...]) -> Mapped:
    """Arrays some of which lie in files, of one length, as a source.

    Errors: ShapeError, DataError for what no rows can be taken from.
    """
    arrays = [x if is_mapped(x) else as_array(net, x, "the data are", "rows of one length") for x in data]
    if any(x.ndim == 0 or len(x) != len(arrays[0]) for x in arrays):
        refuse_rows(net, arrays)
    receive(net, tuple([x[:1] for x in arrays]), targets=True)
    return Mapped([net.ops.to_host(x) for x in arrays])


def explain_nan(net: Any, xs: tuple[Array, ...], start: int) -> None:
    """Says where the NaN came from, if it came from an input or a parameter; rows count from `start`.

    Errors: DataError, StateError.
    """
    for x in xs[: len(net.input_names)]:
        host = net.ops.to_host(x)
        refuse_not_finite(host, host, "the input", f"input of {net.where}", net.dtype, start)
    find_nan(net, ())
