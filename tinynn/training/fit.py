"""The training loop."""

from __future__ import annotations

import math
import time
from typing import Any, Protocol

import numpy as np

from tinynn.checks import positive_integer
from tinynn.errors import ConfigurationError, StateError
from tinynn.network import Network
from tinynn.random import generator
from tinynn.training.examples import checked
from tinynn.training.history import History
from tinynn.training.interrupt import Interruptible
from tinynn.training.progress import Progress
from tinynn.training.steps import steps_of
from tinynn.training.tally import Tally

__all__ = ["Optimizer", "fit"]


class Optimizer(Protocol):
    """Anything with `step(net)`, which updates `net.storage.params` from `net.storage.grads`."""

    def step(self, net: Network) -> None: ...


def fit(
    net: Network,
    optimizer: Optimizer,
    train: Any,
    *,
    epochs: int,
    batch_size: int = 32,
    validation: Any = None,
    patience: int | None = None,
    seed: int = 0,
    progress: bool | None = None,
    capture: bool = True,
) -> History:
    """For every batch of every epoch: forward, backward, step.

    `train`, `validation`: what `net.forward` takes: (x, targets), or (x, targets, weights of the rows); of a graph its
    inputs and then its targets. x (N, ...) as the network was built, targets as its loss takes them.
    All of it is checked before the first step. `seed` decides the order of the rows, a new one each epoch; the last
    batch may be smaller. `patience`: stop when the validation loss has not fallen for so many epochs, and go back to
    the parameters that had the lowest. `progress`: None shows a bar on a terminal and a line an epoch elsewhere;
    False shows nothing. `capture`: from its third batch on a step is replayed from the record of its array calls where
    that is known to give the same bits; False runs every step by the layers' own code. With backend="llvm" the record
    is compiled, and many steps are one call of about 20 ms. On a GPU a step is one CUDA graph from its second full
    batch on, or one RuntimeWarning says why not.

    Ctrl-C ends the run after the step or the call that it meets: the epochs so far are returned, the network keeps what
    it has learned.
    Errors: TinynnError of the kind that fits; StateError when the loss or a parameter is no longer finite, and the
    parameters are then those from before that epoch.
    """
    epochs = positive_integer(epochs, "epochs", where="fit", fix="fit(..., epochs=10)")
    batch_size = positive_integer(batch_size, "batch_size", where="fit", fix="fit(..., batch_size=32)")
    if patience is not None:
        patience = positive_integer(patience, "patience", where="fit", fix="fit(..., patience=3)")
        if validation is None:
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
    data = checked(net, train, "train")
    if validation is not None:
        validation = checked(net, validation, "validation")

    history, storage = History(), net.storage
    shown = Progress(progress, epochs, steps=-(-len(data[0]) // batch_size))
    lowest, best = math.inf, None
    # A run that overflows is told of once, as a StateError, and not by a warning from within a layer.
    recorded = steps_of(net, optimizer, data, batch_size, capture)
    with np.errstate(over="ignore", invalid="ignore"), Interruptible() as run, recorded as steps:
        for epoch in range(epochs):
            before = storage.params.copy(), storage.state.copy()
            order = generator(seed, "shuffle", epoch).permutation(len(data[0]))
            tally = Tally(net)
            shown.start(epoch)
            started = time.perf_counter()
            for number in steps(order, tally):
                shown.step(number)
                if run.asked:
                    break
            net.ops.wait()
            seconds = time.perf_counter() - started
            if run.asked:
                history.stopped = "interrupted"
                shown.end(None)
                break
            largest = float(net.ops.to_host(abs(storage.params).max())) if storage.params.size else 0.0
            if not (math.isfinite(tally.loss()) and math.isfinite(largest)):
                storage.params[...], storage.state[...] = before
                shown.end(None)
                raise StateError(
                    f"the run diverged in epoch {epoch + 1}",
                    where=f"fit, epoch {epoch + 1}; the parameters are those from before it",
                    expected="a finite loss and finite parameters",
                    got=f"a loss of {tally.loss()}, a largest parameter of {largest}",
                    fix="a smaller learning rate, or inputs of smaller size (Rescale)",
                )
            history.loss.append(tally.loss())
            history.accuracy.append(tally.accuracy())
            history.seconds.append(seconds)
            if validation is not None:
                result = net.evaluate(*validation)
                history.validation_loss.append(result.loss)
                history.validation_accuracy.append(result.accuracy)
                if patience is not None and result.loss < lowest:
                    lowest, best = result.loss, (epoch, storage.params.copy(), storage.state.copy())
            shown.end(history)
            if patience is not None and best is not None and epoch - best[0] >= patience:
                history.stopped = "early"
                break
    if best is not None:
        storage.params[...], storage.state[...] = best[1:]
    return history
