"""The benchmark of a convolutional network's step: its arithmetic, its page, and a run of tinynn's side."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import lenet_step
from benchmarks.lenet_step import Setting, first_batch, markdown, measure, ratio
from benchmarks.lenet_worker import Ours, answer


def row(side: str, threads: int, rounds: list[list[float]]) -> dict[str, Any]:
    setting = Setting(side, threads, "")
    summary = lenet_step.summary(rounds)
    return {**setting._asdict(), "label": setting.label, "versions": {side: "1"}, **summary, "seconds": rounds}


def test_the_ratio_is_that_of_the_fastest_settings() -> None:
    rows = [
        row("tinynn", 1, [[4.0, 4.0], [6.0, 6.0]]),
        row("tinynn", 2, [[9.0, 2.0], [9.0, 9.0]]),
        row("torch", 1, [[10.0, 8.0], [4.0, 8.0]]),
        row("torch", 2, [[20.0, 20.0], [20.0, 20.0]]),
    ]
    found = ratio(rows)
    assert found == {"of_medians": 5 / 8, "paired": pytest.approx((4 / 9 + 6 / 6) / 2), "of_minima": 2 / 4}
    assert ratio(rows[:2]) is None


@pytest.mark.parametrize(("ours", "verdict"), [(2.0, "met"), (3.0, "missed")])
def test_the_page_says_what_was_measured_and_whether_the_goal_is_met(ours: float, verdict: str) -> None:
    rows = [row("tinynn", 1, [[ours]]), row("torch", 2, [[2.0]])]
    about = {"cpu": "Some CPU", "cores": 2, "system": "Linux", "python": "3", "load_before": 0.1, "load_after": 0.2}
    result = {"date": "2030-01-02", "machine": about, "rounds": 1, "steps": 1, "settings": rows, "ratio": ratio(rows)}
    page = markdown(result | {"check": {"tolerance": 1e-4}})
    assert f"| tinynn (tinynn 1) | 1 | {ours * 1e3:.2f} | {ours * 1e3:.2f} |" in page
    assert f"**{verdict}**" in page
    assert "Goal" not in markdown(result | {"ratio": None, "check": {"tolerance": 1e-4}})


def test_a_step_goes_down_the_gradient_of_the_loss() -> None:
    side = Ours(first_batch(), "")
    side.sgd.lr = lr = 1e-4
    before = side.loss()
    side.step()
    gradient = side.net.storage.grads
    # To first order the loss falls by lr |gradient|^2.
    assert before - side.loss() == pytest.approx(lr * float(np.dot(gradient, gradient)), rel=0.05)


def test_requests_are_answered() -> None:
    side = Ours(first_batch(), "")
    losses = answer(side, {"check": 2})["losses"]
    assert losses[0] > losses[1] > losses[2]
    seconds = answer(side, {"steps": 3})["seconds"]
    assert len(seconds) == 3 and min(seconds) > 0


def test_the_whole_run_in_small_and_a_side_that_computes_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    result = json.loads(json.dumps(measure([Setting("tinynn", 1, "")], rounds=2, steps=2)))
    (only,) = result["settings"]
    assert [len(steps) for steps in only["seconds"]] == [2, 2]
    assert result["ratio"] is None
    assert "| tinynn (tinynn " in markdown(result)
    monkeypatch.setattr(lenet_step, "TOLERANCE", -1.0)
    with pytest.raises(RuntimeError, match="tinynn, 1 threads: loss 0"):
        measure([Setting("tinynn", 1, "")], rounds=1, steps=1)
