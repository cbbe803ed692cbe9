"""RESULTS-gpu.md from the results of a run. Pure functions: nothing here measures or reads."""

from __future__ import annotations

from typing import Any

from benchmarks.contenders.gpu import CAPTURED, EAGER, GPU
from benchmarks.gpu_machine import in_words
from benchmarks.gpu_report import counts
from benchmarks.page import VERDICTS, sweep_table, table

__all__ = ["markdown"]


def markdown(result: dict[str, Any]) -> str:
    """The result as a page: the goals, a table for each job, where the GPU pays, and what was left out."""
    lines = [*head(result), *goals(result)]
    for job in result["jobs"].values():
        lines += section(job)
    if result.get("sweep"):
        lines += sweep_section(result["sweep"])
    reasons = [f"{GPU[name].label}: {why}" for name, why in result["not_installed"].items()]
    reasons += [f"the job {name}: {why}" for name, why in result["not_run"].items()]
    if reasons:
        lines += ["", "## Left out", "", *(f"- {reason}" for reason in reasons)]
    return "\n".join(lines) + "\n"


def head(result: dict[str, Any]) -> list[str]:
    """What was run, and on what."""
    return [
        "# tinynn on a GPU, beside its peers",
        "",
        f"Written by `{result['command']}`; do not edit. `benchmarks/gpu.py` says what is measured and how.",
        "",
        f"{in_words(result['machine'])}; {result['date']}; {result['seconds'] / 60:.1f} minutes"
        f"{'' if result['done'] else '; **not finished**: what follows is what there was so far'}.",
        "",
    ]


def goals(result: dict[str, Any]) -> list[str]:
    """Every goal with what captured steps took."""
    rows = [
        [job["title"], goal["goal"], goal["measured"] or "-", VERDICTS[goal["met"]]]
        for job in result["jobs"].values()
        for goal in job["goals"]
    ]
    count = counts(result)
    return [
        "## Goals",
        "",
        f"**{count['met']} of {count['all']}** goals are met, {count['all'] - count['judged']} could not be judged. "
        "They are about captured steps. A ratio is tinynn's time over the other's, of the medians and in pairs; it is "
        "met when both are.",
        "",
        *table(["job", "goal for tinynn", "measured", ""], rows, "lllr"),
    ]


def section(job: dict[str, Any]) -> list[str]:
    """All contenders of a job, the fastest first."""
    there = job["contenders"]
    ours = there.get(CAPTURED)
    rows = []
    for name, one in sorted(there.items(), key=lambda item: item[1]["median"]):
        peak = one["peak_bytes"]
        cells = [
            f"**{one['label']}**" if name in (CAPTURED, EAGER) else one["label"],
            one["form"],
            f"{one['median']:.1f}",
            f"{one['min']:.1f} to {one['max']:.1f}",
            f"{one['median'] * job['steps'] / 1000:.2f}",
            f"{job['flops'] / one['median'] / 1e6:.2f}",
            "-" if peak is None else f"{peak / 1e6:.0f}",
            "-" if ours is None or name == CAPTURED else f"{ours['median'] / one['median']:.3f}",
        ]
        rows.append([cell for place, cell in enumerate(cells) if job["kind"] == "epoch" or place != 4])
    columns = ["contender", "form", "step, us", "range, us", "epoch, ms", "TFLOP/s", "peak, MB", "captured / this"]
    columns = [column for column in columns if job["kind"] == "epoch" or column != "epoch, ms"]
    place = "each batch comes from the host" if job["copied"] else "the data lie on the device"
    ready = "shuffled and gathered" if job["kind"] == "epoch" else "batches that lie ready"
    lines = [
        "",
        f"## {job['title']}",
        "",
        f"{job['precision']}; {place}; {ready}; {job['steps']:,} steps at most. TFLOP/s counts the matrix products.",
        "",
        *table(columns, rows, "ll" + "r" * (len(columns) - 2)),
    ]
    if job["left_out"]:
        reasons = "; ".join(f"{GPU[name].label} {reason}" for name, reason in job["left_out"].items())
        lines += ["", f"Not in the table: {reasons}."]
    versions = {name: number for one in there.values() for name, number in one["versions"].items()}
    return [*lines, "", f"Versions: {', '.join(f'{name} {number}' for name, number in versions.items()) or '-'}."]


def sweep_section(found: dict[str, Any]) -> list[str]:
    """A step over width and batch: the picture, from where on the GPU pays, and the times."""
    names = list(dict.fromkeys(name for point in found["points"] for name in point["times"]))
    return [
        "",
        "## CPU or GPU",
        "",
        "A step of 784-width-10, ReLU, softmax, float32; microseconds.",
        "",
        "![A step on the CPU and on the GPU over width and batch](step_time_gpu.png)",
        "",
        "A captured step on the GPU is faster than any of tinynn's on this CPU:",
        "",
        *map(in_a_line, found["pays"]),
        "",
        *sweep_table(found["points"], {name: GPU[name].label for name in names}),
    ]


def in_a_line(one: dict[str, Any]) -> str:
    """From which width on the GPU pays, for one size of batch."""
    if one["width"] is None:
        return f"- batch {one['batch']}: not up to width {one['before']}."
    if one["before"] is None:
        return f"- batch {one['batch']}: from the smallest width on, {one['width']}."
    return f"- batch {one['batch']}: from width {one['width']} on; not yet at {one['before']}."
