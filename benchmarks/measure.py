"""Measures one job: loads it into every contender's processes, checks that all agree, calibrates, and takes turns."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, Self

from benchmarks import reference, report
from benchmarks.child import Child
from benchmarks.contenders import CATALOGUE, JUDGED
from benchmarks.jobs import Job
from benchmarks.material import material, save

__all__ = ["Crew", "Settings", "Trial", "measure", "say"]

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Settings:
    """How much is measured. `share`: of a job's steps; `trials`: short runs of each setting, to find the best.

    `longest`: seconds of one run; a contender that would take longer makes fewer steps, unless they are an epoch.
    `threads`: the numbers that are tried; None the contender's own. `rest`: seconds between two runs, in which the
    threads of the last one stop waiting for work.
    """

    rounds: int = 11
    epoch_rounds: int = 5
    trials: int = 5
    share: float = 1.0
    longest: float = 1.0
    threads: tuple[int, ...] | None = None
    rest: float = 0.06


class Trial(NamedTuple):
    """One way to run a contender."""

    name: str
    threads: int | None
    form: str


class Crew(contextlib.AbstractContextManager):
    """The contenders' processes, one for each number of threads, started when they are first asked for."""

    def __init__(self) -> None:
        self.stack = contextlib.ExitStack()
        self.children: dict[tuple[str, int | None], Child] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.stack.close()

    def of(self, trial: Trial) -> Child:
        key = trial.name, trial.threads
        if key not in self.children:
            self.children[key] = self.stack.enter_context(Child(*key))
        return self.children[key]

    def drop(self) -> None:
        """Has all of them forget the job."""
        for child in self.children.values():
            child.ask(do="drop")


def measure(job: Job, names: list[str], crew: Crew, settings: Settings) -> dict[str, Any]:
    """What the JSON file holds of the job.

    Errors: RuntimeError when a contender fails that must not, or its losses are not those of the reference.
    """
    job = job.shorter(settings.share)
    left_out = {name: reason for name in names if (reason := CATALOGUE[name].left_out(job))}
    trials = [
        Trial(name, threads, form)
        for name in names
        if name not in left_out
        for threads in threads_of(name, settings)
        for form in CATALOGUE[name].forms(job)
    ]
    with tempfile.TemporaryDirectory() as folder:
        what = material(job)
        save(what, Path(folder))
        versions, failed = load(job, trials, crew, folder)
        left_out |= failed
        trials = [trial for trial in trials if trial in versions]
        expected = None if job.hidden == "lenet" else reference.check_values(job, what)
        del what
        check(job, trials, crew, expected)
        calibration = calibrate(job, trials, crew, settings)
        best = {name: tried[0] for name, tried in calibration.items()}
        runs = take_turns(job, best, crew, settings)
        crew.drop()

    times = {name: [run["us"] for run in own] for name, own in runs.items()}
    return {
        "title": job.title,
        "kind": job.kind,
        "unit": job.unit,
        "steps": job.steps,
        "batch": job.batch,
        "contenders": {
            name: {
                "label": CATALOGUE[name].label,
                "peer": CATALOGUE[name].peer,
                "versions": versions[best[name]["trial"]],
                "threads": best[name]["trial"].threads,
                "form": best[name]["trial"].form,
                **report.summary(times[name]),
                "cpu_median": median(run["cpu_us"] for run in own),
                "call_median": median(run["call_us"] for run in own),
                "us": times[name],
                "calibration": [{**t["trial"]._asdict(), "us": t["us"]} for t in calibration[name]],
            }
            for name, own in runs.items()
        },
        "ratios": {
            ours: {name: report.ratios(times[ours], own) for name, own in times.items() if name != ours}
            for ours in JUDGED
            if ours in times
        },
        "goals": report.judge(job, times),
        "left_out": left_out,
    }


def threads_of(name: str, settings: Settings) -> tuple[int | None, ...]:
    """The numbers of threads to be tried."""
    own = CATALOGUE[name].threads
    if settings.threads is None or own == (None,):
        return own
    return tuple(threads for threads in own if threads in settings.threads) or own[:1]


