"""The step of an epoch in which a NaN or Inf was born, found by making the epoch's steps again."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.errors import NonFiniteError, StateError
from tinynn.network import Network
from tinynn.network.blame import first_bad, made
from tinynn.network.finite import check_finite

__all__ = ["Watch", "born", "not_finite", "retold"]

SHOWN = 6  # row numbers in an error


def not_finite(net: Network, loss: Any) -> bool:
    """Whether, after `backward`, the loss or an element of a gradient is NaN or Inf: the host reads one number."""
    return unsound(net, net.storage.grads, loss)


def born(net: Network, optimizer: Any, batches: Any, order: Any) -> NonFiniteError | None:
    """The error that names step, layer, array and element of an epoch's first NaN or Inf; None if no step goes wrong.

    `net`, `optimizer`: as they were when the epoch began. They are left in mid-epoch: the caller puts them back.
    `order`: the epoch's rows, `batches.batch_size` of them a step. The steps are made by the layers' own code, and
    after each loss, gradients, parameters and states are looked at. The one that goes wrong is made once more, with
    every array between the layers looked at.
    """
    storage, size = net.storage, batches.batch_size
    params, state = storage.params.copy(), storage.state.copy()  # rooms for those at the beginning of a step
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            params[...], state[...] = storage.params, storage.state
            try:
                one_step(net, optimizer, batches.gather(rows), params, state)
            except NonFiniteError as error:
                return placed(error, net, start // size + 1, rows)
    return None


def one_step(net: Network, optimizer: Any, batch: tuple[Any, ...], params: Any, state: Any) -> None:
    """Forward, backward, update, looked at from outside; `params`, `state`: copies of those that the step begins with.

    Errors: NonFiniteError.
    """
    storage = net.storage
    loss, cache = net.forward(*batch)
    net.backward(1.0, cache)
    if not_finite(net, loss):
        storage.state[...] = state
        look_inside(net, batch)
    lr = getattr(optimizer, "lr", None)
    optimizer.step(net)
    if not (unsound(net, storage.params) or unsound(net, storage.state)):
        return
    arrays = {**storage.parameters, **storage.states}
    found = {name: bad for name, array in arrays.items() if (bad := first_bad(net.ops, array))}
    storage.params[...], storage.state[...] = params, state
    look_inside(net, batch)  # it is the update's doing only if it began in no layer
    largest = float(net.ops.to_host(abs(storage.grads).max())) if storage.grads.size else 0.0
    name, bad = next(iter(found.items()))
    layer, _, array = name.rpartition(".")
    given = f"the largest gradient is {largest:.6g}, the learning rate {lr}"
    raise made("update", array, bad, layer=layer, where=storage.homes[name], given=given)


def look_inside(net: Network, batch: tuple[Any, ...]) -> None:
    """Forward and backward, with every array between the layers looked at.

    Errors: NonFiniteError.
    """
    with check_finite():
        _, cache = net.forward(*batch)
        net.backward(1.0, cache)


def unsound(net: Network, vector: Any, number: Any = 0.0) -> bool:
    """Whether there is a NaN or Inf in a flat vector, or the number is one."""
    ops = net.ops
    with np.errstate(over="ignore", invalid="ignore"):
        # If the sum of their squares is finite then so are all elements, at half the price of a look at each.
        total = ops.square_sum(vector, out=ops.xp.empty((), vector.dtype)) + number * 0.0
        if np.isfinite(ops.to_host(total)):
            return False
    return first_bad(ops, vector) is not None or first_bad(ops, number) is not None


def placed(error: NonFiniteError, net: Network, step: int | None, rows: np.ndarray) -> NonFiniteError:
    """The same error, whose `where` says in which step, with which rows, and which of them it is, too."""
    where = f"{error.where}; {f'step {step} of the epoch ' if step else ''}(rows {few(rows)})"
    declared = dict(net.walk())[error.layer]._built().declared
    own = {*declared, *(f"d{name}" for name in declared)}
    if error.index and error.array not in own:  # what flows between layers has the batch as its first axis
        where += f", row {rows[error.index[0]]} of the data"
    return retold(error, error.what, where)


def retold(error: NonFiniteError, what: str, where: str) -> NonFiniteError:
    """The same error in other words."""
    twin = NonFiniteError(what, where=where, expected=error.expected, got=error.got, fix=error.fix)
    for name in ("layer", "phase", "array", "index", "value"):
        setattr(twin, name, getattr(error, name))
    return twin.with_traceback(error.__traceback__)


class Watch:
    """`before()` and `after(loss, batch, rows)` of every step, between which its gradients are written.

    Errors: NonFiniteError where loss or gradients are not finite; parameters and states are then as they were before.
    """

    def __init__(self, net: Network) -> None:
        self.net = net
        self.state = net.storage.state.copy()

    def before(self) -> None:
        """What the step will change is kept."""
        self.state[...] = self.net.storage.state

    def after(self, loss: Any, batch: tuple[Any, ...], rows: np.ndarray) -> None:
        """A look at the step; the update is still to come."""
        if not not_finite(self.net, loss):
            return
        state, number = self.net.storage.state, float(self.net.ops.to_host(loss))  # now: the loss is borrowed
        state[...] = self.state
        try:
            look_inside(self.net, batch)
        except NonFiniteError as error:
            raise placed(error, self.net, None, rows) from None
        finally:
            state[...] = self.state
        raise StateError(
            "loss or gradients are not finite, but they are when the step is made again by the layers' own code",
            where=f"rows {few(rows)}",
            expected="the same step, whatever makes it",
            got=f"a loss of {number}",
            fix="fit(..., capture=False); if that helps, it is a mistake of tinynn's",
        )


def few(rows: np.ndarray) -> str:
    """The numbers of the first rows."""
    text = ", ".join(map(str, rows[:SHOWN].tolist()))
    return f"{text}, ... {len(rows)} of them" if len(rows) > SHOWN else text
