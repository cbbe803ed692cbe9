"""Instructions, variables, loops and threads: what a function does in which order."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinynn.compiler.types import INDEX, Type

__all__ = ["Flow"]

# Threads that wait ask again and again, since to be woken takes longer than most waits; after a while they offer the
# processor to others.
WAIT = """declare i32 @sched_yield()
define internal void @wait(ptr %counter, i64 %goal) noinline nounwind {
entry:
  br label %ask
ask:
  %tries = phi i32 [0, %entry], [%more, %again]
  %here = load atomic i64, ptr %counter acquire, align 8
  %done = icmp sge i64 %here, %goal
  br i1 %done, label %out, label %again
again:
  %more = add i32 %tries, 1
  %long = icmp ugt i32 %more, 20000
  br i1 %long, label %yield, label %ask
yield:
  call i32 @sched_yield()
  br label %ask.late
ask.late:
  %now = load atomic i64, ptr %counter acquire, align 8
  %reached = icmp sge i64 %now, %goal
  br i1 %reached, label %out, label %yield
out:
  ret void
}"""


class Flow:
    """Lines of a function `void run(ptr table, ...)` that `parts` threads run together, each with its `%part`."""

    def __init__(self, *arguments: str, parts: int = 1) -> None:
        self.lines: list[str] = []
        self.entry: list[str] = []
        self.declared: set[str] = set()
        self.parts = parts
        self.arguments = ("ptr %table", *["i64 %part"] * (parts > 1), *arguments)
        self.count = 0
        self.counter = np.zeros(1, np.int64)  # of arrivals at barriers; to be 0 when the threads start
        self.rounds: str | None = None

    def __call__(self, instruction: str) -> str:
        """The value of an instruction."""
        name = self.name()
        self.lines.append(f"  {name} = {instruction}")
        return name

    def do(self, instruction: str) -> None:
        """An instruction without a value."""
        self.lines.append(f"  {instruction}")

    def name(self) -> str:
        """A name that is not in use."""
        self.count += 1
        return f"%v{self.count}"

    def declare(self, declaration: str) -> None:
        """A function from elsewhere: an intrinsic of LLVM."""
        self.declared.add(f"declare {declaration}")

    def array(self, array: np.ndarray) -> str:
        """The pointer to the first element of an array."""
        raise NotImplementedError

    # --- variables and loops

    def variable(self, type: Type, value: str) -> str:
        """A place for a value that changes; LLVM keeps it in a register."""
        place = self.name()
        self.entry.append(f"  {place} = alloca {type}")
        self.set(place, value, type)
        return place

    def get(self, variable: str, type: Type) -> str:
        return self(f"load {type}, ptr {variable}")

    def set(self, variable: str, value: str, type: Type) -> None:
        self.do(f"store {type} {value}, ptr {variable}")

    @contextlib.contextmanager
    def loop(self, end: int | str, step: int = 1, first: int | str = 0) -> Iterator[Any]:
        """What is written within is done for i = first, first + step, ... below `end`; at least once."""
        if isinstance(end, int) and isinstance(first, int) and end <= first + step:
            yield first
            return
        label, i = self.name()[1:], self.name()
        place = self.variable(INDEX, str(first))
        self.do(f"br label %head{label}")
        self.lines.append(f"head{label}:")
        self.lines.append(f"  {i} = load i64, ptr {place}")
        yield i
        following = str(self.plus(i, step))
        self.set(place, following, INDEX)
        more = self(f"icmp slt i64 {following}, {end}")
        self.do(f"br i1 {more}, label %head{label}, label %exit{label}")
        self.lines.append(f"exit{label}:")

    @contextlib.contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """What is written within is done where the condition holds."""
        label = self.name()[1:]
        self.do(f"br i1 {condition}, label %then{label}, label %past{label}")
        self.lines.append(f"then{label}:")
        yield
        self.do(f"br label %past{label}")
        self.lines.append(f"past{label}:")

    # --- several threads that run the same code, each a part of the work

    @contextlib.contextmanager
    def shared(self, end: int, step: int = 1) -> Iterator[Any]:
        """A loop of which each thread does a stretch."""
        if self.parts == 1:
            with self.loop(end, step) as i:
                yield i
            return
        tiles = -(-end // step)
        stretch = -(-tiles // self.parts) * step
        first = self(f"mul i64 %part, {stretch}")
        last = self(f"add i64 {first}, {stretch}")
        last = self(f"select i1 {self(f'icmp slt i64 {last}, {end}')}, i64 {last}, i64 {end}")
        with self.when(self(f"icmp slt i64 {first}, {last}")), self.loop(last, step, first) as i:
            yield i

    @contextlib.contextmanager
    def only(self, part: int) -> Iterator[None]:
        """What one thread does, of the number `part`."""
        if self.parts == 1:
            yield
            return
        with self.when(self(f"icmp eq i64 %part, {part % self.parts}")):
            yield

    @contextlib.contextmanager
    def here(self) -> Iterator[None]:
        """What is done by whoever comes here."""
        yield

    def once(self) -> contextlib.AbstractContextManager[None]:
        """What only the last thread does: the rest behind the end of a shared loop."""
        return self.only(self.parts - 1)

    def barrier(self) -> None:
        """Nobody goes on before all have come here."""
        if self.parts == 1:
            return
        counter = self.array(self.counter)
        if self.rounds is None:
            self.rounds = self.name()
            self.entry += [f"  {self.rounds} = alloca i64", f"  store i64 0, ptr {self.rounds}"]
        goal = self(f"add i64 {self.get(self.rounds, INDEX)}, {self.parts}")
        self.set(self.rounds, goal, INDEX)
        self(f"atomicrmw add ptr {counter}, i64 1 seq_cst")
        self.declared.add(WAIT)
        self.do(f"call void @wait(ptr {counter}, i64 {goal})")

    # --- indices

    def plus(self, a: str | int, b: str | int) -> str | int:
        """A sum of indices."""
        if isinstance(a, int) and isinstance(b, int):
            return a + b
        return b if a in (0, "0") else a if b in (0, "0") else self(f"add i64 {a}, {b}")

    def minus(self, a: str | int, b: str | int) -> str | int:
        """A difference of indices."""
        if isinstance(a, int) and isinstance(b, int):
            return a - b
        return a if b in (0, "0") else self(f"sub i64 {a}, {b}")

    def least(self, a: str | int, b: int) -> str | int:
        """The smaller of two indices."""
        return (
            min(a, b) if isinstance(a, int) else self(f"select i1 {self(f'icmp slt i64 {a}, {b}')}, i64 {a}, i64 {b}")
        )

    def times(self, a: str | int, b: int) -> str | int:
        """A product of indices."""
        if isinstance(a, int):
            return a * b
        return 0 if b == 0 else a if b == 1 else self(f"mul i64 {a}, {b}")
