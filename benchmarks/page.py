"""RESULTS.md from the results of a run. Pure functions: nothing here measures or reads."""

from __future__ import annotations

from typing import Any

from benchmarks.contenders import CATALOGUE, JUDGED, LLVM, OURS
from benchmarks.machine import in_words

__all__ = ["counts", "markdown"]

HEADS = {OURS: "NumPy alone", LLVM: "backend llvm"}
VERDICTS = {True: "**met**", False: "**missed**", None: "not measured"}


def markdown(result: dict[str, Any]) -> str:
    """The result as a page: the goals, then a table for each job, then the sweep."""
    lines = [*head(result), *summary_table(result)]
    for job in result["jobs"].values():
        lines += job_section(job)
    if result.get("footprint"):
        lines += footprint_section(result["footprint"])
    if result.get("sweep"):
        lines += sweep_section(result["sweep"])
    if result["not_installed"]:
        missing = (f"{CATALOGUE[name].label}: {why}" for name, why in result["not_installed"].items())
        lines += ["", "## Left out of the whole run", "", *(f"- {line}" for line in missing)]
    return "\n".join(lines) + "\n"


def head(result: dict[str, Any]) -> list[str]:
    """What was run, and on what."""
    about = result["machine"]
    return [
        "# tinynn beside its peers",
        "",
        f"Written by `{result['command']}`; do not edit. `benchmarks/README.md` says what is measured and how.",
        "",
        f"{'' if result['mode'] == 'full' else '**A quick run: fewer rounds and steps, not for comparison.** '}"
        f"{in_words(about)}; load average {about['load_before']} before, {about['load_after']} after; "
        f"{result['date']}; {result['seconds'] / 60:.0f} minutes.",
        "",
    ]


