"""The harness's arithmetic, its verdicts, and its page."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import page, report
from benchmarks.contenders import CATALOGUE
from benchmarks.jobs import BEST_PEER, JOBS, Goal, Job

JOB = replace(JOBS["quadrant"], goals=(Goal("torch", ratio=0.2), Goal(BEST_PEER, ratio=1.0)))


def judged(goal: Goal, times: dict[str, list[float]], ours: str = "tinynn") -> dict[str, Any]:
    """The verdict by one of ours."""
    (found,) = report.judge(replace(JOB, goals=(goal,)), times)
    return found["by"][ours]


def test_summary_of_known_times() -> None:
    assert report.summary([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0, "spread": 1.0}


def test_ratios_of_medians_and_in_pairs() -> None:
    # In the second round a load doubled both times: the pairs do not notice, the medians do.
    assert report.ratios([1.0, 2.0, 1.0], [4.0, 8.0, 8.0]) == {"of_medians": 0.125, "paired": 0.25}


def test_disagreements_name_the_contender_and_count_nan() -> None:
    found = {"a": [1.00005, 0.5], "b": [1.0, 0.6], "c": [math.nan, 0.5], "d": [1.0]}
    lines = report.disagreements(found, [1.0, 0.5], 1e-4)
    assert [line.partition(":")[0] for line in lines] == ["b", "c", "d"]
    assert "value 1 is 0.600000, expected 0.500000" in lines[0]


def test_the_best_peer_is_no_floor() -> None:
    times = {
        "tinynn": [1.0],
        "tinynn_llvm": [0.7],
        "bare_numpy": [0.5],
        "gemm_floor": [0.1],
        "torch": [3.0],
        "jax_jit": [2.0],
    }
    assert report.best_peer(times) == "jax_jit"
    assert report.best_peer({"tinynn": [1.0], "network_py": [9.0]}) is None
    assert [name for name, entry in CATALOGUE.items() if not entry.peer] == [
        "tinynn",
        "tinynn_llvm",
        "tinynn_set",
        "network_py",
        "bare_numpy",
        "gemm_floor",
    ]


@pytest.mark.parametrize(("theirs", "met"), [(10.0, True), (9.9, True), (4.9, False)])
def test_a_ratio_is_met_up_to_its_limit(theirs: float, met: bool) -> None:
    assert judged(Goal("torch", ratio=0.2), {"tinynn": [1.0, 1.0], "torch": [theirs, theirs]})["met"] is met


def test_a_ratio_is_met_by_both_measures() -> None:
    verdict = judged(Goal("torch", ratio=0.2), {"tinynn": [1.0, 2.0, 1.0], "torch": [4.0, 8.0, 8.0]})
    assert verdict["of_medians"] < 0.2 < verdict["paired"]
    assert verdict["met"] is False


@pytest.mark.parametrize(("ours", "met"), [(27.9, True), (28.1, False), (21.0, True)])
def test_a_ratio_or_some_microseconds_more(ours: float, met: bool) -> None:
    goal = Goal("bare_numpy", ratio=1.1, extra_us=8)
    verdict = judged(goal, {"tinynn": [ours], "bare_numpy": [20.0]})
    assert verdict["met"] is met
    assert verdict["extra_us"] == pytest.approx(ours - 20)
    assert f"{ours - 20:+.1f} us" in verdict["measured"]


@pytest.mark.parametrize(("ours", "met"), [(50.0, True), (50.1, False)])
def test_a_limit_without_another(ours: float, met: bool) -> None:
    (found,) = report.judge(replace(JOB, goals=(Goal(step_us=50),)), {"tinynn": [ours]})
    assert found["met"] is found["by"]["tinynn"]["met"] is met
    assert found["goal"] == "<= 50 us a step"
    assert found["by"]["tinynn"]["measured"] == f"{ours} us"


@pytest.mark.parametrize(
    ("numpy", "llvm", "met", "alone"),
    [(1.0, 3.0, True, True), (3.0, 1.0, True, False), (3.0, 3.0, False, False), (1.0, 1.0, True, True)],
)
def test_a_goal_is_met_by_either_of_ours_unless_it_is_for_numpy_alone(
    numpy: float, llvm: float, met: bool, alone: bool
) -> None:
    times = {"tinynn": [numpy], "tinynn_llvm": [llvm], "torch": [2.0], "jax_jit": [9.0]}
    goal = Goal(BEST_PEER, ratio=1.0)
    either, one = report.judge(replace(JOB, goals=(goal, replace(goal, alone=True))), times)
    assert {ours: found["met"] for ours, found in either["by"].items()} == {
        "tinynn": alone,
        "tinynn_llvm": llvm <= 2.0,
    }
    assert (either["met"], one["met"]) == (met, alone)
    assert list(one["by"]) == ["tinynn"]
    assert either["against"] == "torch"
    assert either["goal"] == "<= 1.00 of the best peer (PyTorch eager)"
    assert one["goal"] == "<= 1.00 of the best peer (PyTorch eager), by NumPy alone"


@pytest.mark.parametrize("times", [{"tinynn": [1.0]}, {"torch": [1.0]}, {}])
def test_what_took_no_part_is_not_judged(times: dict[str, list[float]]) -> None:
    assert [(verdict["met"], verdict["by"]) for verdict in report.judge(JOB, times)] == [(None, {})] * 2


def test_goals_in_words() -> None:
    assert report.limits(Goal("torch", ratio=1 / 12)) == "<= 1/12 of PyTorch eager"
    assert report.limits(Goal("jax_scan", ratio=1 / 2.3)) == "<= 1/2.3 of JAX jit, scan over the batches"
    assert report.limits(Goal(BEST_PEER, ratio=1.0)) == "<= 1.00 of the best peer"
    assert report.limits(Goal(BEST_PEER, ratio=1.0, alone=True)) == "<= 1.00 of the best peer, by NumPy alone"
    assert report.limits(Goal("bare_numpy", ratio=1.1, extra_us=8)) == "<= 1.10 of bare NumPy or <= 8 us above it"


def point(width: int, batch: int, **peers: float) -> dict[str, Any]:
    return {"width": width, "batch": batch, "times": {"tinynn": 10.0, **peers}}


def test_crossovers() -> None:
    points = [point(64, 1, torch=9, jax_jit=5), point(16, 1, torch=20, jax_jit=5), point(256, 1, torch=11, jax_jit=5)]
    found = report.crossovers(points, "width", "batch")
    assert found == [
        {"ours": "tinynn", "batch": 1, "peer": "jax_jit", "from": None, "to": 16, "ahead": True},
        {"ours": "tinynn", "batch": 1, "peer": "torch", "from": 16, "to": 64, "ahead": True},
        {"ours": "tinynn", "batch": 1, "peer": "torch", "from": 64, "to": 256, "ahead": False},
    ]
    assert [page.crossing(one, "width", "batch") for one in found] == [
        "- batch 1: JAX jit, one call a step is ahead from the smallest width on, 16.",
        "- batch 1: PyTorch eager overtakes tinynn between width 16 and 64.",
        "- batch 1: PyTorch eager falls behind tinynn between width 64 and 256.",
    ]
    assert report.crossovers([point(16, 1, torch=20)], "batch", "width") == []


def test_crossovers_of_both_backends() -> None:
    points = [point(16, 1, torch=20, tinynn_llvm=5), point(64, 1, torch=8, tinynn_llvm=5)]
    points.append(point(256, 1, torch=8, tinynn_llvm=9))
    found = report.crossovers(points, "width", "batch")
    assert [(one["ours"], one["from"], one["to"]) for one in found] == [("tinynn", 16, 64), ("tinynn_llvm", 64, 256)]


def contender(name: str, us: float) -> dict[str, Any]:
    return {
        "label": CATALOGUE[name].label,
        "peer": CATALOGUE[name].peer,
        "versions": {name: "1.2"},
        "threads": 1,
        "form": "",
        **report.summary([us, us]),
        "cpu_median": us,
        "call_median": us + 1,
        "us": [us, us],
        "calibration": [],
    }


def result_of(ours: float, theirs: float, llvm: float | None = None, job: Job = JOB) -> dict[str, Any]:
    """A whole result for these times of tinynn, PyTorch, and, where it took part, tinynn's backend llvm."""
    times = {"tinynn": [ours, ours], "torch": [theirs, theirs]}
    if llvm is not None:
        times["tinynn_llvm"] = [llvm, llvm]
    return {
        "command": "python -m benchmarks.run --full",
        "mode": "full",
        "date": "2030-01-02",
        "seconds": 90.0,
        "machine": {
            "cpu": "Some CPU",
            "cores": 2,
            "system": "Linux",
            "python": "3.11.0",
            "load_before": 0.1,
            "load_after": 0.2,
            "blas": {"name": "OpenBLAS", "version": "0.3.31", "kernels": "SkylakeX"},
        },
        "not_installed": {"onnxruntime": "the package onnxruntime is not installed"},
        "jobs": {
            "quadrant": {
                "title": job.title,
                "kind": job.kind,
                "unit": job.unit,
                "steps": job.steps,
                "batch": job.batch,
                "contenders": {name: contender(name, us[0]) for name, us in times.items()},
                "goals": report.judge(job, times),
                "left_out": {"sklearn": "has no convolutions"},
            }
        },
        "footprint": {
            "import": {
                "numpy": report.summary([70.0]),
                "tinynn": report.summary([95.0]),
                "pairs": 15,
                "extra": 25.0,
                "limit": 20.0,
                "met": False,
            },
            "memory": {"train": 120.0, "numpy": 29.0, "limit": 160.0, "met": True},
        },
        "sweep": {
            "points": [point(16, 1, torch=20, **({} if llvm is None else {"tinynn_llvm": 30}))],
            "over_width": []
            if llvm is None
            else report.crossovers([point(16, 1, torch=20, tinynn_llvm=30)], "width", "batch"),
            "over_batch": [],
        },
    }


