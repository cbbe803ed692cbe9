"""From measured times to medians, ratios, goals and crossover points: pure functions, which measure nothing."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import Any

from benchmarks.contenders import CATALOGUE, OURS
from benchmarks.jobs import BEST_PEER, Goal, Job

__all__ = ["best_peer", "crossovers", "disagreements", "judge", "limits", "ratios", "summary"]


def disagreements(found: dict[str, list[float]], expected: list[float], tolerance: float) -> list[str]:
    """A line for every contender's first value that is further from the expected than `tolerance`, as NaN is too."""
    lines = []
    for name, values in found.items():
        if len(values) != len(expected):
            lines.append(f"{name}: {len(values)} values, expected {len(expected)}")
            continue
        for place, (value, wanted) in enumerate(zip(values, expected, strict=True)):
            if not abs(value - wanted) <= tolerance:
                lines.append(f"{name}: value {place} is {value:.6f}, expected {wanted:.6f}")
                break
    return lines


def summary(times: list[float]) -> dict[str, float]:
    """Median, extremes, and the spread: (largest - smallest) / median."""
    middle = median(times)
    lowest, highest = min(times), max(times)
    return {"median": middle, "min": lowest, "max": highest, "spread": (highest - lowest) / middle}


def ratios(ours: list[float], theirs: list[float]) -> dict[str, float]:
    """Our time over theirs: of the medians, and the median over the rounds of the ratio within a round.

    The two agree on a quiet machine; the second is hardly moved by a load that comes and goes between rounds.
    """
    return {
        "of_medians": median(ours) / median(theirs),
        "paired": median(a / b for a, b in zip(ours, theirs, strict=True)),
    }


def best_peer(times: dict[str, list[float]]) -> str | None:
    """The peer of the smallest median; None where no peer took part."""
    peers = [name for name in times if CATALOGUE[name].peer]
    return min(peers, key=lambda name: median(times[name]), default=None)


def limits(goal: Goal, unit: str = "step") -> str:
    """The goal in words."""
    parts = []
    if goal.ratio is not None:
        ratio = f"{goal.ratio:.2f}" if goal.ratio >= 0.5 else f"1/{1 / goal.ratio:.3g}"
        parts.append(f"<= {ratio} of {CATALOGUE[goal.against].label if goal.against != BEST_PEER else 'the best peer'}")
    if goal.extra_us is not None:
        parts.append(f"<= {goal.extra_us:g} us above it")
    if goal.step_us is not None:
        parts.append(f"<= {goal.step_us:g} us a {unit}")
    return " or ".join(parts) + (f", {goal.note}" if goal.note else "")


def judge(job: Job, times: dict[str, list[float]]) -> list[dict[str, Any]]:
    """For each goal of the job: what was measured, and whether it is met.

    `times`: microseconds a step in each round. `met`: None where tinynn or the other took no part. A ratio is met when
    that of the medians and that in pairs both are, a limit in microseconds by the median.
    """
    verdicts = []
    for goal in job.goals:
        against = best_peer(times) if goal.against == BEST_PEER else goal.against
        verdict: dict[str, Any] = {"goal": limits(goal, job.unit), "against": against, "met": None, "measured": "-"}
        verdicts.append(verdict)
        if OURS not in times or against is None or (against and against not in times):
            continue
        ours = median(times[OURS])
        verdict["us"] = ours
        met, measured = [], []
        if against:
            verdict |= ratios(times[OURS], times[against])
            measured.append(f"{verdict['of_medians']:.2f}, in pairs {verdict['paired']:.2f}")
            if goal.against == BEST_PEER:
                measured[-1] += f", of {CATALOGUE[against].label}"
        if goal.ratio is not None:
            met.append(max(verdict["of_medians"], verdict["paired"]) <= goal.ratio)
        if goal.extra_us is not None:
            extra = median(a - b for a, b in zip(times[OURS], times[against], strict=True))
            verdict["extra_us"] = extra
            measured.append(f"{extra:+.1f} us")
            met.append(extra <= goal.extra_us)
        if goal.step_us is not None:
            measured.append(f"{ours:.1f} us")
            met.append(ours <= goal.step_us)
        verdict |= {"met": any(met), "measured": "; ".join(measured)}
    return verdicts


def crossovers(points: Iterable[dict[str, Any]], along: str, across: str) -> list[dict[str, Any]]:
    """Where a peer overtakes tinynn, or falls behind again, on the way along one of two sizes, the other fixed.

    `points`: dicts of both sizes and `times`, microseconds a step by contender. Returns dicts of the fixed size, the
    peer, the two neighbouring sizes, and whether the peer is ahead from there on. A peer that is ahead already at the
    smallest size has None before it.
    """
    lines: dict[int, list[dict[str, Any]]] = {}
    for point in points:
        lines.setdefault(point[across], []).append(point)
    found = []
    for fixed, line in sorted(lines.items()):
        line.sort(key=lambda point: point[along])
        for peer in sorted({name for point in line for name in point["times"] if CATALOGUE[name].peer}):
            before, was_ahead = None, False
            for point in line:
                if peer not in point["times"]:
                    continue
                ahead = point["times"][peer] < point["times"][OURS]
                if ahead != was_ahead:
                    found.append({across: fixed, "peer": peer, "from": before, "to": point[along], "ahead": ahead})
                before, was_ahead = point[along], ahead
    return found
