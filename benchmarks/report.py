"""From measured seconds to medians, ratios and the Markdown table. Pure functions: nothing here measures or reads."""

from __future__ import annotations

from statistics import median
from typing import Any

__all__ = ["GOALS", "disagreements", "goals", "markdown", "summary"]

GOALS = {"jax_jit": 0.6, "torch": 0.2}
"""What share of a peer's time tinynn may take at most."""


def disagreements(checks: dict[str, dict[str, float]], reference: dict[str, float], tolerance: float) -> list[str]:
    """A line for every loss that is further from the reference than `tolerance`; NaN is too far as well."""
    return [
        f"{name}: loss {when} {value:.6f}, expected {reference[when]:.6f}"
        for name, check in checks.items()
        for when, value in check.items()
        if not abs(value - reference[when]) <= tolerance
    ]


def summary(seconds: list[float]) -> dict[str, float]:
    """Median, extremes, and the spread: (largest - smallest) / median."""
    middle = median(seconds)
    lowest, highest = min(seconds), max(seconds)
    return {"median": middle, "min": lowest, "max": highest, "spread": (highest - lowest) / middle}


def ratios(ours: list[float], theirs: list[float]) -> dict[str, float]:
    """Our time over theirs: of the medians, and the median over the rounds of the ratio within a round.

    The two agree on a quiet machine; the second is hardly moved by a load that comes and goes between rounds.
    """
    return {
        "of_medians": median(ours) / median(theirs),
        "paired": median(a / b for a, b in zip(ours, theirs, strict=True)),
    }


def goals(seconds: dict[str, list[float]], ours: str = "tinynn") -> dict[str, dict[str, Any]]:
    """For each peer that took part: tinynn's ratios to it and, where one is set, the goal and whether it is met.

    Met means by both ratios.
    """
    found: dict[str, dict[str, Any]] = {}
    if ours not in seconds:
        return found
    for name, theirs in seconds.items():
        if name == ours:
            continue
        found[name] = dict(ratios(seconds[ours], theirs))
        if name in GOALS:
            met = max(found[name].values()) <= GOALS[name]
            found[name] |= {"goal": GOALS[name], "met": met}
    return found


def markdown(result: dict[str, Any]) -> str:
    """The result as a page: what was run, one row for each contender, the goals."""
    rows, batch, rounds = result["rows"], result["batch"], result["rounds"]
    machine = result["machine"]
    lines = [
        "# The Nielsen epoch: tinynn beside its peers",
        "",
        "Written by `python -m benchmarks.nielsen_epoch`; do not edit. `benchmarks/README.md` says what is measured.",
        "",
        f"{'**A quick run, not for comparison.** ' if result['quick'] else ''}"
        f"One epoch: {rows // batch:,} steps of batch {batch}, 784-30-10, sigmoid, quadratic cost, eta 3, float32, "
        f"with shuffling and gathering. {rounds} rounds, in which the contenders take turns; medians.",
        "",
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, Python {machine['python']}; "
        f"load average {machine['load_before']} before, {machine['load_after']} after; {result['date']}.",
        "",
        "| contender | threads | form | epoch, s | range, s | step, us | CPU time, s | tinynn / this | in pairs |",
        "|---|---:|---|---:|---|---:|---:|---:|---:|",
    ]
    for name, contender in sorted(result["contenders"].items(), key=lambda item: item[1]["median"]):
        ratio = result["ratios"].get(name, {})
        cells = [
            f"{contender['label']} ({', '.join(f'{k} {v}' for k, v in contender['versions'].items())})",
            str(contender["threads"] or "its own choice"),
            contender["form"] or "-",
            f"{contender['median']:.3f}",
            f"{contender['min']:.3f} to {contender['max']:.3f}",
            f"{contender['median'] / (rows // batch) * 1e6:.0f}",
            f"{contender['cpu_median']:.3f}",
            f"{ratio['of_medians']:.2f}" if ratio else "-",
            f"{ratio['paired']:.2f}" if ratio else "-",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    for name, ratio in result["ratios"].items():
        if "goal" in ratio:
            peer, verdict = result["contenders"][name]["label"], "met" if ratio["met"] else "missed"
            lines.append(
                f"- Goal: at most {ratio['goal']:g} times the time of {peer}. Measured {ratio['of_medians']:.2f}, "
                f"in pairs {ratio['paired']:.2f}: **{verdict}**."
            )
    own = result["contenders"].get("tinynn", {}).get("history_median")
    if own is not None:
        lines.append(
            f"- Of tinynn's time {own:.3f} s is the epoch as its history has it; in the rest `fit` mostly looks "
            "through its data, which it does once a call, however many epochs follow."
        )
    lines += [
        "",
        f"Before the timing, all contenders made the same {result['check']['steps']} steps from the same weights; "
        f"their losses before, during and after are within {result['check']['tolerance']:g} of a float64 reference.",
        "",
        "| calibration, best of short epochs | threads | form | one step, us |",
        "|---|---:|---|---:|",
    ]
    for name, trials in result["calibration"].items():
        for trial in trials:
            threads = str(trial["threads"] or "its own choice")
            cells = [name, threads, trial["form"] or "-", f"{trial['seconds_per_step'] * 1e6:.0f}"]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
