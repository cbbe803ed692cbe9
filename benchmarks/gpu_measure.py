"""Measures a job on a GPU as `measure` does on the CPU: load, check, calibrate, take turns. Who fails is left out."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import gpu_report, reference, report
from benchmarks.contenders.gpu import CPU, CPU_LLVM, GPU, Form
from benchmarks.gpu_jobs import GpuJob
from benchmarks.gpu_team import Failed, Team
from benchmarks.material import material, save
from benchmarks.measure import Trial, say

__all__ = ["Clock", "Limits", "measure", "trials_of"]

Memory = Callable[[], int | None]


@dataclass(frozen=True)
class Limits:
    """How much is measured. `longest`: seconds of a run; who would take longer makes fewer steps, but for epochs.

    `load`: seconds in which a contender is to have started, and compiled; `answer`: those of any other question.
    """

    rounds: int = 7
    epoch_rounds: int = 5
    trials: int = 2
    longest: float = 0.3
    load: float = 120.0
    answer: float = 60.0
    rest: float = 0.01


class Clock:
    """What is left of the time that a whole run may take."""

    def __init__(self, seconds: float) -> None:
        self.until = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds; never less than 0."""
        return max(0.0, self.until - time.monotonic())


def trials_of(job: GpuJob, names: list[str]) -> list[Trial]:
    """Every way to run every contender of the job."""
    return [
        Trial(name, threads, Form(job.precision, job.copied, extra).text)
        for name in job.contenders
        if name in names
        for threads in GPU[name].threads
        for extra in GPU[name].forms(job.job)
    ]


