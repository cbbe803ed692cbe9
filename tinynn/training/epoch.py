"""The steps of one epoch, and what is looked at after them."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import numpy as np

from tinynn.errors import StateError
from tinynn.training.course import Course
from tinynn.training.finite import born, retold
from tinynn.training.interrupt import Interruptible
from tinynn.training.order import Order
from tinynn.training.progress import Progress
from tinynn.training.steps import Steps

if TYPE_CHECKING:
    from tinynn.training.keeper import Keeper

__all__ = ["one_epoch"]

PATIENCE = 600.0  # seconds of an epoch up to which its steps are made again, to find where it went wrong


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
            wait(course, steps)
            course.seconds += time.perf_counter() - started
            settle(course, steps, order, shown)
            keeper.write()
            started = time.perf_counter()
    wait(course, steps)
    course.seconds += time.perf_counter() - started
    if run.asked and keeper is None:
        merge(course, steps)
        shown.end(None)
        return
    settle(course, steps, order, shown)  # no checkpoint is made of what cannot be gone on with
    if run.asked:
        shown.end(None)
    else:
        course.end(order)


def wait(course: Course, steps: Steps) -> None:
    """For the device, which may wait for other ranks."""
    if steps.replicas is not None:
        steps.replicas.wire.wait("the steps")
    course.net.ops.wait()


def settle(course: Course, steps: Steps, order: np.ndarray | Order, shown: Progress) -> None:
    """The course as all ranks have it. Errors: StateError."""
    merge(course, steps)
    refuse_divergence(course, steps, order, shown)


def merge(course: Course, steps: Steps) -> None:
    """What the ranks have apart, if there are several, is brought together."""
    if steps.replicas is not None:
        steps.replicas.merge(course.tally)


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
    if steps.replicas is None and course.seconds < PATIENCE:
        found = born(net, course.optimizer, steps.batches, order)
        course.before.restore()
    else:
        fix += '; fit(..., finite="step") looks at every step, and names the layer'
    if found is not None:
        raise retold(found, f"{what}: {found.what}", f"{found.where}; {after}")
    error = StateError(
        what,
        where=f"fit, epoch {course.epoch + 1}; {after}",
        expected="a finite loss and finite parameters",
        got=f"a loss of {loss}, a largest parameter of {largest}",
        fix=fix,
    )
    if steps.replicas is not None:
        steps.replicas.ranks.refuse_alike(error)
    raise error