def load(job: Job, trials: list[Trial], crew: Crew, folder: str) -> tuple[dict[Trial, Any], dict[str, str]]:
    """The versions of each setting that is ready, and the contenders that failed, with the reason.

    All load at the same time: nothing is timed yet, and some compile for long.
    """
    for trial in trials:
        crew.of(trial).send(do="load", job=job.as_dict(), folder=folder, form=trial.form)
    versions, failed = {}, {}
    for trial in trials:
        answer = crew.of(trial).receive()
        if "error" not in answer:
            versions[trial] = answer["versions"]
        elif CATALOGUE[trial.name].may_fail:
            failed[trial.name] = f"failed: {answer['error'].splitlines()[0]}"
            say(f"{job.name}: {trial.name} {failed[trial.name]}")
        else:
            raise RuntimeError(f"{trial.name} could not load {job.name}\n{answer['trace']}")
    ready = {trial.name for trial in versions}
    return versions, {name: reason for name, reason in failed.items() if name not in ready}


def asked(crew: Crew, trial: Trial, **request: Any) -> dict[str, Any]:
    """The answer of a contender that has loaded the job.

    Errors: RuntimeError with its traceback.
    """
    answer = crew.of(trial).ask(form=trial.form, **request)
    if "error" in answer:
        raise RuntimeError(f"{trial.name} failed\n{answer['trace']}")
    return answer


def check(job: Job, trials: list[Trial], crew: Crew, expected: list[float] | None) -> None:
    """Errors: RuntimeError unless all find what is expected, or, where that is None, what the first one finds."""
    steps = 0 if job.kind == "predict" else reference.steps_to_check(job)
    found = {
        f"{trial.name}, {trial.threads or 'its own'} threads, {trial.form or '-'}": asked(
            crew, trial, do="check", steps=steps
        )["values"]
        for trial in trials
        if CATALOGUE[trial.name].checked
    }
    if found:
        wrong = report.disagreements(found, expected or next(iter(found.values())), TOLERANCE)
        if wrong:
            raise RuntimeError("\n".join([f"the contenders do not compute the same thing on {job.name}", *wrong]))


def run(crew: Crew, trial: Trial, seed: int, steps: int, rest: float) -> dict[str, float]:
    """One run, in microseconds a step."""
    time.sleep(rest)
    answer = asked(crew, trial, do="run", seed=seed, steps=steps)
    parts = {"us": "seconds", "call_us": "call_seconds", "cpu_us": "cpu_seconds"}
    return {key: answer[part] / steps * 1e6 for key, part in parts.items()}


def calibrate(job: Job, trials: list[Trial], crew: Crew, settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """For each contender its settings, the fastest first, by the median of some short runs.

    All settings of all contenders take turns, as in the measurement: two threads that are fast while nothing else
    runs may wait for long when others were busy just before. Who has no choice runs too, to know how long it takes.
    """
    steps = max(1, job.steps // 4)
    times: dict[Trial, list[float]] = {trial: [] for trial in trials}
    for number in range(1 + settings.trials):
        for trial in trials if number % 2 else reversed(trials):
            us = run(crew, trial, number, steps, settings.rest)["us"]
            if number:  # the first compiles, and touches all memory once
                times[trial].append(us)
    found: dict[str, list[dict[str, Any]]] = {}
    for trial, us in times.items():
        found.setdefault(trial.name, []).append({"trial": trial, "us": median(us)})
    for name, tried in found.items():
        tried.sort(key=lambda one: one["us"])
        threads = tried[0]["trial"].threads or "its own"
        say(f"{job.name}: {name}, {threads} threads, {tried[0]['trial'].form or '-'}: {tried[0]['us']:.1f} us")
    return found


def take_turns(
    job: Job, best: dict[str, dict[str, Any]], crew: Crew, settings: Settings
) -> dict[str, list[dict[str, float]]]:
    """The measurement: every contender once a round, in changing order. A round before the first warms up."""
    steps = {}
    for name, tried in best.items():
        longest = max(1, int(settings.longest * 1e6 / tried["us"]))
        steps[name] = job.steps if job.kind == "epoch" else min(job.steps, longest)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in best}
    rounds = settings.epoch_rounds if job.kind == "epoch" else settings.rounds
    for number in range(rounds + 1):
        for name in list(best) if number % 2 else reversed(best):
            found = run(crew, best[name]["trial"], number, steps[name], settings.rest)
            if number:
                runs[name].append(found)
    return runs


def say(line: str) -> None:
    """Shows progress, apart from the result."""
    print(line, file=sys.stderr, flush=True)
