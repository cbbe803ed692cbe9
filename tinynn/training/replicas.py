"""Data-parallel training: each rank has the whole network, makes its part of every batch, and all update alike.

    dW = sum over ranks r of w_r dW_r / sum over ranks of w_r

with w_r what the rows of rank r weigh in the mean: that is the gradient of the whole batch. Each rank then makes the
same update of the same parameters, so nothing else has to be sent.

Source: Goyal and others, "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour", 2017.
"""

from __future__ import annotations

import contextlib
import math
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

import numpy as np

from tinynn.distributed.agreement import agree, facts_of, plain
from tinynn.distributed.ranks import Ranks
from tinynn.distributed.wire import wire_of
from tinynn.errors import StateError
from tinynn.history import History
from tinynn.network import Evaluation, Network
from tinynn.network.evaluation import sums
from tinynn.network.sources import Mapped, Source
from tinynn.training.course import Course
from tinynn.training.finite import Watch
from tinynn.training.interrupt import Interruptible
from tinynn.training.packing import pack, unpack
from tinynn.training.tally import Tally

__all__ = ["Replicas"]

SAMPLE = 256  # rows of a file that are compared
COMPARED = 100  # steps from one look at whether the replicas are still equal to the next


class Replicas:
    """Within `with Replicas(...) as replicas:` this rank's network is one of several that are kept equal.

    `batch_size`: rows of the whole batch, of which rank r has those from r s on, s of them at most, with
    s = batch_size / ranks, rounded up. `steps`: how many were made.
    """

    def __init__(self, ranks: Ranks, net: Network, batch_size: int, run: Interruptible) -> None:
        self.ranks, self.net, self.run = ranks, net, run
        self.share = -(-batch_size // ranks.size)
        self.steps = 0
        self.counts = True  # whether the rows of the step that is made are this rank's
        # One vector crosses: the gradients, what they weigh, and whether Ctrl-C was heard.
        size = net.storage.grads.size
        self.vector = net.ops.zeros(size + 2, net.dtype)
        self.grads, self.weight, self.heard = self.vector[:size], self.vector[size : size + 1], self.vector[size + 1 :]
        self.least = float(np.finfo(net.dtype).tiny)
        run.agreed = False

    def __enter__(self) -> Self:
        build = self.net._built().build
        self.before, build.first_row = build.first_row, self.ranks.rank * self.share
        return self

    def __exit__(self, *error: object) -> None:
        self.net._built().build.first_row = self.before

    # --- before the first step

    def agree(self, facts: dict[str, Any], data: Any, validation: Any) -> None:
        """Errors: ConfigurationError on all ranks where network, call or data are not the same on all of them."""
        said = {name: plain(value) for name, value in facts.items()}
        with self.ranks.together():
            held = {"data": digests(self.net, data), "validation": digests(self.net, validation or ())}
        agree(self.ranks, {**facts_of(self.net), **said, **held})
        self.wire = wire_of(self.ranks, self.net.ops)  # not before: what is made for it depends on the backend

    def begin(self, course: Course, found: Any = None) -> Any:
        """Rank 0's course, network and optimizer are everybody's. `found`: JSON of rank 0's, which comes back."""
        with self.ranks.together():
            numbers, arrays = pack(course) if self.ranks.first else ({}, {})
        (numbers, found), arrays = self.ranks.from_first([numbers, found], arrays)
        if not self.ranks.first:
            unpack(course, numbers, arrays)
            self.forget(course.tally)
        return found

    # --- a step

    @contextlib.contextmanager
    def watching(self, watch: Watch) -> Iterator[None]:
        """While a step is looked at: where it is wrong on one rank no rank makes it, and the states are as before."""
        try:
            with self.ranks.together():
                yield
        except BaseException:
            self.net.storage.state[...] = watch.state
            raise

    def own(self, rows: np.ndarray) -> np.ndarray:
        """This rank's of a batch's rows. Where none are left, its first one, which then counts nothing.

        So all ranks make the same calls, and their layers' states go on alike.
        """
        first = self.ranks.rank * self.share
        own = rows[first : first + self.share]
        self.counts = len(own) > 0
        return own if self.counts else rows[:1]

    def join(self, weight: Any) -> None:
        """This rank's gradients, of rows that weigh so much, become those of the whole batch."""
        xp, grads = self.net.xp, self.net.storage.grads
        self.weight[...] = weight if self.counts else 0
        self.heard[...] = self.run.heard
        xp.multiply(grads, self.weight, out=self.grads)
        self.wire(self.vector, f"step {self.steps + 1}")
        xp.maximum(self.weight, self.least, out=self.weight)  # if no row weighs anything the gradients are 0
        xp.divide(self.grads, self.weight, out=grads)
        self.steps += 1
        if self.steps % self.wire.every == 0:
            self.wire.wait("the steps")
            self.run.agreed = float(self.net.ops.to_host(self.heard)[0]) > 0

    def look(self) -> None:
        """After the update, now and then: whether the parameters are still the same, to the bit.

        Errors: StateError on all ranks.
        """
        if self.steps % COMPARED == 0:
            self.wire.wait("the steps")
            self.compare(self.net.storage.params, "the parameters")

    def compare(self, array: Any, name: str) -> None:
        """Errors: StateError on all ranks for an array that is not the same on all."""
        digest = digest_of(self.net.ops.to_host(array))
        largest = self.ranks.sum(np.array([digest, -digest]), "MAX", f"a look at {name}")
        if largest[0] == -largest[1]:
            return
        everybody = self.ranks.gather(digest)
        others = [rank for rank, one in enumerate(everybody) if one != everybody[0]]
        self.ranks.refuse_alike(
            StateError(
                f"{name} on rank {', '.join(map(str, others))}: not the same as on rank 0",
                where=f"fit, after step {self.steps}, rank {self.ranks.rank} of {self.ranks.size}",
                expected="the same on all ranks, to the bit",
                got=f"others; parameters are looked at after every {COMPARED} steps and each epoch",
                fix="order, callbacks, optimizers and layers of your own must do the same on every rank; machines must "
                "be alike",
            )
        )

    # --- between steps

    def merge(self, tally: Tally) -> None:
        """Loss and accuracy become those over all ranks' rows; so do running means. The replicas are compared.

        What all ranks have alike stays; of what differs, as the means that BatchNorm keeps, each from its own part of
        the batches, the mean is taken.
        """
        tally.assign(self.ranks.sum(tally.numbers(), what="the epoch's loss"))
        ops, state = self.net.ops, self.net.storage.state
        if state.size:
            own = ops.to_host(state)
            least, most = (self.ranks.sum(np.array(own), op) for op in ("MIN", "MAX"))
            mean = self.ranks.sum(own.astype(np.float64)) / self.ranks.size
            state[...] = ops.asarray(np.where(least == most, own, mean.astype(own.dtype)))
        self.compare(self.net.storage.params, "the parameters")

    def forget(self, tally: Tally) -> None:
        """In the middle of an epoch: rank 0 alone keeps what `merge` added up, so that it is counted once."""
        if not self.ranks.first:
            tally.assign(np.zeros(4))

    def tell(self, course: Course, callbacks: Iterable[Callable[[History], Any]]) -> None:
        """The callbacks of all ranks are called; where one of them returns True, all stop."""
        with self.ranks.together():
            course.tell(callbacks)
        if self.ranks.any(course.history.stopped == "callback"):
            course.history.stopped = "callback"

    def evaluate(self, data: tuple[Any, ...]) -> Evaluation:
        """Over all rows, of which each rank looks at some."""
        own = sums(self.net, data, 1024, turn=(self.ranks.rank, self.ranks.size))
        return Evaluation.of(self.ranks.sum(own, what="the validation"))


def digests(net: Network, data: Any) -> list[str]:
    """What arrays in memory hold; of a source how many rows of what kind; of arrays in files some of the rows, too.

    A source may well give other rows each time. Errors: those of `Source.take`.
    """
    found = []
    for x in data:
        if not isinstance(x, Source):
            found.append(described(net.ops.to_host(x)))
            continue
        found += [f"{len(x)} rows", *(f"{dtype}{list(shape)}" for dtype, shape in x.kinds)]
        if isinstance(x.source, Mapped):
            rows = np.linspace(0, len(x) - 1, min(SAMPLE, len(x))).astype(np.int64)
            found += [described(net.ops.to_host(part)) for part in x.take(rows)]
    return found


def described(x: np.ndarray) -> str:
    """Dtype, shape and digest of an array."""
    return f"{x.dtype}{list(x.shape)} {digest_of(x):08x}"


def digest_of(x: np.ndarray) -> int:
    """32 bits that say whether arrays are the same."""
    rows = math.prod(x.shape[1:]) * x.itemsize if x.ndim else 1
    step, digest = max(1, (1 << 24) // max(1, rows)), 0
    for start in range(0, len(x) if x.ndim else 0, step):  # by blocks: an array that is not contiguous is copied
        digest = zlib.crc32(np.ascontiguousarray(x[start : start + step]).data.cast("B"), digest)
    return digest
