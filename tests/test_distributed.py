"""Ranks learn what one process learns from the whole, go on from a checkpoint, and stop as one."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpi_helpers import launched, needs_mpiexec, started

import tinynn

pytestmark = needs_mpiexec
BOUNDS = {"float64": 1e-12, "float32": 1e-5}


def answers(ranks: int, *words: str) -> list[dict[str, Any]]:
    """What rank 0 printed, in a run that ended well."""
    done = launched(ranks, "distributed_runs.py", *words)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_ranks_learn_what_one_process_learns_from_the_whole_batch(ranks: int) -> None:
    found = answers(ranks, "same")
    assert [one["dtype"] for one in found] == ["float64", "float32"]
    for one in found:
        assert (one["ranks"], one["steps"]) == (ranks, 301)
        assert one["alike"] and one["state"]
        assert one["params"] <= BOUNDS[one["dtype"]]
        assert one["loss"] <= BOUNDS[one["dtype"]]
        assert one["validation"] <= BOUNDS[one["dtype"]]
        assert one["accuracy"] <= (0 if one["dtype"] == "float64" else 2 / 203)
        if ranks == 1:
            assert one["params"] == 0


def test_compiled_steps_too() -> None:
    double, single = answers(2, "same", "llvm")
    assert double["alike"] and double["params"] <= 1e-12
    assert single["alike"] and single["params"] <= 1e-5


def up_to(folder: Path, step: int, target: Path) -> str:
    """The checkpoints up to that step, as they would be there had the run ended after it."""
    target.mkdir()
    for path in folder.glob("step-*.npz"):
        if int(path.stem.partition("-")[2]) <= step:
            shutil.copy(path, target)
    assert (target / f"step-{step:09d}.npz").exists()
    return str(target)


@pytest.mark.parametrize("kind", ["plain", "normalised"])
def test_a_run_goes_on_to_the_bit_on_as_many_ranks(kind: str, tmp_path: Path) -> None:
    whole, again = str(tmp_path / "whole.npz"), str(tmp_path / "again.npz")
    (first,) = answers(3, "resume", str(tmp_path / "a"), whole, kind)
    assert first["told"] == []
    (second,) = answers(3, "resume", up_to(tmp_path / "a", 12, tmp_path / "b"), again, kind)  # 7 steps an epoch
    assert second == first
    expected = tinynn.load(whole).storage.arrays()
    for name, array in tinynn.load(again).storage.arrays().items():
        np.testing.assert_array_equal(array, expected[name])


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_run_goes_on_with_other_ranks_and_says_what_changes(ranks: int, tmp_path: Path) -> None:
    whole, again = str(tmp_path / "whole.npz"), str(tmp_path / "again.npz")
    (first,) = answers(3, "resume", str(tmp_path / "a"), whole, "plain")
    (second,) = answers(ranks, "resume", up_to(tmp_path / "a", 12, tmp_path / "b"), again, "plain")
    (told,) = second["told"]
    assert "goes on from step-000000012.npz" in told
    assert f"ranks: 3 before, {'none' if ranks == 1 else ranks} now" in told
    np.testing.assert_allclose(second["loss"], first["loss"], rtol=0, atol=1e-12)
    expected = tinynn.load(whole).storage.arrays()
    for name, array in tinynn.load(again).storage.arrays().items():
        np.testing.assert_allclose(array, expected[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_one_rank_ends_all_after_the_same_step(kind: signal.Signals, tmp_path: Path) -> None:
    process = started(3, "distributed_runs.py", "interrupted", str(tmp_path))
    try:
        until = time.monotonic() + 60
        while len(list(tmp_path.glob("pid-*"))) < 3:
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.01)
        time.sleep(0.2)
        os.kill(int((tmp_path / "pid-1").read_text()), kind)
        out, err = process.communicate(timeout=60)
    finally:
        process.terminate()
    if kind == signal.SIGINT:
        assert process.returncode == 0, err
        assert json.loads(out) == {"alike": True, "stopped": "interrupted"}
    else:
        assert process.returncode != 0  # the rank that was to end did, once the checkpoint was written
    assert isinstance(tinynn.load(max((tmp_path / "kept").glob("step-*.npz"))), tinynn.Sequential)


def test_the_example_prints_once_what_one_process_prints(tmp_path: Path) -> None:
    words = ("--out", str(tmp_path), "--limit", "2000", "--hidden", "10", "--epochs", "2")
    together = launched(2, "../examples/mnist.py", "--distributed", *words)
    alone = launched(1, "../examples/mnist.py", *words)
    assert together.returncode == alone.returncode == 0, together.stderr + alone.stderr
    assert without_seconds(together.stdout) == without_seconds(alone.stdout)
    assert without_seconds(together.stderr) == without_seconds(alone.stderr)
    assert alone.stdout.count("test accuracy") == 1


def without_seconds(text: str) -> str:
    return re.sub(r"[\d.]+ s\b", "", text)
