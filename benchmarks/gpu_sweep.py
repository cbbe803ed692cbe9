"""Times a step of 784-width-10 on CPU and GPU over widths and batches: from which sizes on the GPU pays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.contenders.gpu import CAPTURED, CPU, CPU_LLVM, EAGER, GPU, TORCH
from benchmarks.gpu_jobs import GpuJob
from benchmarks.gpu_measure import Clock, Limits, measure
from benchmarks.gpu_report import pays
from benchmarks.gpu_team import Team
from benchmarks.sweep import job_of, names_of, picture

__all__ = ["BATCHES", "NAMES", "WIDTHS", "draw", "sweep"]

WIDTHS, BATCHES = (32, 128, 512, 2048), (8, 64, 512, 4096)
NAMES = (CAPTURED, EAGER, TORCH, CPU, CPU_LLVM)
LIMITS = Limits(rounds=3, trials=1, longest=0.15)


def sweep(
    names: list[str],
    clock: Clock,
    widths: tuple[int, ...] = WIDTHS,
    batches: tuple[int, ...] = BATCHES,
    limits: Limits = LIMITS,
) -> dict[str, Any]:
    """What the JSON file holds of it; fewer points where the time is up."""
    points = []
    with Team() as team:
        for batch in batches:
            for width in widths:
                if not clock.left():
                    break
                job = job_of(width, batch)
                # The steps are compared with one another: a float64 reference would take longer than all the rest.
                gpu_job = GpuJob(job.name, job, NAMES, referenced=False)
                found = measure(gpu_job, names, team, limits, clock)["contenders"]
                points.append({"width": width, "batch": batch, "times": {n: one["median"] for n, one in found.items()}})
                team.drop()
    return {"points": points, "pays": pays(points)}


def draw(found: dict[str, Any], file: Path) -> None:
    """The picture of a sweep, shaded where the GPU pays."""
    points = found["points"]
    widest = {p["batch"]: max(q["width"] for q in points if q["batch"] == p["batch"]) for p in points}
    pays = [one for one in found["pays"] if one["width"] is not None]
    shades = {one["batch"]: [(one["width"], widest[one["batch"]], "C0")] for one in pays}
    title = "784-width-10: forward, backward, update. Shaded: there a captured step on the GPU beats the CPU."
    labels = {name: GPU[name].label for name in names_of(points)}
    picture(points, labels, shades, title, file, dashed=(CPU, CPU_LLVM))
