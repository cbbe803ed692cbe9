"""Times a step of 784-width-10 on CPU and GPU over widths and batches: from which sizes on the GPU pays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.contenders.gpu import CAPTURED, CPU, CPU_LLVM, EAGER, GPU, TORCH
from benchmarks.gpu_jobs import GpuJob
from benchmarks.gpu_measure import Clock, Limits, measure
from benchmarks.gpu_report import pays
from benchmarks.gpu_team import Team
from benchmarks.sweep import job_of

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
    """A panel for each batch: microseconds a step over the width, both axes logarithmic; shaded where the GPU pays."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    batches = sorted({point["batch"] for point in found["points"]})
    names = list(dict.fromkeys(name for point in found["points"] for name in point["times"]))
    figure, panels = plt.subplots(
        1, len(batches), figsize=(3.2 * len(batches), 4), sharey=True, squeeze=False, layout="constrained"
    )
    from_where = {one["batch"]: one["width"] for one in found["pays"]}
    for panel, batch in zip(panels[0], batches, strict=True):
        line = sorted((p for p in found["points"] if p["batch"] == batch), key=lambda point: point["width"])
        for number, name in enumerate(names):
            here = [point for point in line if name in point["times"]]
            style: Any = {"linestyle": "--" if name in (CPU, CPU_LLVM) else "-", "color": f"C{number}"}
            widths, times = [p["width"] for p in here], [p["times"][name] for p in here]
            panel.loglog(widths, times, marker="os^Dv"[number % 5], label=GPU[name].label, **style)
        widths = [point["width"] for point in line]
        if from_where.get(batch) is not None:
            panel.axvspan(from_where[batch], widths[-1], color="C0", alpha=0.12, linewidth=0, zorder=0)
        panel.set_title(f"batch {batch}")
        panel.set_xlabel("width of the hidden layer")
        panel.set_xticks(widths, [str(width) for width in widths])
        panel.minorticks_off()
        panel.grid(True, which="major", color="0.85")
    panels[0][0].set_ylabel("one step, us")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=len(names))
    figure.suptitle("784-width-10: forward, backward, update. Shaded: there a captured step on the GPU beats the CPU.")
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=120)
    plt.close(figure)
