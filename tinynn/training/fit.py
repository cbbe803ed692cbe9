"""The training loop."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tinynn.errors import StateError
from tinynn.history import History
from tinynn.network import Network
from tinynn.network.finite import CHECKING
from tinynn.training.arguments import check_arguments
from tinynn.training.course import Course
from tinynn.training.examples import checked
from tinynn.training.finite import Watch, born, retold
from tinynn.training.interrupt import Interruptible
from tinynn.training.order import Order, order_of
from tinynn.training.progress import Progress
from tinynn.training.steps import Steps, steps_of

if TYPE_CHECKING:
    from tinynn.training.keeper import Keeper

__all__ = ["Optimizer", "fit"]

PATIENCE = 600.0  # seconds of an epoch up to which its steps are made again, to find where it went wrong


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
    order: Callable[[int], Any] | None = None,
    progress: bool | None = None,
    capture: bool = True,
    checkpoint: str | os.PathLike[str] | None = None,
    every: int | None = None,
    keep: int = 3,
    resume: bool = False,
    finite: str = "epoch",
    callbacks: Sequence[Callable[[History], Any]] = (),
    report: str | os.PathLike[str] | None = None,
) -> History:
    """For every batch of every epoch: forward, backward, step.

    `train`, `validation`: what `net.forward` takes: (x, targets), or (x, targets, weights of the rows); of a graph its
    inputs and then its targets. x (N, ...) as the network was built, targets as its loss takes them. Or an object with
    `len()` and `take(rows)`, which returns that for those rows, such as `datasets.shards(folder)`. Arrays are checked
    before the first step; rows of such an object, and of memory-mapped files, as they come.

    `seed` decides the order of the rows, a new one each epoch; the last batch may be smaller. `order`: a function that
    decides it instead: order(epoch), epochs counted from 0, returns the numbers of as many rows as there are, in the
    order of their steps; order=lambda epoch: range(n) leaves them as they are given. `patience`: stop when the
    validation loss has not fallen for so many epochs, and go back to the parameters that had the lowest. `progress`:
    None shows a bar on a terminal and a line an epoch elsewhere; False shows nothing.

    `capture`: from its third batch on a step is replayed from the record of its array calls where that is known to give
    the same bits; False runs every step by the layers' own code. With backend="llvm" the record is compiled, and many
    steps are one call of about 20 ms. On a GPU a step is one CUDA graph from its second full batch on, or one
    RuntimeWarning says why not.

    `checkpoint`: a folder for checkpoints, of which the last `keep` stay: one at the end of each epoch, after `every`
    so many steps, and where the run is interrupted. `resume`: go on from the newest one that is whole, in mid-epoch
    too, to the bit as the run would have gone; a RuntimeWarning says what is not as it was (another BLAS, other
    threads, versions, settings) where that cannot be had. Without a checkpoint yet the run begins. `tinynn.load` reads
    the network of a checkpoint.

    `finite`: loss and parameters are looked at after each "epoch", and where they are not finite its steps are made
    again to find the layer, array and element where the first NaN or Inf was born; "step" looks at loss and gradients
    of each step before it updates anything, and takes one step at a time.

    `callbacks`: each is called with the history after each whole epoch and its validation; the run ends with an epoch
    after which one of them returned True.

    `report`: an HTML page, all in one file, that is written after each epoch and at the end, so that one can watch the
    run: settings, curves, mistakes, first weights, and `net.explain` of the last batch. It needs the extra `plot`.
    Where epochs are shorter than the writing, not after each of them: it takes a third of the time at most.

    Ctrl-C ends the run after the step or the call that it meets: the epochs so far are returned, the network keeps what
    it has learned. With `checkpoint` so does SIGTERM, which then takes its course.
    Errors: TinynnError of the kind that fits; NonFiniteError, a StateError, for what is no longer finite: network and
    optimizer are then as they were before that epoch, or with finite="step" before that step. DataError for a
    checkpoint that cannot be written or read.
    """
    counts = {"epochs": epochs, "batch_size": batch_size, "patience": patience, "every": every, "keep": keep}
    check_arguments(optimizer, validation, checkpoint, resume, finite, callbacks, order, **counts)
    data = checked(net, train, "train")
    if validation is not None:
        validation = checked(net, validation, "validation")
    rows, course = len(data[0]), Course(net, optimizer)
    shown = Progress(progress, epochs, steps=-(-rows // batch_size))
    recorded = steps_of(net, optimizer, data, batch_size, capture and not CHECKING.get())
    # A run that overflows is told of once, as a StateError, and not by a warning from within a layer.
    with (
        np.errstate(over="ignore", invalid="ignore"),
        Interruptible(terminable=checkpoint is not None) as run,
        recorded as steps,
        contextlib.ExitStack() as stack,
    ):
        steps.watch = Watch(net) if finite == "step" else None
        keeper = None
        if checkpoint is not None:
            from tinynn.training.keeper import Keeper  # not at the top: files and archives take 13 ms to import

            keeper = Keeper(checkpoint, course, steps, rows, seed=seed, every=every, keep=keep, resume=resume)
        page = None
        if report is not None:
            from tinynn.training.report import Report  # not at the top: few runs have one

            options = {"patience": patience, "finite": finite, "capture": capture}
            page = Report(report, course, steps, validation, rows=rows, seed=seed, epochs=epochs, **options)
            stack.enter_context(page)
        while course.epoch < epochs and course.history.stopped == "finished":
            one_epoch(course, steps, order_of(seed, course.epoch, rows, order), shown, run, keeper)
            if run.asked:
                course.history.stopped = "interrupted"
            else:
                if validation is not None:
                    result = net.evaluate(*validation)
                    course.judge(result.loss, result.accuracy, patience)
                shown.end(course.history)
                course.begin()
            try:
                if not run.asked:
                    course.tell(callbacks)
            finally:  # what a callback does is not to cost the epoch
                if keeper is not None:
                    keeper.write()
            if page is not None and not run.asked:
                page.update()
        if course.best is not None:
            course.best.restore()
    return course.history


def one_epoch(
    course: Course, steps: Steps, order: np.ndarray | Order, shown: Progress, run: Interruptible, keeper: Keeper | None
) -> None:
    """The steps of an epoch that are still to be made, up to Ctrl-C.

    Errors: StateError when loss or parameters are no longer finite; DataError for a checkpoint that cannot be written.
    """
    shown.start(course.epoch, course.done)
    started = time.perf_counter()
    for done in steps(order, course.tally, course.done, keeper.pause if keeper is not None else None):
        course.steps += done - course.done
        course.done = done
        shown.step(done)
        if run.asked:
            break
        if keeper is not None and keeper.due:
            course.net.ops.wait()
            course.seconds += time.perf_counter() - started
            refuse_divergence(course, steps, order, shown)
            keeper.write()
            started = time.perf_counter()
    course.net.ops.wait()
    course.seconds += time.perf_counter() - started
    if run.asked and keeper is None:
        shown.end(None)
        return
    refuse_divergence(course, steps, order, shown)  # no checkpoint is made of what cannot be gone on with
    if run.asked:
        shown.end(None)
    else:
        course.end(order)


def refuse_divergence(course: Course, steps: Steps, order: np.ndarray | Order, shown: Progress) -> None:
    """Errors: StateError, of the kind that names the layer where it can be found; all is as it was before the epoch."""
    net, storage = course.net, course.net.storage
    largest = float(net.ops.to_host(abs(storage.params).max())) if storage.params.size else 0.0
    loss = course.tally.loss()
    if math.isfinite(loss) and math.isfinite(largest):
        return
    shown.end(None)
    course.before.restore()
    what = f"the run diverged in epoch {course.epoch + 1}"
    after = "network and optimizer are as they were before the epoch"
    found, fix = None, "a smaller learning rate, or inputs of smaller size (Rescale)"
    if course.seconds < PATIENCE:
        found = born(net, course.optimizer, steps.batches, order)
        course.before.restore()
    else:
        fix += '; fit(..., finite="step") looks at every step, and names the layer'
    if found is not None:
        raise retold(found, f"{what}: {found.what}", f"{found.where}; {after}")
    raise StateError(
        what,
        where=f"fit, epoch {course.epoch + 1}; {after}",
        expected="a finite loss and finite parameters",
        got=f"a loss of {loss}, a largest parameter of {largest}",
        fix=fix,
    )