def test_the_page_has_the_figures_sorted_by_time() -> None:
    text = page.markdown(result_of(30.0, 300.0))
    assert "| **tinynn** | 1 | - | 30.0 | 30.0 to 30.0 | 30.0 | - |\n" in text
    assert "| PyTorch eager | 1 | - | 300.0 | 300.0 to 300.0 | 300.0 | 0.10 |\n" in text
    assert text.index("| **tinynn** | 1") < text.index("| PyTorch eager | 1")
    assert "| 2-50-4, batch 4 | <= 1/5 of PyTorch eager | 0.10, in pairs 0.10: met | **met** |" in text
    assert "| `import tinynn` over `import numpy` | <= +20 ms | +25.0 ms: missed | **missed** |" in text
    assert "<= 160 MB | 120 MB: met | **met** |" in text
    assert "**3 of 4** goals are met, 3 of them by NumPy alone." in text
    assert "with the whole call counted it is 31.0 us (NumPy)." in text
    assert "scikit-learn MLPClassifier has no convolutions" in text
    assert "- ONNX Runtime: the package onnxruntime is not installed" in text
    assert "tinynn is ahead at every point" in text
    assert "NumPy's BLAS: OpenBLAS 0.3.31, SkylakeX kernels; load average 0.1 before" in text
    assert "quick run" not in text
    assert "| backend llvm |" not in text and "llvm / this" not in text


