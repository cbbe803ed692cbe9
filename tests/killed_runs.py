"""Runs that are killed in processes of their own: `python tests/killed_runs.py moments FOLDER`.

A program, since a fork of the process that runs all the tests, with all that it holds by then, takes a second.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

from checkpoint_helpers import checkpoints, network, outcome, trained

from tinynn.data import archive

RUNS = 50


def forked(work: Callable[[], str], kill_after: float | None = None) -> tuple[str, int]:
    """What the work returns in a process of its own, and how that ended; killed after so many seconds."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which may be there and hold no lock here
        child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reading)
            os.write(writing, work().encode())
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(writing)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    return said, os.waitstatus_to_exitcode(status)


def run(folder: Path | None = None) -> str:
    """With momentum, dropout, batch norm, a schedule and shuffling."""
    options = {} if folder is None else {"checkpoint": folder, "every": 7, "resume": True}
    net = network()
    return outcome(net, trained(net, **options))


def moments(folder: Path) -> None:
    """Killed at 50 random moments, and gone on with: the same bits, and no file that cannot be read."""
    expected, code = forked(run)
    assert code == 0
    started = time.monotonic()
    assert forked(lambda: run(folder / "whole")) == (expected, 0)
    seconds = time.monotonic() - started
    rng, killed, found, tries = random.Random(6), 0, 0, 0
    while killed < RUNS:
        tries += 1
        place = folder / str(tries)
        _, code = forked(lambda place=place: run(place), moment := seconds * rng.random())
        if code == 0:  # it was through by then
            seconds = moment
            continue
        assert code == -signal.SIGKILL and tries < 10 * RUNS
        killed += 1
        there = checkpoints(place) if place.exists() else []
        found += bool(there)
        for path in there:
            archive.read(path)
        assert forked(lambda place=place: run(place)) == (expected, 0), tries
        assert not list(place.glob(".*")), tries
    assert found  # else it would show nothing
    print(f"{killed} of {killed} killed runs came to {expected[:16]}..., {found} of them had a checkpoint by then")


def again(folder: Path) -> None:
    """Killed again and again until it is through."""
    expected, _ = forked(run)
    rng, kills = random.Random(7), 0
    for _ in range(200):
        said, code = forked(lambda: run(folder), 0.02 + 0.05 * rng.random())
        if code == 0:
            break
        kills += 1
    else:
        said, _ = forked(lambda: run(folder))
    assert said == expected and kills
    print(f"killed {kills} times")


def around_the_rename(folder: Path, when: str) -> None:
    """Killed when the fifth file is on the disk, "before" or "after" it got its name."""
    expected, _ = forked(run)
    replace, done = Path.replace, 0

    def killing(self: Path, target: Path) -> Path:
        nonlocal done
        done += 1
        if done == 5 and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = replace(self, target)
        if done == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    with patch.object(Path, "replace", killing):
        assert forked(lambda: run(folder))[1] == -signal.SIGKILL
    steps = [int(path.stem[5:]) for path in checkpoints(folder)]
    assert steps == ([10, 14, 20] if when == "before" else [10, 14, 20, 21])
    assert len(list(folder.glob(".*.tmp"))) == (when == "before")
    assert forked(lambda: run(folder)) == (expected, 0)
    assert not list(folder.glob(".*"))


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