def goals(result: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """All goals with the title of their job, the footprint's too."""
    found = [(job["title"], goal) for job in result["jobs"].values() for goal in job["goals"]]
    if footprint := result.get("footprint"):
        times, memory = footprint["import"], footprint["memory"]
        found += [
            footprint_goal(
                "`import tinynn` over `import numpy`",
                f"<= +{times['limit']:g} ms",
                f"{times['extra']:+.1f} ms",
                times["met"],
            ),
            footprint_goal(
                "peak memory, an epoch of MNIST from uint8",
                f"<= {memory['limit']:g} MB",
                f"{memory['train']:.0f} MB",
                memory["met"],
            ),
        ]
    return found


def footprint_goal(title: str, goal: str, measured: str, met: bool) -> tuple[str, dict[str, Any]]:
    return title, {"goal": goal, "met": met, "by": {OURS: {"met": met, "measured": measured}}}


def counts(result: dict[str, Any]) -> dict[str, int]:
    """How many goals were judged ("all"), how many are met, and how many of those by NumPy alone ("alone")."""
    judged = [goal for _, goal in goals(result) if goal["met"] is not None]
    alone = sum(bool(goal["by"].get(OURS, {}).get("met")) for goal in judged)
    return {"all": len(judged), "met": sum(goal["met"] for goal in judged), "alone": alone}


def summary_table(result: dict[str, Any]) -> list[str]:
    """Every goal, what was measured by each of ours, and whether it is met."""
    found = goals(result)
    ours = [name for name in JUDGED if name == OURS or any(name in goal["by"] for _, goal in found)]
    rows = []
    for title, goal in found:
        verdicts = (goal["by"].get(name) for name in ours)
        cells = [f"{one['measured']}: {'met' if one['met'] else 'missed'}" if one else "-" for one in verdicts]
        rows.append([title, goal["goal"], *cells, VERDICTS[goal["met"]]])
    count = counts(result)
    return [
        "## Goals",
        "",
        f"**{count['met']} of {count['all']}** goals are met, {count['alone']} of them by NumPy alone. A goal is met "
        "where tinynn meets it on NumPy alone or by the backend llvm.",
        "",
        "Measured: tinynn's time over the other's, of the medians and in pairs; a ratio is met when both are. "
        "`+` microseconds: above the other's time.",
        "",
        *table(["job", "goal for tinynn", *(HEADS[name] for name in ours), ""], rows, "ll" + "l" * len(ours) + "r"),
    ]


def job_section(job: dict[str, Any]) -> list[str]:
    """All contenders of a job, the fastest first."""
    unit, all_of_them = job["unit"], job["contenders"]
    ours = [name for name in JUDGED if name in all_of_them]
    rows = []
    for name, one in sorted(all_of_them.items(), key=lambda item: item[1]["median"]):
        shares = (all_of_them[mine]["median"] / one["median"] for mine in ours)
        rows.append(
            [
                f"**{one['label']}**" if name in JUDGED else one["label"],
                str(one["threads"] or "its own choice"),
                one["form"] or "-",
                f"{one['median']:.1f}",
                f"{one['min']:.1f} to {one['max']:.1f}",
                f"{one['cpu_median']:.1f}",
                *("-" if mine == name else f"{share:.2f}" for mine, share in zip(ours, shares, strict=True)),
            ]
        )
    kind = {"step": "batches that lie ready", "epoch": "shuffled and gathered", "predict": "one call a row"}
    columns = ["contender", "threads", "form", f"{unit}, us", "range, us", "CPU time, us"]
    columns += [f"{JUDGED[mine]} / this" for mine in ours]
    lines = ["", f"## {job['title']}", "", f"{unit.capitalize()}s a run: {job['steps']:,}, {kind[job['kind']]}.", ""]
    lines += table(columns, rows, "lrlrrr" + "r" * len(ours))
    if ours and job["kind"] == "step":
        calls = (f"{all_of_them[mine]['call_median']:.1f} us ({JUDGED[mine]})" for mine in ours)
        lines += [
            "",
            "tinynn's time is that of the loop in `fit`, by its history; with the whole call counted it is "
            f"{' and '.join(calls)}.",
        ]
    if job["left_out"]:
        reasons = "; ".join(f"{CATALOGUE[name].label} {reason}" for name, reason in job["left_out"].items())
        lines += ["", f"Not in the table: {reasons}."]
    versions = {k: v for one in job["contenders"].values() for k, v in one["versions"].items()}
    return [*lines, "", f"Versions: {', '.join(f'{name} {version}' for name, version in versions.items())}."]


def footprint_section(found: dict[str, Any]) -> list[str]:
    """The import and the memory, with NumPy's own beside them."""
    times, memory = found["import"], found["memory"]
    rows = [
        [f"`import {name}`", f"{times[name]['median']:.1f}", f"{times[name]['min']:.1f} to {times[name]['max']:.1f}"]
        for name in ("numpy", "tinynn")
    ]
    return [
        "",
        "## Import and memory",
        "",
        f"Whole processes, {times['pairs']} pairs that take turns.",
        "",
        *table(["process", "median, ms", "range, ms"], rows, "lrr"),
        "",
        f"Peak resident memory: {memory['train']:.0f} MB where one epoch is trained on all of MNIST from uint8 images, "
        f"{memory['numpy']:.0f} MB where NumPy alone is imported. The images are 47 MB.",
    ]


def sweep_section(found: dict[str, Any]) -> list[str]:
    """A step over width and batch: the picture, the times, the crossover points."""
    names = list(dict.fromkeys(name for point in found["points"] for name in point["times"]))
    lines = [
        "",
        "## A step over width and batch",
        "",
        "784-width-10, ReLU, softmax; microseconds a step, each library in its fastest setting.",
        "",
        "![A step over width and batch](step_time.png)",
        "",
        *sweep_table(found["points"], {name: CATALOGUE[name].label for name in names}),
    ]
    for ours in (name for name in JUDGED if name in names):
        crossings = [
            crossing(point, along, across)
            for along, across in (("width", "batch"), ("batch", "width"))
            for point in found[f"over_{along}"]
            if point["ours"] == ours
        ]
        lines += ["", f"Crossover points, {HEADS[ours]}:", ""]
        lines += crossings or ["- none: tinynn is ahead at every point."]
    return lines


def sweep_table(points: list[dict[str, Any]], labels: dict[str, str]) -> list[str]:
    """Microseconds a step, a line for each width and batch; `labels`: what the contenders are called."""
    rows = [
        [
            str(p["batch"]),
            str(p["width"]),
            *(f"{p['times'][name]:.1f}" if name in p["times"] else "-" for name in labels),
        ]
        for p in points
    ]
    return table(["batch", "width", *labels.values()], rows, "rr" + "r" * len(labels))


def crossing(point: dict[str, Any], along: str, across: str) -> str:
    """One crossover point in words."""
    peer, fixed = CATALOGUE[point["peer"]].label, f"{across} {point[across]}"
    if point["from"] is None:
        return f"- {fixed}: {peer} is ahead from the smallest {along} on, {point['to']}."
    change = "overtakes tinynn" if point["ahead"] else "falls behind tinynn"
    return f"- {fixed}: {peer} {change} between {along} {point['from']} and {point['to']}."


def table(columns: list[str], rows: list[list[str]], alignment: str) -> list[str]:
    """A Markdown table. `alignment`: l or r for each column."""
    rules = ["---:" if side == "r" else "---" for side in alignment]
    return [f"| {' | '.join(cells)} |" for cells in (columns, rules, *rows)]
