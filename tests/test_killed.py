"""kill -9 at any moment: what is there is whole, and the run that goes on comes to the same bits."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from checkpoint_helpers import checkpoints, network, outcome, trained

from tinynn.data import archive

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
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
    options = {} if folder is None else {"checkpoint": folder, "every": 3, "resume": True}
    net = network()
    return outcome(net, trained(net, **options))


def test_killed_at_50_random_moments_a_run_comes_to_the_same_bits(tmp_path: Path) -> None:
    expected, code = forked(run)
    assert code == 0
    started = time.monotonic()
    assert forked(lambda: run(tmp_path / "whole")) == (expected, 0)
    seconds = time.monotonic() - started
    rng, killed, found = random.Random(6), 0, 0
    for number in range(RUNS):
        folder = tmp_path / str(number)
        _, code = forked(lambda folder=folder: run(folder), seconds * rng.random())
        killed += code == -signal.SIGKILL
        there = checkpoints(folder) if folder.exists() else []
        found += bool(there)
        for path in there:
            archive.read(path)  # none is unreadable
        assert forked(lambda folder=folder: run(folder)) == (expected, 0), number
        assert not list(folder.glob(".*")), number
    assert killed > 0.6 * RUNS and found > 0.3 * RUNS  # else it would show nothing


def test_killed_again_and_again_it_gets_there(tmp_path: Path) -> None:
    expected, _ = forked(run)
    rng, kills = random.Random(7), 0
    for _ in range(200):
        said, code = forked(lambda: run(tmp_path), 0.02 + 0.05 * rng.random())
        if code == 0:
            break
        kills += 1
    else:
        said, _ = forked(lambda: run(tmp_path))
    assert said == expected and kills


@pytest.mark.parametrize("when", ["before the rename", "after it"])
def test_killed_between_fsync_and_rename(when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, _ = forked(run)
    replace, done = Path.replace, 0

    def killing(self: Path, target: Path) -> Path:
        nonlocal done
        done += 1
        if done == 5 and when == "before the rename":
            os.kill(os.getpid(), signal.SIGKILL)
        result = replace(self, target)
        if done == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killing)
        assert forked(lambda: run(tmp_path))[1] == -signal.SIGKILL
    steps = [int(path.stem[5:]) for path in checkpoints(tmp_path)]
    assert steps == ([6, 9, 10] if when == "before the rename" else [6, 9, 10, 12])
    assert len(list(tmp_path.glob(".*.tmp"))) == (when == "before the rename")
    assert forked(lambda: run(tmp_path)) == (expected, 0)
    assert not list(tmp_path.glob(".*"))
