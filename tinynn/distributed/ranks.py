"""The processes of a job, as one of them sees the others: who they are, sums over all of them, and what they all know.

Nothing here waits for ever. Every wait is a question asked again and again: has it happened, has somebody said that it
never will, is the time over?
"""

from __future__ import annotations

import atexit
import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any, NoReturn, Self

import numpy as np

from tinynn.checks import finite_number
from tinynn.distributed.words import Words, end
from tinynn.errors import ConfigurationError, MissingExtraError, StateError
from tinynn.processors import processors

__all__ = ["Ranks"]

ASKED, CROWDED = 2000, 100  # times before one that waits lets others have its core: half a millisecond, or 20 us
LISTENED = 0.01  # seconds from one look at what the others say to the next
GRACE = 1.0  # seconds that something which is under way may still take when one who is part of it has left


class Ranks:
    """`rank` of `size` processes, counted from 0; `first`: whether this one is rank 0, which prints and writes.

    `comm`: a communicator of mpi4py; all processes that mpiexec started, if left out. `timeout`: seconds after which
    one that waits for the others gives up, and the job with it: longer than the slowest step, validation or checkpoint
    of one process. Make it early, on all ranks: from then on a process that ends is noticed by those that wait for it.

    When a process fails the job ends, with a status that is not 0: the others raise a StateError that says who failed
    and why, wherever they wait for it, and when the first of them ends it takes all with it.
    Errors: MissingExtraError without mpi4py; ConfigurationError without MPI, and for what is no communicator;
    StateError where the others do not come.
    """

    asked = ASKED

    def __init__(self, comm: Any = None, *, timeout: float = 300.0) -> None:
        MPI = mpi()
        if comm is None:
            comm = MPI.COMM_WORLD
        if not isinstance(comm, MPI.Intracomm) or comm == MPI.COMM_NULL:
            raise ConfigurationError(
                "this is no group of processes",
                where="Ranks",
                expected="a communicator of mpi4py",
                got=repr(comm),
                fix="distributed.Ranks(), which takes all that mpiexec started",
            )
        fix = "Ranks(timeout=300)"
        self.timeout = finite_number(timeout, "the timeout in seconds", where="Ranks", fix=fix, above=0)
        self.rank, self.size = comm.Get_rank(), comm.Get_size()
        self.first = self.rank == 0
        self.MPI = MPI
        # Of its own, so that no message of the caller's is taken for one of these.
        self.words, self.comm = Words(MPI, self.copy(comm)), self.copy(comm)
        machines = self.gather(MPI.Get_processor_name())
        if machines.count(machines[self.rank]) > processors():
            self.asked = CROWDED

    @classmethod
    def of(cls, comm: Any) -> Ranks:
        """`comm` itself, or the ranks of a communicator of mpi4py, which are made once."""
        if isinstance(comm, cls):
            return comm
        for given, ranks in MADE:
            if type(given) is type(comm) and given == comm:  # they can be compared, but have no hash
                return ranks
        MADE.append((comm, cls(comm)))
        return MADE[-1][1]

    def __repr__(self) -> str:
        return f"<rank {self.rank} of {self.size}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """What was raised on this rank alone is told to the others, who raise too."""
        if error is not None and error is not self.words.agreed:
            self.words.fail(told(error))

    # --- what all of them do together: each of these is called by every rank, in the same order

    def sum(self, array: np.ndarray, op: str = "SUM", what: str = "a sum") -> np.ndarray:
        """The sum over all ranks of their arrays, in place of each; `op`: "MAX" for the largest, and so on."""
        self.wait(self.comm.Iallreduce(self.MPI.IN_PLACE, array, getattr(self.MPI, op)), what)
        return array

    def any(self, flag: bool) -> bool:
        """Whether it is true of one rank at least."""
        return bool(self.sum(np.array([flag], np.int64))[0])

    def gather(self, facts: Any) -> list[Any]:
        """What each rank knows, JSON of any kind, in their order."""
        own = np.frombuffer(json.dumps(facts).encode(), np.uint8)
        sizes = np.zeros(self.size, np.int64)
        sizes[self.rank] = own.size
        self.sum(sizes)
        all_of_them = np.empty(int(sizes.sum()), np.uint8)
        self.wait(self.comm.Iallgatherv(own, [all_of_them, sizes.tolist()]), "what each rank knows")
        texts = np.split(all_of_them, np.cumsum(sizes)[:-1])
        return [json.loads(text.tobytes()) for text in texts]

    def from_first(self, facts: Any, arrays: dict[str, np.ndarray]) -> tuple[Any, dict[str, np.ndarray]]:
        """What rank 0 gave, on every rank: JSON of any kind, and arrays by name."""
        kinds = {name: (array.dtype.str, array.shape) for name, array in arrays.items()}
        text = np.frombuffer(json.dumps([facts, kinds]).encode() if self.first else b"", np.uint8)
        size = self.sum(np.array([text.size], np.int64))
        if not self.first:
            text = np.empty(int(size[0]), np.uint8)
        self.hand_out(text)
        facts, kinds = json.loads(text.tobytes())
        received = {}
        for name, (dtype, shape) in kinds.items():
            received[name] = np.asarray(arrays[name], order="C") if self.first else np.empty(shape, dtype)
            self.hand_out(received[name].reshape(-1).view(np.uint8))
        return facts, received

    def hand_out(self, array: np.ndarray) -> None:
        """Rank 0's bytes in place of everybody's."""
        self.wait(self.comm.Ibcast(array, 0), "what rank 0 knows")

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What goes wrong within it on one rank is raised on all of them, and they can go on."""
        error = None
        try:
            yield
        except BaseException as raised:  # sys.exit() too
            error = raised
        self.refuse_together(error)

    def refuse_together(self, error: BaseException | None) -> None:
        """Raises on all ranks if there is an error on one: its own there, on the others one that tells of it."""
        texts = self.gather("" if error is None else told(error))
        if not any(texts):
            return
        if error is None:
            where = next(rank for rank, text in enumerate(texts) if text)
            error = self.failed(where, texts[where])
        self.refuse_alike(error)

    def refuse_alike(self, error: BaseException) -> NoReturn:
        """Raises an error that every rank has found and raises, so that all of them can go on after it."""
        self.words.agreed = error
        raise error

    def failed(self, rank: int, text: str) -> StateError:
        """The error on the ranks whose fault it is not."""
        return StateError(
            f"rank {rank} failed: {text}",
            where=f"rank {self.rank} of {self.size}",
            expected=f"rank {rank} to go on",
            got="its error, told above",
            fix=f"see what rank {rank} says",
        )

    # --- waiting

    def copy(self, comm: Any) -> Any:
        """A communicator of the same processes. Errors: StateError where they do not all come."""
        copied, request = comm.Idup()
        until = time.monotonic() + self.timeout
        while not request.Test():
            if time.monotonic() > until:
                atexit.register(end, self.MPI)  # MPI itself would wait for them at the program's end
                raise StateError(
                    f"not every rank came in {self.timeout:g} s",
                    where=f"Ranks, rank {self.rank} of {self.size}",
                    expected=f"Ranks() called by all {self.size} processes",
                    got="one that is late, or has ended",
                    fix="call it on every rank; if one only needs longer, Ranks(timeout=...)",
                )
            time.sleep(0)
        return copied

    def wait(self, request: Any, what: str) -> None:
        """Returns when what was asked for is there. Errors: StateError for a rank that failed, left or did not come."""
        if self.words.broken:
            self.stop("this job is ending", expected="no more calls", got=what, fix="see the first error")
        try:
            for _ in range(self.asked):
                if request.Test():
                    return
            started = heard = time.monotonic()
            while not request.Test():
                now = time.monotonic()
                if now > heard + LISTENED:
                    heard = now
                    self.listen(now, what)
                    if now > started + self.timeout:
                        self.give_up(what)
                time.sleep(0)  # where there are more processes than processors, another one computes meanwhile
        except BaseException as error:  # Ctrl-C: what the others wait for is not going to happen
            self.words.fail(told(error))
            raise

    def listen(self, now: float, what: str) -> None:
        """Errors: StateError for a rank that has failed, or that has left while this one waits for it."""
        self.words.listen()
        for rank, text in self.words.last.items():
            self.words.broken = True
            raise self.failed(rank, text)
        for rank, since in self.words.left.items():
            if now > since + GRACE:  # it may have left with its work done
                self.stop(
                    f"rank {rank} has left: its program ended while others wait for it",
                    expected=f"rank {rank} at {what}",
                    got="its program's end",
                    fix="all ranks make the same calls of fit; if one is to stop early, let a callback return True",
                )

    def give_up(self, what: str) -> NoReturn:
        """Errors: StateError that names the ranks which did not come."""
        missing = self.words.roll_call()
        who = f"rank {', '.join(map(str, missing))}" if missing else "not every rank"
        self.stop(
            f"{who} did not come in {self.timeout:g} s",
            expected=f"all {self.size} ranks at {what}",
            got="a rank that hangs, is very slow, or makes other calls",
            fix="see what it does; if it only needs longer, Ranks(timeout=...)",
        )

    def stop(self, what: str, **rest: str) -> NoReturn:
        """Errors: StateError, after which the job can only end."""
        self.words.broken = True
        raise StateError(what, where=f"rank {self.rank} of {self.size}", **rest)


MADE: list[tuple[Any, Ranks]] = []  # communicators that fit was given, and what was made of them


def told(error: BaseException) -> str:
    """An error in one line for others, cut to what a message holds."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:900]


def mpi() -> Any:
    """mpi4py's module MPI. Errors: MissingExtraError; ConfigurationError without an MPI that it could call."""
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise MissingExtraError("mpi4py", extra="mpi", purpose="training on several processes") from error
    except RuntimeError as error:  # mpi4py looks for the library when it is imported
        raise ConfigurationError(
            "there is no MPI on this machine",
            where="import mpi4py.MPI",
            expected="the library libmpi, which mpi4py calls",
            got=" ".join(str(error).split()),
            fix="pip install mpich, or what loads MPI on your cluster (module load ...)",
        ) from error
    return MPI
