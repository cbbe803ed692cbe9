"""Checkpoints while `fit` runs: when one is due, and how a run goes on from one to the bit."""

from __future__ import annotations

import contextlib
import os
import re
import warnings
import zlib
from typing import Any

import numpy as np

from tinynn.training.checkpoint import Checkpoints
from tinynn.training.course import Course
from tinynn.training.order import Order
from tinynn.training.packing import pack
from tinynn.training.steps import Steps
from tinynn.training.surroundings import surroundings

__all__ = ["Keeper"]

SAMPLE = 32  # rows by which data are known again


class Keeper:
    """`every`: steps from one checkpoint to the next, besides those at the ends of epochs; None for these alone.

    With `resume` the course then stands where the newest checkpoint has it; a RuntimeWarning says what is not as it
    was. Where several processes train together the first one reads and writes for all.
    Errors: those of `Checkpoints`.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        course: Course,
        steps: Steps,
        rows: int,
        *,
        seed: int,
        every: int | None,
        keep: int,
        resume: bool,
    ) -> None:
        self.course, self.steps, self.every = course, steps, every
        self.seed, self.rows = seed, rows
        about = {
            "seed": seed,
            "rows": rows,
            "batch_size": steps.batches.batch_size,
            "data": fingerprint(steps.batches, rows),
            "fixed": steps.batches.whole,  # a source may well give other rows each time
            "optimizer": re.sub(r" at 0x[0-9a-fA-F]+", "", repr(course.optimizer)),
            "surroundings": surroundings(course.net),
        }
        replicas, self.checkpoints, found = steps.replicas, None, None
        if replicas is not None:
            about["surroundings"]["ranks"] = str(replicas.ranks.size)
        with replicas.ranks.together() if replicas is not None else contextlib.nullcontext():
            if replicas is None or replicas.ranks.first:
                pack(course)  # what cannot be written is said before the first step
                self.checkpoints = Checkpoints(folder, keep, about)
                found = self.checkpoints.restore(course) if resume else self.checkpoints.refuse_others()
        seen = {} if found is None else found.seen
        if replicas is not None:
            seen = dict(replicas.begin(course, list(seen.items())))
        warm_up(steps, Order(seed, course.epoch, rows), seen)
        if found is not None and found.changed:
            what = f"fit goes on from {found.path.name}, but perhaps not to the bit as it would have gone"
            warnings.warn(f"{what}: {'; '.join(found.changed)}", RuntimeWarning, stacklevel=3)

    def pause(self, done: int) -> int:
        """After how many steps of the epoch the next checkpoint is due, seen from `done`."""
        if self.every is None:
            return self.rows  # more than there are steps
        taken = self.course.steps - self.course.done + done
        return done + self.every - taken % self.every

    @property
    def due(self) -> bool:
        """Whether it is after the latest step."""
        return self.every is not None and self.course.steps % self.every == 0

    def write(self) -> None:
        """A checkpoint of the course as it stands. Errors: DataError."""
        step, replicas = self.steps.step, self.steps.replicas
        with replicas.ranks.together() if replicas is not None else contextlib.nullcontext():
            if self.checkpoints is not None:
                self.checkpoints.write(self.course, {n: 2 if n in step.replays else 1 for n in step.seen})
        if replicas is not None:
            replicas.forget(self.course.tally)


def warm_up(steps: Steps, order: Order, seen: dict[int, int]) -> None:
    """Makes forward and backward as often as the run had made them, so that it goes on by the same code.

    What is replayed may be rounded otherwise than the layers' own code, where it is compiled. Nothing is learned here.
    """
    state = steps.net.storage.state
    for length, times in seen.items():
        if not (steps.step.capture and 0 < length <= min(len(order), steps.batches.batch_size)):
            continue
        before = state.copy()
        rows = order[:length] if steps.replicas is None else steps.replicas.own(order[:length])
        batch = steps.batches.gather(rows)
        for _ in range(times):
            steps.step(batch, length)
            state[...] = before
        steps.begun = True


def fingerprint(batches: Any, rows: int) -> str:
    """By which data are known again: shapes, dtypes, and some rows from the first to the last."""
    places = np.linspace(0, rows - 1, min(SAMPLE, rows, batches.batch_size)).astype(np.int64)
    found = []
    for part in batches.gather(places):
        host = np.ascontiguousarray(batches.ops.to_host(part))
        found.append(f"{host.dtype}{list(host.shape[1:])} {zlib.crc32(host.tobytes()):08x}")
    return ", ".join(found)
