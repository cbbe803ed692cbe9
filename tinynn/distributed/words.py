"""What ranks tell each other besides the work: that one leaves, that one has failed and why, who is there.

MPI itself says nothing when a program ends on one rank: the others would wait for it for ever.
"""

from __future__ import annotations

import atexit
import time
from typing import Any

import numpy as np

__all__ = ["Words", "end"]

LEAVING, LAST, WHO_IS_THERE, HERE = range(4)  # kinds of messages
ANSWERED = 1.0  # seconds for an answer to "who is there?"
PRINTED = 0.1  # seconds in which mpiexec passes on what was printed: with the job it may end that, too


class Words:
    """`last`: rank -> why it failed. `left`: rank -> when it was heard that it ends. `broken`: the job is to end.

    At the end of the program each rank says that it leaves; where something failed it ends the whole job instead.
    `agreed`: an error that all ranks know of, and raise: after that they can go on.
    """

    def __init__(self, MPI: Any, comm: Any) -> None:
        self.MPI, self.comm = MPI, comm
        self.rank, self.size = comm.Get_rank(), comm.Get_size()
        self.last: dict[int, str] = {}
        self.left: dict[int, float] = {}
        self.here: set[int] = set()
        self.broken = False
        self.agreed: BaseException | None = None
        self.sent: list[Any] = []
        atexit.register(self.leave)

    def say(self, kind: int, text: str, to: Any = None) -> None:
        """To one rank, or to all others."""
        message = np.frombuffer(text.encode(errors="replace"), np.uint8)
        for rank in range(self.size) if to is None else (to,):
            if rank != self.rank:
                self.sent.append((message, self.comm.Isend(message, rank, kind)))

    def listen(self) -> None:
        """Takes in what was said."""
        status = self.MPI.Status()
        while self.comm.Iprobe(self.MPI.ANY_SOURCE, self.MPI.ANY_TAG, status):
            rank, kind = status.Get_source(), status.Get_tag()
            message = np.empty(status.Get_count(self.MPI.BYTE), np.uint8)
            self.comm.Recv(message, rank, kind)
            if kind == LEAVING:
                self.left.setdefault(rank, time.monotonic())
            elif kind == LAST:
                self.last.setdefault(rank, message.tobytes().decode(errors="replace"))
            elif kind == WHO_IS_THERE:
                self.say(HERE, "", to=rank)
            else:
                self.here.add(rank)

    def roll_call(self) -> list[int]:
        """The ranks that do not answer: those that are waiting, too, do."""
        self.here.clear()
        self.say(WHO_IS_THERE, "")
        until = time.monotonic() + ANSWERED
        while time.monotonic() < until and len(self.here) < self.size - 1:
            self.listen()
            time.sleep(0.01)
        return sorted(set(range(self.size)) - self.here - {self.rank})

    def fail(self, text: str) -> None:
        """The last words of this rank, from which on the job can only end."""
        if not self.broken and self.size > 1:
            self.broken = True
            self.say(LAST, text)

    def leave(self) -> None:
        """At the end of the program."""
        if self.MPI.Is_finalized():
            return
        if self.broken:
            end(self.MPI)
        self.say(LEAVING, "")


def end(MPI: Any) -> None:
    """The end of the whole job, which takes all processes with it."""
    time.sleep(PRINTED)
    MPI.COMM_WORLD.Abort(1)