def test_the_page_has_both_backends_side_by_side() -> None:
    text = page.markdown(result_of(90.0, 300.0, llvm=30.0))
    assert "| job | goal for tinynn | NumPy alone | backend llvm |  |" in text
    goal = "| <= 1/5 of PyTorch eager | 0.30, in pairs 0.30: missed | 0.10, in pairs 0.10: met | **met** |"
    assert f"| 2-50-4, batch 4 {goal}" in text
    assert "<= 160 MB | 120 MB: met | - | **met** |" in text
    assert "**3 of 4** goals are met, 2 of them by NumPy alone." in text
    assert page.counts(result_of(90.0, 300.0, llvm=30.0)) == {"all": 4, "met": 3, "alone": 2}
    assert text.count("**met**") == 3
    assert "| NumPy / this | llvm / this |" in text
    assert "| **tinynn, backend llvm** | 1 | - | 30.0 | 30.0 to 30.0 | 30.0 | 3.00 | - |\n" in text
    assert "| **tinynn** | 1 | - | 90.0 | 90.0 to 90.0 | 90.0 | - | 0.33 |\n" in text
    assert "| PyTorch eager | 1 | - | 300.0 | 300.0 to 300.0 | 300.0 | 0.30 | 0.10 |\n" in text
    assert "it is 91.0 us (NumPy) and 31.0 us (llvm)." in text
    numpy, llvm = text.partition("Crossover points, NumPy alone:")[2].split("Crossover points, backend llvm:")
    assert "- none: tinynn is ahead at every point." in numpy
    assert "- batch 1: PyTorch eager is ahead from the smallest width on, 16." in llvm


def test_the_page_says_what_was_missed() -> None:
    text = page.markdown(result_of(600.0, 300.0) | {"mode": "quick", "footprint": None, "sweep": None})
    assert text.count("**missed**") == 2
    assert "**met**" not in text
    assert "**0 of 2** goals are met, 0 of them by NumPy alone." in text
    assert "A quick run" in text


def test_a_goal_that_nobody_was_measured_for_does_not_count() -> None:
    result = result_of(30.0, 300.0)
    result["jobs"]["quadrant"]["goals"] = report.judge(JOB, {"tinynn": [30.0]})
    assert page.counts(result) == {"all": 2, "met": 1, "alone": 1}
    assert "| - | not measured |" in page.markdown(result)


def test_the_page_can_be_made_of_the_committed_results() -> None:
    result = json.loads((Path(page.__file__).parent / "results.json").read_text(encoding="utf-8"))
    text, count = page.markdown(result), page.counts(result)
    table = text.partition("## Nielsen")[0]
    assert (table.count("**met**"), table.count("**missed**")) == (count["met"], count["all"] - count["met"])
    assert count["all"] == sum(len(job.goals) for job in JOBS.values()) + 2
    assert count["alone"] <= count["met"]


@pytest.mark.parametrize("llvm", [None, 20.0])
def test_every_table_has_rows_as_wide_as_its_head(llvm: float | None) -> None:
    widths: set[int] = set()
    for line in [*page.markdown(result_of(30.0, 60.0, llvm)).splitlines(), ""]:
        if line.startswith("|"):
            widths.add(line.count("|"))
        else:
            assert len(widths) <= 1
            widths.clear()
