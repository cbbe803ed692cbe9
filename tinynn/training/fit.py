"""The training loop."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from tinynn.history import History
from tinynn.network import Network
from tinynn.network.finite import CHECKING
from tinynn.training.arguments import check_arguments
from tinynn.training.course import Course
from tinynn.training.epoch import one_epoch
from tinynn.training.examples import checked
from tinynn.training.finite import Watch
from tinynn.training.interrupt import Interruptible
from tinynn.training.order import order_of
from tinynn.training.progress import Progress
from tinynn.training.steps import steps_of

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
    comm: Any = None,
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

    `comm`: `tinynn.distributed.Ranks()`, or a communicator of mpi4py: each of its processes calls fit alike, makes its
    part of each batch, and all of them learn what one would from the whole; `batch_size` is that of the whole. Rank 0
    alone prints, and writes checkpoint and report. See `tinynn.distributed`.

    Ctrl-C ends the run after the step or the call that it meets: the epochs so far are returned, the network keeps what
    it has learned. With `checkpoint` so does SIGTERM, which then takes its course.
    Errors: TinynnError of the kind that fits; NonFiniteError, a StateError, for what is no longer finite: network and
    optimizer are then as they were before that epoch, or with finite="step" before that step. DataError for a
    checkpoint that cannot be written or read.
    """
    counts = {"epochs": epochs, "batch_size": batch_size, "patience": patience, "every": every, "keep": keep}
    with contextlib.ExitStack() as stack:
        ranks = None
        if comm is not None:
            from tinynn.distributed import Ranks  # not at the top: few runs have several processes

            ranks = stack.enter_context(Ranks.of(comm))
        with ranks.together() if ranks is not None else contextlib.nullcontext():
            check_arguments(optimizer, validation, checkpoint, resume, finite, callbacks, order, **counts)
            data = checked(net, train, "train")
            if validation is not None:
                validation = checked(net, validation, "validation")
        first = ranks is None or ranks.first
        rows, course = len(data[0]), Course(net, optimizer)
        shown = Progress(progress if first else False, epochs, steps=-(-rows // batch_size))
        # A run that overflows is told of once, as a StateError, and not by a warning from within a layer.
        stack.enter_context(np.errstate(over="ignore", invalid="ignore"))
        run = stack.enter_context(Interruptible(terminable=checkpoint is not None))
        replicas = None
        if ranks is not None and ranks.size > 1:
            from tinynn.training.replicas import Replicas

            replicas = stack.enter_context(Replicas(ranks, net, min(batch_size, rows), run))
            said = {"seed": seed, "finite": finite, "resume": resume, "optimizer": optimizer}
            asked = {"checkpoint": checkpoint is not None, "order": order is not None}
            replicas.agree({**counts, **said, **asked}, data, validation)
        captured = capture and not CHECKING.get()
        steps = stack.enter_context(steps_of(net, optimizer, data, batch_size, captured, replicas))
        steps.watch = Watch(net) if finite == "step" else None
        keeper = None
        if checkpoint is not None:
            from tinynn.training.keeper import Keeper  # not at the top: files and archives take 13 ms to import

            keeper = Keeper(checkpoint, course, steps, rows, seed=seed, every=every, keep=keep, resume=resume)
        elif replicas is not None:
            replicas.begin(course)
        page = None
        if report is not None and first:
            from tinynn.training.report import Report  # not at the top: few runs have one

            options = {"patience": patience, "finite": finite, "capture": capture}
            page = Report(report, course, steps, validation, rows=rows, seed=seed, epochs=epochs, **options)
            stack.enter_context(page)
        while course.epoch < epochs and course.history.stopped == "finished":
            places = order_of(seed, course.epoch, rows, order)
            if replicas is not None and order is not None:
                replicas.compare(places, "the order of the rows")
            one_epoch(course, steps, places, shown, run, keeper)
            if run.asked:
                course.history.stopped = "interrupted"
            else:
                if validation is not None:
                    result = net.evaluate(*validation) if replicas is None else replicas.evaluate(validation)
                    course.judge(result.loss, result.accuracy, patience)
                shown.end(course.history)
                course.begin()
            try:
                if not run.asked:
                    course.tell(callbacks) if replicas is None else replicas.tell(course, callbacks)
            finally:  # what a callback does is not to cost the epoch
                if keeper is not None:
                    keeper.write()
            if page is not None and not run.asked:
                page.update()
        if course.best is not None:
            course.best.restore()
    return course.history
