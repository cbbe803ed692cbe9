"""From times on a GPU to goals, rates and the sizes from which the GPU pays: pure functions, which measure nothing."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import Any

from benchmarks.contenders.gpu import CAPTURED, COMPILED, CPU, CPU_LLVM, GPU
from benchmarks.gpu_jobs import BEST_COMPILE, GpuJob, flops
from benchmarks.jobs import Goal
from benchmarks.report import verdict

__all__ = ["about", "counts", "fastest", "judge", "limits", "pays"]


def about(job: GpuJob) -> dict[str, Any]:
    """What a page says of a job that holds for all its contenders."""
    return {
        "title": job.job.title,
        "kind": job.job.kind,
        "precision": job.precision,
        "copied": job.copied,
        "steps": job.job.steps,
        "batch": job.job.batch,
        "flops": flops(job.job),
    }


def fastest(names: Iterable[str], times: dict[str, list[float]]) -> str | None:
    """Whose median is the smallest; None where none of them took part."""
    return min((name for name in names if name in times), key=lambda name: median(times[name]), default=None)


def limits(goal: Goal, job: GpuJob, against: str | None = None) -> str:
    """The goal in words. `against`: which mode of torch.compile turned out to be the faster one."""
    if goal.step_us is not None:
        if job.job.kind == "epoch":
            return f"<= {goal.step_us * job.job.steps / 1000:g} ms an epoch"
        return f"<= {goal.step_us:g} us a step"
    assert goal.ratio is not None
    ratio = f"1/{1 / goal.ratio:.3g}" if goal.ratio < 0.9 or goal.ratio > 1 else f"{goal.ratio:.2f}"
    if goal.against == BEST_COMPILE:
        found = f" ({GPU[against].label})" if against else ""
        return f"<= {ratio} of the best torch.compile{found}"
    return f"<= {ratio} of {GPU[goal.against].label}"


def judge(job: GpuJob, times: dict[str, list[float]]) -> list[dict[str, Any]]:
    """For each goal what captured steps took, and whether it is met; None where either side took no part.

    `times`: microseconds a step in each round.
    """
    found = []
    for goal in job.goals:
        against = fastest(COMPILED, times) if goal.against == BEST_COMPILE else goal.against
        told = {"goal": limits(goal, job, against), "against": against, "met": None, "measured": ""}
        ours, theirs = times.get(CAPTURED), times.get(against) if against else None
        if ours and (theirs or goal.step_us is not None):
            told |= verdict(goal, *level(ours, theirs))
            if job.job.kind == "epoch" and goal.step_us is not None:
                told["measured"] = f"{median(ours) * job.job.steps / 1000:.2f} ms"
        found.append(told)
    return found


def level(ours: list[float], theirs: list[float] | None) -> tuple[list[float], list[float] | None]:
    """The same rounds of both: the last one may have been cut short."""
    if theirs is None:
        return ours, None
    rounds = min(len(ours), len(theirs))
    return ours[:rounds], theirs[:rounds]


def counts(result: dict[str, Any]) -> dict[str, int]:
    """How many goals there are ("all"), how many of them were judged ("judged") and how many are met ("met")."""
    goals = [goal for job in result["jobs"].values() for goal in job["goals"]]
    judged = [goal for goal in goals if goal["met"] is not None]
    return {"all": len(goals), "judged": len(judged), "met": sum(goal["met"] for goal in judged)}


def pays(points: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each batch the smallest width from which on a captured step on the GPU is always faster than any on the CPU.

    `points`: dicts of width, batch and `times`, microseconds a step by contender. `width`: None where the largest width
    is still faster on the CPU; `before`: the next smaller width, None where the GPU is ahead from the smallest on.
    """
    lines: dict[int, list[tuple[int, bool]]] = {}
    for point in points:
        times = point["times"]
        others = [times[name] for name in (CPU, CPU_LLVM) if name in times]
        if CAPTURED in times and others:
            lines.setdefault(point["batch"], []).append((point["width"], times[CAPTURED] < min(others)))
    found = []
    for batch, line in sorted(lines.items()):
        line.sort()
        behind = [width for width, ahead in line if not ahead]
        after = [width for width, _ in line if not behind or width > behind[-1]]
        found.append({"batch": batch, "before": behind[-1] if behind else None, "width": after[0] if after else None})
    return found
