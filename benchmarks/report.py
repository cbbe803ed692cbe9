"""From measured times to medians, ratios, goals and crossover points: pure functions, which measure nothing."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from statistics import median
from typing import Any

from benchmarks.contenders import CATALOGUE, JUDGED, OURS
from benchmarks.jobs import BEST_PEER, Goal, Job

__all__ = ["best_peer", "crossovers", "disagreements", "judge", "limits", "ratios", "summary", "verdict"]


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


def limits(goal: Goal, unit: str = "step", against: str | None = None) -> str:
    """The goal in words. `against`: the contender that the best peer turned out to be."""
    parts = []
    if goal.ratio is not None:
        ratio = f"{goal.ratio:.2f}" if goal.ratio >= 0.5 else f"1/{1 / goal.ratio:.3g}"
        other = CATALOGUE[goal.against].label if goal.against != BEST_PEER else "the best peer"
        if goal.against == BEST_PEER and against:
            other += f" ({CATALOGUE[against].label})"
        parts.append(f"<= {ratio} of {other}")
    if goal.extra_us is not None:
        parts.append(f"<= {goal.extra_us:g} us above it")
    if goal.step_us is not None:
        parts.append(f"<= {goal.step_us:g} us a {unit}")
    return " or ".join(parts) + (", by NumPy alone" if goal.alone else "")


def judge(job: Job, times: dict[str, list[float]]) -> list[dict[str, Any]]:
    """For each goal of the job: what was measured, by each of ours, and whether it is met by one of them.

    `times`: microseconds a step in each round. `met`: None where none of ours, or not the other, took part.
    """
    verdicts = []
    for goal in job.goals:
        against = best_peer(times) if goal.against == BEST_PEER else goal.against
        both = against is not None and (not against or against in times)
        theirs = times.get(against) if against else None
        judged = (OURS,) if goal.alone else JUDGED
        by = {ours: verdict(goal, times[ours], theirs) for ours in judged if both and ours in times}
        met = any(one["met"] for one in by.values()) if by else None
        verdicts.append({"goal": limits(goal, job.unit, against), "against": against, "met": met, "by": by})
    return verdicts


def verdict(goal: Goal, ours: list[float], theirs: list[float] | None) -> dict[str, Any]:
    """Whether these times meet the goal, and the figures. `theirs`: None where the goal names nobody.

    A ratio is met when that of the medians and that in pairs both are, a limit in microseconds by the median.
    """
    found: dict[str, Any] = {"us": median(ours)}
    met, measured = [], []
    if theirs is not None:
        found |= ratios(ours, theirs)
        measured.append(f"{found['of_medians']:.2f}, in pairs {found['paired']:.2f}")
        if goal.ratio is not None:
            met.append(max(found["of_medians"], found["paired"]) <= goal.ratio)
        if goal.extra_us is not None:
            found["extra_us"] = median(a - b for a, b in zip(ours, theirs, strict=True))
            measured.append(f"{found['extra_us']:+.1f} us")
            met.append(found["extra_us"] <= goal.extra_us)
    if goal.step_us is not None:
        measured.append(f"{found['us']:.1f} us")
        met.append(found["us"] <= goal.step_us)
    return {"met": any(met), "measured": "; ".join(measured), **found}


def crossovers(points: Iterable[dict[str, Any]], along: str, across: str) -> list[dict[str, Any]]:
    """Where a peer overtakes one of ours, or falls behind again, on the way along one of two sizes, the other fixed.

    `points`: dicts of both sizes and `times`, microseconds a step by contender. Returns dicts of the one of ours, the
    fixed size, the peer, the two neighbouring sizes, and whether the peer is ahead from there on. A peer that is ahead
    already at the smallest size has None before it.
    """
    lines: dict[int, list[dict[str, Any]]] = {}
    for point in points:
        lines.setdefault(point[across], []).append(point)
    found = []
    for ours, (fixed, line) in product(JUDGED, sorted(lines.items())):
        line.sort(key=lambda point: point[along])
        for peer in sorted({name for point in line for name in point["times"] if CATALOGUE[name].peer}):
            before, was_ahead = None, False
            for point in line:
                if not {peer, ours} <= point["times"].keys():
                    continue
                ahead = point["times"][peer] < point["times"][ours]
                if ahead != was_ahead:
                    change = {"peer": peer, "from": before, "to": point[along], "ahead": ahead}
                    found.append({"ours": ours, across: fixed, **change})
                before, was_ahead = point[along], ahead
    return found