class Measurement:
    """The parts of a measurement share who is still in it, and why others are not."""

    def __init__(self, job: GpuJob, names: list[str], team: Team, limits: Limits, clock: Clock) -> None:
        self.job, self.team, self.limits, self.clock = job, team, limits, clock
        self.trials = trials_of(job, names)
        self.versions: dict[Trial, dict[str, str]] = {}
        self.left_out: dict[str, str] = {}

    def fail(self, trial: Trial, reason: object, ended: bool = True) -> None:
        """Leaves out a way, and all others of a process that has `ended`; with its last way the contender is out."""
        self.trials = [other for other in self.trials if other != trial and not (ended and other[:2] == trial[:2])]
        if all(other.name != trial.name for other in self.trials):
            self.left_out[trial.name] = f"failed: {reason}"
        say(f"{self.job.name}: {trial.name}, {trial.form}, failed: {reason}")

    def each(self, some: Iterable[Trial | None] | None = None) -> Iterator[Trial]:
        """All, or some, as far as they are still in it when their turn comes."""
        for trial in list(self.trials if some is None else some):
            if trial is not None and trial in self.trials:
                yield trial

    def patience(self, most: float) -> float:
        """Seconds to wait for an answer."""
        return min(most, max(5.0, self.clock.left()))

    def load(self, folder: str) -> None:
        """All processes at the same time: nothing is timed yet, and some compile for long. Their forms in turn."""
        turns: dict[tuple[str, int | None], list[Trial]] = {}
        for trial in self.trials:
            turns.setdefault(trial[:2], []).append(trial)
        for turn in itertools.zip_longest(*turns.values()):
            until = time.monotonic() + self.patience(self.limits.load)
            for trial in self.each(turn):
                try:
                    self.team.send(trial, do="load", job=self.job.job.as_dict(), folder=folder)
                except Failed as error:
                    self.fail(trial, error)
            for trial in self.each(turn):
                try:
                    self.versions[trial] = self.team.answer(trial, max(0.1, until - time.monotonic()))["versions"]
                except Failed as error:
                    self.fail(trial, error)

    def check(self, expected: list[float] | None) -> None:
        """The losses of all: those that are expected, or where that is None those of the first one."""
        steps = reference.steps_to_check(self.job.job)
        for trial in self.each():
            if not GPU[trial.name].checked:
                continue
            try:
                found = self.team.ask(trial, self.patience(self.limits.answer), do="check", steps=steps)
            except Failed as error:
                self.fail(trial, error)
                continue
            values: list[float] = found["values"]
            if expected is None:
                expected = values
            if wrong := report.disagreements({"its losses": values}, expected, self.job.tolerance):
                self.fail(trial, f"it does not compute what the others do; {wrong[0]}", ended=False)

    def run(self, trial: Trial, seed: int, steps: int, watch: Callable[[], object] | None = None) -> dict[str, float]:
        """Microseconds a step of one run. Errors: Failed."""
        time.sleep(self.limits.rest)
        seconds = self.patience(self.limits.answer)
        found = self.team.ask(trial, seconds, watch, do="run", seed=seed, steps=steps)
        return {"us": found["seconds"] / steps * 1e6, "call_us": found["call_seconds"] / steps * 1e6}

    def calibrate(self) -> dict[str, Trial]:
        """The fastest way of each contender, by some short runs in turns; `steps` is then how many it can make."""
        job, times = self.job.job, {trial: [] for trial in self.trials}
        whole = job.kind == "epoch"
        steps = job.steps if whole else max(3, job.steps // 4)
        for number in range(1 + self.limits.trials):
            if number > 1 and not self.clock.left():
                break
            for trial in self.each():
                try:
                    us = self.run(trial, number, min(steps, job.steps))["us"]
                except Failed as error:
                    self.fail(trial, error)
                    continue
                if number:  # the first compiles
                    times[trial].append(us)
        best: dict[str, Trial] = {}
        self.steps: dict[str, int] = {}
        for trial in self.trials:
            if trial.name not in best or median(times[trial]) < median(times[best[trial.name]]):
                best[trial.name] = trial
                most = max(3, int(self.limits.longest * 1e6 / median(times[trial])))
                self.steps[trial.name] = job.steps if whole else min(job.steps, most)
        return best

    def take_turns(self, best: dict[str, Trial]) -> dict[str, list[dict[str, float]]]:
        """Every contender once a round, in changing order; fewer rounds where the time is up."""
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in best}
        rounds = self.limits.epoch_rounds if self.job.job.kind == "epoch" else self.limits.rounds
        for number in range(rounds):
            if number and not self.clock.left():
                break
            for name in list(runs) if number % 2 else reversed(list(runs)):
                try:
                    runs[name].append(self.run(best[name], number, self.steps[name]))
                except Failed as error:
                    self.fail(best[name], error)
                    self.left_out[name] = f"failed: {error}"
                    del runs[name]
        return runs

    def peaks(self, best: dict[str, Trial], free: Memory) -> dict[str, int]:
        """Bytes of the device that each process held at most in a run; it is ended, and what it held is free again."""
        found: dict[str, int] = {}
        for name, trial in best.items():
            lowest = free()
            if name in (CPU, CPU_LLVM) or lowest is None or not self.clock.left():
                continue
            seen = [lowest]
            try:
                self.run(trial, 0, self.steps[name], lambda seen=seen: seen.append(free() or seen[0]))
            except Failed as error:
                say(f"{self.job.name}: the memory of {name} is not known: {error}")
                continue
            self.team.lose(trial)
            after = free()
            if after is not None and after > min(seen):
                found[name] = after - min(seen)
        return found


def measure(
    job: GpuJob, names: list[str], team: Team, limits: Limits, clock: Clock, free: Memory | None = None
) -> dict[str, Any]:
    """What the JSON file holds of the job. `free`: tells the free memory of the device, to find each one's peak."""
    one = Measurement(job, names, team, limits, clock)
    with tempfile.TemporaryDirectory() as folder:
        what = material(job.job)
        save(what, Path(folder))
        one.load(folder)
        expected = reference.check_values(job.job, what) if job.referenced else None
        del what
        one.check(expected)
        best = one.calibrate()
        runs = one.take_turns(best)
        peaks = one.peaks({name: best[name] for name in runs}, free) if free else {}
    times = {name: [run["us"] for run in own] for name, own in runs.items()}
    return {
        **gpu_report.about(job),
        "contenders": {
            name: {
                "label": GPU[name].label,
                "versions": one.versions[best[name]],
                "threads": best[name].threads,
                "form": best[name].form,
                "steps": one.steps[name],
                **report.summary(times[name]),
                "call_median": median(run["call_us"] for run in own),
                "peak_bytes": peaks.get(name),
                "us": times[name],
            }
            for name, own in runs.items()
        },
        "goals": gpu_report.judge(job, times),
        "left_out": one.left_out,
    }
